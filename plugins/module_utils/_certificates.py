# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What every run says about certificates: by the short look of node_info, or by `_tls.judge` where the plan has it."""

from __future__ import annotations

import base64
import collections
import datetime
import typing as t

from . import _clocks, _tls, _tls_files, _tls_words, _x509

JSON = dict[str, t.Any]
DAYS, SHOWN = 30, 8
EARLY_S = 3600
"""What begins within an hour says less of a clock than the clocks do."""
Found = tuple[str, str, str, str, list[str]]
"""Rule, severity, node, summary, evidence."""


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


def findings(plan: JSON, state: JSON) -> list[Found]:
    """One for each node whose certificates are not as they should be, and the clocks, which may explain all of them."""
    now = datetime.datetime.fromisoformat(plan["started"]).timestamp()
    wrong: dict[str, list[JSON]] = {}
    for judgement in plan.get("certificates") or judged(state["nodes"], now):
        if judgement["state"] != "ok":
            wrong.setdefault(judgement["node"], []).append(judgement)
    return [*_skewed(state["nodes"]), *(_finding(node, found) for node, found in wrong.items())]


def _finding(node: str, wrong: t.Sequence[JSON]) -> Found:
    states = dict.fromkeys(judgement["state"] for judgement in wrong)
    rule, severity = ("certificates_due", "warning") if set(states) == {"soon"} else ("certificates_wrong", "error")
    said = ", ".join(_tls_words.STATES[state] for state in states)
    lines = [f"{judgement['path']}: {judgement['why']}" for judgement in wrong]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return rule, severity, node, f"{node} has {len(wrong)} certificates or keys: {said}.", [*lines[:SHOWN], *more]


def _skewed(entries: t.Sequence[JSON]) -> t.Iterator[Found]:
    for entry in entries:
        skew = entry.get("clock_skew")
        if skew is not None and abs(skew) > _clocks.SKEW_S:
            said = f"The clock of {entry['name']} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}."
            why = "Certificates then look expired or not yet valid; set the clock first (chrony, NTP)."
            yield "clock_skew", "error", entry["name"], said, [why]


def judged(entries: t.Sequence[JSON], now: float) -> t.Iterator[JSON]:
    """The same keys as a judgement, out of dates, and of authorities that differ from those of most servers."""
    rows = [(entry["name"], below(row["path"]), row) for entry in entries for row in entry.get("certificates") or ()]
    held: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for _name, path, row in rows:
        if path in _tls_files.AUTHORITIES and row.get("sha256"):
            held[path][row["sha256"]] += 1
    for name, path, row in rows:
        state, why = _short(row, held[path], now)
        yield {"node": name, "path": path, "state": state, "why": why}


def _short(row: JSON, held: collections.Counter[str], now: float) -> tuple[str, str]:
    ranked = held.most_common(2)
    if len(ranked) > 1 and (row["sha256"] != ranked[0][0] or ranked[0][1] == ranked[1][1]):
        return "foreign", "other servers have another one"
    if row["ends"] is None:
        return "unreadable", "it is no certificate"
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
