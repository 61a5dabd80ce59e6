# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole upgrade as a sequence of objects, without any API: for tables of who watches it.

Fleet, drains and eviction are played in their shortest form; `parts.everything` has them at length.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.harvester import drain, fleet, objects
from lab.harvester.kinds import PLAN_SECRET
from lab.harvester.upgrade.control import step
from lab.harvester.upgrade.rancher import PROTECTED
from lab.harvester.upgrade.scripts import PAUSED
from lab.harvester.upgrade.seen import (
    MACHINE,
    MACHINE_NAME,
    MANAGED,
    STATE,
    WORDS,
    World,
    condition,
    labels,
    name_of,
    notes,
    status,
)
from lab.harvester.upgrade.work import sha512

JSON = dict[str, Any]
BORN = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
NAME = "hvst-upgrade-x7k2p"
QUIET = 6
"""Looks in which nothing happens, behind which a film ends."""
CHART = "103.0.3+up45.31.1"


def film(
    before: str, to: str, nodes: Sequence[str] = ("n1", "n2", "n3"), *, stalls: Mapping[str, str] | None = None,
    pace: float = 10, name: str = NAME,
) -> Iterator[dict[str, list[JSON]]]:  # fmt: skip
    """All objects after each change, by the names of `objects` in the state of rules, until nothing happens any more.

    stalls: name -> what it is about (`stalls.STALLS`). Time goes on by `pace` at each look, which the stamps show.
    """
    world = start(before, nodes, {**(stalls or {}), "pace": str(pace)})
    world.add("versions", version(to))
    world.add("upgrades", upgrade(to, name=name))["metadata"]["uid"] = f"uid-of-{name}"
    yield from run(world)


def run(world: World) -> Iterator[dict[str, list[JSON]]]:
    """Let the controllers of a world work until nothing happens any more."""
    was: dict[str, list[JSON]] = {}
    quiet = 0
    while quiet <= QUIET:
        quiet += 1
        for work in (step, drains, charts, _gone):  # Harvester, Rancher, Fleet, the API server
            if was != world.objects:
                was, quiet = copy.deepcopy(world.objects), 0
                yield copy.deepcopy(world.objects)
            world.now += world.pace if work is step else 0
            work(world)


def _gone(world: World) -> None:
    """What is deleted and held by nobody."""
    for item in [each for each in world["upgrades"] if each["metadata"].get("deletionTimestamp")]:
        if not item["metadata"].get("finalizers"):
            world.drop("upgrades", item)


def start(before: str, nodes: Sequence[str], faults: Mapping[str, str]) -> World:
    """A Harvester that is as it has to be."""
    world = World({name: [] for name in WORDS}, BORN, faults)
    addresses = {name: f"10.0.0.{number}" for number, name in enumerate(nodes, 1)}
    kinds = {(version, kind): name for name, (version, kind, _where) in WORDS.items() if name != "preparing"}
    for item in objects.cluster(addresses, release=before, living=nodes):
        if name := kinds.get((item["apiVersion"], item["kind"])):
            world[name].append(item)
    world["nodes"].extend(node(name, addresses[name], before) for name in nodes)
    of = objects.RELEASES[before]
    for name in PAUSED:
        world["charts"].append(fleet.chart(name, version=of.harvester[1:] if name in PAUSED[:2] else CHART))
    world["config"].append(_named("Setting", "harvesterhci.io/v1beta1", "server-version", value=before))
    world["settings"].append(_named("Setting", "longhorn.io/v1beta2", "replica-replenishment-wait-interval",
                                    objects.LONGHORN, value="600"))  # fmt: skip
    for chart in world["charts"]:
        status(chart)["version"] = chart["spec"]["version"]
    charts(world)
    return world


def _named(kind: str, version: str, name: str, namespace: str = "", **parts: Any) -> JSON:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **parts}


def node(name: str, address: str, release: str) -> JSON:
    """A Node that is Ready, with no host behind it."""
    of = objects.RELEASES[release]
    roles = {f"node-role.kubernetes.io/{role}": "true" for role in ("control-plane", "etcd", "master")}
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": objects.LONG_AGO}]
    info = dict.fromkeys(("machineID", "systemUUID", "bootID", "kernelVersion", "kubeProxyVersion",
                          "containerRuntimeVersion", "operatingSystem", "architecture"), "")  # fmt: skip
    meta = {"name": name, "labels": {**roles, MANAGED: "true", "kubernetes.io/hostname": name},
            "annotations": {MACHINE: objects.machine(name), "cluster.x-k8s.io/cluster-name": "local"}}  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {},
        "status": {"addresses": [{"type": "InternalIP", "address": address}], "conditions": conditions,
                   "nodeInfo": {**info, "osImage": of.os, "kubeletVersion": of.kubernetes}},
    }  # fmt: skip


def version(name: str, *, checksum: str = "") -> JSON:
    """The Version that somebody writes before an Upgrade."""
    url = f"https://releases.rancher.com/harvester/{name}/harvester-{name}-amd64.iso"
    spec = {"isoURL": url, "isoChecksum": checksum or sha512(name), "releaseDate": "20260101",
            "minUpgradableVersion": objects.RELEASES[name].oldest if name in objects.RELEASES else ""}  # fmt: skip
    return {**_named("Version", "harvesterhci.io/v1beta1", name, objects.SYSTEM), "spec": spec}


def upgrade(to: str, *, name: str = NAME, log: bool = True) -> JSON:
    """The Upgrade that begins it."""
    spec = {"version": to, "logEnabled": log}
    return {**_named("Upgrade", "harvesterhci.io/v1beta1", name, objects.SYSTEM), "spec": spec}


def drains(world: World) -> None:
    """`drain.machine_drain`, where no pod has to go."""
    for secret in [each for each in world["secrets"] if each.get("type") == PLAN_SECRET]:
        found = world.one("nodes", world.node(labels(secret).get(MACHINE_NAME, "")))
        what, change = drain.next_step(notes(secret))
        if found and what:
            found["spec"].pop("unschedulable", None)
            if what != "uncordon":
                found["spec"]["unschedulable"] = True
        if found and what == "drain" and world.one("pods", f"{PROTECTED}-{name_of(found)}"):
            continue
        for key, value in change.items():
            notes(secret).pop(key, None)
            if value is not None:
                notes(secret)[key] = value


def charts(world: World) -> None:
    """Fleet brings the chart that is wanted, unless it is paused or refused."""
    for chart in world["charts"]:
        name, wanted, of = name_of(chart), chart["spec"]["version"], status(chart)
        refused = world.stalls("apply-bundle", f"mcc-{name}") and name == "harvester" and of.get("version") != wanted
        if not chart["spec"].get("paused") and not refused:
            of["version"] = wanted
        state = "ErrApplied" if refused else "OutOfSync" if of["version"] != wanted else ""
        made = fleet.bundle_status(1, [({"metadata": {"namespace": objects.FLEET, "name": "local"}}, _deployed(state))])
        of.update(made)
        bundle = world.one("bundles", f"mcc-{name}") or world.add("bundles", {
            "metadata": {"name": f"mcc-{name}", "namespace": objects.FLEET}, "spec": {}})  # fmt: skip
        bundle["spec"] = fleet.chart_bundle(chart["spec"])
        bundle["status"] = copy.deepcopy(made)


def _deployed(state: str) -> JSON:
    """A BundleDeployment that is in this state."""
    if state == "ErrApplied":
        said = "timed out waiting for the condition"
        why = {"type": "Deployed", "status": "False", "reason": "Error", "message": said}
        return {"spec": {"deploymentID": "new"}, "status": {"appliedDeploymentID": "old", "conditions": [why]}}
    staged = "new" if state == "OutOfSync" else "old"
    return {"spec": {"deploymentID": "old", "stagedDeploymentID": staged},
            "status": {"appliedDeploymentID": "old", "ready": True, "nonModified": True}}  # fmt: skip


def phase(shown: Mapping[str, list[JSON]]) -> str:
    """The state of the latest Upgrade and of its nodes in one line, for who reads a film."""
    for item in shown["upgrades"]:
        if condition(item, "Completed"):
            nodes = sorted((status(item).get("nodeStatuses") or {}).items())
            return " ".join((labels(item).get(STATE, ""), *(f"{name}={entry['state']}" for name, entry in nodes)))
    return ""
