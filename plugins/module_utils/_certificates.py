# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Certificates as the short look of node_info reads them, and how each stands; `_tls.judge` looks closer."""

from __future__ import annotations

import base64
import collections
import typing as t

from . import _tls, _tls_files, _x509

JSON = dict[str, t.Any]
DAYS = 30
EARLY_S = 3600
"""What begins within an hour says less of a clock than the clocks do."""


def dates(text: str) -> list[JSON]:
    """One for every certificate in `# file PATH` lines and PEM: path, subject, issuer, starts and ends (Unix seconds),
    names under which it serves, sha256. What cannot be read of it is null.
    """
    parts = (part.partition("\n") for part in ("\n" + text).split("\n# file ")[1:])
    return [_row(path, pem) for path, _newline, pem in parts]


def served(text: str) -> list[JSON]:
    """The same of Secrets, `NAMESPACE/NAME BASE64` on each line; their path is secret/NAMESPACE/NAME."""
    words = (line.split(" ", 1) for line in text.split("\n") if " " in line)
    return [_row(f"secret/{name}", _decoded(body)) for name, body in words]


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode("ascii", "replace")
    except ValueError:
        return ""


def _row(path: str, pem: str) -> JSON:
    read = _x509.first(pem)
    return {
        "path": path,
        "subject": read.subject if read else None,
        "issuer": read.issuer if read else None,
        "starts": read.starts if read else None,
        "ends": read.ends if read else None,
        "names": sorted(read.names) if read else None,
        "sha256": read.sha256 if read else None,
    }


def judged(entries: t.Sequence[JSON], now: float | None) -> t.Iterator[JSON]:
    """The same keys as a judgement, out of dates, and of authorities that differ from those of most servers.

    Where nobody knows when it is, a date says nothing: then `unknown` is a state too.
    """
    rows = [(entry["name"], below(row["path"]), row) for entry in entries for row in entry.get("certificates") or ()]
    held: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for _name, path, row in rows:
        if path in _tls_files.AUTHORITIES and row.get("sha256"):
            held[path][row["sha256"]] += 1
    for name, path, row in rows:
        state, why = _short(row, held[path], now)
        yield {"node": name, "path": path, "state": state, "why": why}


def _short(row: JSON, held: collections.Counter[str], now: float | None) -> tuple[str, str]:
    ranked = held.most_common(2)
    if len(ranked) > 1 and (row["sha256"] != ranked[0][0] or ranked[0][1] == ranked[1][1]):
        return "foreign", "other servers have another one"
    if row["ends"] is None:
        return "unreadable", "it is no certificate"
    if now is None:
        return "unknown", "nobody knows when it was read"
    left = (row["ends"] - now) / _tls.DAY
    if (row.get("starts") or 0) > now + EARLY_S:
        return "not_yet", f"it is valid in {(row['starts'] - now) / _tls.DAY:.0f} days: a clock was wrong"
    if left < 0:
        return "expired", f"it ended {-left:.0f} days ago"
    return ("soon", f"it ends in {left:.0f} days") if left < DAYS else ("ok", "")


def below(path: str) -> str:
    """A path below the data directory; any other as it is."""
    for part in (_tls_files.TLS, "agent/"):
        head, _slash, tail = path.rpartition(f"/{part}")
        if head:
            return f"{part}{tail}"
    return path
