# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/join_wait.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _joining
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._watch import Watch


class ActionModule(NodeAction):
    """Watch hosts join, one after another; nothing is changed."""

    VALID = ("nodes",)

    def act(self) -> JSON:
        wishes = self.settings.get("requorum_join") or {}
        if not isinstance(wishes, dict):
            raise RequorumError("requorum_join is no dictionary.", "See docs/join-config.md.")
        given = self._task.args.get("nodes") or wishes
        names = list(dict.fromkeys([given] if isinstance(given, str) else map(str, given)))
        if not names:
            raise RequorumError("No host is named.", "Name those that join, or describe them in requorum_join.")
        self.watch = Watch(self, names, {name: wish if isinstance(wish, dict) else {} for name, wish in wishes.items()})
        self.watch.look_at_all()
        if not self._task.check_mode:
            try:
                self._wait(names)
            except RequorumError as error:
                return self._result() | {"failed": True, "msg": str(error)}
        for name in names:
            for stage in self.watch.stages[name] if self._task.check_mode else ():
                self.say(f"{name} {stage.name}: {stage.state}; {stage.seen}")
        return self._result()

    def _result(self) -> JSON:
        return {"changed": False, "hosts": [self.watch.document(name) for name in self.watch.stages]}

    def _wait(self, names: t.Sequence[str]) -> None:
        """Every host as far as it comes by itself; the third node sets the rest off."""
        end = self.watch.clock() + self.timeout("join", _joining.TOTAL)
        for some in (_joining.ARRIVAL, _joining.RISE):
            for name in names:
                for stage in some:
                    self.watch.until(name, stage, self.timeout(f"join_{stage}", _joining.SECONDS[stage]), end)
