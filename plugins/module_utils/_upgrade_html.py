# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""An upgrade that was watched as one page: nodes and their states over the time, and every change that was seen."""

from __future__ import annotations

import typing as t

from . import _jmes, _report_html
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
CLUSTER = "cluster"
"""The row of the phases; the others are those of nodes."""


def render(name: str, timeline: t.Sequence[JSON]) -> str:
    """The whole page; every text is masked and escaped. timeline: as the watching has written it."""
    entries = mask_all(list(timeline))
    last = entries[-1] if entries else {}
    return _report_html.page("upgrade.html.j2", name=name, last=last, rows=rows(entries), entries=entries)


def rows(timeline: t.Sequence[JSON]) -> list[dict[str, t.Any]]:
    """A row for the phases and one for each node, each with bars: word, begin and width in percent, seconds."""
    times = [_jmes.seconds(entry["time"]) or 0.0 for entry in timeline]
    if not times:
        return []
    first, last = times[0], max(times[-1], times[0] + 1)
    names = [CLUSTER, *sorted({node for entry in timeline for node in entry["states"]})]
    found = []
    for name in names:
        words = [_word(entry, name) for entry in timeline]
        changes = [i for i, word in enumerate(words) if i == 0 or word != words[i - 1]]
        ends = [*(times[i] for i in changes[1:]), last]
        bars = [
            {"word": words[i], "x": _part(times[i] - first, last - first), "width": _part(end - times[i], last - first),
             "seconds": round(end - times[i])}
            for i, end in zip(changes, ends, strict=True) if words[i]
        ]  # fmt: skip
        found.append({"name": name, "bars": bars})
    return found


def _word(entry: JSON, name: str) -> str:
    return f"{entry['phase']} {entry['name']}" if name == CLUSTER else str(entry["states"].get(name) or "")


def _part(seconds: float, whole: float) -> float:
    return round(100 * seconds / whole, 2)
