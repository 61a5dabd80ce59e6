# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task tells a listener while it goes on, and that nothing begins once a run shall end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _events
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action


@pytest.fixture
def action(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    said: list[str] = []
    monkeypatch.setattr(_node_action.display, "display", said.append)
    made = object.__new__(_node_action.NodeAction)
    made.host = "r1"
    return made, said


def test_what_is_changed_is_told_to_who_listens(action: tuple[Any, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    made, said = action
    with made.acting("put", "Put it there"):
        pass
    assert said == []
    monkeypatch.setenv(_events.WANTED, "1")
    with made.acting("put", "Put it there"):
        pass
    with pytest.raises(ZeroDivisionError), made.acting("put", "token: abc"):
        raise ZeroDivisionError
    made.say("waiting 5 s of 10 s: x; seen last: y")
    told = [_events.read(line) for line in said]
    assert [(each["event"], each.get("state"), each.get("what")) for each in told if each] == [
        ("action", "begun", "Put it there"), ("action", "done", "Put it there"),
        ("action", "begun", "token: <hidden>"), ("action", "failed", "token: <hidden>"),
        ("said", None, None),
    ]  # fmt: skip
    assert {each["node"] for each in told if each} == {"r1"} and all("\n" not in line for line in said)


def test_nothing_begins_once_it_shall_end(
    action: tuple[Any, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made, _said = action
    monkeypatch.setenv(_events.STOP, str(tmp_path / "stop"))
    with made.acting("put", "Put it there"):
        (tmp_path / "stop").touch()  # what goes on goes on
    entered = False
    stopped = pytest.raises(RequorumError, match="stopped on request before this began: Put it there")
    with stopped, made.acting("put", "Put it there"):
        entered = True
    assert not entered


@pytest.mark.parametrize("line", ["", "ok: [r1]", "requorum-event ", "requorum-event []", "requorum-event {}"])
def test_other_lines_are_none(line: str) -> None:
    assert _events.read(line) is None
