# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/rancher_brake.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _harvester
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

WHERE = f"{_harvester.NAMESPACE}/{_harvester.CLUSTER}"


class ActionModule(PlanAction):
    """Pause the CAPI cluster that Rancher's planner follows, and let it go on; only what a run of ours has paused.

    The host that was reset is asked, and no kubeconfig: nothing else is sure to be this cluster.
    """

    VERBS = ("brake", "unbrake")

    def do_brake(self) -> str:
        found = self._found()
        if found is None:
            return f"there is no CAPI cluster {WHERE}: nothing to pause"
        if found["paused"]:
            return f"{WHERE} is paused already" + ("" if found["braked"] else ", by somebody else, and stays so")
        self._set(True, self.stamp)
        return f"{WHERE} is paused"

    def do_unbrake(self) -> str:
        found = self._found()
        if found is None or not found["braked"]:
            still = found is not None and found["paused"]
            return f"{WHERE} is paused by somebody else, and stays so" if still else "no run has paused it"
        self._set(False, None)
        return f"{WHERE} goes on"

    def _found(self) -> dict[str, object] | None:
        api = _node_api.on_host(self)
        for self.kind in _harvester.STORED:
            if document := api.get(self.kind, _harvester.CLUSTER, _harvester.NAMESPACE):
                return _harvester.capi(document)
        return None

    def _set(self, paused: bool, stamp: str | None) -> None:
        change = {"spec": {"paused": paused}, "metadata": {"annotations": {_harvester.BRAKED: stamp}}}
        _node_api.on_host(self).patch(self.kind, _harvester.CLUSTER, change, _harvester.NAMESPACE)
        seen = self._found()
        if seen is None or seen["paused"] != paused:
            raise RequorumError(
                f"{self.host}: {WHERE} has spec.paused {seen and seen['paused']}, and {paused} was asked for.",
                "Look who changes it, then run the same command again.",
            )
