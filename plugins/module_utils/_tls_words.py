# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Judgements of certificates as a table: what is wrong, what becomes of it, what restarts."""

from __future__ import annotations

import datetime
import typing as t

from ._tls import Judgement

STATES = {
    "ok": "valid",
    "soon": "ends soon",
    "expired": "expired",
    "not_yet": "not valid yet",
    "foreign": "foreign",
    "self_signed": "self-signed",
    "names": "wrong names",
    "key": "wrong key",
    "missing": "missing",
    "unreadable": "unreadable",
}
REMEDIES = {
    "": "stays",
    "renew": "renewed",
    "restart": "renewed by the start",
    "restore": "restored",
    "rotate_ca": "rotate_ca.yml",
    "lost": "lost",
    "owner": "by its owner",
}
HEAD = ("NODE", "FILE", "STATE", "ENDS", "WHAT BECOMES OF IT", "WHY")


def table(judgements: t.Iterable[Judgement], order: t.Sequence[str] = (), *, everything: bool = False) -> str:
    """The lines of what is not as it should be, then one line for each node.

    order: names of nodes in the order in which they restart; without it, as the judgements have them. everything: what
    is valid too.
    """
    found = list(judgements)
    names = [*order, *(name for name in dict.fromkeys(j.node for j in found) if name not in order)]
    shown = [j for name in names for j in found if j.node == name and (everything or j.state != "ok")]
    rows = [HEAD, *((j.node, j.path, STATES[j.state], _day(j.ends), _remedy(j), j.why) for j in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)] + [0]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((lines if shown else []) + [summary(name, [j for j in found if j.node == name]) for name in names])


def summary(name: str, judgements: t.Sequence[Judgement]) -> str:
    """One line about a node."""
    if not judgements:
        return f"{name}: its certificates could not be read."
    count = {remedy: sum(j.remedy == remedy and j.state != "ok" for j in judgements) for remedy in REMEDIES}
    said = [f"{count[remedy]} {words}" for remedy, words in REMEDIES.items() if remedy and count[remedy]]
    first = min((j.ends for j in judgements if j.kind == "leaf" and j.ends is not None), default=None)
    valid = sum(j.state == "ok" for j in judgements)
    ends = f"; the first leaf ends {_day(first)}" if first is not None else ""
    restarts = "it restarts" if any(count[remedy] for remedy in ("renew", "restart", "restore")) else "no restart"
    return f"{name}: {valid} of {len(judgements)} are valid; {', '.join([*said, restarts])}{ends}."


def _remedy(judgement: Judgement) -> str:
    service = f" ({judgement.service})" if judgement.remedy == "renew" and judgement.service else ""
    return REMEDIES[judgement.remedy] + service


def _day(moment: int | None) -> str:
    return "-" if moment is None else datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d")
