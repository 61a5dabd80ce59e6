# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_inspect
short_description: Read and judge one cluster of a fleet
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads all members of the cluster side by side as M(requorum.cluster.node_info) and M(requorum.cluster.node_logs) do,
    and asks every rule as M(requorum.cluster.cluster_diagnose) does, all within this task.
  - What was seen and said goes to the folder of the run, and a row for the overview beside it. Only their paths come
    back, so that the memory of a run does not grow with the fleet.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  cluster:
    description: One of RV(requorum.cluster.fleet_clusters#module:clusters).
    type: dict
    required: true
  output:
    description: Folder on the controller with the runs of all clusters.
    type: path
    required: true
  failed:
    description: Why nobody could judge it. The cluster is not read again, and its row says this.
    type: str
    default: ""
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
  - Runs on the controller as an action plugin. Variables are those of the members, and of the first server for
    what concerns the cluster as a whole.
  - A member that was not read within C(requorum_timeouts.fleet) seconds (300) counts as one that does not answer.
  - The task does not fail for what it finds, nor for hosts that do not answer.
seealso:
  - module: requorum.cluster.cluster_diagnose
  - module: requorum.cluster.fleet_overview
"""

EXAMPLES = r"""
- name: Read and judge it
  requorum.cluster.fleet_inspect:
    cluster: "{{ hostvars['localhost']['requorum_fleet']['clusters'][inventory_hostname] }}"
    output: /var/lib/requorum
  delegate_to: localhost
"""

RETURN = r"""
row:
  description: File with the row of this cluster.
  returned: success
  type: str
  sample: /var/lib/requorum/_fleet/rows/prod.json
state:
  description: V(healthy), V(warning), V(error), V(unknown) or V(blocker).
  returned: success
  type: str
"""
