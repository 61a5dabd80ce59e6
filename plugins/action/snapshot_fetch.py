# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_fetch.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.plugin_utils import _chosen
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import backup_folder


class ActionModule(PlanAction):
    """Copy the chosen snapshot to the controller and prove it, before any node is touched."""

    VERBS = ("fetch",)

    def do_fetch(self) -> str:
        chosen = self.plan["snapshot"]
        target = _chosen.here(self.run_dir, chosen)
        backup_folder(self.run_dir, _chosen.FOLDER)
        if chosen["place"] == "s3":
            self.bucket().get(chosen["path"], target)
        else:
            self.pull(chosen["path"], int(chosen["bytes"]), target)
        _path, proof = _chosen.proved(self, target, uid="", untouched=_chosen.UNTOUCHED)
        return f"{proof.bytes} bytes, revision {proof.datastore.revision if proof.datastore else None}, proved"
