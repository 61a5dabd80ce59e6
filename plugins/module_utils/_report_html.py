# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`report.html` from `report.json`: one file without scripts and without requests.

Needs Jinja2 and its template beside it, so it runs on the controller only (action plugins, filters, the CLI).

PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined

from . import _report_words as words
from ._report_chart import chart
from ._timeline import mask_all


def render(report: Mapping[str, Any]) -> str:
    """Return the whole HTML page. A key that is missing leaves its place empty; every text is masked and escaped."""
    data = mask_all(report)
    return page(
        "report.html.j2",
        r=data,
        chart=chart(data),
        steps=words.steps(data),
        servers=_servers(data),
        tiles=words.tiles(data),
        outcome=words.OUTCOMES.get(data.get("verdict", {}).get("outcome"), words.UNKNOWN_OUTCOME),
        case=words.CASES.get(data.get("verdict", {}).get("case"), ""),
        phases=words.phase_words(data),
        distro=words.DISTROS.get(data.get("distro"), ""),
        settled=words.settled(data),
        warnings=words.warnings(data),
        machines=words.machines(data),
        newest_backup=words.newest_backup(data),
        cleaned=any(action.get("destructive") for action in data.get("actions") or ()),
        kept_bytes=sum(entry.get("bytes") or 0 for entry in data.get("kept") or ()),
    )


def page(template: str, **given: Any) -> str:
    """A page of templates/; what it is given must be masked."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        {
            name: _known(function)
            for name, function in (
                ("duration", words.duration),
                ("size", words.size),
                ("value", words.value),
                ("moment", _moment),
            )
        }
    )
    return environment.get_template(template).render(**given)


def _known(function: Callable[..., str]) -> Callable[..., str]:
    return lambda value, *rest: function(None if isinstance(value, Undefined) else value, *rest)


def _servers(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per node with its member before and after."""
    members = report.get("members") or {}
    sides = {side: {entry["node"]: entry for entry in members.get(side) or ()} for side in ("before", "after")}
    return [
        {"node": node, "before": sides["before"].get(node), "after": sides["after"].get(node)}
        for node in dict.fromkeys([*sides["before"], *sides["after"]])
    ]


def _moment(text: Any, form: str = "%d %b %Y, %H:%M:%S UTC") -> str:
    try:
        return datetime.fromisoformat(text).strftime(form)
    except (TypeError, ValueError):
        return str(text or "")
