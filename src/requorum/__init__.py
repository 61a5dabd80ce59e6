# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of RKE2, K3s and Harvester clusters: command line and Python API over the collection requorum.cluster."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("requorum")
