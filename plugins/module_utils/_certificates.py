# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What every run says about certificates: by the short look of node_info, or by `_tls.judge` where the plan has it."""

from __future__ import annotations

import collections
import datetime
import typing as t

from . import _tls, _tls_files, _x509

JSON = dict[str, t.Any]
DAYS = 30
Found = tuple[str, str, str, str, list[str]]
"""Rule, severity, node, summary, evidence."""
_SUMMARIES = {
    "expired": ("certificates_expired", "error", "{count} of its certificates are not valid now"),
    "drifted": ("certificates_drifted", "error", "{count} of its files are not the cluster's"),
    "wrong": ("certificates_wrong", "error", "{count} of its certificates are wrong"),
    "soon": ("certificates_soon", "warning", "{count} of its certificates end soon"),
}
_GROUPS = {"expired": "expired", "not_yet": "expired", "soon": "soon"}


def dates(text: str) -> list[JSON]:
    """Path, subject, end (Unix seconds) and sha256 of every certificate in `# file PATH` lines and PEM.

    What cannot be read of it is null.
    """
    found = []
    for part in ("\n" + text).split("\n# file ")[1:]:
        path, _newline, pem = part.partition("\n")
        read = _x509.first(pem)
        found.append(
            {
                "path": path,
                "subject": read.subject if read else None,
                "ends": read.ends if read else None,
                "sha256": read.sha256 if read else None,
            }
        )
    return found


def findings(plan: JSON, state: JSON) -> list[Found]:
    """At most one of a kind for each node, and the clocks, which may explain all of them."""
    now = datetime.datetime.fromisoformat(plan["started"]).timestamp()
    judged = plan.get("certificates") or _judged(state["nodes"], now)
    groups: dict[tuple[str, str], list[JSON]] = collections.defaultdict(list)
    for judgement in judged:
        if judgement["state"] != "ok":
            drifted = judgement["remedy"] in ("restore", "lost")
            group = "drifted" if drifted else _GROUPS.get(judgement["state"], "wrong")
            groups[judgement["node"], group].append(judgement)
    found = []
    for (node, group), members in groups.items():
        rule, severity, words = _SUMMARIES[group]
        summary = f"{node}: {words.format(count=len(members))}."
        found.append((rule, severity, node, summary, [f"{j['path']}: {j['why']}" for j in members[:6]]))
    return [*_clocks(state["nodes"]), *found]


def _clocks(entries: t.Sequence[JSON]) -> t.Iterator[Found]:
    for entry in entries:
        skew = entry.get("clock_skew")
        if skew is not None and abs(skew) > _tls.SKEW_S:
            said = f"The clock of {entry['name']} is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}."
            why = "Certificates then look expired or not yet valid; set the clock first (chrony, NTP)."
            yield "clock_skew", "error", entry["name"], said, [why]


def _judged(entries: t.Sequence[JSON], now: float) -> t.Iterator[JSON]:
    """The same keys as a judgement, out of dates, and of authorities that differ from those of most servers."""
    rows = [(entry["name"], _below(row["path"]), row) for entry in entries for row in entry.get("certificates") or ()]
    held: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for _name, path, row in rows:
        if path in _tls_files.AUTHORITIES and row.get("sha256"):
            held[path][row["sha256"]] += 1
    for name, path, row in rows:
        state, why, remedy = _short(row, held[path], now)
        yield {"node": name, "path": path, "state": state, "why": why, "remedy": remedy}


def _short(row: JSON, held: collections.Counter[str], now: float) -> tuple[str, str, str]:
    ranked = held.most_common(2)
    if len(ranked) > 1 and (row["sha256"] != ranked[0][0] or ranked[0][1] == ranked[1][1]):
        return "foreign", "other servers have another one", "restore"
    if row["ends"] is None:
        return "unreadable", "it is no certificate", "renew"
    left = (row["ends"] - now) / _tls.DAY
    if left < 0:
        return "expired", f"it ended {-left:.0f} days ago", "renew"
    return ("soon", f"it ends in {left:.0f} days", "renew") if left < DAYS else ("ok", "", "")


def _below(path: str) -> str:
    head, tls, tail = path.rpartition(f"/{_tls_files.TLS}")
    return f"{tls}{tail}".lstrip("/") if head else path
