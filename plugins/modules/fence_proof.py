# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_proof
short_description: See from the survivor that no peer can vote any more
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(prove). From the survivor, knocks at ports 2379, 2380, 6443, the supervisor's (9345 on RKE2) and 22 of every
    other server.
  - A port is open when a TCP connection to it is made, whatever is then said on it.
  - The action fails when one of the first four is open, when a port could not be looked at, and when a server that is
    named as powered off gives any sign of life, a refused connection included.
  - M(requorum.cluster.cluster_reset) and M(requorum.cluster.server_start) look again right before they begin.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - Each knock has a deadline of 3 to 4 seconds, all of them together 60.
seealso:
  - module: requorum.cluster.node_fence
"""

EXAMPLES = r"""
- name: See from the survivor that no peer can vote
  requorum.cluster.fence_proof:
    plan: "{{ requorum_plan }}"
    phase: 4
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
    - id: "4.1"
      phase: 4
      node: server-1
      verb: prove
      what: See from server-1 that no etcd and no supervisor of server-2, server-3 answers
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "10 ports of server-2, server-3 are closed"
"""
