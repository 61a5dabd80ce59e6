# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leftovers_clear
short_description: Move leftovers of interrupted runs aside
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(clear). Moves aside on a server that is a voter what its next start would obey. That is C(reset-flag),
    C(tombstone), the drop-ins of Requorum, and load balancer files that name servers which are no members. The plan
    names each file.
  - What is moved lies in C(/var/lib/rancher/requorum/<stamp>/leftovers) on the node. Nothing is deleted, and nothing is
    stopped for it.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.node_release
"""

EXAMPLES = r"""
- name: Move leftovers aside
  requorum.cluster.leftovers_clear:
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
      verb: clear
      turn: server-2
      what: Move leftovers on server-2 aside
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "kept: /var/lib/rancher/requorum/20261124T093000Z/leftovers/tombstone"
"""
