# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which node Harvester promotes, as its promote controller decides (pkg/controller/master/node/promote_controller.go).

Joined nodes are workers. As long as fewer than three nodes manage and at least three are able to, the oldest able one
is promoted, then the next; one at a time, and none while a promotion has not come to its end.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._orphans import JSON, labels, name_of, notes
from ._why_joining import Cause

MANAGERS = 3
STATUS = "harvesterhci.io/promote-status"
ROLES = ("management", "witness", "worker")
MANAGED = "harvesterhci.io/managed"
ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Outlook:
    """Whether a node is promoted, or will be."""

    done: bool
    due: bool
    seen: str
    cause: Cause | None = None


def condition(document: JSON, kind: str) -> JSON:
    """A condition; empty where there is none."""
    return next((c for c in (document.get("status") or {}).get("conditions") or () if c["type"] == kind), {})


def ready(node: JSON) -> bool:
    return bool(condition(node, "Ready").get("status") == "True")


def role(node: JSON) -> str:
    """As it was installed."""
    return next((r for r in ROLES if f"node-role.harvesterhci.io/{r}" in labels(node)), "default")


def manages(node: JSON) -> bool:
    """Also where it is dead: a Node that is listed counts."""
    keys = [f"node-role.kubernetes.io/{word}" for word in ("master", "control-plane", "etcd")]
    return next((labels(node)[key] == "true" for key in keys if key in labels(node)), False)


def outlook(name: str, nodes: t.Sequence[JSON], jobs: t.Sequence[JSON] = ()) -> Outlook:
    """What becomes of a node."""
    node = next((n for n in nodes if name_of(n) == name), None)
    if node is None:
        return Outlook(False, True, "there is no Node of this name")
    managers = [n for n in nodes if manages(n)]
    status = _status(node)
    if manages(node) and status not in ("running", "failed", "unknown"):
        return Outlook(True, True, f"it manages, as {_of(managers)}")
    if manages(node) or status:
        return Outlook(False, True, f"its promotion is {status}", _cause(node, jobs))
    if role(node) == "worker":
        return Outlook(False, False, "it stays a worker, since its role is worker")
    if len(managers) >= MANAGERS:
        return Outlook(False, False, f"it stays a worker: {_of(managers)} manage already", _dead(managers))
    if held := _held(node, nodes, jobs):
        return held
    able = _able(nodes)
    willing = [n for n in nodes if not manages(n) and role(n) != "worker" and MANAGED in labels(n)]
    if node not in able:
        if ready(node) and MANAGED not in labels(node):
            return Outlook(False, False, f"it stays a worker: its Node lacks the label {MANAGED}")
        if ready(node) and role(node) == "witness":
            return Outlook(False, False, "it stays a worker: there is one witness already")
        return Outlook(False, True, "its Node is not Ready, or reports pressure")
    if len(managers) + len(willing) < MANAGERS:
        return Outlook(False, False, _too_few(len(managers) + len(able)), _dead(managers))
    if len(managers) + len(able) < MANAGERS:
        return Outlook(False, True, f"{_of(n for n in willing if n not in able)} must be Ready first")
    return _turn(node, managers, able, jobs)


def _held(node: JSON, nodes: t.Sequence[JSON], jobs: t.Sequence[JSON]) -> Outlook | None:
    """While one promotion has not come to its end no other one begins."""
    for other in nodes:
        if other is node:
            continue
        if _status(other) == "running":
            return Outlook(False, True, f"{name_of(other)} is being promoted, one at a time", _cause(other, jobs))
        if _status(other) in ("failed", "unknown") or (_status(other) == "complete" and not manages(other)):
            seen = f"nobody is promoted while the promotion of {name_of(other)} is {_status(other)}"
            return Outlook(False, True, seen, _cause(other, jobs))
    return None


def _turn(node: JSON, managers: list[JSON], able: list[JSON], jobs: t.Sequence[JSON]) -> Outlook:
    """Three can manage: is it this one's turn?"""
    zones = {labels(n).get(ZONE, "") for n in managers} - {""}
    if zones and len(zones | ({labels(n).get(ZONE, "") for n in able} - {""})) < MANAGERS:
        why = "Nodes that manage are in zones, and the nodes that could manage are not in three zones."
        fix = f"Label them: kubectl label node NAME {ZONE}=ZONE; or take the label from all of them."
        return Outlook(False, True, "nobody is promoted", Cause("zones", why, fix, final=True))
    queue = sorted(able, key=lambda n: (_preference(n), str(n["metadata"].get("creationTimestamp") or "")))
    place, free = queue.index(node), MANAGERS - len(managers)
    if place >= free:
        return Outlook(False, False, f"it stays a worker: {_of(queue[:free])} will be promoted, and then three manage")
    seen = "it is the next to be promoted" if place == 0 else f"{name_of(queue[0])} is promoted before it"
    return Outlook(False, True, seen, _cause(node, jobs) if place == 0 and _clash(node, jobs) else None)


def _able(nodes: t.Sequence[JSON]) -> list[JSON]:
    """Those that can be promoted; only one witness ever is, and none where one has been."""
    found: list[JSON] = []
    witness = any(role(n) == "witness" and (manages(n) or _status(n)) for n in nodes)
    for node in nodes:
        if manages(node) or not _healthy(node) or role(node) == "worker":
            continue
        if MANAGED not in labels(node):
            continue
        if role(node) == "witness":
            if witness:
                continue
            witness = True
        found.append(node)
    return found


def _healthy(node: JSON) -> bool:
    """Conditions that the controller does not know count too: the vote of etcd among them, which only managers have."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return all((c["type"] == "Ready") == (c["status"] == "True") for c in conditions)


def _too_few(count: int) -> str:
    return (
        f"it stays a worker until {MANAGERS} nodes can manage, and {count} can. Harvester promotes none before, "
        "whatever the role says; until then the loss of one member of etcd ends the quorum"
    )


def _dead(managers: list[JSON]) -> Cause | None:
    """A Node that manages and does not report holds a place."""
    silent = [name_of(n) for n in managers if not ready(n)]
    if not silent:
        return None
    return Cause(
        "dead_manager",
        f"{', '.join(silent)} counts as one that manages, and does not report.",
        "If it is dead, let it go: playbooks/purge_orphans.yml with requorum_dead (docs/harvester-orphans.md).",
    )


def _cause(node: JSON, jobs: t.Sequence[JSON]) -> Cause | None:
    """Why the promotion of a node does not end."""
    name, status = name_of(node), _status(node)
    job = f"harvester-promote-{name}"
    if _clash(node, jobs):
        return Cause(
            "promotion_job",
            f"The Job {job} is of an older node of this name, so none can be made for this one (harvester#1040).",
            f"kubectl delete job -n harvester-system {job}; then kubectl annotate node {name} {STATUS}-",
            final=True,
        )
    if status in ("failed", "unknown"):
        return Cause(
            f"promotion_{status}",
            f"The promotion of {name} is {status}, and nobody else is promoted as long as it says so.",
            f"kubectl logs -n harvester-system job/{job}; when its reason is gone: kubectl delete job -n "
            f"harvester-system {job}; kubectl annotate node {name} {STATUS}-; kubectl uncordon {name}",
            final=True,
        )
    if status == "complete":
        return Cause(
            "promotion_half",
            f"The promotion of {name} is complete, but its Node does not manage yet: Rancher has not made it a server.",
            f"kubectl describe machine -n fleet-local; on {name}: journalctl -u rancher-system-agent -u rke2-server",
        )
    return None


def _clash(node: JSON, jobs: t.Sequence[JSON]) -> bool:
    """Whether there is a Job for this name that belongs to another Node, which was deleted."""
    uid = node["metadata"].get("uid")
    theirs = [job for job in jobs if name_of(job) == f"harvester-promote-{name_of(node)}"]
    owners = [owner.get("uid") for job in theirs for owner in job["metadata"].get("ownerReferences") or ()]
    return bool(owners) and uid is not None and uid not in owners


def _preference(node: JSON) -> int:
    return {"management": 0, "witness": 1}.get(role(node), 2)


def _of(nodes: t.Iterable[JSON]) -> str:
    return ", ".join(sorted(map(name_of, nodes))) or "nobody"


def _status(node: JSON) -> str:
    return str(notes(node).get(STATUS) or "")
