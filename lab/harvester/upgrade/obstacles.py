# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pre-drain job waits for: a volume, a machine, a budget. They come with the stall, and go when it is healed."""

from __future__ import annotations

from typing import Any

from lab.harvester import objects
from lab.harvester.upgrade import told
from lab.harvester.upgrade.seen import World, name_of, status

JSON = dict[str, Any]
VOLUME, MACHINE = "pvc-7c1e0c5e", "fixed"
BUDGET = "kubevirt-migration-pdb-kubevirt-evacuation-7zk4q"
STORED = {"Volume": "volumes", "Engine": "engines", "Replica": "replicas"}


def obstacles(world: World, upgrade: JSON) -> None:
    """Those of each stall, on the node that is being drained."""
    busy = [node for node, entry in (status(upgrade).get("nodeStatuses") or {}).items()
            if entry.get("state") == told.PRE_DRAINING]  # fmt: skip
    for stall, make in (("predrain-volume", volume), ("predrain-vms", machine), ("predrain-pdb", budget)):
        names = [name_of(node) for node in world["nodes"]]
        made = make(busy[0] if busy else "", names)
        here = bool(busy) and world.stalls(stall, busy[0])
        for kind, item in made if here or stall not in world.faults else ():
            found = world.one(kind, name_of(item))
            if here:
                world.add(kind, item)
            elif found and not found["metadata"].get("deletionTimestamp"):
                world.drop(kind, found)


def volume(node: str, nodes: list[str]) -> list[tuple[str, JSON]]:
    """Attached, and degraded for ever: it wants one replica more than there are nodes."""
    items = [(STORED[item["kind"]], item) for item in objects.volume(VOLUME, nodes, node) if item["kind"] in STORED]
    items[0][1]["spec"]["numberOfReplicas"] = len(nodes) + 1
    return items


def machine(node: str, _nodes: list[str]) -> list[tuple[str, JSON]]:
    """It cannot migrate, and nobody stops it."""
    meta = {"name": MACHINE, "namespace": "default"}
    spec: JSON = {"domain": {}, "evictionStrategy": "LiveMigrate"}
    why = {"type": "LiveMigratable", "status": "False", "reason": "DisksNotLiveMigratable"}
    running = {"phase": "Running", "nodeName": node, "conditions": [why]}
    return [
        ("vms", {"metadata": dict(meta), "spec": {"runStrategy": "RerunOnFailure", "template": {"spec": spec}},
                 "status": {"printableStatus": "Running"}}),
        ("guests", {"metadata": {**meta, "labels": {"kubevirt.io/nodeName": node}}, "spec": spec, "status": running}),
    ]  # fmt: skip


def budget(_node: str, _nodes: list[str]) -> list[tuple[str, JSON]]:
    """KubeVirt's, of a migration that has ended."""
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"kubevirt.io/created-by": "x"}}}
    return [("budgets", {"metadata": {"name": BUDGET, "namespace": "default"}, "spec": spec})]
