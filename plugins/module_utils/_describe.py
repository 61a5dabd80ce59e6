# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Everything about a snapshot or a datastore as one JSON document; its keys; what differs between two of them."""

from __future__ import annotations

import collections
import contextlib
import datetime
import os
import typing as t
from dataclasses import asdict, dataclass

from . import _bbolt, _bootstrap, _contents, _datastore, _image, _keys, _live, _objects, _structure, _wal

JSON = dict[str, t.Any]
TOP = 20
"""Resources that are listed, the largest first."""
NAMED = 8
"""Resources that a sentence names."""
CHANGES = ("added", "changed", "removed")


def describe(path: str, tokens: t.Sequence[str] = ()) -> JSON:
    """The document of `requorum snapshot info`. tokens: those that may open its bootstrap data.

    Raises BadFile. Times are UTC; what could not be read is null with its reason in `unread`.
    """
    with _image.opened(path) as image, contextlib.closing(_live.Live()) as live:
        inner, whole = image.digests()
        datastore = _bbolt.drive(_datastore.summary(image.size), _bbolt.local(image.read_at))
        contents = _contents.Contents()

        def visit(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
            contents.visit(bucket, items)
            live.visit(bucket, items)

        structure = _structure.check(image.read_at, image.size, visit)
        live.flush()
        count, size = live.total()
        unread: dict[str, str] = {}
        created, renewed = contents.newest()
        return {
            "schema": 1,
            "path": image.path,
            "kind": image.kind,
            "bytes": image.total,
            "sha256": whole,
            "trailer": "absent" if image.trailer is None else "right" if image.trailer.hex() == inner else "wrong",
            "etcd": asdict(datastore),
            "wal": _wal_of(image, datastore, unread),
            "raft_snapshots": _snaps_of(image, unread),
            "structure": asdict(structure),
            "keys": {"live": count, "bytes": size, "revisions": structure.keys.get("key", 0)},
            "resources": [asdict(resource) for resource in live.resources()[:TOP]],
            "kubernetes": {
                "system_uid": contents.system_uid or None,
                "namespaces": contents.namespaces,
                "nodes": [{"name": name, "kubelet_version": version} for name, version in contents.nodes.items()],
                "version": contents.version or None,
                "encrypted": dict(contents.encrypted),
                "newest_object": _utc(created),
                "newest_lease": _utc(renewed),
            },
            "bootstrap": _bootstrap_of(contents, tokens, unread),
            "unread": unread,
        }


def _utc(moment: int | None) -> str | None:
    return None if moment is None else datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%FT%TZ")


def _wal_of(image: _image.Image, datastore: _datastore.Datastore, unread: dict[str, str]) -> JSON | None:
    if image.wal is None:
        unread["wal"] = "a snapshot has none" if image.kind != "directory" else "the folder wal is missing"
        return None
    try:
        wal = _wal.read(image.wal)
    except _bbolt.BadFile as error:
        unread["wal"] = str(error)
        return None
    return {**asdict(wal), "newer": wal.newer(datastore.index)}


def _snaps_of(image: _image.Image, unread: dict[str, str]) -> list[JSON]:
    """Those of a directory; its log begins behind the last of them."""
    try:
        return [asdict(snap) for snap in _wal.snapshots(os.path.dirname(image.path))] if image.wal else []
    except _bbolt.BadFile as error:
        unread["raft_snapshots"] = str(error)
        return []


def _bootstrap_of(contents: _contents.Contents, tokens: t.Sequence[str], unread: dict[str, str]) -> JSON:
    found = contents.bootstrap
    document: JSON = {"keys": sorted(found), "advice": _bootstrap.advice(sorted(found)), "opened": None}
    for token in tokens:
        name = _bootstrap.name(token)
        if name in found:
            try:
                document["opened"] = {"key": name, **asdict(_bootstrap.decrypt(found[name], token))}
            except _bbolt.BadFile as error:
                unread["bootstrap"] = str(error)
    return document


@dataclass(frozen=True)
class Entry:
    """One live key."""

    key: bytes
    resource: str
    namespace: str
    name: str
    mod: int
    size: int
    """Of the value."""
    value: bytes
    """Empty unless asked for."""


def entries(
    path: str, prefix: bytes = b"", where: t.Callable[[bytes], bool] = lambda _key: True, *, values: bool = False
) -> list[Entry]:
    """Live keys that begin with `prefix` and for which `where` holds, in their order; their values only on demand."""
    found: dict[bytes, Entry] = {}

    def visit(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        for revision, raw in items if bucket == b"key" else ():
            key = _keys.key_of(raw)
            if not (key.startswith(prefix) and where(key)):
                continue
            found.pop(key, None)
            if len(revision) != _live.TOMBSTONE:
                entry = _keys.keyvalue(raw)
                value = entry.value if values else b""
                found[key] = Entry(key, *_keys.place(key), entry.mod, len(entry.value), value)

    with _image.opened(path) as image:
        _structure.check(image.read_at, image.size, visit)
    return [found[key] for key in sorted(found)]


def each(path: str, where: t.Callable[[bytes], bool], take: t.Callable[[Entry], None]) -> bool:
    """Hand over live keys with their values, in the order they were written; memory holds their names, no values.

    False where the sha256 at the end of a snapshot is wrong. The datastore is walked twice.
    """
    newest: dict[bytes, bytes] = {}

    def find(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        for revision, raw in items if bucket == b"key" else ():
            if where(key := _keys.key_of(raw)):
                newest[key] = revision

    def give(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        for revision, raw in items if bucket == b"key" else ():
            if len(revision) != _live.TOMBSTONE and newest.get(_keys.key_of(raw)) == revision:
                entry = _keys.keyvalue(raw)
                take(Entry(entry.key, *_keys.place(entry.key), entry.mod, len(entry.value), entry.value))

    with _image.opened(path) as image:
        for visit in (find, give):
            _structure.check(image.read_at, image.size, visit)
        return image.trailer is None or image.trailer.hex() == image.digests()[0]


def compare(old: str, new: str, since: int | None = None) -> JSON:
    """What was written between two datastores of one cluster: what restoring `old` in place of `new` loses.

    since: only objects that were created at this time (Unix seconds) or later.
    """
    created: dict[bytes, int | None] = {}
    with contextlib.ExitStack() as stack:
        before, known = _indexed(stack, old, "old")
        revision = known["revision"]

        def date(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
            for mod, raw in items if bucket == b"key" else ():
                if int.from_bytes(mod[:8], "big") > revision:
                    entry = _keys.keyvalue(raw)
                    created[entry.key] = _objects.decode(entry.value).created

        after, later = _indexed(stack, new, "new", before, date)
        kinds: dict[str, collections.Counter[str]] = {}
        changes = []
        for change in after.since(before):
            moment = created.get(change.key)
            if since is not None and (moment is None or moment < since):
                continue
            kinds.setdefault(change.resource, collections.Counter())[change.what] += 1
            key = change.key.decode("utf-8", "replace")
            changes.append({"key": key, "what": change.what, "created": _utc(moment)})
        return {
            "schema": 1,
            "old": known,
            "new": later,
            "since": _utc(since),
            "revisions": later["revision"] - revision,
            "kinds": [
                {"resource": name, **{what: count[what] for what in CHANGES}} for name, count in sorted(kinds.items())
            ],
            "changes": changes,
        }


def loss(document: t.Mapping[str, t.Any], kinds: t.Sequence[JSON] | None = None) -> str:
    """A document of `compare` in one sentence. kinds: those that matter most first; else all, the largest first."""
    old, new, apart = document["old"], document["new"], document["revisions"]
    if old["system_uid"] and new["system_uid"] and old["system_uid"] != new["system_uid"]:
        return f"{old['path']} and {new['path']} are of two clusters: their UIDs of kube-system differ."
    if apart < 0:
        return f"{old['path']} is {-apart} revisions ahead of {new['path']}: give the older one first."
    if kinds is None:
        kinds = sorted(document["kinds"], key=lambda kind: -sum(kind[what] for what in CHANGES))
    written = f" written since {old['newest_lease']}" if old["newest_lease"] else ""
    what = f"no object created since {document['since']}" if document["since"] else "no object"
    if kinds:
        words = [f"{_keys.names(kind['resource'])[0]} ({_counts(kind)})" for kind in kinds[:NAMED]]
        more = f" and {len(kinds) - NAMED} more resources" if len(kinds) > NAMED else ""
        what = ", ".join(words) + more
    return f"Restoring {old['path']} loses {apart} revisions{written}, up to {new['path']}: {what}."


def _counts(kind: JSON) -> str:
    return ", ".join(f"{kind[what]} {what}" for what in CHANGES if kind[what])


def _indexed(
    stack: contextlib.ExitStack,
    path: str,
    name: str,
    beside: _live.Live | None = None,
    visit: _structure.Visit = lambda _bucket, _items: None,
) -> tuple[_live.Live, JSON]:
    """The live keys of a datastore; its revision and whose it is."""
    live, contents = _live.Live(name, beside), _contents.Contents()
    if beside is None:
        stack.callback(live.close)

    def each(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        for see in (live.visit, contents.visit, visit):
            see(bucket, items)

    try:
        with _image.opened(path) as image:
            _structure.check(image.read_at, image.size, each)
            revision = _bbolt.drive(_datastore.summary(image.size), _bbolt.local(image.read_at)).revision
    except _bbolt.BadFile as error:
        raise error if path in str(error) else _bbolt.BadFile(f"{path}: {error}") from error
    live.flush()
    _created, renewed = contents.newest()
    uid = contents.system_uid or None
    return live, {"path": path, "revision": revision, "system_uid": uid, "newest_lease": _utc(renewed)}
