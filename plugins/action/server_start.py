# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/server_start.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _classify
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Start a server that has its datastore; go on as soon as its supervisor answers."""

    VERBS = ("start",)

    def do_start(self) -> str:
        if self.plan["purpose"] == "recover":
            _peers.prove(self, _peers.strangers(self))
        self.must(
            "start",
            "the server could not be started",
            "Look at systemctl status on the node.",
            timeout=60,
            stdin=b"",
            STAMP=self.stamp,
            ROLE="alone" if self._alone() else "member",
        )
        return self.until_ping(f"See journalctl -u on {self.host}; running the same command again is safe.")

    def _alone(self) -> bool:
        """Whether it must not ask the server that its configuration names.

        No other runs after a reset, or where it is the only member. While CAs are replaced, another one may have the
        old ones on its disk yet, and a start takes what it is told there for the datastore's.
        """
        mine = {a["verb"] for a in self.plan["actions"] if a["node"] == self.host and a["turn"]}
        swapped = self.plan["purpose"] == "rotate_ca" or "restore" in mine
        sole = self.plan["case"] == "quorum_recoverable" and len(self.plan["members"]) == 1
        return self.plan["case"] in _classify.RESETS or sole or swapped
