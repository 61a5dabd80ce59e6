# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Lines of logs that rules look for (to be replaced by the fast one)."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from . import _timeline

JSON = dict[str, t.Any]


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


def scanned(wanted: t.Sequence[Pattern], node: str | None, source: str, file: str, chunks: t.Iterable[bytes], *,
            end: str | None = None) -> tuple[JSON, list[JSON]]:  # fmt: skip
    """What was read of a log, and its hits."""
    text = b"".join(chunks).decode(errors="replace")
    lines = text.split("\n")
    hits = []
    for pattern in wanted:
        mine = [(n, line) for n, line in enumerate(lines, 1) if source in pattern.sources and re.search(pattern.regex, line)]
        if mine:
            shown = [{"line": n, "time": _time(line), "text": _timeline.mask(line)[:300]} for n, line in mine]
            times = [line["time"] for line in shown if line["time"]]
            hits.append({
                "pattern": pattern.id, "node": node, "source": source, "file": file, "count": len(mine),
                "first": min(times, default=None), "last": max(times, default=None), "times": times[:1000],
                "lines": [*shown[:1], *shown[1:][-4:]],
            })  # fmt: skip
    times = [at for at in map(_time, lines) if at]
    log = {"node": node, "source": source, "file": file, "lines": len(lines), "bytes": len(text),
           "first": min(times, default=None), "last": max(times, default=None)}
    return log, hits


def _time(line: str) -> str | None:
    found = re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line)
    return found[0] + "Z" if found else None
