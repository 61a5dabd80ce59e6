# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_catalog.py for the documentation."""

from __future__ import annotations

import time
import typing as t
from dataclasses import asdict

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected, _run_folder, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Show all snapshots of a cluster in one table, the newest usable one first."""

    VALID = ("cluster", "servers", "output")

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        entries = _shelf.entries_of(self.vars["hostvars"], args["servers"])
        shelf = _run_folder.shelf(args["output"], args["cluster"])
        bucket = self.bucket() if self.settings.get("requorum_s3_bucket") else None
        rows = _shelf.rows(self.settings, self.vars["hostvars"], entries, shelf=shelf, bucket=bucket)
        unread = {name: why for name in args["servers"] if (why := self._unread(name))}
        Display().display(_catalog.text(rows, int(time.time())))
        for name, why in unread.items():
            Display().display(f"{name} has no line in the table: {why}")
        return {
            "changed": False,
            "unread": unread,
            "snapshots": [
                {**asdict(row.stored), "name": row.stored.name, "verdict": row.verdict, "why": row.why} for row in rows
            ],
        }

    def _unread(self, name: str) -> str:
        """Why the snapshots of a server are not in the table; empty when they are."""
        known = self.vars["hostvars"][name]
        stored = _inspected.part(known, "snapshots") or known.get("requorum_read") or {}
        if "requorum_snapshots" in stored:
            return ""
        return " ".join(str(stored.get("msg") or "it does not answer").split()).removeprefix("Task failed: ")
