# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""We read a WAL as `etcd-dump-logs` does, whole or cut off anywhere in its last records."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _node, _wal
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from tests.oracle import programs
from tests.oracle.conftest import Made
from tests.oracle.reading import summary
from tests.unit.local_node import LocalNode

KILLED = ["fresh-3.5", "fresh-3.6", "killed-3.5", "killed-3.6", "killed_large-3.6", "restarted-3.6", "restored-3.6"]
CUTS = [1, 3, 8, 20, 24, 60, 100, 300, 512, 700, 1500, 4096]
"""Bytes at the end of what was written that are zeros again, as after a power loss."""


def segment(data: Path) -> Path:
    """The last one."""
    return max((data / "member/wal").glob("*.wal"))


def tail(path: Path) -> _wal.Wal:
    """What is read through a node."""
    return _bbolt.drive(_wal.tail(str(path)), _node.read_many(LocalNode(), str(path)))


@pytest.mark.parametrize("name", KILLED)
def test_a_wal_ends_where_etcd_dump_logs_says(made: Made, tmp_path: Path, name: str) -> None:
    data = programs.log_of(made(name).data or Path(), tmp_path)
    theirs, ours = programs.dump_logs(data), asdict(_wal.read(str(data / "member/wal")))
    assert {word: ours[word] for word in theirs} == theirs
    assert not ours["torn"]
    few = tail(segment(data))
    assert (few.term, few.index, few.commit) == (theirs["term"], theirs["index"], theirs["commit"])


def test_zeros_within_a_wal_are_not_taken_for_its_end(made: Made, tmp_path: Path) -> None:
    data = programs.log_of(made("killed_zeros-3.6").data or Path(), tmp_path)
    theirs, ours = programs.dump_logs(data), asdict(_wal.read(str(data / "member/wal")))
    assert {word: ours[word] for word in theirs} == theirs
    try:
        few = tail(segment(data))
    except BadFile:
        return  # it looks for the end by halving, so it may say that it did not find it
    assert (few.term, few.index, few.commit) == (theirs["term"], theirs["index"], theirs["commit"])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ["killed-3.5", "restarted-3.6"])
def test_a_torn_wal_ends_where_etcd_dump_logs_says(made: Made, tmp_path: Path, name: str, cut: int) -> None:
    data = programs.log_of(made(name).data or Path(), tmp_path)
    path = segment(data)
    written = len(path.read_bytes().rstrip(b"\0"))
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(cut), written - cut)
    try:
        theirs = programs.dump_logs(data)
    except subprocess.CalledProcessError:
        with pytest.raises(BadFile):
            _wal.read(str(data / "member/wal"))
        with pytest.raises(BadFile):
            tail(path)
        return
    ours = asdict(_wal.read(str(data / "member/wal")))
    assert {word: ours[word] for word in theirs} == theirs
    few = tail(path)
    assert (few.term, few.index, few.commit) == (theirs["term"], theirs["index"], theirs["commit"])


@pytest.mark.parametrize("name", ["killed-3.5", "killed-3.6"])
def test_a_killed_server_has_more_in_its_wal_than_in_its_db(made: Made, name: str) -> None:
    store = made(name)
    wal, db, status = _wal.read(str((store.data or Path()) / "member/wal")), summary(store.path), store.facts["status"]
    assert wal.index >= int(status["raftIndex"])
    assert db.revision < int(status["header"]["revision"])
    # every request but the first few is one entry
    assert wal.newer(db.index) >= int(status["header"]["revision"]) - db.revision


@pytest.mark.parametrize("name", ["killed-3.5", "killed-3.6"])
def test_a_raft_snapshot_is_of_the_term_and_index_in_its_name(made: Made, name: str) -> None:
    store = made(name)
    snaps = sorted(((store.data or Path()) / "member/snap").glob("*.snap"))
    assert len(snaps) > 1
    for path in snaps:
        snap = _wal.snapshot(path.read_bytes())
        assert f"{snap.term:016x}-{snap.index:016x}" == path.stem
        assert snap.voters == (f"{int(store.facts['status']['header']['member_id']):x}",)
