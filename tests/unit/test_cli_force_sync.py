# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum force-sync`: its variables, what it prints, its exit codes."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from requorum import cli, remote

JSON = dict[str, Any]
ACTION = {
    "verb": "patch", "kind": "bundles.fleet.cattle.io", "namespace": "fleet-local", "name": "mcc-harvester",
    "what": "forceSyncGeneration: 2", "why": "it was asked for",
}  # fmt: skip


def entry(**given: Any) -> JSON:
    base = {"bundle": "fleet-local/mcc-harvester", "state": "Ready", "synced": True, "why": None, "repair": None}
    return {**base, **given}


STUCK = entry(state="ErrApplied", synced=False, why="helm refuses.", repair="helm rollback.")


@pytest.mark.parametrize(
    ("words", "variables", "check"),
    [
        (("--check",), {}, True),
        (("--confirm", "prod"), {"requorum_confirm": "prod"}, False),
        (
            ("harvester", "fleet-default/app", "--always", "-e", "requorum_kubeconfig=k"),
            {
                "requorum_bundles": ["harvester", "fleet-default/app"],
                "requorum_sync_always": True,
                "requorum_kubeconfig": "k",
            },
            False,
        ),
    ],
)
def test_variables(words: tuple[str, ...], variables: JSON, check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def play(name: str, arguments: argparse.Namespace, given: JSON, **_options: bool) -> remote.Outcome:
        calls.append((name, given, arguments.check))
        return remote.Outcome({"bundle_sync": {"bundles": [entry()], "requorum_actions": [], "saved": []}})

    monkeypatch.setattr(remote, "play", play)
    assert cli.main(["force-sync", "-i", "inventory", *words]) == 0
    assert calls == [("force_sync", variables, check)]


@pytest.mark.parametrize(
    ("result", "failures", "code", "lines"),
    [
        ({"bundles": [entry()], "requorum_actions": [ACTION], "saved": []}, [], 0, ["synced", "done  bundles"]),
        ({"bundles": [STUCK], "requorum_actions": [ACTION], "saved": []}, ["gate"], 3, ["would be done  bundles"]),
        (
            {"bundles": [STUCK], "requorum_actions": [ACTION], "saved": [], "msg": "r1: stuck"},
            ["r1: stuck"],
            1,
            ["ErrApplied", "helm rollback.", "done  bundles"],
        ),
        ({"bundles": [], "requorum_actions": [], "saved": [], "msg": "no Fleet"}, [], 0, ["no Fleet"]),
        (None, ["r1: no answer"], 1, []),
        ({"failed": True, "msg": "no"}, ["r1: no"], 1, []),
    ],
)
def test_what_is_printed(
    result: JSON | None,
    failures: list[str],
    code: int,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = remote.Outcome({"bundle_sync": result} if result else {}, list(failures))
    monkeypatch.setattr(remote, "play", lambda *_args, **_given: outcome)
    assert cli.main(["force-sync", "-i", "inventory"]) == code
    said = capsys.readouterr()
    assert all(line in said.out for line in lines), said.out
    assert all(failure in said.err for failure in failures)
    assert cli.main(["force-sync", "-i", "inventory", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document.get("errors") == (failures if not lines else None)
