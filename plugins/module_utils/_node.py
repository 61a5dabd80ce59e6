# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The one seam to a node: run a shell script there, get rc, out and err.

Whoever implements `Node` (an Ansible connection in the action plugins, a local shell in tests) sends `command()` and
gives the raw output to `result()`. The output is framed by a word that changes with every call: a login banner before
it, whatever its last line, does no harm, and an answer that was cut off is told apart from an empty one.
"""

from __future__ import annotations

import base64
import secrets
import shlex
import time
import typing as t
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import _bbolt, _root

SCRIPTS = Path(__file__).parent / "sh"
DRAIN = 60
"""Seconds in which what a script has not read of its stdin must have come in."""
BRIEF = 60
"""Seconds for which a script needs no more than one sign of life, at its beginning."""
LOST = 87
"""Exit code where another run has the lock of the node; nothing was run."""


@dataclass(frozen=True)
class Done:
    """What a script did. `rc` 124 = its deadline passed, -1 = the answer is incomplete: both mean *unknown*.

    With -1, `err` is what was said in place of the script's beginning; empty where it was cut off later.
    """

    rc: int
    out: str
    err: str
    came: float = field(default_factory=time.time, compare=False)
    """When it was given, Unix seconds by the controller's clock."""

    @property
    def known(self) -> bool:
        """Whether the script ran to its end; nothing may be concluded from one that did not."""
        return self.rc not in (-1, 124, 137)

    @property
    def why(self) -> str:
        """The reason of a failure in one line."""
        if self.rc == -1 and not self.err:
            return "the answer of the node was cut off"
        if self.rc in (-1, 127) and (known := _root.why(self.err)):
            return known
        if self.rc in (124, 137):
            return _root.LATE
        text = (self.err.strip() or self.out.strip()).splitlines()
        if not text:
            return f"exit code {self.rc} without a word"
        # It may be anything, as of a host that is none of ours: bytes that are no text, a terminal's commands.
        return "".join(letter if letter.isprintable() else "?" for letter in text[-1][:300])


class Node(t.Protocol):
    """A host on which scripts run as root under /bin/sh."""

    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> Done: ...


@dataclass(frozen=True)
class Question:
    """A script of sh/ that only reads, the seconds that it has, and what becomes shell variables for it."""

    name: str
    timeout: int
    variables: t.Mapping[str, str] = field(default_factory=dict)


def script(name: str, **variables: str) -> str:
    """Text of sh/<name>.sh behind the common head; `variables` become shell variables. Secrets go through stdin."""
    return _set(variables) + _text("common") + _text(name)


def _text(name: str) -> str:
    return (SCRIPTS / f"{name}.sh").read_text("utf-8")


def _set(variables: t.Mapping[str, str]) -> str:
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in sorted(variables.items()))


SINGLY = 86
"""Exit code where a node cannot be asked several questions at a time: it has no `base64`."""


def together(questions: t.Sequence[Question], mark: str, **variables: str) -> str:
    """One script that asks all of them side by side, for `apart`; `variables` are set for each.

    In base64, since each of the shells on the way to the node would make five letters of every quote.
    """
    calls = []
    for question in questions:
        own = base64.b64encode((_set(question.variables) + _text(question.name)).encode()).decode()
        calls += [question.name, str(question.timeout), own]
    head = base64.b64encode((_set(variables) + _text("common")).encode()).decode()
    return f"{_set({'MARK': mark, 'HEAD': head})}{_text('together')}all {' '.join(calls)}\n"


def apart(done: Done, mark: str, questions: t.Sequence[Question]) -> dict[str, Done]:
    """The answer to each question; none where all have to be asked one by one, since nothing is known of any.

    What is missing in an answer that was cut off has the reason of the whole.
    """
    if done.rc in (SINGLY, 124, 137):
        return {}
    # One that was given early lay on the node until those of the others were there too.
    found, clocks = dict[str, Done](), dict[str, float]()
    for part in f"\n{done.out}".split(f"\n{mark} ")[1:]:
        said, frame, end = part.partition(f"\n{mark}! ")
        name, _newline, out = said.partition("\n")
        head, _newline, err = end.partition("\n")
        words = head.split(" ")
        if frame and len(words) == 3 and words[0] == name and words[1].isdigit():
            found[name] = Done(int(words[1]), out.removesuffix("\n"), err)
            if words[2].replace(".", "", 1).isdigit():
                clocks[name] = float(words[2])
    last = max(clocks.values(), default=0.0)
    lost = Done(done.rc, "", done.err) if done.rc else Done(-1, "", "")
    known = {name: replace(answer, came=done.came - last + clocks.get(name, last)) for name, answer in found.items()}
    return {question.name: known.get(question.name, lost) for question in questions}


def new_mark() -> str:
    """A word that cannot stand in any output by chance."""
    return "requorum-" + secrets.token_hex(6)


def under(lock: str, shell: str) -> str:
    """A shell command in which `mine` and `held COMMAND` need the lock with this id, and give signs of life."""
    return f"LOCK={shlex.quote(lock)}\n{(SCRIPTS / 'held.sh').read_text('utf-8')}{shell}"


def command(text: str, mark: str, timeout: int, lock: str = "") -> str:
    """Shell command that runs `text` with a deadline, under the lock with this id if any, and frames its output.

    It ends only when its stdin has ended, whatever `text` has read of it: an ssh whose command is gone while it still
    writes is taken for a host that cannot be reached. A terminal never ends, so it is not waited for.
    """
    inner = f"timeout -k 5 {timeout} /bin/sh -c {shlex.quote(text)} requorum"
    drain = f"[ -t 0 ] || timeout {DRAIN} cat >/dev/null"
    needs = "" if not lock else "held " if timeout > BRIEF else "mine && "
    framed = f"echo; echo {mark}; {needs}{inner}; r=$?; {drain}; echo; echo {mark} $r"
    return under(lock, framed) if lock else framed


def result(mark: str, out: str, err: str) -> Done:
    """Take the frame off again."""
    lines = out.replace("\r\n", "\n").split("\n")
    starts = [index for index, line in enumerate(lines) if line == mark]
    ends = [index for index, line in enumerate(lines) if line.startswith(f"{mark} ")]
    rc = lines[ends[-1]].removeprefix(mark).strip() if ends else ""
    if not starts:
        return Done(-1, "", err.strip() or out.strip())
    if not rc.isdigit():
        return Done(-1, out, "")
    body = "\n".join(lines[starts[0] + 1 : ends[-1]])
    return Done(int(rc), body.removesuffix("\n"), err)


def pairs(text: str) -> dict[str, str]:
    """`key=value` lines; the last one of a key wins."""
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def moved_to(text: str) -> list[str]:
    """Where a script moved things: the second halves of its `moved=FROM|TO` lines."""
    return [entry.split("|")[1] for entry in many(text, "moved")]


def many(text: str, key: str) -> list[str]:
    """All values of a repeated key."""
    return [line.split("=", 1)[1] for line in text.split("\n") if line.startswith(f"{key}=")]


def read_many(node: Node, path: str) -> _bbolt.Answers:
    """Answers to requests about a file on a node, one round trip for all of them."""

    def read(requests: t.Sequence[_bbolt.Request]) -> list[bytes]:
        calls = "".join(f"{_call(request)}\n" for request in requests)
        done = node.run(script("pages", FILE=path) + calls, timeout=30)
        if done.rc != 0:
            raise OSError(f"{path} cannot be read: {done.why}")
        lines = (done.out + "\n").split("\n")[: len(requests)]
        return [b"".join(map(base64.b64decode, line.split())) for line in lines]

    return read


def once(answers: _bbolt.Answers) -> _bbolt.Answers:
    """The same, which asks the node only once for the same requests."""
    known: dict[tuple[_bbolt.Request, ...], list[bytes]] = {}

    def read(requests: t.Sequence[_bbolt.Request]) -> list[bytes]:
        key = tuple(requests)
        if key not in known:
            known[key] = answers(requests)
        return known[key]

    return read


def _call(request: _bbolt.Request) -> str:
    """One line for sh/pages.sh."""
    if isinstance(request, _bbolt.Tree):
        return f"tree {request.page} {request.page_size} {int(request.last)}"
    if isinstance(request, _bbolt.Tail):
        return f"end {shlex.quote(request.path)} {request.window}"
    return f"range {request.offset} {request.size}"
