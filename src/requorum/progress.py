# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run is shown while it goes on: a picture on a terminal, plain lines elsewhere, JSON lines for programs.

All of it goes to standard error. What only reads says nothing in plain lines, so a schedule stays silent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from . import events
from .output import WIDTH, printable, wrapped

CUT = WIDTH - 1
ROOM = 14
"""Lines of hosts that a terminal of 24 has room for, beside the lines that stay."""


@dataclass
class Row:
    """What a host is at."""

    what: str
    since: float
    expect_s: float | None = None
    wait: events.Wait | None = None


@dataclass
class Picture:
    """All that is shown, as the events have made it."""

    title: str
    began: float
    phase: events.Phase | None = None
    plan: events.Plan | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    """Hosts that are at work."""
    ended: set[tuple[str, str]] = field(default_factory=set)
    silent: dict[str, None] = field(default_factory=dict)
    task: str = ""

    def hear(self, event: events.Event, now: float) -> None:
        """Something happened."""
        if isinstance(event, events.Phase):
            self.phase, self.rows = event, {}
        elif isinstance(event, events.Plan):
            self.plan = event
        elif isinstance(event, events.Task):
            self.task = event.name.partition(": ")[2] or event.name
        elif isinstance(event, events.Node) and event.state == "silent":
            self.silent[event.name] = None
        elif isinstance(event, events.Wait):
            row = self.rows.setdefault(event.node, Row(event.what, now - event.waited))
            row.wait = event
        elif isinstance(event, events.Action) and event.state == "begun":
            self.rows[event.node] = Row(event.what, now, event.expect_s)
        elif isinstance(event, events.Action):
            self.ended.add((event.node, event.what))
            self.rows.pop(event.node, None)

    def left(self, now: float) -> float | None:
        """Seconds that the plan still expects: hosts work side by side, phases and turns one after the other."""
        if not self.plan or not self.plan.actions:
            return None
        longest: dict[tuple[int, str], float] = {}
        for action in self.plan.actions:
            if (action["node"], action["what"]) in self.ended:
                continue
            row = self.rows.get(action["node"])
            gone = now - row.since if row and row.what == action["what"] else 0.0
            key = (action["phase"], "" if action.get("turn") else action["node"])
            longest[key] = longest.get(key, 0.0) + max(action["expect_s"] - gone, 0.0)
        phases = {phase for phase, _node in longest}
        return sum(max(left for (number, _n), left in longest.items() if number == phase) for phase in phases)

    def lines(self, now: float) -> Iterator[str]:
        """The part that is drawn over and over: at most 20 lines of 79 columns."""
        phase = f"({self.phase.number}/{self.phase.of}) {self.phase.name} | {self.phase.text}" if self.phase else ""
        yield cut(f"{self.title}  {phase}")
        times = f"{clock(now - self.began)} gone"
        left = self.left(now)
        if self.plan and left is not None:
            at = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
            times += f", {clock(self.plan.expect_s)} expected, about {clock(left)} left: done at {at}"
        yield cut(f"  {times}" + ("" if self.rows else f"; {self.task}" if self.task else ""))
        room = ROOM
        for number, (name, row) in enumerate(self.rows.items()):
            lines = list(_lines(name, row, now))
            if len(lines) > room:
                yield f"  and {len(self.rows) - number} more"
                break
            room -= len(lines)
            yield from lines
        if self.silent:
            yield cut(f"  do not answer: {', '.join(self.silent)}")
        yield "  Ctrl-C: end after the current action. Twice: at once."


def _lines(name: str, row: Row, now: float) -> Iterator[str]:
    expected = f" of about {row.expect_s:.0f} s" if row.expect_s else ""
    yield cut(f"  {name}  {now - row.since:.0f} s{expected}: {row.what}")
    if wait := row.wait:
        yield cut(f"    waits {wait.waited} of {wait.seconds} s: {wait.what}")
        yield cut(f"    seen last: {wait.seen}")


class Face(Protocol):
    """Shows a run; may be used by another thread than the one that made it."""

    def hear(self, event: events.Event) -> None: ...
    def say(self, text: str) -> None: ...
    def tick(self) -> None: ...
    def end(self) -> None: ...


class Json:
    """One line for each event."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def hear(self, event: events.Event) -> None:
        """The event, and when it was heard (Unix seconds)."""
        write(self._out, json.dumps({**event.document, "time": round(time.time(), 3)}))

    def say(self, text: str) -> None:
        """As an event."""
        write(self._out, json.dumps({"event": "note", "text": text, "time": round(time.time(), 3)}))

    def tick(self) -> None:
        """Nothing is drawn."""

    def end(self) -> None:
        """Nothing is drawn."""


class Lines:
    """Actions and waits, a line each, with the seconds since the start."""

    def __init__(self, out: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._began = out, clock, clock()
        self._phase = ""

    def hear(self, event: events.Event) -> None:
        """A line, for what is done and waited for; phases and tasks are told with what is done in them."""
        if isinstance(event, events.Phase):
            self._phase = f"({event.number}/{event.of}) {event.name}"
        for line in told(event, self._phase):
            self.say(line)

    def say(self, text: str) -> None:
        """A line."""
        write(self._out, f"{clock(self._clock() - self._began)}  {printable(text)}")

    def tick(self) -> None:
        """Nothing is drawn."""

    def end(self) -> None:
        """Nothing is drawn."""


class Screen(Lines):
    """What ended stands above and stays; what goes on is drawn below, and is gone at the end."""

    def __init__(self, title: str, out: IO[str]) -> None:
        from rich import console, live, text  # a third of the time that a command takes to start

        super().__init__(out)
        self._picture = Picture(title, self._began)
        self._text = text.Text
        self._console = console.Console(file=out, highlight=False, soft_wrap=True)
        self._live = live.Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False,
                               redirect_stderr=False, vertical_overflow="crop")  # fmt: skip
        self._live.start()

    def hear(self, event: events.Event) -> None:
        """As lines, but what only begins stands in the picture."""
        self._picture.hear(event, self._clock())
        begun = isinstance(event, events.Wait) or (isinstance(event, events.Action) and event.state == "begun")
        if not begun:
            super().hear(event)
        self.tick()

    def say(self, text: str) -> None:
        """Above the picture."""
        with contextlib.suppress(OSError):
            lines = wrapped(f"{clock(self._clock() - self._began)}  {text}", 6)
            style = "bold red" if " failed: " in text else ""
            self._live.console.print(self._text("\n      ".join(lines), style=style), soft_wrap=True)

    def tick(self) -> None:
        """Draw it anew."""
        lines = list(self._picture.lines(self._clock()))
        with contextlib.suppress(OSError):  # the terminal is gone, the run goes on
            self._live.update(self._text("\n".join(lines), style="dim"), refresh=True)

    def end(self) -> None:
        """Only the lines stay."""
        with contextlib.suppress(OSError):
            self._live.stop()


def face(title: str, *, as_json: bool, out: IO[str] | None = None) -> Face:
    """The one that fits where standard error goes."""
    out = out or sys.stderr
    if as_json:
        return Json(out)
    return Screen(title, out) if out.isatty() and os.environ.get("TERM", "dumb") != "dumb" else Lines(out)


def told(event: events.Event, phase: str = "") -> Iterator[str]:
    """What lines say of an event; most events say nothing."""
    if isinstance(event, events.Wait):
        yield f"{event.node}: waits {event.waited} of {event.seconds} s: {event.what}; seen last: {event.seen}"
    elif isinstance(event, events.Action) and event.state != "planned":
        name = " ".join(filter(None, (phase, event.node, event.id)))
        took = f" ({event.seconds:.1f} s)" if event.seconds is not None else ""
        how = event.result or "failed" if event.state == "failed" else f"{event.state}{took}"
        yield f"{name}  {event.what}: {how}"


def clock(seconds: Any) -> str:
    """`0:42`, `1:02:03`."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def cut(text: str) -> str:
    """One line of a terminal."""
    text = printable(text)
    return text if len(text) <= CUT else text[: CUT - 3] + "..."


def write(out: IO[str], line: str) -> None:
    """A line; a reader that is gone does not end the run."""
    with contextlib.suppress(OSError, ValueError):
        out.write(line + "\n")
        out.flush()
