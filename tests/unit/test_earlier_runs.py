# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of earlier runs, with files in them that cannot be read: no traceback, and never taken for empty ones."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_check, recovery_plan
from ansible_collections.requorum.cluster.plugins.module_utils import _distro, _lock, _turns
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups, _earlier_runs, _run_folder
from tests.unit.runs import entry

JSON = dict[str, Any]
OLD, NEW = "20261101T000000Z", "20261102T000000Z"


def forbidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is played."""
    whole = builtins.open

    def opened(file: Any, *args: Any, **options: Any) -> Any:
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(file, *args, **options)

    monkeypatch.setattr(builtins, "open", opened)


def torn(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('{"plan_id": "aaaa\n')


def other(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('["a list"]\n')


def binary(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def folder(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()


Spoil = Callable[[Path, pytest.MonkeyPatch], None]
spoiled = pytest.mark.parametrize("spoil", [forbidden, torn, other, binary, folder])


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Two runs that changed something, and what else may lie there."""
    for stamp, plan_id in ((OLD, "aaaaaaaaaaaa"), (NEW, "bbbbbbbbbbbb")):
        run = tmp_path / "prod" / stamp
        run.mkdir(parents=True)
        plan = {"purpose": "recover", "plan_id": plan_id, "stamp": stamp, "cluster": "prod", "case": "quorum_lost"}
        (run / "plan.json").write_text(json.dumps(plan))
        (run / "actions.jsonl").write_text('{"phase": 5, "result": "done"}\n')
        (run / "state-before.json").write_text('{"nodes": []}')
    (tmp_path / "prod" / "zz-note.txt").write_text("a file of somebody")
    return tmp_path / "prod"


def planning(shelf: Path) -> recovery_plan.ActionModule:
    action = object.__new__(recovery_plan.ActionModule)
    action._task = SimpleNamespace(args={"output": str(shelf.parent), "cluster": "prod"})
    return action


@spoiled
@pytest.mark.parametrize("name", ["plan.json", "actions.jsonl"])
def test_a_rollback_names_the_file_and_takes_no_older_run(
    name: str, spoil: Spoil, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _earlier_runs.record(str(shelf))
    assert found and found.stamp == NEW
    spoil(shelf / NEW / name, monkeypatch)
    with pytest.raises(RequorumError) as error:
        _earlier_runs.record(str(shelf))
    assert f"{shelf / NEW / name} cannot be read: " in str(error.value) and "move the folder" in str(error.value)


@spoiled
@pytest.mark.parametrize("name", ["plan.json", "actions.jsonl", "state-before.json"])
def test_verify_compares_with_the_run_before_and_says_so(
    name: str, spoil: Spoil, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(cluster_check, "display", SimpleNamespace(warning=told.append))
    action = object.__new__(cluster_check.ActionModule)
    action._task = SimpleNamespace(args={"output": str(shelf.parent), "cluster": "prod"})
    assert action._before() == (str(shelf / NEW), {}) and told == []
    spoil(shelf / NEW / name, monkeypatch)
    assert action._before() == (str(shelf / OLD), {})
    assert len(told) == 1 and str(shelf / NEW / name) in told[0]


@spoiled
def test_a_plan_that_was_seen_is_found_beside_one_that_cannot_be_read(
    spoil: Spoil, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(shelf / NEW / "plan.json", monkeypatch)
    now = {"plan_id": "cccccccccccc", "purpose": "recover", "case": "quorum_lost", "survivor": "r2"}
    assert "the survivor was none, now r2" in _earlier_runs.since(str(shelf), "aaaaaaaaaaaa", now)
    said = _earlier_runs.since(str(shelf), "bbbbbbbbbbbb", now)
    assert f"no plan with that id lies in {shelf}" in said
    assert _earlier_runs.since(str(shelf), "cccccccccccc", now) == _earlier_runs.since(str(shelf), "", now) == ""


def test_a_folder_that_may_not_be_listed_is_named(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(_path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_run_folder.os, "listdir", listed)
    for read in (_backups.of_runs, _run_folder.earlier):
        with pytest.raises(RequorumError, match=f"{shelf} cannot be read: Permission denied"):
            cast("Any", read)(str(shelf))


def test_what_is_not_there_is_no_fault(shelf: Path) -> None:
    assert _run_folder.earlier(str(shelf / "nowhere")) == []
    assert _run_folder.earlier(str(shelf / "zz-note.txt")) == []
    assert _run_folder.earlier(str(shelf)) == [str(shelf / NEW), str(shelf / OLD)]
    for where in (shelf / "nowhere", shelf / "zz-note.txt"):
        assert _run_folder.load(str(where), "plan.json", {}) == {}
        assert _run_folder.lines(str(where / "actions.jsonl")) == []
    assert _backups.of_runs(str(shelf / "zz-note.txt")) == []


def test_a_run_that_was_killed_in_its_first_action_is_the_last_one(shelf: Path) -> None:
    """Only its lock tells that it has touched a host."""
    (shelf / NEW / "actions.jsonl").write_text("")
    found = _earlier_runs.record(str(shelf))
    assert found and found.stamp == OLD
    (shelf / NEW / _lock.FILE).write_text('{"id": "abc", "nodes": [], "tried": ["r1"]}')
    found = _earlier_runs.record(str(shelf))
    assert found and found.stamp == NEW


def test_a_snapshot_is_left_alone_once_an_earlier_run_has_reset_the_cluster(shelf: Path) -> None:
    told: list[str] = []
    action = planning(shelf)
    action._task.args |= {"servers": ["r1", "r2", "r3"], "snapshot": "newest"}
    action.warn, action._choose = told.append, lambda word, entries: pytest.fail(f"{word} was looked for")
    begun = [entry("healthy"), entry("healthy", "r2"), entry("healthy", "r3")]
    begun[0]["files"] = [*begun[0]["files"], "/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml"]
    case, chosen = action._judged(begun)
    assert case.kind == "healthy" and chosen is None
    assert [line for line in told if line.startswith("requorum_snapshot is left alone")] == told != []


@pytest.mark.parametrize("left", [{}, {"lock": {"age": "700", "id": "abc"}}])
def test_a_lock_that_a_killed_run_has_left_is_let_go_by_the_next_one(left: JSON, shelf: Path) -> None:
    """It was killed when nothing else was left to be done: only a run that has something to do takes the lock over."""
    hosts = [entry("healthy", name) for name in ("r1", "r2", "r3")]
    action = planning(shelf)
    action._task.args |= {"servers": ["r1", "r2", "r3"]}
    case, chosen = action._judged([*hosts[:2], {**hosts[2], **left}])
    ask = _turns.Ask("prod", [*hosts[:2], {**hosts[2], **left}], [], tokens={"hosts": {}, "kept": [], "refused": []})
    _case, plan = action._recovery(case, _distro.DISTROS["rke2"], ask, chosen, [])
    verbs = [made.verb for made in plan.actions]
    assert (case.kind, plan.refusals) == ("healthy", ())
    assert ("release" in verbs and verbs[-1] == "verify" and "stop" not in verbs) if left else verbs == []
