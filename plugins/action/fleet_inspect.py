# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/fleet_inspect.py for the documentation."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from ansible_collections.requorum.cluster.plugins.module_utils import _clusters, _names, _overview
from ansible_collections.requorum.cluster.plugins.plugin_utils import _one_of_many, _rows
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display, now


class ActionModule(NodeAction):
    """Read and judge one cluster; what was seen goes to files, and a few lines come back."""

    VALID = ("cluster", "output", "failed")

    def act(self) -> JSON:
        given = dict(self._task.args["cluster"])
        about: JSON = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        cluster = _clusters.Cluster(**about)
        output, why = os.path.abspath(self._task.args["output"]), str(self._task.args.get("failed") or "")
        row = _overview.unread(cluster.name, now(), why) if why else self._look(cluster, output)
        _rows.write(output, row)
        display.display(_overview.line(row))
        told = {"report": row["report"], "state": row["state"]}
        return {"changed": False, "row": _rows.path(output, cluster.name), **told}

    def _alone(self, cluster: _clusters.Cluster, output: str) -> str:
        """An inventory of this cluster alone, for the commands of its report; in a job of AWX nobody types any."""
        if cluster.inventory or not self.sources or any(name in self.vars for name in _clusters.AWX):
            return cluster.inventory
        about = {"plugin": "requorum.cluster.fleet", "sources": self.sources, "cluster": cluster.name}
        where = os.path.join(output, _rows.FOLDER, "inventories", f"{cluster.name}.requorum.yml")
        _rows.put(where, json.dumps(about, indent=1) + "\n")
        return where

    def _look(self, cluster: _clusters.Cluster, output: str) -> JSON:
        cluster = replace(cluster, inventory=self._alone(cluster, output))
        hosts = _one_of_many.members(self, cluster)
        hosts = _one_of_many.read(self, cluster, hosts, self.timeout("fleet", 300))
        first = hosts[cluster.servers[0]]
        args = {
            "cluster": cluster.name,
            "output": first.get("requorum_output") or output,
            "powered_off": _names.names(first.get("requorum_powered_off")),
            "survivor": first.get("requorum_survivor") or "",
            "rules": first.get("requorum_rules") or [],
        }
        try:
            result = _one_of_many.judge(self, cluster, hosts, args)
        finally:
            _one_of_many.leave(self, cluster, hosts)
        return _overview.row(result["diagnosis"], result["backups"], result["requorum_run_dir"])
