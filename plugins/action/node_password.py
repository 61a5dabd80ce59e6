# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_password.py for the documentation."""

from __future__ import annotations

import json
import os

from ansible_collections.requorum.cluster.plugins.module_utils import _kubernetes
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, write


class ActionModule(PlanAction):
    """Remove exactly the stored node password of the host whose turn it is, on a server whose API answers."""

    VERBS = ("password", "admit")

    def do_password(self) -> str:
        manifest = self._read()
        if not manifest:
            return "no node password is stored any more"
        path = os.path.join(self.run_dir, "passwords", f"{self.turn}.json")
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write(path, json.loads(manifest))
        self.must(
            "node_password",
            f"the node password of {self.turn} could not be deleted",
            "See whether its API answers, then run the same command again.",
            NODE=self._node,
            GO="drop",
        )
        return f"Secret of {self._node} deleted; kept: {path}"

    def do_admit(self) -> str:
        def probe() -> tuple[bool, str]:
            done = self.script("nodes", timeout=40)
            seen = _kubernetes.parse(done.out, since={}) if done.rc == 0 else None
            if seen is None:
                return False, f"the API does not answer ({done.why})" if done.rc else "the API answers in part"
            there, ready = bool(self._read()), self._node in seen.ready
            return there and ready, f"password {'stored' if there else 'not stored yet'}, Ready {ready}"

        hint = f"See the log of the agent's unit on {self.turn}; the Secret is written when it asks to be let in."
        what = "its node password to be stored and its Node Ready"
        return self.wait(what, probe, seconds=self.timeout("settle", 300), hint=hint)

    @property
    def _node(self) -> str:
        """The Node of the host whose turn it is, as it was read there."""
        return str(self.plan["nodes"][self.turn][0])

    def _read(self) -> str:
        done = self.script("node_password", timeout=30, NODE=self._node, GO="show")
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its API does not answer: {done.why}.", "Run the same command again.")
        return done.out.strip()
