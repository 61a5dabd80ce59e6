# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""May a living server of a Harvester leave to be reinstalled, and in which order does it leave?

The riskiest step of a recovery: afterwards etcd has two members and every volume a copy less. So what is not known
counts as not healthy. What earlier runs have done is seen, not remembered; a record tells only which Machine it was.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _harvester, _machines, _orphans, _server, _stale
from ._api import Kind
from ._classify import Refusal
from ._margin import Margin
from ._orphans import JSON, LONGHORN, Dead, Seen, condition, labels, meta, name_of, notes, spec, status

KINDS: dict[str, tuple[Kind, str]] = {
    **_orphans.KINDS,
    **_stale.KINDS,
    "volumes": (Kind("longhorn.io", "v1beta2", "volumes"), LONGHORN),
    "machines_running": (Kind("kubevirt.io", "v1", "virtualmachineinstances"), ""),
    "kubevirt": (Kind("kubevirt.io", "v1", "kubevirts"), ""),
    "harvester": (Kind("harvesterhci.io", "v1beta1", "settings", namespaced=False), ""),
}
MARK = "requorum.io/reinstall"
"""Annotation of a Node: what of it was open before a run of ours closed it (`node`, `storage`)."""
PROMOTE, JOB = "harvesterhci.io/promote-status", "harvester-promote-"
MIGRATES = ("LiveMigrate", "LiveMigrateIfPossible")
PHASES = ("LEAVE", "REMOVE", "STOP", "PURGE")
Stage = t.Literal["whole", "leaving", "gone"]
"""leaving: its Machine is being deleted; gone: only what is left of it."""
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


@dataclass(frozen=True)
class Wish:
    """What a person has said."""

    name: str
    """Of the Node, or of the host in the inventory."""
    anyway: bool = False
    """Although no skew is seen."""
    stop: object = None
    """Virtual machines that may stop."""
    loss: t.Collection[str] = ()
    """Volumes and images that are given up."""


@dataclass(frozen=True)
class _It:
    """The server, as all rules look at it."""

    seen: Seen
    wish: Wish
    margin: Margin
    node: str
    host: str
    entry: JSON
    dead: Dead
    stage: Stage
    addresses: frozenset[str]
    others: tuple[JSON, ...]
    """Nodes but for it."""

    @property
    def item(self) -> JSON:
        return next((node for node in self.seen.get("nodes", ()) if name_of(node) == self.node), {})

    @property
    def storage(self) -> JSON:
        return next((node for node in self.seen.get("storage", ()) if name_of(node) == self.node), {})


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
    addresses = frozenset(filter(None, (given[name], *_inner(item), *(_inner(machine) if machine else ()))))
    it = _It(seen, wish, margin, dead.node, host, entry, dead, stage, addresses, others)
    begun = dead.name in {each.name for each in known}
    refusals = list(_forbidden(it, purge.refusals, begun=begun))
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


def theirs(members: t.Iterable[_server.Member], node: str, addresses: t.Collection[str]) -> list[_server.Member]:
    """Members that are the server's, by the name of its Node or by its address."""
    return [member for member in members if member.node == node or member.address in addresses]


def skew(seen: Seen, node: JSON, release: t.Mapping[str, str] | None) -> list[str]:
    """Why a server counts as one whose OS and RKE2 are of two versions, or of another one than the cluster's."""
    info, others = status(node).get("nodeInfo") or {}, [n for n in seen.get("nodes", ()) if name_of(n) != name_of(node)]
    kubelet, system = str(info.get("kubeletVersion") or ""), str(info.get("osImage") or "")
    brought = (release or {}).get("kubernetes", "")
    cluster = next((str(s.get("value")) for s in seen.get("harvester", ()) if name_of(s) == "server-version"), "")
    found = []
    if brought and kubelet and brought != kubelet:
        found.append(f"its OS brings RKE2 {brought}, and its kubelet is {kubelet}")
    if cluster and system and system != f"Harvester {cluster}":
        found.append(f"its OS is {system}, and the cluster is {cluster}")
    theirs = {(status(other).get("nodeInfo") or {}).get("kubeletVersion") for other in others}
    if len(theirs) == 1 and kubelet and kubelet not in theirs:
        found.append(f"its kubelet is {kubelet}, and that of all others {theirs.pop()}")
    return found


def machines(it: _It) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(virtual machines on it that migrate, those that stop): what is not known to migrate stops."""
    usual = next((str((spec(k).get("configuration") or {}).get("evictionStrategy") or "")
                  for k in it.seen.get("kubevirt", ())), "")  # fmt: skip
    there = any(_open(node) for node in it.others)
    moves: set[str] = set()
    stops: set[str] = set()
    for vmi in it.seen.get("machines_running", ()):
        if status(vmi).get("nodeName") != it.node or status(vmi).get("phase") in ("Succeeded", "Failed"):
            continue
        can = condition(vmi, "LiveMigratable") == "True" and (spec(vmi).get("evictionStrategy") or usual) in MIGRATES
        (moves if can and there else stops).add(f"{meta(vmi).get('namespace')}/{name_of(vmi)}")
    stops |= set(_harvester.machines(it.entry).values() if it.entry.get("processes") else ()) - moves
    return tuple(sorted(moves)), tuple(sorted(stops))


def joined(secrets: t.Iterable[JSON], machine: str) -> list[str]:
    """Machines whose servers have joined by this one: Rancher lets them join by another one before it goes."""
    said = [(labels(secret).get(_orphans.MACHINE_NAME, ""), notes(secret)) for secret in secrets]
    urls = {note.get("rke.cattle.io/join-url") for name, note in said if name == machine} - {None}
    return sorted(name for name, note in said if note.get("rke.cattle.io/joined-to") in urls)


def evictable(pods: t.Iterable[JSON], node: str) -> list[JSON]:
    """What a drain takes away: not static pods, not those of DaemonSets, not those that have ended."""
    return [
        pod
        for pod in pods
        if spec(pod).get("nodeName") == node
        and "kubernetes.io/config.mirror" not in notes(pod)
        and not any(owner.get("kind") == "DaemonSet" for owner in meta(pod).get("ownerReferences") or ())
        and status(pod).get("phase") not in ("Succeeded", "Failed")
    ]


def movable(seen: Seen, node: str) -> list[str]:
    """Volumes with a replica on it for which another node of Longhorn has none yet, and takes one."""
    takes = {
        name_of(n)
        for n in seen.get("storage", ())
        if name_of(n) != node
        and condition(n, "Ready") == "True"
        and condition(n, "Schedulable") != "False"
        and spec(n).get("allowScheduling")
        and not spec(n).get("evictionRequested")
    }
    homes: dict[str, set[str]] = {}
    for replica in seen.get("replicas", ()):
        homes.setdefault(str(spec(replica).get("volumeName")), set()).add(str(spec(replica).get("nodeID")))
    return sorted(volume for volume, where in homes.items() if node in where and takes - where)


def _inner(item: JSON) -> list[str]:
    return [str(a.get("address")) for a in status(item).get("addresses") or () if a.get("type") == "InternalIP"]


def _open(node: JSON) -> bool:
    """It takes virtual machines."""
    return (
        condition(node, "Ready") == "True"
        and not spec(node).get("unschedulable")
        and labels(node).get("kubevirt.io/schedulable") != "false"
    )


def _forbidden(it: _It, purge: t.Iterable[Refusal], *, begun: bool) -> t.Iterator[Refusal]:
    """All that forbids it. Once its Machine is gone, what is left has to go too: only quorum, data and VMs count."""
    yield from purge
    if it.stage == "gone" and not begun:
        yield Refusal(
            f"{it.node} has no Machine of Rancher.",
            it.node,
            "A server that Rancher does not manage is replaced by `requorum rejoin --replace`; a dead one is purged.",
        )
        return
    if not it.host:
        yield Refusal(
            f"{it.node} is no host of the inventory, so nobody could stop it.",
            it.node,
            "Add it to the servers of the inventory.",
        )
    elif it.stage != "gone" and not it.entry.get("reachable"):
        yield Refusal(
            f"{it.host} cannot be reached, so nobody could stop it.",
            it.host,
            "Bring it up; one that is dead is let go by playbooks/purge_orphans.yml.",
        )
    yield from _quorum(it)
    yield from _data(it)
    if it.stage != "gone":
        yield from _capi(it)
    if it.stage == "whole":
        yield from _versions(it)
        yield from _nodes(it)
    left = _machines.stopped(machines(it)[1], it.wish.stop)
    if left:
        yield Refusal(
            f"{listed(left)} on {it.node} would stop: it cannot migrate, or no other node takes it.",
            it.node,
            f"Shut it down or make it movable, or accept it: {_machines.OPTION}: [{', '.join(left)}].",
        )


def _quorum(it: _It) -> t.Iterator[Refusal]:
    """Two other voters must answer, and agree on a leader; nobody may be on the way in."""
    if it.margin.fault:
        yield Refusal(f"etcd: {it.margin.fault}.", it.node, "Bring the servers back that do not answer: inspect.yml.")
        return
    mine = theirs(it.margin.members, it.node, it.addresses)
    if not mine and it.stage == "whole":
        yield Refusal(
            f"etcd lists no member of {it.node}.", it.node, "Look at the member list: `playbooks/inspect.yml` shows it."
        )
    others = it.margin.working - {member.id for member in mine}
    if len(others) < 2:
        yield Refusal(
            f"{len(others)} other voters work, and two are needed: etcd goes from three to two members.",
            it.node,
            "Let more servers join and become voters first, or bring back those that do not work: inspect.yml.",
        )
    _margin, why = it.margin.change([member.id for member in mine if not member.learner])
    if why:
        yield Refusal(f"{it.node} cannot leave now: {why}.", it.node, "Bring the servers back that do not work.")
    learners = [member.node or member.id for member in it.margin.members if member.learner and member not in mine]
    if learners:
        yield Refusal(
            f"{listed(learners)} is still a learner of etcd.", ", ".join(learners), "Wait until it is a voter."
        )


def _capi(it: _It) -> t.Iterator[Refusal]:
    """Rancher takes its member out of etcd; it cannot while it stands still."""
    cluster = next((c for c in it.seen.get("clusters", ()) if name_of(c) == "local"), None)
    paused = cluster is None or bool(spec(cluster).get("paused")) or _orphans.PAUSED in notes(cluster)
    held = any(_orphans.PAUSED in notes(plane) for plane in it.seen.get("planes", ()))
    if cluster is None:
        yield Refusal("There is no CAPI cluster fleet-local/local.", it.node, "Look at Rancher: it removes the member.")
    elif paused or held:
        yield Refusal(
            "Rancher is paused: it could not take the member out of etcd.",
            "fleet-local/local",
            "End the recovery or the purge that has paused it, by the same command as before.",
        )


def _versions(it: _It) -> t.Iterator[Refusal]:
    release = it.entry.get("harvester")
    if not it.wish.anyway and not skew(it.seen, it.item, release):
        unread = "" if release else " Its /etc/harvester-release.yaml was not read."
        yield Refusal(
            f"{it.node} has no skew: its OS, its RKE2 and the cluster are of one version.{unread}",
            it.node,
            "There is no reason to reinstall it. If you have one: requorum_reinstall_anyway: true.",
        )
    latest = _stale.upgrade(it.seen)
    if latest.works:
        yield Refusal(f"Upgrade {latest.name} goes on.", latest.name, "Wait until it has ended.")


def _nodes(it: _It) -> t.Iterator[Refusal]:
    """Every other node is there, and nobody is being promoted, removed or added."""
    not_ready = sorted(name_of(node) for node in it.others if condition(node, "Ready") != "True")
    if not_ready:
        yield Refusal(
            f"{listed(not_ready)} is not Ready.", ", ".join(not_ready), "Bring it back, or purge it if it is dead."
        )
    if condition(it.item, "Ready") != "True":
        yield Refusal(
            f"{it.node} is not Ready, so it cannot be drained.",
            it.node,
            "Bring it back; one that is dead is let go by playbooks/purge_orphans.yml.",
        )
    nodes, jobs = it.seen.get("nodes", ()), it.seen.get("jobs", ())
    stuck = {name_of(node) for node in nodes if notes(node).get(PROMOTE) not in (None, "complete")}
    promoting = sorted(stuck | {name_of(job).removeprefix(JOB) for job in jobs if _runs(job)})
    if promoting:
        yield Refusal(
            f"The promotion of {listed(promoting)} has not ended well.",
            ", ".join(promoting),
            "Wait for it, or look at the job harvester-promote-<node> in harvester-system.",
        )
    moving = sorted(
        name_of(machine)
        for machine in it.seen.get("machines", ())
        if name_of(machine) not in it.dead.machines and status(machine).get("phase") != "Running"
    )
    if moving:
        yield Refusal(
            f"Machine {listed(moving)} is not Running.", ", ".join(moving), "Wait for it, or purge what is dead."
        )


def _runs(job: JSON) -> bool:
    ended = {condition(job, "Complete"), condition(job, "Failed")}
    return name_of(job).startswith(JOB) and "True" not in ended


def _data(it: _It) -> t.Iterator[Refusal]:
    """For every volume another node has a healthy replica, and none is being built. Those of _orphans come on top."""
    if "volumes" not in it.seen:
        return
    copies = _orphans.healthy_copies(it.seen, [it.node])
    not_ready = sorted(
        name_of(n) for n in it.seen.get("storage", ()) if name_of(n) != it.node and condition(n, "Ready") != "True"
    )
    if not_ready and it.stage == "whole":
        yield Refusal(
            f"Longhorn's node {listed(not_ready)} is not Ready.", ", ".join(not_ready), "Bring it back, or purge it."
        )
    on_it = {spec(r).get("volumeName") for r in it.seen.get("replicas", ()) if spec(r).get("nodeID") == it.node}
    for volume in it.seen.get("volumes", ()):
        name, state = name_of(volume), str(status(volume).get("robustness") or "unknown")
        if name in it.wish.loss:
            continue
        if state == "faulted" or (not copies[name] and name not in on_it):
            yield Refusal(
                f"Longhorn volume {name} is {state} and has no healthy replica on another node.",
                name,
                f"Repair it, or give it up: requorum_accept_loss: [{name}].",
            )
    building = sorted(set(_rebuilt(it, copies)) - set(it.wish.loss))
    if building and it.stage == "whole":
        yield Refusal(
            f"Longhorn is rebuilding a replica of {listed(building)}.", ", ".join(building), "Wait until it has ended."
        )


def _rebuilt(it: _It, copies: t.Mapping[str, t.Sequence[str]]) -> t.Iterator[str]:
    """Volumes that get a replica at this moment; one that was never attached has only new ones, and gets none."""
    for engine in it.seen.get("engines", ()):
        if "WO" in (status(engine).get("replicaModeMap") or {}).values():
            yield str(spec(engine).get("volumeName"))
    for replica in it.seen.get("replicas", ()):
        volume = str(spec(replica).get("volumeName"))
        if not spec(replica).get("healthyAt") and not spec(replica).get("failedAt") and copies.get(volume):
            yield volume


def _said(it: _It, *, begun: bool) -> t.Iterator[str]:
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
        if _stale._hooked(it.seen):
            yield "The provisioning cluster has drain hooks. If Rancher waits for them: purge-orphans --leftovers."
        paused = [name_of(c) for c in it.seen.get("charts", ()) if spec(c).get("paused")]
        if paused:
            yield f"ManagedChart {listed(paused)} is paused, after an upgrade: purge-orphans --leftovers lets it go on."
        alone = [name_of(p) for p in evictable(it.seen.get("pods", ()), it.node) if not meta(p).get("ownerReferences")]
        if alone:
            yield f"Pod {listed(sorted(alone))} has no controller: nobody starts it again."
    elif begun or it.stage == "leaving":
        yield f"{it.node} is on its way out; this run goes on with it. There is no way back but to let it join again."


def _stay(it: _It) -> list[str]:
    """Volumes that lose a replica, and get no other one."""
    on_it = {str(spec(r).get("volumeName")) for r in it.seen.get("replicas", ()) if spec(r).get("nodeID") == it.node}
    return sorted(on_it - set(movable(it.seen, it.node)))


def _actions(it: _It, purge: _orphans.Purge, stops: t.Sequence[str]) -> t.Iterator[Action]:
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


def _leave(it: _It, stops: t.Sequence[str]) -> t.Iterator[Action]:
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


def listed(names: t.Sequence[str]) -> str:
    """At most eight."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
