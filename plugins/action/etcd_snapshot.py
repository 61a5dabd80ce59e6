# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/etcd_snapshot.py for the documentation."""

from __future__ import annotations

import os
import time
from dataclasses import asdict

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._classify import RESETS
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import backup_folder, write


class ActionModule(PlanAction):
    """Save a snapshot on the node, stream it to the controller and prove it there; keep what it needs beside it."""

    VERBS = ("snapshot", "keep", "save")

    def do_snapshot(self) -> str:
        me = next(server for server in self.plan["servers"] if server["name"] == self.host)
        source = "disk" if self.plan["offline"] else "gateway"
        saved = self.must(
            "snapshot",
            "no snapshot could be saved",
            "Look at the disk of the node and at etcd's log; nothing was changed.",
            timeout=900,
            STAMP=self.stamp,
            SOURCE=source,
        )
        target = os.path.join(backup_folder(self.run_dir, self.host), "snapshot.db")
        size = int(saved["bytes"])
        arrived = self.pull(saved["path"], size, target)
        members = {member["id"] for member in self.plan["members"]} or {me["member_id"]}
        # A reset reads the token in force. Where nothing is reset, server/token counts too: it is kept as well.
        # The plan may have found it elsewhere.
        own = [me["own_token"]] if self.plan["aim"] and me["own_token"] else []
        at_hand = [*me["tokens"], *own, *self.plan["tokens"].get("at_hand", ())]
        wanted = _snapshot.Wanted(at_hand, members, self.plan["system_uid"] or "")
        proof = _snapshot.prove(target, wanted)
        whole = _snapshot.Check("transfer", arrived[:12], proof.sha256[:12], arrived == proof.sha256)
        write(
            os.path.join(self.run_dir, "backup.json"),
            {
                "path": target,
                "node_path": saved["path"],
                "sha256": proof.sha256,
                "bytes": proof.bytes,
                "revision": proof.datastore.revision if proof.datastore else None,
                "bootstrap": list(proof.bootstrap),
                "system_uid": proof.system_uid,
                "checks": [asdict(check) for check in (*proof.checks, whole)],
            },
        )
        if not (proof.ok and whole.ok):
            raise RequorumError(
                f"The snapshot of {self.host} is not proved ({proof.faults or 'it changed on its way'}).",
                "Nothing was reset. If the token is wrong, find the one that belongs to this datastore "
                "(server/token of another server, backups).",
            )
        stored = _catalog.Stored("controller", "", target, proof.bytes, int(time.time()))
        write(f"{target}.json", asdict(_catalog.proved(stored, proof)))
        if self.plan["case"] in RESETS and not self.plan["snapshot"]:
            self.spare(target, f"The datastore of {self.host}")
        revision = proof.datastore.revision if proof.datastore else 0
        return f"{size} bytes, revision {revision}, proved: trailer, structure, content, cluster, token"

    def do_keep(self) -> str:
        saved = self.must(
            "keep",
            "certificates and token could not be packed",
            "Look at the disk of the node; nothing was changed.",
            timeout=300,
            STAMP=self.stamp,
            SIDE="agent" if self.host in self.plan["agents"] else "server",
            NAMED=_shelf.on_host(self.settings, self.host),
        )
        self.pull(saved["path"], int(saved["bytes"]), os.path.join(backup_folder(self.run_dir, self.host), "files.tar"))
        without = saved.get("without", "").split()
        return (
            f"{saved['bytes']} bytes"
            if not without
            else f"warning: {saved['bytes']} bytes, without files of Harvester that could not be read, one or all of: "
            f"{', '.join('/' + path for path in without)}"
        )

    def do_save(self) -> str:
        saved = self.must(
            "save",
            "no fresh snapshot could be saved",
            "The cluster works; save one by hand and look at the server's log.",
            timeout=150,
            NAME="requorum-after",
        )
        if not saved.get("path"):
            raise RequorumError(
                f"{self.host}: the program wrote no snapshot.",
                "The cluster works; save one by hand and look at the server's log.",
            )
        write(os.path.join(self.run_dir, "after.json"), saved)
        return f"{saved['path']}, {saved['bytes']} bytes"
