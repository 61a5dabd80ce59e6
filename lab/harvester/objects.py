# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a Harvester of some nodes, as its controllers write them; and an upgrade that can never go on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from lab.harvester.crds import KINDS, Defined

JSON = dict[str, Any]
FLEET, LONGHORN, SYSTEM = "fleet-local", "longhorn-system", "harvester-system"
PRETERMINATE = "pre-terminate.delete.hook.machine.cluster.x-k8s.io/rke-bootstrap-cleanup"
ETCD_FINALIZER = "wrangler.cattle.io/rke-bootstrap-etcd-removal"
MACHINE_FINALIZER, LONGHORN_FINALIZER = "machine.cluster.x-k8s.io", "longhorn.io"
ATTACHER_FINALIZER = "external-attacher/driver-longhorn-io"
LONG_AGO = "2026-01-01T00:00:00Z"
UPGRADE = "hvst-upgrade-x7k2p"
DRAIN = (
    '{"enabled":true,"force":true,"ignoreDaemonSets":true,"deleteEmptyDirData":true,'
    '"preDrainHooks":[{"annotation":"harvesterhci.io/pre-hook"}],'
    '"postDrainHooks":[{"annotation":"harvesterhci.io/post-hook"}]}'
)
BUILT_IN = {
    "Node": _api.Kind("", "v1", "nodes", namespaced=False),
    "Secret": _api.Kind("", "v1", "secrets"),
    "Pod": _api.Kind("", "v1", "pods"),
    "Lease": _api.Kind("coordination.k8s.io", "v1", "leases"),
    "VolumeAttachment": _api.Kind("storage.k8s.io", "v1", "volumeattachments", namespaced=False),
    "Job": _api.Kind("batch", "v1", "jobs"),
    "ConfigMap": _api.Kind("", "v1", "configmaps"),
    "Service": _api.Kind("", "v1", "services"),
    "Deployment": _api.Kind("apps", "v1", "deployments"),
    "DaemonSet": _api.Kind("apps", "v1", "daemonsets"),
    "PersistentVolumeClaim": _api.Kind("", "v1", "persistentvolumeclaims"),
}


@dataclass(frozen=True)
class Release:
    """What belongs together in a release; `facts/harvester.md` 10."""

    harvester: str
    kubernetes: str
    rancher: str
    oldest: str
    """What can be upgraded to it."""

    @property
    def os(self) -> str:
        return f"Harvester {self.harvester}"

    @property
    def file(self) -> dict[str, str]:
        """/etc/harvester-release.yaml."""
        return {
            "harvester": self.harvester, "harvesterChart": self.harvester.removeprefix("v"), "os": self.os,
            "kubernetes": self.kubernetes, "rancher": self.rancher, "monitoringChart": "103.0.3+up45.31.1",
            "minUpgradableVersion": self.oldest,
        }  # fmt: skip


RELEASES = {
    words[0]: Release(*words)
    for words in (
        ("v1.2.2", "v1.26.15+rke2r1", "v2.8.2", "v1.2.1"), ("v1.3.1", "v1.27.13+rke2r1", "v2.8.3", "v1.2.2"),
        ("v1.3.2", "v1.28.12+rke2r1", "v2.8.5", "v1.3.1"), ("v1.4.0", "v1.29.9+rke2r1", "v2.9.2", "v1.3.2"),
        ("v1.4.1", "v1.30.7+rke2r1", "v2.9.3", "v1.4.0"),
        ("v1.5.1", "v1.32.4+rke2r1", "v2.11.2", "v1.4.2"), ("v1.6.1", "v1.33.5+rke2r1", "v2.12.2", "v1.5.0"),
        ("v1.7.1", "v1.34.3+rke2r3", "v2.13.1", "v1.6.0"), ("v1.8.1", "v1.35.6+rke2r1", "v2.14.2", "v1.7.0"),
    )
}  # fmt: skip


def machine(node: str) -> str:
    """Name of the Machine of a node."""
    return f"custom-{_machine_id(node)[:12]}"


def _machine_id(node: str) -> str:
    return hashlib.sha256(f"machine {node}".encode()).hexdigest()[:63]


def _object(kind: str, version: str, name: str, namespace: str = "", **parts: Any) -> JSON:
    meta = {"name": name, **({"namespace": namespace} if namespace else {}), **parts.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **parts}


def _owner(version: str, kind: str, name: str) -> list[JSON]:
    return [{"apiVersion": version, "kind": kind, "name": name, "uid": "", "controller": True}]


def cluster(nodes: Mapping[str, str], *, release: str = "v1.3.1", living: Sequence[str] = ()) -> list[JSON]:
    """CAPI, Rancher and Longhorn of these nodes (name -> address), and the Nodes and Leases of those that do not live.

    Each of three volumes (vol-1 ...) has a replica on each node; vol-1 is attached to the first that does not live.
    """
    dead = [name for name in nodes if name not in living]
    made = [
        _object("Cluster", "provisioning.cattle.io/v1", "local", FLEET, spec={
            "kubernetesVersion": RELEASES[release].kubernetes, "rkeConfig": {"provisionGeneration": 3}}),
        _object("Cluster", "cluster.x-k8s.io/v1beta1", "local", FLEET, spec={
            "paused": False, "controlPlaneRef": {"kind": "RKEControlPlane", "name": "local", "namespace": FLEET}},
            status={"phase": "Provisioned"}),
        _object("RKEControlPlane", "rke.cattle.io/v1", "local", FLEET, spec={
            "kubernetesVersion": RELEASES[release].kubernetes}),
    ]  # fmt: skip
    for name, address in nodes.items():
        made += _machine(name, address, first=next(iter(nodes.values())))
        made += storage(name, ready=name in living)
    made += _volumes(list(nodes), attached=dead[:1])
    for name in dead:
        made += node(name, nodes[name], release)
    return made


def node(name: str, address: str, release: str) -> list[JSON]:
    """A Node that reports no more, with its Lease, its stored password and a pod that nobody ends."""
    of = RELEASES[release]
    return [
        _object("Node", "v1", name, metadata={
            "labels": {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true",
                       "kubernetes.io/hostname": name},
            "annotations": {"cluster.x-k8s.io/machine": machine(name), "cluster.x-k8s.io/cluster-name": "local"},
        }, spec={"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": LONG_AGO}]},
            status={
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
                "conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                                "message": "Kubelet stopped posting node status.", "lastTransitionTime": LONG_AGO,
                                "lastHeartbeatTime": LONG_AGO}],
                "nodeInfo": dict.fromkeys(("machineID", "systemUUID", "bootID", "kernelVersion", "kubeProxyVersion",
                                           "containerRuntimeVersion", "operatingSystem", "architecture"), "")
                | {"osImage": of.os, "kubeletVersion": of.kubernetes}}),
        _object("Lease", "coordination.k8s.io/v1", name, "kube-node-lease", spec={
            "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}),
        _object("Secret", "v1", f"{name}.node-password.rke2", "kube-system", type="Opaque", data={"hash": "eA=="}),
        _object("Pod", "v1", f"virt-launcher-{name}", "default", metadata={"finalizers": []}, spec={
            "nodeName": name, "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": False,
            "containers": [{"name": "x", "image": "x"}], "tolerations": [{"operator": "Exists"}]}),
    ]  # fmt: skip


def _machine(name: str, address: str, *, first: str) -> list[JSON]:
    """Machine, RKEBootstrap, CustomMachine and the secrets; the first node is the init node."""
    it, url, init = machine(name), f"https://{address}:9345", address == first
    roles = {f"rke.cattle.io/{role}-role": "true" for role in ("control-plane", "etcd", "worker")}
    labels = {"cluster.x-k8s.io/cluster-name": "local", "rke.cattle.io/machine-id": _machine_id(name), **roles}
    owner = _owner("cluster.x-k8s.io/v1beta1", "Machine", it)
    plan = {"rke.cattle.io/join-url": url, "rke.cattle.io/joined-to": "" if init else f"https://{first}:9345"}
    return [
        _object("Machine", "cluster.x-k8s.io/v1beta1", it, FLEET, metadata={
            "labels": {**labels, "cluster.x-k8s.io/control-plane": "true"}, "finalizers": [MACHINE_FINALIZER],
            "annotations": {PRETERMINATE: "rke-bootstrap-controller"},
        }, spec={
            "clusterName": "local", "providerID": f"rke2://{name}",
            "bootstrap": {"configRef": {"apiVersion": "rke.cattle.io/v1", "kind": "RKEBootstrap", "name": it}},
            "infrastructureRef": {"apiVersion": "rke.cattle.io/v1", "kind": "CustomMachine", "name": it},
        }, status={
            "phase": "Running", "nodeRef": {"apiVersion": "v1", "kind": "Node", "name": name},
            "addresses": [{"type": "InternalIP", "address": address}]}),
        _object("RKEBootstrap", "rke.cattle.io/v1", it, FLEET, metadata={
            "labels": labels, "finalizers": [ETCD_FINALIZER], "ownerReferences": owner}, spec={"clusterName": "local"}),
        _object("CustomMachine", "rke.cattle.io/v1", it, FLEET, metadata={
            "labels": labels, "finalizers": ["wrangler.cattle.io/unmanaged-machine"], "ownerReferences": owner,
        }, spec={"providerID": f"rke2://{name}"}),
        _object("Secret", "v1", f"{it}-machine-plan", FLEET, type="rke.cattle.io/machine-plan", metadata={
            "labels": {**labels, "rke.cattle.io/machine-name": it,
                       **({"rke.cattle.io/init-node": "true"} if init else {})},
            "annotations": {key: value for key, value in plan.items() if value},
            "ownerReferences": _owner("rke.cattle.io/v1", "RKEBootstrap", it),
        }, data={"plan": "c2VjcmV0IG9mIGEgcGxhbg=="}),
        _object("Secret", "v1", f"{it}-machine-state", FLEET, type="rke.cattle.io/machine-state", metadata={
            "labels": {"rke.cattle.io/machine-name": it},
            "ownerReferences": _owner("rke.cattle.io/v1", "RKEBootstrap", it)}),
    ]  # fmt: skip


def storage(name: str, *, ready: bool) -> list[JSON]:
    """Longhorn's node and the block device below its disk."""
    state = {"status": "True", "reason": ""} if ready else {"status": "False", "reason": "KubernetesNodeNotReady"}
    return [
        _object("Node", "longhorn.io/v1beta2", name, LONGHORN, metadata={"finalizers": [LONGHORN_FINALIZER]}, spec={
            "name": name, "allowScheduling": True, "evictionRequested": False,
            "disks": {"default": {"path": "/var/lib/harvester/defaultdisk", "allowScheduling": True}},
        }, status={"conditions": [{"type": "Ready", **state}],
                   "diskStatus": {"default": {"diskUUID": f"disk-of-{name}", "scheduledReplica": {}}}}),
        _object("BlockDevice", "harvesterhci.io/v1beta1", hashlib.sha256(name.encode()).hexdigest()[:32], LONGHORN,
                metadata={"labels": {"kubernetes.io/hostname": name}}, spec={"nodeName": name, "devPath": "/dev/sda"},
                status={"state": "Active"}),
    ]  # fmt: skip


def _volumes(nodes: list[str], attached: Sequence[str]) -> list[JSON]:
    first = attached[0] if attached else ""
    return [
        item for name in ("vol-1", "vol-2", "vol-3") for item in volume(name, nodes, first if name == "vol-1" else "")
    ]


def volume(name: str, nodes: Sequence[str], on: str) -> list[JSON]:
    """A volume of Longhorn with a good replica on each of the nodes, attached to one of them or to none."""
    return [
        _object("Volume", "longhorn.io/v1beta2", name, LONGHORN, spec={
            "numberOfReplicas": len(nodes), "nodeID": on},
            status={"state": "attached" if on else "detached", "robustness": "degraded" if on else "unknown"}),
        _object("Engine", "longhorn.io/v1beta2", f"{name}-e-0", LONGHORN, spec={
            "volumeName": name, "nodeID": on}, status={"replicaModeMap": {}}),
        *(replica(name, node) for node in nodes),
        *([attachment(name, on)] if on else []),
    ]  # fmt: skip


def attachment(volume: str, on: str) -> JSON:
    """A volume is attached to a node."""
    return _object("VolumeAttachment", "storage.k8s.io/v1", f"csi-{volume}-{on}",
                   metadata={"finalizers": [ATTACHER_FINALIZER]},
                   spec={"attacher": "driver.longhorn.io", "nodeName": on,
                         "source": {"persistentVolumeName": volume}})  # fmt: skip


def replica(volume: str, on: str, *, healthy: bool = True) -> JSON:
    """A replica that is good, or one that is still being built."""
    return _object("Replica", "longhorn.io/v1beta2", f"{volume}-r-{on}", LONGHORN, metadata={
        "finalizers": [LONGHORN_FINALIZER], "labels": {"longhornvolume": volume}},
        spec={"volumeName": volume, "nodeID": on, "healthyAt": LONG_AGO if healthy else "", "failedAt": ""},
        status={"currentState": "stopped"})  # fmt: skip


def _brings(of: Release) -> str:
    """What the ISO has, as Harvester notes it."""
    return f"release:\n  harvester: {of.harvester}\n  os: {of.os}\n  kubernetes: {of.kubernetes}\n"


def stuck_upgrade(states: Mapping[str, str], *, previous: str = "v1.3.1", target: str = "v1.3.2") -> list[JSON]:
    """An upgrade that was begun anew in phase 4: its nodes wait for ever, and charts and plans of the first are left.

    states: node -> its state in the Upgrade.
    """
    done = ("LogReady", "ImageReady", "RepoReady", "NodesPrepared", "SystemServicesUpgraded")
    return [
        _object("Upgrade", "harvesterhci.io/v1beta1", UPGRADE, SYSTEM, metadata={
            "labels": {"harvesterhci.io/latestUpgrade": "true", "harvesterhci.io/upgradeState": "UpgradingNodes"},
        }, spec={"version": target, "logEnabled": True}, status={
            "previousVersion": previous, "repoInfo": _brings(RELEASES[target]),
            "nodeStatuses": {name: {"state": state} for name, state in states.items()},
            "conditions": [*({"type": kind, "status": "True"} for kind in done),
                           *({"type": kind, "status": "Unknown"} for kind in ("NodesUpgraded", "Completed"))]}),
        *(_object("Plan", "upgrade.cattle.io/v1", f"{name}-prepare", "cattle-system", spec={"concurrency": 1})
          for name in (UPGRADE, "hvst-upgrade-first")),
        *(_object("ManagedChart", "management.cattle.io/v3", name, FLEET, spec={"paused": name.startswith("harvester")})
          for name in ("harvester", "harvester-crd", "rancher-monitoring-crd", "rancher-logging-crd")),
        _object("Setting", "longhorn.io/v1beta2", "replica-replenishment-wait-interval", LONGHORN, value="1800"),
    ]  # fmt: skip


def leftovers(name: str) -> dict[str, JSON]:
    """Merge patches that make Node and plan secret of a node look as the first try of that upgrade has left them."""
    drained = {f"rke.cattle.io/{word}": DRAIN for word in ("pre-drain", "drain-options")}
    return {
        "node": {
            "metadata": {"annotations": {"harvesterhci.io/pendingOSImage": RELEASES["v1.3.2"].os,
                                         "cluster.x-k8s.io/machine": machine(name)},
                         "labels": {"plan.upgrade.cattle.io/hvst-upgrade-first-prepare": "c0ffee"}},
            "spec": {"unschedulable": True, "taints": [{"key": "kubevirt.io/drain", "value": "draining",
                                                        "effect": "NoSchedule"}]}},
        "secret": {"metadata": {"annotations": {**drained, "harvesterhci.io/pre-hook": DRAIN}}},
    }  # fmt: skip


def kind_of(item: JSON) -> _api.Kind:
    """How the API serves an object."""
    group = item["apiVersion"].rpartition("/")[0]
    found: Defined | None = next((kind for kind in KINDS if (kind.group, kind.kind) == (group, item["kind"])), None)
    return _api.Kind(found.group, found.version, found.plural, found.namespaced) if found else BUILT_IN[item["kind"]]


def parted(item: JSON) -> bool:
    """Whether its status is a subresource."""
    group = item["apiVersion"].rpartition("/")[0]
    return all(kind.status for kind in KINDS if (kind.group, kind.kind) == (group, item["kind"]))


def write(api: _api.Api, items: Sequence[JSON]) -> None:
    """Make them in this order; owners come before what they own, and a status is written after its object.

    A pod of a node that is dead is deleted at once: nobody ever ends it.
    """
    uids: dict[tuple[str, str], str] = {}
    for item in items:
        kind, meta = kind_of(item), item["metadata"]
        owners = [{**owner, "uid": uids[owner["kind"], owner["name"]]} for owner in meta.get("ownerReferences", ())]
        body = {**item, "metadata": {**meta, **({"ownerReferences": owners} if owners else {})}}
        status = body.pop("status", None) if parted(item) else None
        uids[item["kind"], meta["name"]] = make(api, kind, body)
        if status is not None:
            api.patch(kind, meta["name"], {"status": status}, meta.get("namespace", ""), subresource="status")
        if item["kind"] == "Pod" and "labels" not in meta:
            api.delete(kind, meta["name"], meta["namespace"])


def make(api: _api.Api, kind: _api.Kind, body: JSON) -> str:
    """Its uid; also where it is there already."""
    try:
        return str(api.create(kind, body)["metadata"]["uid"])
    except RequorumError as error:
        found = api.get(kind, body["metadata"]["name"], body["metadata"].get("namespace", ""))
        if found is None:
            raise error
        return str(found["metadata"]["uid"])
