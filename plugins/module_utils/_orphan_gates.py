# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What forbids that a server is let go: it lives, nobody knows it, it has a last copy, the cluster is another one."""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from collections import defaultdict

from ._classify import Refusal
from ._orphan_maps import Dead
from ._orphan_parts import FRESH_S, JSON, Seen, condition, name_of, node_of, spec, status


def foreign(uid: str, told: t.Collection[str]) -> Refusal | None:
    """told: UIDs of kube-system as the servers' own API servers tell them."""
    if not told or uid in told:
        return None
    return Refusal(
        "The API that was asked is that of another cluster: its kube-system is not the one of the servers.",
        "requorum_kubeconfig",
        "Name one of this cluster in requorum_kubeconfig, or leave it out: then a server is asked.",
    )


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


def unknown(dead: Dead) -> Refusal:
    return Refusal(
        f"The API knows no server {dead.name}: no Node, no Machine, nothing of Longhorn.",
        dead.name,
        "Give the name that its Node had; `kubectl get nodes` and `kubectl get machines -n fleet-local` show them.",
    )


def alive(seen: Seen, dead: Dead, later: t.Sequence[JSON], clock: float) -> Refusal | None:
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


def none_left(seen: Seen, dead: t.Collection[str]) -> t.Iterator[Refusal]:
    if not [node for node in seen.get("nodes", ()) if name_of(node) not in dead]:
        yield Refusal(
            "Every Node of the cluster is declared dead.",
            "requorum_dead",
            "Leave out those that live on: some API answers.",
        )


def last_copies(seen: Seen, dead: t.Collection[str], accept: t.Collection[str]) -> t.Iterator[Refusal]:
    """Volumes and images whose only usable copy lies on a dead server."""
    ready, copies = _ready(seen, dead), healthy_copies(seen, dead)
    lost: dict[str, set[str]] = defaultdict(set)
    for replica in seen.get("replicas", ()):
        lost[str(spec(replica).get("volumeName"))] |= {node_of("replicas", replica)} & set(dead)
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
        if node_of("replicas", replica) in ready and _healthy(replica, modes.get(name_of(replica), "RW")):
            found[str(spec(replica).get("volumeName"))].append(node_of("replicas", replica))
    return found


def _healthy(replica: JSON, mode: str) -> bool:
    """mode: RW, or WO while an engine rebuilds it, or ERR."""
    return bool(spec(replica).get("healthyAt")) and not spec(replica).get("failedAt") and mode == "RW"
