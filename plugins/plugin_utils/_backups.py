# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Backups of one cluster off its nodes: its runs on the controller, and what they have put into S3; which ones go.

A run is the folder <output>/<cluster>/<stamp>. Its backup is proved when every check in its backup.json is, and its
snapshot still has the size that was proved. Its time is the stamp, which a copy does not change.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.requorum.cluster.plugins.module_utils import _messages, _retention, _s3
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

JSON = dict[str, t.Any]
STAMP = re.compile(r"\d{8}T\d{6}Z")
MAY_GO_ON = 86400
"""Seconds for which a run that has proved nothing may still be at work."""


@dataclass(frozen=True)
class Backup:
    """One backup off the node, or a run that has none yet."""

    name: str
    """Its snapshot, as requorum_snapshot names it."""
    time: int
    proved: bool
    revision: int | None
    there: bool
    """There is a snapshot, proved or not."""
    where: str
    """What goes when it goes: folder of the run, or name in the bucket."""
    may_go: bool
    """The policy decides about it; never about the run of a recovery."""
    cluster_id: str = ""
    """UID of kube-system, as far as it was known."""
    restored: str = ""
    """Snapshot that this run restores."""

    @property
    def what(self) -> str:
        """What goes, for people."""
        return self.name if self.name.startswith("s3://") else self.where


def of_runs(shelf: str) -> list[Backup]:
    """All runs below the folder of a cluster; links and other names are not looked at."""
    try:
        found = sorted(os.listdir(shelf))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _messages.error("run-unread", path=shelf, reason=error.strerror) from error
    paths = [os.path.join(shelf, name) for name in found if _time(name) is not None]
    return [_run(path) for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def in_s3(bucket: str, objects: t.Iterable[_s3.Stored], cluster: str) -> list[Backup]:
    """What Requorum has put there for this cluster: it puts proved snapshots only."""
    ours = re.compile(rf"{re.escape(cluster)}/({STAMP.pattern})-[^/]+\.db")
    backups = []
    for each in objects:
        named = ours.fullmatch(each.name)
        made = _time(named[1]) if named else None
        if made is None or each.maker != "requorum" or each.sha256 is None:
            continue
        revision = each.metadata.get("requorum-revision", "")
        backups.append(
            Backup(
                name=f"s3://{bucket}/{each.name}",
                time=made,
                proved=True,
                revision=int(revision) if revision.isdecimal() else None,
                there=True,
                where=each.name,
                may_go=True,
                cluster_id=each.cluster or "",
            )
        )
    return backups


def of_cluster(backups: t.Iterable[Backup], uid: str | None) -> list[Backup]:
    """Without those of another cluster that had the same name."""
    return [backup for backup in backups if not (uid and backup.cluster_id and backup.cluster_id != uid)]


def newest(backups: t.Iterable[Backup]) -> JSON | None:
    """The newest proved one, for the report."""
    proved = [backup for backup in backups if backup.proved]
    if not proved:
        return None
    best = max(proved, key=lambda backup: (backup.time, backup.name))
    return {"name": best.name, "time": best.time, "revision": best.revision}


def expired(
    backups: t.Iterable[Backup], policy: t.Mapping[str, int], *, now: float, spared: t.Iterable[str] = ()
) -> list[Backup]:
    """Those that the policy lets go: none when all of it is 0, and never one whose snapshot is spared."""
    if not any(policy.values()):
        return []
    staying = {_real(name) for name in spared if name}
    gone = _retention.keep((backup for backup in backups if backup.may_go), **dict[str, t.Any](policy))[1]
    return [b for b in gone if _real(b.name) not in staying and (b.proved or now - b.time > MAY_GO_ON)]


def folder(snapshot: str) -> str:
    """Of the run that has saved a snapshot."""
    return os.path.dirname(os.path.dirname(os.path.dirname(snapshot)))


def remove(folder: str) -> None:
    """The whole folder of a run."""
    if os.path.islink(folder) or not STAMP.fullmatch(os.path.basename(folder)):
        raise RequorumError(f"{folder} is not the folder of a run.", "It was left as it is: look at it.")
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return  # another run was faster
    except OSError as error:
        raise RequorumError(f"{folder} cannot be removed: {error.strerror}.", "Look at its rights.") from error


def s3_name(plan: JSON) -> str:
    """Of the snapshot of a run."""
    return f"{plan['cluster']}/{plan['stamp']}-{plan['saver']}.db"


def s3_metadata(plan: JSON, record: JSON) -> dict[str, str]:
    """What the table of snapshots reads of an object (`_catalog.from_s3`). record: `snapshot.db.json`."""
    server: JSON = next((each for each in plan["servers"] if each["name"] == plan["saver"]), {})
    keys = list(record.get("bootstrap") or ())
    opened = [key for key in keys if key in (server.get("tokens") or ())]
    values = {
        "revision": record.get("revision"),
        "token-hash": next(iter(opened or keys), None),
        "etcd": record.get("etcd"),
        "node-name": server.get("node") or plan["saver"],
        "cluster-id": plan.get("system_uid"),
    }
    return {f"requorum-{key}": str(value) for key, value in values.items() if value not in (None, "")}


def read(folder: str, name: str) -> JSON:
    """A JSON object of a run's folder; empty where there is none, or one that a full disk has cut off."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _run(folder: str) -> Backup:
    plan, proof = read(folder, "plan.json"), read(folder, "backup.json")
    stamp = os.path.basename(folder)
    snapshot = os.path.join(folder, "backup", str(plan.get("saver") or "-"), "snapshot.db")
    size = os.stat(snapshot).st_size if os.path.isfile(snapshot) else None
    checks = [isinstance(check, dict) and check.get("ok") is True for check in proof.get("checks") or ()]
    cluster = os.path.normpath(str(plan.get("cluster") or "-"))
    here = plan.get("stamp") == stamp and os.path.dirname(folder).endswith(os.sep + cluster)
    return Backup(
        name=snapshot,
        time=_time(stamp) or 0,
        proved=bool(checks) and all(checks) and size is not None and size == proof.get("bytes"),
        revision=proof.get("revision"),
        there=size is not None,
        where=folder,
        may_go=here and plan.get("purpose") == "backup",
        cluster_id=str(plan.get("system_uid") or proof.get("system_uid") or ""),
        restored=str((plan.get("snapshot") or {}).get("name") or ""),
    )


def _time(stamp: str) -> int | None:
    if not STAMP.fullmatch(stamp):
        return None
    try:
        return int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _real(name: str) -> str:
    return os.path.realpath(name) if name.startswith("/") else name
