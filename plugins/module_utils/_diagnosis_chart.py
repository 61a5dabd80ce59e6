# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Ends of certificates on an axis of time: x in percent of the width, y in pixels.

The axis is logarithmic to both sides of now, since a week matters that begins today, and not one in nine years.
"""

from __future__ import annotations

import math
import typing as t

from . import _jmes, _retention

JSON = t.Mapping[str, t.Any]
TOP, ROW = 40, 46
TICKS = {-3650: "10 years ago", -365: "1 year ago", -30: "30 days ago", -7: "1 week ago", 0: "now",
         7: "1 week", 30: "30 days", 90: "3 months", 365: "1 year", 3650: "10 years"}  # fmt: skip
"""Days from now."""
LEFT, RIGHT = 3, 97
CLOSE = 2.5
"""Marks that are nearer than so many percent are drawn as one."""
WORST = ("expired", "foreign", "unreadable", "unknown", "soon", "ok")


def axis(document: JSON) -> dict[str, t.Any] | None:
    """Ticks, and one row of marks per node; None where no end is known."""
    now = _jmes.seconds(document.get("time"))
    dated = {node["name"]: [each for each in node["certificates"] if each["ends"]] for node in document["nodes"]}
    if now is None or not any(dated.values()):
        return None
    days = {each["ends"]: (_jmes.seconds(each["ends"]) or now) - now for found in dated.values() for each in found}
    days = {ends: left / _retention.DAY for ends, left in days.items()}
    first, last = min(0.0, *days.values()), max(365.0, *days.values())

    def x(at: float) -> float:
        low, high = _log(min(first, -1.0)), _log(last)
        return round(LEFT + (RIGHT - LEFT) * (_log(at) - low) / (high - low), 2)

    rows = []
    for number, (name, found) in enumerate(dated.items()):
        marks = _marks([(x(days[each["ends"]]), each) for each in found])
        rows.append({"label": name, "y": TOP + number * ROW, "marks": marks})
    bottom = TOP + len(rows) * ROW
    ticks = [{"x": x(at), "label": label, "now": at == 0} for at, label in TICKS.items()
             if first <= at <= last]  # fmt: skip
    return {"rows": rows, "ticks": _apart(ticks), "now": x(0), "soon": x(30), "bottom": bottom, "height": bottom + 8}


def _log(days: float) -> float:
    return math.copysign(math.log1p(abs(days)), days)


def _marks(placed: t.Iterable[tuple[float, JSON]]) -> list[dict[str, t.Any]]:
    """Those that would lie on each other, together; the worst of them gives the shape."""
    found: list[list[tuple[float, JSON]]] = []
    for x, each in sorted(placed, key=lambda item: item[0]):
        if found and x - found[-1][0][0] < CLOSE:
            found[-1].append((x, each))
        else:
            found.append([(x, each)])
    return [
        {
            "x": same[0][0],
            "state": min((each["state"] for _x, each in same), key=WORST.index),
            "count": len(same),
            "title": "; ".join(f"{each['name']}, {each['ends'][:10]}" for _x, each in same),
        }
        for same in found
    ]


def _apart(ticks: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Labels stand in two lines by turns, so that neighbours do not touch on a narrow screen."""
    return [{**tick, "y": 12 if number % 2 else 26} for number, tick in enumerate(ticks)]
