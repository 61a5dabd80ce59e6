# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/member_promote.py for the documentation."""

from __future__ import annotations

import time

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _server, _silence
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PEERS_EVERY, PlanAction


class ActionModule(PlanAction):
    """Promote learners as soon as etcd accepts it, until every server is a voter and the API answers."""

    VERBS = ("promote",)

    def do_promote(self) -> str:
        wanted = self.in_turn or [server for server in self.plan["servers"] if server["need"] != "stays_off"]
        missing: list[str] = []
        self.silence, self.knocked, self.voters = _silence.Silence(), -PEERS_EVERY, list[str]()

        def probe() -> tuple[bool, str]:
            done = self.script("look", timeout=20, READYZ="yes")
            look = _look.parse(done.out)
            listed = [_server.member(entry) for entry in look.members or ()] if done.rc == 0 else []
            if listed:  # a member lists them without a leader too
                self.voters = self._servers([member for member in listed if not member.learner])
            self._give_up(look.leader is not None, listed, missing)
            if not listed:
                return False, look.seen if done.rc == 0 else done.why
            for member in listed:
                if member.learner and member.name and self._lives(member):
                    self._call("promote", member)
            missing[:] = _look.missing_voters(look, wanted)
            seen = look.seen + (f"; missing {', '.join(missing)}" if missing else "")
            return not missing and look.leader is not None and look.ready, seen

        def hint() -> str:
            unit = DISTROS[self.plan["distro"]].server_unit
            where = f"Read on {', '.join(missing)}: journalctl -u {unit} -n 50, and df -h. " if missing else ""
            return f"{where}Members that are voters stay voters; the same command goes on with the others."

        who = f"{self.turn} to be a voter" if self.in_turn else f"{len(wanted)} voters"
        what = f"{who}, a leader and /readyz"
        return self.wait(what, probe, seconds=self.timeout("rejoin", 900), hint=hint)

    def _give_up(self, led: bool, listed: list[_server.Member], missing: list[str]) -> None:
        """RequorumError where a host is lost without which the wait is in vain; a learner that is lost makes room."""
        if time.monotonic() - self.knocked < PEERS_EVERY:
            return
        self.knocked = time.monotonic()
        gone = self.silence.gone(self.knocked, *_peers.heard(self))
        if reason := _silence.ended(led=led, voters=self.voters, missing=missing, gone=gone):
            raise RequorumError(f"{self.host}: {reason[0]}", reason[1])
        for member in listed:
            if led and member.learner and set(self._servers([member])) & set(gone):
                self.say(f"{member.name or member.id}, a learner, is removed: its host gives no sign of life")
                self._call("remove", member)

    def _servers(self, members: list[_server.Member]) -> list[str]:
        """Names in the inventory of those that are these members."""
        names = [str(server["name"]) for server in self.plan["servers"]]
        return [name for name in names if _look.members_of(members, self.plan["servers"], name)]

    def _call(self, what: str, member: _server.Member) -> None:
        self.script("member", timeout=20, CALL=what, ID=str(int(member.id, 16)))

    def _lives(self, member: _server.Member) -> bool:
        """etcd refuses a learner that is not in sync, but takes a dead one that was: then the quorum would be lost."""
        done = self.script("prove", timeout=20, TARGETS=f"{member.address} 2380")
        return done.out.split() == [member.address, "2380", "open"]
