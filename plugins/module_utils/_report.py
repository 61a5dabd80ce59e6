# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The report document (docs/report.schema.json) out of what a run left in its folder."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import _aside, _diagnose, _harvester, _machines, _server, _timeline, _verify
from ._classify import RESETS

JSON = dict[str, t.Any]
VERSION = "0.1.0"
_ASIDE = {
    "rejoin": "moved aside before the rejoin",
    "retire": "moved aside when the server left",
    "forget": "manifest of the deleted Node",
    "password": "manifest of the deleted Secret",
    "token": "moved aside for the token of the datastore",
    "clear": "leftover",
    "revert": "replaced",
}
"""Verbs whose results end with `kept: PATH, ...`."""


@dataclass(frozen=True)
class Record:
    """The files of a run's folder; what was not written is empty."""

    plan: JSON
    before: JSON
    after: JSON = field(default_factory=dict)
    actions: list[JSON] = field(default_factory=list)
    backup: JSON = field(default_factory=dict)
    reset: JSON = field(default_factory=dict)
    checks: list[JSON] = field(default_factory=list)
    events: list[JSON] = field(default_factory=list)
    missed: list[JSON] = field(default_factory=list)
    """Virtual machines that a watch has missed."""
    newest: JSON | None = None
    """The newest proved backup off the node: name, time (Unix seconds), revision."""
    mode: str = "run"
    final: bool = False
    """The run is over: what is not done by now has failed."""
    ended: str | None = None


def build(record: Record) -> JSON:
    """The report; texts are masked, so that it may leave the controller."""
    plan = record.plan
    outcome = _outcome(record)
    started = min([plan["started"], *(event["t"] for event in record.events[:1])])
    started_api = next(
        (a["ended"] for a in record.actions if a["verb"] == "start" and not a["result"].startswith("failed")), None
    )
    report = {
        "schema": 1,
        "cluster": plan["cluster"],
        "distro": plan["distro"],
        "version": plan["version"],
        "run": {
            "id": plan["stamp"],
            "mode": record.mode,
            "started": started,
            "ended": record.ended,
            "seconds": _seconds(started, record.ended),
            "command": plan["command"],
            "requorum": VERSION,
            "plan_id": plan["plan_id"] if plan["actions"] else None,
        },
        "verdict": {
            "case": plan["case"],
            "outcome": outcome,
            "sentence": _sentence(outcome, record),
            "next": _next(outcome, record),
            "then": list(_then(outcome, record)),
        },
        "findings": _diagnose.of_run(plan, record.before),
        "loss": {"revisions": plan["lost"], "seconds": None, "sentence": plan["loss"]},
        "survivor": _survivor(plan),
        "plan": plan["actions"],
        "phase_names": list(plan["phases"]),
        "actions": record.actions,
        "phases": _timeline.phases(record.events),
        "timeline": _timeline.spans(record.events),
        "members": {
            "before": _members(plan, record.before),
            "after": _members(plan, record.after) if record.after else [],
        },
        "kept": _kept(record),
        "backup": {key: record.backup[key] for key in ("path", "sha256", "bytes", "revision")}
        | {"checks": [{"name": c["name"], "ok": c["ok"], "observed": c["observed"]} for c in record.backup["checks"]]}
        if record.backup
        else None,
        "transfer": plan.get("transfer"),
        "newest_backup": _newest(record),
        "workloads": _workloads(record),
        "machines": _running(record),
        "checks": record.checks,
        "point_of_no_return": {
            "sentence": plan["point_of_no_return"] or "Nothing is changed.",
            "passed": plan["case"] in RESETS and started_api is not None,
            "at": started_api if plan["case"] in RESETS else None,
        },
        "refusals": plan["refusals"],
    }
    return t.cast(JSON, _timeline.mask_all(report))


def _seconds(started: str, ended: str | None) -> float | None:
    return (
        round((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds(), 1) if ended else None
    )


def _outcome(record: Record) -> str:
    plan = record.plan
    if plan["refusals"]:
        return "refused"
    if not plan["actions"]:
        return {"healthy": "healthy", "member_lost": "idle", "api_down": "idle"}.get(plan["case"], "refused")
    if record.mode == "check":
        return "planned"
    if all(action["phase"] == 3 for action in plan["actions"]):  # backup.yml
        done = [a for a in record.actions if not a["result"].startswith("failed")]
        return "healthy" if len(done) == len(plan["actions"]) else "failed" if record.final else "planned"
    if plan["aim"] and not any(action["verb"] == "verify" for action in plan["actions"]):  # no quorum to be verified
        done = [a for a in record.actions if not a["result"].startswith("failed")]
        return "done" if len(done) == len(plan["actions"]) else "failed" if record.final else "planned"
    if not any(a["verb"] == "verify" and not a["result"].startswith("failed") for a in record.actions):
        return "failed" if record.final else "planned"
    if plan["aim"]:
        return "done"
    return "not_redundant" if any(server["need"] == "stays_off" for server in plan["servers"]) else "recovered"


def _sentence(outcome: str, record: Record) -> str:
    plan, off = record.plan, [s["name"] for s in record.plan["servers"] if s["need"] == "stays_off"]
    failed = next((a for a in record.actions if a["result"].startswith("failed")), None)
    if outcome == "done":
        return str(plan["aim"])
    if outcome == "recovered":
        return f"Recovered: {len(plan['servers'])} of {len(plan['servers'])} servers are voters and the API answers."
    if outcome == "not_redundant":
        return f"Recovered, not yet redundant: {', '.join(off)} must come back."
    if outcome == "failed":
        return (
            f"Not finished: {failed['result'].removeprefix('failed: ')}"
            if failed
            else "Not finished: it was stopped on the way."
        )
    if outcome == "refused" and plan["refusals"]:
        return f"{plan['reason']} Nothing is changed: {plan['refusals'][0]['what']}"
    return str(plan["reason"])


def _next(outcome: str, record: Record) -> str | None:
    plan = record.plan
    if outcome == "planned":
        return f"{plan['command']} -e requorum_confirm={plan['cluster']} -e requorum_plan_id={plan['plan_id']}"
    if outcome == "failed" and all(action["phase"] == 3 for action in plan["actions"]):
        return str(plan["command"])
    if outcome in ("failed", "not_redundant"):
        return f"{plan['command']} -e requorum_confirm={plan['cluster']}"
    return None


def _then(outcome: str, record: Record) -> t.Iterator[str]:
    """The way back of a Harvester behind its reset (docs/harvester.md): what else is typed, in its order."""
    plan = record.plan
    if outcome not in ("recovered", "not_redundant") or not _harvester.rancher(record.before["nodes"]):
        return
    gone = [server["name"] for server in plan["servers"] if server["need"] == "stays_off"]
    inventory = _diagnose.inventory(plan["command"])
    if gone:
        dead = " ".join(f"--dead {name}" for name in gone)
        yield f"requorum purge-orphans {inventory} {dead} --leftovers --check"
        yield f"requorum join-config {inventory} NEW-HOST"
        yield f"requorum await-join {inventory} NEW-HOST"
    yield f"requorum force-sync {inventory} --check"
    yield f"requorum verify {inventory}"
    yield f"requorum upgrade {inventory} --to VERSION --plan"


def _survivor(plan: JSON) -> JSON | None:
    servers = {server["name"]: server for server in plan["servers"]}
    if not plan["survivor"] or plan["case"] == "healthy":
        return None
    best = max((servers[name]["revision"] for name in plan["ranking"]), default=0)
    ranking = [
        {
            "node": name,
            "term": servers[name]["term"],
            "index": servers[name]["index"],
            "revision": servers[name]["revision"],
            "bytes": servers[name]["bytes"] or None,
            "distance": best - servers[name]["revision"],
            "note": None,
        }
        for name in plan["ranking"]
    ]
    ranking += [
        {
            "node": name,
            "term": None,
            "index": None,
            "revision": None,
            "bytes": None,
            "distance": None,
            "note": "does not answer" if not s["reachable"] else f"datastore {s['store']}",
        }
        for name, s in servers.items()
        if name not in plan["ranking"]
    ]
    reason = (
        "it restores the snapshot"
        if plan["case"] == "datastore_lost"
        else "it is a voter of the quorum that stands"
        if plan["case"] in ("member_lost", "api_down")
        else "its datastore got furthest (raft term, applied index, revision)"
        if len(plan["ranking"]) > 1
        else "it is the only one with an intact datastore"
    )
    return {"node": plan["survivor"], "reason": reason, "ranking": ranking}


def _members(plan: JSON, state: JSON) -> list[JSON]:
    entries = {entry["name"]: entry for entry in state["nodes"]}
    listed = _listed(plan, entries)
    found = []
    for server in plan["servers"]:
        view = _server.view(entries[server["name"]])
        mine = next((m for m in listed if m.id == view.member_id or m.node == server["node"]), None)
        roles = {"voting": "voter", "leaderless": "voter", "learning": "learner", "stopped": "stopped"}
        role = roles.get(view.etcd, "unknown")
        if not view.reachable:
            role = "unreachable"
        elif view.store in ("absent", "damaged"):
            role = "absent"
        note = {"absent": "no datastore", "damaged": f"datastore damaged: {view.fault}"}.get(
            view.store, "no leader" if view.etcd == "leaderless" else None
        )
        found.append(
            {
                "node": server["name"],
                "name": mine.name if mine else None,
                "id": view.member_id,
                "address": view.address,
                "role": role,
                "leader": view.leader,
                "revision": view.revision or None,
                "cluster_id": view.cluster_id,
                "note": note,
            }
        )
    return found


def _listed(plan: JSON, entries: dict[str, JSON]) -> tuple[_server.Member, ...]:
    return next((view.members for view in map(_server.view, entries.values()) if view.name == plan["survivor"]), ())


def _kept(record: Record) -> list[JSON]:
    """All that lies aside: what this run has told of, sizes and older runs as the journals of the nodes have them."""
    told = [(record.reset["node"], path, "moved aside by the reset") for path in record.reset.get("moved", ())]
    for action in record.actions:
        where, what = action["node"], _ASIDE.get(action["verb"], "")
        if action["verb"] in ("forget", "password"):
            where = "controller"
        paths = action["result"].partition("kept: ")[2].split(", ") if what else ()
        told += [(where, path, what) for path in paths if path.startswith("/")]
    read = (record.after or record.before).get("nodes") or ()
    lying = {(item.node, item.path): item for item in _aside.found(read)}
    kept = [_entry(node, path, what, lying.pop((node, path), None), record) for node, path, what in told]
    for (node, path), item in lying.items():
        what = f"moved aside by run {item.run}" if item.run else "moved aside by an earlier run"
        kept.append(_entry(node, path, what, item, record))
    if record.backup:
        saver = record.plan["saver"] or record.plan["survivor"]
        for node, path, what in (
            (saver, record.backup["node_path"], "snapshot"),
            ("controller", record.backup["path"], "the same snapshot, proved"),
        ):
            kept.append({**_entry(node, path, what, None, record), "bytes": record.backup["bytes"]})
    return kept


def _entry(node: str, path: str, what: str, item: _aside.Aside | None, record: Record) -> JSON:
    """origin, run and the commands are those of old data alone: what a backup holds is removed by its own policy."""
    inventory = _diagnose.inventory(record.plan["command"])
    of = f" -e requorum_run={item.run}" if item and item.run else ""
    cleanup = f"ansible-playbook playbooks/cleanup.yml {inventory}{of} -e requorum_confirm={record.plan['cluster']}"
    return {
        "node": node,
        "path": path,
        "bytes": item.bytes if item else None,
        "what": what,
        "origin": item.origin if item else None,
        "run": (item.run or None) if item else None,
        "cleanup": cleanup if item else None,
        "remove": item.command if item else None,
    }


def _newest(record: Record) -> JSON | None:
    """The newest proved backup off the node, and how old it was when the run ended."""
    if record.newest is None:
        return None
    made = datetime.fromtimestamp(record.newest["time"], UTC)
    age = (datetime.fromisoformat(record.ended) - made).total_seconds() if record.ended else None
    return {
        "name": record.newest["name"],
        "made": made.isoformat().replace("+00:00", "Z"),
        "age_s": None if age is None else round(max(0.0, age)),
        "revision": record.newest["revision"],
    }


def _running(record: Record) -> list[JSON]:
    """Virtual machines that ran before, and after which phase each was missed first."""
    missed = {(one["node"], _machines.key(one)): one["phase"] for one in reversed(record.missed)}
    again = {entry["name"]: entry for entry in record.after.get("nodes") or () if entry["reachable"]}
    found = []
    for one in record.plan.get("machines") or ():
        phase = missed.get((one["node"], _machines.key(one)))
        if not phase and one["node"] in again and _machines.key(one) not in _harvester.machines(again[one["node"]]):
            phase = record.plan["phases"][-1]
        found.append({key: one[key] for key in ("node", "pid", "name", "accepted")} | {"ended": phase})
    return found


def _workloads(record: Record) -> JSON | None:
    """How many processes of ordinary pods there were, and how many of them are still the very same."""
    if not record.after:
        return None
    again = {entry["name"]: entry for entry in record.after["nodes"]}
    before = {e["name"]: _verify.workloads(e) for e in record.before["nodes"] if e["reachable"]}
    same = sum(key in _verify.workloads(again[name]) for name, keys in before.items() for key in keys)
    check = next((c for c in record.checks if c["name"] == "workloads"), None)
    stopped = [] if check is None or check["ok"] else [str(check["observed"])]
    return {"before": sum(map(len, before.values())), "after": same, "stopped": stopped}
