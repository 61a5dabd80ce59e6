# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum purge-orphans`: which variables it gives to the playbook, and which exit code comes of what."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from requorum import cli, orphans, remote

JSON = dict[str, Any]
ACTION = {
    "verb": "delete", "kind": "nodes", "namespace": "", "name": "n2", "what": "delete it", "why": "the server is dead",
}  # fmt: skip


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> JSON:
    """What the playbook was given; its module returns `made`, its tasks `failures`."""
    seen: JSON = {"made": {"actions": [ACTION], "notes": [], "refusals": []}, "failures": []}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        results = {} if seen["made"] is None else {"orphan_purge": seen["made"]}
        return remote.Outcome(results, list(seen["failures"]))

    monkeypatch.setattr(orphans.remote, "play", play)
    return seen


def test_options_become_variables(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--dead n2 --dead n3 --leftovers --accept-loss vol-1 --confirm prod -e requorum_output=/x"
    assert cli.main(["purge-orphans", "-i", "hosts.yml", *words.split()]) == 0
    assert (played["name"], played["inventory"], played["check"]) == ("purge_orphans", "hosts.yml", False)
    assert played["variables"] == {
        "requorum_dead": ["n2", "n3"], "requorum_leftovers": True, "requorum_accept_loss": ["vol-1"],
        "requorum_confirm": "prod", "requorum_output": "/x",
    }  # fmt: skip
    assert capsys.readouterr().out == "delete nodes n2: delete it; the server is dead.\n"


@pytest.mark.parametrize("words", ["", "--check", "--accept-loss vol-1"])
def test_somebody_has_to_be_named(words: str, played: JSON) -> None:
    assert cli.main(["purge-orphans", "-i", "hosts.yml", *words.split()]) == 2
    assert "name" not in played


def test_names_may_come_as_variables(played: JSON) -> None:
    assert cli.main(["purge-orphans", "-i", "hosts.yml", "--check", "-e", "requorum_dead=x"]) == 0
    assert played["variables"] == {"requorum_dead": "x"} and played["check"]  # the playbook says that it is no list


@pytest.mark.parametrize(
    ("made", "failures", "code", "done"),
    [
        ({"actions": [ACTION]}, [], 0, False),
        ({"actions": [ACTION], "requorum_run_dir": "/r", "saved": "/r/objects"}, [], 0, True),
        ({"actions": [ACTION]}, ['requorum_confirm is ""'], 3, False),
        ({"actions": [], "refusals": ["n2 is alive"], "failed": True}, ["n2 is alive"], 3, False),
        ({"failed": True}, ["r1: get nodes: no answer"], 1, False),
        ({"actions": [], "requorum_run_dir": "/r", "saved": "/r/objects", "failed": True}, ["n2 to go"], 1, False),
        (None, ["The API of no living server answers."], 1, None),
    ],
)
def test_exit_code(
    made: JSON | None,
    failures: list[str],
    code: int,
    done: bool | None,
    played: JSON,
    capsys: pytest.CaptureFixture[str],
) -> None:
    played.update(made=made, failures=failures)
    assert cli.main(["purge-orphans", "-i", "hosts.yml", "--dead", "n2", "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out).get("done") == done
    assert all(f"requorum: {line}" in err for line in failures)


def test_nothing_is_left(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["made"] = {"actions": [], "notes": []}
    assert cli.main(["purge-orphans", "-i", "hosts.yml", "--dead", "n2"]) == 0
    assert capsys.readouterr().out == "Nothing of them is left.\n"
