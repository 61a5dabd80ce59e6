# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry of the report's timeline: x in percent of the width, so that it fits a phone and a page, y in pixels.

PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ._report_words import phase_words

CONTROLLER = "localhost"
TOP = 22
BAND = 24
LABEL = 20
LANE = 26
GAP = 12
LEAST_WIDTH = 0.5
CHARACTERS_PER_PERCENT = 1.25
"""Characters of a bar's text that fit one percent of the page's width; a narrower screen clips them."""
_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def chart(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Ticks, phase bands, one row of bars per node and the point of no return; None when there is nothing to draw."""
    run, spans = report.get("run") or {}, report.get("timeline") or []
    phases = [phase for phase in report.get("phases") or () if phase.get("started") and phase.get("ended")]
    if not spans:
        return None
    moments = [_seconds(entry[key]) for entry in [*spans, *phases] for key in ("started", "ended")]
    first = _seconds(run["started"]) if run.get("started") else min(moments)
    last = max([*moments, _seconds(run["ended"])] if run.get("ended") else moments)
    total = max(last - first, 0.1)

    def x(text: str) -> float:
        return round(min(max((_seconds(text) - first) * 100 / total, 0.0), 100.0), 3)

    top = TOP + BAND + GAP
    rows = []
    for node in _nodes(report, spans):
        lanes = _lanes([span for span in spans if span["node"] == node], x)
        depth = 1 + max((bar["lane"] for bar in lanes), default=0)
        bars = [{**bar, "y": top + LABEL + bar["lane"] * LANE} for bar in lanes]
        rows.append({"label": "controller" if node == CONTROLLER else node, "y": top, "bars": bars})
        top += LABEL + depth * LANE + GAP
    bands, words = [], phase_words(report)
    for phase in phases:
        left, width = x(phase["started"]), x(phase["ended"]) - x(phase["started"])
        text = _fit(words[phase["number"]], width - 2)
        bands.append({**phase, "x": left, "width": max(width, LEAST_WIDTH), "text": text})
    point = (report.get("point_of_no_return") or {}).get("at")
    return {
        "total": total,
        "rows": rows,
        "bands": bands,
        "bottom": top,
        "height": top + 20,
        "ticks": [{"x": round(at * 100 / total, 3), "label": clock(at)} for at in _ticks(total)],
        "point": {"x": x(point), "label": clock(_seconds(point) - first)} if point else None,
    }


def clock(seconds: float) -> str:
    """90 -> "1:30"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _nodes(report: Mapping[str, Any], spans: Sequence[Mapping[str, Any]]) -> list[str]:
    members = report.get("members") or {}
    known = [entry["node"] for side in ("before", "after") for entry in members.get(side) or ()]
    drawn = {span["node"] for span in spans}
    others = sorted(drawn - set(known), key=lambda node: (node == CONTROLLER, node))
    return [node for node in dict.fromkeys([*known, *others]) if node in drawn]


def _lanes(spans: Sequence[Mapping[str, Any]], x: Any) -> list[dict[str, Any]]:
    """Bars with the first lane that is free; a wait lies in the lane of the bar in which it happened."""
    bars: list[dict[str, Any]] = []
    free: list[float] = []
    for span in sorted(spans, key=lambda entry: (entry["status"] == "waited", x(entry["started"]))):
        left, right = x(span["started"]), x(span["ended"])
        if span["status"] == "waited":
            around = [bar["lane"] for bar in bars if bar["x"] - 0.5 <= left and right <= bar["x"] + bar["width"] + 0.5]
            lane = around[0] if around else 0
        else:
            lane = next((number for number, until in enumerate(free) if until <= left + 0.01), len(free))
            free[lane : lane + 1] = [right]
        width = max(right - left, LEAST_WIDTH)
        bars.append(
            {
                **span,
                "x": left,
                "width": round(width, 3),
                "lane": lane,
                "text": _fit(span["what"], width - 3),
                "seconds": round(_seconds(span["ended"]) - _seconds(span["started"]), 1),
            }
        )
    return bars


def _fit(text: str, percent: float) -> str:
    room = int(percent * CHARACTERS_PER_PERCENT)
    if room < 5:
        return ""
    return text if len(text) <= room else text[: room - 1].rstrip(" ,;") + "…"


def _ticks(total: float) -> list[float]:
    step = next((step for step in _STEPS if total / step <= 6), _STEPS[-1])
    return [float(at) for at in range(0, int(total) + 1, step)]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
