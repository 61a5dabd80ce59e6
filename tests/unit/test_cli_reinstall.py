# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum reinstall`: which variables it gives to the playbook, and which exit code comes of what."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from requorum import cli, reinstall, remote

JSON = dict[str, Any]
ACTION = {
    "id": "1.1", "phase": 1, "node": "s2", "turn": "", "verb": "cordon", "kind": "nodes", "namespace": "", "name": "n1",
    "what": "cordon it", "why": "nothing new shall start there",
}  # fmt: skip
SHOWN: JSON = {"requorum_actions": [ACTION], "notes": ["A note."], "refusals": [], "requorum_run_dir": "/r"}
ENDED: JSON = {"requorum_actions": [], "requorum_planned": [ACTION], "notes": ["A note."], "requorum_run_dir": "/r"}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> JSON:
    """What the playbook was given; its modules return `results`, its tasks `failures`."""
    seen: JSON = {"results": {"node_reinstall": ENDED}, "failures": []}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        return remote.Outcome(seen["results"], list(seen["failures"]))

    monkeypatch.setattr(reinstall.remote, "play", play)
    return seen


def test_options_become_variables(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--accept-vm-stop a/b --accept-vm-stop c/d --accept-loss vol --anyway --undo --confirm prod -e x=y"
    assert cli.main(["reinstall", "n1", "-i", "hosts.yml", *words.split()]) == 0
    assert (played["name"], played["inventory"], played["check"]) == ("reinstall", "hosts.yml", False)
    assert played["variables"] == {
        "x": "y", "requorum_reinstall": "n1", "requorum_reinstall_anyway": True, "requorum_reinstall_undo": True,
        "requorum_accept_vm_stop": ["a/b", "c/d"], "requorum_accept_loss": ["vol"], "requorum_confirm": "prod",
    }  # fmt: skip
    assert capsys.readouterr().out == "1.1 cordon nodes n1: cordon it; nothing new shall start there.\nA note.\n"


def test_all_machines_may_stop(played: JSON) -> None:
    cli.main(["reinstall", "n1", "-i", "hosts.yml", "--accept-vm-stop", "all", "--check"])
    assert played["variables"] == {"requorum_reinstall": "n1", "requorum_accept_vm_stop": "all"} and played["check"]


@pytest.mark.parametrize(
    ("results", "words", "failures", "code", "done"),
    [
        ({"node_reinstall": ENDED}, "", [], 0, True),
        ({"node_reinstall": ENDED}, "--check", [], 0, False),
        ({"node_reinstall": ENDED}, "", ["s2: it does not go"], 1, False),
        ({"node_reinstall": SHOWN}, "", ["s2: nobody has confirmed it"], 3, False),
        ({"node_reinstall": {**SHOWN, "requorum_actions": [], "refusals": ["No."]}}, "", ["s2: No."], 3, False),
        ({"node_reinstall": {**ENDED, "requorum_planned": []}}, "", [], 0, False),
    ],
)
def test_exit_codes(
    results: JSON, words: str, failures: list[str], code: int, done: bool, played: JSON,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    played |= {"results": results, "failures": failures}
    assert cli.main(["reinstall", "n1", "-i", "hosts.yml", "--json", *words.split()]) == code
    assert json.loads(capsys.readouterr().out)["done"] is done


def test_the_files_by_which_it_joins_again(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["results"] = {"node_reinstall": ENDED, "join_config": {"hosts": {"n1": {"folder": "/j/n1"}}}}
    assert cli.main(["reinstall", "n1", "-i", "hosts.yml"]) == 0
    assert "n1 joins again by the files in /j/n1; begin with README.md." in capsys.readouterr().out


def test_nothing_came_back(played: JSON) -> None:
    played |= {"results": {}, "failures": ["localhost: no other server answers"]}
    assert cli.main(["reinstall", "n1", "-i", "hosts.yml"]) == 1
