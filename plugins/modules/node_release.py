# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_release
short_description: Undo what fencing and joining needed
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(release). Removes C(config.yaml.d/zz-requorum.yaml) and the systemd drop-in C(zz-requorum.conf), enables the
    server's unit, and closes the node's journal. No service is restarted.
  - What was moved aside stays where it is.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The unit is enabled on every server that is released when any server had it enabled before the run; so it is on an
    empty host that replaced a lost one. Where none had, it is enabled where the journal says that it was.
seealso:
  - module: requorum.cluster.node_fence
"""

EXAMPLES = r"""
- name: Take drop-ins away and let units start at boot again
  requorum.cluster.node_release:
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
      node: server-2
      verb: release
      what: Take our drop-in away, let the unit start at boot again, close the journal
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "unit enabled, drop-in gone"
"""
