# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading bbolt files and etcd datastores: real ones to the last number, broken ones without harm."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore
from tests.unit.datastores import PAGE, branch, database, leaf, meta, unpacked

Ranges = list[_bbolt.Range]


def reader(data: bytes, asked: list[Ranges] | None = None) -> Callable[[Ranges], list[bytes]]:
    def read_many(ranges: Ranges) -> list[bytes]:
        if asked is not None:
            asked.append(ranges)
        return [data[offset : offset + length] for offset, length in ranges]

    return read_many


def summary(data: bytes) -> _datastore.Datastore:
    return _bbolt.drive(_datastore.summary(len(data)), reader(data))


@pytest.mark.parametrize(
    ("name", "revision", "index"), [("r3/etcd/member/snap/db", 2497, 1087), ("r1/etcd/member/snap/db", 2508, 1098)]
)
def test_summary_of_real_datastores(name: str, revision: int, index: int) -> None:
    found = summary((unpacked() / name).read_bytes())
    assert (found.revision, found.index, found.term, found.storage_version) == (revision, index, 3, "3.6.0")
    assert {member.id: member.name for member in found.members} == {
        "234c43afee9063f9": "r1-cbc1d285",
        "77c97c7d5f0ed9c": "r3-7429f8d3",
        "ffbbfb231af65097": "r2-8699e9e4",
    }
    assert all(member.peer_urls[0].startswith("https://10.89.0.2") and not member.learner for member in found.members)


def test_summary_needs_few_round_trips_and_little_data() -> None:
    asked: list[Ranges] = []
    data = (unpacked() / "r1/etcd/member/snap/db").read_bytes()
    _bbolt.drive(_datastore.summary(len(data)), reader(data, asked))
    assert len(asked) <= 12
    assert sum(length for ranges in asked for _offset, length in ranges) < 200_000


@pytest.mark.parametrize(("name", "member"), [("r1", "234c43afee9063f9"), ("r3", "77c97c7d5f0ed9c")])
def test_identity_from_the_wal(name: str, member: str) -> None:
    wal = unpacked() / name / "etcd/member/wal/0000000000000000-0000000000000000.wal"
    head = wal.read_bytes()
    assert _datastore.wal_identity(head) == (member, "f488dde7dff9e2ce")
    assert _datastore.wal_identity(head[:512]) == (member, "f488dde7dff9e2ce")


@pytest.mark.parametrize("head", [b"", b"\0" * 512, b"\xff" * 512, b"\x08\0\0\0\0\0\0\x80" + b"\x08\x01" * 4])
def test_wal_without_identity(head: bytes) -> None:
    with pytest.raises(_bbolt.BadFile):
        _datastore.wal_identity(head)


@given(st.binary(max_size=600))
def test_any_wal_gives_an_identity_or_bad_file(head: bytes) -> None:
    with contextlib.suppress(_bbolt.BadFile):
        _datastore.wal_identity(head)


def bucket(root: int) -> bytes:
    return struct.pack("<QQ", root, 0)


def inline(items: list[tuple[bytes, bytes, bool]]) -> bytes:
    return bucket(0) + leaf(0, items).rstrip(b"\0")


def etcd(
    *, member: bytes = b'{"name":"r1-00000001","peerURLs":["https://10.0.0.11:2380"]}'
) -> list[tuple[bytes, bytes, bool]]:
    revision = struct.pack(">Q", 7) + b"_" + struct.pack(">Q", 0)
    return [
        (b"key", inline([(revision, b"\x0a\x01k!", False)]), True),
        (b"members", inline([(b"a1", member, False)]), True),
        (
            b"meta",
            inline([(b"consistent_index", struct.pack(">Q", 9), False), (b"term", struct.pack(">Q", 2), False)]),
            True,
        ),
    ]


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 65536])
def test_page_sizes(page_size: int) -> None:
    found = summary(database(leaf(2, etcd(), page_size=page_size), page_size=page_size))
    assert (found.revision, found.index, found.term) == (7, 9, 2)
    assert found.members[0].name == "r1-00000001"


def test_the_newer_valid_meta_page_counts() -> None:
    good, empty = leaf(2, etcd()), leaf(3, [])
    newer = meta(3, 4, txid=9)
    assert summary(meta(2, 4, txid=10) + newer + good + empty).revision == 7
    with pytest.raises(_bbolt.BadFile, match="bucket meta is missing"):
        summary(meta(2, 4, txid=8) + newer + good + empty)
    torn = bytearray(newer)
    torn[40] ^= 1
    assert summary(meta(2, 4, txid=8) + bytes(torn) + good + empty).revision == 7
    assert summary(b"\0" * PAGE + meta(2, 4) + good + empty).revision == 7


BROKEN = {
    "empty": b"",
    "one page": meta(2, 3),
    "zeros": b"\0" * 4 * PAGE,
    "random": bytes((i * 7919 >> 3) & 0xFF for i in range(5 * PAGE)),
    "ends early": database(leaf(2, etcd()))[:-1],
    "root outside": database(leaf(2, etcd()), root=77),
    "root is a meta page": database(leaf(2, etcd()), root=1),
    "wrong page number": database(leaf(9, etcd())),
    "no etcd": database(leaf(2, [(b"users", inline([]), True)])),
    "cycle": database(branch(2, [2])),
    "wide cycle": database(branch(2, [2] * 200)),
    "cycle of two": database(branch(2, [3] * 100), branch(3, [2] * 100)),
    "entry beyond its page": database(struct.pack("<QHHIIIII", 2, 2, 1, 0, 1, 16, 9, 1 << 20) + b"\0" * (PAGE - 32)),
    "count beyond its page": database(struct.pack("<QHHI", 2, 2, 60000, 0) + b"\0" * (PAGE - 16)),
    "branches beyond their page": database(struct.pack("<QHHI", 2, 1, 60000, 0) + b"\0" * (PAGE - 16)),
    "overflow beyond the file": database(struct.pack("<QHHI", 2, 2, 0, 1 << 30) + b"\0" * (PAGE - 16)),
    "member is no JSON": database(leaf(2, etcd(member=b"{"))),
    "member is a list": database(leaf(2, etcd(member=b"[1]"))),
    "member with a number for URLs": database(leaf(2, etcd(member=b'{"peerURLs":5}'))),
    "member nested too deep": database(leaf(2, etcd(member=b"[" * 3000))),
    "member with odd id": database(leaf(2, [(k, v.replace(b"a1", b"\xff\xfe"), b) for k, v, b in etcd()])),
    "ends after the meta pages": database(leaf(2, etcd()))[:-PAGE],
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_told(name: str) -> None:
    with pytest.raises(_bbolt.BadFile) as error:
        summary(BROKEN[name])
    assert str(error.value)


@given(st.integers(0, 3 * PAGE - 1), st.integers(1, 255))
def test_a_flipped_byte_gives_an_answer_or_bad_file(place: int, change: int) -> None:
    data = bytearray(database(leaf(2, etcd())))
    data[place] ^= change
    with contextlib.suppress(_bbolt.BadFile):
        summary(bytes(data))


def test_scan_reads_no_page_twice() -> None:
    data = database(branch(2, [3, 3]), leaf(3, []))
    found = _bbolt.drive(_bbolt.metas(len(data)), reader(data))
    with pytest.raises(_bbolt.BadFile, match="reached twice"):
        list(_bbolt.scan(_bbolt.Item(b"key", bucket(2), True), found, reader(data)))


@pytest.mark.parametrize("value", [b"", b"\0" * 7, b"\0" * 16, b"\0" * 20])
def test_scan_of_an_empty_bucket(value: bytes) -> None:
    data = database(leaf(2, []))
    found = _bbolt.drive(_bbolt.metas(len(data)), reader(data))
    assert list(_bbolt.scan(_bbolt.Item(b"key", value, True), found, reader(data))) == []


@pytest.mark.parametrize("data", [b"\x08", b"\x0a\x05ab", b"\x0d\0\0\0\0", b"\x08" + b"\xff" * 11])
def test_protobuf_that_is_cut_off(data: bytes) -> None:
    with pytest.raises(_bbolt.BadFile):
        list(_datastore.protobuf(data))
