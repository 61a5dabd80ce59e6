# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Named checks of a cluster: what was wanted, what was observed. A recovery and `verify` end with them."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from . import _check, _harvester, _server
from ._check import Check

JSON = t.Mapping[str, t.Any]
CONTROL_PLANE = ("etcd", "kube-")
_NO_WORKLOAD = re.compile(r"pause|runc(:\[.*)?|containerd-shim.*")
NEXT = {
    "hosts": "See why they do not answer: power, network, ssh. One that is gone: requorum rejoin -i INV --check.",
    "voters": "requorum rejoin -i INV --check shows what brings the others back; playbooks/inspect.yml what is wrong.",
    "learners": "Wait a minute, then run it again; a learner that stays one: playbooks/inspect.yml.",
    "leader": "playbooks/inspect.yml says whether the quorum stands, and recover.yml --check what can be done.",
    "cluster ID": "Two clusters: stop there, and read what recover.yml --check says.",
    "alarms": "playbooks/repair.yml --tags nospace --check, or see docs/repair.md.",
    "API ready on": "playbooks/inspect.yml shows why it is not, with the lines of its log.",
    "API endpoints": "Wait a minute, then run it again; one that is dead and stays: playbooks/inspect.yml.",
    "Nodes Ready": "kubectl describe node NAME; agents that hold on to a dead server: playbooks/agents.yml --check.",
    "leftovers": "playbooks/repair.yml --tags leftovers --check",
}


@dataclass(frozen=True)
class Cluster:
    """Who must be there, and what its hosts say."""

    servers: t.Sequence[JSON]
    """Those that must work: name, node, address."""
    entries: t.Sequence[JSON]
    """What was read of them."""
    etcd: JSON
    """As the server tells it whose word counts; empty where none does."""
    api: JSON
    agents: t.Collection[str] = ()
    """Nodes of agents that must be there."""
    off: t.Collection[str] = field(default_factory=frozenset)
    """Nodes and addresses of servers that are off: where the quorum stands without them they stay listed."""

    @property
    def nodes(self) -> set[str]:
        return {server["node"] for server in self.servers}


def checks(plan: JSON, before: JSON, after: JSON, *, backup: JSON, saved: JSON) -> list[Check]:
    """Those at the end of a recovery, in the order in which they are shown."""
    entries = {entry["name"]: entry for entry in after["nodes"]}
    living = [server for server in plan["servers"] if server["need"] not in ("stays_off", "leaves")]
    survivor = entries[plan["survivor"]]
    cluster = Cluster(
        living,
        [entries[server["name"]] for server in living],
        (survivor.get("etcd") or {}) if survivor["reachable"] else {},
        survivor.get("api") or {},
        plan["agent_nodes"],
        {server[key] for server in plan["servers"] if server["need"] == "stays_off" for key in ("node", "address")},
    )
    return [
        *_of_etcd(cluster),
        _revision(backup, cluster.etcd),
        *_of_api(cluster),
        _leftovers(cluster),
        *(
            [_check.holds("fresh snapshot", "a file", str(saved.get("path") or "none"), bool(saved.get("path")))]
            if not any(action["verb"] == "clean" for action in plan["actions"])
            else ()
        ),
        _processes("workloads", workloads, before, after),
        *_of_harvester(plan, before, after),
    ]


def standing(state: JSON, servers: t.Collection[str], off: t.Collection[str] = ()) -> list[Check]:
    """Those of a cluster as it is. servers: of the inventory; off: those that are said to be off."""
    hosts = [entry for entry in state["nodes"] if entry["name"] not in off]
    mine = [entry for entry in hosts if entry["name"] in servers]
    words = [entry.get("etcd") or {} for entry in mine if entry["reachable"]]
    listing = [etcd for etcd in words if etcd.get("members") is not None]
    sighted = [etcd for etcd in listing if (etcd.get("health") or {}).get("ok")]
    etcd, api = next(iter([*sighted, *listing]), {}), state["kubernetes"] or {}
    known = [_server.member(member) for member in etcd.get("members") or ()]
    cluster = Cluster(
        [_named(entry, known) for entry in mine],
        mine,
        etcd,
        api,
        {_named(entry, ())["node"] for entry in hosts if entry["name"] not in servers},
        {word for e in state["nodes"] if e["name"] in off for word in (e["name"], *_named(e, known).values())},
    )
    answering = {entry["name"] for entry in hosts if entry["reachable"]}
    found = [
        _check.same("hosts", {entry["name"] for entry in hosts}, answering),
        *_of_etcd(cluster),
        *_of_api(cluster),
        _leftovers(cluster),
    ]
    return [check if check.ok else replace(check, next=_next(check)) for check in found]


def _next(check: Check) -> str:
    return NEXT[check.name] if check.state == "wrong" else "playbooks/inspect.yml says what could not be read, and why."


def _named(entry: JSON, members: t.Sequence[_server.Member]) -> dict[str, str]:
    """Name, Node and address of a host; of one that does not answer as its member tells them."""
    server = _server.view(entry)
    own = next((m for m in members if m.node == server.name or m.address == server.address), None)
    node = server.node or (own.node if own else server.name)
    return {"name": server.name, "node": node, "address": own.address if own and not server.node else server.address}


def _of_etcd(cluster: Cluster) -> t.Iterator[Check]:
    listed, alarms = cluster.etcd.get("members"), cluster.etcd.get("alarms")
    members = [_server.member(member) for member in listed or ()]
    members = [member for member in members if not {member.node, member.address} & set(cluster.off)]
    voters = {member.node for member in members if not member.learner}
    learners = {member.name or member.id for member in members if member.learner}
    unlisted = "no etcd lists its members"
    yield _check.same("voters", cluster.nodes, None if listed is None else voters, why=unlisted)
    yield _check.same("learners", set(), None if listed is None else learners, why=unlisted)
    etcds = [e["etcd"] for e in cluster.entries if e["reachable"] and (e.get("etcd") or {}).get("status")]
    for name, key in (("leader", "leader"), ("cluster ID", "cluster_id")):
        yield _one(name, {etcd["status"][key] for etcd in etcds}, len(etcds), len(cluster.servers))
    yield _check.same("alarms", set(), alarms)


def _of_api(cluster: Cluster) -> t.Iterator[Check]:
    ready = {entry["name"] for entry in cluster.entries if (entry.get("api") or {}).get("ready")}
    yield _check.same("API ready on", {server["name"] for server in cluster.servers}, ready)
    points, nodes = cluster.api.get("endpoints"), cluster.api.get("nodes")
    yield _check.same("API endpoints", {server["address"] for server in cluster.servers}, points)
    names = cluster.nodes | set(cluster.agents)
    yield _check.same("Nodes Ready", names, None if nodes is None else _ready(nodes, names))


def _leftovers(cluster: Cluster) -> Check:
    """Where a server could not be read, there is none only as far as the others tell."""
    found = {path for entry in cluster.entries for path in leftovers(entry)}
    unread = [entry["name"] for entry in cluster.entries if not entry["reachable"] or entry.get("files") is None]
    if unread and not found:
        return _check.unknown("leftovers", "none", f"not read on {', '.join(unread)}")
    return _check.same("leftovers", set(), found)


def _one(name: str, seen: set[str | None], answers: int, asked: int) -> Check:
    wanted, text = f"one, seen by {asked}", ", ".join(sorted(str(value) for value in seen)) or "none"
    if not answers:
        return _check.unknown(name, wanted, "no etcd answers")
    ok = len(seen) == 1 and None not in seen and answers == asked
    return _check.holds(name, wanted, f"{text}, seen by {answers}", ok)


def _revision(backup: JSON, etcd: JSON) -> Check:
    wanted, observed = backup.get("revision"), (etcd.get("status") or {}).get("revision")
    text = "known" if wanted is None else f">= {wanted}"
    return _check.holds("revision", text, str(observed), observed is not None and observed >= (wanted or 0))


def _ready(nodes: t.Iterable[JSON], names: set[str]) -> set[str]:
    return {node["name"] for node in nodes if node["ready"] and node["name"] in names}


def leftovers(entry: JSON) -> list[str]:
    """Files that must not lie there after a recovery."""
    return [f"{entry['name']}:{path}" for path in leftover_paths(entry)]


def leftover_paths(entry: JSON) -> list[str]:
    """The same, without the host's name."""
    ends = ("/reset-flag", "/zz-requorum.yaml", "/zz-requorum.conf", "/tombstone")
    return [path for path in entry.get("files") or () if path.endswith(ends)] if entry["reachable"] else []


def workloads(entry: JSON) -> dict[str, str]:
    """Processes of ordinary pods, without their pause: "pid/start time" -> name. A restarted one has another key.

    A container that is only being made is none yet: it is its shim's or runc's (`runc:[2:INIT]`), whosever it will be.
    """
    processes = entry.get("processes") or ()
    shims = {process["pid"] for process in processes if process["name"].startswith("containerd-shim")}
    control = {
        process["parent"]
        for process in processes
        if process["parent"] in shims and process["name"].startswith(CONTROL_PLANE)
    }
    mine = [p for p in processes if p["parent"] in shims - control and not _NO_WORKLOAD.fullmatch(p["name"])]
    return {f"{p['pid']}/{p['start']}": p["name"] for p in mine}


def _of_harvester(plan: JSON, before: JSON, after: JSON) -> t.Iterator[Check]:
    """Virtual machines, and Rancher's planner at work again, where there are any."""
    if not after.get("harvester"):
        return
    may_end = {machine["name"] for machine in plan["machines"] if machine["accepted"]}
    yield _processes("virtual machines", _harvester.machines, before, after, may_end)
    capi = after["harvester"]["capi"]
    if capi:
        yield _check.same("paused by a run", set(), {"fleet-local/local"} if capi["braked"] else set())


def _processes(
    what: str, of: t.Callable[[JSON], dict[str, str]], before: JSON, after: JSON, may_end: t.Collection[str] = ()
) -> Check:
    """Every one of these processes on a host that stayed up is still the same one, but for those that may end."""
    now = {entry["name"]: entry for entry in after["nodes"]}
    total, gone = 0, []
    for entry in before["nodes"]:
        again = now.get(entry["name"]) or {"reachable": False}
        if not entry["reachable"] or not again["reachable"] or entry["boot_id"] != again["boot_id"]:
            continue
        seen, still = of(entry), of(again)
        seen = {key: name for key, name in seen.items() if key in still or name not in may_end}
        total += len(seen)
        gone += [f"{entry['name']}:{name}" for key, name in seen.items() if key not in still]
    text = f"{total} processes go on"
    return _check.holds(what, text, ", ".join(gone) + " ended" if gone else text, not gone)
