# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rancher_brake
short_description: Let Rancher's planner stand still during a recovery
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(brake) sets C(spec.paused) of the CAPI cluster C(fleet-local/local), verb V(unbrake) takes it back. A paused
    cluster is not worked on by Rancher's planner; snapshots and certificate rotation go on.
  - A cluster that somebody else has paused stays paused. What a run has paused bears the annotation
    C(requorum.io/braked) with the stamp of that run, so that a later run can take it back.
  - Rancher's agents on the servers are stopped by M(requorum.cluster.node_fence) and started again by
    M(requorum.cluster.node_release).
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The API is asked by kubectl on the host; a request is repeated for C(requorum_timeouts.api), 60 seconds.
seealso:
  - module: requorum.cluster.node_fence
"""

EXAMPLES = r"""
- name: Pause the planner as soon as the API is back
  requorum.cluster.rancher_brake:
    plan: "{{ requorum_plan }}"
    phase: 6
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
    - id: "6.2"
      phase: 6
      node: server-1
      verb: brake
      what: "Pause Rancher's planner: spec.paused of the CAPI cluster fleet-local/local"
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:07.820Z"
      seconds: 0.7
      result: fleet-local/local is paused
"""
