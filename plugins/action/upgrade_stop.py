# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_stop.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import name_of
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _upgrades
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction


class ActionModule(NodeAction):
    """Delete the upgrade that goes on, while that is still allowed."""

    VALID = ("cluster", "output")

    def act(self) -> JSON:
        args, seen = self._task.args, _upgrades.read(self)
        item = _upgrades.may_stop(seen)
        if self._task.check_mode:
            done = [_upgrades.change("delete", _upgrades.UPGRADES, name_of(item), "before phase 4")]
            return {"changed": True, "requorum_actions": done, "saved": []}
        changes = Changes(args["output"], args["cluster"])
        api = _node_api.of(self)
        with self.acting("delete", f"Delete {name_of(item)}"):
            name = _upgrades.stop(api, seen, changes)
        self.say(f"{name} is deleted; it was saved to {changes.saved[0]}")
        result: JSON = {"changed": True, "requorum_actions": changes.done, "saved": changes.saved}

        def probe() -> tuple[bool, str]:
            left = api.get(_upgrades.UPGRADES, name, _upgrades.WHERE)
            return left is None, f"finalizers {(left or {}).get('metadata', {}).get('finalizers')}"

        hint = "Look at the pods of harvester in harvester-system; then requorum purge-orphans -i INV --leftovers."
        try:
            self.wait(f"Harvester to let go of {name}", probe, seconds=self.timeout("upgrade_stop", 180), hint=hint)
        except RequorumError as error:  # what was done is part of the result
            return result | {"failed": True, "msg": str(error)}
        return result
