# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_reinstall
short_description: Let a living server of a Harvester leave, so that it can be reinstalled
version_added: 0.1.0
author: Requorum contributors
description:
  - Without O(plan), judges whether the server may leave now, and returns what would be done. Nothing is changed.
  - With O(plan), does what it has for this host in O(phase). V(1) cordons and drains the server. V(2) asks all gates
    once more, then deletes its Machine; Rancher takes its member out of etcd. V(3), on the server itself, stops and
    disables RKE2 and Rancher's agent. V(4) lets go what the API still holds of it, as M(requorum.cluster.orphan_purge)
    does.
  - Refuses unless two other voters work and agree on a leader, every Longhorn volume has a healthy replica on another
    Ready node, no replica is being rebuilt, every backing image has a ready copy elsewhere, all other nodes are Ready,
    nobody is being promoted, no upgrade goes on, and Rancher is not paused. What could not be read counts as not so.
  - A virtual machine that cannot migrate is named, and refused unless it stands in O(accept_stop).
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  name:
    description: Name of the Node, or of the host in the inventory. Required without O(plan).
    type: str
  cluster:
    description: Name of the cluster; its folder below O(output). Required without O(plan).
    type: str
  output:
    description: Folder on the controller. Required without O(plan).
    type: path
  servers:
    description: Names of all servers of the inventory, as INSPECT has read them. Required but for phases 1, 3 and 4.
    type: list
    elements: str
  looks:
    description:
      - Results of M(requorum.cluster.server_look) on all servers, a moment ago. Required without O(plan), and for
        phase 2.
    type: list
    elements: dict
  anyway:
    description: Although no skew of versions is seen.
    type: bool
    default: false
  accept_stop:
    description: Virtual machines that may stop, as C(namespace/name); V(all) for all of them.
    type: raw
  accept_loss:
    description: Longhorn volumes and backing images that are given up.
    type: list
    elements: str
    default: []
  undo:
    description:
      - Open again what an earlier run has closed, the Node and Longhorn's node. Refused once the Machine is being
        deleted.
    type: bool
    default: false
  plan:
    description: RV(plan) of an earlier call.
    type: dict
  phase:
    description: Number of the phase. Required with O(plan).
    type: int
    choices: [1, 2, 3, 4]
  run_dir:
    description: RV(requorum_run_dir) of an earlier call. Required with O(plan).
    type: path
attributes:
  check_mode:
    support: full
    details:
      - The same actions are returned with the result V(would be done). None is done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - The plan has what still has to be done. After a run that was cut off it goes on from what is there.
notes:
  - Runs on another server than the one that leaves; phase 3 is delegated to that one.
  - Deadlines are C(drain), C(move), C(halt), C(remove), C(purge) and C(leave) of C(requorum_timeouts).
  - Nothing is deleted on the server. Its pods that were not evicted go on until it is reinstalled.
seealso:
  - module: requorum.cluster.orphan_purge
  - module: requorum.cluster.node_retire
  - module: requorum.cluster.join_config
"""

EXAMPLES = r"""
- name: See whether harvester-2 may leave
  requorum.cluster.node_reinstall:
    name: harvester-2
    cluster: prod
    output: /root/recoveries
    servers: "{{ groups['servers'] }}"
    looks: "{{ requorum_looks.results }}"
  register: requorum_shown

- name: Drain it
  requorum.cluster.node_reinstall:
    plan: "{{ requorum_shown.plan }}"
    phase: 1
    run_dir: "{{ requorum_shown.requorum_run_dir }}"
"""

RETURN = r"""
requorum_actions:
  description:
    - What would be done, in this order. With O(plan), what was done of it in this phase, with C(started), C(ended),
      C(seconds) and C(result).
  returned: always
  type: list
  elements: dict
  sample:
    - id: "2.1"
      phase: 2
      node: harvester-4
      turn: ""
      verb: remove
      kind: machines.cluster.x-k8s.io
      namespace: fleet-local
      name: custom-1a2b3c4d5e6f
      what: "delete it; etcd lets the member of harvester-2 go: THE POINT OF NO RETURN"
      why: Rancher removes the member while the server lives, then the Node
requorum_planned:
  description: All actions of the plan, of every phase.
  returned: with O(plan)
  type: list
  elements: dict
plan:
  description: For the calls that do it.
  returned: without O(plan)
  type: dict
refusals:
  description: Why nothing is done, and what would allow it.
  returned: without O(plan)
  type: list
  elements: str
  sample: ["prod/db on harvester-2 would stop: it cannot migrate, or no other node takes it. Shut it down ..."]
notes:
  description: What else has to be known.
  returned: always
  type: list
  elements: str
  sample: ["Only one healthy replica is left meanwhile, of pvc-1: better wait until there are two."]
moves:
  description: Virtual machines that migrate.
  returned: without O(plan)
  type: list
  elements: str
  sample: [default/web]
stops:
  description: Virtual machines that stop.
  returned: without O(plan)
  type: list
  elements: str
  sample: []
requorum_run_dir:
  description: Folder of this run on the controller; made with the first action.
  returned: always
  type: str
  sample: /root/recoveries/prod/20261128T120000Z
"""
