# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the pods of the jobs in harvester-system (hv:package/upgrade/{upgrade_node,upgrade_manifests,lib}.sh).

A script is a generator of the lines that it says. It begins anew at each look, and what it did before is not done
twice; `Waits` ends a look.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.harvester.kinds import ready
from lab.harvester.upgrade import made, told
from lab.harvester.upgrade.seen import (
    COMPONENT,
    OF,
    World,
    condition,
    labels,
    name_of,
    status,
)
from lab.harvester.upgrade.work import TAINT, say

JSON = dict[str, Any]
PAUSED = ("harvester", "harvester-crd", "rancher-monitoring-crd", "rancher-logging-crd")
EVACUATION = "kubevirt-migration-pdb-kubevirt-evacuation-"


class Waits(Exception):
    """It waits for something, and has said so."""


def jobs(world: World) -> None:
    """Jobs begin, go on and end."""
    for job in world["jobs"]:
        upgrade = world.one("upgrades", labels(job).get(OF, ""))
        if upgrade is None or labels(job).get(COMPONENT) not in ("node", "manifest") or made.ended(job):
            continue
        node = labels(job).get(made.ON_NODE) or _anywhere(world)
        pod = next((each for each in world["pods"] if labels(each).get("job-name") == name_of(job)), None)
        if pod is None:
            pod = world.add("pods", made.job_pod(job, node))
            status(pod)["phase"] = "Running"
            made.runs(world, job)
        else:
            _go_on(world, upgrade, job, pod, node)


def _anywhere(world: World) -> str:
    """A node that takes pods, best one with a host, on which the log can be read."""
    able = [each for each in world["nodes"] if ready(each) and not each["spec"].get("unschedulable")]
    return name_of(min(able or world["nodes"], key=lambda each: name_of(each) not in world.hosts))


def _go_on(world: World, upgrade: JSON, job: JSON, pod: JSON, node: str) -> None:
    kind = labels(job).get(made.TYPE, "")
    if world.stalls("node-failed", node) and world.old(job) and kind == made.PRE_DRAIN:
        say(pod, "Exit 1 manually.")
        status(pod)["phase"] = "Failed"
        made.ends(world, job, failed="BackoffLimitExceeded",
                  message="Job has reached the specified backoff limit")  # fmt: skip
        return
    script = {made.PRE_DRAIN: pre_drain, made.POST_DRAIN: post_drain, made.SINGLE: single}.get(kind, manifests)
    lines: list[str] = []
    try:
        for line in script(world, upgrade, job, node):
            lines.append(line)
        ended = world.old(job)
    except Waits as wait:
        lines += [str(wait)] if str(wait) else []
        ended = False
    say(pod, *lines)
    if ended:
        status(pod)["phase"] = "Succeeded"
        made.ends(world, job)


def pre_drain(world: World, upgrade: JSON, job: JSON, node: str) -> Iterator[str]:
    """Volumes, machines, evacuation."""
    sick = [v for v in world["volumes"] if (v.get("status") or {}).get("state") == "attached"
            and status(v).get("robustness") != "healthy"]  # fmt: skip
    for volume in world["volumes"]:
        if (volume.get("status") or {}).get("state") == "attached":
            yield f"Checking running engine {name_of(volume)}-e-0..."
    if sick and len(world["nodes"]) > 2:
        raise Waits(f"Waiting for volume {name_of(sick[0])} to be healthy...")
    found = world.one("nodes", node)
    if found and not any(each.get("key") == TAINT["key"] for each in found["spec"].get("taints") or ()):
        found["spec"]["taints"] = [*(found["spec"].get("taints") or ()), dict(TAINT)]
    there = [g for g in world["guests"] if (g.get("status") or {}).get("nodeName") == node
             and status(g).get("phase") != "Succeeded"]  # fmt: skip
    if there:
        raise Waits(f"Waiting for VM live-migration or shutdown...(count: {len(there)})")
    yield f"all VMs on node {node} have been live-migrated or shutdown"
    if any(name_of(each).startswith(EVACUATION) for each in world["budgets"]):
        raise Waits("Waiting for evacuation PDB gone...")
    before = status(upgrade).get("previousVersion")
    yield (f"The UPGRADE_PREVIOUS_VERSION is {before}, NODE_CURRENT_HARVESTER_VERSION is {before}, "
           "will check Logging Event Audit upgrade node option")  # fmt: skip
    yield f"Logging Event Audit: nothing to do in {before}"


def post_drain(world: World, upgrade: JSON, job: JSON, node: str) -> Iterator[str]:
    """RKE2, then the system."""
    yield from _repo(world, upgrade)
    yield from _rke2_and_os(world, upgrade, node)


def single(world: World, upgrade: JSON, job: JSON, node: str) -> Iterator[str]:
    """All of it on the only node."""
    yield "Upgrade single node"
    yield from _repo(world, upgrade)
    running = [each for each in world["guests"] if labels(each).get(COMPONENT) != "repo"]
    if running or world.stalls("predrain-vms", node):
        raise Waits(f"Waiting for VM shutdown...(count: {len(running) or 1})")
    yield "all VMs are down"
    yield "wait for fleet bundles before upgrading RKE2"
    yield "all bundles are ready"
    for cluster in world["provisioning"]:
        cluster["spec"]["kubernetesVersion"] = told.brings(upgrade)["kubernetes"]
    yield from _rke2_and_os(world, upgrade, node)


def _repo(world: World, upgrade: JSON) -> Iterator[str]:
    vm = world.one("vms", made.repo(upgrade)) or {}
    if (vm.get("status") or {}).get("printableStatus") != "Running":
        raise Waits("Try to bring up the upgrade repo VM...")
    url = f"http://{made.repo(upgrade)}.harvester-system/harvester-iso/harvester-release.yaml"
    yield f'Downloading the file from "{url}" to "/tmp/tmp.yaml"...'


def _rke2_and_os(world: World, upgrade: JSON, node: str) -> Iterator[str]:
    found, info = world.one("nodes", node), told.brings(upgrade)
    if found is None or status(found)["nodeInfo"]["kubeletVersion"] != info["kubernetes"]:
        raise Waits("Waiting for RKE2 to be upgraded...")
    taints = [each for each in found["spec"].get("taints") or () if each.get("key") != TAINT["key"]]
    if taints != (found["spec"].get("taints") or []):
        found["spec"]["taints"] = taints
    before = status(upgrade).get("previousVersion")
    yield (f"The UPGRADE_PREVIOUS_VERSION is {before}, NODE_CURRENT_HARVESTER_VERSION is {before}, "
           "will check nodenetwork upgrade node option")  # fmt: skip
    yield "There is nothing to do in nodenetwork"
    if world.stalls("postdrain-elemental", node):
        yield "elemental upgrade failed with return code: 33"
        raise Waits(f'Running "upgrade_node.sh {made.POST_DRAIN}" errors, will retry after 10 minutes (0 retries)...')
    if status(found)["nodeInfo"]["osImage"] == info["os"]:
        yield f'Skip upgrading OS. The OS version is already "{info["os"]}".'


def manifests(world: World, upgrade: JSON, job: JSON, node: str) -> Iterator[str]:
    """Phase 3: charts are paused, Rancher is upgraded, then Harvester's own charts, then everything goes on."""
    info, name = told.brings(upgrade), name_of(upgrade)
    yield from _repo(world, upgrade)
    yield f"Executing {status(upgrade).get('previousVersion')} pre-hook..."
    version = info["harvesterChart"]
    charts = {name_of(each): each for each in world["charts"]}
    begun = (charts.get("harvester") or {"spec": {}})["spec"].get("version") == version
    if not begun:
        for chart in PAUSED:
            if chart in charts:
                charts[chart]["spec"]["paused"] = True
    plan = f"{name}-skip-restart-rancher-system-agent"
    yield f"Creating plan {plan} to make rancher-system-agent temporarily skip restarting RKE2 server..."
    yield f"Plan {plan} completes."
    yield "Upgrading Rancher"
    _until(world, job, 1, "Wait for Rancher to be upgraded...")
    yield "Wait for cluster settling down..."
    cluster = next(iter(world["clusters"]), {})
    phase, generation = (cluster.get("status") or {}).get("phase"), (cluster.get("status") or {}).get(
        "observedGeneration", 2)  # fmt: skip
    if phase != "Provisioned":
        raise Waits(f"Waiting for CAPI cluster fleet-local/local to be provisioned (current phase: {phase}, "
                    f"current generation: {generation})...")  # fmt: skip
    yield f"CAPI cluster fleet-local/local is provisioned (current generation: {generation})."
    yield "Upgrading Harvester Cluster Repo"
    yield "Upgrading Harvester"
    for chart in ("harvester", "harvester-crd"):
        if chart in charts:
            charts[chart]["spec"].update({"version": version, "paused": False})
    for chart in ("harvester", "harvester-crd"):
        yield from _chart(charts.get(chart), version)
    for setting in world["config"]:
        if name_of(setting) == "server-version":
            setting["value"] = info["harvester"]
    _until(world, job, 2, "Waiting for LH settling down...")
    for chart in ("rancher-monitoring-crd", "rancher-logging-crd"):
        if chart in charts:
            has = charts[chart]["spec"].get("version")
            yield f"Upgrading Managedchart {chart} to {has}"
            charts[chart]["spec"]["paused"] = False
            yield f"the {chart} has already been target version {has}, nothing to upgrade"
    yield "all bundles are ready"


def _until(world: World, job: JSON, steps: int, line: str) -> None:
    if not world.old(job, steps):
        raise Waits(line)


def _chart(chart: JSON | None, version: str) -> Iterator[str]:
    """wait_managed_chart: its version, and one cluster that is ready."""
    if chart is None:
        return
    of = chart.get("status") or {}
    generation, state = of.get("observedGeneration", 1), (of.get("display") or {}).get("state") or "null"
    yield f"Waiting for ManagedChart fleet-local/{name_of(chart)} from generation {generation}"
    yield f"Target version: {version}, Target state: ready"
    line = f"Current version: {chart['spec'].get('version')}, Current state: {state}, Current generation: {generation}"
    summary = of.get("summary") or {}
    if summary.get("ready") != 1 or state != "null" or condition(chart, "Ready") != "True":
        raise Waits(line)
    yield line
