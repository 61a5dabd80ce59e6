# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_settle.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _kubernetes, _look
from ansible_collections.requorum.cluster.plugins.plugin_utils import _passwords
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import seconds_since
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import recorded


class ActionModule(PlanAction):
    """Wait until every living Node is Ready and the API has exactly its living endpoints."""

    VALID = ("plan", "phase", "run_dir", "refused")
    VERBS = ("serve", "settle")

    def do_serve(self) -> str:
        def probe() -> tuple[bool, str]:
            done = self.script("look", timeout=20, AWAIT="readyz")
            look = _look.parse(done.out)
            return done.rc == 0 and look.leader is not None and look.ready, look.seen if done.rc == 0 else done.why

        hint = "It is a voter by now; see its own log, then run the same command again."
        return self.wait("its own /readyz", probe, seconds=self.timeout("settle", 300), hint=hint)

    def do_settle(self) -> str:
        refused = list(self._task.args.get("refused") or ())
        living = self.in_turn or [server for server in self.plan["servers"] if server["need"] != "stays_off"]
        nodes = {server["node"] for server in living} | set(() if self.in_turn else self.plan["agent_nodes"])
        addresses = sorted(server["address"] for server in living)

        def probe() -> tuple[bool, str]:
            done = self.script("nodes", timeout=40, AWAIT=" ".join(addresses))
            seen = _kubernetes.parse(done.out, since=self._started()) if done.rc == 0 else None
            if seen is None:
                return False, f"the API does not answer ({done.why})" if done.rc else "the API answers in part"
            while refused:
                self.say(_passwords.remove(self, refused[0], refused[0]))
                refused.pop(0)
            waiting = [f"{name} ({seen.silent.get(name, 'no Node')})" for name in sorted(nodes - seen.ready)]
            found = [address for address in seen.endpoints if not self.in_turn or address in addresses]
            text = f"not Ready: {', '.join(waiting) or 'none'}; endpoints {', '.join(seen.endpoints)}"
            return not waiting and found == addresses, text

        self.wait(
            "its Node Ready and its endpoint there" if self.in_turn else "all Nodes Ready and all endpoints there",
            probe,
            seconds=self.timeout("settle", 300),
            hint="Look at the host that is named; run the same command again.",
        )
        return f"{len(nodes)} Nodes Ready; API at {', '.join(addresses)}"

    def _started(self) -> dict[str, float]:
        """Node -> seconds since this run started it: a Lease from before that is no sign of life."""
        names = {server["name"]: server["node"] for server in self.plan["servers"]}
        return {
            names[entry["node"]]: seconds_since(entry["started"])
            for entry in recorded(self.run_dir)
            if entry["verb"] in ("start", "rejoin")
        }
