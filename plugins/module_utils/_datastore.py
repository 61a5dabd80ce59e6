# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What an etcd datastore says about itself while no etcd runs: identity, members, how far it got.

Sources: etcd's schema (buckets meta, members, cluster, key), WAL records (walpb), facts/rke2.md 7.
"""

from __future__ import annotations

import json
import struct
import typing as t
from dataclasses import dataclass

from . import _bbolt


@dataclass(frozen=True)
class Member:
    """One line of the member list."""

    id: str
    """Hexadecimal, as etcd's logs have it."""
    name: str
    peer_urls: tuple[str, ...]
    learner: bool = False


@dataclass(frozen=True)
class Datastore:
    """How far a datastore got: enough to rank it and to tell whose it is."""

    revision: int
    term: int
    index: int
    """consistent_index: the last raft entry that is applied in the db."""
    members: tuple[Member, ...]
    storage_version: str


def protobuf(data: bytes) -> t.Iterator[tuple[int, int | bytes]]:
    """Fields of a protobuf message: varints and length-delimited ones, which is all that etcd uses here."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield tag >> 3, value
        elif kind == 2:
            size, position = _varint(data, position)
            if position + size > len(data):
                raise _bbolt.BadFile("a record is cut off")
            yield tag >> 3, data[position : position + size]
            position += size
        else:
            raise _bbolt.BadFile(f"a record has a field of kind {kind}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise _bbolt.BadFile("a record is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7


def summary(size: int) -> _bbolt.Reader[Datastore]:
    """Read a stopped server's datastore by a handful of pages."""
    meta = yield from _bbolt.metas(size)
    top = yield from _bbolt.buckets(meta)
    for name in ("meta", "members", "key"):
        if name not in top:
            raise _bbolt.BadFile(f"bucket {name} is missing: this is no etcd datastore")
    facts = {item.key: item.value for item in (yield from _bbolt.children(top["meta"], meta))}
    members = yield from _bbolt.children(top["members"], meta)
    tail = yield from _bbolt.last(top["key"], meta)
    return Datastore(
        revision=max((struct.unpack_from(">Q", item.key)[0] for item in tail if len(item.key) >= 17), default=0),
        term=_number(facts.get(b"term")),
        index=_number(facts.get(b"consistent_index")),
        members=tuple(sorted((_member(item) for item in members), key=lambda member: member.id)),
        storage_version=facts.get(b"storageVersion", b"").decode("ascii", "replace"),
    )


def _number(raw: bytes | None) -> int:
    return int.from_bytes(raw, "big") if raw and len(raw) == 8 else 0


def _member(item: _bbolt.Item) -> Member:
    try:
        entry = json.loads(item.value)
        return Member(
            id=item.key.decode("ascii"),
            name=str(entry.get("name", "")),
            peer_urls=tuple(entry.get("peerURLs") or ()),
            learner=bool(entry.get("isLearner", False)),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _bbolt.BadFile(f"a member entry cannot be read: {error}") from error


def wal_identity(head: bytes) -> tuple[str, str]:
    """(member ID, cluster ID), hexadecimal, from the first bytes of any WAL segment.

    A segment starts with a crc record and the metadata record; before each record stand 8 bytes of length, whose upper
    byte holds the padding.
    """
    position = 0
    for _record in range(4):
        if position + 8 > len(head):
            break
        field = struct.unpack_from("<Q", head, position)[0]
        size = field & 0x00FFFFFFFFFFFFFF
        padding = (field >> 56) & 0x7 if field >> 63 else 0
        body = head[position + 8 : position + 8 + size]
        if size == 0 or len(body) < size:
            break
        fields = dict(protobuf(body))
        if fields.get(1) == 1 and isinstance(fields.get(3), bytes):
            ids = dict(protobuf(t.cast(bytes, fields[3])))
            return f"{int(ids.get(1, 0)):x}", f"{int(ids.get(2, 0)):x}"
        position += 8 + size + padding
    raise _bbolt.BadFile("the WAL has no metadata record at its start")
