# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum inspect`: what the playbook is given, faces and exit codes, and what has changed since the last look."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._diagnosis_changes import Change, changes
from requorum import cli, inspect, remote
from tests.unit.diagnoses import MADE

JSON = dict[str, Any]
UPKEEP = {"text": "WRONG: prod: 1 error.\n", "document": {"schema": 1, "cluster": "prod"}, "code": 4}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> JSON:
    """What the playbook was given; it returns `made`, or in turn what stands in `looks`."""
    seen: JSON = {"made": {"diagnosis": MADE["healthy"]}, "failures": [], "looks": [], "slept": []}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        made = seen["looks"].pop(0) if seen["looks"] else seen["made"]
        return remote.Outcome({"cluster_diagnose": made} if made else {}, list(seen["failures"]))

    def sleep(seconds: float) -> None:
        seen["slept"].append(seconds)
        if not seen["looks"]:
            raise KeyboardInterrupt

    monkeypatch.setattr(inspect.remote, "play", play)
    monkeypatch.setattr(inspect.time, "sleep", sleep)
    return seen


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ("", {}),
        ("-e requorum_output=/x", {"requorum_output": "/x"}),
        ("--rules /site", {"requorum_rules": ["/site"]}),
        ("--etcd", {"requorum_upkeep": ["etcd"]}),
        ("--certificates --backups", {"requorum_upkeep": ["certificates", "backups"]}),
        ("--prometheus /p.prom", {"requorum_upkeep": ["certificates", "etcd", "backups"],
                                  "requorum_prometheus": "/p.prom"}),
        ("--etcd --prometheus /p.prom", {"requorum_upkeep": ["etcd"], "requorum_prometheus": "/p.prom"}),
        ("--bundle-out /b.zip", {"requorum_bundle": "/b.zip"}),
        ("--watch 5", {"requorum_record": False}),
    ],
)  # fmt: skip
def test_options_become_variables(words: str, variables: JSON, played: JSON) -> None:
    played["made"]["upkeep"] = UPKEEP
    cli.main(["inspect", "-i", "hosts.yml", *words.split()])
    assert (played["name"], played["inventory"], played["check"]) == ("inspect", "hosts.yml", False)
    assert played["variables"] == variables


@pytest.mark.parametrize(("name", "code"), [("healthy", 0), ("lost", 4), ("stuck", 4)])
def test_faces_and_exit_code(
    name: str, code: int, played: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    played["made"] = {"diagnosis": MADE[name]}
    page, junit = tmp_path / "d.html", tmp_path / "d.xml"
    words = ["inspect", "-i", "hosts.yml", "--html", str(page), "--junit", str(junit)]
    assert cli.main(words) == code
    assert MADE[name]["verdict"]["sentence"].split()[0] in capsys.readouterr().out
    assert "<h1>" in page.read_text() and "<testsuites" in junit.read_text()
    assert cli.main([*words, "--json"]) == code
    assert json.loads(capsys.readouterr().out) == MADE[name]


def test_on_a_schedule_the_upkeep_is_said(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["made"]["upkeep"] = UPKEEP
    assert cli.main(["inspect", "-i", "hosts.yml", "--etcd"]) == 4
    assert capsys.readouterr().out == UPKEEP["text"]
    assert cli.main(["inspect", "-i", "hosts.yml", "--etcd", "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == UPKEEP["document"]
    assert cli.main(["inspect", "-i", "hosts.yml", "--prometheus", "/p"]) == 0  # nobody asked for more than the file
    assert capsys.readouterr().out.startswith("NOTHING IS WRONG")


def test_a_look_that_fails(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played.update(made=None, failures=["Set requorum_cluster in the inventory."])
    assert cli.main(["inspect", "-i", "hosts.yml", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["errors"] == played["failures"] and "requorum_cluster" in err


def test_a_watch_says_what_has_changed(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    well, bad = {"diagnosis": MADE["healthy"]}, {"diagnosis": MADE["lost"]}
    played["looks"] = [well, well, None, bad]
    assert cli.main(["inspect", "-i", "hosts.yml", "--watch", "30"]) == 130
    out, err = capsys.readouterr()
    assert played["slept"] == [30] * 4
    assert out.index("NOTHING IS WRONG") < out.index("no change") < out.index("changes\n")
    assert "new      r1       blocker: etcd on r1 runs and sees no leader." in out
    assert "Nothing came back." in err


def test_a_watch_as_json(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["looks"] = [{"diagnosis": MADE["healthy"]}, {"diagnosis": MADE["lost"]}]
    assert cli.main(["inspect", "-i", "hosts.yml", "--watch", "1", "--json"]) == 130
    text, decoder = capsys.readouterr().out, json.JSONDecoder()
    first, end = decoder.raw_decode(text)
    second, _end = decoder.raw_decode(text[end:].lstrip())
    assert first["verdict"]["case"] == "healthy"
    assert {"what": "new", "node": "r3", "text": "error: r3 does not answer."} in second["changes"]


@pytest.mark.parametrize("words", ["--watch 0", "--watch x"])
def test_usage(words: str, played: JSON) -> None:
    assert cli.main(["inspect", "-i", "hosts.yml", *words.split()]) == 2
    assert "name" not in played


# --- changes


def _same(document: JSON) -> None:
    del document


def _member(name: str, **more: Any) -> Callable[[JSON], None]:
    def change(document: JSON) -> None:
        next(node for node in document["nodes"] if node["name"] == name)["member"].update(more)

    return change


def _part(name: str, part: str, state: str, words: str) -> Callable[[JSON], None]:
    def change(document: JSON) -> None:
        found = next(node for node in document["nodes"] if node["name"] == name)
        found["components"][part] = {"state": state, "words": words}

    return change


def _found(*found: tuple[str, str | None, str]) -> Callable[[JSON], None]:
    def change(document: JSON) -> None:
        keys = ("id", "node", "summary")
        document["findings"] = [dict(zip(keys, each, strict=True)) | {"severity": "error"} for each in found]

    return change


def _blind(rule: str, node: str | None) -> Callable[[JSON], None]:
    def change(document: JSON) -> None:
        document["findings"] = []
        document["not_checked"] = [{"rule": rule, "node": node, "severity": "error", "why": "hung"}]
        document["passed"] = [each for each in document["passed"] if each != rule]

    return change


def _without(name: str) -> Callable[[JSON], None]:
    def change(document: JSON) -> None:
        document["nodes"] = [node for node in document["nodes"] if node["name"] != name]

    return change


DOWN, FULL = ("no_leader", "r1", "r1 sees none."), ("volume", None, "vol-1 is faulted.")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (_same, _same, []),
        (_same, _found(DOWN), [("new", "r1", "error: r1 sees none.")]),
        (_found(DOWN), _same, [("gone", "r1", "error: r1 sees none.")]),
        (_found(DOWN), _found(DOWN), []),
        (_found(DOWN), _found(("no_leader", "r1", "r1 sees none at 4.")),
         [("changed", "r1", "error: r1 sees none at 4. Before: r1 sees none.")]),
        (_found(DOWN), _blind("no_leader", "r1"), [("not checked", "r1", "error: r1 sees none.")]),
        (_found(DOWN), _blind("no_leader", None), [("not checked", "r1", "error: r1 sees none.")]),
        (_found(DOWN), _blind("no_leader", "r2"), [("not checked", "r1", "error: r1 sees none.")]),
        (_found(FULL), _same, [("not checked", None, "error: vol-1 is faulted.")]),  # no such rule was asked
        (_found(FULL), _found(FULL, ("volume", None, "vol-2 is too.")), [("new", None, "error: vol-2 is too.")]),
        (_same, _part("r2", "etcd", "wrong", "does not run"),
         [("changed", "r2", "etcd: ok (voter) -> wrong (does not run)")]),
        (_same, _part("r2", "disk", "ok", "53% free"), []),
        (_same, _member("r2", index=1700), []),
        (_same, _member("r1", leader=False), [("changed", None, "leader r1 -> unknown, term 2 -> 2")]),
        (_same, _member("r3", term=3), [("changed", None, "leader r1 -> r1, term 2 -> 3")]),
        (_member("r2", role="learner"), _same, [("changed", "r2", "member: learner -> voter")]),
        (_same, _without("r3"), [("gone", "r3", "no longer among the nodes")]),
        (_without("r3"), _same, [("new", "r3", "now among the nodes")]),
    ],
)  # fmt: skip
def test_changes(before: Callable[[JSON], None], after: Callable[[JSON], None], wanted: list[Any]) -> None:
    old, new = copy.deepcopy(MADE["healthy"]), copy.deepcopy(MADE["healthy"])
    before(old)
    after(new)
    assert changes(old, new) == [Change(*each) for each in wanted]


def test_the_verdict_comes_first() -> None:
    first, *_more = changes(MADE["healthy"], MADE["lost"])
    assert first.text.startswith("healthy (ok) -> quorum lost (blocker): etcd on r1 runs")
