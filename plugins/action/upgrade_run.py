# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_run.py for the documentation."""

from __future__ import annotations

import os

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _upgrades, _upgrading
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction


class ActionModule(NodeAction):
    """Begin the first hop of a plan, or find the one that goes on, and watch it to its end."""

    VALID = ("plan", "cluster", "output", "servers", "iso_url", "iso_checksum", "log", "pace")

    def act(self) -> JSON:
        args, plan = self._task.args, self._task.args["plan"]
        if plan["refusals"]:
            raise RequorumError(plan["refusals"][0]["what"], plan["refusals"][0]["next"])
        if self._task.check_mode or plan["do"] == "nothing":
            return {"changed": plan["do"] == "start", "requorum_actions": plan["actions"]}
        changes = Changes(args["output"], args["cluster"])
        wish = {key: str(args.get(key) or "") for key in ("iso_url", "iso_checksum")} | {
            "log": boolean(args.get("log", True))
        }
        api = _node_api.of(self)
        with _upgrades.Lock(api) as lock:
            name = plan["upgrade"] or _upgrades.begin(api, plan, wish, changes)
            self.say(f"{name}: {'it goes on, and is watched' if plan['upgrade'] else 'begun'}")
            shelf = os.path.join(os.path.dirname(changes.folder), "upgrades")
            timeline = _upgrading.timeline_of(shelf, name)
            watch = _upgrading.Watch(self, name, timeline, list(args["servers"]), beat=lock.beat)
            result: JSON = {"changed": not plan["upgrade"], "requorum_actions": changes.done, "timeline": timeline}
            try:
                end = watch.to_the_end()
            except _upgrading.Stalled as error:
                told = {"stall": error.stall.rule or "unknown", "progress": watch.last and watch.last.document}
                return {**result, **told, "failed": True, "msg": str(error)}
            return {**result, "progress": end.document}
