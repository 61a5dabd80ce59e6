# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The end of a backup run: its snapshot goes to S3, old backups go, and one line says how old the newest proved one is.

Nothing is removed after anything else has failed.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.requorum.cluster.plugins.module_utils import _retention, _s3
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import recorded, write

JSON = dict[str, t.Any]


@dataclass
class Keep:
    """What is to be done, and what came of it."""

    run_dir: str
    policy: t.Mapping[str, int]
    """last, hours, days, weeks; all 0 keeps everything."""
    max_age_s: int
    """0: the age is said and not judged."""
    now: float
    connect: t.Callable[[], _s3.Store] | None = None
    """The bucket, when one is set."""
    dry: bool = False
    stored: str = ""
    gone: list[_backups.Backup] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def act(self) -> JSON:
        plan = _backups.read(self.run_dir, "plan.json")
        here = _backups.of_runs(os.path.dirname(self.run_dir))
        own = next((backup for backup in here if backup.where == self.run_dir), None)
        if own is None or plan.get("purpose") != "backup":
            raise RequorumError(f"{self.run_dir} is not the run of a backup.", "Only playbooks/backup.yml makes one.")
        if min(self.max_age_s, *self.policy.values()) < 0:
            raise RequorumError("A number of the policy is negative.", "Each is 0 or more.")
        uid = plan.get("system_uid")
        here, there = _backups.of_cluster(here, uid), list[_backups.Backup]()
        self._look_at(plan, own)
        try:
            if self.connect is not None:
                there = _backups.of_cluster(self._in_s3(self.connect(), plan, own), uid)
            if not self.problems:
                self._remove(own, here, there)
        except RequorumError as error:
            self.problems.append(str(error))
        return self._result([backup for backup in (*here, *there) if backup.there])

    def _look_at(self, plan: JSON, own: _backups.Backup) -> None:
        """Whether this run has made what it was for; in check mode it would."""
        failed = [action["result"] for action in recorded(self.run_dir) if action["result"].startswith("failed")]
        planned = bool(plan.get("actions"))
        if failed or not (own.proved or (self.dry and planned)):
            why = failed[0].removeprefix("failed: ") if failed else "it was stopped on the way. Run it again."
            why = why if failed or planned else f"nothing could be planned. {plan.get('reason')}"
            self.problems.append(f"This run's own backup failed: {why}")

    def _in_s3(self, store: _s3.Store, plan: JSON, own: _backups.Backup) -> list[_backups.Backup]:
        """Put the snapshot there; all that is there then."""
        name, bucket = _backups.s3_name(plan), store.settings.bucket
        if own.proved or self.dry:
            self.stored = f"s3://{bucket}/{name}"
        if own.proved and not self.dry:
            record = _backups.read(os.path.dirname(own.name), "snapshot.db.json")
            store.put(own.name, name, metadata=_backups.s3_metadata(plan, record))
        return _backups.in_s3(bucket, store.entries(), plan["cluster"])

    def _remove(self, own: _backups.Backup, here: list[_backups.Backup], there: list[_backups.Backup]) -> None:
        """By the policy, here and there; what a recovery restores from stays, and so does this run."""
        spared = [own.name, self.stored, *(backup.restored for backup in here)]
        made = replace(own, proved=True)
        here = [made if backup is own else backup for backup in here]
        if self.dry and self.stored:
            there = [*there, replace(made, name=self.stored, where="")]
        for backup in _backups.expired(here, self.policy, now=self.now, spared=spared):
            if not self.dry:
                _backups.remove(backup.where)
            self.gone.append(backup)
        old = _backups.expired(there, self.policy, now=self.now, spared=spared)
        store = self.connect() if old and self.connect and not self.dry else None
        for backup in old:
            if store:
                store.remove(backup.where)
            self.gone.append(backup)

    def _result(self, seen: list[_backups.Backup]) -> JSON:
        """What has gone still counts here: the newest proved one has not."""
        young, line = _retention.monitor(seen, self.now, self.max_age_s)
        if self.max_age_s and not young:
            self.problems.append(f"{line}.")
        result = {
            "changed": bool(self.gone or self.stored),
            "line": line,
            "newest": _backups.newest(seen),
            "stored": self.stored,
            "removed": [backup.what for backup in self.gone],
        }
        if not self.dry:
            write(os.path.join(self.run_dir, "keep.json"), result)
        return result | ({"failed": True, "msg": " ".join(self.problems)} if self.problems else {})
