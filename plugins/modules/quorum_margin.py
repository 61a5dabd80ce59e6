# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quorum_margin
short_description: See that the quorum stands without a server
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(margin), on the server whose turn it is, before it is stopped. Counts the voters whose own etcd says that it
    reads through a quorum and sees a leader. Without this server they must still be a quorum; in a cluster of one voter
    it is allowed, since nothing else can be done.
  - Verb V(room), for a server that joins or leaves. In thought, the members that are listed for it are removed one
    after another, and where it joins, one is added. Each time the voters that work must be a quorum of those
    that are left.
  - Verb V(yield). Where that server leads, hands the leadership to another voter that works
    (C(/v3/maintenance/transfer-leadership) of etcd's gateway), and sees that another one leads.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
options:
  looks:
    description: Results of M(requorum.cluster.server_look) on every server, taken right before.
    type: list
    elements: dict
    default: []
notes:
  - The deadline for another leader is C(requorum_timeouts.leader), 180 seconds.
seealso:
  - module: requorum.cluster.server_look
"""

EXAMPLES = r"""
- name: See that the quorum stands without this server
  requorum.cluster.quorum_margin:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
    looks: "{{ requorum_looks.results }}"
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
      verb: margin
      turn: server-2
      what: See that the quorum stands without server-2
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:07.123Z"
      seconds: 0.0
      result: "3 of 3 voters work; without server-2 2 do"
"""
