# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What an etcd datastore says about itself while no etcd runs: identity, members, how far it got.

Sources: etcd's server/storage/schema (3.5 and 3.6), server/storage/mvcc/store.go.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from . import _bbolt

SMALL, LARGE = ("meta", "members", "cluster", "alarm", "auth"), ("key", "lease")
"""Buckets that are read whole, and those of which only the last leaf is read."""
ALARMS = {1: "NOSPACE", 2: "CORRUPT"}


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
    """What the small buckets of a datastore say, and its last revision: whose it is and how far it got."""

    revision: int
    term: int
    index: int
    """consistent_index: the last raft entry that is applied in the db, and its term."""
    members: tuple[Member, ...]
    storage_version: str
    """Empty before etcd 3.6."""
    cluster_version: str = ""
    compacted: int = 0
    """finishedCompactRev: older revisions of keys are gone."""
    compacting: int = 0
    """scheduledCompactRev: greater than `compacted` while a compaction is under way."""
    voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    """The conf state: member IDs in raft's own view, which the member list should agree with."""
    alarms: tuple[str, ...] = ()
    """`NOSPACE` or `CORRUPT`, and the ID of the member: "NOSPACE 234c43afee9063f9"."""
    leases: int | None = None
    """None where they fill more than one page and were not counted."""
    auth: bool = False
    """Whether clients need a user."""

    @property
    def etcd(self) -> str:
        """Minor release that wrote it: `3.6`; empty where neither version is written yet.

        Both are looked at: a server of 3.6 that was killed early has written only the cluster's.
        """
        return max(self.storage_version, self.cluster_version)[:3]


def protobuf(data: bytes) -> t.Iterator[tuple[int, int | bytes]]:
    """Fields of a protobuf message: varints and length-delimited ones, which is all that etcd uses here."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if tag < 8:
            raise _bbolt.BadFile("a record has a field without number")
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
    """Read a stopped server's datastore by a handful of pages in three round trips."""
    meta = yield from _bbolt.metas(size)
    top = yield from _bbolt.buckets(meta)
    for name in ("meta", "members", "key"):
        if name not in top:
            raise _bbolt.BadFile(f"bucket {name} is missing: this is no etcd datastore")
    wanted = [(top.get(name), name in LARGE) for name in SMALL + LARGE]
    facts, members, cluster, alarms, auth, key, lease = yield from _bbolt.parts(meta, wanted)
    said = {item.key: item.value for part in (facts, cluster, auth) for item in part.items}
    voters, learners = _conf_state(said.get(b"confState"))
    return Datastore(
        revision=max((_number(item.key[:8]) for item in key.items if len(item.key) >= 17), default=0),
        term=_number(said.get(b"term")),
        index=_number(said.get(b"consistent_index")),
        members=tuple(sorted((_member(item) for item in members.items), key=lambda member: member.id)),
        storage_version=said.get(b"storageVersion", b"").decode("ascii", "replace"),
        cluster_version=said.get(b"clusterVersion", b"").decode("ascii", "replace"),
        compacted=_number(said.get(b"finishedCompactRev", b"")[:8]),
        compacting=_number(said.get(b"scheduledCompactRev", b"")[:8]),
        voters=voters,
        learners=learners,
        alarms=tuple(_alarm(item.key) for item in alarms.items),
        leases=len(lease.items) if lease.whole else None,
        auth=said.get(b"authEnabled") == b"\1",
    )


def _number(raw: bytes | None) -> int:
    return int.from_bytes(raw, "big") if raw and len(raw) == 8 else 0


def number(message: dict[int, int | bytes], field: int) -> int:
    """A varint of a protobuf message; one that is not there is 0."""
    value = message.get(field, 0)
    if isinstance(value, bytes):
        raise _bbolt.BadFile(f"field {field} of a record is no number")
    return value


def _alarm(key: bytes) -> str:
    message = dict(protobuf(key))
    kind = number(message, 2)
    return f"{ALARMS.get(kind, f'alarm {kind}')} {number(message, 1):x}"


def _conf_state(raw: bytes | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(voters, learners); unknown before etcd 3.5."""
    try:
        state = json.loads(raw) if raw else {}
        voters, learners = (
            tuple(f"{int(ident):x}" for ident in state.get(name) or ()) for name in ("voters", "learners")
        )
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _bbolt.BadFile(f"the conf state cannot be read: {error}") from error
    return voters, learners


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
