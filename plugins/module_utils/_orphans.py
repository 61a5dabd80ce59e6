# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What the API still holds of servers that a person has declared dead: in which order it goes, and when it may not.

Rancher's machines lead from a server to its objects, never that a Node is not Ready. Objects are plain JSON; what is
to be done is an ordered list of steps, and nothing here does any.
"""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ._api import Kind
from ._classify import Refusal

JSON = dict[str, t.Any]
Seen = t.Mapping[str, t.Sequence[JSON]]
"""Objects by the names of `KINDS`; a name is missing where the cluster has no such kind."""
FLEET, LONGHORN = "fleet-local", "longhorn-system"
KINDS: dict[str, tuple[Kind, str]] = {
    "nodes": (Kind("", "v1", "nodes", namespaced=False), ""),
    "leases": (Kind("coordination.k8s.io", "v1", "leases"), "kube-node-lease"),
    "clusters": (Kind("cluster.x-k8s.io", "v1beta1", "clusters"), FLEET),
    "planes": (Kind("rke.cattle.io", "v1", "rkecontrolplanes"), FLEET),
    "machines": (Kind("cluster.x-k8s.io", "v1beta1", "machines"), FLEET),
    "bootstraps": (Kind("rke.cattle.io", "v1", "rkebootstraps"), FLEET),
    "custom": (Kind("rke.cattle.io", "v1", "custommachines"), FLEET),
    "secrets": (Kind("", "v1", "secrets"), FLEET),
    "passwords": (Kind("", "v1", "secrets"), "kube-system"),
    "pods": (Kind("", "v1", "pods"), ""),
    "attachments": (Kind("storage.k8s.io", "v1", "volumeattachments", namespaced=False), ""),
    "storage": (Kind("longhorn.io", "v1beta2", "nodes"), LONGHORN),
    "engines": (Kind("longhorn.io", "v1beta2", "engines"), LONGHORN),
    "replicas": (Kind("longhorn.io", "v1beta2", "replicas"), LONGHORN),
    "images": (Kind("longhorn.io", "v1beta2", "backingimages"), LONGHORN),
    "devices": (Kind("harvesterhci.io", "v1beta1", "blockdevices"), LONGHORN),
}
FRESH_S = 40
"""A Lease that is younger is a sign of life: the grace period of the controller manager."""
FORCE = "rke.cattle.io/etcd-force-remove"
PAUSED = "cluster.x-k8s.io/paused"
HELD = "requorum.io/held-by-purge"
"""On an RKEControlPlane: a purge of ours pauses the planner by it, so that its Cluster need not be paused."""
EASE = (
    "machine.cluster.x-k8s.io/exclude-node-draining",
    "machine.cluster.x-k8s.io/exclude-wait-for-node-volume-detach",
)
"""Nobody drains a dead server, and none of its volumes is ever reported as detached."""
MACHINE_OF_NODE, MACHINE_UID = "cluster.x-k8s.io/machine", "rke.cattle.io/machine"
MACHINE_ID, MACHINE_NAME = "rke.cattle.io/machine-id", "rke.cattle.io/machine-name"
PINNED = "rke.cattle.io/init-node-machine-id"
PASSWORDS = ("node-password.rke2", "node-password.k3s")


@dataclass(frozen=True)
class Step:
    """One thing that is done to one object."""

    verb: str
    """patch or delete."""
    kind: Kind
    namespace: str
    name: str
    what: str
    why: str
    uid: str = ""
    change: JSON | None = None
    """Merge patch of a patch."""
    now: bool = False
    """Delete without grace period."""
    basis: JSON | None = None
    """Fields of the spec that must still be as they were read: the patch replaces a list."""

    @property
    def document(self) -> dict[str, str]:
        """As modules return it."""
        return {
            "verb": self.verb,
            "kind": self.kind.name,
            "namespace": self.namespace,
            "name": self.name,
            "what": self.what,
            "why": self.why,
        }


@dataclass(frozen=True)
class Dead:
    """A server that was declared dead."""

    name: str
    """As it was given."""
    node: str
    """Its Node; empty for a Machine that never had one."""
    machines: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Machine IDs of the system agent."""


@dataclass(frozen=True)
class Purge:
    """What goes, in this order; nothing of it while there is a refusal."""

    dead: tuple[Dead, ...]
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()


def purge(
    seen: Seen,
    names: t.Iterable[str],
    *,
    addresses: t.Mapping[str, str] | None = None,
    before: t.Iterable[Dead] = (),
    accept: t.Collection[str] = (),
    later: t.Sequence[JSON] = (),
    clock: float = 0,
    stopped: bool = False,
) -> Purge:
    """names: of Nodes, of hosts of the inventory (addresses: host -> address), or of single Machines.

    before: what earlier runs have begun. accept: volumes and images that are given up. later: the Leases, looked at
    once more after a kubelet would have renewed its own; clock: the controller's. stopped: nobody asks whether they
    live, because whoever calls stops them itself.
    """
    maps = _Maps(seen)
    known = {each.name: each for each in before}
    dead = tuple(_dead(maps, name, addresses or {}, known) for name in dict.fromkeys(names))
    nodes, machines = {d.node for d in dead if d.node}, {m for d in dead for m in d.machines}
    refusals = [
        *(refusal for d in dead for refusal in maps.doubts(d, dead, nodes)),
        *(_unknown(d) for d in dead if not _trace(seen, d) and d.name not in known),
        *(refusal for d in dead if not stopped and (refusal := _alive(seen, d, later, clock))),
        *_none_left(seen, nodes),
        *_last_copies(seen, nodes, accept),
    ]
    steps = () if refusals else tuple(_steps(seen, nodes, machines, maps))
    gone = [d.name for d in dead if not _trace(seen, d) and d.name in known]
    notes = [f"{name}: an earlier run has purged it; nothing of it is left." for name in gone]
    missing = sorted({kind.name for name, (kind, _where) in KINDS.items() if name not in seen})
    notes += [f"{name}: the cluster has no such kind; this part is skipped." for name in missing]
    return Purge(dead, steps, tuple(refusals), tuple(notes))


def foreign(uid: str, told: t.Collection[str]) -> Refusal | None:
    """told: UIDs of kube-system as the servers' own API servers tell them."""
    if not told or uid in told:
        return None
    return Refusal(
        "The API that was asked is that of another cluster: its kube-system is not the one of the servers.",
        "requorum_kubeconfig",
        "Name one of this cluster in requorum_kubeconfig, or leave it out: then a server is asked.",
    )


def meta(item: JSON) -> JSON:
    return t.cast("JSON", item.get("metadata") or {})


def name_of(item: JSON) -> str:
    return str(meta(item).get("name", ""))


def spec(item: JSON) -> JSON:
    return t.cast("JSON", item.get("spec") or {})


def status(item: JSON) -> JSON:
    return t.cast("JSON", item.get("status") or {})


def labels(item: JSON) -> dict[str, str]:
    return meta(item).get("labels") or {}


def notes(item: JSON) -> dict[str, str]:
    """Annotations."""
    return meta(item).get("annotations") or {}


def condition(item: JSON, kind: str) -> str:
    """True, False, Unknown; empty where it is missing."""
    return next((str(c.get("status")) for c in status(item).get("conditions") or () if c.get("type") == kind), "")


def patch(which: str, item: JSON, change: JSON, what: str, why: str) -> Step:
    kind, _where = KINDS[which]
    return Step("patch", kind, meta(item).get("namespace", ""), name_of(item), what, why, meta(item)["uid"], change)


def delete(which: str, item: JSON, why: str, *, what: str = "delete it", now: bool = False) -> Step:
    kind, _where = KINDS[which]
    return Step("delete", kind, meta(item).get("namespace", ""), name_of(item), what, why, meta(item)["uid"], now=now)


class _Maps:
    """Which Machines are said to be of which Node, by whom."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.machines = {name_of(machine): machine for machine in seen.get("machines", ())}
        parts = (*seen.get("machines", ()), *seen.get("bootstraps", ()), *seen.get("custom", ()))
        self.ids: dict[str, set[str]] = defaultdict(set)
        for part in parts:
            self.ids[name_of(part)] |= {value for key, value in labels(part).items() if key == MACHINE_ID}
        self.left = {*self.ids, *(labels(secret).get(MACHINE_NAME, "") for secret in seen.get("secrets", ()))}
        """Machines of which anything is left."""
        self.said: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """Machine -> Node -> by which maps."""
        uids = {meta(machine).get("uid"): name for name, machine in self.machines.items()}
        for name, machine in self.machines.items():
            self._say(name, (status(machine).get("nodeRef") or {}).get("name"), "its nodeRef")
        for part in (*seen.get("machines", ()), *seen.get("custom", ())):
            self._say(name_of(part), str(spec(part).get("providerID") or "").partition("://")[2], "its providerID")
        for node in seen.get("nodes", ()):
            self._say(notes(node).get(MACHINE_OF_NODE, ""), name_of(node), "the annotation of the Node")
            self._say(uids.get(labels(node).get(MACHINE_UID), ""), name_of(node), "the label of the Node")

    def _say(self, machine: str, node: str | None, by: str) -> None:
        if node and machine in self.ids:
            self.said[machine][node].add(by)

    def of(self, node: str) -> list[str]:
        return sorted(machine for machine, nodes in self.said.items() if node in nodes)

    def doubts(self, dead: Dead, others: t.Collection[Dead], nodes: t.Collection[str]) -> t.Iterator[Refusal]:
        """More than one Machine for one Node, or one Machine for more than one Node."""
        named = {d.name for d in others}
        if len(dead.machines) > 1 and not named.issuperset(dead.machines):
            yield Refusal(
                f"{dead.node} has more than one Machine: {', '.join(dead.machines)}.",
                dead.node,
                "Look which of them are of this server, and name each that shall go in requorum_dead too.",
            )
        for machine in dead.machines:
            for node, by in sorted(self.said[machine].items()):
                if node not in nodes:
                    yield Refusal(
                        f"Machine {machine} of {dead.name} is also one of {node}, by {' and '.join(sorted(by))}.",
                        dead.name,
                        f"{node} is not declared dead. Correct the map that is wrong, then run it again.",
                    )
            shared = [m for m in self.machines if m not in dead.machines and self.ids[m] & self.ids[machine]]
            if shared and not {m for d in others for m in d.machines}.issuperset(shared):
                yield Refusal(
                    f"Machine {machine} of {dead.name} has the machine ID of {', '.join(sorted(shared))} too.",
                    dead.name,
                    "Look which of them is of this server, and correct the label rke.cattle.io/machine-id.",
                )

    def part(self, which: str, machine: str) -> list[JSON]:
        """RKEBootstrap or CustomMachine of a Machine: by reference or name, or by a machine ID that nobody claims."""
        own = self._refers(which, machine)
        taken = {name for other in self.machines if other != machine for name in self._refers(which, other)}
        return [
            part
            for part in self.seen.get(which, ())
            if name_of(part) not in taken
            and (name_of(part) in own or labels(part).get(MACHINE_ID) in self.ids[machine])
        ]

    def _refers(self, which: str, machine: str) -> set[str]:
        found = spec(self.machines.get(machine, {}))
        refers = (
            found.get("infrastructureRef") if which == "custom" else (found.get("bootstrap") or {}).get("configRef")
        )
        return {machine, (refers or {}).get("name") or machine}

    def secrets(self, machine: str, bootstraps: t.Iterable[JSON]) -> list[JSON]:
        """Plan and state: by label, by owner, by name."""
        owners = {meta(bootstrap).get("uid") for bootstrap in bootstraps}
        names = {f"{machine}-machine-plan", f"{machine}-machine-state"}
        return [
            secret
            for secret in self.seen.get("secrets", ())
            if labels(secret).get(MACHINE_NAME) == machine
            or name_of(secret) in names
            or any(owner.get("uid") in owners for owner in meta(secret).get("ownerReferences") or ())
        ]


def _dead(maps: _Maps, name: str, addresses: t.Mapping[str, str], known: t.Mapping[str, Dead]) -> Dead:
    nodes = {name_of(node) for node in maps.seen.get("nodes", ())}
    if name in maps.ids and name not in nodes and not maps.of(name):
        node = ""
        machines = {name}
    else:
        node = name if name in nodes or maps.of(name) else _by_address(maps, addresses.get(name, ""))
        node = node or (known[name].node if name in known else name)
        machines = set(maps.of(node))
    if name in known:  # begun by an earlier run, whose Machine may be gone while the rest is not
        machines |= set(known[name].machines) & maps.left
    ids = {i for machine in machines for i in maps.ids.get(machine, ())}
    return Dead(name, node, tuple(sorted(machines)), tuple(sorted(ids)))


def _by_address(maps: _Maps, address: str) -> str:
    """The only Node at an address, also one that only its Machine remembers."""
    found = {name_of(node) for node in maps.seen.get("nodes", ()) if address in _addresses(node)}
    for machine in maps.machines.values():
        if address in _addresses(machine):
            found |= {(status(machine).get("nodeRef") or {}).get("name") or ""}
    return found.pop() if address and len(found) == 1 else ""


def _addresses(item: JSON) -> set[str]:
    return {str(entry.get("address")) for entry in status(item).get("addresses") or ()}


def _trace(seen: Seen, dead: Dead) -> bool:
    """Whether the API holds anything of it."""
    return bool(
        any(
            name_of(part) in dead.machines
            for kind in ("machines", "bootstraps", "custom")
            for part in seen.get(kind, ())
        )
        or any(labels(secret).get(MACHINE_NAME) in dead.machines for secret in seen.get("secrets", ()))
        or any(name_of(item) == dead.node for kind in ("nodes", "storage") for item in seen.get(kind, ()))
        or any(spec(item).get("nodeID") == dead.node for item in seen.get("replicas", ()) if dead.node)
        or any(
            _on(kind, item) == dead.node
            for kind in ("attachments", "devices")
            for item in seen.get(kind, ())
            if dead.node
        )
        or any(name_of(item).split(".node-password.")[0] == dead.node for item in seen.get("passwords", ()))
    )


def _on(which: str, item: JSON) -> str:
    """Node of a pod, attachment, replica, engine or block device."""
    return str(spec(item).get("nodeID" if which in ("replicas", "engines") else "nodeName") or "")


def _unknown(dead: Dead) -> Refusal:
    return Refusal(
        f"The API knows no server {dead.name}: no Node, no Machine, nothing of Longhorn.",
        dead.name,
        "Give the name that its Node had; `kubectl get nodes` and `kubectl get machines -n fleet-local` show them.",
    )


def _alive(seen: Seen, dead: Dead, later: t.Sequence[JSON], clock: float) -> Refusal | None:
    """By its Lease: one that is fresh, or that was renewed between two looks, whatever clocks say."""
    node = next((node for node in seen.get("nodes", ()) if name_of(node) == dead.node), None)
    first, second = _renewed(seen.get("leases", ())), _renewed(later)
    own = first.get(dead.node)
    if node is None:
        return None
    age = max([clock, *first.values()]) - own if own is not None else None
    if second.get(dead.node, own) != own:
        why = "its kubelet has just renewed its Lease"
    elif age is None and condition(node, "Ready") == "True":
        why = "its Node is Ready, and it has no Lease that would say otherwise"
    elif age is not None and age <= FRESH_S:
        why = f"its kubelet reported {age:.0f} s ago"
    else:
        return None
    return Refusal(
        f"{dead.name} is alive: {why}.",
        dead.name,
        f"Cut its power, wait {FRESH_S} s, and run it again. A living server is removed by playbooks/rejoin.yml.",
    )


def _renewed(leases: t.Iterable[JSON]) -> dict[str, float]:
    """Node -> Unix seconds."""
    found = {}
    for lease in leases:
        with contextlib.suppress(ValueError, TypeError):  # none yet, or no time
            found[name_of(lease)] = datetime.datetime.fromisoformat(spec(lease).get("renewTime") or "").timestamp()
    return found


def _none_left(seen: Seen, dead: t.Collection[str]) -> t.Iterator[Refusal]:
    if not [node for node in seen.get("nodes", ()) if name_of(node) not in dead]:
        yield Refusal(
            "Every Node of the cluster is declared dead.",
            "requorum_dead",
            "Leave out those that live on: some API answers.",
        )


def _last_copies(seen: Seen, dead: t.Collection[str], accept: t.Collection[str]) -> t.Iterator[Refusal]:
    """Volumes and images whose only usable copy lies on a dead server."""
    ready, copies = _ready(seen, dead), healthy_copies(seen, dead)
    lost: dict[str, set[str]] = defaultdict(set)
    for replica in seen.get("replicas", ()):
        lost[str(spec(replica).get("volumeName"))] |= {_on("replicas", replica)} & set(dead)
    for volume, nodes in sorted(lost.items()):
        if nodes and not copies[volume] and volume not in accept:
            where = ", ".join(sorted(nodes))
            yield Refusal(
                f"Longhorn volume {volume} has no healthy replica on a living node; its last one is on {where}.",
                where,
                f"Bring that disk back or let Longhorn rebuild it elsewhere, or give the volume up: "
                f"requorum_accept_loss: [{volume}].",
            )
    homes = {
        disk.get("diskUUID"): name_of(node)
        for node in seen.get("storage", ())
        for disk in (status(node).get("diskStatus") or {}).values()
    }
    for image in seen.get("images", ()):
        files = (status(image).get("diskFileStatusMap") or {}).items()
        homes_of = {homes.get(disk, "") for disk, file in files if (file or {}).get("state") == "ready"}
        if homes_of & set(dead) and not homes_of & ready and name_of(image) not in accept:
            yield Refusal(
                f"Longhorn backing image {name_of(image)} has no ready copy on a living node.",
                ", ".join(sorted(homes_of & set(dead))),
                f"Bring that disk back, or give the image up: requorum_accept_loss: [{name_of(image)}].",
            )


def _ready(seen: Seen, without: t.Collection[str]) -> set[str]:
    """Nodes of Longhorn that are Ready, but for these."""
    return {name_of(node) for node in seen.get("storage", ()) if condition(node, "Ready") == "True"} - set(without)


def healthy_copies(seen: Seen, without: t.Collection[str]) -> dict[str, list[str]]:
    """Volume -> nodes of Longhorn that are Ready and hold a healthy replica of it, but for these."""
    ready = _ready(seen, without)
    modes = {
        name: mode for e in seen.get("engines", ()) for name, mode in (status(e).get("replicaModeMap") or {}).items()
    }
    found: dict[str, list[str]] = defaultdict(list)
    for replica in seen.get("replicas", ()):
        if _on("replicas", replica) in ready and _healthy(replica, modes.get(name_of(replica), "RW")):
            found[str(spec(replica).get("volumeName"))].append(_on("replicas", replica))
    return found


def _healthy(replica: JSON, mode: str) -> bool:
    """mode: RW, or WO while an engine rebuilds it, or ERR."""
    return bool(spec(replica).get("healthyAt")) and not spec(replica).get("failedAt") and mode == "RW"


def _steps(seen: Seen, nodes: t.Collection[str], machines: t.Collection[str], maps: _Maps) -> t.Iterator[Step]:
    def all_of(which: str) -> list[JSON]:
        return [part for machine in sorted(machines) for part in maps.part(which, machine)]

    doomed = [maps.machines[machine] for machine in sorted(machines) if machine in maps.machines]
    bootstraps = all_of("bootstraps")
    held, released = _hold(seen, bool(doomed))
    yield from held
    yield from unpin(seen, {i for machine in machines for i in maps.ids[machine]})
    for bootstrap in bootstraps:
        if notes(bootstrap).get(FORCE) != "true":
            change = {"metadata": {"annotations": {FORCE: "true"}}}
            why = "a dead server's etcd member never says that it has left; Rancher would wait for it for ever"
            yield patch("bootstraps", bootstrap, change, f"annotate {FORCE}=true", why)
    for machine in doomed:
        if not notes(machine).keys() >= set(EASE):
            change = {"metadata": {"annotations": dict.fromkeys(EASE, "true")}}
            why = "nobody can drain a dead server, or see its volumes detached"
            yield patch("machines", machine, change, "annotate that it is neither drained nor waited for", why)
    for machine in doomed:
        node = (status(machine).get("nodeRef") or {}).get("name")
        yield delete("machines", machine, f"it is the machine of {node}" if node else "it has no Node")
    yield from (delete("custom", part, "its Machine goes") for part in all_of("custom"))
    yield from (delete("bootstraps", part, "its Machine goes") for part in bootstraps)
    for name in sorted(machines):
        for secret in maps.secrets(name, maps.part("bootstraps", name)):
            yield delete("secrets", secret, f"it is a secret of Machine {name}")
    yield from _of_nodes(seen, nodes)
    yield from released


def _of_nodes(seen: Seen, nodes: t.Collection[str]) -> t.Iterator[Step]:
    """What hangs on the names of Nodes; Longhorn lets a node go only after the Node, and without any replica."""
    dead = sorted(nodes)
    for node in seen.get("nodes", ()):
        if name_of(node) in nodes:
            yield delete("nodes", node, "the server is dead")
    for which, why, now in (
        ("pods", "it is stuck in Terminating; no kubelet will end it", True),
        ("attachments", "the volume is attached to a dead server, and to no other one meanwhile", False),
        ("replicas", "its volume has a healthy replica on a living node, or was given up", False),
    ):
        for item in seen.get(which, ()):
            if _on(which, item) in nodes and (which != "pods" or meta(item).get("deletionTimestamp")):
                yield delete(which, item, f"{why} ({_on(which, item)})", now=now)
    storage = {name_of(node): node for node in seen.get("storage", ())}
    for name in dead:
        if name in storage and spec(storage[name]).get("allowScheduling"):
            change = {"spec": {"allowScheduling": False}}
            yield patch(
                "storage", storage[name], change, "set allowScheduling to false", "Longhorn deletes no other one"
            )
        if name in storage:
            yield delete("storage", storage[name], "the server is dead; Longhorn counts its disks no more")
    for device in seen.get("devices", ()):
        if _on("devices", device) in nodes:
            yield delete("devices", device, f"it is a disk of {_on('devices', device)}")
    for password in seen.get("passwords", ()):
        if name_of(password) in {f"{name}.{suffix}" for name in dead for suffix in PASSWORDS}:
            yield delete("passwords", password, "a new server of this name would be refused as a duplicate")


def _hold(seen: Seen, needed: bool) -> tuple[list[Step], list[Step]]:
    """CAPI deletes no Machine of a paused Cluster; so the planner alone is held meanwhile, and let go at the end."""
    cluster = next((c for c in seen.get("clusters", ()) if name_of(c) == "local"), None)
    plane = next((p for p in seen.get("planes", ()) if name_of(p) == "local"), None)
    if cluster is None or plane is None:
        return [], []
    marked = HELD in notes(plane)
    if not marked and not (needed and spec(cluster).get("paused")):
        return [], []
    ours = notes(plane).get(HELD) == "true" or PAUSED not in notes(plane)  # or somebody else holds it, and goes on to
    mark = {PAUSED: "true", HELD: "true" if ours else "kept"}
    holds = [
        patch("planes", plane, {"metadata": {"annotations": mark}}, "pause it by annotation",
              "Rancher's planner must not go on meanwhile"),
        patch("clusters", cluster, {"spec": {"paused": False}}, "set spec.paused to false",
              "no Machine of a paused Cluster is ever deleted"),
    ]  # fmt: skip
    lets_go = [
        patch("clusters", cluster, {"spec": {"paused": True}}, "set spec.paused to true again", "as it was found"),
        patch("planes", plane, {"metadata": {"annotations": dict.fromkeys(mark if ours else (HELD,))}},
              "take the annotation away", "as it was found"),
    ]  # fmt: skip
    begun = [] if not needed else holds if not marked else holds[1:] if spec(cluster).get("paused") else []
    return begun, lets_go


def unpin(seen: Seen, ids: t.Collection[str]) -> t.Iterator[Step]:
    """Clusters born before 1.0.4 name their init node by machine ID for ever."""
    for plane in seen.get("planes", ()):
        if labels(plane).get(PINNED) in ids:
            change = {"metadata": {"labels": {PINNED: None}}}
            yield patch("planes", plane, change, f"take the label {PINNED} away", "it names a dead server as init node")


def answering(entries: t.Mapping[str, JSON], off: t.Collection[str]) -> list[Refusal]:
    """entries: what INSPECT has read of the dead ones. A host may answer, with a new system; RKE2 may not run on it."""
    found = []
    for name, entry in entries.items():
        states = {str((entry.get(unit) or {}).get("ActiveState")) for unit in ("unit", "agent")}
        runs = sorted(states & {"active", "activating", "reloading"})
        if entry.get("reachable") and (runs or name in off):
            why = f"its unit is {runs[0]}" if runs else "it answers, although its power is said to be off"
            found.append(Refusal(f"{name} is alive: {why}.", name, "Stop it and cut its power, or leave it out."))
    return found
