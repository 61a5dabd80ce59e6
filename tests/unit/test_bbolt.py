# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading bbolt files and etcd datastores: real ones to the last number, broken ones without harm."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore
from tests.unit.datastores import PAGE, branch, database, leaf, meta


def summary(data: bytes) -> _datastore.Datastore:
    return _bbolt.drive(_datastore.summary(len(data)), _bbolt.local(lambda offset, size: data[offset : offset + size]))


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


def steps(*requests: int) -> _bbolt.Reader[str]:
    for request in requests:
        if request < 0:
            raise _bbolt.BadFile("broken")
        yield [_bbolt.Range(request, 1)]
    return f"{len(requests)} steps"


@pytest.mark.parametrize(
    ("first", "second", "results", "trips"),
    [
        ((), (), ["0 steps", "0 steps"], []),
        ((1, 2, 3), (), ["3 steps", "0 steps"], [[1], [2], [3]]),
        ((1,), (4, 5), ["1 steps", "2 steps"], [[1, 4], [5]]),
        ((1, 2), (4, -1), ["2 steps", "broken"], [[1, 4], [2]]),
        ((-1,), (4, 5), ["broken", "2 steps"], [[4], [5]]),
    ],
)
def test_two_readers_share_their_round_trips(
    first: tuple[int, ...], second: tuple[int, ...], results: list[str], trips: list[list[int]]
) -> None:
    asked: list[list[int | str]] = []

    def answers(requests: Sequence[_bbolt.Request]) -> list[bytes]:
        asked.append([request[0] for request in requests])
        return [b"?"] * len(requests)

    found = _bbolt.drive(_bbolt.both(steps(*first), steps(*second)), answers)
    assert [str(each) for each in found] == results
    assert asked == trips


def test_a_page_that_looks_like_a_meta_page_is_none() -> None:
    """A value may begin so; the second meta page lies where the first one says, and nowhere else."""
    data = database(leaf(2, etcd()), leaf(3, []), leaf(4, []))
    decoy = meta(3, 5, txid=99, page_size=4 * PAGE)
    assert summary(data[: 4 * PAGE] + decoy[:PAGE]).revision == 7
    assert summary(b"\0" * PAGE + data[PAGE : 4 * PAGE] + decoy[:PAGE]).revision == 7
