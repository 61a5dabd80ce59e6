# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/password_info.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _node, _tokens
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

PATH = "/etc/rancher/node/password"


class ActionModule(NodeAction):
    """Whether the node password of a host is the one that the cluster has stored."""

    def act(self) -> dict[str, t.Any]:
        hostvars = self.vars["hostvars"]
        read = [
            (hostvars[name].get("requorum_token_read") or {}).get("requorum_tokens") or {}
            for name in [*self.vars["groups"].get("servers", ()), self.host]
        ]
        stored = next((host["passwords"] for host in read if host.get("passwords")), {})
        mine = stored.get(read[-1].get("node") or self.host)
        password = self._password() if mine else ""
        accepted = _tokens.accepts(mine, password) if mine and password else None
        return {"changed": False, "accepted": accepted}

    def _password(self) -> str:
        """It stays in the memory of this process."""
        size = self.node.run(f"stat -c %s {PATH} 2>/dev/null || echo 0").out.strip()
        if not size.isdigit() or not 0 < int(size) <= 4096:
            return ""
        (raw,) = _node.read_many(self.node, PATH)([_bbolt.Range(0, int(size))])
        return raw.decode("utf-8", "replace").strip()
