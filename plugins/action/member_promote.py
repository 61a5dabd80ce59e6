# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/member_promote.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _server
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction


class ActionModule(PlanAction):
    """Promote learners as soon as etcd accepts it, until every server is a voter and the API answers."""

    VERBS = ("promote",)

    def do_promote(self) -> str:
        wanted = self.in_turn or [server for server in self.plan["servers"] if server["need"] != "stays_off"]
        missing: list[str] = []

        def probe() -> tuple[bool, str]:
            done = self.script("look", timeout=20, READYZ="yes")
            look = _look.parse(done.out)
            if done.rc != 0 or look.members is None:
                return False, look.seen if done.rc == 0 else done.why
            for member in map(_server.member, look.members):
                if member.learner and member.name and self._lives(member):
                    self.script("member", timeout=20, CALL="promote", ID=str(int(member.id, 16)))
            missing[:] = _look.missing_voters(look, wanted)
            seen = look.seen + (f"; missing {', '.join(missing)}" if missing else "")
            return not missing and look.leader is not None and look.ready, seen

        def hint() -> str:
            unit = DISTROS[self.plan["distro"]].server_unit
            where = f"Read on {', '.join(missing)}: journalctl -u {unit} -n 50. " if missing else ""
            return f"{where}Members that are voters stay voters; the same command goes on with the others."

        who = f"{self.turn} to be a voter" if self.in_turn else f"{len(wanted)} voters"
        what = f"{who}, a leader and /readyz"
        return self.wait(what, probe, seconds=self.timeout("rejoin", 900), hint=hint)

    def _lives(self, member: _server.Member) -> bool:
        """etcd refuses a learner that is not in sync, but takes a dead one that was: then the quorum would be lost."""
        done = self.script("prove", timeout=20, TARGETS=f"{member.address} 2380")
        return done.out.split() == [member.address, "2380", "open"]
