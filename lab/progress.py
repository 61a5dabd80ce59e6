# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program with a time limit; tell people what is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BEGIN = time.monotonic()
_PRINTING = threading.Lock()


class LabError(Exception):
    """What went wrong in the lab, said so that a person can act on it."""


@dataclass(frozen=True)
class Done:
    """A program that ended."""

    rc: int
    out: str
    err: str

    def ok(self, what: str) -> Done:
        """Return self, or raise LabError naming `what` and the last lines of the output."""
        if self.rc != 0:
            said = "\n".join((self.err.strip() or self.out.strip()).splitlines()[-15:])
            raise LabError(f"{what} failed (exit code {self.rc}): {said}")
        return self


def run(argv: Sequence[str], *, timeout: float, stdin: str | bytes | None = None,
        env: dict[str, str] | None = None) -> Done:
    """Run argv to its end; expiry of `timeout` is exit code 124, a missing program 127."""
    # No input is empty input: nothing here may read the terminal.
    data = stdin.encode() if isinstance(stdin, str) else stdin or b""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=timeout, check=False, env=env, input=data)
    except subprocess.TimeoutExpired as expired:
        out: bytes = expired.stdout or b""
        err: bytes = expired.stderr or b""
        said = f"no end after {timeout:.0f} s: {' '.join(argv)[:300]}"
        return Done(124, out.decode(errors="replace"), f"{err.decode(errors='replace')}\n{said}")
    except FileNotFoundError:
        return Done(127, "", f"{argv[0]}: not found")
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def say(text: str) -> None:
    """Print a progress line with the seconds since the program began."""
    with _PRINTING:
        print(f"[{time.monotonic() - _BEGIN:6.1f} s] {text}", file=sys.stderr, flush=True)


def minutes(seconds: float) -> str:
    """125 -> '2 min 05 s'."""
    whole = int(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def wait_for(what: str, probe: Callable[[], tuple[bool, str]], deadline: float, *, poll: float = 1.0,
             tell: float = 5.0, explain: Callable[[], str] = lambda: "") -> None:
    """Call `probe` -> (done, seen) until it is done; print every `tell` seconds; raise LabError at the deadline."""
    begin = told = time.monotonic()
    while True:
        done, seen = probe()
        now = time.monotonic()
        if done:
            if now - begin >= 1:
                say(f"{what}: {seen} after {minutes(now - begin)}")
            return
        if now - begin > deadline:
            said = explain()
            raise LabError(f"{what}: not within {minutes(deadline)}; last seen: {seen}" + (f"\n{said}" if said else ""))
        if now - told >= tell:
            told = now
            say(f"waiting for {what} ({minutes(now - begin)} of {minutes(deadline)}): {seen}")
        time.sleep(poll)
