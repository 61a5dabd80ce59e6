# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_report
short_description: Write the report of a run and show its summary
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads what the run has left in its folder on the controller, writes C(report.json) and C(report.html) there (0600),
    and prints a summary of 80 columns. What the run did not write is told as not known.
  - C(report.html) is one file that opens without a network. C(report.json) follows C(docs/report.schema.json).
  - Both say how old the newest proved backup off the node is. What M(requorum.cluster.snapshot_keep) has seen counts,
    else what the runs of this cluster have left on the controller.
  - Texts that look like tokens, passwords or keys are masked in both.
  - It fails when the outcome is V(failed), after both files are written. The actions of a run do not fail by
    themselves, so that the report is always written.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  run_dir:
    description: Folder of the run on the controller, RV(requorum.cluster.recovery_plan#module:requorum_run_dir).
    type: path
    required: true
  final:
    description:
      - The run is over. What the plan has and is not done by now has failed.
      - Without it, a plan of which nothing is done yet is V(planned).
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details:
      - The reports are written on the controller as well; they show the plan.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller, with C(hosts=localhost).
seealso:
  - module: requorum.cluster.recovery_plan
  - plugin: requorum.cluster.timeline
    plugin_type: callback
"""

EXAMPLES = r"""
- name: Write the report
  requorum.cluster.recovery_report:
    run_dir: "{{ requorum_made.requorum_run_dir }}"
    final: true
"""

RETURN = r"""
outcome:
  description: >-
    V(healthy), V(planned) (check mode, or not begun), V(refused), V(recovered), V(not_redundant) (it works, servers are
    missing), V(done) (what was asked for by name is), V(idle) (of that nothing is due) or V(failed).
  returned: always
  type: str
  sample: recovered
sentence:
  description: The outcome in one sentence.
  returned: always
  type: str
  sample: "Recovered: 3 of 3 servers are voters and the API answers."
findings:
  description: What was wrong, each with C(id), C(severity), C(node) and C(summary).
  returned: always
  type: list
  elements: dict
next:
  description: What to do next. V(null) when nothing is left to do.
  returned: always
  type: str
  sample: ansible-playbook recover.yml -i prod -e requorum_confirm=prod
"""
