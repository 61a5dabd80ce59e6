# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The overview of a fleet: one row for each cluster, out of its diagnosis; all rows together, the worst first.

Fails closed: a cluster that nobody could read, or whose last look is too long ago, is unknown. Rows are made where a
cluster is read, and the overview where all rows are, which may be another day and another machine.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from . import _certificates, _diagnosis_words, _jmes, _retention, _rules, _tls_files

JSON = dict[str, t.Any]
SCHEMA = 1
STATES = ("blocker", "unknown", "error", "warning", "healthy")
"""Worst first. A cluster of which nobody knows anything may be one that is lost."""


def row(diagnosis: JSON, backups: JSON, report: str) -> JSON:
    """Of a cluster that was judged. backups: as docs/state.schema.json has them. report: the folder."""
    verdict, nodes = diagnosis["verdict"], diagnosis["nodes"]
    count = Counter(finding["severity"] for finding in diagnosis["findings"])
    kept = [each for each in backups["kept"] if each["proved"] and each["off_node"]]
    best = max(kept, key=lambda each: (each["time"], each["name"]), default=None) if backups["complete"] else None
    return {
        "schema": SCHEMA,
        "cluster": diagnosis["cluster"],
        "time": diagnosis["time"],
        "state": _state(diagnosis),
        "case": verdict["case"],
        "sentence": _sentence(diagnosis),
        "next": verdict["next"],
        "findings": {severity: count[severity] for severity in _rules.SEVERITIES},
        "not_checked": len({each["rule"] for each in diagnosis["not_checked"]}),
        "system": _diagnosis_words.system(diagnosis),
        "nodes": len(nodes),
        "nodes_read": sum(bool(node["reachable"]) for node in nodes),
        "backup": {"known": bool(backups["complete"]), "name": best and best["name"], "time": best and best["time"]},
        "certificate": _first_end(nodes),
        "report": report,
    }


def unread(cluster: str, time: str | None, why: str) -> JSON:
    """Of a cluster that nobody could look at."""
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "time": time,
        "state": "unknown",
        "case": "unknown",
        "sentence": why,
        "next": None,
        "findings": dict.fromkeys(_rules.SEVERITIES, 0),
        "not_checked": None,
        "system": "",
        "nodes": None,
        "nodes_read": None,
        "backup": {"known": False, "name": None, "time": None},
        "certificate": None,
        "report": None,
    }


def _sentence(diagnosis: JSON) -> str:
    """The verdict's speaks of errors; of a warning, what it is."""
    verdict = diagnosis["verdict"]
    warned = verdict["severity"] == "warning" and verdict["case"] == "healthy"
    return str(diagnosis["findings"][0]["summary"] if warned else verdict["sentence"])


def _state(diagnosis: JSON) -> str:
    """By the worst finding; no good news where the case is not known."""
    severity = diagnosis["verdict"]["severity"]
    if severity == "blocker":
        return "blocker"
    if diagnosis["verdict"]["case"] == "unknown" or _diagnosis_words.outcome(diagnosis) == _diagnosis_words.NOT_KNOWN:
        return "unknown"
    return "healthy" if severity in ("ok", "info") else str(severity)


def _first_end(nodes: t.Iterable[JSON]) -> JSON | None:
    """The certificate that ends first."""
    rows = [{"node": n["name"], "name": c["name"], "ends": c["ends"]} for n in nodes for c in n["certificates"]]
    found = [each for each in rows if each["ends"]]
    best = min(found, key=lambda each: (each["ends"], each["node"], each["name"]), default=None)
    if best is None:
        return None
    name = _certificates.below(best["name"])
    own = name in _tls_files.AUTHORITIES or name.endswith("-ca.crt")
    return {**best, "name": name, "authority": own}


def overview(
    rows: t.Iterable[JSON], names: t.Collection[str], refused: t.Iterable[JSON], now: str, max_age: float
) -> JSON:
    """The document of docs/overview.schema.json.

    rows: all that are kept. names: of the clusters that the inventory has; other rows are of none, and are only named.
    refused: name and why of those that it has in no order. max_age: seconds; what was seen longer ago says nothing
    about now, 0 is no limit.
    """
    kept = {each["cluster"]: each for each in rows}
    shown = [
        *(_aged(kept.get(name) or unread(name, None, "It was never read."), now, max_age) for name in names),
        *(_aged(unread(each["name"], None, each["why"]), now, 0) for each in refused),
    ]
    shown.sort(key=_order)
    count = Counter(each["state"] for each in shown)
    return {
        "schema": SCHEMA,
        "time": now,
        "max_age": max_age,
        "totals": {
            "clusters": len(shown),
            **{state: count[state] for state in STATES},
            "nodes": sum(each["nodes"] or 0 for each in shown),
            "nodes_read": sum(each["nodes_read"] or 0 for each in shown),
        },
        "clusters": shown,
        "others": sorted(set(kept) - {each["cluster"] for each in shown}),
    }


def _aged(each: JSON, now: str, max_age: float) -> JSON:
    """With the ages that its times have now."""
    seconds = _jmes.seconds(now)
    age = _since(_jmes.seconds(each["time"]), seconds)
    made, ends = each["backup"]["time"], _jmes.seconds((each["certificate"] or {}).get("ends"))
    left = None if ends is None or seconds is None else round((ends - seconds) / _retention.DAY, 1)
    dated = {**each, "age_s": age, "backup_age_s": _since(made, seconds), "certificate_days": left}
    if age is None or not max_age or age <= max_age:
        return dated
    said = f"The last look was {_retention.duration(age)} ago ({each['state']}), so nobody knows how it is now."
    return {**dated, "state": "unknown", "sentence": said, "next": None}


def _since(time: float | None, now: float | None) -> int | None:
    return None if time is None or now is None else round(now - time)


def _order(each: JSON) -> tuple[t.Any, ...]:
    worst = [-each["findings"][severity] for severity in _rules.SEVERITIES]
    return STATES.index(each["state"]), *worst, each["cluster"]


def code(document: JSON) -> int:
    """4: an error or a blocker. 1: something is unknown. Else 0."""
    totals = document["totals"]
    return 4 if totals["blocker"] or totals["error"] else 1 if totals["unknown"] or not totals["clusters"] else 0


def line(each: JSON) -> str:
    """While a run goes on."""
    return f"{each['cluster']}: {each['state']}, {each['case'].replace('_', ' ')}. {each['sentence']}"
