# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python package that carries the collection requorum.cluster, which brings clusters back that lost etcd quorum."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("requorum")
