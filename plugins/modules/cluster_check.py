# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_check
short_description: Judge a cluster as it is now, by named checks
version_added: 0.1.0
author: Requorum contributors
description:
  - Takes what M(requorum.cluster.node_info) registered as C(requorum_read) on each host, reads objects of the API, and
    says of each check what was wanted, what was observed, and what to type next where it is wrong.
  - "Of every cluster: hosts, voters, learners, leader, cluster ID, alarms, API servers, endpoints, Nodes, files that a
    recovery has left, kubelets."
  - "Of a Harvester, which is found by C(/etc/harvester-release.yaml) or by its settings, also: cordons, versions, core
    components, pods, Longhorn, virtual machines, ManagedCharts, bundles of Fleet, CAPI, C(server-version), VIP,
    upgrades and what they have left."
  - What could not be read is not checked, and never counts as healthy. A part that the cluster does not have is said,
    and is not wrong.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
  - requorum.cluster._shelf.look
options:
  powered_off:
    description: Hosts that are off on purpose; they are left out.
    type: list
    elements: str
    default: []
  compare:
    description: Whether virtual machines are compared with those that the last recovery of this cluster found.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details:
      - Nothing is ever changed; check mode makes no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig), within C(requorum_timeouts.verify) seconds (120).
  - The task does not fail; RV(holds) says whether all is as it should be.
seealso:
  - module: requorum.cluster.node_info
  - module: requorum.cluster.cluster_verify
"""

EXAMPLES = r"""
- name: Judge the cluster
  requorum.cluster.cluster_check:
    cluster: prod
    servers: "{{ groups['servers'] }}"
    agents: "{{ groups['agents'] | default([]) }}"
    output: /root/recoveries
    api: true
  register: requorum_checked
"""

RETURN = r"""
checks:
  description: All checks, in the order in which they are shown.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The same in all versions.
      type: str
      sample: voters
    wanted:
      description: What should be.
      type: str
      sample: server-1, server-2, server-3
    observed:
      description: What is.
      type: str
      sample: server-1, server-2
    state:
      description:
        - V(holds), V(wrong), V(unknown) where it could not be looked at, V(absent) where there is no such part.
      type: str
      sample: wrong
    ok:
      description: Whether it is V(holds) or V(absent).
      type: bool
    next:
      description: What to type; empty where it holds.
      type: str
holds:
  description: Whether every check is.
  returned: success
  type: bool
harvester:
  description: Whether the cluster is a Harvester.
  returned: success
  type: bool
asked:
  description: The server whose API was asked, or the address of the kubeconfig; V(null) where none answered.
  returned: success
  type: str
compared_with:
  description: Folder of the recovery that virtual machines were compared with.
  returned: success
  type: str
"""
