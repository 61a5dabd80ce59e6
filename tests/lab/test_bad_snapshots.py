# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input to a recovery: each run is refused with its reason, its place and the next step, and touches nothing.

All kinds of bad snapshots: tests/unit/test_bad_snapshots.py.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from lab import faults, spoil
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


def no_survivor(lab: Lab) -> None:
    """A server whose datastore is gone or damaged cannot be the survivor."""
    first, second, third = lab.servers
    for named, fault in ((second, "none"), (third, "a damaged one (")):
        why = f"names {named}, which has no datastore that can be restored: it has {fault}"
        refused(lab, "-e", f"requorum_survivor={named}", words=(why, f"{first} got furthest"))


def open_token(lab: Lab, token: Path) -> None:
    """A file with the token that others can read."""
    token.write_text(lab.spec.token)
    token.chmod(0o644)
    run = playbook(lab, "recover.yml", *confirm(lab), "-e", f"requorum_token_file={token}")
    said = f"requorum_token_file {token} can be read by others: its mode is 0644. It opens the whole cluster: chmod 600"
    assert run.rc != 0 and said in " ".join(run.out.split())


def bad_on_the_controller(lab: Lab, folder: Path, good: bytes, flipped: bytes) -> None:
    """Snapshots that lie on the controller."""
    for name, content in (
        ("flipped", flipped), ("bare", good[:-32]), ("copy.db.part", good),
        ("foreign", (unpacked() / "snapshot.db").read_bytes()),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
    for name, why, next_ in (
        ("missing", "it cannot be read: No such file", "Look at that path"),
        ("flipped", "its sha256 is wrong", "Fetch it again"),
        ("bare", "it has no sha256", "Choose another one"),
        ("copy.db.part", "it is a transfer that did not end", "Name the file without .part"),
        ("foreign", "it is of another cluster", "Choose one of this cluster"),
    ):
        words = (f"{folder / name} cannot be used: ", why, next_)
        refused(lab, *RESTORE, "-e", f"requorum_snapshot={folder / name}", words=words)


def bad_on_a_server(lab: Lab, host: str, good: bytes, flipped: bytes) -> None:
    """One that lies on a server is read there: its hash, then its pages."""
    hollow = good[: len(good) // 8192 * 4096].ljust(len(good) - 32, b"\0")
    folder = lab.data_dir / "server/db/snapshots"
    place = f"{folder}/spoiled-{host}-1795572585"
    for content, why in (
        (flipped, "its sha256 is wrong"),
        (hollow + hashlib.sha256(hollow).digest(), "is not what it should be"),
    ):
        lab.sh(host, f"mkdir -p {folder}; cat >{place}", stdin=content).ok("a spoiled one on a server")
        with story.untouched(lab):
            chosen = ("-e", f"requorum_snapshot={host}:{place}")
            refused(lab, *RESTORE, *chosen, words=(f"{place} cannot be used: ", why))
    lab.sh(host, f"rm {place}").ok("no spoiled one any more")


def no_place(lab: Lab, kept: Path) -> None:
    """A sound one, for a survivor with an older program, or where it cannot be written."""
    first, store = lab.servers[0], lab.data_dir / "server/db"
    restore = (*RESTORE, "-e", f"requorum_snapshot={kept}")
    spoil.old_version(lab, first)
    refused(lab, *restore, words=("it was written by etcd 3.6", "Install the release"))
    lab.sh(first, "rm /etc/requorum-lab-version").ok("its own version")
    for mount, why, next_ in (
        (f"mount --bind {store}/etcd {store}/etcd", "is a mount of its own, and cannot be moved", "unmount it"),
        (f"mount -t tmpfs -o size=64m none {store}", "for three times the datastore and its log", "Make room there"),
        (f"mount -t tmpfs -o ro none {store}", "which is mounted read-only", "Look into dmesg"),
    ):
        lab.sh(first, mount).ok(mount)
        refused(lab, *restore, "-e", f"requorum_survivor={first}", words=(why, next_))
        lab.sh(first, f"umount {store}/etcd 2>/dev/null || umount {store}").ok("unmount")


def a_zip_is_restored(lab: Lab, packed: Path, good: bytes) -> None:
    """A zip of one is taken, and what holds the datastore may be a mount of its own."""
    first, second, _third = lab.servers
    store = lab.data_dir / "server/db"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("snapshot", good)
    for host in (first, second):  # one restores, one joins
        lab.sh(host, f"mount --bind {store} {store}").ok("a mount of its own")
    chosen = ("-e", f"requorum_snapshot={packed}", "-e", f"requorum_survivor={first}")
    run = playbook(lab, "recover.yml", *confirm(lab), *RESTORE, *chosen)
    assert story.outcome(run) == "recovered"
    assert story.voters(lab) == lab.servers and story.count(lab) == 40
    assert story.plan(run)["survivor"] == first
    for host in (first, second):
        lab.sh(host, f"umount -l {store}").ok("unmount")


def test_a_survivor_that_cannot_be_one_and_a_snapshot_that_cannot_be_restored(k3s: Lab, tmp_path: Path) -> None:
    lab = k3s
    first, second, third = lab.servers
    saved = playbook(lab, "playbooks/backup.yml")
    assert saved.rc == 0 and saved.folder, saved.out
    (kept,) = saved.folder.glob("backup/*/snapshot.db")
    good = kept.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for host in lab.servers:
        story.stop(lab, host)
    faults.destroy_datastore(lab, second, "removed")
    faults.destroy_datastore(lab, third, "truncated")
    with story.untouched(lab):
        no_survivor(lab)
        open_token(lab, tmp_path / "token")
    faults.destroy_datastore(lab, first, "removed")
    with story.untouched(lab):
        bad_on_the_controller(lab, tmp_path, good, bytes(flipped))
    bad_on_a_server(lab, third, good, bytes(flipped))
    with story.untouched(lab):
        no_place(lab, kept)
    a_zip_is_restored(lab, tmp_path / "one.zip", good)
