# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The upkeep for people: a first line that monitoring shows, then a table for each part, at 80 columns."""

from __future__ import annotations

import textwrap
import typing as t
from datetime import UTC, datetime

from . import _repair, _retention, _tls_files, _upkeep_judge

JSON = dict[str, t.Any]
WIDTH = 80
WORDS = {_upkeep_judge.OK: "OK", _upkeep_judge.UNREAD: "NOT READ", _upkeep_judge.FOUND: "WRONG"}
Row = t.Sequence[str]


def text(document: JSON) -> str:
    """All of it; names, paths and commands stay whole, also where they are longer than a line."""
    blocks = [_wrapped(headline(document))]
    for part, table in (("certificates", _certificates), ("etcd", _etcd), ("backups", _backups)):
        if document[part] is not None:
            blocks.append([part.upper(), *table(document[part])])
    if document["findings"]:
        blocks.append(["FOUND", *(line for each in document["findings"] for line in _finding(each))])
    if document["unknown"]:
        blocks.append(["NOT READ", *_missed(document["unknown"])])
    return "\n\n".join("\n".join(map(_printable, block)) for block in blocks) + "\n"


def headline(document: JSON) -> str:
    """`WRONG: prod: 2 errors, 1 warning. The newest proved backup is 2 d old; the limit is 1 d.`"""
    found = document["findings"]
    said = [f"{n} {word}{'s' if n > 1 else ''}" for word in ("error", "warning") if (n := _count(found, word))]
    missed = [each for each in document["unknown"] if not each["optional"]]
    said += [f"{len(missed)} not read"] if missed else []
    first = next((each["summary"] for each in found if each["severity"] != "info"), "")
    first = first or (_unknown(missed[0]["node"], [missed[0]["what"]], missed[0]["why"]) if missed else "")
    word = WORDS[_upkeep_judge.code(document)]
    return f"{word}: {document['cluster']}: {', '.join(said) or 'all is well'}. {first}".rstrip()


def _count(found: t.Iterable[JSON], severity: str) -> int:
    return sum(each["severity"] == severity for each in found)


def _certificates(rows: t.Sequence[JSON]) -> t.Iterator[str]:
    """One line for each node: how many, and which ends first."""
    head = ("NODE", "COUNT", "ENDS FIRST", "DAYS", "FILE")
    table = []
    for node in dict.fromkeys(row["node"] for row in rows):
        mine = [row for row in rows if row["node"] == node]
        first = min((row for row in mine if row["ends"] is not None), key=lambda row: row["ends"], default=None)
        file = first["name"].removeprefix(_tls_files.TLS) if first else "none can be read"
        ends = (_day(first["ends"]), f"{first['days']:.0f}") if first else ("?", "?")
        table.append((node, str(len(mine)), *ends, file))
    return _table(head, table, right={1, 3})


def _etcd(rows: t.Sequence[JSON]) -> t.Iterator[str]:
    head = ("NODE", "ETCD", "SIZE", "IN USE", "QUOTA", "SLOW FSYNCS", "NEW LEADERS")
    names = {None: "?", False: "WRONG"}
    table = [
        (
            row["node"],
            names.get(row["healthy"], "leader" if row["leader"] else "ok"),
            *(_size(row[key]) for key in ("bytes", "in_use", "quota")),
            *("?" if row[key] is None else str(row[key]) for key in ("slow_fsync", "leader_changes")),
        )
        for row in rows
    ]
    return _table(head, table, right=set(range(2, 7)))


def _backups(found: JSON) -> t.Iterator[str]:
    best = found["newest_proved"]
    if best is None:
        yield f"  newest proved: {'none' if found['complete'] else 'none where it could be looked for'}"
    else:
        revision = "" if best["revision"] is None else f", revision {best['revision']}"
        yield from _wrapped(f"newest proved: {_age(best['age_s'])}{revision}", 2)
        yield from _wrapped(best["path"], 4)
    yield f"  {found['count']} proved, {found['unproved']} not proved"
    for row in found["on_nodes"]:
        seen = "none" if row["time"] is None else f"{_age(row['age_s'])}, the newest of {row['count']}"
        yield from _wrapped(f"on {row['node']} itself: {seen}", 2)


def _finding(each: JSON) -> t.Iterator[str]:
    yield from _wrapped(f"{each['severity']}: {each['summary']}", 2)
    yield from (line for told in each["evidence"] for line in _wrapped(told, 4))
    if each["action"]:
        yield from _wrapped(f"next: {each['action']}", 4)


def _missed(unknown: t.Iterable[JSON]) -> t.Iterator[str]:
    """What has the same reason on the same node stands together."""
    reasons: dict[tuple[str | None, str], list[str]] = {}
    for each in unknown:
        reasons.setdefault((each["node"], each["why"]), []).append(each["what"])
    for (node, why), words in reasons.items():
        yield from _wrapped(_unknown(node, words, why), 2)


def _unknown(node: str | None, words: t.Iterable[str], why: str) -> str:
    return ": ".join(filter(None, (node, ", ".join(word for word in words if word != "*"), why)))


def _table(head: Row, rows: t.Sequence[Row], right: t.Collection[int] = ()) -> t.Iterator[str]:
    """Columns two spaces apart; where they are wider than a line, the first one stands on a line of its own."""
    every = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    word = max(len(part) for row in every for part in row[-1].split(" "))
    apart = sum(widths[:-1]) + 2 * len(widths) + word > WIDTH
    for row in every:
        cells = [c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        if apart:
            yield f"  {row[0]}"
        start = "    " if apart else "  "
        start += "".join(f"{cell}  " for cell in cells[apart:-1])
        first, *more = _filled(cells[-1].rstrip(), WIDTH - len(start))
        yield f"{start}{first}".rstrip()
        yield from (" " * len(start) + line for line in more)


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """Lines of 80 columns; the second one is further in."""
    first, *more = _filled(text, WIDTH - indent - 2)
    return [" " * indent + first, *(" " * (indent + 2) + line for line in more)]


def _filled(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 24), break_long_words=False, break_on_hyphens=False) or [""]


def _size(count: int | None) -> str:
    return "?" if count is None else _repair.megabytes(count)


def _age(seconds: float) -> str:
    if seconds < -_retention.SKEW:
        return f"{_retention.duration(-seconds)} in the future"
    return f"{_retention.duration(seconds)} old"


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _printable(line: str) -> str:
    """Without characters that a terminal would obey."""
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
