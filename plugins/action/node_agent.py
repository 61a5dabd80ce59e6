# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_agent.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import _link, _node, _wait, _x509
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, recorded

GIVEN_UP = "given up: "
AGAIN = "See the log of its unit, then run the same command again; it goes on from what it finds."


class ActionModule(PlanAction):
    """See that an agent reports again; repair how it holds on to its cluster; restart it."""

    VALID = ("plan", "phase", "run_dir", "failures")
    VERBS = ("agent", "point", "pin", "unlist", "restart")

    def do_agent(self) -> str:
        runs = self._look().unit in ("active", "activating", "reloading")
        try:
            if runs:
                return self._reports("agent", 45, _reports)
            self.say("its unit does not run. It is started.")
        except _wait.Expired as expired:
            self.say(f"{expired} It is restarted.")
        self._do("restart")
        try:
            return "restarted; " + self._reports("agent", 45, _reports)
        except _wait.Expired as expired:  # settle and verify judge it, when the password of its node is settled too
            return f"restarted; {expired}"

    def do_point(self) -> str:
        host = str(self.anchor["address"])
        url = f"https://{f'[{host}]' if ':' in host else host}:{DISTROS[self.plan['distro']].supervisor_port}"
        return self._tolerate(lambda: self._do("point", URL=url))

    def do_pin(self) -> str:
        return self._tolerate(lambda: self._do("pin", PIN=self._pin()))

    def _pin(self) -> str:
        """Of the CA that this run has put into the datastore, else of the one that the servers had before."""
        if known := load(self.run_dir, "authorities.json", None):
            return _x509.pin(known["server/tls/server-ca.crt"]["text"].encode())
        pins = {(self._before(server["name"]).get("token") or {}).get("pin") for server in self.plan["servers"]}
        return str(min(filter(None, pins)))

    def do_unlist(self) -> str:
        return self._tolerate(lambda: self._do("unlist"))

    def do_restart(self) -> str:
        return self._tolerate(self._restart)

    def _restart(self) -> str:
        since = int(_node.pairs(self._do("restart"))["since"])
        servers = [server for server in self.plan["servers"] if server["need"] != "stays_off"]
        known = {server["address"] for server in servers}
        for server in servers:
            known |= set((self._before(server["name"]).get("api") or {}).get("endpoints") or ())

        def again(at: _link.Link) -> bool:
            return at.reports and at.clock - (at.age or 0) >= since and not _link.stale(at.lists, known)

        return "restarted; " + self._reports("restart", 120, again)

    def _tolerate(self, work: t.Callable[[], str]) -> str:
        """Give one agent up and go on with the others, as long as no more than `failures` of them failed."""
        lost = {entry["node"] for entry in recorded(self.run_dir) if entry["result"].startswith(GIVEN_UP)}
        if self.host in lost:
            return f"{GIVEN_UP}an earlier step of it failed"
        try:
            return work().replace("\n", "; ")
        except (_wait.Expired, RequorumError, AnsibleConnectionFailure) as error:
            why = f"{self.host}: {str(error).strip()}"
            if len(lost) < int(self._task.args.get("failures") or 0):
                return GIVEN_UP + why
            raise RequorumError(why, AGAIN) from error

    def _do(self, what: str, **variables: t.Any) -> str:
        done = self.script("agent", timeout=60, DO=what, STAMP=self.stamp, **variables)
        if done.rc != 0:
            raise RequorumError(done.why, AGAIN)
        return done.out.strip() or "done"

    def _look(self) -> _link.Link:
        return _link.Link(**_link.read(self.script("agent", timeout=30, DO="look").out))

    def _reports(self, deadline: str, seconds: float, enough: t.Callable[[_link.Link], bool]) -> str:
        def probe() -> tuple[bool, str]:
            at = self._look()
            if at.refused:
                self.results["refused"] = at.node
            return enough(at) or (at.refused and deadline == "agent"), at.seen

        return _wait.wait("its Node to report", probe, seconds=self.timeout(deadline, seconds), say=self.say)

    def _before(self, name: str) -> JSON:
        state = load(self.run_dir, "state-before.json", {"nodes": []})
        return next((entry for entry in state["nodes"] if entry["name"] == name), {})


def _reports(at: _link.Link) -> bool:
    return at.reports
