# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/quorum_margin.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _margin
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """See that the quorum stands without the server whose turn it is, and take the leadership from it."""

    VALID = ("plan", "phase", "run_dir", "looks")
    VERBS = ("margin", "room", "yield")

    def do_margin(self) -> str:
        margin, mine = self._margin(), self._mine()
        why = margin.why_not_stop(mine)
        if why:
            raise RequorumError(
                f"{self.turn} must not be stopped now: {why}.",
                "Bring the servers back that do not work; inspect.yml says which. Then run the same command again.",
            )
        others = len(margin.working - {mine})
        return f"{len(margin.working)} of {len(margin.voters)} voters work; without {self.turn} {others} do"

    def do_room(self) -> str:
        margin = self._margin()
        gone = [member.id for member in _look.members_of(margin.members, self.plan["servers"], self.turn)]
        joins = self.plan["needs"].get(self.turn) != "leaves"
        after, why = margin.change(gone, self.turn if joins else "")
        if margin.fault or why:
            raise RequorumError(
                f"{self.turn} cannot {'join' if joins else 'leave'} now: {margin.fault or why}.",
                "Bring the servers back that do not work; inspect.yml says which. Then run the same command again.",
            )
        return f"{len(after.working)} of {len(after.voters)} voters will work; {len(after.voters) // 2 + 1} are needed"

    def do_yield(self) -> str:
        margin, mine = self._margin(), self._mine()
        if margin.leader != mine:
            return "it does not lead"
        target = next((voter for voter in margin.voters if voter.id in margin.working - {mine}), None)
        if target is None:
            return "it leads, and there is no other voter"
        self.script("lead", timeout=20, ID=str(int(target.id, 16)))

        def probe() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            return look.leader not in (None, mine), look.seen

        hint = "Nothing was stopped. See the log of etcd, then run the same command again."
        self.wait("another leader", probe, seconds=self.timeout("leader", 180), hint=hint)
        return f"{target.node or target.id} leads now"

    def _looks(self) -> dict[str, _look.Look]:
        found = [result.get("requorum_look") or {} for result in self._task.args.get("looks") or ()]
        return {look["name"]: _look.parse(look["out"]) for look in found if look.get("out")}

    def _margin(self) -> _margin.Margin:
        return _margin.margin(list(self._looks().values()))

    def _mine(self) -> str | None:
        """The member ID of the server whose turn it is, as it says itself, else as the plan has it."""
        look = self._looks().get(self.turn)
        listed = [server["member_id"] for server in self.plan["servers"] if server["name"] == self.turn]
        return (look.member_id if look else None) or (listed[0] if listed else None)
