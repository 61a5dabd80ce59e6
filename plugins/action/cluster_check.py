# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_check.py for the documentation."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _harvester,
    _harvester_checks,
    _server,
    _state,
    _told,
    _verify,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected, _survey
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import earlier, load, recorded, shelf

MARKS = {"holds": "ok", "wrong": "WRONG", "unknown": "NOT CHECKED", "absent": "not installed"}


class ActionModule(NodeAction):
    """Judge a cluster by what INSPECT has read of its hosts and what its API says now."""

    VALID = ("cluster", "servers", "agents", "powered_off", "output", "api", "compare")

    def act(self) -> JSON:
        args = self._task.args
        entries = _inspected.entries(self.vars["hostvars"], [*args["servers"], *(args.get("agents") or ())])
        state = _state.cluster(args["cluster"], entries)
        read = _survey.Reader(self)
        found = _verify.standing(state, args["servers"], args.get("powered_off") or ())
        found += _harvester_checks.checks(
            read.of(_harvester_checks.needed(_harvester_checks.EVERY)), _harvester_checks.EVERY
        )
        harvester = self._is_harvester(entries, read)
        folder, before = self._before() if harvester and args.get("compare", True) else ("", {})
        if harvester:
            hosts = {**_hosts(entries), "before": before}
            found += _harvester_checks.checks(
                read.of(_harvester_checks.needed(_harvester_checks.HARVESTER)), _harvester_checks.HARVESTER, **hosts
            )
        checks = [{**vars(check), "ok": check.ok, "next": self.typed(check.next)} for check in found]
        for check in checks:
            self.say(_line(check))
        wrong = ", ".join(check.name for check in found if not check.ok)
        verdict = f"Not as it should be: {wrong}." if wrong else "All checks hold."
        return {
            "changed": False,
            "checks": checks,
            "holds": all(check.ok for check in found),
            "harvester": harvester,
            "asked": read.where,
            "compared_with": folder or None,
            **_told.of_look("verify", not wrong, verdict, None),
        }

    def _is_harvester(self, entries: t.Sequence[JSON], read: _survey.Reader) -> bool:
        named = self.settings.get("requorum_distro") == "harvester" or _harvester.rancher(entries)
        return named or isinstance(read.one("config"), list)

    def _before(self) -> tuple[str, dict[str, str]]:
        """The last recovery that changed something, and the virtual machines that it found on living hosts."""
        for folder in earlier(shelf(os.path.abspath(self._task.args["output"]), self._task.args["cluster"])):
            try:
                made = load(folder, "plan.json", {})
                acted = made.get("purpose") == "recover" and any(action["phase"] > 3 for action in recorded(folder))
                entries = (load(folder, "state-before.json", {}).get("nodes") or []) if acted else []
            except RequorumError as error:  # it only compares: the run before that one serves as well
                display.warning(f"Nothing is compared with that run: {error}")
                continue
            if acted:
                found = {vm: _node(e) for e in entries if e["reachable"] for vm in _harvester.machines(e).values()}
                return folder, found
        return "", {}


def _node(entry: JSON) -> str:
    return _server.view(entry).node or str(entry["name"])


def _hosts(entries: t.Sequence[JSON]) -> dict[str, t.Any]:
    """Releases and virtual machines as the hosts themselves have them."""
    there = [entry for entry in entries if entry["reachable"]]
    return {
        "releases": {_node(entry): entry["harvester"] for entry in there if entry.get("harvester")},
        "running": {
            _node(entry): set(_harvester.machines(entry).values())
            for entry in there
            if entry.get("processes") is not None
        },
    }


def _line(check: JSON) -> str:
    seen = check["observed"] if check["state"] != "wrong" else f"{check['observed']}. Wanted: {check['wanted']}"
    return f"{MARKS[check['state']]}: {check['name']}: {seen}" + (f". Next: {check['next']}" if check["next"] else "")
