# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_info.py for the documentation."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _link, _node, _root, _state, _transfer
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Read everything about a node in one call."""

    VALID = ("patience",)

    def act(self) -> dict[str, t.Any]:
        deadline = time.monotonic() + float(self._task.args.get("patience") or 0)
        while True:
            result = self._read()
            entry = result["requorum_node"]
            runs = (entry.get("unit") or {}).get("ActiveState") == "active"
            if not runs or (entry.get("api") or {}).get("ready") or time.monotonic() > deadline:
                return result
            time.sleep(2)

    def _read(self) -> dict[str, t.Any]:
        address = str(self.vars.get("ansible_host") or self.host)
        agent = self.host in self.vars["groups"].get("agents", ())
        done = self.script("info", timeout=45, SIDE="agent" if agent else "server")
        if done.rc != 0:
            entry = _state.unreachable(self.host, address, f"{_root.BARRED}{done.why}")
            return {"changed": False, "requorum_node": entry}
        entry = _state.node(self.host, address, done.out, received=time.time())
        store = entry.get("datastore")
        if store and store["present"] and not store["fault"] and not (entry["etcd"] or {}).get("status"):
            _state.read_datastore(entry, _node.read_many(self.node, store["path"]))
        if store and (store["bytes"] or 0) >= _transfer.LARGE and not self._task.args.get("patience"):
            entry["line"] = _transfer.rate(self._took)
        if agent and entry["distro"]:
            look = self.script("agent", timeout=30, DO="look")
            entry["link"] = _link.read(look.out) if look.rc == 0 else None
            entry["unread"] |= {} if look.rc == 0 else {"link": look.why}
        return {"changed": False, "requorum_node": entry}

    def _took(self, size: int) -> float | None:
        begun = time.monotonic()
        done = self.node.run(_transfer.command(size), timeout=60)
        return time.monotonic() - begun if done.rc == 0 and len(done.out) >= size else None
