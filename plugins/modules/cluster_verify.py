# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_verify
short_description: Judge the recovered cluster by what its nodes say now
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(verify). Takes what M(requorum.cluster.node_info) registered as C(requorum_read_after) on each host and
    checks voters, learners, leader, cluster ID, alarms, revision, API servers, endpoints, Nodes, leftover files, the
    fresh snapshot, and that processes of pods are the same as before.
  - The action fails when one of them does not hold, and says what was wanted and what was observed.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - C(checks.json) and C(state-after.json) in O(run_dir) hold all checks and the state that they judged.
  - Hosts that were started again meanwhile are left out of the check of processes.
  - Servers that stay off are left out of the check of voters and learners. Where the quorum stands without them, etcd
    still lists them.
seealso:
  - module: requorum.cluster.node_info
  - module: requorum.cluster.recovery_report
"""

EXAMPLES = r"""
- name: Check the recovered cluster
  requorum.cluster.cluster_verify:
    plan: "{{ requorum_plan }}"
    phase: 9
    run_dir: "{{ requorum_run_dir }}"
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
    - id: "9.1"
      phase: 9
      node: server-1
      verb: verify
      what: Check members, leader, alarms, API, endpoints, Nodes, workloads and leftovers
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "12 checks hold"
"""
