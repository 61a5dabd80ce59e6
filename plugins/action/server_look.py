# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/server_look.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """A short look at a server's unit, etcd and API; changes nothing."""

    def act(self) -> dict[str, object]:
        done = self.script("look", timeout=20, READYZ="yes")
        return {"changed": False, "requorum_look": {"name": self.host, "out": done.out if done.rc == 0 else None}}
