# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/fleet_clusters.py for the documentation."""

from __future__ import annotations

from dataclasses import asdict

from ansible_collections.requorum.cluster.plugins.module_utils import _clusters
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _clustered
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display


class ActionModule(NodeAction):
    """Say which clusters the inventory holds."""

    def act(self) -> JSON:
        known = self.vars["hostvars"]
        sliced = any(name in self.vars for name in _clusters.AWX)
        found = _clustered.found(known._inventory, known.raw_get, sliced=sliced)
        if not found:
            hint = f"Put a group for each cluster into the group {_clusters.ALL}: docs/fleets.md."
            raise RequorumError("The inventory has no clusters.", hint)
        refused = [each for each in found if isinstance(each, _clusters.Refused)]
        for each in refused:
            display.warning(f"{each.name}: {each.why}")
        clusters = {each.host: asdict(each) for each in found if isinstance(each, _clusters.Cluster)}
        return {"changed": False, "clusters": clusters, "refused": [asdict(each) for each in refused]}
