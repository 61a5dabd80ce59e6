# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_password.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _kubernetes
from ansible_collections.requorum.cluster.plugins.plugin_utils import _passwords
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Remove exactly the stored node password of the host whose turn it is, on a server whose API answers."""

    VERBS = ("password", "admit")

    def do_password(self) -> str:
        """Of the host whose turn it is; where none takes turns, of all that the plan names."""
        names = [self.turn] if self.turn in self.plan["anchors"] else self.plan["tokens"]["refused"]
        return "; ".join(_passwords.remove(self, self._node(name), name) for name in names)

    def do_admit(self) -> str:
        def probe() -> tuple[bool, str]:
            done = self.script("nodes", timeout=40)
            seen = _kubernetes.parse(done.out, since={}) if done.rc == 0 else None
            if seen is None:
                return False, f"the API does not answer ({done.why})" if done.rc else "the API answers in part"
            node = self._node(self.turn)
            there, ready = _passwords.stored(self, node), node in seen.ready
            return there and ready, f"password {'stored' if there else 'not stored yet'}, Ready {ready}"

        hint = f"See the log of the agent's unit on {self.turn}; the Secret is written when it asks to be let in."
        what = "its node password to be stored and its Node Ready"
        return self.wait(what, probe, seconds=self.timeout("settle", 300), hint=hint)

    def _node(self, name: str) -> str:
        """The Node of a host, as it was read there."""
        servers = {server["name"]: server["node"] for server in self.plan["servers"]}
        return str(servers.get(name) or self.plan["nodes"][name][0])
