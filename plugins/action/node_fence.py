# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_fence.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _fence, _look, _messages, _node
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Take etcd and kube-apiserver of a node away, and look whether they are gone."""

    VERBS: tuple[str, ...] = ("fence",)

    def do_fence(self) -> str:
        if _fence.may_join(self.plan, self.host) and _look.parse(self.script("look", timeout=20).out).leader:
            raise _messages.error("etcd-may-vote", host=self.host)
        done = self.script("fence", timeout=180, STAMP=self.stamp)
        if done.rc != 0:
            raise _messages.error("fence-failed", host=self.host, reason=done.why)
        left, ports = _node.many(done.out, "left"), _node.many(done.out, "port")
        if left or ports:
            seen = "; ".join(
                [
                    *(f"{word.split()[1]} (pid {word.split()[0]})" for word in left),
                    *(f"port {port} listens" for port in ports),
                ]
            )
            raise _messages.error("fence-left", host=self.host, seen=seen)
        return "etcd and kube-apiserver are gone, ports closed; other processes were left alone"
