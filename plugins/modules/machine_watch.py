# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_watch
short_description: See that the virtual machines of a host run on
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(watch). Looks whether each virtual machine that ran on this host when the plan was made is still the same
    process, by pid and start time. Changes nothing.
  - One that has ended is named with a warning, once, and added to C(machines.jsonl) in O(run_dir); the run goes on,
    since stopping it halfway would bring no machine back. M(requorum.cluster.cluster_verify) judges all of them in
    the end.
  - A host that does not answer this look is a warning too.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - A machine that was moved to another host in the meantime has ended on this one.
seealso:
  - module: requorum.cluster.cluster_verify
"""

EXAMPLES = r"""
- name: See that virtual machines run on
  requorum.cluster.machine_watch:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
"""

RETURN = r"""
requorum_actions:
  description:
    - The actions of this host and phase, with the keys of the plan, C(started) and C(ended) (UTC), C(seconds) and
      C(result). The result begins with C(warning:) where a machine has ended that nobody has accepted.
    - In check mode, C(started), C(ended) and C(seconds) are V(null).
  returned: success
  type: list
  elements: dict
  sample:
    - id: "4.5"
      phase: 4
      node: server-1
      verb: watch
      what: See that the virtual machines of server-1 run on
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:07.320Z"
      seconds: 0.2
      result: 3 of 3 run on
"""
