# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_agent.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _kubernetes, _wait
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, pairs


class ActionModule(PlanAction):
    """See that an agent reports again; restart it only if it does not."""

    VERBS = ("agent",)

    def do_agent(self) -> str:
        runs = self._look(restart=False).get("unit") in ("active", "activating", "reloading")
        try:
            if runs:
                return self._reports()
            self.say("its unit does not run. It is started.")
        except _wait.Expired as expired:
            self.say(f"{expired} It is restarted.")
        self._look(restart=True)
        try:
            return "restarted; " + self._reports()
        except _wait.Expired as expired:  # settle and verify judge it, when the password of its node is settled too
            return f"restarted; {expired}"

    def _look(self, *, restart: bool) -> dict[str, str]:
        return pairs(self.script("agent", timeout=30, RESTART="yes" if restart else "no").out)

    def _reports(self) -> str:
        def probe() -> tuple[bool, str]:
            seen = self._look(restart=False)
            if seen.get("refused"):
                self.results["refused"] = seen["node"]
                return True, "its node password is refused"
            age = _kubernetes.lease_age(seen.get("renewed"), int(seen.get("clock") or 0))
            ready = seen.get("ready") == "True" and age is not None and age < _kubernetes.FRESH_S
            reported = "never" if age is None else f"{age:.0f} s ago"
            return ready, f"unit {seen.get('unit')}, Ready {seen.get('ready') or 'unknown'}, reported {reported}"

        return _wait.wait("its Node to report", probe, seconds=self.timeout("agent", 45), say=self.say)
