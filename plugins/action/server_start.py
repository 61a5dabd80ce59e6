# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/server_start.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _classify
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction


class ActionModule(PlanAction):
    """Start a server that has its datastore; go on as soon as its supervisor answers."""

    VERBS = ("start",)

    def do_start(self) -> str:
        alone = self.plan["case"] in _classify.RESETS
        self.must(
            "start",
            "the server could not be started",
            "Look at systemctl status on the node.",
            timeout=60,
            stdin=b"",
            STAMP=self.stamp,
            ROLE="alone" if alone else "member",
        )
        return self.until_ping(f"See journalctl -u on {self.host}; running the same command again is safe.")
