# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bootstrap data that the datastore on a server holds now, whether its etcd runs or not."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _tls_read,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

JSON = dict[str, t.Any]


@dataclass(frozen=True)
class At:
    """Where a server has them, as sh/tls.sh says."""

    data: str
    offsets: tuple[int, ...]
    token_bytes: int

    @classmethod
    def of(cls, found: JSON) -> At:
        """Taken out of what `_tls_read.parse` made: a result of Ansible needs none of it."""
        return cls(found.get("data_dir", ""), tuple(found.pop("offsets", ())), found.pop("token_bytes", 0))


def look(action: NodeAction) -> JSON:
    """Them alone, of the host of an action; RequorumError where they cannot be read."""
    done = action.script("tls", timeout=60, PATHS="")
    found = _tls_read.parse(action.host, done.out, received=0.0)
    if done.rc != 0 or found["error"]:
        raise RequorumError(f"{action.host}: its datastore cannot be read: {found['error'] or done.why}.", "Try again.")
    try:
        return bootstrap(action, At.of(found))
    except (_bbolt.BadFile, OSError) as error:
        raise RequorumError(f"{action.host}: its datastore cannot be read: {error}.", "Try again.") from error


def bootstrap(action: NodeAction, at: At) -> JSON:
    """Hashes and public certificates only; the token stays in the memory of this process."""
    # By a channel of its own where there is one: what a node answers through Ansible is printed at -vvv.
    blocks = action.blocks(f"{at.data}/server/token", at.token_bytes) if at.token_bytes else ()
    kept = b"".join(blocks).decode("utf-8", "surrogateescape")
    tokens = {_bootstrap.name(word): word for word in (kept.strip(), _shelf.token(action.settings)) if word}
    reader = _bootstrap_find.newest(at.offsets, tokens)
    found = _bbolt.drive(reader, action.pages(f"{at.data}/server/db/etcd/member/snap/db"))
    if found is None:
        why = "its datastore holds no bootstrap key" if not at.offsets else "no token at hand opens its bootstrap key"
        raise RequorumError(f"{action.host}: {why}.", "Name the token's file by requorum_token_file.")
    authorities = _bootstrap.authorities(found.value, tokens[found.key])
    return {"key": found.key, "revision": found.revision, "authorities": authorities}
