# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores made by real programs, each for something that a reader may get wrong."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.oracle.apiserver import Apiserver
from tests.oracle.programs import Etcd, etcd_folder, free_ports, run
from tests.unit import datastores as real

LARGE = 1400 * 1024
KEYS = 100_000
QUOTA = 16 << 20


@dataclass(frozen=True)
class Datastore:
    """One file, or the directory of a stopped server."""

    path: Path
    """The db image, with or without its trailer."""
    series: str
    """Of the etcd that wrote it."""
    data: Path | None = None
    """etcd's data directory, where the WAL is at hand too."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What etcd said about itself at the end: `Etcd.facts`."""

    @property
    def small(self) -> bool:
        """Small enough for sums over every byte in Python."""
        return self.path.stat().st_size < 24 << 20


def _stopped(etcd: Etcd, facts: dict[str, Any]) -> Datastore:
    return Datastore(etcd.data / "member/snap/db", etcd.series, etcd.data, facts)


def _killed(etcd: Etcd) -> dict[str, Any]:
    facts = etcd.facts()
    etcd.kill()
    return facts


def _saved(etcd: Etcd) -> Datastore:
    facts = etcd.facts()
    return Datastore(etcd.save(etcd.data.parent / "snapshot.db"), etcd.series, None, facts)


def _history(etcd: Etcd) -> None:
    """Keys that were written, changed, deleted and written again."""
    for turn in range(4):
        etcd.put_all((f"/registry/configmaps/default/c{number:04}", f"{turn}" * 300) for number in range(turn, 900))
        for number in range(0, 60, turn + 1):
            etcd.delete(f"/registry/configmaps/default/c{number:04}")
    etcd.put("/registry/namespaces/kube-system", b"k8s\0\n\x0f\n\x02v1\x12\tNamespace")


def fresh(folder: Path, series: str) -> Datastore:
    """A server that was started and stopped, and nothing else."""
    with Etcd(folder, series) as etcd:
        facts = etcd.facts()
    return _stopped(etcd, facts)


def history(folder: Path, series: str) -> Datastore:
    """Several generations of keys and tombstones; nothing compacted."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        return _saved(etcd)


def compacted(folder: Path, series: str) -> Datastore:
    """The first revisions are gone, and the file has free pages."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        etcd.compact(etcd.revision() - 3)
        return _saved(etcd)


def compacted_at_tombstone(folder: Path, series: str) -> Datastore:
    """The revision up to which is compacted is a deletion."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        etcd.delete("/registry/configmaps/default/c0100")
        etcd.compact(etcd.revision())
        etcd.put("/registry/configmaps/default/c0101", "afterwards")
        return _saved(etcd)


def defragmented(folder: Path, series: str) -> Datastore:
    """Compacted, then written anew, page beside page."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        etcd.compact(etcd.revision())
        etcd.defragment()
        facts = _killed(etcd)
    return _stopped(etcd, facts)


def all_deleted(folder: Path, series: str) -> Datastore:
    """Nothing lives, only tombstones."""
    with Etcd(folder, series) as etcd:
        for number in range(20):
            etcd.put(f"k{number}", "v")
            etcd.delete(f"k{number}")
        return _saved(etcd)


def leases(folder: Path, series: str) -> Datastore:
    """Leases with keys, one without, one revoked."""
    with Etcd(folder, series) as etcd:
        for number in range(1, 31):
            etcd.call("lease/grant", TTL="3600", ID=str(number << 40))
            if number < 30:
                etcd.put(f"/registry/events/default/e{number}", "x", lease=str(number << 40))
        etcd.call("lease/revoke", ID=str(7 << 40))
        return _saved(etcd)


def alarms(folder: Path, series: str) -> Datastore:
    """NOSPACE: the quota is used up."""
    with Etcd(folder, series, f"--quota-backend-bytes={QUOTA}") as etcd:
        number = 0
        while not etcd.facts()["alarms"]:
            number += 1
            with contextlib.suppress(ValueError):
                etcd.put(f"/registry/configmaps/default/c{number}", "x" * (1 << 20))
        etcd.compact(etcd.revision())
        return _saved(etcd)


def auth(folder: Path, series: str) -> Datastore:
    """Users, roles and permissions; authentication on."""
    with Etcd(folder, series) as etcd:
        etcd.put("/registry/x", "y")
        for name in ("root", "reader"):
            etcd.call("auth/role/add", name=name)
            etcd.call("auth/user/add", name=name, password=name)
            etcd.call("auth/user/grant", user=name, role=name)
        etcd.call("auth/enable")
        etcd.login()
        return _saved(etcd)


def learner(folder: Path, series: str) -> Datastore:
    """A second member that is no voter and has never started, and one that was removed."""
    with Etcd(folder, series) as etcd:
        urls = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
        gone = etcd.call("cluster/member/add", peerURLs=urls[:1], isLearner=True)["member"]["ID"]
        etcd.call("cluster/member/remove", ID=gone)
        etcd.call("cluster/member/add", peerURLs=urls[1:], isLearner=True)
        etcd.put("k", "v")
        return _saved(etcd)


def killed(folder: Path, series: str) -> Datastore:
    """kill -9 right after a write: the WAL holds what the db lacks; raft snapshots have been taken on the way."""
    late = ("--backend-batch-interval=1h", "--backend-batch-limit=500")
    with Etcd(folder, series, "--snapshot-count=100", *late) as etcd:
        for number in range(900):
            etcd.put(f"/registry/configmaps/default/c{number}", "x" * 200)
        facts = _killed(etcd)
    return _stopped(etcd, facts)


def killed_large(folder: Path, series: str) -> Datastore:
    """The same with so much in it that the WAL has a second segment."""
    with Etcd(folder, series) as etcd:
        for number in range(56):
            etcd.put(f"/registry/configmaps/default/c{number % 40}", bytes([number + 1]) * LARGE)
        facts = _killed(etcd)
    return _stopped(etcd, facts)


def killed_zeros(folder: Path, series: str) -> Datastore:
    """Values of zeros: in the WAL they look like its unused end."""
    with Etcd(folder, series) as etcd:
        for number in range(30):
            etcd.put(f"/registry/secrets/default/c{number}", bytes(40_000))
        facts = _killed(etcd)
    return _stopped(etcd, facts)


def restarted(folder: Path, series: str) -> Datastore:
    """Killed and started again, a few times: terms go up and the WAL goes on in the same segment."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        etcd.kill()
    for turn in range(3):
        with etcd:
            etcd.put(f"turn-{turn}", "x")
            facts = _killed(etcd)
    return _stopped(etcd, facts)


def restored(folder: Path, series: str) -> Datastore:
    """What `etcdutl snapshot restore` makes of a snapshot."""
    with Etcd(folder, series) as etcd:
        _history(etcd)
        saved = etcd.save(folder / "snapshot.db")
    target = folder / "restored"
    bump = ["--bump-revision", "1000000", "--mark-compacted"] if series == "3.6" else []
    run(etcd_folder(series) / "etcdutl", "snapshot", "restore", saved, "--data-dir", target, "--name", "m1",
        "--initial-cluster", "m1=http://127.0.0.1:1", "--initial-advertise-peer-urls", "http://127.0.0.1:1", *bump)
    return Datastore(target / "member/snap/db", series, target)


def many(folder: Path, series: str) -> Datastore:
    """100 000 keys: a tree of several levels."""
    with Etcd(folder, series) as etcd:
        etcd.put_all((f"/registry/pods/ns{number % 50}/p{number}", f"{number}" * 12) for number in range(KEYS))
        return _saved(etcd)


def large(folder: Path, series: str) -> Datastore:
    """Values of 1.4 MB: leaves with hundreds of overflow pages."""
    with Etcd(folder, series) as etcd:
        for number in range(8):
            etcd.put(f"/registry/configmaps/default/c{number}", bytes([number]) * (LARGE + number))
        etcd.delete("/registry/configmaps/default/c3")
        return _saved(etcd)


def apiserver(folder: Path, series: str) -> Datastore:
    """What a kube-apiserver writes, custom resources and encrypted Secrets among it."""
    with Etcd(folder, series) as etcd, Apiserver(folder, etcd) as server:
        uid = server.fill()
        store = _saved(etcd)
    return replace(store, facts=store.facts | {"system_uid": uid})


def rke2(folder: Path, _series: str) -> Datastore:
    """The snapshot of a real RKE2 cluster."""
    return Datastore(Path(shutil.copy2(real.unpacked() / "snapshot.db", folder / "snapshot.db")), "3.6")


RECIPES: dict[str, tuple[Callable[[Path, str], Datastore], str]] = {
    f"{recipe.__name__}-{series}": (recipe, series)
    for recipe, both in {
        fresh: True, history: True, compacted: True, compacted_at_tombstone: True, defragmented: True,
        all_deleted: False, leases: True, alarms: False, auth: True, learner: False, killed: True, killed_large: False,
        killed_zeros: False, restarted: False, restored: True, many: False, large: False, apiserver: False, rke2: False,
    }.items()
    for series in (("3.5", "3.6") if both else ("3.6",))
}
