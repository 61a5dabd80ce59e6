# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Longhorn's nodes and volumes, and the virtual machines that stand on them."""

from __future__ import annotations

import typing as t

from ._check import JSON, Fault, Seen, Verdict
from ._orphans import condition, meta, name_of, spec, status


def storage(seen: Seen) -> Verdict:
    """Every Node has its part of Longhorn, ready and with disks that take replicas."""
    there, faults = {name_of(node) for node in seen["nodes"]}, []
    known = {name_of(item) for item in seen["storage"]}
    for name in sorted(there - known):
        faults.append(
            Fault(f"{name} is missing", "kubectl -n longhorn-system get pods -l app=longhorn-manager -o wide")
        )
    for item in seen["storage"]:
        name = name_of(item)
        if name not in there:
            more = f"requorum purge-orphans -i INV --dead {name} --check, where it is gone for good."
            faults.append(Fault(f"{name} has no Node any more", more))
        else:
            more = f"kubectl -n longhorn-system describe nodes.longhorn.io {name}"
            faults += (Fault(f"{name}: {why}", more) for why in troubles(item))
    return Verdict(f"{len(known)} of them", faults)


def troubles(item: JSON) -> t.Iterator[str]:
    """What is wrong with a node of Longhorn."""
    for kind in ("Ready", "Schedulable"):
        if condition(item, kind) == "False":
            reason = next(c.get("reason") for c in status(item)["conditions"] if c["type"] == kind)
            yield f"not {kind}" + (f" ({reason})" if reason else "")
    if spec(item).get("allowScheduling") is False:
        yield "scheduling is off"
    if spec(item).get("evictionRequested"):
        yield "its replicas are being moved away"
    for disk, its in (status(item).get("diskStatus") or {}).items():
        if any(c["type"] == "Ready" and c["status"] == "False" for c in its.get("conditions") or ()):
            yield f"disk {disk} is not Ready"


def takes_replicas(item: JSON) -> bool:
    return spec(item).get("allowScheduling") is not False and condition(item, "Ready") != "False" and (
        condition(item, "Schedulable") != "False"
    )  # fmt: skip


def volumes(seen: Seen) -> Verdict:
    """A volume that has fewer replicas than it wants, only since there are fewer nodes, is as good as it can be."""
    there = {name_of(node) for node in seen["nodes"]}
    room = len([item for item in seen["storage"] if name_of(item) in there and takes_replicas(item)])
    faults, short = [], 0
    for volume in seen["volumes"]:
        name, wanted = name_of(volume), int(spec(volume)["numberOfReplicas"])
        good, building, live = copies(seen, volume)
        of = f"{name} ({used})" if (used := claim(volume)) else name
        more = f"kubectl -n longhorn-system get replicas.longhorn.io -l longhornvolume={name}"
        if status(volume).get("robustness") == "faulted":
            faults.append(Fault(f"{of} is faulted: no replica is usable", f"docs/verify.md, faulted volumes. {more}"))
        elif building:
            faults.append(Fault(f"{of} is being rebuilt, {good} of {wanted}", f"Wait for it. {more}"))
        elif good < min(wanted, max(room, 1)):
            what = "replicas that are written to" if live else "healthy replicas"
            faults.append(Fault(f"{of} is degraded: {good} of {wanted} {what}", more))
        elif good < wanted:
            short += 1
    said = f"{len(seen['volumes'])} volumes"
    return Verdict(said + (f", {short} with a replica on each of {room} nodes and no more" if short else ""), faults)


def copies(seen: Seen, volume: JSON) -> tuple[int, int, bool]:
    """(good replicas, replicas that are being built, whether an engine told): of an attached volume it is the engine's
    word that counts.
    """
    name = name_of(volume)
    engines = [e for e in seen["engines"] if spec(e).get("volumeName") == name]
    if status(volume).get("state") == "attached":
        modes = [list((status(engine).get("replicaModeMap") or {}).values()) for engine in engines]
        return max([m.count("RW") for m in modes], default=0), sum(m.count("WO") for m in modes), True
    replicas = [spec(r) for r in seen["replicas"] if spec(r).get("volumeName") == name]
    return len([r for r in replicas if r.get("healthyAt") and not r.get("failedAt")]), 0, False


def claim(volume: JSON) -> str:
    """Namespace and name of the claim that a volume of Longhorn serves; empty where it serves none."""
    used = status(volume).get("kubernetesStatus") or {}
    return f"{used.get('namespace')}/{used['pvcName']}" if used.get("pvcName") else ""


def machines(seen: Seen) -> Verdict:
    """What shall run runs on a Node that is Ready, as a process where processes were read; what ran before runs."""
    guests = {_key(item): item for item in seen["guests"]}
    ready = {name_of(node) for node in seen["nodes"] if condition(node, "Ready") == "True"}
    known, faults, running = {_key(vm): vm for vm in seen["vms"]}, [], 0
    for key in sorted({*known, *guests, *seen.before}):
        wanted = key in seen.before or _shall_run(known.get(key, {}), guests.get(key))
        why = _amiss(seen, key, guests.get(key), ready) if wanted or key in guests else ""
        if key in seen.before and key not in known and key not in guests:
            why = "is not known any more"
        running += bool(wanted and not why)
        if why:
            then = f" (it ran on {seen.before[key]} before)" if key in seen.before else ""
            namespace, _slash, name = key.partition("/")
            more = f"kubectl -n {namespace} describe vm {name}; to start it: virtctl -n {namespace} start {name}"
            faults.append(Fault(f"{key} {why}{then}", more))
    compared = f", {len(seen.before)} of them found by the last recovery" if seen.before else ""
    return Verdict(f"{running} run{compared}", faults)


def _key(item: JSON) -> str:
    return f"{meta(item)['namespace']}/{name_of(item)}"


def _shall_run(machine: JSON, guest: JSON | None) -> bool:
    """RerunOnFailure, the usual strategy of Harvester, lets a guest shut itself down."""
    strategy = str(spec(machine).get("runStrategy") or ("Always" if spec(machine).get("running") else ""))
    if strategy == "RerunOnFailure":
        ended = guest is not None and status(guest).get("phase") == "Succeeded"
        return not ended and status(machine).get("printableStatus") != "Stopped"
    return strategy == "Always"


def _amiss(seen: Seen, key: str, guest: JSON | None, ready: t.Collection[str]) -> str:
    if guest is None:
        return "does not run"
    now = status(guest)
    node = str(now.get("nodeName") or "")
    paused: JSON = next((c for c in now.get("conditions") or () if c["type"] == "Paused" and c["status"] == "True"), {})
    if now.get("phase") != "Running":
        return f"is {now.get('phase') or 'without a phase'}"
    if paused.get("reason") == "PausedIOError":
        return "is paused, since its disk gave an error"
    if node not in ready:
        return f"is said to run on {node or 'no node'}, which is not Ready"
    if node in seen.running and key not in seen.running[node]:
        return f"is said to run on {node}, which has no such process"
    return ""
