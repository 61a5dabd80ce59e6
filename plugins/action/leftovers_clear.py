# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/leftovers_clear.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Move aside what an interrupted run or a person has left."""

    VERBS = ("clear",)

    def do_clear(self) -> str:
        listed = [path for item in self.plan["repairs"] if item["node"] == self.host for path in item["files"]]
        listed += [path for name, path in self.plan["tokens"].get("idle", {}).items() if name == self.host]
        side = "agent" if self.host in self.plan["agents"] else "server"
        done = self.script("clear", timeout=60, stdin="\n".join([*listed, ""]).encode(), STAMP=self.stamp, SIDE=side)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: leftovers are not moved: {done.why}.", "Run the same command again.")
        moved = _node.moved_to(done.out)
        return f"kept: {', '.join(moved) or 'nothing was there any more'}"
