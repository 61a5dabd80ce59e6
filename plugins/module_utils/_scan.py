# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Lines of logs that rules look for: all patterns in one pass, in constant memory, whatever the bytes are.

A line ends with a line feed. NUL bytes, which a power loss leaves in files, are dropped. A line of more than 32 KiB is
asked in pieces; one of more than 256 KiB may count several times. docs/performance.md has the figures, and
bench/scan.py the other ways that were measured.
"""

from __future__ import annotations

import collections
import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from . import _jmes, _scan_sieve, _scan_times, _timeline

JSON = dict[str, t.Any]

BLOCK = 256 << 10
"""Bytes that are looked at together."""
LINE = 32 << 10
"""Bytes of a line that are asked together."""
TIMES = 1000
"""A hit keeps so many, the newest."""
TAIL = 4
WIDTH = 300
"""Characters of a line that are shown."""
_NEAR = 4096
"""Bytes at a block's end in which its last time is looked for first."""
_KEPT = 4096
"""Bytes of a line of which those are made."""
_DAY, _YEAR = timedelta(days=1), timedelta(days=365)
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Pattern:
    """A regular expression within one line of the logs of some programs."""

    id: str
    sources: frozenset[str]
    regex: str
    """Of Python's re, over bytes: `.` is one byte, `\\w` ASCII."""


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


def scanned(wanted: t.Sequence[Pattern], node: str | None, source: str, file: str, chunks: t.Iterable[bytes], *,
            end: str | None = None) -> tuple[JSON, list[JSON]]:  # fmt: skip
    """What was read of a log, and its hits, in the order of the patterns.

    A hit has the count of its lines, the times of the newest 1000, and the first and the last four lines, masked. A
    line without a time has that of the line before. end: ISO time after which nothing was written; it tells the year
    where lines do not.
    """
    mine = [pattern for pattern in wanted if source in pattern.sources]
    regexes = tuple(pattern.regex.encode() for pattern in mine)
    sieve, searches = _scan_sieve.of(regexes), [re.compile(regex).search for regex in regexes]
    found = [_Found() for _pattern in mine]
    clock, count, size, ended = _Clock(_scan_times.parsed(end)), 0, _Size(), True
    for block, ended in blocks(size.counted(chunks)):
        clock.begins(block)
        suspects = sieve.suspects(block) if mine else ()
        lines = block.split(b"\n") if suspects else ()
        for number, owners in suspects:
            line = lines[number].removesuffix(b"\r")
            for owner in owners:
                if match := searches[owner](line) if len(line) <= LINE else _in_pieces(searches[owner], line):
                    found[owner].add(count + number + 1, clock.at(lines, number), line, match.span())
        count += block.count(b"\n") + ended
        clock.ends(block)
    log = {"node": node, "source": source, "file": file, "lines": count + (not ended), "bytes": size.total,
           "first": _iso(clock.first), "last": _iso(clock.last)}  # fmt: skip
    hits = [{"pattern": pattern.id, "node": node, "source": source, "file": file, **each.told()}
            for pattern, each in zip(mine, found, strict=True) if each.count]  # fmt: skip
    return log, hits


def young(hit: JSON, since: float) -> int:
    """Lines of a hit since then (Unix seconds); of a line without a time nobody knows that it is old.

    Those beyond the newest 1000 count where all of these do.
    """
    dated = [at for at in map(_jmes.seconds, hit["times"]) if at is not None]
    recent = sum(at >= since for at in dated)
    return recent + (hit["count"] - len(dated) if len(dated) < TIMES or recent == len(dated) else 0)


def blocks(given: t.Iterable[bytes]) -> t.Iterator[tuple[bytes, bool]]:
    """Whole lines without the last line feed, and whether they end there; the same in whatever chunks they come."""
    rest = b""
    for piece in _pieces(given):
        piece = piece.translate(None, b"\0") if b"\0" in piece else piece
        cut = piece.rfind(b"\n")
        if cut >= 0:
            yield rest + piece[:cut], True
            rest = piece[cut + 1 :]
        else:
            rest += piece
        if len(rest) >= BLOCK:
            yield rest, False
            rest = b""
    if rest:
        yield rest, True


def _in_pieces(search: t.Callable[..., re.Match[bytes] | None], line: bytes) -> re.Match[bytes] | None:
    """An expression may take the square of a line's length."""
    found = (search(line, at, at + LINE) for at in range(0, len(line), LINE))
    return next(filter(None, found), None)


def _pieces(given: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """The same bytes in pieces of one size."""
    held, size = list[bytes](), 0
    for chunk in given:
        at = 0
        while size + len(chunk) - at >= BLOCK:
            part = chunk[at : at + BLOCK - size]
            at += len(part)
            yield b"".join((*held, part))
            held, size = [], 0
        if at < len(chunk):
            held.append(chunk[at:])
            size += len(chunk) - at
    if held:
        yield b"".join(held)


class _Size:
    """Counts bytes on their way."""

    def __init__(self) -> None:
        self.total = 0

    def counted(self, given: t.Iterable[bytes]) -> t.Iterator[bytes]:
        """The same chunks."""
        for chunk in given:
            self.total += len(chunk)
            yield chunk


class _Clock:
    """Times of a log's lines: of their own, or of the nearest line before."""

    def __init__(self, end: datetime | None) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._limit = end + _DAY if end else None
        self._told = False
        self._asked = -1

    def begins(self, block: bytes) -> None:
        """A new block. A year that the first one tells is better than the one that `end` tells."""
        self._asked = -1
        if not self._told:
            self._told = True
            year = next(filter(None, map(_scan_times.moment, _scan_times.candidates(block))), None)
            self._limit = year - _DAY + _YEAR if year else self._limit

    def at(self, lines: t.Sequence[bytes], number: int) -> datetime | None:
        """Of a line of this block; numbers must not fall."""
        for before in range(number, self._asked, -1):
            if at := self._moment(lines[before]):
                self.last = at
                break
        self._asked = number
        return self.last

    def ends(self, block: bytes) -> None:
        """The block's last time, and the log's first one."""
        near = block[-_NEAR:].split(b"\n")[1:]  # the first of them is cut
        for lines in (near, _scan_times.candidates(block)):
            if last := collections.deque(self._times(lines), maxlen=1):
                self.last = last[0]
                self.first = self.first or next(self._times(_scan_times.candidates(block)))
                return

    def _times(self, lines: t.Iterable[bytes]) -> t.Iterator[datetime]:
        return filter(None, map(self._moment, lines))

    def _moment(self, line: bytes) -> datetime | None:
        return _scan_times.moment(line, self._limit)


@dataclass
class _Found:
    """Lines that one pattern found."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None
    times: collections.deque[datetime] = field(default_factory=lambda: collections.deque(maxlen=TIMES))
    head: JSON | None = None
    tail: collections.deque[tuple[int, datetime | None, bytes, tuple[int, int]]] = field(
        default_factory=lambda: collections.deque(maxlen=TAIL)
    )

    def add(self, number: int, at: datetime | None, line: bytes, span: tuple[int, int]) -> None:
        self.count += 1
        if at:
            self.times.append(at)
            self.first = at if self.first is None or at < self.first else self.first
            self.last = at if self.last is None or at > self.last else self.last
        if self.head is None:
            self.head = _line(number, at, line, span)
        else:
            self.tail.append((number, at, line[:_KEPT], span))

    def told(self) -> JSON:
        return {
            "count": self.count,
            "first": _iso(self.first),
            "last": _iso(self.last),
            "times": [_scan_times.stamp(at) for at in self.times],
            "lines": [self.head, *(_line(*each) for each in self.tail)],
        }


def _line(number: int, at: datetime | None, line: bytes, span: tuple[int, int]) -> JSON:
    return {"line": number, "time": _iso(at), "text": shown(line[:_KEPT], *span)}


def shown(line: bytes, begin: int, end: int) -> str:
    """A line for people: masked, printable, and where it is long, its beginning and what matched in it."""
    text = _timeline.mask(_clean(line))
    if len(text) <= WIDTH or end <= WIDTH:
        return text[:WIDTH]
    at = text.find(_clean(line[begin:end])[:80])
    if at < WIDTH - 80:
        return text[:WIDTH]
    head = text[: WIDTH // 3]
    return (f"{head} ... " + text[max(len(head), at - 60) :])[:WIDTH]


def _clean(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    if text.isprintable():
        return text
    text = _ESCAPE.sub("", text).replace("\t", " ")
    return "".join(filter(str.isprintable, text))


def _iso(at: datetime | None) -> str | None:
    return _scan_times.stamp(at) if at else None
