# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_get.py for the documentation."""

from __future__ import annotations

import os
import shlex
import typing as t
from dataclasses import asdict, replace

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _s3, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _run_folder, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

LIST = "`requorum snapshot list` shows what there is."
UNPROVED = ".unproved"


class ActionModule(NodeAction):
    """Copy a snapshot of a server or of S3 to the controller and prove it there."""

    VALID = ("source", "cluster", "servers", "output", "folder")

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        shelf = os.path.abspath(_run_folder.shelf(args["output"], args["cluster"]))
        entries = _shelf.entries_of(self.vars["hostvars"], args["servers"])
        wanted = _shelf.wanted(self.settings, entries, _shelf.on_controller(shelf), shelf=shelf)
        store = self.bucket() if args["source"].startswith("s3://") else None
        found = _shelf.in_s3(store) if store else _shelf.on_node(self.vars["hostvars"], self.host)
        chosen = pick(_shelf.judged(found, wanted), args["source"], self.host)
        folder = args.get("folder") or os.path.join(shelf, _shelf.FETCHED, chosen.host)
        target = os.path.join(os.path.abspath(folder), local_name(chosen.path))
        if self._task.check_mode:
            return {"changed": True, "source": chosen.name, "path": target, "proved": None, "checks": []}
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        chosen, whole = self._copy(chosen, target + UNPROVED, store)
        return self._prove(chosen, target, wanted, whole)

    def _copy(
        self, chosen: _catalog.Stored, target: str, store: _s3.Store | None
    ) -> tuple[_catalog.Stored, _snapshot.Check | None]:
        """(what was found there, whether it arrived as it left); S3 compares by itself."""
        if store:
            store.get(chosen.path, target)
            return replace(chosen, bytes=os.stat(target).st_size), None
        there = self.must("deliver", "the snapshot cannot be read", LIST, timeout=600, STAMP="", SEEN=chosen.path)
        if not chosen.time:
            done = self.node.run(f"stat -c %Y {shlex.quote(chosen.path)}")
            chosen = replace(chosen, time=int(done.out) if done.out.strip().isdecimal() else 0)
        self.say(f"{there['bytes']} bytes of {chosen.path} are copied")
        arrived = self.pull(chosen.path, int(there["bytes"]), target)
        check = _snapshot.Check("transfer", there["sha256"][:12], arrived[:12], arrived == there["sha256"])
        return replace(chosen, bytes=int(there["bytes"])), check

    def _prove(
        self, chosen: _catalog.Stored, target: str, wanted: _snapshot.Wanted, whole: _snapshot.Check | None
    ) -> dict[str, t.Any]:
        """Take the mark off the name of a proved one and write its record, by which the table finds it."""
        kept = target + UNPROVED
        proof = _snapshot.prove(kept, wanted)
        checks = [*proof.checks, *([whole] if whole else [])]
        proved = all(check.ok for check in checks)
        if proved:
            os.replace(kept, target)
            here = replace(chosen, place="controller", host="", path=target)
            _run_folder.write(f"{target}.json", asdict(_catalog.proved(here, proof)))
        result = {
            "changed": True,
            "source": chosen.name,
            "path": target if proved else kept,
            "proved": proved,
            "sha256": proof.sha256,
            "bytes": chosen.bytes,
            "revision": proof.datastore.revision if proof.datastore else None,
            "checks": [asdict(check) for check in checks],
        }
        if proved:
            return result
        faults = "; ".join(f"{check.name}: {check.observed}" for check in checks if not check.ok)
        hint = f"It lies in {kept} and counts nowhere. Take another one, or give its token by requorum_token_file."
        return result | {"failed": True, "msg": f"{chosen.name} is not proved ({faults}). {hint}"}


def pick(rows: t.Sequence[_catalog.Row], source: str, host: str) -> _catalog.Stored:
    """The snapshot that SERVER, SERVER:/path or s3://bucket/key means; rows: those that lie there."""
    if source.endswith(".part"):
        raise RequorumError(f"{source} is a transfer that did not end.", LIST)
    named = next((row.stored for row in rows if row.stored.name == source), None)
    if named:
        return named
    if source == host:
        usable = next((row.stored for row in rows if row.verdict == "usable"), None)
        if usable:
            return usable
        seen = "; ".join(f"{row.stored.path}: {row.why}" for row in rows[:3]) or "none was found"
        raise RequorumError(f"{host} has no snapshot that can be used ({seen}).", f"Name one by {host}:/path. {LIST}")
    path = source.removeprefix(f"{host}:")
    if path == source or not path.startswith("/"):
        raise RequorumError(f"There is no snapshot {source}.", LIST)
    return _catalog.Stored("node", host, path, 0, 0)


def local_name(path: str) -> str:
    """Name of the copy; those in folders of runs are all called snapshot.db."""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}-{name}" if name == "snapshot.db" else name
