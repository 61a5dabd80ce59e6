# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Options of the modules that know all snapshots of a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """Whose snapshots, and where those of the controller lie."""

    DOCUMENTATION = r"""
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  output:
    description: Folder on the controller with the runs of all clusters.
    type: path
    required: true
"""

    SERVERS = r"""
options:
  servers:
    description: Inventory names of its servers.
    type: list
    elements: str
    required: true
"""
