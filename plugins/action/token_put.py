# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/token_put.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write


class ActionModule(PlanAction):
    """Put the token that opens the datastore into place on a stopped server."""

    VERBS = ("token",)

    def do_token(self) -> str:
        word = self._token()
        key = _bootstrap.name(word)
        done = self.script("token_put", timeout=30, stdin=word.encode(), STAMP=self.stamp)
        if done.rc != 0:
            raise RequorumError(
                f"{self.host} was not given the token: {done.why}.",
                "Put it right there, then run the same command again; the unit is stopped until then.",
            )
        write(os.path.join(self.run_dir, "token.json"), {"key": key})  # who joins later takes this one
        placed, moved = _node.pairs(done.out).get("placed"), _node.moved_to(done.out)
        said = f"its token is in {placed}" if placed else "its token was the right one"
        return f"{said}; kept: {', '.join(moved)}" if moved else said

    def _token(self) -> str:
        """By its hash: of the plan, or of the snapshot, where only its copy says it."""
        key = str(self.plan["tokens"].get("key") or "")
        keys = [key] if key else load(self.run_dir, "restore.json", {"bootstrap": []})["bootstrap"]
        word = _shelf.opening(self.settings, self.run_dir, keys, (self.plan.get("snapshot") or {}).get("name", ""))
        if not word:
            raise RequorumError(
                f"{self.host}: the token of key {', '.join(keys)} is not at hand any more.",
                "Name its file by requorum_token_file, then run the same command again.",
            )
        return _bootstrap.password(word)
