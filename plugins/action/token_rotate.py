# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/token_rotate.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap, _tokens, _wait
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import write

AGAIN = "Look at its log. It holds the new token now: start its unit, then run the same command without the snapshot."


class ActionModule(PlanAction):
    """Rotate the token of a running server to the one that its configuration holds, then start it again with that."""

    VERBS = ("rotate",)

    def do_rotate(self) -> str:
        old, new = str(self.plan["tokens"]["key"]), str(self.plan["tokens"]["back"])
        named = self.plan["snapshot"]["name"]
        words = [_shelf.opening(self.settings, self.run_dir, [key], named) for key in (old, new)]
        lines = "".join(f"{_bootstrap.password(word)}\n" for word in words).encode()

        def probe() -> tuple[bool, str]:
            keys = self._keys()
            if keys == [new]:
                return True, f"the key is {new}"
            if not keys:
                return False, "etcd does not answer yet"
            asked = self.script("token_rotate", timeout=60, stdin=lines, GO="ask")
            return False, f"asked, the keys were {', '.join(keys)}" if asked.rc == 0 else asked.why

        why = "" if all(words) else "a token is not at hand any more"
        try:
            if not why:
                _wait.wait("the token to be rotated", probe, seconds=self.timeout("rotate", 120), say=self.say)
        except _wait.Expired as expired:
            why = str(expired)
        if why:  # a cluster that works with the old token is better than none
            return (
                f"not rotated ({why}): the cluster keeps the token of key {old}. Servers that join get it. Write "
                "it into the configuration of all servers and agents, or rotate by hand as docs/tokens.md has it."
            )
        given = {"timeout": 150, "GO": "back", "STAMP": self.stamp, "WANT": new}
        done = self.must("token_rotate", "it could not be started again", AGAIN, **given)
        write(os.path.join(self.run_dir, "token.json"), {"key": new})
        self.until_ping(AGAIN)
        kept = f"; kept: {done['moved'].split('|')[1]}" if "moved" in done else ""
        return f"rotated from key {old} to {new}, started again{kept}"

    def _keys(self) -> list[str]:
        looked = self.script("token_rotate", timeout=20, GO="look")
        return _tokens.parse(self.host, looked.out)["keys"] or [] if looked.rc == 0 else []
