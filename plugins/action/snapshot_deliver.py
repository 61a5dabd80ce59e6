# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_deliver.py for the documentation."""

from __future__ import annotations

import os
from dataclasses import asdict

from ansible_collections.requorum.cluster.plugins.module_utils import _describe, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _chosen
from ansible_collections.requorum.cluster.plugins.plugin_utils._chosen import HINT
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write


class ActionModule(PlanAction):
    """Prove the chosen snapshot on the controller and put it on the server that restores it."""

    VERBS = ("deliver",)

    def do_deliver(self) -> str:
        chosen = self.plan["snapshot"]
        saved = load(self.run_dir, "backup.json", None)
        copied = _chosen.here(self.run_dir, chosen)
        uid = (saved or {}).get("system_uid") or ""
        path, proof = _chosen.proved(self, copied, uid=uid, untouched=_chosen.NOT_RESET)
        self.spare(path, chosen["name"])
        there = chosen["path"] if chosen["place"] == "node" and chosen["host"] == self.host else ""
        if not there or path != copied:
            there = self._send(path, proof.bytes)
        seen = self.must("deliver", "the snapshot cannot be read", HINT, timeout=600, STAMP=self.stamp, SEEN=there)
        arrived = _snapshot.Check("transfer", proof.sha256[:12], seen["sha256"][:12], seen["sha256"] == proof.sha256)
        record = {
            "path": path,
            "node_path": there,
            "sha256": proof.sha256,
            "bytes": proof.bytes,
            "revision": proof.datastore.revision if proof.datastore else None,
            "bootstrap": list(proof.bootstrap),
            "checks": [asdict(check) for check in (*proof.checks, arrived)],
        }
        loss = " " + _describe.loss(_describe.compare(path, saved["path"])) if saved else ""
        write(os.path.join(self.run_dir, "restore.json"), record)
        if not arrived.ok:
            raise RequorumError(f"{there} on {self.host} is not what was sent.", "Look at its disk, then run it again.")
        if not saved:
            write(os.path.join(self.run_dir, "backup.json"), record)
        return f"{proof.bytes} bytes, revision {record['revision']}, proved; it lies in {there}.{loss}"

    def _send(self, path: str, size: int) -> str:
        place = self.must(
            "deliver", "there is no room for the snapshot", HINT, timeout=30, STAMP=self.stamp, SEEN="", BYTES=str(size)
        )
        self.say(f"{size} bytes go to {place['path']}")
        self.push(path, place["path"])
        return place["path"]
