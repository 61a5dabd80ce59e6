# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvester's promote controller (hv:pkg/controller/master/node/promote_controller.go): three nodes, or nobody.

Zones and a second witness are not played.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.kinds import BOOTSTRAPS, JOBS, MACHINES, NODES, SECRETS, ready
from lab.harvester.machines import OF_NODE
from lab.harvester.play import settle

JSON = dict[str, Any]
STATUS, OF_JOB = "harvesterhci.io/promote-status", "harvesterhci.io/promote-node"
ROLES = ("control-plane", "etcd")
WANTED = 3


def manages(node: Mapping[str, Any]) -> bool:
    """Whether it is a management node by its labels."""
    labels = _labels(node)
    words = [labels[key] for role in ("master", *ROLES) if (key := f"node-role.kubernetes.io/{role}") in labels]
    return bool(words) and words[0] == "true"


def _can(node: Mapping[str, Any]) -> bool:
    """Whether a worker may be promoted: healthy, of Harvester, and not to stay a worker."""
    labels, conditions = _labels(node), node["status"].get("conditions") or ()
    pressed = any(c["type"].endswith(("Pressure", "Unavailable")) and c["status"] == "True" for c in conditions)
    kept = "node-role.harvesterhci.io/worker" in labels
    return ready(node) and not pressed and not kept and "harvesterhci.io/managed" in labels


def choose(nodes: Sequence[Mapping[str, Any]]) -> str:
    """The worker that is promoted next, the oldest of those that prefer to manage, else of all; empty for nobody."""
    managing = [node for node in nodes if manages(node)]
    workers = [node for node in nodes if not manages(node)]
    able = [node for node in workers if _can(node)]
    states = {state(node) for node in nodes} & {"running", "failed", "unknown"}
    states |= {state(node) for node in workers} & {"complete"}
    if len(managing) >= WANTED or states or len(managing) + len(able) < WANTED:
        return ""
    for role in ("management", "witness"):
        able = [node for node in able if f"node-role.harvesterhci.io/{role}" in _labels(node)] or able
    return str(min(able, key=_age)["metadata"]["name"]) if able else ""


def _labels(node: Mapping[str, Any]) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _age(node: Mapping[str, Any]) -> tuple[str, str]:
    return str(node["metadata"].get("creationTimestamp") or ""), str(node["metadata"]["name"])


def state(node: Mapping[str, Any]) -> str:
    """How far its promotion is."""
    return str((node["metadata"].get("annotations") or {}).get(STATUS) or "")


def promote(api: _api.Api) -> None:
    """Begin one promotion, or bring the one that runs on."""
    nodes = [node for node in api.items(NODES) or () if not node["metadata"].get("deletionTimestamp")]
    jobs = {job["metadata"]["name"]: job for job in api.items(JOBS, objects.SYSTEM) or ()}
    for job in jobs.values():
        of = (job["metadata"].get("labels") or {}).get(OF_JOB)
        if of and of not in {node["metadata"]["name"] for node in nodes}:
            api.delete(JOBS, job["metadata"]["name"], objects.SYSTEM)
    for node in nodes:
        if state(node) == "running":
            _go_on(api, node, jobs.get(_job_name(node)))
    if name := choose(nodes):
        node = next(each for each in nodes if each["metadata"]["name"] == name)
        settle(api, NODES, node, {"metadata": {"annotations": {STATUS: "running"}}, "spec": {"unschedulable": True}})
        if _job_name(node) not in jobs:  # else it waits for ever (harvester#1040)
            api.create(JOBS, _job(node))


def _job_name(node: Mapping[str, Any]) -> str:
    return f"harvester-promote-{node['metadata']['name']}"


def _job(node: JSON) -> JSON:
    name, meta = _job_name(node), node["metadata"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": meta["name"], "uid": meta["uid"]}
    container = {"name": "promote", "image": "rancher/harvester-upgrade", "command": ["/harvester-helpers/promote.sh"]}
    pod = {"spec": {"restartPolicy": "Never", "nodeName": meta["name"], "containers": [container]}}
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": objects.SYSTEM, "labels": {OF_JOB: meta["name"]},
                     "ownerReferences": [owner]},
        "spec": {"backoffLimit": 2, "template": pod},
    }  # fmt: skip


def _go_on(api: _api.Api, node: JSON, job: JSON | None) -> None:
    """What promote.sh does on the node, and what the controller makes of the end of its Job."""
    if job is None:
        settle(api, NODES, node, {"metadata": {"annotations": {STATUS: "unknown"}}})
        return
    if {owner["uid"] for owner in job["metadata"].get("ownerReferences") or ()} != {node["metadata"]["uid"]}:
        return
    ended = {c["type"] for c in (job.get("status") or {}).get("conditions") or () if c["status"] == "True"}
    if "Failed" in ended:
        settle(api, NODES, node, {"metadata": {"annotations": {STATUS: "failed"}}})
    elif "Complete" in ended:
        done = {"metadata": {"annotations": {STATUS: "complete"}}, "spec": {"unschedulable": None}}
        settle(api, NODES, node, done)
    elif manages(node) and ready(node):
        settle(api, JOBS, job, {"status": _success()}, "status")
    elif machine := (node["metadata"].get("annotations") or {}).get(OF_NODE):
        _label(api, machine)


def _label(api: _api.Api, machine: str) -> None:
    """The roles of a server, on all that Rancher looks at; its hook protects etcd from now on."""
    roles: JSON = {"labels": {f"rke.cattle.io/{role}-role": "true" for role in ROLES}}
    control: JSON = {"labels": {**roles["labels"], "cluster.x-k8s.io/control-plane": "true"}}
    hook = {"annotations": {objects.PRETERMINATE: "rke-bootstrap-controller"}}
    for kind, name, change in (
        (MACHINES, machine, {**control, **hook}),
        (BOOTSTRAPS, machine, roles),
        (SECRETS, f"{machine}-machine-plan", roles),
    ):
        if item := api.get(kind, name, objects.FLEET):
            settle(api, kind, item, {"metadata": change})


def _success() -> JSON:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    conditions = [{"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now,
                   "reason": "CompletionsReached"} for kind in ("SuccessCriteriaMet", "Complete")]  # fmt: skip
    return {"conditions": conditions, "startTime": now, "completionTime": now, "succeeded": 1, "ready": 0,
            "terminating": 0, "uncountedTerminatedPods": {}}  # fmt: skip
