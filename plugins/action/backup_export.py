# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/backup_export.py for the documentation."""

from __future__ import annotations

import collections
import os

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _report_words
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _node_api, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load


class ActionModule(PlanAction):
    """Write the objects of the cluster beside its proved snapshot."""

    VERBS = ("export",)

    def do_export(self) -> str:
        try:
            return self._export()
        except Exception as error:  # whatever is wrong with it: the snapshot is proved, so a recovery goes on
            if self.plan["purpose"] == "backup":
                raise
            return f"warning: nothing was exported: {error}"

    def _export(self) -> str:
        saved = load(self.run_dir, "backup.json", {})
        settings, chosen = self.settings, self.plan["snapshot"] or {}
        done = _exporter.run(
            os.path.join(self.run_dir, "backup", "export"),
            cluster=self.plan["cluster"],
            api=_node_api.of(self) if self._ready() else None,
            snapshot=saved["path"],
            passphrase_file=str(settings.get("requorum_export_passphrase_file") or ""),
            token=_shelf.opening(settings, self.run_dir, saved["bootstrap"], chosen.get("name", "")),
            say=self.say,
        )
        left: collections.Counter[str] = collections.Counter()
        for entry in done["left_out"]:
            left[entry["why"]] += entry["count"]
        return "; ".join(
            [
                f"backup/export: {done['objects']} objects, {done['machines']} virtual machines, "
                f"{_report_words.size(done['bytes'])} from {done['source']}",
                f"{sum(done['encrypted'].values())} objects encrypted",
                *(f"{count} left out: {why}" for why, count in left.items()),
                *done["warnings"],
            ]
        )

    def _ready(self) -> bool:
        """Whether the API answers now; where it does not, no time is spent on asking it for every kind."""
        done = self.script("look", timeout=20, READYZ="yes")
        return done.rc == 0 and _look.parse(done.out).ready
