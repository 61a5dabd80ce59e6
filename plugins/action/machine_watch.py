# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/machine_watch.py for the documentation."""

from __future__ import annotations

import os

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import _machines, _node
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import append, lines


class ActionModule(PlanAction):
    """Look whether the virtual machines of this host are still the same processes; names each that ended once."""

    VERBS = ("watch",)

    def do_watch(self) -> str:
        mine = [machine for machine in self.plan["machines"] if machine["node"] == self.host]
        told = os.path.join(self.run_dir, "machines.jsonl")
        before = {_machines.key(machine) for machine in lines(told) if machine["node"] == self.host}
        try:
            done = self.script("still", timeout=20, SEEN=" ".join(map(_machines.key, mine)))
            why = "" if done.rc == 0 else done.why
        except AnsibleConnectionFailure as error:  # a host beside the recovery: it goes on without this look
            why = str(error).strip().splitlines()[-1][:200]
        if why:
            return f"warning: its {len(mine)} virtual machines could not be looked at: {why}"
        text, ended = _machines.result(mine, _node.many(done.out, "runs"), before)
        phase = self.plan["phases"][int(self._task.args["phase"]) - 1]
        for machine in ended:
            append(told, {**machine, "phase": phase})
        return text
