# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_fence.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _messages
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, many


class ActionModule(PlanAction):
    """Take etcd and kube-apiserver of a node away, and look whether they are gone."""

    VERBS = ("fence",)

    def do_fence(self) -> str:
        done = self.script("fence", timeout=180, STAMP=self.stamp)
        if done.rc != 0:
            raise _messages.error("fence-failed", host=self.host, reason=done.why)
        left, ports = many(done.out, "left"), many(done.out, "port")
        if left or ports:
            seen = "; ".join(
                [
                    *(f"{word.split()[1]} (pid {word.split()[0]})" for word in left),
                    *(f"port {port} listens" for port in ports),
                ]
            )
            raise _messages.error("fence-left", host=self.host, seen=seen)
        return "etcd and kube-apiserver are gone, ports closed; other processes were left alone"
