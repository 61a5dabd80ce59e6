# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""May this release of Harvester be upgraded to the one that is wished for? Of the three answers at most one is yes."""

from __future__ import annotations

import typing as t

from . import _hops, _jmes
from ._errors import RequorumError
from ._found import JSON, Answer, Found, Predicate


def unknown(state: JSON) -> Answer:
    """The release is in no list."""
    about, matrix = _about(state), _hops.load()
    if about["to"] not in matrix.releases:
        yield Found(None, about | {"last": max(matrix.releases, key=_number)})


def not_newer(state: JSON) -> Answer:
    """The way would lead back, or nowhere."""
    about, matrix = _about(state), _hops.load()
    if about["to"] in matrix.releases and _number(about["to"]) <= _number(about["before"]):
        newer = [v for v in matrix.releases if not _hops.refusal(matrix, about["before"], v)]
        yield Found(None, about | {"next": min(newer, key=_number, default="VERSION")})


def hop(state: JSON) -> Answer:
    """The release is newer, and other ones lie between."""
    about, matrix = _about(state), _hops.load()
    why = _hops.refusal(matrix, about["before"], about["to"])
    if why and about["to"] in matrix.releases and _number(about["to"]) > _number(about["before"]):
        way = _way(matrix, about)
        yield Found(None, about | {"why": why, "next": next(iter(way), "VERSION"), "way": way or "not known"})


def _way(matrix: _hops.Matrix, about: JSON) -> list[str]:
    try:
        return [release.version for release in _hops.path(matrix, about["before"], about["to"])]
    except RequorumError:
        return []


def _about(state: JSON) -> dict[str, t.Any]:
    return {"before": state["harvester"]["version"], "to": state["target"]["version"]}


def _number(version: str) -> float:
    return _jmes.number(version) or 0


NAMED: dict[str, Predicate] = {"target_unknown": unknown, "target_not_newer": not_newer, "target_hop": hop}
