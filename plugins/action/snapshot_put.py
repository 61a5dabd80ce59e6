# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_put.py for the documentation."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
import typing as t
from dataclasses import asdict

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _s3, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups, _run_folder, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

HINT = "Nothing was put there."
STAMP = "%Y%m%dT%H%M%SZ"


class ActionModule(NodeAction):
    """Prove a snapshot on the controller and put it on a server or into S3."""

    VALID = ("file", "target", "cluster", "servers", "output")

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        path, target = os.path.abspath(args["file"]), str(args["target"])
        shelf = _run_folder.shelf(args["output"], args["cluster"])
        entries = _shelf.entries_of(self.vars["hostvars"], args["servers"])
        wanted = _shelf.wanted(self.settings, entries, [*_shelf.on_controller(shelf), *beside(path)], shelf=shelf)
        store = self._store(target) if target.startswith("s3:") else None
        if not store and (target != self.host or target not in args["servers"]):
            hint = "Name a server of the inventory, or s3:// for the bucket."
            raise RequorumError(f"{target} is not one server.", hint)
        proof = _snapshot.prove(path, wanted)
        result = {
            "changed": proof.ok,
            "sha256": proof.sha256,
            "bytes": proof.bytes,
            "revision": proof.datastore.revision if proof.datastore else None,
            "checks": [asdict(check) for check in proof.checks],
            "proved": proof.ok,
            "name": "",
        }
        if not proof.ok:
            return result | {"failed": True, "msg": f"{path} is not proved ({proof.faults}). {HINT}"}
        made = _shelf.written(path)
        with self.acting("put", f"Put {path} to {target}"), tempfile.TemporaryDirectory(prefix="requorum-") as folder:
            source = _shelf.unpacked(path, os.path.join(folder, "snapshot.db"), HINT)
            if store:
                return result | self._into_s3(store, source, made, proof, wanted)
            return result | self._onto_node(source, made, proof)

    def _store(self, target: str) -> _s3.Store:
        store = self.bucket()
        if target.rstrip("/") not in ("s3:", f"s3://{store.settings.bucket}"):
            raise RequorumError(f"{target} is not the bucket {store.settings.bucket}.", "Set requorum_s3_bucket.")
        return store

    def _into_s3(
        self, store: _s3.Store, source: str, made: int, proof: _snapshot.Proof, wanted: _snapshot.Wanted
    ) -> dict[str, t.Any]:
        """Named and described as a backup is: the table and the policy then treat it as one."""
        tokens = sorted(wanted.token_hashes or ())
        stamp = time.strftime(STAMP, time.gmtime(made))
        plan = {
            "cluster": self._task.args["cluster"],
            "stamp": stamp,
            "saver": "put",
            "system_uid": wanted.system_uid,
            "servers": [{"name": "put", "tokens": tokens}],
        }
        name = _backups.s3_name(plan)
        there = f"s3://{store.settings.bucket}/{name}"
        if self._task.check_mode:
            return {"name": there}
        stored = _catalog.proved(_catalog.Stored("controller", "", source, proof.bytes, made), proof)
        metadata = _backups.s3_metadata(plan, asdict(stored))
        metadata.pop("requorum-node-name")  # nobody knows any more which server it is of
        sent = store.put(source, name, metadata=metadata)
        return {"name": there, "changed": sent.sent > 0}

    def _onto_node(self, source: str, made: int, proof: _snapshot.Proof) -> dict[str, t.Any]:
        """Under another name until it is what was sent: no table shows the half of a snapshot."""
        stamp = time.strftime(STAMP, time.gmtime())
        if self._task.check_mode:
            return {"name": f"{self.host}:/var/lib/rancher/requorum/{stamp}/snapshot.db"}
        what = "there is no room for the snapshot"
        room = self.must("deliver", what, HINT, timeout=30, STAMP=stamp, SEEN="", BYTES=str(proof.bytes))["path"]
        folder = os.path.dirname(room)
        final = f"{folder}/snapshot.db"
        try:
            self.say(f"{proof.bytes} bytes go to {final}")
            self.push(source, room)
            seen = self.must("deliver", "the snapshot cannot be read", HINT, timeout=600, STAMP=stamp, SEEN=room)
            same = seen["sha256"] == proof.sha256
            arrived = _snapshot.Check("transfer", proof.sha256[:12], seen["sha256"][:12], same)
            if not arrived.ok:
                raise RequorumError(f"{self.host}: what arrived is not what was sent.", "Look at its disk. " + HINT)
            # The table sorts by time: an old snapshot must not become the newest because it was put there now.
            come = shlex.quote(room)
            done = self.node.run(f"touch -d @{made} {come} && ln {come} {shlex.quote(final)} && rm {come}")
            if done.rc != 0:
                raise RequorumError(f"{self.host}: {final} cannot be written: {done.why}.", HINT)
        except RequorumError:
            self.node.run(f"rm -f {shlex.quote(room)}; rmdir {shlex.quote(folder)}")
            raise
        return {
            "name": f"{self.host}:{final}",
            "checks": [asdict(check) for check in (*proof.checks, arrived)],
        }


def beside(path: str) -> list[_catalog.Stored]:
    """The file itself, for the token that a backup keeps beside it."""
    return [_catalog.Stored("controller", "", path, 0, 0)]
