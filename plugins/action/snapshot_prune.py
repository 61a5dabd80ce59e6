# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_prune.py for the documentation."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import _s3
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups, _run_folder
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


class ActionModule(NodeAction):
    """Let all but the newest backups go, on the controller and in S3."""

    VALID = ("cluster", "output", "keep")

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        shelf = os.path.abspath(_run_folder.shelf(args["output"], args["cluster"]))
        store = self.bucket() if self.settings.get("requorum_s3_bucket") else None
        dry = bool(self._task.check_mode)
        keep = number(args["keep"])
        with contextlib.nullcontext() if dry else self.acting("prune", f"Remove all but {keep} proved backups"):
            result = prune(shelf, args["cluster"], keep, store=store, now=time.time(), dry=dry)
        for what in result["removed"]:
            Display().display(f"  {'would be removed' if dry else 'removed'}: {what}")
        return result


def number(given: t.Any) -> int:
    """How many shall stay."""
    if not str(given).isdecimal() or not int(given):
        raise RequorumError(f"keep is {given!r}.", "It is a whole number from 1 on.")
    return int(given)


def prune(
    shelf: str, cluster: str, keep: int, *, store: _s3.Store | None, now: float, dry: bool = False
) -> dict[str, t.Any]:
    """What goes, and how many proved ones stay. The bucket is listed before anything goes anywhere."""
    here = _backups.of_runs(shelf)
    there = _backups.in_s3(store.settings.bucket, store.entries(), cluster) if store else []
    proved = [backup for backup in (*here, *there) if backup.proved and backup.cluster_id]
    uid = max(proved, key=lambda backup: backup.time).cluster_id if proved else None
    spared = [backup.restored for backup in here]
    gone = []
    for backups in (here, there):
        of_ours = _backups.of_cluster(backups, uid)
        gone += _backups.expired(of_ours, {"last": keep}, now=now, spared=spared)
    for backup in [] if dry else gone:
        if store and backup.name.startswith("s3://"):
            store.remove(backup.where)
        else:
            _backups.remove(backup.where)
    left = [backup.name for backup in (*here, *there) if backup.proved and backup not in gone]
    return {"changed": bool(gone), "removed": [backup.what for backup in gone], "kept": left}
