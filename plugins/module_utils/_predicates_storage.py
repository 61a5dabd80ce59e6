# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Longhorn's volumes and images against the nodes that are there (facts/harvester.md 9)."""

from __future__ import annotations

import ipaddress
import json
import typing as t
from collections import defaultdict

from . import _check_storage, _orphans
from ._check import Seen
from ._found import JSON, Answer, Found, Predicate, Unknown
from ._going import seen_of
from ._orphans import condition, meta, name_of, spec, status


def _claim(volume: JSON) -> str:
    return _check_storage.claim(volume) or "no claim"


def _by_volume(items: t.Iterable[JSON]) -> dict[str, list[JSON]]:
    found: dict[str, list[JSON]] = defaultdict(list)
    for item in items:
        found[str(spec(item).get("volumeName"))].append(item)
    return found


def _where(replicas: t.Iterable[JSON]) -> tuple[str, ...]:
    def word(its: JSON) -> str:
        return "failed" if its.get("failedAt") else "good" if its.get("healthyAt") else "new"

    return tuple(f"{name_of(r)} on {spec(r).get('nodeID') or 'no node'}: {word(spec(r))}" for r in replicas)


def _copies(state: JSON) -> t.Iterator[tuple[JSON, int, int, int, tuple[str, ...]]]:
    """Volumes that are not faulted: (volume, good, wanted, in the making, where its replicas are)."""
    seen = seen_of(state)
    replicas, engines = _by_volume(seen["replicas"]), _by_volume(seen["engines"])
    for volume in seen["volumes"]:
        name = name_of(volume)
        if status(volume).get("robustness") != "faulted":
            mine = Seen({"replicas": replicas[name], "engines": engines[name]})
            good, building, _live = _check_storage.copies(mine, volume)
            wanted = int(spec(volume).get("numberOfReplicas") or 0)
            yield volume, good, wanted, building, _where(replicas[name])


def _room(state: JSON) -> int:
    """So many nodes take replicas."""
    seen = seen_of(state)
    there = {name_of(node) for node in seen["nodes"]}
    return len([s for s in seen["storage"] if name_of(s) in there and _check_storage.takes_replicas(s)])


def last_copy(state: JSON) -> Answer:
    """Volumes all of whose good replicas lie on nodes that are not Ready, or gone."""
    seen = seen_of(state)
    copies, replicas = _orphans.healthy_copies(seen, _dead(seen)), _by_volume(seen["replicas"])
    for volume in seen["volumes"]:
        name = name_of(volume)
        mine = [r for r in replicas[name] if spec(r).get("healthyAt") and not spec(r).get("failedAt")]
        good = {str(spec(r).get("nodeID")) for r in mine}
        if good and not copies.get(name):
            item = {"volume": name, "claim": _claim(volume), "nodes": sorted(good)}
            yield Found(next(iter(good)) if len(good) == 1 else None, item, _where(replicas[name]))


def _dead(seen: t.Mapping[str, t.Sequence[JSON]]) -> set[str]:
    """Nodes of Longhorn whose Node is not Ready, or gone."""
    ready = {name_of(node) for node in seen["nodes"] if condition(node, "Ready") == "True"}
    return {name_of(item) for item in seen["storage"]} - ready


def degraded(state: JSON) -> Answer:
    """Volumes with fewer good replicas than they want and could have, of which none is in the making."""
    room = _room(state)
    for volume, good, wanted, building, where in _copies(state):
        if good < min(wanted, max(room, 1)) and not building:
            yield Found(None, _of(volume, good, wanted, room), where)


def short(state: JSON) -> Answer:
    """Volumes with a replica on each node that takes one, and still fewer than they want."""
    room = _room(state)
    found = [v for v, good, wanted, building, _where in _copies(state) if not building and room <= good < wanted]
    if found:
        item = {"count": len(found), "room": room}
        yield Found(None, item, (", ".join(name_of(volume) for volume in found[:10]),))


def rebuilding(state: JSON) -> Answer:
    """Volumes whose replicas are being built."""
    for volume, good, wanted, building, where in _copies(state):
        if building:
            yield Found(None, _of(volume, good, wanted, 0), where)


def _of(volume: JSON, good: int, wanted: int, room: int) -> JSON:
    return {"volume": name_of(volume), "claim": _claim(volume), "good": good, "wanted": wanted, "room": room}


def attachments(state: JSON) -> Answer:
    """VolumeAttachments of nodes that are gone, or for volumes that Longhorn has elsewhere."""
    seen = seen_of(state)
    nodes = {name_of(node): condition(node, "Ready") for node in seen["nodes"]}
    volumes = {name_of(volume): status(volume).get("currentNodeID") for volume in seen["volumes"]}
    for item in seen["attachments"]:
        node, of = str(spec(item).get("nodeName")), spec(item).get("source") or {}
        volume = str(of.get("persistentVolumeName"))
        if "longhorn" not in str(spec(item).get("attacher")):
            continue
        why = "which is gone" if node not in nodes else "which is not Ready" if nodes[node] != "True" else ""
        if not why and meta(item).get("deletionTimestamp") and volumes.get(volume):
            why = f"and is being deleted since {meta(item)['deletionTimestamp']}, but stays attached"
        if why:
            yield Found(node, {"name": name_of(item), "volume": volume, "node": node, "why": why})


def nodes_missing(state: JSON) -> Answer:
    """Nodes that Longhorn does not know."""
    seen = seen_of(state)
    for name in sorted({name_of(node) for node in seen["nodes"]} - {name_of(item) for item in seen["storage"]}):
        yield Found(name, {"node": name})


def nodes_orphaned(state: JSON) -> Answer:
    """Nodes of Longhorn without a Node: how many replicas are said to lie there."""
    seen = seen_of(state)
    for name in sorted({name_of(item) for item in seen["storage"]} - {name_of(node) for node in seen["nodes"]}):
        count = len([r for r in seen.get("replicas", ()) if spec(r).get("nodeID") == name])
        yield Found(name, {"node": name, "count": count})


def budgets(state: JSON) -> Answer:
    """Budgets of instance managers that keep a cordoned node from being drained: `engines` still run there."""
    seen = seen_of(state)
    cordoned = {name_of(node) for node in seen["nodes"] if spec(node).get("unschedulable")}
    known = {name_of(item): item for item in seen["instances"]}
    for budget in seen["budgets"]:
        item = known.get(name_of(budget))
        if item is None or str(spec(item).get("nodeID")) not in cordoned:
            continue
        engines = sorted({**(status(item).get("instanceEngines") or {}), **(status(item).get("instances") or {})})
        node = str(spec(item)["nodeID"])
        said = f"{name_of(budget)}: {', '.join(engines[:5]) or 'no engine'} on {node}"
        yield Found(node, {"name": name_of(budget), "node": node, "engines": engines}, (said,))


def images(state: JSON) -> Answer:
    """Images of which no copy is ready, or whose last one is on a node that is not Ready."""
    seen = seen_of(state)
    disks = {
        d.get("diskUUID"): name_of(s) for s in seen["storage"] for d in (status(s).get("diskStatus") or {}).values()
    }
    dead = _dead(seen)
    for image in seen["backings"]:
        files = status(image).get("diskFileStatusMap") or {}
        ready = [disks.get(disk, disk) for disk, its in files.items() if (its or {}).get("state") == "ready"]
        if files and not set(ready) - dead:
            said = ", ".join(f"{disks.get(disk, disk)}: {(its or {}).get('state')}" for disk, its in files.items())
            yield Found(None, {"name": name_of(image), "ready": ready}, (said,))


def stale(state: JSON) -> Answer:
    """Attached volumes that nothing uses: the pre-check of an upgrade refuses them (harvester#3648)."""
    for volume in seen_of(state)["volumes"]:
        used = (status(volume).get("kubernetesStatus") or {}).get("workloadsStatus") or ()
        running = any(each.get("podStatus") == "Running" for each in used)
        if status(volume).get("state") == "attached" and not running:
            pods = [f"{each.get('podName')}: {each.get('podStatus')}" for each in used]
            node = status(volume).get("currentNodeID") or spec(volume).get("nodeID") or None
            yield Found(node, {"volume": name_of(volume), "claim": _claim(volume), "node": node}, tuple(pods))


def addresses(state: JSON) -> Answer:
    """Networks of the storage with fewer free addresses than an upgrade takes before its old pods end."""
    seen = seen_of(state)
    pools = {str(spec(pool).get("range")): pool for pool in seen["pools"]}
    for name, network, needed in _networks(seen):
        pool = pools.get(str(network.get("range")))
        if pool is None:
            yield Unknown(None, f"whereabouts has no pool of {network.get('range')}, the range of {name}")
            continue
        taken = len(spec(pool).get("allocations") or {})
        usable = _usable(str(network["range"]), network.get("exclude") or ())
        if usable - taken < needed:
            yield Found(None, {"name": name, "range": network["range"], "free": usable - taken, "needed": needed,
                               "usable": usable, "taken": taken})  # fmt: skip


def _networks(seen: t.Mapping[str, t.Sequence[JSON]]) -> t.Iterator[tuple[str, JSON, int]]:
    """Networks of their own, by the settings of Harvester: name, what is set, how many addresses an upgrade takes."""
    storage, rwx = _setting(seen["config"], "storage-network"), _setting(seen["config"], "rwx-network")
    before_1_8 = any(
        name_of(each) == "storage-network-for-rwx-volume-enabled" and each.get("value") == "true"
        for each in seen.get("settings", ())
    )
    shared = bool(rwx.get("share-storage-network")) if rwx else before_1_8
    if storage:
        yield "storage-network", storage, len(seen["instances"]) + len(seen["image_managers"]) + shared
    if rwx.get("network") and not shared:
        yield "rwx-network", rwx["network"], 1


def _setting(settings: t.Iterable[JSON], name: str) -> JSON:
    found = next((each for each in settings if name_of(each) == name), {})
    made = json.loads(found.get("value") or found.get("default") or "{}")
    return made if isinstance(made, dict) else {}


def _usable(network: str, excluded: t.Iterable[str]) -> int:
    """Addresses of hosts in a network, without the excluded ones, of which none counts twice."""
    whole = ipaddress.IPv4Network(network, strict=False)
    first, last = int(whole.network_address) + 1, int(whole.broadcast_address) - 1
    left = max(0, last - first + 1)
    for each in ipaddress.collapse_addresses(ipaddress.IPv4Network(text, strict=False) for text in excluded):
        low, high = max(first, int(each.network_address)), min(last, int(each.broadcast_address))
        left -= max(0, high - low + 1)
    return left


NAMED: dict[str, Predicate] = {
    "storage_addresses": addresses,
    "volume_last_copy": last_copy,
    "volume_degraded": degraded,
    "volume_short": short,
    "volume_rebuilding": rebuilding,
    "volume_stale": stale,
    "attachments": attachments,
    "storage_missing": nodes_missing,
    "storage_orphaned": nodes_orphaned,
    "instance_budgets": budgets,
    "backing_images": images,
}
