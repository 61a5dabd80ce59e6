# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a datastore says of itself: real ones to the last number, and every small bucket of etcd's schema."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore
from tests.unit.datastores import build, unpacked


def summary(path: Path) -> _datastore.Datastore:
    data = path.read_bytes()
    return _bbolt.drive(_datastore.summary(len(data)), _bbolt.local(lambda offset, size: data[offset : offset + size]))


@pytest.mark.parametrize(
    ("name", "revision", "index"), [("r3/etcd/member/snap/db", 2497, 1087), ("r1/etcd/member/snap/db", 2508, 1098)]
)
def test_real_datastores(name: str, revision: int, index: int) -> None:
    found = summary(unpacked() / name)
    assert (found.revision, found.index, found.term, found.leases) == (revision, index, 3, 19)
    assert (found.storage_version, found.cluster_version, found.auth, found.alarms) == ("3.6.0", "3.6.0", False, ())
    assert {member.id: member.name for member in found.members} == {
        "234c43afee9063f9": "r1-cbc1d285",
        "77c97c7d5f0ed9c": "r3-7429f8d3",
        "ffbbfb231af65097": "r2-8699e9e4",
    }
    assert all(member.peer_urls[0].startswith("https://10.89.0.2") and not member.learner for member in found.members)
    assert sorted(found.voters) == sorted(member.id for member in found.members)
    assert found.learners == ()


def u64(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}Q", *numbers)


def revision(main: int) -> bytes:
    return u64(main) + b"_" + u64(0)


def schema(**more: list[tuple[bytes, bytes]]) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """The buckets of an etcd, small; entries of a bucket take the place of its own."""
    made = {
        b"key": [(revision(number), b"\x0a\x01k") for number in range(2, 1000)],
        b"members": [(b"a1", b'{"id":161,"peerURLs":["https://10.0.0.11:2380"],"name":"r1-00000001"}')],
        b"meta": [(b"consistent_index", u64(9)), (b"term", u64(2))],
        b"cluster": [],
        b"alarm": [],
        b"auth": [],
        b"lease": [],
    }
    return made | {name.encode(): entries for name, entries in more.items()}


FACTS = (
    ({}, {"revision": 999, "index": 9, "term": 2, "storage_version": "", "leases": 0, "compacted": 0, "voters": ()}),
    ({"cluster": [(b"clusterVersion", b"3.5.0"), (b"downgrade", b"{}")]}, {"cluster_version": "3.5.0"}),
    ({"meta": [(b"finishedCompactRev", revision(700)), (b"scheduledCompactRev", revision(800))]},
     {"compacted": 700, "compacting": 800, "index": 0}),
    ({"meta": [(b"storageVersion", b"3.6.0")]}, {"storage_version": "3.6.0"}),
    ({"meta": [(b"confState", b'{"voters":[161,18446744073709551615],"learners":[3],"auto_leave":false}')]},
     {"voters": ("a1", "ffffffffffffffff"), "learners": ("3",)}),
    ({"meta": [(b"confState", b'{"auto_leave":false}')]}, {"voters": (), "learners": ()}),
    ({"alarm": [(b"\x08\xa1\x01\x10\x01", b""), (b"\x08\xa2\x01\x10\x02", b""), (b"\x10\x07", b"")]},
     {"alarms": ("NOSPACE a1", "CORRUPT a2", "alarm 7 0")}),
    ({"auth": [(b"authEnabled", b"\1"), (b"authRevision", u64(5))]}, {"auth": True}),
    ({"auth": [(b"authEnabled", b"\0")]}, {"auth": False}),
    ({"lease": [(u64(number), b"\x08\x01") for number in range(3)]}, {"leases": 3}),
    ({"lease": [(u64(number), b"\x08\x01") for number in range(100)]}, {"leases": 100}),
    ({"lease": [(u64(number), b"\x08\x01") for number in range(5000)]}, {"leases": None}),
    ({"key": []}, {"revision": 0}),
    ({"key": [(revision(5), b"v"), (revision(6) + b"t", b"v")]}, {"revision": 6}),
    ({"key": [(revision(5), b"v"), (revision(6), b"v" * 1_400_000)]}, {"revision": 6}),
)  # fmt: skip


@pytest.mark.parametrize("buckets", [facts[0] for facts in FACTS], ids=range(len(FACTS)))
def test_facts(buckets: dict[str, Any], tmp_path: Path) -> None:
    wanted = next(facts for given, facts in FACTS if given is buckets)
    build(tmp_path / "db", schema(**buckets))
    found = summary(tmp_path / "db")
    assert {name: getattr(found, name) for name in wanted} == wanted


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_facts_at_every_page_size(page_size: int, tmp_path: Path) -> None:
    build(tmp_path / "db", schema(), page_size)
    assert summary(tmp_path / "db").revision == 999


def test_a_datastore_without_the_optional_buckets(tmp_path: Path) -> None:
    build(tmp_path / "db", {name: schema()[name] for name in (b"key", b"members", b"meta")})
    found = summary(tmp_path / "db")
    assert (found.revision, found.cluster_version, found.leases, found.auth) == (999, "", 0, False)


def test_many_members_have_pages_of_their_own(tmp_path: Path) -> None:
    urls = [f"https://10.0.{number}.11:2380" for number in range(40)]
    entries = [(b"%04x" % n, json.dumps({"name": f"n{n}", "peerURLs": urls}).encode()) for n in range(9)]
    build(tmp_path / "db", schema(members=entries))
    assert [member.name for member in summary(tmp_path / "db").members] == [f"n{n}" for n in range(9)]


@pytest.mark.parametrize(
    "buckets",
    [
        {"meta": [(b"confState", b"{")]},
        {"meta": [(b"confState", b"[1]")]},
        {"meta": [(b"confState", b'{"voters":["x"]}')]},
        {"meta": [(b"confState", b'{"voters":7}')]},
        {"meta": [(b"confState", b'{"voters":[1e999]}')]},
        {"meta": [(b"confState", b"[" * 100_000)]},
        {"alarm": [(b"\x08", b"")]},
        {"alarm": [(b"\x0a\x01a", b"")]},
    ],
)
def test_buckets_that_cannot_be_read_are_told(buckets: dict[str, Any], tmp_path: Path) -> None:
    build(tmp_path / "db", schema(**buckets))
    with pytest.raises(_bbolt.BadFile):
        summary(tmp_path / "db")


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0d\0\0\0\0", b"\x08" + b"\xff" * 11])
def test_protobuf_that_is_cut_off(data: bytes) -> None:
    with pytest.raises(_bbolt.BadFile):
        list(_datastore.protobuf(data))


@pytest.mark.parametrize(
    ("storage", "cluster", "etcd"),
    [("3.6.0", "3.6.0", "3.6"), ("", "3.6.0", "3.6"), ("", "3.5.0", "3.5"), ("", "", ""), ("3.6.0", "3.5.0", "3.6")],
)
def test_the_newer_version_says_which_etcd_wrote_it(storage: str, cluster: str, etcd: str) -> None:
    assert _datastore.Datastore(1, 1, 1, (), storage, cluster).etcd == etcd
