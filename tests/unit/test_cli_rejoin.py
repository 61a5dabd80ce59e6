# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rejoin`: which variables it gives to the playbook, and which exit code comes of what."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _report_text
from requorum import cli, remote, turns

JSON = dict[str, Any]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> JSON:
    """What the playbook was given; its report says `outcome`, its gates `failures`."""
    seen: JSON = {"outcome": "done", "failures": [], "plan": True}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        (tmp_path / "report.json").write_text(json.dumps({"verdict": {"outcome": seen["outcome"]}}))
        results = {"recovery_plan": {"requorum_run_dir": str(tmp_path)}} if seen["plan"] else {}
        return remote.Outcome(results, list(seen["failures"]))

    monkeypatch.setattr(turns.remote, "play", play)
    monkeypatch.setattr(_report_text, "summary", lambda report, folder: f"{report['verdict']['outcome']} {folder}")
    return seen


def test_options_become_variables(played: JSON) -> None:
    words = "--replace r1 r4 --replace r2 r2 --remove r5 --only r4 --confirm prod -e requorum_survivor=r3"
    assert cli.main(["rejoin", "-i", "hosts.yml", *words.split()]) == 0
    assert (played["name"], played["inventory"], played["check"]) == ("rejoin", "hosts.yml", False)
    assert played["variables"] == {
        "requorum_replace": {"r1": "r4", "r2": "r2"}, "requorum_remove": ["r5"], "requorum_only": ["r4"],
        "requorum_confirm": "prod", "requorum_survivor": "r3",
    }  # fmt: skip


def test_nothing_is_given_that_was_not_typed(played: JSON) -> None:
    assert cli.main(["rejoin", "-i", "hosts.yml", "--check"]) == 0
    assert played["variables"] == {} and played["check"]


@pytest.mark.parametrize(
    "words", ["--replace r1 r4 --replace r1 r5", "--replace r1 r4 --replace r2 r4", "--replace r1"]
)
def test_usage(words: str, played: JSON) -> None:
    assert cli.main(["rejoin", "-i", "hosts.yml", *words.split()]) == 2
    assert "name" not in played


@pytest.mark.parametrize(
    ("outcome", "failures", "code"),
    [
        ("done", [], 0),
        ("healthy", [], 0),
        ("planned", [], 0),
        ("planned", ["requorum_confirm is empty"], 3),
        ("refused", ["no quorum"], 3),
        ("refused", ["Another run works on this cluster: anna on desk (locked)."], 5),
        ("planned", ["Another run works on this cluster: anna on desk (locked)."], 5),
        ("failed", ["it did not start"], 1),
    ],
)
def test_exit_code(
    outcome: str, failures: list[str], code: int, played: JSON, capsys: pytest.CaptureFixture[str]
) -> None:
    played.update(outcome=outcome, failures=failures)
    assert cli.main(["rejoin", "-i", "hosts.yml", "--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"verdict": {"outcome": outcome}}
    assert all(f"requorum: {line}" in err for line in failures)


def test_without_a_plan_the_failures_are_the_result(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played.update(plan=False, failures=["r1: Leave --limit out"])
    assert cli.main(["rejoin", "-i", "hosts.yml"]) == 1
    assert "Leave --limit out" in capsys.readouterr().err
