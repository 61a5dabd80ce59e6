# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_plan.py for the documentation."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.requorum.cluster.plugins.module_utils import _harvester, _hops, _upgrade_plan
from ansible_collections.requorum.cluster.plugins.plugin_utils import _upgrades
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction


class ActionModule(NodeAction):
    """Say which hops lead to a release, what each costs, and what may be begun now."""

    VALID = ("cluster", "to", "releases", "findings", "quiet")

    def act(self) -> JSON:
        args = self._task.args
        path = str(args.get("releases") or "")
        matrix = _hops.load(Path(os.path.expanduser(path))) if path else _hops.load()
        seen = _upgrades.read(self)
        setting = next((each for each in seen["config"] if each["metadata"]["name"] == "server-version"), None)
        found = _upgrade_plan.plan(
            str(args["cluster"]), str(args["to"]), matrix, seen, _harvester.version(setting), args.get("findings") or ()
        )
        document: JSON = self.typed(found)
        for line in [] if boolean(args.get("quiet", False)) else _upgrade_plan.shown(document):
            self.say(line)
        return {"changed": False, "plan": document}
