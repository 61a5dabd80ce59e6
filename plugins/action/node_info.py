# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_info.py for the documentation."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.requorum.cluster.plugins.action import etcd_snapshot_info, node_logs, tls_info, token_info
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _link,
    _node,
    _root,
    _state,
    _transfer,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

PARTS: dict[str, type[t.Any]] = {
    "logs": node_logs.ActionModule,
    "tls": tls_info.ActionModule,
    "tokens": token_info.ActionModule,
    "snapshots": etcd_snapshot_info.ActionModule,
}


class ActionModule(NodeAction):
    """Read everything about a node in one call."""

    VALID = ("patience", "parts")

    def act(self) -> JSON:
        self.files = {}
        asked = list(self._task.args.get("parts") or ())
        if unknown := [name for name in asked if name not in PARTS]:
            raise RequorumError(f"{', '.join(unknown)}: no part of a host.", f"There are {', '.join(PARTS)}.")
        parts = {name: self.another(PARTS[name], {}) for name in asked}
        # Snapshots are hashed: that takes minutes, and a busy disk makes others look as if they hung.
        self.ask_ahead([*self._questions, *(part.question for name, part in parts.items() if name != "snapshots")])
        return {**self._patient(), **{name: self._read_part(part) for name, part in parts.items()}}

    def _read_part(self, part: t.Any) -> JSON:
        part.ahead, part.files = self.ahead, self.files
        try:
            return t.cast("JSON", part.act())
        except Exception as error:  # whatever a strange host brings about must not end INSPECT
            return {"msg": str(error) or type(error).__name__}
        finally:
            self.streams += part.streams

    def _patient(self) -> JSON:
        patience = float(self._task.args.get("patience") or 0)
        result = self._read()
        if patience and not result["requorum_node"]["reachable"]:  # it may only be busy: its deadline is a long one
            result = self._read()
        deadline = time.monotonic() + patience
        while True:
            entry = result["requorum_node"]
            runs = (entry.get("unit") or {}).get("ActiveState") == "active"
            if not runs or (entry.get("api") or {}).get("ready") or time.monotonic() > deadline:
                return result
            time.sleep(2)
            result = self._read()

    @property
    def _questions(self) -> list[_node.Question]:
        look = [_node.Question("agent", 30, {"DO": "look"})] if self.side == "agent" else []
        return [_node.Question("info", 60, {"SIDE": self.side}), *look]

    def _read(self) -> JSON:
        address = str(self.vars.get("ansible_host") or self.host)
        ours, *links = self._questions
        done = self.ask(ours)
        if done.rc != 0:
            entry = _state.unreachable(self.host, address, f"{_root.BARRED}{done.why}")
            return {"changed": False, "requorum_node": entry}
        entry = _state.node(self.host, address, done.out, received=done.came)
        store = entry.get("datastore")
        if store and store["present"] and not store["fault"] and not (entry["etcd"] or {}).get("status"):
            _state.read_datastore(entry, _node.read_many(self.node, store["path"]))
        if store and (store["bytes"] or 0) >= _transfer.LARGE and not self._task.args.get("patience"):
            entry["line"] = _transfer.rate(self._took)
        for link in links if entry["distro"] else ():
            look = self.ask(link)
            entry["link"] = _link.read(look.out) if look.rc == 0 else None
            entry["unread"] |= {} if look.rc == 0 else {"link": look.why}
        return {"changed": False, "requorum_node": entry}

    def _took(self, size: int) -> float | None:
        begun = time.monotonic()
        done = self.node.run(_transfer.command(size), timeout=60)
        return time.monotonic() - begun if done.rc == 0 and len(done.out) >= size else None
