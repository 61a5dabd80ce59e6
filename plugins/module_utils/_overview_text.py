# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The overview of a fleet for a terminal of 80 columns: what needs somebody, the worst first; then what is well."""

from __future__ import annotations

import typing as t

from . import _overview, _report_text, _retention
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
SHOWN = 50
"""So many clusters that need somebody are listed unless all are asked for."""
HEADS = ("CLUSTER", "STATE", "READ", "BACKUP", "CERT", "")


def text(document: JSON, *, everything: bool = False, folder: str = "") -> str:
    """All of it. folder: where the overview lies as a page."""
    data = mask_all(document)
    bad = [each for each in data["clusters"] if each["state"] != "healthy"]
    rows = data["clusters"] if everything else bad[:SHOWN]
    blocks = [_report_text.wrap(headline(data), "")]
    if rows:
        blocks.append([*_report_text.table(HEADS, [line for each in rows for line in _rows(each)])])
    more = [f"{len(bad) - SHOWN} more need somebody."] if not everything and len(bad) > SHOWN else []
    if not everything and (well := data["totals"]["healthy"]):
        more.append(f"{well} healthy, the oldest of these looks {age(_oldest(data))} ago.")
    if data["others"]:
        more.append(f"No longer in the inventory: {', '.join(data['others'][:8])}{' ...' * (len(data['others']) > 8)}")
    more += [f"Page: {folder}/overview.html"] if folder else []
    blocks += [[line for each in more for line in _report_text.wrap(each, "")]] if more else []
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def headline(document: JSON) -> str:
    """`FLEET: 100 clusters: 2 blocker, 1 unknown, 97 healthy; 291 of 300 nodes read`"""
    totals = document["totals"]
    said = ", ".join(f"{totals[state]} {state}" for state in _overview.STATES if totals[state])
    count = f"{totals['clusters']} cluster{'s' * (totals['clusters'] != 1)}"
    return f"FLEET: {count}: {said or 'none'}; {totals['nodes_read']} of {totals['nodes']} nodes read"


def _rows(each: JSON) -> t.Iterator[tuple[str, ...]]:
    backup = age(each["backup_age_s"]) if each["backup"]["known"] else "?"
    backup = "none" if each["backup"]["known"] and not each["backup"]["time"] else backup
    days = each["certificate_days"]
    ends = "?" if days is None else f"{days:.0f} d"
    said = [] if each["state"] == "healthy" else [each["sentence"]]
    said += [f"next: {each['next']['command']}"] if each["next"] and said else []
    said += [f"report: {each['report']}"] if each["report"] and said else []
    yield each["cluster"], each["state"], age(each["age_s"]), backup, ends, "\n".join(said)


def age(seconds: float | None) -> str:
    """In its largest unit."""
    return "never" if seconds is None else " ".join(_retention.duration(seconds).split()[:2])


def _oldest(data: JSON) -> float | None:
    return max((each["age_s"] for each in data["clusters"] if each["state"] == "healthy"), default=None)
