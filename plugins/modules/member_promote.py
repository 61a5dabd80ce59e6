# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: member_promote
short_description: Promote learners until every server is a voter
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(promote). Asks etcd on the survivor, again and again, to promote each learner that is started and whose peer
    port 2380 takes a connection from the survivor. etcd refuses until the learner is in sync, so that asking early does
    no harm; the program's own timer would do it up to 15 seconds later.
  - The peer port is looked at because etcd also takes a learner that was in sync and has died, which may cost the
    quorum.
  - A learner whose host has given no sign of life on ports 2379, 2380 and 22 for 60 seconds is removed, since etcd lets
    nobody else join beside it.
  - It fails before its deadline when no wait can help any more. That is when so many voters give no sign of life that
    the quorum is lost again, or when only hosts without any sign of life are missing.
  - It ends when every server that is to come back is a voter, a leader is known, and the API server says C(/readyz).
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline is C(requorum_timeouts.rejoin), 900 seconds. Members that are voters by then stay voters.
  - The member list decides. The Node condition C(EtcdIsVoter) may say V(False) for another 15 seconds.
"""

EXAMPLES = r"""
- name: Promote learners until all servers are voters
  requorum.cluster.member_promote:
    plan: "{{ requorum_plan }}"
    phase: 7
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
    - id: "7.1"
      phase: 7
      node: server-1
      verb: promote
      what: Promote each learner as soon as it is in sync, until server-1, server-2, server-3 are voters
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: >-
        unit active, supervisor answers, etcd healthy, members server-1-4b1c9f02, server-2-77c1e0ab,
        server-3-0a4be2d9, readyz ok
"""
