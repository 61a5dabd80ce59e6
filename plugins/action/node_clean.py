# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_clean.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Remove one path that a run has moved aside; the node asks again whether it may go."""

    VERBS = ("clean",)

    def do_clean(self) -> str:
        path = self.plan["clean"][self.action["id"]]
        side = "agent" if self.host in self.plan["agents"] else "server"
        done = self.script("clean", timeout=600, stdin=f"{path}\n".encode(), SIDE=side)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: {done.why}.", "Look at it on the node. Nothing else was removed.")
        return f"removed: {path}" if _node.many(done.out, "cleaned") else "unchanged: it was gone"
