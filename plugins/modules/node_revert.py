# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_revert
short_description: Put back what a run moved aside
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(revert). Stops the unit, puts back what the plan names, newest first, and starts the unit where it ran before
    that run. What lies there now is moved aside before. Drop-ins of Requorum are moved aside too.
  - The plan takes it from the journal in C(/var/lib/rancher/requorum) on the node, where each move stands as
    C(moved=FROM|TO). What was put back is noted there as C(undone=FROM|TO), so a run that was killed goes on.
  - While a quorum stands, waits until the unit is active again, at most C(requorum_timeouts.start), 600 seconds.
  - A datastore is not put back while an etcd runs on the host.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.node_release
"""

EXAMPLES = r"""
- name: Put back what the run moved aside
  requorum.cluster.node_revert:
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
      verb: revert
      turn: server-2
      what: Put back on server-2 what run 20261124T093000Z moved aside
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "put back: /var/lib/rancher/rke2/server/tls; unit activating; kept: nothing lay there"
"""
