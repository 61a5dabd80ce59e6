# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/member_remove.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _look
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction


class ActionModule(PlanAction):
    """Remove members whose hosts join again under a new ID."""

    VERBS = ("remove",)

    def do_remove(self) -> str:
        def leader() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            return look.leader is not None and look.members is not None, look.seen

        hint = "The members that are started must find each other; look at the network between them and run it again."
        self.wait("a leader", leader, seconds=self.timeout("leader", 180), hint=hint)
        for ident in self.plan["remove"]:
            listed = {member["id"] for member in _look.parse(self.script("look", timeout=20).out).members or ()}
            if ident in listed:
                self.script("member", timeout=20, CALL="remove", ID=str(int(ident, 16)))
        left = {member["id"] for member in _look.parse(self.script("look", timeout=20).out).members or ()}
        if not left or left & set(self.plan["remove"]):
            raise RequorumError(
                f"{self.host}: old members could not be removed from the list.",
                "Look at etcd's log; nothing is lost, run it again.",
            )
        return f"{len(left)} members are left"
