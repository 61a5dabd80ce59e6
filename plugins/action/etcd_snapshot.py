# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/etcd_snapshot.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, write


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
        target = os.path.join(self._folder(), "snapshot.db")
        size = int(saved["bytes"])
        arrived = self.pull(saved["path"], size, target)
        members = {member["id"] for member in self.plan["members"]} or {me["member_id"]}
        proof = _snapshot.prove(target, token_hashes=me["tokens"], member_ids=members)
        checks = [{"name": c.name, "wanted": c.wanted, "observed": c.observed, "ok": c.ok} for c in proof.checks]
        checks.append(
            {"name": "transfer", "wanted": arrived[:12], "observed": proof.sha256[:12], "ok": arrived == proof.sha256}
        )
        write(
            os.path.join(self.run_dir, "backup.json"),
            {
                "path": target,
                "node_path": saved["path"],
                "sha256": proof.sha256,
                "bytes": proof.bytes,
                "revision": proof.datastore.revision if proof.datastore else None,
                "checks": checks,
            },
        )
        if not proof.ok or arrived != proof.sha256:
            raise RequorumError(
                f"The snapshot of {self.host} is not proved ({proof.faults or 'it changed on its way'}).",
                "Nothing was reset. If the token is wrong, find the one that belongs to this datastore "
                "(server/token of another server, backups).",
            )
        revision = proof.datastore.revision if proof.datastore else 0
        return f"{size} bytes, revision {revision}, proved: trailer, structure, content, cluster, token"

    def do_keep(self) -> str:
        saved = self.must(
            "keep",
            "certificates and token could not be packed",
            "Look at the disk of the node; nothing was changed.",
            timeout=300,
            STAMP=self.stamp,
        )
        self.pull(saved["path"], int(saved["bytes"]), os.path.join(self._folder(), "files.tar"))
        return f"{saved['bytes']} bytes"

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

    def _folder(self) -> str:
        folder = os.path.join(self.run_dir, "backup")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        folder = os.path.join(folder, self.host)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder
