# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""May a living server of a Harvester leave to be reinstalled, and in which order does it leave?

The riskiest step of a recovery. What it is (`_reinstall_parts`), what forbids it (`_reinstall_gates`), what is done
(here). What earlier runs have done is seen, not remembered; a record tells only which Machine it was.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _orphans, _stale
from ._classify import Refusal
from ._margin import Margin
from ._orphans import JSON, LONGHORN, Dead, Seen, inner, meta, name_of, notes, spec, status
from ._reinstall_gates import PROMOTE, forbidden
from ._reinstall_parts import (
    KINDS,
    It,
    Stage,
    Wish,
    evictable,
    joined,
    listed,
    machines,
    movable,
    skew,
    theirs,
)

__all__ = [
    "KINDS", "MARK", "PHASES", "PROMOTE", "Action", "Reinstall", "Wish", "evictable", "joined", "listed", "movable",
    "reinstall", "resolve", "skew", "theirs", "undo",
]  # fmt: skip
MARK = "requorum.io/reinstall"
"""Annotation of a Node: what of it was open before a run of ours closed it (`node`, `storage`)."""
PHASES = ("LEAVE", "REMOVE", "STOP", "PURGE")
Where = t.Literal["speaker", "host"]


@dataclass(frozen=True)
class Action:
    """One thing that is done, and by which host."""

    phase: int
    verb: str
    kind: str
    namespace: str
    name: str
    what: str
    why: str
    on: Where = "speaker"


@dataclass(frozen=True)
class Reinstall:
    """The judgement; nothing of the actions is done while there is a refusal."""

    host: str
    """Its name in the inventory; empty where it is not there."""
    node: str
    dead: Dead
    stage: Stage
    addresses: tuple[str, ...]
    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    """Virtual machines that migrate while it is drained."""
    stops: tuple[str, ...] = ()
    """Those that stop."""


def reinstall(
    seen: Seen, wish: Wish, margin: Margin, *, entries: t.Mapping[str, JSON], before: t.Iterable[Dead] = ()
) -> Reinstall:
    """entries: what INSPECT has read of the servers, by their names in the inventory. before: of earlier runs."""
    host, name = resolve(entries, wish.name)
    entry, known = entries.get(host, {}), list(before)
    given = {name: str(entry.get("host") or "")}
    purge = _orphans.purge(seen, [name], addresses=given, before=known, accept=wish.loss, stopped=True)
    dead = purge.dead[0]
    machine = next((m for m in seen.get("machines", ()) if name_of(m) in dead.machines), None)
    stage: Stage = "gone" if machine is None else "leaving" if meta(machine).get("deletionTimestamp") else "whole"
    others = tuple(node for node in seen.get("nodes", ()) if name_of(node) != dead.node)
    item = next((node for node in seen.get("nodes", ()) if name_of(node) == dead.node), {})
    addresses = frozenset(filter(None, (given[name], *inner(item), *(inner(machine) if machine else ()))))
    it = It(seen, wish, margin, dead.node, host, entry, dead, stage, addresses, others)
    begun = dead.name in {each.name for each in known}
    refusals = list(forbidden(it, purge.refusals, begun=begun))
    moves, stops = machines(it)
    steps = () if refusals else tuple(_actions(it, purge, stops))
    said = [*purge.notes, *_said(it, begun=begun)]
    return Reinstall(
        host, it.node, dead, stage, tuple(sorted(addresses)), steps, tuple(refusals), tuple(said), moves, stops
    )


def resolve(entries: t.Mapping[str, JSON], name: str) -> tuple[str, str]:
    """(host of the inventory, Node) of a server that is named by one of them; no host where it is not there."""
    known = {str(entry.get("hostname") or host): host for host, entry in entries.items()}
    host = name if name in entries else known.get(name, "")
    return host, str(entries.get(host, {}).get("hostname") or name)


def undo(seen: Seen, name: str) -> tuple[Action, ...] | Refusal:
    """Open what a run of ours has closed; refused once its Machine is being deleted."""
    node = next((node for node in seen.get("nodes", ()) if name_of(node) == name and MARK in notes(node)), None)
    if node is None:
        return ()
    for machine in seen.get("machines", ()):
        if (status(machine).get("nodeRef") or {}).get("name") == name and meta(machine).get("deletionTimestamp"):
            return Refusal(
                f"The Machine of {name} is being deleted: nobody can take that back.",
                name,
                "Go on: give the same command without undo.",
            )
    closed = notes(node)[MARK].split()
    storage = [Action(1, "open", KINDS["storage"][0].name, LONGHORN, name,
                      "set allowScheduling to true and evictionRequested to false", "as it was found")]  # fmt: skip
    return (
        *(storage if "storage" in closed else ()),
        Action(1, "open", "nodes", "", name, "uncordon it" if "node" in closed else "take the mark away",
               "as it was found"),
    )  # fmt: skip


def _said(it: It, *, begun: bool) -> t.Iterator[str]:
    missing = sorted({KINDS[which][0].name for which in ("volumes", "machines_running") if which not in it.seen})
    yield from (f"{name}: the cluster has no such kind; this part is skipped." for name in missing)
    copies = _orphans.healthy_copies(it.seen, [it.node])
    single = sorted(name_of(v) for v in it.seen.get("volumes", ()) if len(set(copies[name_of(v)])) == 1)
    if single:
        yield f"Only one healthy replica is left meanwhile, of {listed(single)}: better wait until there are two."
    if it.stage == "whole":
        yield from (f"It is reinstalled because {why}." for why in skew(it.seen, it.item, it.entry.get("harvester")))
        stay = _stay(it)
        if stay:
            yield f"No other node takes a replica of {listed(stay)}: they stay degraded until it has joined again."
        if _stale.hooked(it.seen):
            yield "The provisioning cluster has drain hooks. If Rancher waits for them: purge-orphans --leftovers."
        paused = [name_of(c) for c in it.seen.get("charts", ()) if spec(c).get("paused")]
        if paused:
            yield f"ManagedChart {listed(paused)} is paused, after an upgrade: purge-orphans --leftovers lets it go on."
        alone = [name_of(p) for p in evictable(it.seen.get("pods", ()), it.node) if not meta(p).get("ownerReferences")]
        if alone:
            yield f"Pod {listed(sorted(alone))} has no controller: nobody starts it again."
    elif begun or it.stage == "leaving":
        yield f"{it.node} is on its way out; this run goes on with it. There is no way back but to let it join again."


def _stay(it: It) -> list[str]:
    """Volumes that lose a replica, and get no other one."""
    on_it = {str(spec(r).get("volumeName")) for r in it.seen.get("replicas", ()) if spec(r).get("nodeID") == it.node}
    return sorted(on_it - set(movable(it.seen, it.node)))


def _actions(it: It, purge: _orphans.Purge, stops: t.Sequence[str]) -> t.Iterator[Action]:
    if it.stage == "whole":
        yield from _leave(it, stops)
    if it.stage != "gone":
        for step in _orphans.unpin(it.seen, it.dead.ids):
            why = "it names this server as init node for ever; Rancher must choose another one"
            yield Action(2, "unpin", step.kind.name, step.namespace, step.name, step.what, why)
        what = f"delete it; etcd lets the member of {it.node} go: THE POINT OF NO RETURN"
        why = "Rancher removes the member while the server lives, then the Node"
        for machine in it.dead.machines:
            yield Action(2, "remove", KINDS["machines"][0].name, _orphans.FLEET, machine, what, why)
    running = {str((it.entry.get("unit") or {}).get(key)) for key in ("ActiveState", "UnitFileState")}
    if it.stage != "gone" or running & {"active", "activating", "reloading", "enabled"}:
        what = "stop and disable rke2-server and rancher-system-agent; move its datastore aside"
        why = "a server that goes on would register itself again (harvester#1497)"
        yield Action(3, "retire", "Host", "", it.host, what, why, "host")
    if it.stage != "gone" or purge.steps or theirs(it.margin.members, it.node, it.addresses):
        what = "let go what the API still holds of it, and see that the others are the only voters"
        why = "a new server of this name would be refused; Longhorn would go on counting its disks"
        yield Action(4, "purge", "nodes", "", it.node, what, why)


def _leave(it: It, stops: t.Sequence[str]) -> t.Iterator[Action]:
    """What can be taken back."""
    storage, instances = KINDS["storage"][0].name, KINDS["machines_running"][0].name
    away, moves, closed = movable(it.seen, it.node), machines(it)[0], spec(it.storage)
    if not spec(it.item).get("unschedulable") or MARK not in notes(it.item):
        what = f"cordon it, annotate {MARK}"
        yield Action(1, "cordon", "nodes", "", it.node, what, "nothing new shall start there")
    if it.storage and (closed.get("allowScheduling") or (away and not closed.get("evictionRequested"))):
        what = "set allowScheduling to false" + (" and evictionRequested to true" if away else "")
        why = f"{listed(away)} gets a replica elsewhere" if away else "no new replica shall lie there"
        yield Action(1, "close", storage, LONGHORN, it.node, what, why)
    for name in stops:
        namespace, _slash, vm = name.partition("/")
        why = "it cannot migrate; a person has accepted that it stops"
        yield Action(1, "halt", instances, namespace, vm, "delete the instance: it shuts down", why)
    what = "evict its pods but for those of DaemonSets; wait until no volume is attached to it"
    why = f"{listed(moves)} migrates" if moves else "no virtual machine runs on it that migrates"
    yield Action(1, "drain", "nodes", "", it.node, what, why)
    if away:
        what = f"wait until {listed(away)} has no replica on it"
        yield Action(1, "move", storage, LONGHORN, it.node, what, "no volume shall be degraded that need not be")
