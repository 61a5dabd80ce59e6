# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Named checks of a recovered cluster: what was wanted, what was observed."""

from __future__ import annotations

import typing as t

from . import _harvester, _server
from ._snapshot import Check

JSON = t.Mapping[str, t.Any]
CONTROL_PLANE = ("etcd", "kube-")


def checks(plan: JSON, before: JSON, after: JSON, *, backup: JSON, saved: JSON) -> list[Check]:
    """All checks, in the order in which they are shown."""
    living = [server for server in plan["servers"] if server["need"] not in ("stays_off", "leaves")]
    entries = {entry["name"]: entry for entry in after["nodes"]}
    mine = [entries[server["name"]] for server in living]
    etcds = [entry["etcd"] for entry in mine if entry["reachable"] and (entry.get("etcd") or {}).get("status")]
    anchor = (entries[plan["survivor"]].get("etcd") or {}) if entries[plan["survivor"]]["reachable"] else {}
    # A host that is off stays listed where the quorum stands without it.
    off = {server[key] for server in plan["servers"] if server["need"] == "stays_off" for key in ("node", "address")}
    members = [_server.member(member) for member in anchor.get("members") or ()]
    members = [member for member in members if not off & {member.node, member.address}]
    names = {server["node"] for server in living}
    return [
        _same("voters", names, {member.node for member in members if not member.learner}),
        _same("learners", set(), {member.name or member.id for member in members if member.learner}),
        _one("leader", {etcd["status"]["leader"] for etcd in etcds}, len(etcds), len(living)),
        _one("cluster ID", {etcd["status"]["cluster_id"] for etcd in etcds}, len(etcds), len(living)),
        _same("alarms", set(), set(anchor["alarms"]) if anchor.get("alarms") is not None else {"could not be read"}),
        _revision(backup, anchor),
        _same(
            "API ready on",
            {server["name"] for server in living},
            {e["name"] for e in mine if (e.get("api") or {}).get("ready")},
        ),
        _same(
            "API endpoints",
            {server["address"] for server in living},
            set((entries[plan["survivor"]].get("api") or {}).get("endpoints") or ()),
        ),
        _same(
            "Nodes Ready",
            names | set(plan["agent_nodes"]),
            _ready(entries[plan["survivor"]], names | set(plan["agent_nodes"])),
        ),
        _same("leftovers", set(), {path for entry in mine for path in leftovers(entry)}),
        Check("fresh snapshot", "a file", str(saved.get("path") or "none"), bool(saved.get("path"))),
        _processes("workloads", workloads, before, after),
        *_of_harvester(plan, before, after),
    ]


def _same(name: str, wanted: set[str], observed: set[str]) -> Check:
    return Check(name, ", ".join(sorted(wanted)) or "none", ", ".join(sorted(observed)) or "none", wanted == observed)


def _one(name: str, seen: set[str | None], answers: int, asked: int) -> Check:
    text = ", ".join(sorted(str(value) for value in seen)) or "none"
    return Check(
        name,
        f"one, seen by {asked}",
        f"{text}, seen by {answers}",
        len(seen) == 1 and None not in seen and answers == asked,
    )


def _revision(backup: JSON, anchor: JSON) -> Check:
    wanted, observed = backup.get("revision"), (anchor.get("status") or {}).get("revision")
    if wanted is None:
        return Check("revision", "known", str(observed), observed is not None)
    return Check("revision", f">= {wanted}", str(observed), observed is not None and observed >= wanted)


def _ready(entry: JSON, names: set[str]) -> set[str]:
    return {
        node["name"] for node in (entry.get("api") or {}).get("nodes") or () if node["ready"] and node["name"] in names
    }


def leftovers(entry: JSON) -> list[str]:
    """Files that must not lie there after a recovery."""
    return [f"{entry['name']}:{path}" for path in leftover_paths(entry)]


def leftover_paths(entry: JSON) -> list[str]:
    """The same, without the host's name."""
    ends = ("/reset-flag", "/zz-requorum.yaml", "/zz-requorum.conf", "/tombstone")
    return [path for path in entry.get("files") or () if path.endswith(ends)] if entry["reachable"] else []


def workloads(entry: JSON) -> dict[str, str]:
    """Processes of ordinary pods, without their pause: "pid/start time" -> name. A restarted one has another key."""
    processes = entry.get("processes") or ()
    shims = {process["pid"] for process in processes if process["name"].startswith("containerd-shim")}
    control = {
        process["parent"]
        for process in processes
        if process["parent"] in shims and process["name"].startswith(CONTROL_PLANE)
    }
    mine = [p for p in processes if p["parent"] in shims - control and p["name"] != "pause"]
    return {f"{p['pid']}/{p['start']}": p["name"] for p in mine}


def _of_harvester(plan: JSON, before: JSON, after: JSON) -> t.Iterator[Check]:
    """Virtual machines, and Rancher's planner at work again, where there are any."""
    if not after.get("harvester"):
        return
    may_end = {machine["name"] for machine in plan["machines"] if machine["accepted"]}
    yield _processes("virtual machines", _harvester.machines, before, after, may_end)
    capi = after["harvester"]["capi"]
    if capi:
        yield _same("paused by a run", set(), {"fleet-local/local"} if capi["braked"] else set())


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
    return Check(what, text, ", ".join(gone) + " ended" if gone else text, not gone)
