# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rancher's planner in phase 4, and what its plans and a reboot make of a node.

Which annotation follows which is `drain.next_step`; here is who is asked, and when the plan behind the drain is there.
"""

from __future__ import annotations

from typing import Any

from lab.harvester import drain, objects
from lab.harvester.kinds import PLAN_SECRET
from lab.harvester.upgrade import told
from lab.harvester.upgrade.hooks import PENDING
from lab.harvester.upgrade.seen import (
    LATEST,
    MACHINE_NAME,
    STATE,
    World,
    labels,
    name_of,
    notes,
    status,
)

JSON = dict[str, Any]
APPLIED = "lab.requorum/applied"
"""On a plan secret: since when the host carries its plan out; on a Node: since when it boots."""
DRAIN_ERROR, PROTECTED = "rke.cattle.io/drain-error", "instance-manager"
EVICTION = (
    'error when evicting pods/"instance-manager" -n "longhorn-system": '
    "Cannot evict pod as it would violate the pod's disruption budget."
)
PROBES = "waiting for probes: kube-controller-manager, kube-scheduler"


def rancher(world: World) -> None:
    """One look."""
    probes(world)
    evictions(world)
    planner(world)
    speaks(world)
    plans(world)
    reboots(world)


def going(world: World) -> JSON | None:
    """The Upgrade that is in phase 4."""
    wanted = {LATEST: "true", STATE: "UpgradingNodes"}.items()
    return next((each for each in world["upgrades"] if wanted <= labels(each).items()), None)


def probes(world: World) -> None:
    """Certificates of kube-controller-manager and scheduler have ended: the cluster is never provisioned again."""
    busy = [u for u in world["upgrades"] if labels(u).get(STATE) == "UpgradingSystemServices"]
    stuck = bool(busy) and world.stalls("capi-provisioning")
    for cluster in world["clusters"]:
        if stuck or status(cluster).get("phase") == "Provisioning":
            status(cluster)["phase"] = "Provisioning" if stuck else "Provisioned"
            for each in world["provisioning"]:
                value = ("Unknown", "Waiting", PROBES) if stuck else ("True", "", "")
                told.put(world, each, "Updated", *value)


def evictions(world: World) -> None:
    """A pod that a budget protects: the drain waits for it, and Rancher notes why."""
    for secret in _secrets(world) if going(world) else ():
        has, node = notes(secret), world.node(labels(secret)[MACHINE_NAME])
        pod = world.one("pods", f"{PROTECTED}-{node}")
        if node and world.stalls("drain-pdb", node) and has.get(drain.OPTIONS):
            if has.get(drain.DONE) != has[drain.OPTIONS]:
                world.add("pods", _protected(node))
                if has.get(drain.PRE) and has.get(drain.PRE) == has.get("harvesterhci.io/pre-hook"):
                    has[DRAIN_ERROR] = EVICTION
        elif pod:
            has.pop(DRAIN_ERROR, None)
            if pod["metadata"].get("finalizers"):
                pod["metadata"]["finalizers"] = []
            else:
                world.drop("pods", pod)


def _protected(node: str) -> JSON:
    """Longhorn's pod; the finalizer stands for its budget."""
    return {
        "metadata": {"name": f"{PROTECTED}-{node}", "namespace": objects.LONGHORN, "finalizers": ["lab.requorum/pdb"],
                     "labels": {"longhorn.io/component": "instance-manager"}},
        "spec": {"nodeName": node, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
                 "tolerations": [{"operator": "Exists"}],
                 "containers": [{"name": "instance-manager", "image": "x", "command": ["sleep", "infinity"]}]},
    }  # fmt: skip


def _secrets(world: World) -> list[JSON]:
    """Plan secrets in the order in which their nodes have their turn: the init node, servers, workers."""
    found = [each for each in world["secrets"] if each.get("type") == PLAN_SECRET and MACHINE_NAME in labels(each)]

    def turn(secret: JSON) -> tuple[bool, bool, str]:
        has = labels(secret)
        node = world.node(has[MACHINE_NAME])
        return has.get("rke.cattle.io/init-node") != "true", has.get("rke.cattle.io/etcd-role") != "true", node

    return sorted(found, key=turn)


def planner(world: World) -> None:
    """Ask the next node to be drained; tell one that is drained to be uncordoned."""
    cluster: JSON = next(iter(world["provisioning"]), {"spec": {}})
    paused = any((each.get("spec") or {}).get("paused") for each in world["clusters"])
    strategy = (cluster["spec"].get("rkeConfig") or {}).get("upgradeStrategy") or {}
    wanted = cluster["spec"].get("kubernetesVersion")
    if not strategy or paused or world.stalls("planner-silent"):
        return
    secrets = _secrets(world)
    for secret in secrets:
        has = notes(secret)
        if has.get(drain.OPTIONS) and has.get(drain.DONE) == has[drain.OPTIONS]:
            has[drain.UNCORDON] = "true"
    if any(notes(secret).get(drain.OPTIONS) for secret in secrets):
        return
    for secret in secrets:
        node = world.one("nodes", world.node(labels(secret)[MACHINE_NAME]))
        if node and status(node)["nodeInfo"]["kubeletVersion"] != wanted:
            notes(secret)[drain.OPTIONS] = objects.DRAIN
            return


def speaks(world: World) -> None:
    """What the planner waits for stands in the condition Updated of the cluster (ra:pkg/capr/planner/planner.go)."""
    said = "waiting for viable init node" if world.stalls("planner-silent") else ""
    for secret in _secrets(world):
        has, machine = notes(secret), labels(secret)[MACHINE_NAME]
        tier = "etcd" if labels(secret).get("rke.cattle.io/etcd-role") == "true" else "worker"
        if has.get(drain.POST):
            said = f"uncordoning {tier} node(s) {machine}: waiting for uncordon to finish"
        elif has.get(drain.OPTIONS):
            error = f"error draining machine {machine}: {has[DRAIN_ERROR]}" if DRAIN_ERROR in has else "draining node"
            said = f"draining {tier} node(s) {machine}: {error}"
    for cluster in world["provisioning"] if going(world) else ():
        told.put(world, cluster, "Updated", *(("Unknown", "Waiting", said) if said else ("True", "", "")))


def plans(world: World) -> None:
    """The host carries out its plan when it is drained: another RKE2."""
    cluster: JSON = next(iter(world["provisioning"]), {"spec": {}})
    wanted, upgrade = cluster["spec"].get("kubernetesVersion"), going(world)
    for secret in _secrets(world) if upgrade else ():
        has, node = notes(secret), world.one("nodes", world.node(labels(secret)[MACHINE_NAME]))
        drained = has.get(drain.OPTIONS) and has.get(drain.DONE) == has[drain.OPTIONS]
        if not drained:
            has.pop(APPLIED, None)
        elif node and _since(world, has) and not world.stalls("postdrain-rke2", name_of(node)):
            _brings(world, node, kubeletVersion=str(wanted))
    if upgrade and status(upgrade).get("singleNode"):
        node = world.one("nodes", status(upgrade)["singleNode"])
        if node and cluster["spec"].get("kubernetesVersion") == told.brings(upgrade)["kubernetes"] and (
            not world.stalls("postdrain-rke2", name_of(node))):  # fmt: skip
            _brings(world, node, kubeletVersion=told.brings(upgrade)["kubernetes"])


def reboots(world: World) -> None:
    """A node whose job is done boots; it comes back with the new system, with the old one, or not at all."""
    for node in world["nodes"]:
        name, has = name_of(node), notes(node)
        upgrade = going(world)
        if PENDING not in has or upgrade is None or told.node_state(upgrade, name) != told.REBOOT:
            has.pop(APPLIED, None)
        elif world.stalls("reboot-old-image", name):
            _since(world, has)
        elif not _since(world, has):
            _ready(world, node, False)
        elif not world.stalls("reboot-silent", name):
            _brings(world, node, osImage=has[PENDING])
            _ready(world, node, True)


def _since(world: World, has: JSON) -> bool:
    """Whether it has lasted for a step."""
    since = has.setdefault(APPLIED, f"{world.now:.3f}")
    return world.now - float(since) >= world.pace


def _brings(world: World, node: JSON, **info: str) -> None:
    if name_of(node) in world.hosts:
        world.wishes += [(name_of(node), key, value) for key, value in info.items()
                         if status(node)["nodeInfo"].get(key) != value]  # fmt: skip
    else:
        status(node)["nodeInfo"].update(info)


def _ready(world: World, node: JSON, value: bool) -> None:
    if name_of(node) in world.hosts:
        return
    entry = next((c for c in status(node).get("conditions") or () if c["type"] == "Ready"), None)
    if entry and entry["status"] != (word := "True" if value else "Unknown"):
        entry.update({"status": word, "lastTransitionTime": world.stamp})
