# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/token_put.py for the documentation."""

from __future__ import annotations

import glob
import os

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, moved_to, pairs


class ActionModule(PlanAction):
    """Put the token that opens the datastore into place on a stopped server."""

    VERBS = ("token",)

    def do_token(self) -> str:
        key = str(self.plan["tokens"]["key"])
        done = self.script("token_put", timeout=30, stdin=self._token(key).encode(), STAMP=self.stamp)
        if done.rc != 0:
            raise RequorumError(
                f"{self.host} was not given the token: {done.why}.",
                "Put it right there, then run the same command again; the unit is stopped until then.",
            )
        placed, moved = pairs(done.out).get("placed"), moved_to(done.out)
        said = f"its token is in {placed}" if placed else "its token was the right one"
        return f"{said}; kept: {', '.join(moved)}" if moved else said

    def _token(self, key: str) -> str:
        """Of requorum_token_file, of what BACKUP has just copied from every server, of earlier runs."""
        shelf = os.path.dirname(self.run_dir)
        archives = sorted(glob.glob(os.path.join(glob.escape(shelf), "*", "backup", "*", "files.tar")), reverse=True)
        words = [_shelf.token(self.settings), *(word for path in archives for word in _shelf.kept_tokens(path))]
        fitting = sorted((word for word in words if word and _bootstrap.opens(key, word)), key=lambda w: "::" not in w)
        if not fitting:
            raise RequorumError(
                f"{self.host}: the token of key {key} is not at hand any more.",
                "Name its file by requorum_token_file, then run the same command again.",
            )
        return _bootstrap.password(fitting[0])
