# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/upgrade_nudge.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _going, _nudge, _orphans, _seen
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _upgrades
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, now


class ActionModule(NodeAction):
    """Answer a hook of a drain whose work was done."""

    VALID = ("hook", "node", "cluster", "output")

    def act(self) -> JSON:
        args, seen = self._task.args, _upgrades.read(self)
        if args["hook"] not in _nudge.HOOKS:
            raise RequorumError(f"{args['hook']} is no hook of a drain.", f"Name one of {', '.join(_nudge.HOOKS)}.")
        state = _seen.live(str(args["cluster"]), [], (), seen, now())
        found, why = _nudge.nudge(_going.going(state), args["hook"], args["node"])
        if found is None:
            raise RequorumError(
                f"{args['hook']} of {args['node']} is not answered: {why}.",
                "Nothing was changed. requorum inspect -i INV says what it waits for.",
            )
        kind, where = _orphans.KINDS["secrets"]
        done = {"verb": "patch", "kind": kind.name, "namespace": where, "name": found.secret, "what": found.what}
        changes = Changes(args["output"], args["cluster"])
        if not self._task.check_mode:
            with self.acting("patch", found.what):
                changes.save(kind, next(item for item in seen["secrets"] if _orphans.name_of(item) == found.secret))
                _node_api.of(self).patch(kind, found.secret, found.body, where)
                changes.record(done)
            self.say(f"{found.secret}: {found.what}")
        return {"changed": True, "requorum_actions": [done], "saved": changes.saved}
