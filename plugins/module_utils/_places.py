# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Where a plan writes, on nodes and on the controller: is there room, may it be written to, can it be moved aside?

A disk that fills up in the middle of a reset is worse than one that was refused before.
"""

from __future__ import annotations

import typing as t

from . import _messages
from ._classify import Case, Refusal
from ._plan import Plan
from ._repair import megabytes

JSON = t.Mapping[str, t.Any]

WAL = 128 << 20
"""A new datastore has two files of 64 MiB as its write-ahead log, before anything is written."""
FILES = 8 << 20
"""What `keep` brings of a host, amply."""
HOME, STORE = "/rancher/requorum", "/server/db"
"""How the two places end to which much is written: our own folder, and what holds the datastore."""


def refusals(plan: Plan, case: Case, entries: t.Iterable[JSON], *, folder: str, free: int) -> t.Iterator[Refusal]:
    """folder: of this run, on the controller; free: bytes that are free there."""
    size = {server.name: server.store_bytes for server in case.servers}
    chosen = (plan.snapshot or {}).get("bytes") or 0
    packed = (plan.snapshot or {}).get("path", "").endswith(".zip")  # it grows to about what the servers had
    restored = max(chosen, *size.values()) if packed else chosen or size.get(plan.survivor, 0)
    here = 0
    asked: dict[str, list[tuple[str, int, str]]] = {}
    for action in plan.actions:
        verb, name = action.verb, action.node
        if verb == "snapshot":
            here += size.get(name, 0)
            asked.setdefault(name, []).append((HOME, size.get(name, 0), "the backup"))
        elif verb == "keep":
            here += FILES
        elif verb == "fetch":
            here += chosen
        elif verb == "deliver" and (plan.snapshot or {}).get("host") != name:
            asked.setdefault(name, []).append((HOME, chosen, "the snapshot"))
        elif verb == "reset":
            asked.setdefault(name, []).append((STORE, 3 * restored + WAL, "three times the datastore and its log"))
        elif verb == "rejoin":
            asked.setdefault(name, []).append((STORE, 2 * restored + WAL, "twice the datastore and its log"))
    for entry in entries:
        if plan.actions and entry.get("places") and entry["name"] in size:  # an agent must not hold it up
            yield from _locked(entry, everything=any(action.phase > 3 for action in plan.actions))
            yield from _fixed(entry, plan)
            yield from _small(entry, asked.get(entry["name"], ()))
    if here > free:
        yield _messages.refusal("disk-controller", folder=folder, free=megabytes(free), need=megabytes(here))


def _locked(entry: JSON, *, everything: bool) -> t.Iterator[Refusal]:
    """File systems on which nothing can be written, each once; a backup writes into our own folder only."""
    places = {path: place for path, place in entry["places"].items() if everything or path.endswith(HOME)}
    found = {place["mount"]: path for path, place in places.items() if place["read_only"]}
    for mount, path in found.items():
        yield _messages.refusal("disk-read-only", host=entry["name"], path=path, mount=mount)


def _fixed(entry: JSON, plan: Plan) -> t.Iterator[Refusal]:
    """A datastore that is a mount of its own cannot be renamed, as a restore and a join must."""
    moved = ("rejoin", *(["reset"] if plan.method == "restore" else []))
    if any(action.node == entry["name"] and action.verb in moved for action in plan.actions):
        for path, place in entry["places"].items():
            if place["mounted"] and path.endswith("/db/etcd"):
                above = path.removesuffix("/etcd")
                yield _messages.refusal("disk-mounted", host=entry["name"], path=path, above=above)


def _small(entry: JSON, asked: t.Iterable[tuple[str, int, str]]) -> t.Iterator[Refusal]:
    """What is written to one file system adds up."""
    sums: dict[str, tuple[int, int, list[str]]] = {}
    for ending, need, what in asked:
        place = next((p for path, p in entry["places"].items() if path.endswith(ending)), None)
        if place:
            before, _free, whats = sums.get(place["mount"], (0, 0, []))
            sums[place["mount"]] = before + need, place["free"], [*whats, what]
    for mount, (need, free, whats) in sums.items():
        if need > free:
            host, what = entry["name"], ", ".join(whats)
            yield _messages.refusal(
                "disk-small", host=host, mount=mount, free=megabytes(free), need=megabytes(need), what=what
            )
