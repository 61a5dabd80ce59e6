# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""May this release of Harvester be upgraded to the one that is wished for? Of the three answers at most one is yes."""

from __future__ import annotations

import typing as t
from pathlib import Path

from . import _hops, _releases
from ._found import JSON, Answer, Found, Predicate
from ._orphans import status


def unknown(state: JSON) -> Answer:
    """The release is in no list."""
    about, matrix = _about(state), _matrix(state)
    if about["to"] not in matrix:
        yield Found(None, about | {"last": max(matrix, key=_releases.number)})


def not_newer(state: JSON) -> Answer:
    """The way would lead back, or nowhere."""
    about, matrix = _about(state), _matrix(state)
    if about["to"] in matrix and not _newer(about):
        newer = [version for version in matrix if not _hops.refusal(matrix, about["before"], version)]
        yield Found(None, about | {"next": min(newer, key=_releases.number, default="VERSION")})


def hop(state: JSON) -> Answer:
    """The release is newer, and other ones lie between."""
    about, matrix = _about(state), _matrix(state)
    why = _hops.refusal(matrix, about["before"], about["to"])
    if why and about["to"] in matrix and _newer(about):
        way = [release.version for release in _hops.path(matrix, about["before"], about["to"])]
        yield Found(None, about | {"why": why, "next": next(iter(way), "VERSION"), "way": way or "not known"})


def _about(state: JSON) -> dict[str, t.Any]:
    """before: the oldest of server-version, which is new from phase 3 on, and the OS of each Node."""
    nodes = (state.get("objects") or {}).get("nodes") or ()
    images = [_releases.named((status(node).get("nodeInfo") or {}).get("osImage")) for node in nodes]
    before = min([state["harvester"]["version"], *filter(None, images)], key=_releases.number)
    return {"before": before, "to": state["target"]["version"]}


def _matrix(state: JSON) -> _hops.Matrix:
    path = state["target"].get("releases")
    return _hops.load(Path(path)) if path else _hops.load()


def _newer(about: JSON) -> bool:
    return _releases.number(about["to"]) > _releases.number(about["before"])


NAMED: dict[str, Predicate] = {"target_unknown": unknown, "target_not_newer": not_newer, "target_hop": hop}
