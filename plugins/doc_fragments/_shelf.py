# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Options of the modules that keep something of a cluster on the controller, or look for it there."""

from __future__ import annotations


class ModuleDocFragment:
    """Which cluster, where its runs lie, and which hosts it has."""

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

    LOOK = r"""
options:
  agents:
    description: Inventory names of its agents.
    type: list
    elements: str
    default: []
  api:
    description: Whether the host that it runs on, or C(requorum_kubeconfig), is an API server that answers.
    type: bool
    default: false
"""

    RULES = r"""
options:
  powered_off:
    description: Hosts whose power a person has cut.
    type: list
    elements: str
    default: []
  rules:
    description: Folders on the controller with rules of this site (C(docs/rules.md)).
    type: list
    elements: path
    default: []
  record:
    description: Whether what was seen and said is kept in a folder of O(output).
    type: bool
    default: true
"""
