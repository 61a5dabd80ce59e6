# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to a recovery: each run is refused with its reason, its place and the next step, and touches nothing.

All kinds of bad snapshots: tests/unit/test_bad_snapshots.py.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from lab import faults, fingerprint, spoil
from lab.drill import confirm, playbook
from lab.labs import Lab
from tests.lab import story
from tests.unit.datastores import unpacked

RESTORE = ("-e", "requorum_method=restore")


def refused(lab: Lab, *arguments: str, words: tuple[str, ...]) -> None:
    """A wet run that is refused in PLAN."""
    run = playbook(lab, "recover.yml", *confirm(lab), *arguments)
    print(f"refused in {run.seconds:.0f} s: {arguments}")
    assert story.outcome(run) == "refused" and run.rc != 0, arguments
    assert run.folder and not (run.folder / "actions.jsonl").exists()
    said = " ".join(run.out.split())
    assert [word for word in words if word not in said] == [], arguments


def test_a_survivor_that_cannot_be_one_and_a_snapshot_that_cannot_be_restored(k3s: Lab, tmp_path: Path) -> None:
    lab = k3s
    first, second, third = lab.servers
    saved = playbook(lab, "playbooks/backup.yml")
    assert saved.rc == 0 and saved.folder, saved.out
    (kept,) = saved.folder.glob("backup/*/snapshot.db")
    good = kept.read_bytes()
    for host in lab.servers:
        story.stop(lab, host)
    faults.destroy_datastore(lab, second, "removed")
    faults.destroy_datastore(lab, third, "truncated")
    store = lab.data_dir / "server/db"

    before = fingerprint.read(lab)
    for named, fault in ((second, "none"), (third, "a damaged one (")):
        why = f"names {named}, which has no datastore that can be restored: it has {fault}"
        refused(lab, "-e", f"requorum_survivor={named}", words=(why, f"{first} got furthest"))
    token = tmp_path / "token"
    token.write_text(lab.spec.token)
    token.chmod(0o644)
    run = playbook(lab, "recover.yml", *confirm(lab), "-e", f"requorum_token_file={token}")
    said = f"requorum_token_file {token} can be read by others: its mode is 0644. It opens the whole cluster: chmod 600"
    assert run.rc != 0 and said in " ".join(run.out.split())
    assert story.touched(lab, before) == []

    faults.destroy_datastore(lab, first, "removed")
    before = fingerprint.read(lab)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for name, content in (
        ("flipped", bytes(flipped)), ("bare", good[:-32]), ("copy.db.part", good),
        ("foreign", (unpacked() / "snapshot.db").read_bytes()),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    for name, why, next_ in (
        ("missing", "it cannot be read: No such file", "Look at that path"),
        ("flipped", "its sha256 is wrong", "Fetch it again"),
        ("bare", "it has no sha256", "Choose another one"),
        ("copy.db.part", "it is a transfer that did not end", "Name the file without .part"),
        ("foreign", "it is of another cluster", "Choose one of this cluster"),
    ):
        words = (f"{tmp_path / name} cannot be used: ", why, next_)
        refused(lab, *RESTORE, "-e", f"requorum_snapshot={tmp_path / name}", words=words)
    assert story.touched(lab, before) == []

    # One that lies on a server is read there: its hash, then its pages.
    hollow = good[: len(good) // 8192 * 4096].ljust(len(good) - 32, b"\0")
    place = f"{store}/snapshots/spoiled-{third}-1795572585"
    chosen = (*RESTORE, "-e", f"requorum_snapshot={third}:{place}")
    for content, why in (
        (bytes(flipped), "its sha256 is wrong"),
        (hollow + hashlib.sha256(hollow).digest(), "is not what it should be"),
    ):
        lab.sh(third, f"mkdir -p {store}/snapshots; cat >{place}", stdin=content).ok("a spoiled one on a server")
        before = fingerprint.read(lab)
        refused(lab, *chosen, words=(f"{place} cannot be used: ", why))
        assert story.touched(lab, before) == []
    lab.sh(third, f"rm {place}").ok("no spoiled one any more")
    before = fingerprint.read(lab)

    restore = (*RESTORE, "-e", f"requorum_snapshot={kept}")
    spoil.old_version(lab, first)
    refused(lab, *restore, words=("it was written by etcd 3.6", "Install the release"))
    lab.sh(first, "rm /etc/requorum-lab-version").ok("its own version")
    assert story.touched(lab, before) == []

    for mount, why, next_ in (
        (f"mount --bind {store}/etcd {store}/etcd", "is a mount of its own, and cannot be moved", "unmount it"),
        (f"mount -t tmpfs -o size=64m none {store}", "for three times the datastore and its log", "Make room there"),
        (f"mount -t tmpfs -o ro none {store}", "which is mounted read-only", "Look into dmesg"),
    ):
        lab.sh(first, mount).ok(mount)
        refused(lab, *restore, "-e", f"requorum_survivor={first}", words=(why, next_))
        lab.sh(first, f"umount {store}/etcd 2>/dev/null || umount {store}").ok("unmount")
    assert story.touched(lab, before) == []

    # A zip of one is taken, and what holds the datastore may be a mount of its own.
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("snapshot", good)
    for host in (first, second):  # one restores, one joins
        lab.sh(host, f"mount --bind {store} {store}").ok("a mount of its own")
    packed = ("-e", f"requorum_snapshot={tmp_path / 'one.zip'}", "-e", f"requorum_survivor={first}")
    run = playbook(lab, "recover.yml", *confirm(lab), *RESTORE, *packed)
    assert story.outcome(run) == "recovered"
    assert story.voters(lab) == lab.servers and story.count(lab) == 40
    assert story.plan(run)["survivor"] == first
    for host in (first, second):
        lab.sh(host, f"umount -l {store}").ok("unmount")
