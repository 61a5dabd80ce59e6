# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_forget
short_description: Delete Nodes that nobody bears any more
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(forget), on a voter, for the server whose turn it is: one that leaves for good, or one that has a new name.
  - Writes the manifest of each of its Nodes that the plan names to C(nodes/<name>.json) in the folder of the run, then
    deletes the Node. The finalizer of K3s and RKE2 removes the member of etcd that goes with it.
  - Waits until the API server of that host is no endpoint of the cluster any more.
  - Where the API does not answer, or the finalizer does not come to it, the member is removed through etcd's gateway.
  - The Node of a server that joins again under its own name is never deleted, since its labels, taints and pods go with
    it; M(requorum.cluster.member_remove) removes only its member.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline for the finalizer, and for the endpoint, is C(requorum_timeouts.leave), 60 seconds.
seealso:
  - module: requorum.cluster.member_remove
"""

EXAMPLES = r"""
- name: Delete the Nodes of a server that leaves
  requorum.cluster.node_forget:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
  delegate_to: server-1
"""

RETURN = r"""
requorum_actions:
  description:
    - The actions of this host and phase, with the keys of the plan, C(started) and C(ended) (UTC), C(seconds) and
      C(result). The result of one that failed begins with C(failed:), says what is wrong, where, and what to do next;
      no later action of the run is begun on any host, and none that was not begun stands here. The task does not
      fail; M(requorum.cluster.recovery_report) does at the end.
    - In check mode, C(started), C(ended) and C(seconds) are V(null).
  returned: success
  type: list
  elements: dict
  sample:
    - id: "4.3"
      phase: 4
      node: server-1
      verb: forget
      turn: server-4
      what: Save the Node that server-4 leaves behind to the controller and delete it; its member goes with it
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "Node server-4 deleted; kept: /root/recoveries/prod/20261124T093007Z/nodes/server-4.json"
"""
