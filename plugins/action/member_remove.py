# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/member_remove.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _server
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Remove members whose hosts join again under a new ID."""

    VERBS = ("remove",)

    def do_remove(self) -> str:
        def leader() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            return look.leader is not None and look.members is not None, look.seen

        hint = "The members that are started must find each other; look at the network between them and run it again."
        self.wait("a leader", leader, seconds=self.timeout("leader", 180), hint=hint)
        joining = self.in_turn or [server for server in self.plan["servers"] if server["need"] == "rejoin"]
        for member in self._listed(joining):  # they are fenced or leave: whatever is listed for them goes
            self.script("member", timeout=20, CALL="remove", ID=str(int(member.id, 16)))
        left = self._listed(joining)
        if left:
            names = ", ".join(member.name or member.id for member in left)
            raise RequorumError(
                f"{self.host}: {names} could not be removed from the member list.",
                "Look at etcd's log; nothing is lost, run it again.",
            )
        return f"no member of {', '.join(str(server['name']) for server in joining)} is listed"

    def _listed(self, servers: list[dict[str, object]]) -> list[_server.Member]:
        rows: list[dict[str, object]] = []

        def probe() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            rows[:] = look.members or ()
            return look.members is not None, look.seen

        self.wait("the member list", probe, seconds=30, hint="Run the same command again.")
        listed = [_server.member(entry) for entry in rows]
        found = [_look.members_of(listed, self.plan["servers"], str(server["name"])) for server in servers]
        return [member for members in found for member in members]
