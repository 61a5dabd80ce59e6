# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""KubeVirt, played: a machine leaves a node that is drained, to another host of the lab.

The real webhook refuses to evict a virt-launcher (429) and has the machine migrate; here the pod is evicted, and stays
Terminating until the machine has left. One that has to migrate and cannot stays where it is; one that nobody wants to
migrate stops when its pod is evicted. Machines on nodes that are dead stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import host as hosts
from lab.harvester import objects
from lab.harvester.kinds import ATTACHMENTS, ENGINES, NODES, PODS, VOLUMES, lives, ready
from lab.harvester.play import release, settle
from lab.labs import Lab
from lab.progress import LabError

JSON = dict[str, Any]
MACHINES, RUNNING = (
    _api.Kind("kubevirt.io", "v1", plural) for plural in ("virtualmachines", "virtualmachineinstances")
)
HELD, TAINT = "lab.requorum/virt-launcher", "kubevirt.io/drain"
OF = "vm.kubevirt.io/name"
COMPONENT = "harvesterhci.io/upgradeComponent"
"""Label of the machine that serves an upgrade's ISO: it is no process, and `upgrade.work` moves it."""
MIGRATES = ("LiveMigrate", "LiveMigrateIfPossible")


class Hosts(Protocol):
    """Where the processes are."""

    def run(self, node: JSON, machine: str) -> None:
        """Start the machine `namespace/name` on the host of a Node."""

    def stop(self, node: JSON, machine: str) -> None:
        """End it there."""


class OfLab:
    """The hosts of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def _host(self, node: JSON) -> str:
        addresses = [each["address"] for each in node["status"]["addresses"]]
        found = [host.name for host in self._lab.spec.hosts if host.ip in addresses]
        if not found:
            raise LabError(f"{node['metadata']['name']} is no host of the lab: {addresses}")
        return found[0]

    def run(self, node: JSON, machine: str) -> None:
        hosts.stop_machine(self._lab, self._host(node), machine)
        hosts.run_machine(self._lab, self._host(node), machine)

    def stop(self, node: JSON, machine: str) -> None:
        hosts.stop_machine(self._lab, self._host(node), machine)


def machine(
    name: str, on: str, replicas: Sequence[str], *, able: bool = True, strategy: str = "LiveMigrate"
) -> list[JSON]:
    """Objects of a running machine `namespace/name` with one volume; its process is started by itself."""
    space, short = name.split("/")
    volume, claim = f"pvc-{short}", {"persistentVolumeClaim": {"claimName": f"{short}-disk"}, "name": "disk"}
    where: JSON = {"namespace": space, "name": short}
    template = {"domain": {}, "volumes": [claim], **({"evictionStrategy": strategy} if strategy else {})}
    status = {"nodeName": on, "phase": "Running",
              "conditions": [{"type": "LiveMigratable", "status": str(able)}]}  # fmt: skip
    size = {"accessModes": ["ReadWriteMany"], "volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": where,
         "spec": {"runStrategy": "RerunOnFailure", "template": {"spec": template}},
         "status": {"printableStatus": "Running"}},
        {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {**where, "finalizers": [HELD]},
         "spec": template, "status": status},
        launcher(name, on),
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {**where, "name": f"{short}-disk"},
         "spec": {**size, "storageClassName": "harvester-longhorn", "volumeName": volume}},
        *objects.volume(volume, replicas, on),
    ]  # fmt: skip


def launcher(name: str, on: str) -> JSON:
    """The pod around a machine."""
    space, short = name.split("/")
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"virt-launcher-{short}-{on}", "namespace": space, "finalizers": [HELD],
                     "labels": {"kubevirt.io": "virt-launcher", OF: short}},
        "spec": {"nodeName": on, "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
                 "tolerations": [{"operator": "Exists"}],
                 "containers": [{"name": "compute", "image": "virt-launcher", "command": ["sleep", "infinity"]}]},
    }  # fmt: skip


def guests(api: _api.Api, on: Hosts) -> None:
    """Whoever has to leave its node leaves it."""
    nodes = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    for vmi in api.items(RUNNING) or ():
        status, meta = vmi.get("status") or {}, vmi["metadata"]
        node = nodes.get(status.get("nodeName", ""))
        if node is None or not lives(api, node["metadata"]["name"]) or COMPONENT in (meta.get("labels") or {}):
            continue
        pods = [pod for pod in api.items(PODS, meta["namespace"]) or ()
                if (pod["metadata"].get("labels") or {}).get(OF) == meta["name"]]  # fmt: skip
        evicted = any(pod["metadata"].get("deletionTimestamp") for pod in pods)
        if meta.get("deletionTimestamp"):
            _end(api, on, vmi, node, pods)
        elif evicted or any(taint["key"] == TAINT for taint in (node.get("spec") or {}).get("taints") or ()):
            target = next((item for name, item in nodes.items() if item is not node and _open(api, item)), None)
            if target and _able(vmi) and _wants(vmi):
                _move(api, on, vmi, node, target, pods)
            elif evicted and not _wants(vmi):
                _end(api, on, vmi, node, pods)


def _open(api: _api.Api, node: JSON) -> bool:
    return ready(node) and not (node.get("spec") or {}).get("unschedulable") and lives(api, node["metadata"]["name"])


def _able(vmi: Mapping[str, Any]) -> bool:
    conditions = vmi["status"].get("conditions") or ()
    return any(each["type"] == "LiveMigratable" and each["status"] == "True" for each in conditions)


def _wants(vmi: Mapping[str, Any]) -> bool:
    return vmi["spec"].get("evictionStrategy") in MIGRATES


def _name(vmi: Mapping[str, Any]) -> str:
    return f"{vmi['metadata']['namespace']}/{vmi['metadata']['name']}"


def _move(api: _api.Api, on: Hosts, vmi: JSON, source: JSON, target: JSON, pods: Sequence[JSON]) -> None:
    name, old, new = _name(vmi), source["metadata"]["name"], target["metadata"]["name"]
    on.run(target, name)
    objects.write(api, [launcher(name, new)])
    _attach(api, vmi, old, new)
    state = {"sourceNode": old, "targetNode": new, "completed": True}
    settle(api, RUNNING, vmi, {"status": {"nodeName": new, "migrationState": state}}, "status")
    on.stop(source, name)
    _let_go(api, pods)


def _end(api: _api.Api, on: Hosts, vmi: JSON, node: JSON, pods: Sequence[JSON]) -> None:
    """Shut down; its definition stays."""
    on.stop(node, _name(vmi))
    _attach(api, vmi, node["metadata"]["name"], "")
    _let_go(api, pods)
    space, name = vmi["metadata"]["namespace"], vmi["metadata"]["name"]
    api.delete(RUNNING, name, space)
    release(api, RUNNING, vmi, HELD)
    if definition := api.get(MACHINES, name, space):
        settle(api, MACHINES, definition, {"status": {"printableStatus": "Stopped"}}, "status")


def _let_go(api: _api.Api, pods: Sequence[JSON]) -> None:
    for pod in pods:
        api.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
        release(api, PODS, pod, HELD)


def _attach(api: _api.Api, vmi: JSON, old: str, new: str) -> None:
    """Volumes follow the machine."""
    for claim in vmi["spec"].get("volumes") or ():
        name = (claim.get("persistentVolumeClaim") or {}).get("claimName", "")
        bound = api.get(objects.BUILT_IN["PersistentVolumeClaim"], name, vmi["metadata"]["namespace"]) if name else None
        volume = api.get(VOLUMES, bound["spec"].get("volumeName", ""), objects.LONGHORN) if bound else None
        if volume is None:
            continue
        it = volume["metadata"]["name"]
        if new:
            objects.write(api, [objects.attachment(it, new)])
        settle(api, VOLUMES, volume, {"spec": {"nodeID": new}})
        settle(api, VOLUMES, volume, {"status": {"state": "attached" if new else "detached"}}, "status")
        api.patch(ENGINES, f"{it}-e-0", {"spec": {"nodeID": new}}, objects.LONGHORN)
        api.delete(ATTACHMENTS, f"csi-{it}-{old}")
