# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which lines of a log may match which of many regular expressions, found at some hundred MB/s.

A log says the same few hundred things again and again, with other numbers. So a line is brought down to its shape:
small letters, without digits and hexadecimal letters, which leaves nothing of times, addresses, IDs and hashes. Shapes
that were seen before need no second look; new ones are searched for the text without which an expression cannot match,
which `bytes.find` does at some GB/s. All of it only sorts out: whether a line matches, the expression itself says.
"""

from __future__ import annotations

import functools
import re
import typing as t

# It is not public, and says what re itself makes of an expression. Where it changes, every line is asked.
_parser: t.Any = getattr(re, "_parser", None)

LIMIT = 1 << 20
"""Bytes of shapes that are remembered, each counted with 100 more."""
_SHORTEST = 3
"""A shorter text is everywhere."""
_MOST = 16
"""Texts that are told one by one."""
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_LOWER = bytes(range(256)).lower()
_DROPPED = b"0123456789abcdefABCDEF"

Items = t.Iterable[tuple[t.Any, t.Any]]


def shape(text: bytes) -> bytes:
    """What is left of lines; a text in a line has its shape in the line's, in whatever case."""
    return text.translate(_LOWER, _DROPPED)


def needed(regex: bytes) -> tuple[bytes, ...]:
    """Shapes of which every line that matches has one at least; none where that cannot be said."""
    try:
        best = max(_clauses(_parser.parse(regex)), key=_worth)
    except (AttributeError, TypeError, ValueError):
        return ()
    return best if min(map(len, best)) >= _SHORTEST else ()


def _worth(clause: tuple[bytes, ...]) -> int:
    """Long texts are rare, and few are sought faster than many."""
    return min(map(len, clause)) - len(clause)


def _clauses(items: Items) -> t.Iterator[tuple[bytes, ...]]:
    """Each: one of these shapes is in every match."""
    runs = [b""]
    for name, value in _flat(items):
        texts = _texts(name, value)
        if texts and len(runs) * len(texts) <= _MOST:
            runs = [run + text for run in runs for text in texts]
            continue
        yield _shapes(runs)
        runs = [b""]
        if name == "BRANCH":
            yield _shapes(text for way in value[1] for text in max(_clauses(way), key=_worth))
        elif name in _REPEATS and value[0] > 0:
            yield from _clauses(value[2])
    yield _shapes(runs)


def _shapes(texts: t.Iterable[bytes]) -> tuple[bytes, ...]:
    """Without those that hold another one."""
    found = {shape(text) for text in texts}
    return tuple(sorted(each for each in found if not any(other in each for other in found - {each})))


def _texts(name: str, value: t.Any) -> list[bytes]:
    """All that a part of an expression can be, where that is a few texts; else nothing."""
    if name == "LITERAL":
        return [bytes([value])]
    if name == "IN" and all(str(code) == "LITERAL" for code, _byte in value):
        return [bytes([byte]) for _code, byte in value]
    if name == "BRANCH":
        ways = [_all(way) for way in value[1]]
        return [text for way in ways for text in way] if all(ways) else []
    if name in _REPEATS and tuple(value[:2]) == (0, 1) and (texts := _all(value[2])):
        return [b"", *texts]
    return []


def _all(items: Items) -> list[bytes]:
    runs = [b""]
    for name, value in _flat(items):
        runs = [run + text for run in runs for text in _texts(name, value)]
        if not 0 < len(runs) <= _MOST:
            return []
    return runs


def _flat(items: Items) -> t.Iterator[tuple[str, t.Any]]:
    """What follows one another, without groups and anchors."""
    for code, value in items:
        name = str(code)
        if name in ("SUBPATTERN", "ATOMIC_GROUP"):
            yield from _flat(value[-1] if name == "SUBPATTERN" else value)
        elif name != "AT":
            yield name, value


class Sieve:
    """Of some expressions; it remembers shapes from log to log, and is for one thread."""

    def __init__(self, regexes: t.Sequence[bytes]) -> None:
        self._owners: dict[bytes, list[int]] = {}
        loose = []
        for number, regex in enumerate(regexes):
            texts = needed(regex)
            for text in texts:
                self._owners.setdefault(text, []).append(number)
            if not texts:
                loose.append(number)
        self.loose = tuple(loose)
        """Expressions that every line may match: slow."""
        self._seen: set[bytes] = set()
        self._known: dict[bytes, tuple[int, ...]] = {}
        self._size = 0

    def suspects(self, block: bytes) -> list[tuple[int, tuple[int, ...]]]:
        """Lines of a block by number, from 0, and the numbers of the expressions that each may match, in order."""
        if self._size > LIMIT:
            self._seen, self._known, self._size = set(), {}, 0
        shapes = shape(block).split(b"\n")
        if fresh := set(shapes) - self._seen:
            self._learn(fresh)
        known, loose = self._known, self.loose
        if loose:
            return [(number, known.get(each, loose)) for number, each in enumerate(shapes)]
        if known.keys().isdisjoint(shapes):
            return []
        return [(number, known[each]) for number, each in enumerate(shapes) if each in known]

    def _learn(self, fresh: set[bytes]) -> None:
        text = b"\n".join(fresh)
        self._size += len(text) + 100 * len(fresh)
        found: dict[bytes, set[int]] = {}
        for part, owners in self._owners.items():
            at = text.find(part)
            while at >= 0:
                end = text.find(b"\n", at)
                end = len(text) if end < 0 else end
                found.setdefault(text[text.rfind(b"\n", 0, at) + 1 : end], set(self.loose)).update(owners)
                at = text.find(part, end)
        self._known |= {each: tuple(sorted(numbers)) for each, numbers in found.items()}
        self._seen |= fresh


@functools.lru_cache(maxsize=64)
def of(regexes: tuple[bytes, ...]) -> Sieve:
    """The one of these expressions."""
    return Sieve(regexes)
