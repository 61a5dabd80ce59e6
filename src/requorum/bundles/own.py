# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own bundles, as `requorum inspect --bundle-out` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _bundle, _rules, _seen, _state
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from .. import archive

JSON = dict[str, Any]
LARGEST = 256 << 20
_PLACE = re.compile(rf"((?:[^/]+/){{0,2}}){re.escape(_bundle.STATE)}$")
"""Also in the folder, or in the zip, into which somebody has put it."""


def suits(names: Sequence[str]) -> bool:
    """Whether these are the files of one."""
    return any(_PLACE.fullmatch(name) for name in names)


def read(
    members: Callable[[], Iterator[archive.Member]], names: Sequence[str], cluster: str, notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs; RequorumError where the state is none of ours."""
    place = next(name for name in names if _PLACE.fullmatch(name))
    raw = next((member.bytes(LARGEST) for member in members() if member.path == place), None)
    try:
        state = json.loads(raw or b"null")
    except (ValueError, RecursionError) as error:
        raise RequorumError(f"{cluster}: {_bundle.STATE} is no JSON: {error}.", "Write the bundle anew.") from error
    if fault := _fault(state):
        raise RequorumError(f"{cluster}: {_bundle.STATE} is no state of schema {_state.SCHEMA}: {fault}.",
                            "Write it anew with this release.")  # fmt: skip
    known = state.get("source") if isinstance(state.get("source"), dict) else {}
    unread = [each for each in known.get("unread") or () if isinstance(each, dict) and set(each) == {"what", "why"}]
    state["source"] = {"created": known.get("created"), "unread": unread, "kind": "requorum", "name": cluster}
    state |= {"logs": [], "hits": []}
    above, index = place.removesuffix(_bundle.STATE), dict[str, tuple[str | None, str, str]]()
    for log in state.pop(_bundle.INDEX, None) or ():
        if isinstance(log, dict) and all(isinstance(log.get(key), str) for key in ("place", "source", "file")):
            source = log["source"] if log["source"] in _rules.SOURCES else "other"
            node = log.get("node")
            index[above + log["place"]] = (node if isinstance(node, str) else None, source, log["file"])
    for path in index.keys() - set(names):
        notes.add(path, "the bundle names this log and does not hold it")
    return state, lambda: _logs(members(), index)


def _fault(state: Any) -> str:
    """What makes a document none that rules can be asked of; empty where nothing does."""
    if not isinstance(state, dict) or state.get("schema") != _state.SCHEMA:
        return "it says another one"
    nodes, objects = state.get("nodes"), state.get("objects")
    if not isinstance(nodes, list) or not all(
        isinstance(node, dict) and isinstance(node.get("name"), str) and isinstance(node.get("reachable"), bool)
        and isinstance(node.get("host", ""), (str, type(None))) for node in nodes
    ):  # fmt: skip
        return "its nodes have no name, or are no list"
    if not isinstance(objects, dict) or not all(
        items is None or (isinstance(items, list) and all(
            isinstance(item, dict) and isinstance(item.get("metadata"), dict) for item in items))
        for items in objects.values()
    ):  # fmt: skip
        return "its objects are none of Kubernetes"
    block, text = (dict, type(None)), (str, type(None))
    parts: dict[str, Any] = {"kubernetes": block, "harvester": block, "unread": dict, "cluster": str, "time": text,
                             "distro": text}  # fmt: skip
    return next((f"its {name} has another form" for name, kind in parts.items()
                 if name not in state or not isinstance(state[name], kind)), "")  # fmt: skip


def _logs(members: Iterator[archive.Member], index: dict[str, tuple[str | None, str, str]]) -> Iterator[_seen.Log]:
    for member in members:
        if log := index.get(member.path):
            yield *log, member.chunks()
