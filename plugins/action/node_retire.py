# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_retire.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.action import node_fence
from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError


class ActionModule(node_fence.ActionModule):
    """Fence a server that is no member any more, and leave it so."""

    VERBS: tuple[str, ...] = ("retire",)

    def do_retire(self) -> str:
        self.do_fence()
        done = self.script("retire", timeout=60, STAMP=self.stamp)
        if done.rc != 0:
            raise RequorumError(f"{self.host} is stopped, but: {done.why}.", "Run the same command again.")
        moved = _node.moved_to(done.out)
        return f"stopped and disabled; kept: {', '.join(moved) or 'nothing was there'}"
