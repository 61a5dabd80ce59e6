# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_stop.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _progress
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import name_of
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _upgrades
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction


class ActionModule(NodeAction):
    """Delete the upgrade that goes on, while that is still allowed."""

    VALID = ("cluster", "output")

    def act(self) -> JSON:
        args, seen = self._task.args, _upgrades.read(self)
        item = _progress.latest(seen)
        _upgrades.may_stop(item)
        if self._task.check_mode:
            done = [_upgrades.change("delete", _upgrades.UPGRADES, name_of(item or {}), "before phase 4")]
            return {"changed": True, "requorum_actions": done, "saved": []}
        changes = Changes(args["output"], args["cluster"])
        name = _upgrades.stop(_node_api.of(self), seen, changes)
        self.say(f"{name} is deleted; it was saved to {changes.saved[0]}")
        return {"changed": True, "requorum_actions": changes.done, "saved": changes.saved}
