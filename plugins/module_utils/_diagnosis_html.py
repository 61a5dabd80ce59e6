# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A diagnosis as one file without scripts and without requests, of the same make as the report of a recovery."""

from __future__ import annotations

import typing as t

from . import _diagnosis_words as words
from . import _report_html
from ._diagnosis_chart import axis
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
SOONEST = 10
"""So many certificates are listed below the axis."""


def render(document: JSON) -> str:
    """The whole page; every text is masked and escaped."""
    data = mask_all(document)
    return _report_html.page(
        "diagnosis.html.j2",
        d=data,
        outcome=words.outcome(data),
        tones=words.TONES,
        system=words.system(data),
        source=words.SOURCES.get((data["source"] or {}).get("kind", ""), ""),
        typed=words.typed,
        groups=words.groups(data["findings"]),
        items=words.items(data),
        refusals=words.refusals(data),
        unchecked=words.unchecked(data),
        missed=words.missed(data),
        components=_components(data),
        members=[node for node in data["nodes"] if node["member"]],
        axis=axis(data),
        soonest=_soonest(data),
        tiles=_tiles(data),
    )


def _components(data: JSON) -> list[tuple[str, str]]:
    """Rows of the picture; what no node has is left out."""
    return [
        (key, name)
        for key, name in words.COMPONENTS.items()
        if any(node["components"][key]["state"] != "absent" for node in data["nodes"])
    ]


def _soonest(data: JSON) -> list[dict[str, t.Any]]:
    rows = [{"node": node["name"], **each} for node in data["nodes"] for each in node["certificates"]]
    return sorted(rows, key=lambda row: (row["ends"] or "", row["node"], row["name"]))[:SOONEST]


def _tiles(data: JSON) -> list[tuple[str, str, str]]:
    servers = [node for node in data["nodes"] if node["role"] == "server"]
    states = [node["components"]["etcd"]["state"] for node in servers]
    leader = next((node["name"] for node in servers if (node["member"] or {}).get("leader")), None)
    causes = [group.cause for group in words.groups(data["findings"])]
    bad = sum(finding["severity"] in ("blocker", "error") for finding in causes)
    unread = len({each["rule"] for each in data["not_checked"]})
    made = [("Nodes read", f"{sum(node['reachable'] for node in data['nodes'])} of {len(data['nodes'])}", "")]
    if any(node["member"] for node in servers):
        small = f"leader {leader}" if leader else "no leader seen"
        made.append(("Servers whose etcd is well", f"{states.count('ok')} of {len(servers)}", small))
    made.append(("Causes", str(len(causes)), f"{bad} of them errors" if bad else ""))
    made.append(("Findings", str(len(data["findings"])), ""))
    made.append(("Rules asked", str(data["checked"]), f"{unread} not everywhere" if unread else ""))
    return made
