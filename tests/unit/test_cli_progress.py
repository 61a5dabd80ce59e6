# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of a run while it goes on: what is left, lines of 79 columns, which face goes where."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from requorum import events, progress
from requorum.progress import Picture

JSON = dict[str, Any]


def action(phase: int, node: str, seconds: int, turn: str = "") -> JSON:
    return {"phase": phase, "node": node, "what": f"{phase} {node}", "expect_s": seconds, "turn": turn}


def plan(*actions: JSON) -> events.Plan:
    return events.Plan("abc", "prod", "quorum_lost", "r1", "", 60, (), tuple(actions), "/r")


def told(state: str, phase: int, node: str, **fields: Any) -> events.Action:
    return events.Action(state, f"{phase} {node}", "reset", node, f"{phase}.1", phase, **fields)


@pytest.mark.parametrize(
    ("plan_of", "heard", "left"),
    [
        ((), (), None),
        ((action(5, "r1", 20), action(7, "r2", 30), action(7, "r3", 10)), (), 50),
        ((action(5, "r1", 20), action(7, "r2", 30)), ((0, told("begun", 5, "r1")),), 42),
        ((action(5, "r1", 2), action(7, "r2", 30)), ((0, told("begun", 5, "r1")),), 30),  # it takes longer
        ((action(5, "r1", 20), action(7, "r2", 30)), ((0, told("done", 5, "r1")),), 30),
        ((action(7, "r2", 30, "r2"), action(7, "r3", 30, "r3")), (), 60),  # turns
        ((action(5, "r1", 20),), ((0, told("failed", 5, "r1")),), 0),
    ],
)
def test_what_is_left(plan_of: tuple[JSON, ...], heard: tuple[tuple[float, events.Event], ...], left: Any) -> None:
    picture = Picture("recover prod.yml", 0)
    picture.hear(plan(*plan_of), 0)
    for at, event in heard:
        picture.hear(event, at)
    assert picture.left(8) == left


def test_a_terminal_of_80_by_24_has_room_for_it() -> None:
    picture = Picture("recover prod.yml", 0)
    picture.hear(events.Phase(7, 9, "REJOIN", "Bring the other servers back as voters " * 3), 1)
    picture.hear(plan(*(action(7, f"r{n}", 30) for n in range(40))), 1)
    picture.hear(events.Node("r99", "silent", "no route"), 2)
    for number in range(40):
        picture.hear(told("begun", 7, f"r{number}", expect_s=30.0), 3)
    lines = list(picture.lines(12))
    assert len(lines) <= 20 and max(map(len, lines)) <= 79
    assert lines[0].startswith("recover prod.yml  (7/9) REJOIN | ") and lines[0].endswith("...")
    assert lines[1].startswith("  0:12 gone, 1:00 expected, about 0:21 left: done at ")
    assert lines[2] == "  r0  9 s of about 30 s: 7 r0"
    assert "and 26 more" in lines[-3] and "r99" in lines[-2] and "Ctrl-C" in lines[-1]


def test_a_wait_says_what_was_seen_last_until_its_action_ends() -> None:
    picture = Picture("recover", 0)
    picture.hear(told("begun", 6, "r1"), 0)
    picture.hear(events.Wait("r1", "its supervisor to answer /ping", 5, 600, "connection\x1b refused"), 5)
    assert list(picture.lines(6))[3:5] == [
        "    waits 5 of 600 s: its supervisor to answer /ping", "    seen last: connection\\x1b refused",
    ]  # fmt: skip
    picture.hear(told("done", 6, "r1"), 7)
    assert not [line for line in picture.lines(8) if "r1" in line]
    picture.hear(events.Wait("r2", "x", 10, 60, "y"), 20)  # of a task that is no action
    assert "  r2  11 s: x" in list(picture.lines(21))
    picture.hear(events.Phase(8, 9, "RESYNC", "Agents"), 22)
    assert not picture.rows


LINES = [
    (told("begun", 5, "r1"), "0:00  (5/9) RESET r1 5.1  5 r1: begun"),
    (told("done", 5, "r1", seconds=2.0, result="moved"), "0:00  (5/9) RESET r1 5.1  5 r1: done (2.0 s)"),
    (told("failed", 5, "r1", result="failed: no\nroom"), "0:00  (5/9) RESET r1 5.1  5 r1: failed: no\\nroom"),
    (events.Wait("r1", "x", 5, 60, "y"), "0:00  r1: waits 5 of 60 s: x; seen last: y"),
    (told("planned", 5, "r1"), ""),
    (events.Task("x"), ""),
    (events.Finding("x", "error", None, "y"), ""),
    (events.Node("r1", "silent"), ""),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_lines_tell_what_is_done_and_waited_for(event: events.Event, line: str) -> None:
    out = io.StringIO()
    face = progress.Lines(out, clock=lambda: 7.0)
    face.hear(events.Phase(5, 9, "RESET", "Make it"))
    face.hear(event)
    assert out.getvalue() == (f"{line}\n" if line else "")


def test_json_has_a_line_for_each_event() -> None:
    out = io.StringIO()
    face = progress.Json(out)
    face.hear(events.Phase(5, 9, "RESET", "Make it"))
    face.say("It ends.")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.pop("time") > 1e9 and first == {
        "event": "phase", "number": 5, "of": 9, "name": "RESET", "text": "Make it",
    }  # fmt: skip
    assert (second["event"], second["text"]) == ("note", "It ends.")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "term", "as_json", "kind"),
    [
        (io.StringIO(), "xterm", False, progress.Lines),
        (Terminal(), "dumb", False, progress.Lines),
        (Terminal(), "xterm", True, progress.Json),
        (Terminal(), "xterm", False, progress.Screen),
    ],
)
def test_faces(out: Any, term: str, as_json: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    face = progress.face("recover", as_json=as_json, out=out)
    face.hear(events.Phase(1, 9, "INSPECT", "Look"))
    face.tick()
    face.end()
    assert type(face) is kind


def test_a_reader_that_is_gone_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(Terminal):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setenv("TERM", "xterm")
    progress.Lines(Gone()).say("x")
    progress.Json(Gone()).say("x")


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (42.9, "0:42"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text
