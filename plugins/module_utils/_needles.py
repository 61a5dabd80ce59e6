# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Words that a regular expression cannot match without: one of `of(regex)` stands in every line that matches."""

from __future__ import annotations

import functools
import re
import typing as t

# It is not public, and says what `re` itself makes of an expression. Where it changes, nothing is filtered.
_parser: t.Any = getattr(re, "_parser", None)
Needles = tuple[bytes, ...]
SHORTEST = 4


@functools.cache
def of(regex: str) -> tuple[Needles, bool]:
    """The words, and whether they are to be sought in small letters; no words where any line may match."""
    try:
        parsed = _parser.parse(regex)
        folded = bool(parsed.state.flags & re.IGNORECASE)
        found = _best(_options(parsed))
    except (AttributeError, TypeError, ValueError):
        return (), False
    if folded:
        found = tuple(dict.fromkeys(needle.lower() for needle in found))
        # Small letters of other alphabets have capitals of their own.
        return (found, True) if all(needle.isascii() for needle in found) else ((), False)
    return found, False


def _best(options: t.Iterable[Needles]) -> Needles:
    """Long words are rare, and few are sought faster than many."""
    good = [option for option in options if option and min(map(len, option)) >= SHORTEST]
    return max(good, key=lambda option: (min(min(map(len, option)), 24) - 2 * len(option)), default=())


def _options(parsed: t.Any) -> t.Iterator[Needles]:
    """Each yields words of which one must be there."""
    run = ""
    for operation, value in parsed:
        name = str(operation)
        if name == "LITERAL":
            run += chr(value)
            continue
        yield (run.encode(),)
        run = ""
        if name == "SUBPATTERN":
            yield from _options(value[-1])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and value[0] >= 1:
            yield from _options(value[2])
        elif name == "ATOMIC_GROUP":
            yield from _options(value)
        elif name == "BRANCH":
            parts = [_best(_options(branch)) for branch in value[1]]
            if all(parts):
                yield tuple(dict.fromkeys(needle for part in parts for needle in part))
    yield (run.encode(),)
