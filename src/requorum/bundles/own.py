# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own bundles, as `requorum inspect --bundle-out` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _bundle, _seen, _state
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from .. import archive

JSON = dict[str, Any]
LARGEST = 512 << 20


def suits(names: Sequence[str]) -> bool:
    """Whether these are the files of one."""
    return _bundle.STATE in names


def read(
    members: Callable[[], Iterator[archive.Member]], _names: Sequence[str], cluster: str, _notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs; RequorumError where the state is none of ours."""
    raw = [member.bytes(LARGEST) for member in members() if member.path == _bundle.STATE]
    try:
        state = json.loads(raw[0] or b"null")
    except ValueError as error:
        raise RequorumError(f"{cluster}: {_bundle.STATE} is no JSON: {error}.", "Write the bundle anew.") from error
    if not isinstance(state, dict) or state.get("schema") != _state.SCHEMA:
        raise RequorumError(f"{cluster}: {_bundle.STATE} is no state of schema {_state.SCHEMA}.", "Write it anew.")
    state["source"] = {**(state.get("source") or {"created": None, "unread": []}), "kind": "requorum", "name": cluster}
    index = {log["place"]: log for log in state.pop(_bundle.INDEX, ())}
    return state, lambda: _logs(members(), index)


def _logs(members: Iterator[archive.Member], index: dict[str, JSON]) -> Iterator[_seen.Log]:
    for member in members:
        if log := index.get(member.path):
            yield log["node"], log["source"], log["file"], member.chunks()
