# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_furnish.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Give a host that has no configuration the one that was kept beside the snapshot."""

    VERBS = ("furnish",)

    def do_furnish(self) -> str:
        archive = _shelf.kept_files(self.plan["snapshot"]["path"], self.host)
        done = self.script("furnish", timeout=60, stdin=_shelf.configuration(archive), STAMP=self.stamp)
        if done.rc != 0:
            raise RequorumError(
                f"{self.host} was not given its configuration: {done.why}.",
                f"Write /etc/rancher/{self.plan['distro']}/config.yaml there by hand, then run the same command again.",
            )
        return ", ".join(_node.many(done.out, "placed"))
