# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_verify.py for the documentation."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _check, _kubernetes, _state, _verify, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write


class ActionModule(PlanAction):
    """Judge the recovered cluster by what its nodes say now."""

    VERBS = ("verify",)

    def do_verify(self) -> str:
        after = _state.cluster(self.plan["cluster"], [self._entry(name) for name in self._names()])
        self._endpoints(next(entry for entry in after["nodes"] if entry["name"] == self.plan["survivor"]))
        write(os.path.join(self.run_dir, "state-after.json"), after)
        checks = _verify.checks(
            self.plan,
            load(self.run_dir, "state-before.json", {}),
            after,
            backup=load(self.run_dir, "restore.json", None) or load(self.run_dir, "backup.json", {}),
            saved=load(self.run_dir, "after.json", {}),
        )
        write(os.path.join(self.run_dir, "checks.json"), [_told(check) for check in checks])
        _peers.must_stay_off(self)
        wrong = [f"{check.name}: {check.observed} (wanted {check.wanted})" for check in checks if not check.ok]
        if wrong:
            raise RequorumError(
                "Not everything is as it must be: " + "; ".join(wrong) + ".",
                "Run the same command again; it goes on from what it finds.",
            )
        return f"{len(checks)} checks hold"

    def _endpoints(self, entry: dict[str, t.Any]) -> None:
        """API servers that could not write, or were away, write themselves in again every 10 s; until then each of the
        others may take them out.
        """
        wanted = {s["address"] for s in self.plan["servers"] if s["need"] not in ("stays_off", "leaves")}
        api = entry.get("api") or {}

        def probe() -> tuple[bool, str]:
            seen = _kubernetes.parse(self.script("nodes", timeout=40).out)
            if seen is None:
                return False, "the API does not answer"
            api["endpoints"] = list(seen.endpoints)
            return set(seen.endpoints) == wanted, f"endpoints {', '.join(seen.endpoints)}"

        if entry["reachable"] and set(api.get("endpoints") or ()) != wanted:
            with contextlib.suppress(_wait.Expired):  # the check tells it then
                _wait.wait("all endpoints of the API", probe, seconds=self.timeout("endpoints", 30), say=self.say)

    def _names(self) -> list[str]:
        return [server["name"] for server in self.plan["servers"]] + list(self.plan["agents"])

    def _entry(self, name: str) -> dict[str, object]:
        read = self.vars["hostvars"][name].get("requorum_read_after") or {}
        if read.get("requorum_node"):
            return dict(json.loads(json.dumps(read["requorum_node"])))
        return _state.unreachable(name, name, "was not read again")


def _told(check: _check.Check) -> dict[str, object]:
    """As the report has it."""
    return {"name": check.name, "wanted": check.wanted, "observed": check.observed, "ok": check.ok}
