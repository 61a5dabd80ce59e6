# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum status` and `requorum report`: runs that ended, were killed, were never confirmed, or may still go on."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _report, _rules, _timeline
from requorum import cli, command, remote, runs
from tests.unit import runs as made

JSON = dict[str, Any]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STAMP = "20261120T110000Z"
PLANNED = [{"id": "3.1", "phase": 3, "node": "s1"}, {"id": "5.1", "phase": 5, "node": "s1"}]


def action(number: int, result: str = "done") -> JSON:
    return {**PLANNED[number], "verb": "snapshot", "what": "Save a snapshot", "result": result}


def folder(
    root: Path, outcome: str | None, actions: Sequence[JSON] = (), *, mode: str = "run", seconds: float = 3600,
    stats: bool = False, cluster: str = "prod", stamp: str = STAMP,
) -> Path:  # fmt: skip
    """A run that was last heard so many seconds ago."""
    path = root / cluster / stamp
    path.mkdir(parents=True)
    plan = {"stamp": stamp, "cluster": cluster, "started": "2026-11-20T11:00:00.000Z", "purpose": "recover",
            "actions": PLANNED, "phases": list(_timeline.PHASES),
            "command": "ansible-playbook recover.yml -i prod.yml"}  # fmt: skip
    (path / "plan.json").write_text(json.dumps(plan))
    heard = _timeline.stamp(NOW - timedelta(seconds=seconds))
    events = [_timeline.make("play", heard, 2), *([_timeline.make("stats", heard)] if stats else [])]
    (path / "timeline.jsonl").write_text("".join(map(_timeline.line, events)))
    if outcome:
        document = {"verdict": {"outcome": outcome, "next": "type this"}, "run": {"mode": mode}}
        (path / "report.json").write_text(json.dumps(document))
    if actions:  # a kill tears the last line
        (path / "actions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in actions) + '{"id": "5')
    return path


@pytest.mark.parametrize(
    ("given", "outcome", "phase", "done", "going"),
    [
        ({"outcome": "recovered", "actions": [action(0), action(1)]}, "recovered", "RESET", 2, False),
        ({"outcome": "failed", "actions": [action(0), action(1, "failed: no room")]}, "failed", "RESET", 1, False),
        ({"outcome": "planned", "actions": [action(0)]}, "unfinished", "BACKUP", 1, True),
        ({"outcome": "planned", "actions": [action(0)], "stats": True, "seconds": 1}, "unfinished", "BACKUP", 1, True),
        ({"outcome": "planned", "actions": [action(0)], "seconds": 5}, "perhaps running", "BACKUP", 1, True),
        ({"outcome": "planned", "seconds": 5}, "perhaps running", "PLAN", 0, True),
        ({"outcome": "planned", "stats": True}, "not confirmed", "PLAN", 0, False),
        ({"outcome": "planned", "mode": "check"}, "planned", "PLAN", 0, False),
        ({"outcome": None, "actions": [action(0)]}, "unfinished", "BACKUP", 1, True),
    ],
)
def test_how_a_run_ended(given: JSON, outcome: str, phase: str, done: int, going: bool, tmp_path: Path) -> None:
    run = runs.read(folder(tmp_path, **given), NOW)
    assert run and (run.outcome, run.phase, run.done, run.planned) == (outcome, phase, done, 2)
    again = "ansible-playbook recover.yml -i prod.yml -e requorum_confirm=prod"
    assert run.next == (again if going else "type this")


def test_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path, "planned", [action(0)], stamp="20261120T110000Z")
    folder(tmp_path, "recovered", [action(0), action(1)], cluster="blue")
    folder(tmp_path, "planned", mode="check", stamp="20261120T100000Z")
    (tmp_path / "prod" / "harvester-objects").mkdir()
    assert cli.main(["status", "--output", str(tmp_path)]) == 4
    out = capsys.readouterr().out
    assert out.index("unfinished") < out.index("recovered") and "20261120T100000Z" not in out
    assert "Last: 3.1 s1 Save a snapshot (done)" in " ".join(out.split()) and "requorum_confirm=prod" in out
    assert cli.main(["status", "--output", str(tmp_path), "--cluster", "blue", "--json"]) == 0
    assert [run["cluster"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["blue"]
    assert cli.main(["status", "--output", str(tmp_path), "--all", "--json"]) == 4
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 3


def test_a_later_run_that_ended_well_settles_it(tmp_path: Path) -> None:
    folder(tmp_path, "planned", [action(0)], stamp="20261120T100000Z")
    folder(tmp_path, "recovered", [action(0), action(1)])
    assert cli.main(["status", "--output", str(tmp_path)]) == 0


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A recovery that was killed behind its reset: the report is the one from before anything was done."""
    plan = {**made.plan(made.DRILL, powered_off=("r3",)), "purpose": "recover"}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    document = _report.build(_report.Record(plan=plan, before=made.DRILL))
    (tmp_path / "report.json").write_text(json.dumps(document))
    (tmp_path / "report.html").touch()
    rows = made.done(plan, until="reset")
    (tmp_path / "actions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_report_of_a_killed_run_is_not_taken_for_its_end(
    killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(killed)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("====") and "HOW TO GO BACK" in out
    assert "before anything was done" in err and " actions were done. Last: 5." in err
    assert cli.main(["report", str(killed), "--html"]) == 0
    assert capsys.readouterr().out == f"{killed}/report.html\n"


@pytest.mark.parametrize(("outcome", "code"), [("recovered", 0), ("refused", 3), ("failed", 1), ("not_redundant", 0)])
def test_a_report_ends_as_its_run(outcome: str, code: int, killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads((killed / "report.json").read_text())
    document["verdict"]["outcome"] = outcome
    (killed / "report.json").write_text(json.dumps(document))
    assert cli.main(["report", str(killed), "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == document and not err


def test_the_folder_of_a_diagnosis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = _diagnose.diagnose(made.DRILL, _rules.load())
    (tmp_path / "diagnosis.json").write_text(json.dumps(document))
    assert cli.main(["report", str(tmp_path)]) == 4
    assert "quorum" in capsys.readouterr().out


def test_another_folder_tells_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "changes.jsonl").touch()
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "changes.jsonl" in capsys.readouterr().out


def test_no_such_folder(tmp_path: Path) -> None:
    assert cli.main(["status", "--output", str(tmp_path / "gone")]) == 2
    assert cli.main(["report", str(tmp_path / "gone")]) == 2 == cli.main(["report", str(tmp_path)])


# Going on


def outcome_of(path: Path) -> str:
    run = runs.read(path, NOW)
    assert run
    return run.outcome


def recorded(path: Path, *argv: str, pid: int | None = None) -> None:
    command.save(str(path), argv)
    if pid:
        record = json.loads((path / command.FILE).read_text())
        (path / command.FILE).write_text(json.dumps(record | {"pid": pid}))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        calls.append((name, arguments.inventory, variables, os.getcwd(), arguments.argv))
        return remote.Outcome(failures=["no"])

    monkeypatch.setattr(remote, "play", play)
    monkeypatch.chdir(tmp_path)
    return calls


ARGV = ("recover", "-i", "prod.yml", "--confirm", "prod", "--plan-id", "abc", "-e", "requorum_plan_id=abc", "-e", "x=1")


def test_resume_types_the_same_command_again_without_the_plan_that_is_no_more(
    played: list[tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(folder(tmp_path / "recoveries", "failed", [action(0)]), *ARGV, pid=2**30)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli.main(["resume", "--output", "../recoveries"]) == 1
    assert played == [("recover", "prod.yml", {"x": "1", "requorum_confirm": "prod"}, str(tmp_path), list(ARGV))]


def test_a_run_whose_process_lives_is_left_alone(
    played: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder(tmp_path / "recoveries", "planned", [action(0)])
    recorded(path, *ARGV)
    assert cli.main(["resume", "prod"]) == 5 and not played
    assert "still goes on, in process" in capsys.readouterr().err
    assert outcome_of(path) == "running"
    recorded_at = json.loads((path / command.FILE).read_text())
    (path / command.FILE).write_text(json.dumps(recorded_at | {"host": "other"}))
    assert outcome_of(path) == "unfinished"


@pytest.mark.parametrize(("argv", "outcome"), [(ARGV, "unfinished"), (ARGV[:3], "not confirmed")])
def test_a_confirmed_run_that_was_killed_before_its_first_action(
    argv: tuple[str, ...], outcome: str, tmp_path: Path
) -> None:
    path = folder(tmp_path, "planned")
    recorded(path, *argv, pid=2**30)
    assert outcome_of(path) == outcome


@pytest.mark.parametrize(
    ("outcomes", "words", "said"),
    [
        ({"prod": "recovered"}, (), "No run is unfinished"),
        ({"prod": "failed", "test": "failed"}, (), "Name the cluster: runs of prod, test"),
        ({"prod": "failed"}, ("test",), "No run of test is unfinished"),
        ({"prod": "failed"}, (), "was not started by this command. Type it again: type this"),
    ],
)
def test_what_cannot_go_on(
    outcomes: dict[str, str], words: tuple[str, ...], said: str, played: list[tuple[Any, ...]], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for cluster, outcome in outcomes.items():
        folder(tmp_path / "recoveries", outcome, [action(0)], cluster=cluster)
    assert cli.main(["resume", *words]) in (1, 2) and not played
    assert said in capsys.readouterr().err
