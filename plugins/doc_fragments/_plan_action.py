# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Options of the modules that carry out the plan."""

from __future__ import annotations


class ModuleDocFragment:
    """A module that does what the plan has for its host in one phase, and nothing else."""

    DOCUMENTATION = r"""
options:
  plan:
    description:
      - The plan, RV(requorum.cluster.recovery_plan#module:plan). Of its actions, only those are done whose C(node) is
        this host, whose C(phase) is O(phase), and whose C(verb) belongs to this module. No such action means that
        there is nothing to do.
    type: dict
    required: true
  phase:
    description:
      - Number of the phase.
      - V(3) BACKUP, V(4) FENCE, V(5) RESET, V(6) START, V(7) REJOIN, V(8) RESYNC, V(9) VERIFY.
    type: int
    choices: [3, 4, 5, 6, 7, 8, 9]
    required: true
  run_dir:
    description:
      - Folder of this run on the controller, RV(requorum.cluster.recovery_plan#module:requorum_run_dir). Each action
        is added to C(actions.jsonl) there as soon as it has ended, well or not.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    details:
      - The same actions are returned with the result V(would be done). None is done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - What is already as it must be gets no action when the plan is made. With the plan of an earlier run it acts
        again.
notes:
  - Runs on the controller as an action plugin. The node needs an account that becomes root, C(/bin/sh), coreutils and
    systemd; no Python, no sftp and no port forwarding.
  - An action that fails does not fail its task; its result begins with C(failed:) and says what is wrong, where,
    and what to do next. No later action of the run is begun on any host, and M(requorum.cluster.recovery_report)
    fails the run. Running the whole playbook again is always safe, since the plan is made anew from what is found.
seealso:
  - module: requorum.cluster.recovery_plan
"""
