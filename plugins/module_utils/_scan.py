# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Lines of logs that rules look for: all patterns that suit a log in one pass, in constant memory.

A regular expression is asked only of lines that hold words which it cannot do without (`_needles`); those are found by
`bytes.find`, at gigabytes a second. A match stays within its line. Strange bytes are no fault.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from . import _log_times, _needles, _timeline

JSON = dict[str, t.Any]
LONGEST = 256 << 10
"""A longer line is taken in pieces."""
TIMES, LAST, SHOWN = 1000, 4, 300
"""So many times are kept of a pattern, so many last lines beside the first, so many characters of a line."""


@dataclass(frozen=True)
class Pattern:
    """A regular expression within one line of the logs of some programs."""

    id: str
    sources: frozenset[str]
    regex: str


def patterns(rules: t.Iterable[t.Any]) -> list[Pattern]:
    """Those of rules; `<id>.clear` is what ends a finding."""
    found = []
    for rule in rules:
        if rule.logs:
            sources = frozenset(rule.logs.source)
            found.append(Pattern(rule.id, sources, rule.logs.pattern))
            if rule.logs.cleared_by:
                found.append(Pattern(f"{rule.id}.clear", sources, rule.logs.cleared_by))
    return found


def scanned(
    wanted: t.Sequence[Pattern], node: str | None, source: str, file: str, chunks: t.Iterable[bytes], *,
    end: str | None = None,
) -> tuple[JSON, list[JSON]]:  # fmt: skip
    """What was read of a log, and its hits, each as docs/state.schema.json has it.

    chunks: its bytes, cut anywhere. end: ISO time of the end of what was seen, from which a time without a year has it.
    """
    seekers = [_Seeker(pattern) for pattern in wanted if source in pattern.sources]
    clock, lines, size = _log_times.Clock(end), 0, 0
    first: str | None = None
    last: str | None = None
    for block in _blocks(chunks):
        size += len(block)
        first = first or clock.first(block)
        last = clock.last(block) or last
        marks = sorted({start for seeker in seekers for start in seeker.seek(block)})
        for number, at in _numbered(block, marks, lines):
            stop = block.find(b"\n", at)
            line = block[at : stop if stop >= 0 else len(block)]
            for seeker in seekers:
                if at in seeker.lines:
                    seeker.take(number, line, clock.of(block, at))
        lines += block.count(b"\n")
    about = {"node": node, "source": source, "file": file}
    hits = [{"pattern": seeker.pattern.id, **about, **seeker.found()} for seeker in seekers if seeker.count]
    return {**about, "lines": lines, "bytes": size, "first": first, "last": last}, hits


def _blocks(chunks: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """Whole lines, many at a time; a line that is too long is cut where it always would be."""
    left = b""
    for chunk in chunks:
        left += chunk
        cut = left.rfind(b"\n") + 1
        if cut:
            yield from _whole(left[:cut])
            left = left[cut:]
        while len(left) >= LONGEST:
            yield left[:LONGEST]
            left = left[LONGEST:]
    if left:
        yield from _whole(left + b"\n")


def _whole(block: bytes) -> t.Iterator[bytes]:
    """The block, parted where a line within it is too long."""
    start = begun = 0
    while len(block) - begun > LONGEST:
        stop = block.rfind(b"\n", begun, begun + LONGEST)
        if stop >= 0:
            begun = stop + 1
            continue
        if begun > start:
            yield block[start:begun]
        yield block[begun : begun + LONGEST]
        start = begun = begun + LONGEST
    yield block[start:]


def _numbered(block: bytes, starts: t.Iterable[int], before: int) -> t.Iterator[tuple[int, int]]:
    """The number of each of these lines, and where it begins."""
    number, at = before + 1, 0
    for start in starts:
        number += block.count(b"\n", at, start)
        at = start
        yield number, start


@dataclass
class _Seeker:
    """One pattern on its way through one log."""

    pattern: Pattern
    count: int = 0
    lines: set[int] = field(default_factory=set)
    """Where the lines of the present block begin that match."""
    kept: list[JSON] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    last: str | None = None

    def __post_init__(self) -> None:
        self.search = re.compile(self.pattern.regex.encode()).search
        self.needles, self.folded = _needles.of(self.pattern.regex)

    def seek(self, block: bytes) -> set[int]:
        """Where the lines begin that match."""
        self.lines = set()
        if not self.needles:
            at = 0
            while at < len(block):
                at = self._ask(block, at)
            return self.lines
        folded = block.lower() if self.folded else block
        for needle in self.needles:
            at = folded.find(needle)
            while at >= 0:
                at = folded.find(needle, self._ask(block, block.rfind(b"\n", 0, at) + 1))
        return self.lines

    def _ask(self, block: bytes, start: int) -> int:
        """One line; where the next one begins."""
        stop = block.find(b"\n", start)
        stop = stop if stop >= 0 else len(block)
        if start not in self.lines and self.search(block[start:stop]):
            self.lines.add(start)
        return stop + 1

    def take(self, number: int, line: bytes, time: str | None) -> None:
        """Keep what is shown of a match."""
        self.count += 1
        if time:
            self.last = max(self.last or time, time)
            if len(self.times) < TIMES:
                self.times.append(time)
        if len(self.kept) > LAST:
            del self.kept[1]
        self.kept.append({"line": number, "time": time, "text": line})

    def found(self) -> JSON:
        """As a hit has it; only lines that are shown are decoded and masked."""
        shown = [{**kept, "text": _text(kept["text"])} for kept in self.kept]
        return {
            "count": self.count,
            "first": min(self.times, default=None),
            "last": self.last,
            "times": self.times,
            "lines": shown,
        }


def _text(line: bytes) -> str:
    text = _timeline.mask(line[: 8 * SHOWN].decode(errors="replace").strip())
    return "".join(c if c.isprintable() else " " for c in text)[:SHOWN]
