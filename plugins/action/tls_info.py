# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/tls_info.py for the documentation."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _node,
    _tls_read,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

JSON = dict[str, t.Any]


class ActionModule(NodeAction):
    """Read the certificates of a node, and the authorities that the datastore on it holds."""

    def act(self) -> JSON:
        done = self.script("tls", timeout=60, PATHS=_tls_read.PATHS)
        if done.rc != 0:
            return self._result(_tls_read.unread(self.host, f"its certificates cannot be read: {done.why}"))
        found = _tls_read.parse(self.host, done.out, received=time.time())
        offsets, size = found.pop("offsets", []), found.pop("token_bytes", 0)
        if not found["error"] and found["server"]:
            try:
                found["bootstrap"] = self._bootstrap(found["data_dir"], offsets, size)
            except (_bbolt.BadFile, OSError, RequorumError) as error:
                found["bootstrap_unread"] = str(error)
        return self._result(found)

    def _result(self, found: JSON) -> JSON:
        return {"changed": False, "requorum_tls": {"bootstrap_unread": "", **found}}

    def _bootstrap(self, data: str, offsets: list[int], size: int) -> JSON:
        """Hashes and public certificates only; the token stays in the memory of this process."""
        kept = b"".join(self._blocks(f"{data}/server/token", size)).decode("utf-8", "surrogateescape") if size else ""
        tokens = {_bootstrap.name(word): word for word in (kept.strip(), _shelf.token(self.settings)) if word}
        reader = _bootstrap_find.newest(offsets, tokens)
        found = _bbolt.drive(reader, _node.read_many(self.node, f"{data}/server/db/etcd/member/snap/db"))
        if found is None:
            why = "its datastore holds no bootstrap key" if not offsets else "no token at hand opens its bootstrap key"
            raise RequorumError(f"{self.host}: {why}.", "Name the token's file by requorum_token_file.")
        authorities = _bootstrap.authorities(found.value, tokens[found.key])
        return {"key": found.key, "revision": found.revision, "authorities": authorities}
