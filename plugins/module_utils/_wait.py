# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Waiting that never hangs and never is silent."""

from __future__ import annotations

import re
import time
import typing as t

EVERY, SAY_EVERY = 0.5, 5.0
_LINE = re.compile(r"waiting (\d+) s of (\d+) s: (.*?); seen last: (.*)", re.S)


class Waiting(t.NamedTuple):
    """What a wait says of itself."""

    waited: int
    seconds: int
    what: str
    seen: str

    @property
    def line(self) -> str:
        """For people."""
        return f"waiting {self.waited} s of {self.seconds} s: {self.what}; seen last: {self.seen}"

    @classmethod
    def of(cls, text: str) -> Waiting | None:
        """Back from its line."""
        found = _LINE.fullmatch(text)
        return cls(int(found[1]), int(found[2]), found[3], found[4]) if found else None


class Expired(Exception):
    """The deadline passed; `seen` is what was seen last."""

    def __init__(self, what: str, seconds: float, seen: str) -> None:
        super().__init__(f"{what}: not within {seconds:.0f} s. Seen last: {seen}.")
        self.seen = seen


def wait(
    what: str,
    probe: t.Callable[[], tuple[bool, str]],
    *,
    seconds: float,
    say: t.Callable[[str], None],
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> str:
    """Call `probe() -> (done, what was seen)` until it is done; every 5 s say what for and what was seen last."""
    begun = spoken = clock()
    while True:
        done, seen = probe()
        now = clock()
        if done:
            return seen
        if now - begun >= seconds:
            raise Expired(what, seconds, seen)
        if now - spoken >= SAY_EVERY:
            say(Waiting(round(now - begun), round(seconds), what, seen).line)
            spoken = now
        sleep(EVERY)
