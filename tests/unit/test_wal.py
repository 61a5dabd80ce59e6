# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write-ahead logs: real ones after a power loss, and every way in which a log can end or be damaged."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _node, _wal
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._crc32c import crc32c
from tests.unit.datastores import unpacked
from tests.unit.local_node import LocalNode
from tests.unit.wals import FIRST, SEGMENT, Writer, entry, filled, log, message, metadata, snapshot, state

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
CLUSTER, R1, R3 = "f488dde7dff9e2ce", "234c43afee9063f9", "77c97c7d5f0ed9c"


def folder(tmp_path: Path, *segments: bytes, names: Sequence[str] = (), size: int = SEGMENT) -> str:
    for number, segment in enumerate(segments):
        name = names[number] if names else f"{number:016x}-{0:016x}.wal"
        (tmp_path / name).write_bytes(filled(segment, size))
    return str(tmp_path)


def tail(path: Path, asked: list[int] | None = None, shell: str = "dash") -> _wal.Wal:
    """Through a node, as it is done where the node is another host."""
    read = _node.read_many(LocalNode(shell), str(path))

    def answers(requests: Sequence[_bbolt.Request]) -> list[bytes]:
        for request in requests if asked is not None else ():
            assert isinstance(request, _bbolt.Tail) and asked is not None
            asked.append(request.window)
        return read(requests)

    return _bbolt.drive(_wal.tail(str(path)), answers)


# --- the checksum


def slow(data: bytes, crc: int) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_checksum_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"\0" * 32) == 0x8A9136AA


@given(st.binary(max_size=100), st.integers(0, 0xFFFFFFFF))
def test_checksum_goes_on(data: bytes, crc: int) -> None:
    assert crc32c(data, crc) == slow(data, crc)


# --- real logs


@pytest.mark.parametrize(
    ("name", "member", "vote", "index", "first"), [("r1", R1, R1, 1099, 1), ("r3", R3, "", 1087, 18)]
)
def test_real_logs(name: str, member: str, vote: str, index: int, first: int) -> None:
    """The commit index lags: r3's db has applied 1087."""
    found = _wal.read(str(unpacked() / name / "etcd/member/wal"))
    assert found == _wal.Wal(3, index, index - 1, 3, vote, first, member, CLUSTER, torn=False)
    ended = tail(unpacked() / name / "etcd/member/wal" / FIRST)
    assert (ended.term, ended.index, ended.commit, ended.vote, ended.torn) == (3, index, index - 1, vote, False)
    assert 1000 < ended.first < index


@pytest.mark.parametrize(("name", "member"), [("r1", R1), ("r3", R3)])
def test_identity_from_the_beginning_of_a_segment(name: str, member: str) -> None:
    head = (unpacked() / name / "etcd/member/wal" / FIRST).read_bytes()
    assert _wal.identity(head) == _wal.identity(head[:512]) == (member, CLUSTER)


def test_real_snapshots() -> None:
    assert _wal.snapshots(str(unpacked() / "r1/etcd/member/snap")) == (_wal.Snap(1, 1, (R1,), ()),)
    assert _wal.snapshots(str(unpacked() / "r3/etcd/member/snap")) == (_wal.Snap(3, 17, (R1,), (R3,)),)


# --- a log at hand


LOGS = (
    (Writer().add(snapshot(0, 0)), (0, 0, 0)),
    (log(1, 2, 3), (3, 3, 2)),
    (log(*range(1, 400)), (3, 399, 398)),
    (log(1, 2, 3).add(state(3)), (3, 3, 3)),
    (log(1, 2, 3).add(entry(3, term=4), state(2, term=4)), (4, 3, 2)),
    (log(1, 2, 3).add(entry(2, term=4)), (4, 2, 2)),
    (log(1, 2, 3).add(state(3, term=9)), (3, 3, 3)),
    (log(1, 2).add(snapshot(900, 5), state(900, term=5)), (5, 900, 900)),
    (log(1, 2).add(snapshot(900, 5), entry(901, term=5), state(900, term=5)), (5, 901, 900)),
    (log(1, 2, 3).add(snapshot(2, 3)), (3, 3, 2)),
    (log(17, 18), (3, 18, 17)),
)
"""(records, (term, index, commit)): entries that are overwritten, snapshots of a leader, terms without entries."""


@pytest.mark.parametrize(("writer", "wanted"), LOGS, ids=range(len(LOGS)))
def test_logs(writer: Writer, wanted: tuple[int, int, int], tmp_path: Path) -> None:
    found = _wal.read(folder(tmp_path, *writer.segments))
    assert (found.term, found.index, found.commit) == wanted
    assert (found.member_id, found.cluster_id, found.torn) == ("a1", "c1", False)
    if found.index:
        ended = tail(tmp_path / FIRST)
        assert (ended.term, ended.index, ended.commit, ended.torn) == (*wanted, False)


def test_entries_that_a_copy_of_the_db_may_lose(tmp_path: Path) -> None:
    found = _wal.read(folder(tmp_path, *log(1, 2, 3).segments))
    assert [found.newer(index) for index in (0, 2, 3, 9)] == [3, 1, 0, 0]


def segmented() -> Writer:
    writer = log(1, 2, 3)
    writer.cut()
    writer.add(state(2), entry(4), state(3))
    writer.cut()
    return writer.add(state(3), entry(5), entry(6), state(5))


NAMES = [f"{number:016x}-{index:016x}.wal" for number, index in ((0, 0), (1, 4), (2, 5))]


def test_segments_follow_one_another(tmp_path: Path) -> None:
    found = _wal.read(folder(tmp_path, *segmented().segments, names=NAMES))
    assert (found.first, found.index, found.commit, found.segments) == (1, 6, 5, 3)


def test_old_segments_may_be_gone(tmp_path: Path) -> None:
    found = _wal.read(folder(tmp_path, *segmented().segments[1:], names=NAMES[1:]))
    assert (found.first, found.index, found.commit, found.segments) == (4, 6, 5, 2)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda path: (path / NAMES[1]).unlink(), "a segment of the WAL is missing between"),
        (lambda path: (path / NAMES[1]).write_bytes(filled(log(4).segments[0])), NAMES[1]),
        (lambda path: (path / NAMES[1]).write_bytes((path / NAMES[1]).read_bytes()[:100]), NAMES[1]),
        (lambda path: (path / NAMES[2]).write_bytes(filled(Writer().add(entry(9)).segments[0])), NAMES[2]),
        (lambda path: [(path / name).unlink() for name in NAMES], "holds no WAL"),
        (lambda path: shutil.rmtree(path), "cannot be read"),
        (lambda path: [(path / NAMES[0]).unlink(), (path / NAMES[0]).mkdir()], "cannot be read"),
    ],
)
def test_segments_that_do_not_belong_together(spoil: object, text: str, tmp_path: Path) -> None:
    folder(tmp_path, *segmented().segments, names=NAMES)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(BadFile, match=text):
        _wal.read(str(tmp_path))


def test_records_that_contradict_each_other(tmp_path: Path) -> None:
    for records, text in (
        ([entry(5)], "entry 5 follows entry 3"),
        ([metadata(0xB2)], "two members"),
        ([(2, b"\xff")], "cut off"),
        ([(3, b"\x0a\x01x")], "is no number"),
    ):
        with pytest.raises(BadFile, match=text):
            _wal.read(folder(tmp_path, *log(1, 2, 3).add(*records).segments))


# --- how logs end


WHOLE = log(*range(1, 41), data=b"\x0a" + bytes([255]) * 1200).segments[0]


def complete(raw: bytes, *, fill: bool) -> tuple[int, int, bool]:
    """(index, commit, torn) by the lengths of the frames alone."""
    place = index = commit = 0
    while place < len(raw):
        size = int.from_bytes(raw[place : place + 7], "little")
        end = place + 8 + size + (0 if fill else -size % 8)
        if len(raw) < place + 8 or end > len(raw):
            return index, commit, bool(raw[place:].strip(b"\0"))
        index, commit = {2: (index + 1, commit), 3: (index, max(1, index - 1))}.get(raw[place + 9], (index, commit))
        place += 8 + size + -size % 8
    return index, commit, False


@given(st.integers(0, len(WHOLE)))
@settings(deadline=None, max_examples=30)
def test_a_log_that_is_cut_off_anywhere_is_torn(size: int) -> None:
    with tempfile.TemporaryDirectory() as path:
        (Path(path) / FIRST).write_bytes(WHOLE[:size])
        found = _wal.read(path)
    assert (found.index, found.commit, found.torn) == complete(WHOLE[:size], fill=False)


@given(st.integers(0, len(WHOLE)), st.booleans())
@settings(deadline=None, max_examples=50)
def test_a_log_of_which_sectors_were_never_written_is_torn(size: int, sector: bool) -> None:
    """As etcd repairs it. Where a part of a sector is missing, the log is damaged for etcd, too."""
    size -= size % 512 if sector else 0
    while WHOLE[size : size + 1] == b"\0":  # what is missing would have been zeros
        size += 1
    with tempfile.TemporaryDirectory() as path:
        (Path(path) / FIRST).write_bytes(filled(WHOLE[:size]))
        try:
            found = _wal.read(path)
        except BadFile:
            assert not sector
            return
    assert (found.index, found.commit, found.torn) == complete(WHOLE[:size], fill=True)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(deadline=None, max_examples=50)
def test_a_log_with_a_flipped_byte_never_goes_further(place: int, change: int) -> None:
    raw = bytearray(filled(WHOLE))
    raw[place] ^= change
    with tempfile.TemporaryDirectory() as path, contextlib.suppress(BadFile):
        (Path(path) / FIRST).write_bytes(raw)
        found = _wal.read(path)
        assert found.index <= 40
        whole = complete(WHOLE[:place], fill=False)[0]
        assert not found.torn or found.index in (whole, whole + 1)  # the padding of a record means nothing


@pytest.mark.parametrize("place", [34, 2000, 20_000, len(WHOLE) - 700])
def test_damage_within_a_record_is_found(place: int, tmp_path: Path) -> None:
    raw = bytearray(filled(WHOLE))
    assert raw[place : place + 3].strip(b"\0")
    raw[place : place + 3] = bytes(255 - byte for byte in raw[place : place + 3])
    (tmp_path / FIRST).write_bytes(raw)
    with pytest.raises(BadFile, match="the log is damaged"):
        _wal.read(str(tmp_path))
    with pytest.raises(BadFile, match="the log is damaged"):
        tail(tmp_path / FIRST)


def test_what_stands_behind_the_zeros_was_never_synced(tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(WHOLE + b"\0" * 8000 + WHOLE)
    found = _wal.read(str(tmp_path))
    assert (found.index, found.torn) == (40, True)


# --- the end of a log on a node

ENTRIES = (
    ("small", log(*range(1, 900), data=b"x" * 300), [65536]),
    ("large", log(*range(1, 9), data=b"x" * 100_000), [65536, 4 << 20]),
    ("largest", log(*range(1, 9), data=b"x" * 1_600_000), [65536, 4 << 20]),
    ("a small one after a large one", log(1, 2, 3, data=b"x" * 200_000).add(entry(4), state(3), entry(5)), [65536]),
)


@pytest.mark.parametrize(("writer", "windows"), [each[1:] for each in ENTRIES], ids=[each[0] for each in ENTRIES])
@pytest.mark.parametrize("shell", SHELLS)
def test_tail(writer: Writer, windows: list[int], shell: str, tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(filled(writer.segments[0], 16 << 20))
    whole, asked = _wal.read(str(tmp_path)), list[int]()
    found = tail(tmp_path / FIRST, asked, shell)
    assert (found.term, found.index, found.commit, found.torn) == (whole.term, whole.index, whole.commit, False)
    assert asked == windows


@pytest.mark.parametrize("size", [len(WHOLE), len(WHOLE) - 100, len(WHOLE) - 5000])
def test_tail_of_a_segment_without_zeros(size: int, tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(WHOLE[:size])
    whole, found = _wal.read(str(tmp_path)), tail(tmp_path / FIRST)
    assert (found.index, found.commit, found.torn) == (whole.index, whole.commit, whole.torn)


def test_tail_of_a_torn_log(tmp_path: Path) -> None:
    writer = log(*range(1, 300), data=b"y" * 700)
    raw = writer.segments[0]
    (tmp_path / FIRST).write_bytes(filled(raw[: (len(raw) - 300) // 512 * 512], 1 << 20))
    found = tail(tmp_path / FIRST)
    assert (found.index, found.torn) == (298, True)


def test_tail_whose_window_begins_with_a_record(tmp_path: Path) -> None:
    """That record is not the first of the file: what the crc before it was is not known."""
    writers = (log(1, data=bytes(size)) for size in range(3000, 8000))
    writer = next(writer for writer in writers if not len(writer.segments[0]) % 4096)
    begin = len(writer.segments[0])
    for index in range(2, 300):
        if len(writer.segments[0]) < begin + (64 << 10) - 2000:
            writer.add(entry(index, data=b"z" * 300), state(index))
    raw = filled(writer.segments[0], 1 << 20)
    assert len(raw.rstrip(b"\0")) > begin + (60 << 10)
    (tmp_path / FIRST).write_bytes(raw)
    whole, found = _wal.read(str(tmp_path)), tail(tmp_path / FIRST)
    assert (found.term, found.index, found.commit, found.torn) == (whole.term, whole.index, whole.commit, False)


def test_a_length_beyond_the_file_counts_as_torn(tmp_path: Path) -> None:
    """For etcd too, whatever the rest is."""
    noise = log(*range(1, 200), data=b"y" * 2000).segments[0] + b"\xff" * 70_000 + bytes(400_000)
    (tmp_path / FIRST).write_bytes(noise)
    for found in (_wal.read(str(tmp_path)), tail(tmp_path / FIRST)):
        assert (found.index, found.commit, found.torn) == (199, 198, True)


def test_tail_of_a_segment_that_holds_no_entry_yet(tmp_path: Path) -> None:
    """Its name says which entry would come next."""
    writer = Writer().add(state(1098, term=4))
    (tmp_path / "0000000000000007-000000000000044c.wal").write_bytes(filled(writer.segments[0]))
    found = tail(tmp_path / "0000000000000007-000000000000044c.wal")
    assert (found.term, found.index, found.commit, found.first) == (4, 1099, 1098, 0)


def test_tail_of_an_entry_that_ends_in_zeros(tmp_path: Path) -> None:
    writer = log(*range(1, 300), data=b"y" * 700).add(entry(300, data=b"y" + bytes(20_000)))
    (tmp_path / FIRST).write_bytes(filled(writer.segments[0], 1 << 20))
    found = tail(tmp_path / FIRST)
    assert (found.index, found.commit, found.torn) == (300, 298, False)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "do not tell"),
        (bytes(1 << 20), "do not tell"),
        (b"\xff" * (1 << 18), "do not tell"),
        (filled(Writer().segments[0]), "do not tell"),
        (WHOLE + bytes(200_000) + WHOLE + bytes(400_000), "goes on behind that"),
        (log(1, 2, 3, data=bytes(200_000)).segments[0] + bytes(300_000), "goes on behind that"),
    ],
    ids=["empty", "zeros", "noise", "no state", "two ends", "zeros within an entry"],
)
def test_tails_that_do_not_tell(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(content)
    with pytest.raises(BadFile, match=text):
        tail(tmp_path / FIRST)


def test_tail_of_a_log_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"")
    with pytest.raises(BadFile, match="was not found"):
        _bbolt.drive(_wal.tail(str(tmp_path / FIRST)), _node.read_many(LocalNode(), str(tmp_path / "db")))


@given(st.binary(max_size=300), st.integers(0, 1 << 70))
def test_any_answer_gives_a_tail_or_bad_file(raw: bytes, end: int) -> None:
    for answer in (raw, b"%d %d 0\n" % (end, end) + raw, b"%d %d 0\n" % (len(raw), end) + raw):
        with contextlib.suppress(BadFile):
            _bbolt.drive(_wal.tail(f"/x/{FIRST}"), lambda _requests, answer=answer: [answer])  # type: ignore[misc]


# --- beginnings and snapshots


@pytest.mark.parametrize("head", [b"", b"\0" * 512, b"\xff" * 512, b"\x08\0\0\0\0\0\0\x80" + b"\x08\x01" * 4])
def test_wal_without_identity(head: bytes) -> None:
    with pytest.raises(BadFile):
        _wal.identity(head)


@given(st.binary(max_size=600))
def test_any_head_gives_an_identity_or_bad_file(head: bytes) -> None:
    with contextlib.suppress(BadFile):
        _wal.identity(head)


def snap(data: bytes, crc: int | None = None) -> bytes:
    return message(crc32c(data) if crc is None else crc, data)


SNAP = message(b"{}", message(message(5, 6) + message(7), 900, 4))


def test_snapshots_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "0000000000000004-0000000000000384.snap").write_bytes(snap(SNAP))
    (tmp_path / "0000000000000384.snap.db").write_bytes(b"?")
    assert _wal.snapshots(str(tmp_path)) == (_wal.Snap(4, 900, ("5", "7"), ("6",)),)
    (tmp_path / "0000000000000005-0000000000000384.snap").write_bytes(snap(SNAP))
    with pytest.raises(BadFile, match="is of term 4 and index 900"):
        _wal.snapshots(str(tmp_path))


@pytest.mark.parametrize(
    "raw", [b"", snap(SNAP, 7), snap(SNAP)[:-1], snap(message(b"", 5)), snap(b"\xff"), b"\x10\x01"]
)
def test_snapshots_that_are_damaged(raw: bytes) -> None:
    with pytest.raises(BadFile):
        _wal.snapshot(raw)
