# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/password_info.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _tokens
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

PATH = "/etc/rancher/node/password"


class ActionModule(NodeAction):
    """Whether the node password of a host is the one that the cluster has stored."""

    VALID = ("server",)

    def act(self) -> dict[str, t.Any]:
        hostvars, given = self.vars["hostvars"], self._task.args.get("server")
        names = [*self.vars["groups"].get("servers", ()), self.host]
        read = [_inspected.part(hostvars[name], "tokens").get("requorum_tokens") or {} for name in names]
        # What a server is asked for now counts alone: what INSPECT has read of any host may be older.
        later = hostvars[given].get("requorum_token_after") if given else None
        asked = [(later or {}).get("requorum_tokens") or {}] if given else read
        stored: dict[str, t.Any] = next((host["passwords"] for host in asked if host.get("passwords")), {})
        node = str(read[-1].get("node") or self.host)
        mine = stored.get(node)
        password = self.small(PATH).decode("utf-8", "replace").strip() if mine else ""  # it stays in this process
        accepted = _tokens.accepts(mine, password) if mine and password else None
        return {"changed": False, "accepted": accepted, "refused": node if accepted is False else ""}
