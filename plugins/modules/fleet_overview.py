# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_overview
short_description: Make one overview of many clusters, the worst first
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads the rows that M(requorum.cluster.fleet_inspect) has left, whichever runs and slices they are of, and writes
    C(overview.json), C(overview.html), C(overview.txt) and C(overview.prom) beside them.
  - A cluster without a row, and one whose row is too old, is unknown.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  clusters:
    description: Names of all clusters of the inventory.
    type: list
    elements: str
    required: true
  refused:
    description: Those that cannot be looked at, as RV(requorum.cluster.fleet_clusters#module:refused) has them.
    type: list
    elements: dict
    default: []
  output:
    description: Folder on the controller with the runs of all clusters.
    type: path
    required: true
  prometheus:
    description: File on the controller that the metrics are written to as well.
    type: path
  max_age:
    description: Seconds; what was seen longer ago says nothing about now. 0 is no limit.
    type: float
    default: 86400
attributes:
  check_mode:
    support: full
    details:
      - Nothing on a node is ever changed; check mode makes no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller as an action plugin and asks no host.
  - The task fails, after all is written, when a cluster was not judged at all. It does not fail for what was found.
seealso:
  - module: requorum.cluster.fleet_inspect
"""

EXAMPLES = r"""
- name: Make the overview of what is known of them
  requorum.cluster.fleet_overview:
    clusters: "{{ requorum_fleet.clusters.values() | map(attribute='name') }}"
    refused: "{{ requorum_fleet.refused }}"
    output: /var/lib/requorum
"""

RETURN = r"""
overview:
  description: The document, as C(docs/overview.schema.json) has it.
  returned: always
  type: str
  sample: /var/lib/requorum/_fleet/overview.json
totals:
  description: How many clusters there are, in which state, and how many of their nodes were read.
  returned: always
  type: dict
code:
  description: "4: something is of severity error in any cluster; 1: a cluster is unknown; 0: neither."
  returned: always
  type: int
"""
