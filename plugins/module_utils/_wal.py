# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Read etcd's write-ahead log (member/wal) and its raft snapshots (member/snap/*.snap) without etcd.

A segment is a chain of frames: 8 bytes of length (padding in the upper byte), then a walpb.Record whose crc goes on
from that of the record before it. The end of a segment is filled up with zeros. A log at hand is read and checked as a
whole; of a log on a node only its last window is fetched, and the chain is found in it by its crc.
Sources: etcd's server/storage/wal (decoder.go, wal.go, walpb), server/etcdserver/api/snap, raft's raft.proto.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import re
import struct
import typing as t
from dataclasses import dataclass

from . import _bbolt
from ._bbolt import BadFile
from ._crc32c import crc32c
from ._datastore import number, protobuf

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
SECTOR = 512
PADDING = (0, *range(0x81, 0x88))
BLOCK = 1 << 20
WINDOWS = (64 << 10, 4 << 20)
"""What is fetched of a log's end: enough for small entries; then enough for the largest that etcd takes."""
NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.(wal|snap)")


@dataclass(frozen=True)
class Wal:
    """How far a log goes. Entries after `commit` may be lost at the next election, or may be all that is left."""

    term: int
    """Of the last entry; of the last HardState where the part that was read holds no entry."""
    index: int
    """Of the last entry, committed or not."""
    commit: int
    """Of the last HardState; etcd writes it late, so more may be committed (and applied in the db)."""
    state_term: int
    """The last term that this member took part in."""
    vote: str
    """Whom it voted for; empty for nobody."""
    first: int
    """Index of the first entry that was read; 0 for none."""
    member_id: str
    cluster_id: str
    """Hexadecimal; empty where the part that was read does not hold them."""
    torn: bool
    """The last record is incomplete: it was never acknowledged, and etcd cuts it off at its next start."""
    segments: int = 1
    """How many were read."""

    def newer(self, index: int) -> int:
        """Entries after the one that a db has applied: what a copy of the db alone may lose."""
        return max(0, self.index - index)


@dataclass(frozen=True)
class Snap:
    """A raft snapshot: the log before `index` is not needed any more."""

    term: int
    index: int
    voters: tuple[str, ...]
    learners: tuple[str, ...]


class Record(t.NamedTuple):
    """A frame of a segment; `end` is where the next one begins."""

    kind: int
    crc: int
    data: bytes
    end: int


def read(folder: str) -> Wal:
    """A log at hand: every segment, every record. Raises BadFile where etcd would refuse to start with it."""
    log, crc, torn = _Log(), 0, False
    names = sorted(name for name in _names(folder) if name.endswith(".wal"))
    if not names:
        raise BadFile(f"{folder} holds no WAL")
    for previous, name in itertools.pairwise(names):
        if int(name[:16], 16) != int(previous[:16], 16) + 1:
            raise BadFile(f"a segment of the WAL is missing between {previous} and {name}")
    for name in names:
        with _mapped(os.path.join(folder, name)) as raw:
            try:
                crc, torn = _follow(raw, 0, crc, log, last=name == names[-1])
            except BadFile as error:
                raise BadFile(f"{name}: {error}") from error
    return log.wal(torn, len(names))


def tail(path: str) -> _bbolt.Reader[Wal]:
    """The newest segment of a log on a node, from its end; a second trip only where its last entries are large."""
    name = os.path.basename(path)
    for window in WINDOWS:
        head, _newline, raw = (yield [_bbolt.Tail(path, window)])[0].partition(b"\n")
        if not re.fullmatch(rb"[0-9]{1,16} [0-9]{1,16} [01]", head):
            raise BadFile(f"the end of {name} was not found")
        end, size, rest = map(int, head.split())
        if rest:
            raise BadFile(f"{name} ends at {end}, and goes on behind that")
        log, whole = _Log(), len(raw) == end
        start = 0 if whole else _start(raw)
        if start is not None:
            log.index = max(0, int(name[17:33], 16) - 1) if NAME.fullmatch(name) and whole else 0
            zeros = bytes(min(max(0, size - end), WINDOWS[-1]))  # the last record may end in some
            _crc, torn = _follow(raw + zeros, start, 0 if whole else None, log, last=True)
            if log.commit and log.index:
                return log.wal(torn)
        if whole:
            break
    raise BadFile(f"the last {len(raw)} bytes of {name} do not tell how far the log goes")


def snapshots(folder: str) -> tuple[Snap, ...]:
    """The raft snapshots of member/snap, oldest first."""
    found = []
    for name in sorted(name for name in _names(folder) if name.endswith(".snap")):
        with _mapped(os.path.join(folder, name)) as raw:
            snap = snapshot(raw[:])
        if f"{snap.term:016x}-{snap.index:016x}.snap" != name:
            raise BadFile(f"{name} is of term {snap.term} and index {snap.index}")
        found.append(snap)
    return tuple(found)


def snapshot(raw: bytes) -> Snap:
    """A .snap file."""
    fields = dict(protobuf(raw))
    data = fields.get(2)
    if not isinstance(data, bytes) or crc32c(data) != number(fields, 1):
        raise BadFile("a raft snapshot whose checksum is wrong")
    meta = dict(protobuf(_message(dict(protobuf(data)), 2)))
    state = list(protobuf(_message(meta, 1)))
    voters, learners = (
        tuple(f"{ident:x}" for f, ident in state if f == field and isinstance(ident, int)) for field in (1, 2)
    )
    return Snap(number(meta, 3), number(meta, 2), voters, learners)


def identity(head: bytes) -> tuple[str, str]:
    """(member ID, cluster ID), hexadecimal, from the first bytes of any segment."""
    place = 0
    while record := _record(head, place):
        if record.kind == METADATA:
            fields = dict(protobuf(record.data))
            return f"{number(fields, 1):x}", f"{number(fields, 2):x}"
        place = record.end
    raise BadFile("the WAL has no metadata record at its start")


class _Log:
    """What the records say, one after the other; as etcd's ReadAll takes them."""

    def __init__(self) -> None:
        self.term = self.index = self.commit = self.state_term = self.vote = self.first = 0
        self.metadata: bytes | None = None

    def add(self, record: Record) -> None:
        if record.kind == METADATA:
            if self.metadata not in (None, record.data):
                raise BadFile("the WAL holds the records of two members")
            self.metadata = record.data
        elif record.kind != CRC:
            fields = dict(protobuf(record.data))
            if record.kind == STATE:
                self.state_term, self.vote, self.commit = (number(fields, field) for field in (1, 2, 3))
            elif record.kind == ENTRY:
                term, index = number(fields, 2), number(fields, 3)
                if self.index and index > self.index + 1:
                    raise BadFile(f"entry {index} follows entry {self.index}")
                self.term, self.index, self.first = term, index, self.first or index
            elif (index := number(fields, 1)) > self.index:  # sent by a leader: it stands for all entries before it
                self.term, self.index = number(fields, 2), index

    def wal(self, torn: bool, segments: int = 1) -> Wal:
        fields = dict(protobuf(self.metadata or b""))
        ids = [f"{ident:x}" if (ident := number(fields, field)) else "" for field in (1, 2)]
        vote = f"{self.vote:x}" if self.vote else ""
        term = self.term or self.state_term
        return Wal(term, self.index, self.commit, self.state_term, vote, self.first, ids[0], ids[1], torn, segments)


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if NAME.fullmatch(name)]
    except OSError as error:
        raise BadFile(f"{folder} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _mapped(path: str) -> t.Iterator[bytes | mmap.mmap]:
    try:
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                yield b""
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
                yield raw
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}") from error


def _follow(raw: bytes | mmap.mmap, place: int, crc: int | None, log: _Log, *, last: bool) -> tuple[int, bool]:
    """Take the records from a place up to the zeros; (crc so far, whether the log is torn there).

    Where the crc before that place is not known, the first record only serves to know it.
    """
    begin = place
    while raw[place : place + 8].strip(b"\0"):
        record = _record(raw, place)
        if record and record.kind == CRC:
            right = not crc or crc == record.crc
        else:
            right = record is not None and (crc is None or crc32c(record.data, crc) == record.crc)
        if record is None or not right:
            if last and _torn(raw, place):
                return crc or 0, True
            raise BadFile(f"the record at {place - begin} does not follow from the one before it: the log is damaged")
        if crc is not None:
            log.add(record)
        crc, place = record.crc, record.end
    rest = range(place, len(raw), BLOCK) if last else ()
    return crc or 0, any(raw[at : at + BLOCK].strip(b"\0") for at in rest)


def _record(raw: bytes | mmap.mmap, place: int) -> Record | None:
    """The frame at a place, its crc not yet checked; None where it does not end within `raw` or is no record."""
    if place + 8 > len(raw):
        return None
    field = struct.unpack_from("<Q", raw, place)[0]
    size, padding = field & 0x00FFFFFFFFFFFFFF, field >> 56
    end = place + 8 + size + (padding & 7)
    if size < 2 or end > len(raw) or end % 8 or padding not in PADDING:
        return None
    if raw[place + 8] != 0x08 or not METADATA <= raw[place + 9] <= SNAPSHOT:
        return None
    try:
        fields = dict(itertools.islice(protobuf(raw[place + 8 : place + 8 + size]), 3))
        data = fields.get(3, b"")
        return Record(number(fields, 1), number(fields, 2), data, end) if isinstance(data, bytes) else None
    except BadFile:
        return None


def _torn(raw: bytes | mmap.mmap, place: int) -> bool:
    """As etcd's decoder sees it: a frame that the file does not hold whole, or of which a sector was never written."""
    field = int.from_bytes(raw[place : place + 8], "little")
    begin = place + 8
    end = begin + (field & 0x00FFFFFFFFFFFFFF) + (field >> 56 & 7)
    if end > len(raw):
        return True
    edges = [begin, *range(begin - begin % SECTOR + SECTOR, end, SECTOR), end]
    return any(a < b and not raw[a:b].strip(b"\0") for a, b in itertools.pairwise(edges))


def _start(raw: bytes) -> int | None:
    """Where in a window the first record begins whose successor's crc follows from it."""
    for place in range(0, len(raw), 8):
        first = _record(raw, place)
        second = _record(raw, first.end) if first else None
        if first and second and second.kind != CRC and crc32c(second.data, first.crc) == second.crc:
            return place
    return None


def _message(fields: dict[int, int | bytes], field: int) -> bytes:
    value = fields.get(field, b"")
    if isinstance(value, int):
        raise BadFile(f"field {field} of a record is a number")
    return value
