# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""How far a host has come on its way into a Harvester, and why it does not get on (facts/harvester.md 3)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _fleet, _harvester, _promotion, _stale, _why_joining
from ._orphans import JSON, KINDS, inner, labels, meta, name_of, status
from ._server import Member
from ._why_joining import Cause

Objects = t.Sequence[JSON]
NODE, SECRET, MACHINE, PLANE, LONGHORN = (
    KINDS[name][0] for name in ("nodes", "secrets", "machines", "planes", "storage")
)
JOB = _stale.KINDS["jobs"][0]
SETTING = _fleet.SETTINGS

ARRIVAL = ("reachable", "registered", "running", "ready", "storage")
"""What a host comes to by itself; the next one is installed after it."""
RISE = ("promoted", "voter")
"""What the third node sets off."""
WORDS = {
    "reachable": "to be reachable",
    "registered": "to be registered at Rancher",
    "running": "to have a Machine that is Running",
    "ready": "to have a Node that is Ready",
    "storage": "to have a Longhorn node that is Ready",
    "promoted": "to be promoted",
    "voter": "to be a voter of etcd",
}
SECONDS = {
    "reachable": 3600, "registered": 1800, "running": 1800, "ready": 900, "storage": 900, "promoted": 1800,
    "voter": 900,
}  # fmt: skip
"""Deadlines: an installation copies an image of 6 GB, and the first start of RKE2 unpacks another."""
TOTAL = 10800


@dataclass(frozen=True)
class Seen:
    """One look at the cluster."""

    nodes: Objects
    machines: Objects
    cluster: JSON | None = None
    """CAPI's."""
    plane: JSON | None = None
    """RKEControlPlane, which says what Rancher's planner waits for."""
    jobs: Objects = ()
    longhorn: Objects | None = ()
    """None: the cluster has no such kind."""
    password: str = ""
    """When the node password was stored under the name of the host; empty where none is."""
    members: tuple[Member, ...] | None = None
    """As etcd lists them."""
    etcd: str = ""
    """Whose etcd; empty where none can be asked."""
    version: str = ""


@dataclass(frozen=True)
class Host:
    """One look at the host itself."""

    answers: bool | None = None
    """None: its address is not known."""
    seen: str = "its address is not known"
    release: str = ""
    """Harvester's version on it."""
    machine: str = ""
    """The name that its Machine has."""
    symptoms: tuple[str, ...] = ()
    """Words of its logs."""


@dataclass(frozen=True)
class Stage:
    """One step of the way."""

    name: str
    done: bool
    seen: str
    due: bool = True
    """False: it will not come as things are, and that is no fault."""
    cause: Cause | None = None
    hint: str = ""
    """What to type where no cause is known."""

    @property
    def passed(self) -> bool:
        return self.done or not self.due

    @property
    def state(self) -> str:
        return "done" if self.done else "open" if self.due else "not due"

    @property
    def document(self) -> dict[str, t.Any]:
        why = self.cause if not self.done else None
        told = {"cause": why.name, "why": why.why, "next": why.next} if why else dict.fromkeys(("cause", "why", "next"))
        return {"stage": self.name, "state": self.state, "seen": self.seen, **told}


@dataclass(frozen=True)
class _Way:
    """What belongs to one host."""

    name: str
    seen: Seen
    host: Host
    node: JSON | None
    machines: tuple[JSON, ...]
    """Its own one; where that is not known, all that have no Node yet."""
    stale: tuple[str, ...]
    """Machines of its name that are not its own."""

    @property
    def machine(self) -> JSON | None:
        return self.machines[0] if self.machines else None

    @property
    def ready(self) -> bool:
        return self.node is not None and _promotion.ready(self.node)

    @property
    def silent(self) -> bool:
        """Its Node has stopped to report, which one that has just joined never has."""
        return self.node is not None and _promotion.condition(self.node, "Ready").get("status") == "Unknown"


def _way(name: str, seen: Seen, host: Host) -> _Way:
    node = next((n for n in seen.nodes if name_of(n) == name), None)
    living = [m for m in seen.machines if not m["metadata"].get("deletionTimestamp")]
    newest = sorted(living, key=_made, reverse=True)
    theirs = [m for m in newest if name in (node_of(m), _wished(m))]
    if host.machine and not (node and _promotion.ready(node)):  # what reports as Ready is no Machine of before
        own = [m for m in newest if name_of(m) == host.machine]
    else:
        own = theirs[:1] or [m for m in newest if not node_of(m) and not _wished(m)]
    return _Way(name, seen, host, node, tuple(own), tuple(name_of(m) for m in theirs if m not in own))


def node_of(machine: JSON) -> str:
    """Name of the Node of a Machine; empty while it has none."""
    return str((status(machine).get("nodeRef") or {}).get("name") or "")


def _wished(machine: JSON) -> str:
    """The name that a host asked for; Rancher's agent of many releases names none."""
    return str(labels(machine).get("rke.cattle.io/node-name") or "")


def addresses(name: str, seen: Seen) -> list[str]:
    """Under which the API knows a host."""
    return [address for node in seen.nodes if name_of(node) == name for address in inner(node)]


def stages(name: str, seen: Seen, host: Host) -> tuple[Stage, ...]:
    """The way of a host, in order."""
    way = _way(name, seen, host)
    made = [_reachable(way), _registered(way), _running(way), _ready(way), _storage(way), *_rise(way)]
    return tuple(_explained(way, stage) for stage in made)


def _reachable(way: _Way) -> Stage:
    if way.host.answers:
        return Stage("reachable", True, way.host.seen)
    if way.ready:
        return Stage("reachable", True, f"its kubelet reports; {way.host.seen}")
    if way.host.answers is None and way.machine is not None:
        return Stage("reachable", True, f"it has registered; {way.host.seen}")
    return Stage("reachable", False, way.host.seen)


def _registered(way: _Way) -> Stage:
    if way.machine is None:
        seen = "no Machine has its Node, and none is without a Node"
        return Stage("registered", False, f"there is no Machine {way.host.machine}" if way.host.machine else seen)
    it = f"Machine {name_of(way.machine)}"
    if way.host.machine or way.name in (node_of(way.machine), _wished(way.machine)):
        return Stage("registered", True, it)
    others = len(way.machines) - 1
    return Stage("registered", True, f"{it}, which has no Node yet" + (f", as {others} more have none" * bool(others)))


def _running(way: _Way) -> Stage:
    if way.machine is None:
        return Stage("running", False, "there is no Machine")
    phase = str(status(way.machine).get("phase") or "without a phase")
    done = phase == "Running" and node_of(way.machine) == way.name
    said = next((c["message"] for c in _open(way.machine) if c.get("message")), "")
    why = f": {said}" if said and not done else ""
    return Stage("running", done, f"Machine {name_of(way.machine)} is {phase}{why}")


def _ready(way: _Way) -> Stage:
    if way.node is None:
        return Stage("ready", False, "there is no Node of this name")
    condition = _promotion.condition(way.node, "Ready")
    said = str(condition.get("message") or condition.get("reason") or "its Node has no such condition")
    return Stage("ready", way.ready, "Node Ready" if way.ready else f"Node not Ready: {said}")


def _storage(way: _Way) -> Stage:
    if way.seen.longhorn is None:
        return Stage("storage", False, "the cluster has no nodes.longhorn.io: skipped", due=False)
    found = next((n for n in way.seen.longhorn if name_of(n) == way.name), None)
    if found is None:
        witness = way.node is not None and _promotion.role(way.node) == "witness"
        seen = "there is no Longhorn node of this name"
        return Stage("storage", False, f"{seen}, and a witness needs none" if witness else seen, due=not witness)
    ready = _promotion.condition(found, "Ready")
    if ready.get("status") == "True":
        return Stage("storage", True, "Longhorn node Ready")
    said = ": ".join(filter(None, (str(ready.get("reason") or ""), str(ready.get("message") or ""))))
    return Stage("storage", False, f"Longhorn node not Ready: {said or 'it says nothing'}")


def _rise(way: _Way) -> tuple[Stage, Stage]:
    """Promotion and vote; neither is due before three nodes can manage."""
    outlook = _promotion.outlook(way.name, way.seen.nodes, way.seen.jobs)
    count = "" if way.seen.members is None else f"; etcd has {_plural(len(way.seen.members), 'member')}"
    promoted = Stage("promoted", outlook.done, outlook.seen + count * (not outlook.due), outlook.due, outlook.cause)
    member = _member(way)
    if way.seen.members is None:
        condition = {} if way.node is None else _promotion.condition(way.node, "EtcdIsVoter")
        vote, word = condition.get("status") == "True", str(condition.get("reason") or "it has no such condition")
        asked = f"the etcd of {way.seen.etcd} does not answer" if way.seen.etcd else "no server's etcd can be asked"
        seen = f"{asked}; the condition EtcdIsVoter of its Node: {word}"
        return promoted, Stage("voter", vote and not way.seen.etcd, seen, outlook.due)
    if member is None:
        return promoted, Stage("voter", False, f"the etcd of {way.seen.etcd} does not list it{count}", outlook.due)
    word = "learner" if member.learner else "voter"
    seen = f"the etcd of {way.seen.etcd} lists {member.name or member.address} as a {word}{count}"
    return promoted, Stage("voter", not member.learner, seen)


def _member(way: _Way) -> Member | None:
    places = {way.name, *addresses(way.name, way.seen)}
    listed = [m for m in way.seen.members or () if {m.node, m.address} & places]
    return min(listed, key=lambda member: member.learner) if listed else None


def _explained(way: _Way, stage: Stage) -> Stage:
    """With its cause, where it is open, and what to type."""
    if stage.done:
        return stage
    seen = _why_joining.Facts(
        name=way.name,
        stage=stage.name,
        machine=name_of(way.machine) if way.machine is not None else "",
        stale=way.stale,
        node_silent=way.silent and bool(way.host.answers),
        node=way.node is not None,
        password=bool(way.seen.password) and way.seen.password < _made(way.machine),
        symptoms=way.host.symptoms,
        version=way.seen.version,
        installed=way.host.release or ("" if way.silent else _os(way.node)),
        capi=_harvester.capi(way.seen.cluster),
        planner=tuple(str(c["message"]) for c in _open(way.seen.plane or {}) if c.get("message")),
        longhorn=way.seen.longhorn is not None,
    )
    cause = _why_joining.cause(seen) or stage.cause
    return Stage(stage.name, stage.done, stage.seen, stage.due, cause, _why_joining.hint(seen))


def _made(machine: JSON | None) -> str:
    return str(meta(machine or {}).get("creationTimestamp") or "")


def _os(node: JSON | None) -> str:
    """Harvester's version as a Node says it."""
    image = str((status(node or {}).get("nodeInfo") or {}).get("osImage") or "")
    return image.removeprefix("Harvester ") if image.startswith("Harvester ") else ""


def _open(document: JSON) -> list[JSON]:
    """Conditions that are not met."""
    return [c for c in status(document).get("conditions") or () if c.get("status") != "True"]


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" + "s" * (number != 1)
