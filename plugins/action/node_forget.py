# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_forget.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _kubernetes, _look, _server, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _changes, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

NODES = _api.Kind("", "v1", "nodes", namespaced=False)


class ActionModule(PlanAction):
    """Delete the Nodes that nobody bears any more, their manifests saved; their members go with them."""

    VERBS = ("forget",)

    def do_forget(self) -> str:
        found = [self._forget(name) for name in self.plan["nodes"].get(self.turn) or ()]
        said, kept = [word for word, _path in found], [path for _word, path in found if path]
        if kept:
            self._finalized()
        left = self._members()
        for member in left:  # no API, or a finalizer that does not come to it
            self.script("member", timeout=20, CALL="remove", ID=str(int(member.id, 16)))
        if self._members():
            raise RequorumError(
                f"{self.host}: the member of {self.turn} could not be removed.",
                "Look at etcd's log; nothing is lost, run the same command again.",
            )
        said += [f"member {member.name or member.id} removed through the gateway" for member in left]
        if self.plan["needs"].get(self.turn) == "leaves":
            self._unlisted()
        said += [f"kept: {', '.join(kept)}"] if kept else []
        return "; ".join(said) or f"no Node and no member of {self.turn} is left"

    def _forget(self, name: str) -> tuple[str, str]:
        """(what was done, file of its manifest on the controller)."""
        path = os.path.join(self.run_dir, "nodes", f"{name}.json")
        try:
            _node_api.on_host(self, seconds=0).get(NODES, name)
        except RequorumError as error:
            return f"Node {name} stays: {error}", ""
        there = _changes.let_go(_node_api.on_host(self), NODES, name, path)
        return (f"Node {name} deleted", path) if there else (f"no Node {name} is left", "")

    def _finalized(self) -> None:
        """The program's own controller removes the member; it has a minute for it."""

        def probe() -> tuple[bool, str]:
            left = self._members()
            return not left, f"listed: {', '.join(member.name or member.id for member in left)}"

        try:
            _wait.wait("its member to go with its Node", probe, seconds=self.timeout("leave", 60), say=self.say)
        except _wait.Expired as late:
            self.say(f"{late} It is removed through the gateway.")

    def _unlisted(self) -> None:
        """Its API server, when it was killed, stays an endpoint until its lease ends (15 s)."""
        own = {server["address"] for server in self.plan["servers"] if server["name"] == self.turn}

        def probe() -> tuple[bool, str]:
            seen = _kubernetes.parse(self.script("nodes", timeout=40).out)
            if seen is None:
                return True, "the API does not answer"
            return not own & set(seen.endpoints), f"endpoints {', '.join(seen.endpoints)}"

        self.wait(
            "its API endpoint to go",
            probe,
            seconds=self.timeout("leave", 60),
            hint="Power it off if it still runs, then run the same command again.",
        )

    def _members(self) -> list[_server.Member]:
        look = _look.parse(self.script("look", timeout=20).out)
        if look.members is None:
            raise RequorumError(f"{self.host}: the member list cannot be read.", "Run the same command again.")
        listed = [_server.member(entry) for entry in look.members]
        if self.plan["needs"].get(self.turn) == "leaves":
            return _look.members_of(listed, self.plan["servers"], self.turn)
        return [member for member in listed if member.node in (self.plan["nodes"].get(self.turn) or ())]
