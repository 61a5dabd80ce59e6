# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that kubelet writes to the API: Node, Lease, mirror pods and pod status."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .cri import HASH, MIRROR, SEEN, SOURCE, Container, Pod
from .podsync import Desired

LEASE_SECONDS = 40


def stamp(seconds: float | None = None) -> str:
    """Time as the API writes it."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def conditions(ready: bool, since: Mapping[str, str], now: str) -> list[dict[str, str]]:
    """The four conditions of kubelet; `since` maps `<type>=<status>` to when it became so."""
    rows = [("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ("Ready", "True", "KubeletReady", "kubelet is posting ready status") if ready else
            ("Ready", "False", "KubeletNotReady", "container runtime is down")]
    return [{"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": now,
             "lastTransitionTime": since.get(f"{kind}={status}", now)} for kind, status, reason, message in rows]


def transitions(node: Mapping[str, Any]) -> dict[str, str]:
    """Since when the conditions of a Node are what they are."""
    return {f"{row['type']}={row['status']}": row["lastTransitionTime"]
            for row in node.get("status", {}).get("conditions") or []}


def node_labels(name: str) -> dict[str, str]:
    """Labels that a kubelet may set on its own Node; the roles are the supervisor's."""
    return {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}


def node_status(name: str, address: str, version: str, ready: bool, since: Mapping[str, str]) -> dict[str, Any]:
    """Status of the Node."""
    memory = next((line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "0")
    disk = os.statvfs("/var/lib")
    size = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": "110",
            "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki"}
    system = next((line.partition("=")[2].strip('"') for line in _read("/etc/os-release").splitlines()
                   if line.startswith("PRETTY_NAME=")), "Linux")
    machine = _read("/etc/machine-id")
    runtime = f"containerd://2.1.5{'-k3s1' if 'k3s' in version else '+unknown'}"
    return {
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "capacity": size, "allocatable": size, "conditions": conditions(ready, since, stamp()),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux", "osImage": system, "machineID": machine,
                     "systemUUID": machine, "bootID": _read("/proc/sys/kernel/random/boot_id"),
                     "kernelVersion": os.uname().release, "containerRuntimeVersion": runtime,
                     "kubeletVersion": version, "kubeProxyVersion": ""}}


def node(name: str, address: str, version: str, ready: bool) -> dict[str, Any]:
    """The Node as kubelet registers it."""
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": node_labels(name), "annotations": {
                "volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
            "status": node_status(name, address, version, ready, {})}


def lease(name: str, uid: str) -> dict[str, Any]:
    """The Lease by which the Node is known to live."""
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name, "namespace": "kube-node-lease",
                         "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}]},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS,
                     "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


def mirror(pod: Desired, node_name: str, node_uid: str) -> dict[str, Any]:
    """The mirror pod of a static pod, as NodeRestriction accepts it."""
    metadata = pod.manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), HASH: pod.uid, MIRROR: pod.uid, SEEN: stamp(), SOURCE: "file"}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": dict(pod.labels),
                         "annotations": annotations,
                         "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid,
                                              "controller": True}]},
            "spec": {**pod.manifest["spec"], "nodeName": node_name,
                     "tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}}


def _container_status(name: str, image: str, row: Container | None) -> dict[str, Any]:
    state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
    if row is not None and row.state == "Running":
        state = {"running": {"startedAt": stamp(row.started_at)}}
    elif row is not None:
        state = {"terminated": {
            "exitCode": row.exit_code, "reason": "Error" if row.exit_code else "Completed",
            "startedAt": stamp(row.started_at), "finishedAt": stamp(row.finished_at or row.started_at),
            "containerID": f"containerd://{row.id}"}}
    running = "running" in state
    status = {"name": name, "image": image, "imageID": "", "ready": running, "started": running,
              "restartCount": row.attempt if row else 0, "state": state}
    return {**status, "containerID": f"containerd://{row.id}"} if row else status


def pod_status(want: Desired, have: Pod | None, address: str) -> dict[str, Any]:
    """Status of a pod from what its sandbox does."""
    rows = [have.latest(spec.name) if have else None for spec in want.containers]
    statuses = [_container_status(spec.name, spec.image, row)
                for spec, row in zip(want.containers, rows, strict=True)]
    ready = bool(statuses) and all(status["ready"] for status in statuses)
    ended = [row for row in rows if row and row.state != "Running"]
    phase = "Pending" if have is None else "Running"
    if rows and len(ended) == len(rows) and (
            want.restart == "Never" or (want.restart == "OnFailure" and not any(row.exit_code for row in ended))):
        phase = "Failed" if any(row.exit_code for row in ended) else "Succeeded"
    began = stamp(have.created_at) if have else stamp()
    state = "True" if ready else "False"
    flags = {"PodReadyToStartContainers": "True" if have else "False", "Initialized": "True", "Ready": state,
             "ContainersReady": state, "PodScheduled": "True"}
    return {"phase": phase, "hostIP": address, "hostIPs": [{"ip": address}], "podIP": address,
            "podIPs": [{"ip": address}], "startTime": began, "containerStatuses": statuses,
            "conditions": [{"type": kind, "status": value, "lastTransitionTime": began, "lastProbeTime": None}
                           for kind, value in flags.items()]}
