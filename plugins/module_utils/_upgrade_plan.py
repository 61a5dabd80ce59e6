# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The way of a Harvester to another release: its hops, what each brings and costs, and what may be begun now."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict

from . import _hops, _progress, _releases, _stale
from ._classify import Refusal
from ._found import JSON
from ._orphans import condition, labels, meta, name_of, spec, status
from ._stale import STATE

SCHEMA = 1
STOP = "requorum upgrade -i INV --stop"
UNDO = {
    0: f"{STOP} deletes the upgrade; nothing of the cluster has changed",
    1: f"{STOP} deletes the upgrade, its image and the VM that serves it; nothing of the cluster has changed",
    2: f"{STOP} deletes the upgrade; images that were loaded stay on the nodes and take space",
    3: f"{STOP} deletes the upgrade and lets the charts go on; what was upgraded already stays new, so the same "
    "release is installed again as soon as the cause is mended. There is no downgrade",
    4: "point of no return: the upgrade must never be deleted, begun anew or restarted. A node that stands still is "
    "mended, then Harvester goes on by itself; one that cannot be mended is installed anew from the new ISO",
    5: "nothing is left to undo. There is no downgrade; the datastore of before is in the backup, and restoring it "
    "below the new release is not supported",
}
"""What can be undone in which phase (facts/harvester.md 1.4)."""
IMAGE_S, PREPARE_S, SERVICES_S, NODE_S = 1200, 900, 2400, 2700
"""Rough: the ISO and its repository; images on one node; services; one node with its drain, RKE2, OS and reboot."""


def plan(
    cluster: str, to: str, matrix: _hops.Matrix, seen: _progress.Seen, before: str, findings: t.Sequence[JSON]
) -> JSON:
    """The document that is shown; `do` says what is begun: start, watch or nothing. Its refusals forbid all."""
    item = _progress.latest(seen)
    goes_on = item is not None and _progress.going(item)
    before = before if goes_on else runs(before, seen)
    way = _hops.path(matrix, before, to)
    do, refusal = _next(matrix, to, seen, before, way)
    nodes = sorted(name_of(node) for node in seen.get("nodes", ()))
    hops, at = list[JSON](), before
    for release in way:
        hops.append(_hop(at, release, nodes, findings if at == before else None))
        at = release.version
    document: JSON = {
        "schema": SCHEMA, "cluster": cluster, "before": before, "to": _v(to), "do": do, "hops": hops,
        "upgrade": name_of(item) if item and do == "watch" else None,
        "actions": list(_actions(do, item, way)),
        "refusals": [asdict(refusal)] if refusal else [],
        "phases": [{"number": number, "undo": undo} for number, undo in UNDO.items()],
    }  # fmt: skip
    return document | {"plan_id": hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]}


def runs(version: str, seen: _progress.Seen) -> str:
    """What runs everywhere: the oldest of server-version, which is new from phase 3 on, and the OS of each Node."""
    images = {str((status(node).get("nodeInfo") or {}).get("osImage") or "") for node in seen.get("nodes", ())}
    found = [version, *map(_releases.named, images)]
    return min(found, key=_releases.number) if all(map(_releases.number, found)) else ""


def in_the_way(seen: _progress.Seen) -> Refusal | None:
    """An Upgrade, also one that is not the latest, beside which none may be begun or stopped."""
    items, nodes = seen.get("upgrades", ()), {name_of(node) for node in seen.get("nodes", ())}
    last = max((_born(item) for item in items if well(item)), default="")
    for item in items:
        name, version = name_of(item), version_of(item) or "a release that is not known"
        if late(item) and _progress.going(item):
            return Refusal(
                f"The upgrade {name} to {version} is in phase 4: its nodes are between two versions.",
                name,
                "requorum inspect -i INV says what it waits for; before it has ended no other one is begun or deleted.",
            )
        if late(item) and not well(item) and _born(item) >= last and not _stale.brought(seen, item, nodes):
            return Refusal(
                f"The upgrade {name} to {version} failed in phase 4: its nodes are between two versions, and a new one "
                "cannot bring them on.",
                name,
                "requorum inspect -i INV says what its nodes need; then requorum purge-orphans -i INV --leftovers.",
            )
    return None


def version_of(item: JSON) -> str:
    """As it was asked for; of an ISO that was uploaded, as the ISO itself says."""
    told = _stale.brings(item).get("harvester", "")
    return str(spec(item).get("version") or (told if told.startswith("v") else ""))


def _born(item: JSON) -> str:
    return str(meta(item).get("creationTimestamp") or "")


def _next(
    matrix: _hops.Matrix, to: str, seen: _progress.Seen, before: str, way: t.Sequence[_releases.Release]
) -> tuple[str, Refusal | None]:
    item = _progress.latest(seen)
    if item is not None and _progress.going(item):
        version = version_of(item)
        # From phase 3 on the release that runs is the one that it brings.
        wanted = {_v(to), *(release.version for release in way), *([before] if way or before == _v(to) else ())}
        if not version or _v(version) in wanted:
            return "watch", None
        return "nothing", Refusal(
            f"The upgrade {name_of(item)} to {version} goes on, which is not on the way to {_v(to)}.",
            name_of(item),
            f"Wait for it: requorum upgrade -i INV --to {version} watches it.",
        )
    if refusal := in_the_way(seen):
        return "nothing", refusal
    if not before:
        return "nothing", Refusal(
            "What runs is no release of Harvester: its server-version or the OS of a Node is none.",
            "cluster",
            "kubectl get nodes -o wide; development builds are not upgraded hop by hop.",
        )
    if before == _v(to):
        return "nothing", None
    if why := _hops.why_no_path(matrix, before, to):
        return "nothing", Refusal(f"{why[0].upper()}{why[1:]}.", "cluster", "Name a release that can be reached: --to.")
    return "start", None


def well(item: JSON) -> bool:
    """It has succeeded."""
    return condition(item, "Completed") == "True" or labels(item).get(STATE) == "Succeeded"


def late(item: JSON) -> bool:
    """It has come to its nodes (phase 4)."""
    states = set(_stale.states(item).values())
    return condition(item, "SystemServicesUpgraded") == "True" or bool(states & {*_progress.BETWEEN[:4], "Succeeded"})


def _hop(before: str, release: _releases.Release, nodes: t.Sequence[str], findings: t.Sequence[JSON] | None) -> JSON:
    """findings: of a diagnosis; None for a hop that begins later."""
    standing = {finding["id"]: finding for finding in findings or ()}
    issues = [
        {"rule": rule, "now": None if findings is None else rule in standing,
         "summary": standing[rule]["summary"] if rule in standing else None,
         "action": standing[rule]["action"] if rule in standing else None}
        for rule in release.issues
    ]  # fmt: skip
    brings = {key: getattr(release, key) for key in ("rke2", "kubernetes", "rancher", "longhorn", "kubevirt")}
    seconds = IMAGE_S + SERVICES_S + len(nodes) * (PREPARE_S + NODE_S)
    return {"before": before, "version": release.version, **brings, "issues": issues, "expect_s": seconds}


def _actions(do: str, item: JSON | None, way: t.Sequence[_releases.Release]) -> t.Iterator[JSON]:
    """Of this hop; the next one has its own plan."""
    if do == "start":
        version = way[0].version
        yield _action("precheck", version, "prove that nothing stands in the way of the upgrade")
        yield _action("backup", version, "save the datastore, prove it, copy it off the node")
        yield _action("create", version, f"create Version {version} and an Upgrade to it in harvester-system")
    if do in ("start", "watch"):
        version = way[0].version if do == "start" else version_of(item or {})
        yield _action("watch", version, "watch it to its end; nothing is changed by that")
        yield _action("verify", version, "judge the cluster by named checks")


def _action(verb: str, version: str, what: str) -> JSON:
    return {"verb": verb, "version": version, "what": what}


def shown(document: JSON) -> list[str]:
    """The plan for a terminal, line by line."""
    head = f"Harvester {document['before']} to {document['to']}: {len(document['hops'])} hops"
    lines = [f"{head}; plan {document['plan_id']}"]
    for number, hop in enumerate(document["hops"], 1):
        brings = f"RKE2 {hop['rke2']}, Rancher {hop['rancher']}, Longhorn {hop['longhorn']}, KubeVirt {hop['kubevirt']}"
        lines.append(f"{number}. {hop['before']} -> {hop['version']}: {brings}; roughly {hop['expect_s'] / 3600:.1f} h")
        for issue in hop["issues"]:
            now = {None: "asked before this hop", False: "does not stand now", True: f"STANDS: {issue['summary']}"}
            lines.append(f"   known issue {issue['rule']}: {now[issue['now']]}")
    lines += [f"{phase['number']}: {phase['undo']}" for phase in document["phases"]] if document["hops"] else []
    lines += [f"{action['verb']}: {action['what']}" for action in document["actions"]] or ["nothing to do"]
    return lines + [f"REFUSED: {refusal['what']} {refusal['next']}" for refusal in document["refusals"]]


def _v(version: str) -> str:
    return f"v{version.removeprefix('v')}"
