# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_run.py for the documentation."""

from __future__ import annotations

import contextlib
import os

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.requorum.cluster.plugins.module_utils import _upgrade_html
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _upgrades, _upgrading
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import write


class ActionModule(NodeAction):
    """Begin the first hop of a plan, or find the one that goes on, and watch it to its end."""

    VALID = ("plan", "cluster", "output", "servers", "target", "named", "log", "pace")

    def act(self) -> JSON:
        args, plan = self._task.args, self._task.args["plan"]
        if plan["refusals"]:
            raise RequorumError(plan["refusals"][0]["what"], plan["refusals"][0]["next"])
        if self._task.check_mode or plan["do"] == "nothing":
            return {"changed": plan["do"] == "start", "requorum_actions": plan["actions"]}
        changes = Changes(args["output"], args["cluster"])
        target = args.get("target") or {}
        wish = {"iso_url": (target.get("iso") or {}).get("url"), "iso_checksum": target.get("checksum"),
                "named": boolean(args.get("named", False)), "log": boolean(args.get("log", True))}  # fmt: skip
        api = _node_api.of(self)
        with self.acting("upgrade", f"Upgrade {plan['upgrade'] or 'to ' + plan['to']}"), _upgrades.Lock(api) as lock:
            name = plan["upgrade"] or _upgrades.begin(api, plan, wish, changes)
            self.say(f"{name}: {'it goes on, and is watched' if plan['upgrade'] else 'begun'}")
            folder = _upgrading.folder_of(os.path.dirname(changes.folder), name)
            timeline, report = os.path.join(folder, "timeline.jsonl"), os.path.join(folder, "report.html")
            watch = _upgrading.Watch(self, name, timeline, list(args["servers"]), beat=lock.beat)
            result: JSON = {"changed": not plan["upgrade"], "requorum_actions": changes.done}
            try:
                watch.to_the_end()
                watch.until_clean()
            except _upgrading.Stalled as error:
                result |= {"failed": True, "msg": str(error), "stall": error.stall.rule or "unknown"}
            except RequorumError as error:  # what was seen until then is part of the result
                result |= {"failed": True, "msg": str(error)}
            with contextlib.suppress(OSError):
                write(report, _upgrade_html.render(name, _upgrading.entries(timeline)))
        seen = watch.last.document if watch.last else None
        return {**result, "timeline": timeline, "report": report, "looks": watch.looks, "progress": seen}
