# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_upkeep
short_description: Compact, defragment and disarm an etcd
version_added: 0.1.0
author: Requorum contributors
description:
  - Calls the JSON gateway of the server's own etcd, with curl or the distribution's kubectl; no etcdctl is needed.
  - Verb V(compact). Compacts the history up to the current revision, which also works while the alarm C(NOSPACE)
    forbids every write.
  - Verb V(defragment). Defragments this member, which answers nothing meanwhile, and waits until it reads through the
    quorum again.
  - Verb V(disarm). Disarms C(NOSPACE) on every member that has it, if the file is below 95 percent of the quota. With
    an alarm C(CORRUPT) nothing is disarmed, and the action fails.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline of a compaction and of a defragmentation is C(requorum_timeouts.defragment), 900 seconds; that of
    etcd's answer to each call, and afterwards, C(requorum_timeouts.leader), 180 seconds.
seealso:
  - module: requorum.cluster.quorum_margin
"""

EXAMPLES = r"""
- name: Compact, defragment, disarm
  requorum.cluster.etcd_upkeep:
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
      node: server-2
      verb: defragment
      turn: server-2
      what: Defragment the datastore of server-2; see that its etcd answers again
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "812.4 MB on disk before, 96.0 MB now"
"""
