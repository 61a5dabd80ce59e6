# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story: v1.3.1 to v1.3.2, begun anew while two of three nodes drained; and the same with evidence missing."""

from __future__ import annotations

import copy
import dataclasses
import random
from typing import Any

from lab.harvester import objects as lab
from tests.bundles.support import Bundle, Key
from tests.unit.harvesters import Harvester, release

JSON = dict[str, Any]
OLD, NEW = "hvst-upgrade-first", "hvst-upgrade-again"
HANDSHAKE = "net/http: TLS handshake timeout"
DAY = "2024-09-10T"
_DONE = ("LogReady", "ImageReady", "RepoReady", "NodesPrepared", "SystemServicesUpgraded")


def story() -> Bundle:
    """Node 1 is upgraded; 2 and 3 drain by their plans, and wait by the second Upgrade."""
    it = Harvester("1.3")
    it.drop("upgrades.harvesterhci.io", "hvst-upgrade-done")
    for name, again in ((OLD, False), (NEW, True)):
        it.put(_upgrade(name, again=again))
    for node in ("n2", "n3"):
        it.change("nodes", node, {
            "spec": {"unschedulable": True, "taints": [
                {"key": "kubevirt.io/drain", "value": "draining", "effect": "NoSchedule"}]},
            "status": {"nodeInfo": {"osImage": "Harvester v1.3.1"}},
        })  # fmt: skip
        it.change("secrets", f"custom-{node}-machine-plan", {"metadata": {"annotations": {
            "rke.cattle.io/drain-options": lab.DRAIN, "rke.cattle.io/pre-drain": lab.DRAIN,
            "harvesterhci.io/pre-hook": lab.DRAIN}}})  # fmt: skip
    it.change("managedcharts.management.cattle.io", "harvester", {"spec": {"paused": True}})
    it.change("bundles.fleet.cattle.io", "mcc-harvester", {"status": {
        "summary": {"desiredReady": 1, "errApplied": 1, "ready": 0, "nonReadyResources": [
            {"bundleState": "ErrApplied", "name": "fleet-local/local",
             "message": 'cannot patch "harvester" with kind KubeVirt: timed out waiting for the condition'}]},
        "conditions": [{"type": "Ready", "status": "False", "message": "ErrApplied(1) [Cluster fleet-local/local]"}]}})
    it.change("clusters.provisioning.cattle.io", "local", {"spec": {"kubernetesVersion": "v1.28.12+rke2r1"}})
    it.put({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "harvester-validator"}, "webhooks": []})  # fmt: skip
    it.put(_pod("cattle-provisioning-capi-system", "capi-controller-manager-6f87d8c7c-x2v9k", "n1"))
    for node in ("n1", "n2", "n3"):
        it.put(_pod("kube-system", f"etcd-{node}", node))
    return Bundle(it.objects, _logs(), {node: _host(node) for node in ("n1", "n2", "n3")})


def _upgrade(name: str, *, again: bool) -> JSON:
    """The first one was deleted, which its finalizer has not ended; the second one waits for ever."""
    states = {"n1": "Succeeded", "n2": "Images preloaded", "n3": "Images preloaded"} if again else {
        "n1": "Succeeded", "n2": "Pre-draining", "n3": "Images preloaded"}  # fmt: skip
    ended = ("Unknown", "") if again else ("False", "the upgrade was stopped")
    labels = {"harvesterhci.io/upgradeState": "UpgradingNodes" if again else "Failed"}
    return {
        "apiVersion": "harvesterhci.io/v1beta1",
        "kind": "Upgrade",
        "metadata": {
            "name": name,
            "namespace": "harvester-system",
            "creationTimestamp": f"{DAY}06:40:00Z" if again else f"{DAY}03:05:00Z",
            "labels": labels | ({"harvesterhci.io/latestUpgrade": "true"} if again else {}),
        },
        "spec": {"version": "v1.3.2", "logEnabled": True},
        "status": {
            "previousVersion": "v1.3.1",
            "repoInfo": "release:\n  harvester: v1.3.2\n  os: Harvester v1.3.2\n  kubernetes: v1.28.12+rke2r1\n",
            "nodeStatuses": {node: {"state": state} for node, state in states.items()},
            "conditions": [
                *({"type": kind, "status": "True"} for kind in _DONE),
                *({"type": kind, "status": ended[0], "message": ended[1]} for kind in ("NodesUpgraded", "Completed")),
            ],
        },
    }


def _pod(namespace: str, name: str, node: str) -> JSON:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _etcd(at: str, level: str, text: str, **more: str) -> str:
    rest = "".join(f',"{key}":"{value}"' for key, value in more.items())
    return f'{{"level":"{level}","ts":"{DAY}{at}.123456Z","caller":"x.go:1","msg":"{text}"{rest}}}'


def _logs() -> dict[str, str]:
    leader = [
        _etcd("08:01:00", "info", "defragmenting", path="/var/lib/rancher/rke2/server/db/etcd/member/snap/db"),
        _etcd("08:01:01", "info", "finished defragmenting directory"),
        _etcd("08:02:00", "info", "finished scheduled compaction"),
    ]
    lost = [
        _etcd("08:10:00", "warn", "apply request took too long", took="1.2s"),
        _etcd("08:11:00", "info", "raft.node: 8211f1d0f64f3269 lost leader 91bc3c398fb3c146 at term 12"),
        *(_etcd(f"08:{11 + n}:30", "info", f"8211f1d0f64f3269 is starting a new election at term {12 + n}")
          for n in range(9)),
    ]  # fmt: skip
    capi = [
        f'E0910 08:{n:02}:11.000001       1 controller.go:324] "Reconciler error" err="failed to create cluster '
        f'accessor: error creating client for remote cluster \\"fleet-local/local\\": {HANDSHAKE}" '
        'controller="machine" Machine="fleet-local/custom-n2"'
        for n in range(30)
    ]
    rancher = [
        f'{DAY}08:{n:02}:00Z [INFO] [planner] rkecluster fleet-local/local: waiting: draining etcd node(s) custom-n2'
        for n in range(0, 30, 5)
    ]  # fmt: skip
    return {
        "kube-system/etcd-n1/etcd": "\n".join([*leader, *lost]) + "\n",
        "kube-system/etcd-n2/etcd": "\n".join(leader) + "\n",
        "cattle-provisioning-capi-system/capi-controller-manager-6f87d8c7c-x2v9k/manager": "\n".join(capi) + "\n",
        "cattle-system/rancher-7d9c5d8f6b-abcde/rancher": "\n".join(rancher) + "\n",
    }


def _host(node: str) -> dict[str, str]:
    of = release("1.3") if node == "n1" else {"harvester": "v1.3.1", "os": "Harvester v1.3.1",
                                              "kubernetes": "v1.27.13+rke2r1", "rancher": "v2.8.3"}  # fmt: skip
    return {
        "configs/etc/harvester-release.yaml": "".join(f"{key}: {value}\n" for key, value in of.items()),
        "configs/etc/os-release": f'PRETTY_NAME="{of["os"]}"\n',
        "configs/etc/hostname": f"{node}\n",
        "logs/rke2-server.log": f"Sep 10 08:00:00 {node} rke2[900]: "
        f'time="{DAY}08:00:00Z" level=info msg="Waiting for etcd server to become available"\n',
        "logs/rancher-system-agent.log": f"Sep 10 08:00:00 {node} rancher-system-agent[1]: "
        f'time="{DAY}08:00:00Z" level=info msg="[K8s] updated plan secret"\n',
    }


def variation(seed: int) -> Bundle:
    """The story of which some of the evidence is missing, as in bundles that people send."""
    whole, chance = story(), random.Random(seed)
    objects: dict[Key, JSON] = copy.deepcopy(dict(whole.objects))
    kinds = sorted({key[0] for key in objects} - {"nodes"})
    gone = {kind for kind in kinds if chance.random() < 0.25}
    objects = {key: item for key, item in objects.items() if key[0] not in gone and chance.random() > 0.05}
    for item in objects.values():
        notes = item["metadata"].get("annotations") or {}
        item["metadata"]["annotations"] = {key: value for key, value in notes.items() if chance.random() > 0.2}
    logs = {name: text for name, text in whole.logs.items() if chance.random() > 0.4}
    hosts = {node: files for node, files in whole.hosts.items() if chance.random() > 0.4}
    errors = tuple(f"failed to get {kind}: context deadline exceeded" for kind in sorted(gone) if chance.random() > 0.5)
    return dataclasses.replace(whole, objects=objects, logs=logs, hosts=hosts, errors=errors)
