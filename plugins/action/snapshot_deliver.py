# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_deliver.py for the documentation."""

from __future__ import annotations

import os
import typing as t
from dataclasses import asdict

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _catalog,
    _describe,
    _messages,
    _snapshot,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, load, write

HINT = "Nothing was reset. See playbooks/snapshots.yml for another one."


class ActionModule(PlanAction):
    """Prove the chosen snapshot on the controller and put it on the server that restores it."""

    VERBS = ("deliver",)

    def do_deliver(self) -> str:
        chosen = self.plan["snapshot"]
        me = next(server for server in self.plan["servers"] if server["name"] == self.host)
        raw = os.path.join(self.run_dir, "backup", "restore", "snapshot.raw")
        path = _shelf.unpacked(self._here(chosen), raw, HINT)
        shelf = os.path.dirname(self.run_dir)
        at_hand = _shelf.names_at_hand(self.settings, shelf, chosen["name"])
        saved = load(self.run_dir, "backup.json", None)
        uid = self.plan["system_uid"] or (saved or {}).get("system_uid") or _shelf.kept_uid(shelf, chosen["path"])
        wanted = _snapshot.Wanted(
            token_hashes={*me["tokens"], *at_hand, *self.plan["tokens"].get("at_hand", ())},
            system_uid=uid,
            version=self.plan["version"] or "",
        )
        proof = _snapshot.prove(path, wanted)
        if not proof.ok:
            raise self._unproved(chosen, proof, wanted)
        self.spare(path, chosen["name"])
        there = chosen["path"] if chosen["place"] == "node" and chosen["host"] == self.host else ""
        if not there or path == raw:
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

    @staticmethod
    def _unproved(chosen: dict[str, t.Any], proof: _snapshot.Proof, wanted: _snapshot.Wanted) -> RequorumError:
        """As the table would judge it, now that it was read as a whole."""
        stored = _catalog.Stored(chosen["place"], chosen["host"], chosen["path"], proof.bytes, chosen["time"])
        (row,) = _shelf.judged([_catalog.proved(stored, proof)], wanted)
        why = row.refusal or _messages.refusal("snapshot-unproved", name=chosen["name"], faults=proof.faults)
        return RequorumError(f"{why.what} Nothing was reset.", why.next)

    def _here(self, chosen: dict[str, t.Any]) -> str:
        """The snapshot on the controller, whence ever it comes."""
        if chosen["place"] == "controller":
            return chosen["path"]
        target = os.path.join(self.run_dir, "backup", "restore", os.path.basename(chosen["path"]))
        if chosen["place"] == "s3":
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            self.bucket().get(chosen["path"], target)
        return target

    def _send(self, path: str, size: int) -> str:
        place = self.must(
            "deliver", "there is no room for the snapshot", HINT, timeout=30, STAMP=self.stamp, SEEN="", BYTES=str(size)
        )
        self.say(f"{size} bytes go to {place['path']}")
        self.push(path, place["path"])
        return place["path"]
