# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Repairs of a cluster whose quorum stands: what is due, and the plan for those that were asked for by name.

A repair that is not due plans nothing. Nothing is repaired that nobody named.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _harvester, _plan, _turns, _verify
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._step import Todo

JSON = t.Mapping[str, t.Any]
NAMES = ("nospace", "defragment", "leftovers", "crashed")
"""The repairs, by tag, in the order in which they are done."""
PHASES = ("INSPECT", "PLAN", "BACKUP", "REPAIR", "VERIFY")
FREE_MB = 100
"""So many free megabytes make a defragmentation worth its pause."""


@dataclass(frozen=True)
class Due:
    """A repair that a host, or the whole cluster, needs."""

    name: str
    node: str
    summary: str
    evidence: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """What is to be moved aside."""
    brake: bool = False
    """Rancher's planner is to go on."""


def due(case: Case, entries: t.Sequence[JSON], *, free_mb: int = FREE_MB) -> tuple[Due, ...]:
    """Everything that could be repaired by name now."""
    found = [*_full(entries), *_fragmented(case, entries, free_mb), *_leftovers(case, entries), *_braked(case, entries)]
    if case.kind == "quorum_recoverable":
        names = ", ".join(case.having("start"))
        found.append(Due("crashed", case.base[0].name, f"{names} hold intact data and are started together."))
    return tuple(found)


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """The plan for the repairs that were named (`repairs`); with none, the list of what is due."""
    wanted = [str(name) for name in ask.options.get("repairs") or ()]
    unknown = [name for name in wanted if name not in NAMES]
    free_mb = int(ask.options.get("defragment_mb") or FREE_MB)
    items = [
        item
        for item in due(case, ask.entries, free_mb=free_mb)
        if not ask.only or item.node in ask.only or item.name == "nospace"  # of which there is no half
    ]
    if unknown:
        refusal = Refusal(f"There is no repair {', '.join(unknown)}.", "--tags", f"Choose from {', '.join(NAMES)}.")
        return replace(_plan.empty(case, ask.cluster), refusals=(refusal,))
    if not wanted:
        return replace(_plan.empty(case, ask.cluster), refusals=(), reason=f"{case.reason} {_offer(items)}")
    if "crashed" in wanted:
        return start_crashed(case, distro, ask)
    chosen = [item for item in items if item.name in wanted]
    todo = tuple(_steps(case, chosen))
    made = _turns.make(
        case,
        distro,
        ask,
        work="REPAIR",
        todo=todo,
        aim=f"Repaired: {', '.join(dict.fromkeys(item.name for item in chosen))}.",
        words={"free_mb": str(free_mb)},
    )
    idle = [name for name in wanted if name not in {item.name for item in items}]
    return replace(made, reason=f"{case.reason} Not needed: {', '.join(idle)}.") if idle else made


def start_crashed(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """What the recovery does where enough members are intact: they start together. A reset is another decision."""
    made = replace(_plan.empty(case, ask.cluster), refusals=())
    if case.kind in ("healthy", "member_lost", "api_down"):
        return replace(made, reason=f"{case.reason} Not needed: crashed.")
    if case.kind != "quorum_recoverable" or case.refusals:
        hint = "recover.yml says what can be done, and asks before it resets anything."
        few = Refusal("A quorum cannot be had by starting servers.", case.kind, hint)
        return replace(made, refusals=(*case.refusals, few))
    source, survivor, idle = _plan.find_source(case, distro), case.base[0].name, case.having("start")
    steps = [*(_plan.saving(case, source) if source else ())]
    steps += [Todo("start", name) for name in idle]
    steps += [Todo("promote", survivor), *(Todo("agent", name) for name in ask.agents)]
    steps += [*(Todo("serve", name) for name in idle), Todo("settle", survivor)]
    steps += [*(Todo("release", name) for name in idle), Todo("save", survivor), Todo("verify", survivor)]
    return replace(
        made,
        actions=_plan.number(steps, case, distro, source, phases=PHASES),
        saver=source.node if source else "",
        offline=bool(source and source.offline),
        phases=PHASES,
        aim=f"Started together: {', '.join(idle)}. The quorum stands.",
    )


def _offer(items: t.Sequence[Due]) -> str:
    names = list(dict.fromkeys(item.name for item in items))
    if not names:
        return "No repair is due."
    return f"Due, and done when named by --tags: {', '.join(names)}."


def _steps(case: Case, items: t.Sequence[Due]) -> t.Iterator[Todo]:
    """In the one right order: room first, then what the room was needed for. Each step is of its own host's turn."""
    names, turns = {item.name for item in items}, followers_first(case)
    left = [item for item in items if item.name == "leftovers"]
    made = [*(_room(turns) if "nospace" in names else _smaller(turns, items))]
    for item in left:
        if item.brake:
            made.append(("unbrake", item.node))
        elif item.files:
            made.append(("clear", item.node))
        elif item.node not in turns:
            started = ("start", "serve") if (item.node, "start") in case.needs else ()
            made += [(key, item.node) for key in ("stale", *started)]
    yield from (Todo(key, node, node) for key, node in made)
    yield from (Todo("release", name) for name in dict.fromkeys(item.node for item in left))


def _room(turns: t.Sequence[str]) -> t.Iterator[tuple[str, str]]:
    """No margin is asked for: nothing can be written anyhow, and nothing is stopped."""
    yield ("compact", turns[0])
    yield from (("defragment all", name) for name in turns)
    yield from (("disarm", turns[-1]), ("settle", turns[-1]))


def _smaller(turns: t.Sequence[str], items: t.Sequence[Due]) -> t.Iterator[tuple[str, str]]:
    large = {item.node for item in items if item.name == "defragment"}
    yield from ((key, name) for name in turns if name in large for key in ("margin", "yield", "defragment"))


def followers_first(case: Case) -> tuple[str, ...]:
    """The voters, the leader last."""
    voting = sorted((server for server in case.servers if server.etcd == "voting"), key=lambda server: server.leader)
    return tuple(server.name for server in voting)


def _full(entries: t.Sequence[JSON]) -> t.Iterator[Due]:
    for entry, etcd in _answering(entries):
        if "NOSPACE" in (etcd.get("alarms") or ()):
            held = [f"member {member}: {alarm}" for member, alarm in (etcd.get("alarmed") or {}).items()]
            text = "The datastore is full (alarm NOSPACE): reads go on, and nothing can be written."
            yield Due("nospace", entry["name"], text, (*held, _size(etcd["status"])))
            return


def _fragmented(case: Case, entries: t.Sequence[JSON], free_mb: int) -> t.Iterator[Due]:
    voting = {server.name for server in case.servers if server.etcd == "voting"}
    for entry, etcd in _answering(entries):
        size, used = etcd["status"]["bytes"], etcd["status"].get("in_use") or 0
        if entry["name"] in voting and wasteful(size, used, free_mb):
            free = megabytes(size - used)
            text = f"The datastore of {entry['name']} is {megabytes(size)} on disk, of which {free} are free."
            yield Due("defragment", entry["name"], text, (_size(etcd["status"]),))


def wasteful(size: int, used: int, free_mb: int = FREE_MB) -> bool:
    """Whether so much of a datastore is free that a defragmentation is worth its pause. In bytes."""
    return bool(used) and size - used >= max(free_mb * 1_000_000, size / 4)


def _leftovers(case: Case, entries: t.Sequence[JSON]) -> t.Iterator[Due]:
    """What a run or a person has left on voters, and an etcd that outlived its unit on servers that are none."""
    servers = {server.name: server for server in case.servers}
    known = {word for server in case.servers for word in (server.address, server.name, server.node) if word}
    known |= {member.address for member in case.members} | {"127.0.0.1", "localhost", "::1"}
    known |= {entry["host"] for entry in entries}
    for entry in entries:
        server = servers.get(entry["name"])
        if server is None or not entry["reachable"]:
            continue
        if server.etcd == "voting":
            files = tuple(_verify.leftover_paths(entry))
            lists = {path: [host for host in hosts if host not in known] for path, hosts in _balancers(entry).items()}
            gone = tuple(path for path, hosts in lists.items() if hosts)
            if files or gone:
                said = [f"{path} names {', '.join(lists[path])}" for path in gone]
                text = f"{server.name} is a voter and has leftovers: {', '.join([*files, *gone])}."
                yield Due("leftovers", server.name, text, (*files, *said), (*files, *gone))
            elif "enabled=enabled" in (entry.get("journal") or ()) and not _enabled(entry):
                text = (
                    f"The unit of {server.name} was disabled by a run that has not ended, and would not start at boot."
                )
                yield Due("leftovers", server.name, text, ("the journal has enabled=enabled",))
        elif not server.unit and server.etcd != "learning" and _outlived(entry):
            text = f"etcd on {server.name} has outlived its unit, which is stopped, and takes part in no quorum."
            yield Due("leftovers", server.name, text, ("etcd runs", "the unit does not"))


def _braked(case: Case, entries: t.Sequence[JSON]) -> t.Iterator[Due]:
    """What a run has paused that did not come to its end."""
    if _harvester.braked(entries) and case.base:
        text = "Rancher's planner is paused by a run that has not ended: no host can register."
        mark = f"{_harvester.NAMESPACE}/{_harvester.CLUSTER} has the annotation {_harvester.BRAKED}"
        yield Due("leftovers", case.base[0].name, text, (mark,), brake=True)


def _enabled(entry: JSON) -> bool:
    return (entry.get("unit") or {}).get("UnitFileState") == "enabled"


def _outlived(entry: JSON) -> bool:
    return any(process["name"] in ("etcd", "kube-apiserver") for process in entry.get("processes") or ())


def _balancers(entry: JSON) -> t.Mapping[str, t.Sequence[str]]:
    return entry.get("balancers") or {}


def _answering(entries: t.Sequence[JSON]) -> t.Iterator[tuple[JSON, JSON]]:
    for entry in entries:
        etcd = (entry.get("etcd") or {}) if entry["reachable"] else {}
        if etcd.get("status"):
            yield entry, etcd


def _size(status: JSON) -> str:
    quota = f", quota {megabytes(status['quota'])}" if status.get("quota") else ""
    return f"{megabytes(status['bytes'])} on disk, {megabytes(status.get('in_use') or 0)} in use{quota}"


def megabytes(count: int) -> str:
    """12345678 -> "12.3 MB"."""
    return f"{count / 1e6:.1f} MB"


def why_full(status: JSON) -> str:
    """Why a disarmed alarm would be raised again at once; empty when there is room, or the quota is not known."""
    quota = status.get("quota")
    if not quota or status["bytes"] < 0.95 * quota:
        return ""
    return f"{megabytes(status['bytes'])} are in use, the quota is {megabytes(quota)}"
