# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/etcd_upkeep.py for the documentation."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _answers, _blocks, _look, _repair
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

AGAIN = "Nothing is lost; run the same command again."


class ActionModule(PlanAction):
    """Compact, defragment, disarm: through the JSON gateway of the server's own etcd."""

    VERBS = ("compact", "defragment", "disarm")

    def do_compact(self) -> str:
        revision = int(self._ask("maintenance/status", {})["header"]["revision"])
        body = {"revision": str(revision), "physical": True}
        said = self._ask("kv/compaction", body, seconds=self._patience, accept="has been compacted")
        return f"history up to revision {revision} is gone" if "header" in said else "it is compacted already"

    def do_defragment(self) -> str:
        before = self._status()
        self._ask("maintenance/defragment", {}, seconds=self._patience)

        def probe() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            return look.healthy and look.leader is not None, look.seen

        self.wait("its etcd to answer through the quorum", probe, seconds=self.timeout("leader", 180), hint=AGAIN)
        after = self._status()
        return f"{_repair.megabytes(before['bytes'])} on disk before, {_repair.megabytes(after['bytes'])} now"

    def do_disarm(self) -> str:
        alarms = self._alarms()
        if corrupt := [member for member, alarm in alarms if alarm == "CORRUPT"]:
            raise RequorumError(
                f"Alarm CORRUPT is armed ({', '.join(corrupt)}); Requorum never disarms it.",
                "Read docs/repair.md, under CORRUPT, before anything is written.",
            )
        if why := _repair.why_full(self._status()):
            raise RequorumError(
                f"{self.host}: {why}. An alarm that is disarmed now would come back.",
                "Delete what fills the datastore, or raise quota-backend-bytes by etcd-arg on all servers "
                "and restart one after another. Then run the same command again.",
            )
        for member, alarm in alarms:
            body = {"action": "DEACTIVATE", "memberID": str(int(member, 16)), "alarm": alarm}
            self._ask("maintenance/alarm", body)
        if left := self._alarms():
            raise RequorumError(f"{self.host}: still armed: {', '.join(alarm for _member, alarm in left)}.", AGAIN)
        return f"disarmed: {', '.join(member for member, _alarm in alarms) or 'none was armed any more'}"

    @property
    def _patience(self) -> float:
        return self.timeout("defragment", 900)

    def _alarms(self) -> list[tuple[str, str]]:
        """Member ID and alarm; one member may have raised both."""
        listed = self._ask("maintenance/alarm", {"action": "GET"}).get("alarms", [])
        return [(f"{int(alarm['memberID']):x}", str(alarm["alarm"])) for alarm in listed]

    def _status(self) -> dict[str, t.Any]:
        return _answers.sizes(self._ask("maintenance/status", {}))

    def _ask(self, call: str, body: dict[str, t.Any], *, seconds: float = 10, accept: str = "") -> dict[str, t.Any]:
        """The gateway's answer; an error that holds `accept` is one too.

        Every call may be made twice. A K3s that cannot write starts again and again, so an etcd that does not answer is
        waited for.
        """
        limit = max(1, int(seconds))
        text = json.dumps(body, separators=(",", ":"))
        said: dict[str, t.Any] = {}

        def probe() -> tuple[bool, str]:
            done = self.script("gateway", timeout=limit + 10, CALL=call, BODY=text, SECONDS_MAX=str(limit))
            answer = _blocks.loads(done.out.strip())
            said.update(answer or {})
            return answer is not None, done.out.strip()[-200:] or done.why

        self.wait(f"etcd to answer to {call}", probe, seconds=self.timeout("leader", 180), hint=AGAIN)
        reason = str(said.get("message") or said.get("error") or said)
        if (call.endswith("defragment") and not said) or "header" in said or (accept and accept in reason):
            return said
        raise RequorumError(f"{self.host}: etcd refused {call}: {reason}.", AGAIN)
