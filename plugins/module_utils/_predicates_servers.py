# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Predicates about servers: what they list, what they hold, and what a run has left on them."""

from __future__ import annotations

import typing as t

from . import _classify, _jmes, _repair, _server
from ._found import JSON, Answer, Found, Predicate, Unknown, why_not

SECTOR, TRAILER = 512, 32
"""A snapshot is an image of pages and a sha256 behind it (facts/rke2.md 7.1)."""
OLD_S = 26 * 3600
ASKED = ("files", "unit", "processes", "etcd")
"""What tells of leftovers."""


def members_unknown(state: JSON) -> Answer:
    """Members that no server of the state stands for, as the best list has them."""
    mine = [entry for entry in state["nodes"] if entry.get("server")]
    lists = [(entry["server"], entry["name"]) for entry in mine if entry["server"].get("members")]
    lists.sort(key=lambda found: found[0].get("etcd") not in ("voting", "learning"))
    if not lists:
        yield Unknown(None, "no server lists its members")
        return
    best, by = lists[0]
    known = {word for entry in mine for word in _words(entry) if word}
    for listed in best["members"]:
        member = _server.Member(listed["id"], listed["name"], listed["address"], listed["learner"])
        if member.address not in known and member.node not in known:
            yield Found(None, {"label": member.name or member.id, "address": member.address, "by": by})


def _words(entry: JSON) -> t.Iterator[str | None]:
    server = entry["server"]
    yield from (entry["name"], server.get("node"), server.get("address"))


def repairs(name: str) -> Predicate:
    """What `_repair.due` has to say under one name."""

    def answer(state: JSON) -> Answer:
        entries = [entry for entry in state["nodes"] if entry.get("server")]
        missing = {entry["name"]: next((n for n in ASKED if _lacks(entry, n)), "") for entry in entries}
        unread = [entry for entry in entries if missing[entry["name"]]]
        for entry in unread:
            yield Unknown(entry["name"], why_not(entry, missing[entry["name"]]))
        read = [entry for entry in entries if entry not in unread]
        case = _classify.classify([_server.view({"host": entry["name"], **entry}) for entry in read])
        for item in _repair.due(case, [{"host": entry["name"], **entry} for entry in read]):
            if item.name == name:
                yield Found(item.node, {"said": item.summary.rstrip(".")}, item.evidence)

    return answer


def _lacks(entry: JSON, name: str) -> bool:
    """`server.etcd` is null where nobody knows whether its etcd takes part."""
    if name == "etcd":
        return entry["server"].get("etcd") is None
    return (entry.get("unit") or {}).get("ActiveState") is None if name == "unit" else entry.get(name) is None


def _snapshots(state: JSON) -> t.Generator[Unknown, None, list[tuple[str, JSON]] | None]:
    """Path and file of all; None where a server's are not known."""
    servers = [entry for entry in state["nodes"] if entry.get("server")]
    blind = [entry for entry in servers if entry.get("snapshots") is None]
    for entry in blind:
        yield Unknown(entry["name"], why_not(entry, "snapshots"))
    if blind or not servers:
        return None
    found = [item for entry in servers for item in entry["snapshots"].items()]
    return [(path, file) for path, file in found if not file.get("directory") and not _broken(path, file)]


def snapshots_none(state: JSON) -> Answer:
    """Not one on any server, and no S3 configured."""
    found = yield from _snapshots(state)
    servers = [entry for entry in state["nodes"] if entry.get("server")]
    stored = any((entry.get("config") or {}).get("etcd-s3") is True for entry in servers)
    if found == [] and not stored:
        yield Found(None, {}, (f"looked at {', '.join(entry['name'] for entry in servers)}",))


def snapshots_old(state: JSON) -> Answer:
    """The newest one that can be whole is older than two turns of the schedule and a bit."""
    found = yield from _snapshots(state)
    now = _jmes.seconds(state["time"])
    if found and now is None:
        yield Unknown(None, why_not(state, "time"))
    elif found:
        path, file = max(found, key=lambda item: item[1]["mtime"])
        if now - file["mtime"] > OLD_S:
            yield Found(None, {"age": now - file["mtime"]}, (path,))


def snapshots_broken(state: JSON) -> Answer:
    """Snapshots on the nodes whose size alone says that they cannot be restored."""
    for entry in state["nodes"]:
        if not entry.get("server"):
            continue
        found = entry.get("snapshots")
        if found is None:
            yield Unknown(entry["name"], why_not(entry, "snapshots"))
            continue
        bad = [f"{path}: {why}" for path, file in found.items() if (why := _broken(path, file))]
        if bad:
            yield Found(entry["name"], {"count": len(bad), "name": entry["name"]}, tuple(bad))


def _broken(path: str, file: JSON) -> str:
    if file.get("directory"):
        return ""
    if path.endswith(".part"):
        return "it was never finished"
    if not file["bytes"]:
        return "it is empty"
    whole = path.endswith(".zip") or file["bytes"] % SECTOR == TRAILER
    return "" if whole else f"{file['bytes']} bytes have no sha256 at their end"


NAMED: dict[str, Predicate] = {
    "members_unknown": members_unknown,
    "repair_leftovers": repairs("leftovers"),
    "snapshots_broken": snapshots_broken,
    "snapshots_none": snapshots_none,
    "snapshots_old": snapshots_old,
}
