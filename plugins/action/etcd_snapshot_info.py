# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/etcd_snapshot_info.py for the documentation."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _catalog, _datastore, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Say what snapshots lie on a node and what they are worth; nothing is copied."""

    def act(self) -> dict[str, t.Any]:
        done = self.script("snapshots", timeout=300)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its snapshots could not be read: {done.why}.", "Look at its disk.")
        found = [self._read(stored) for stored in _catalog.parse(self.host, done.out)]
        return {"changed": False, "requorum_snapshots": [asdict(stored) for stored in found]}

    def _read(self, stored: _catalog.Stored) -> _catalog.Stored:
        """Revision, members and version out of a few pages of its datastore."""
        if stored.trailer != "right":
            return stored
        size = stored.bytes - 32
        try:
            datastore = _bbolt.drive(_datastore.summary(size), _node.read_many(self.node, stored.path))
        except (_bbolt.BadFile, OSError) as error:
            return replace(stored, fault=str(error))
        return _catalog.with_datastore(stored, datastore)
