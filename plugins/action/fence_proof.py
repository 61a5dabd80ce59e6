# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/fence_proof.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _messages
from ansible_collections.requorum.cluster.plugins.module_utils._fence import judge, targets
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction


class ActionModule(PlanAction):
    """See from the survivor that no peer can vote any more."""

    VERBS = ("prove",)

    def do_prove(self) -> str:
        peers = [server for server in self.plan["servers"] if server["name"] != self.host]
        asked = targets(peers, self.plan["distro"])
        done = self.script("prove", timeout=60, TARGETS="\n".join(f"{address} {port}" for address, port in asked))
        if done.rc != 0:
            raise _messages.error("fence-unseen", host=self.host, reason=done.why)
        faults = judge(peers, self.plan["powered_off"], asked, done.out)
        if faults:
            raise _messages.error("fence-unproved", faults=" ".join(faults).removesuffix("."), host=self.host)
        return f"{len(asked)} ports of {', '.join(server['name'] for server in peers) or 'no peer'} are closed"
