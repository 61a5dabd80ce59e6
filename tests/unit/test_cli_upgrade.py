# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum upgrade`: hop after hop, stop and nudge; what is played, what is printed, the exit codes."""

from __future__ import annotations

import argparse
import json
from typing import Any

import pytest

from requorum import cli, inputs, remote
from tests.unit.test_upgrade_plan import NOTHING, plan

JSON = dict[str, Any]
DONE = {"ended": "succeeded", "phase": 5, "name": "cleanup", "upgrade": "hvst-upgrade-b", "version": "v1.4.0"}


STILL = {**DONE, "ended": "", "phase": 4, "name": "nodes"}


class Played:
    """One outcome after the other, the last one again and again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *outcomes: remote.Outcome) -> None:
        self.calls: list[tuple[str, JSON, bool]] = []
        self._outcomes = list(outcomes)
        monkeypatch.setattr(remote, "play", self)

    def __call__(self, name: str, arguments: argparse.Namespace, given: JSON) -> remote.Outcome:
        self.calls.append((name, given, arguments.check))
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


def hop(before: str, to: str = "v1.4.1", *, failures: tuple[str, ...] = (), **run: Any) -> remote.Outcome:
    results: JSON = {"upgrade_plan": {"plan": plan(NOTHING, to, before)}}
    return remote.Outcome(results | ({"upgrade_run": run} if run else {}), list(failures))


def typed(*words: str) -> list[str]:
    return ["upgrade", "-i", "inv", *words]


def test_it_goes_on_until_the_release_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = Played(monkeypatch, hop("v1.3.2", progress=DONE), hop("v1.4.0", progress=DONE))
    assert cli.main(typed("--to", "1.4.1", "--confirm", "prod", "--json")) == 0
    assert [(name, check) for name, _given, check in played.calls] == [("upgrade", False)] * 2
    assert played.calls[0][1] == {"requorum_confirm": "prod", "requorum_to": "1.4.1"}
    document = json.loads(capsys.readouterr().out)
    assert [each["plan"]["before"] for each in document["hops"]] == ["v1.3.2", "v1.4.0"]


def test_how_it_ended_is_told_for_each_hop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    still = hop("v1.4.0", failures=("r1: no",), progress=STILL, stall="upgrade_waits_volume", report="/r/report.html")
    Played(monkeypatch, hop("v1.3.2", progress=DONE, report="/r/first.html"), still)
    assert cli.main(typed("--to", "1.4.1", "--confirm", "prod")) == 1
    out = capsys.readouterr().out
    assert "hvst-upgrade-b to v1.4.0: succeeded\n  /r/first.html\n" in out
    assert "stands still in phase 4 (nodes): upgrade_waits_volume\n  /r/report.html\n" in out


def test_a_plan_is_one_look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(monkeypatch, hop("v1.3.2"))
    assert cli.main(typed("--to", "1.4.1", "--plan")) == 0
    assert [check for _name, _given, check in played.calls] == [True]
    out = capsys.readouterr().out
    assert "1. v1.3.2 -> v1.4.0" in out and "4: point of no return" in out


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (hop("v1.3.2", failures=("r1: requorum_confirm is empty",)), 3),
        (hop("v1.3.2", failures=("r1: it stands still",), progress=STILL, stall="upgrade_waits_volume"), 1),
        (hop("v1.3.2", failures=("r1: Another run works on it (locked).",), msg="locked"), 5),
        (remote.Outcome({}, ["r1: no server answers"]), 3),
        (hop("v1.4.1"), 0),
    ],
)
def test_exit_codes(outcome: remote.Outcome, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch, outcome)
    assert cli.main(typed("--to", "1.4.1", "--confirm", "prod")) == code
    assert len(played.calls) == 1  # nothing is tried again


@pytest.mark.parametrize(
    ("words", "name", "variables"),
    [
        (("--stop",), "upgrade_stop", {}),
        (("--nudge", "pre-drain", "n2"), "upgrade_nudge", {"requorum_hook": "pre-drain", "requorum_node": "n2"}),
    ],
)
def test_stop_and_nudge(words: tuple[str, ...], name: str, variables: JSON, monkeypatch: pytest.MonkeyPatch,
                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    action = {"verb": "delete", "kind": "upgrades.harvesterhci.io", "name": "hvst-upgrade-b", "what": "before phase 4"}
    played = Played(monkeypatch, remote.Outcome({name: {"requorum_actions": [action]}}))
    assert cli.main(typed(*words, "--check")) == 0
    assert played.calls == [(name, variables, True)]
    assert "would be done  delete upgrades.harvesterhci.io hvst-upgrade-b: before phase 4" in capsys.readouterr().out
    Played(monkeypatch, remote.Outcome({name: {}}, ["r1: it is in phase 4"]))
    assert cli.main(typed(*words, "--confirm", "prod")) == 3


@pytest.mark.parametrize("words", [(), ("--to", "1.4.1", "--stop"), ("--nudge", "pre-drain"), ("--nudge", "x", "n2")])
def test_what_is_typed_wrongly(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch, remote.Outcome())
    try:
        code: Any = cli.main(typed(*words))
    except SystemExit as end:
        code = end.code
    assert code == 2 and not played.calls


@pytest.mark.parametrize(
    ("text", "value"), [("a=1", "1"), ('a={"x": 20}', {"x": 20}), ('a=["n1"]', ["n1"]), ("a=", ""), ("a=b=c", "b=c")]
)
def test_a_variable_that_begins_with_a_bracket_is_json(text: str, value: Any) -> None:
    assert inputs.variable(text) == ("a", value)


def test_one_that_is_no_json_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a is no JSON"):
        inputs.variable('a={"x": }')
