# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk fills up while recover.yml runs: it says which one on which host, and goes on once somebody has made room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import faults, objects
from lab.drill import playbook
from lab.labs import Lab
from tests.lab import moves, story
from tests.lab.moves import Moment, failed, recovered

SLOW = ("*",)
FULL = "/var/lib/rancher is full"


@contextmanager
def small_shelf(lab: Lab) -> Iterator[Path]:
    """What runs write is kept on a small disk of its own."""
    shelf = story.ROOT / "recoveries" / lab.name
    shelf.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=0700", "requorum", str(shelf)], check=True)
    try:
        yield shelf
    finally:
        subprocess.run(["umount", str(shelf)], check=True)


def test_the_disk_of_the_controller_fills_up(rke2: Lab) -> None:
    lab, (first, *others) = rke2, rke2.servers
    moves.lose(lab, *others)
    with small_shelf(lab) as shelf:

        def fill() -> None:
            with (max(shelf.iterdir()) / "fill").open("wb", buffering=0) as file:
                while shutil.disk_usage(shelf).free:
                    file.write(bytes(min(1 << 20, shutil.disk_usage(shelf).free)))

        run = moves.run(lab, Moment("snapshot", first, fill))
        said = " ".join(run.out.split())
        assert run.rc != 0
        assert f"{shelf}/" in said and "on the controller cannot be written: No space left on device. Make room" in said
        assert run.folder and "reset" not in [verb for _id, _host, verb in story.done(run)]
        (run.folder / "fill").unlink()
        recovered(lab, moves.run(lab))


@pytest.fixture(scope="module")
def disks() -> Iterator[Lab]:
    """A lab whose hosts have disks of their own."""
    lab = Lab(f"disks-{os.getpid()}", "rke2", 3, 0, disk_mb=1024)
    try:
        lab.up()
        objects.write_objects(lab)
        yield lab
    finally:
        lab.down()


def filling(where: str) -> str:
    """A program before which the disk fills up; where: what its arguments or its output are like then."""
    fill = f"{{ {faults.FILL}; }} >/dev/null 2>&1"
    return f'case "$* $(readlink /proc/$$/fd/1)" in {where}) {fill} ;; esac; exec REAL "$@"'


def test_the_disk_of_the_survivor_fills_up(disks: Lab) -> None:
    """In BACKUP, while its files are kept, in RESET; then the same command goes on."""
    lab, (first, *others) = disks, disks.servers
    moves.lose(lab, *others)
    part = filling("*snapshot.part*")
    with moves.instead(lab, first, "base64", part), moves.instead(lab, first, "tee", part):
        run = moves.run(lab)
        failed(run, f"{first}: no snapshot could be saved", FULL, "make room there", "nothing was changed")
    faults.heal(lab, first)
    with moves.instead(lab, first, "tar", filling("*files.part*")):
        failed(moves.run(lab), f"{first}: certificates and token could not be packed", FULL, "make room there")
    faults.heal(lab, first)
    with moves.instead(lab, first, "rke2", filling("*--cluster-reset*")):
        run = moves.run(lab)
        failed(run, f"{first}: the reset failed", FULL, "make room there", "running the same command again is safe")
    faults.heal(lab, first)
    recovered(lab, moves.run(lab))


def test_the_disk_of_the_survivor_fills_up_while_a_snapshot_arrives(disks: Lab) -> None:
    """Nothing is reset, what there is of it makes room; then the same command goes on."""
    lab, (first, *others) = disks, disks.servers
    lab.wait_ready(120)
    saved = playbook(lab, "playbooks/backup.yml")
    assert saved.rc == 0 and saved.folder, saved.out
    (chosen,) = saved.folder.glob("backup/*/snapshot.db")
    restore = ("-e", "requorum_method=restore", "-e", f"requorum_snapshot={chosen}")
    moves.lose(lab, *others)
    with moves.instead(lab, first, "cat", filling("*/restore.db*")):
        run = moves.run(lab, arguments=restore)
        failed(run, f"{first}: ", "restore.db", FULL, "make room there", "Look at the disk of the node")
    assert "reset" not in [verb for _id, _host, verb in story.done(run)]
    assert lab.sh(first, f"find {lab.data_dir.parent}/requorum -name restore.db").out == ""
    faults.heal(lab, first)
    run = moves.run(lab, arguments=restore)
    recovered(lab, run)
    assert story.plan(run)["snapshot"]["path"] == str(chosen)


def test_the_disk_of_a_server_that_joins_fills_up(disks: Lab) -> None:
    """Before it is started, and behind that; the other one is not kept from the cluster for good."""
    lab, (_first, second, third) = disks, disks.servers
    lab.wait_ready(120)
    moves.lose(lab, second, third)
    with moves.instead(lab, second, "mkdir", filling("*config.yaml.d*")):
        run = moves.run(lab)
        failed(run, f"{second} could not be started as a joining server: /var/lib/rancher has only", "make room there")
    faults.heal(lab, second)
    with moves.instead(lab, second, "systemctl", filling("start*")):
        run = moves.run(lab, arguments=moves.timeouts(rejoin=60))
        failed(run, f"missing {second}", f"Read on {second}", "df -h")
    faults.heal(lab, second)
    recovered(lab, moves.run(lab))
