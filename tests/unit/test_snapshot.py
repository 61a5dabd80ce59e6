# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of a snapshot: what real ones say, and that no broken one passes or raises."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap, _contents, _snapshot
from tests.unit.datastores import PAGE, branch, database, leaf, snapshot, unpacked

TOKEN = _bootstrap.name("sekret123")
MEMBERS = {"234c43afee9063f9", "77c97c7d5f0ed9c", "ffbbfb231af65097"}


def prove(path: Path, *, tokens: tuple[str, ...] = (TOKEN,), members: set[str] = MEMBERS) -> _snapshot.Proof:
    return _snapshot.prove(str(path), _snapshot.Wanted(tokens, members))


def write(folder: Path, data: bytes) -> Path:
    path = folder / "snapshot.db"
    path.write_bytes(data)
    return path


def wrong(proof: _snapshot.Proof) -> set[str]:
    return {check.name for check in proof.checks if not check.ok}


def with_trailer(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def test_real_snapshot_is_proved() -> None:
    path = unpacked() / "snapshot.db"
    proof = prove(path)
    assert proof.ok and not proof.faults
    assert proof.bytes == 6_205_472
    assert proof.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert proof.datastore is not None
    assert (proof.datastore.revision, proof.datastore.index, proof.datastore.term) == (2484, 1073, 3)
    assert len(proof.datastore.members) == 3
    assert [check.name for check in proof.checks] == ["sha256 trailer", "structure", "content", "token", "cluster"]


def test_token_of_the_fixture() -> None:
    assert TOKEN == "e2e269d4f6ec"


@pytest.mark.parametrize("name", ["r1", "r3"])
def test_copied_datastore_needs_its_trailer(name: str, tmp_path: Path) -> None:
    data = (unpacked() / name / "etcd/member/snap/db").read_bytes()
    assert wrong(prove(write(tmp_path, data))) == {"sha256 trailer"}
    proof = prove(write(tmp_path, with_trailer(data)))
    assert proof.ok
    assert proof.datastore is not None and proof.datastore.revision == {"r1": 2508, "r3": 2497}[name]


def test_the_content_is_that_of_a_cluster_that_worked() -> None:
    content = next(check for check in prove(unpacked() / "snapshot.db").checks if check.name == "content")
    assert content.observed == "2469 revisions, 6 namespaces, 3 nodes"


def test_quick_leaves_the_keys_and_most_pages_unread(tmp_path: Path) -> None:
    data = bytearray(snapshot()[:-32])
    data[4096 * 603] ^= 1  # the number of a leaf page
    path = write(tmp_path, with_trailer(bytes(data)))
    quick = _snapshot.prove(str(path), _snapshot.Wanted((TOKEN,), MEMBERS), "quick")
    assert quick.ok and [check.name for check in quick.checks] == ["sha256 trailer", "structure", "cluster"]
    assert wrong(prove(path)) == {"structure"}


@pytest.mark.parametrize(
    ("wanted", "fails"),
    [
        ({"system_uid": "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"}, set()),
        ({"system_uid": "00000000-15bf-4bd6-9a13-6f84aafbfafd"}, {"kube-system"}),
        ({"version": "v1.34.3+rke2r1"}, set()),
        ({"version": "v1.33.10+rke2r1"}, {"etcd"}),
        ({"quota": 2 << 30}, set()),
        ({"quota": 1 << 20}, {"size"}),
        ({"token_hashes": None}, set()),
    ],
)
def test_what_the_cluster_at_hand_expects(wanted: dict[str, Any], fails: set[str]) -> None:
    assert wrong(_snapshot.prove(str(unpacked() / "snapshot.db"), _snapshot.Wanted(**wanted))) == fails


def test_nodes_that_are_newer_than_the_server_are_seen() -> None:
    contents = _contents.Contents()
    contents.nodes = {"r1": "v1.34.3+rke2r1", "r2": "v1.35.0+rke2r1", "r3": "v0.0.0-master"}
    assert contents.version == "v1.35.0+rke2r1"


def test_wrong_token_and_other_cluster() -> None:
    path = unpacked() / "snapshot.db"
    assert wrong(prove(path, tokens=("aaaaaaaaaaaa",))) == {"token"}
    assert wrong(prove(path, tokens=())) == {"token"}
    assert wrong(prove(path, tokens=("aaaaaaaaaaaa", TOKEN))) == set()
    assert wrong(prove(path, members={"1234"})) == {"cluster"}
    assert wrong(prove(path, members=set())) == set()
    assert "e2e269d4f6ec" in prove(path, tokens=("aaaaaaaaaaaa",)).faults


@pytest.mark.parametrize("place", [100, 4096 * 3 + 7, 3_000_000, 6_205_440, 6_205_471])
def test_a_flipped_byte_is_seen(place: int, tmp_path: Path) -> None:
    data = bytearray(snapshot())
    data[place] ^= 0x40
    proof = prove(write(tmp_path, bytes(data)))
    assert not proof.ok
    assert wrong(proof) & {"sha256 trailer", "structure"}


@pytest.mark.parametrize("size", [0, 1, 31, 32, 8191, 8192 + 32, 1_000_000, 6_205_440, 6_205_440 - 32, 6_205_471])
def test_a_truncated_file_is_seen(size: int, tmp_path: Path) -> None:
    proof = prove(write(tmp_path, snapshot()[:size]))
    assert not proof.ok and proof.faults


def test_a_truncated_file_with_a_right_trailer_is_seen(tmp_path: Path) -> None:
    proof = prove(write(tmp_path, with_trailer(snapshot()[: 4096 * 700])))
    assert wrong(proof) == {"structure"}


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert wrong(prove(tmp_path / "none")) == {"structure"}
    assert wrong(prove(tmp_path)) == {"structure"}


@pytest.mark.parametrize("size", [33, 512, 8192, 70_000])
def test_random_bytes(size: int, tmp_path: Path) -> None:
    assert not prove(write(tmp_path, with_trailer(random.Random(size).randbytes(size)))).ok


def test_cyclic_pages_end_at_once(tmp_path: Path) -> None:
    for pages in ([branch(2, [2])], [branch(2, [2] * 250)], [branch(2, [3] * 200), branch(3, [2] * 200)]):
        assert wrong(prove(write(tmp_path, with_trailer(database(*pages))))) == {"structure"}


def test_empty_cluster_is_no_backup(tmp_path: Path) -> None:
    """A datastore that etcd just made has buckets and no objects."""
    from tests.unit.test_bbolt import etcd

    proof = prove(write(tmp_path, with_trailer(database(leaf(2, etcd())))), members={"a1"})
    assert wrong(proof) == {"content", "token"}


def test_no_damage_raises(tmp_path: Path) -> None:
    """Structure pages (not the objects) of the real file, damaged at a hundred places, trailer made anew."""
    data, chance = snapshot()[:-32], random.Random(7)
    pages = [number for number in range(len(data) // PAGE) if data[number * PAGE + 8] in (1, 2, 4, 16)]
    for _round in range(100):
        broken = bytearray(data)
        for _flip in range(3):
            broken[chance.choice(pages) * PAGE + chance.randrange(96)] = chance.randrange(256)
        proof = prove(write(tmp_path, with_trailer(bytes(broken))))
        assert proof.checks
