# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/token_info.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _bootstrap_find, _node, _tokens
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Hashes of every token of a host, and the names of the bootstrap keys in its datastore."""

    def act(self) -> dict[str, t.Any]:
        done = self.script("tokens", timeout=60)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its tokens cannot be read: {done.why}.", "Look at the host.")
        found = _tokens.parse(self.host, done.out)
        offsets, path = found.pop("offsets"), found.pop("db")
        found["server"] = self.host in self.vars["groups"].get("servers", ())
        found["live"] = found["keys"] is not None
        if not found["live"] and offsets:
            found["keys"] = self._stored(path, offsets)
        return {"changed": False, "requorum_tokens": found}

    def _stored(self, path: str, offsets: list[tuple[int, str]]) -> list[str] | None:
        """The key that was written last to the file, while no etcd answers."""
        reader = _bootstrap_find.newest([at for at, _key in offsets], {key for _at, key in offsets})
        try:
            newest = _bbolt.drive(reader, _node.read_many(self.node, path))
        except (_bbolt.BadFile, OSError, RequorumError):
            return None
        return [newest.key] if newest else None
