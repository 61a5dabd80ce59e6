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
        try:
            return self._reports(self.timeout("agent", 45), restart=False)
        except _wait.Expired as expired:
            self.say(f"{expired} It is restarted.")
        try:
            return "restarted; " + self._reports(self.timeout("agent", 45), restart=True)
        except (
            _wait.Expired
        ) as expired:  # SETTLE and VERIFY judge it, with the password of this node taken into account
            return f"restarted; {expired}"

    def _reports(self, seconds: float, *, restart: bool) -> str:
        first = [restart]

        def probe() -> tuple[bool, str]:
            done = self.script("agent", timeout=30, RESTART="yes" if first.pop() else "no")
            first.append(False)
            seen = pairs(done.out)
            if seen.get("refused"):
                self.results["refused"] = seen["node"]
                return True, "its node password is refused"
            age = _kubernetes.lease_age(seen.get("renewed"), int(seen.get("clock") or 0))
            fresh = age is not None and age < _kubernetes.FRESH_S
            return (
                seen.get("ready") == "True" and fresh,
                f"unit {seen.get('unit')}, Ready {seen.get('ready') or 'unknown'}, "
                f"reported {'never' if age is None else f'{age:.0f} s ago'}",
            )

        return _wait.wait("its Node to report", probe, seconds=seconds, say=self.say)
