# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What earlier runs of a cluster have left on the controller, for the plan of the next one.

shelf: the folder of the cluster's runs.
"""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _lock, _messages, _plan_changes, _s3
from ansible_collections.requorum.cluster.plugins.module_utils._cleanup import Proof
from ansible_collections.requorum.cluster.plugins.module_utils._rollback_parts import Record
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups, _upkept
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import JSON, earlier, load, recorded


def since(shelf: str, wanted: str, document: JSON) -> str:
    """What has changed since the plan that was seen; empty where it is still the same, or none is asked for."""
    if wanted in ("", document["plan_id"]):
        return ""
    for folder in earlier(shelf):
        seen = _backups.read(folder, "plan.json")
        if seen.get("plan_id") == wanted:
            return str(_plan_changes.refusal(seen, document))
    return str(_messages.refusal("plan-unknown", seen=wanted, now=document["plan_id"], folder=shelf))


def record(shelf: str, stamp: str = "") -> Record | None:
    """What the chosen run left in its folder, else the last one that changed something and was no rollback."""
    later: list[JSON] = []
    rollbacks: list[JSON] = []
    for folder in earlier(shelf):
        name = os.path.basename(folder)
        made, actions = load(folder, "plan.json", {}), recorded(folder)
        # Of a run that was killed in its first action only its lock is left.
        acted = any(a["phase"] > 3 for a in actions) or bool(load(folder, _lock.FILE, {}).get("tried"))
        if name == stamp or (acted and not stamp and made.get("purpose") not in ("rollback", "cleanup")):
            undoing = [one for one in rollbacks if one.get("undoes") == name]
            return Record(name, made, actions, load(folder, "state-before.json", {}), later, undoing)
        later += actions
        if made.get("purpose") == "rollback":
            rollbacks.append({**made, "acted": acted})
    return None


def proof(shelf: str, state: JSON, connect: t.Callable[[], _s3.Store] | None = None) -> Proof | None:
    """The newest snapshot of this cluster off its nodes; one on the controller is hashed again."""
    listed = _upkept.backups(state, os.path.abspath(shelf), connect)
    if not listed.found:
        why = "; ".join(listed.unread.values())
        return Proof("controller and S3", fault=why) if why else None
    best = max(listed.found, key=lambda kept: (kept.time, kept.path))
    if not best.proved:
        return Proof(best.path, fault=f"{best.path} was not proved, or has changed since")
    if not best.off_node:
        return Proof(best.path, fault=f"{best.path} lies on a node of the cluster itself")
    if not best.path.startswith("s3://"):
        with open(best.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != _backups.read(_backups.folder(best.path), "backup.json").get("sha256"):
            return Proof(best.path, fault=f"{best.path} no longer has the SHA-256 with which it was proved")
    return Proof(best.path, best.revision)
