# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: member_remove
short_description: Remove old members whose hosts join again
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(remove). Waits until the started members have a leader, then removes every member from the list that belongs
    to a host which is to join again, by the name of its Node or by its peer address. Such hosts are fenced by then, and
    would be refused as duplicates of themselves.
  - It is planned only where nothing is reset. After a reset there is nothing to remove.
  - Where hosts take turns, only members of the host whose turn it is are removed.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline for the leader is C(requorum_timeouts.leader), 180 seconds.
seealso:
  - module: requorum.cluster.node_rejoin
"""

EXAMPLES = r"""
- name: Remove old members whose hosts join again
  requorum.cluster.member_remove:
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
      verb: remove
      what: Remove the old members of server-3 from the member list, as far as they are listed
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "no member of a joining host is listed"
"""
