# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds that a Harvester serves: CAPI's own definitions; of others right names, scopes, subresources, and types of
the fields that are used (fields.yaml).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import gobuild
from lab.labs import Lab
from lab.progress import wait_for

FIELDS: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "fields.yaml").read_text())
"""Group -> kind -> its fields."""
_ANY: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
_CONDITIONS = [dict.fromkeys(("type", "status", "reason", "message", "lastUpdateTime", "lastTransitionTime"), "string")]


def typed(fields: Any) -> dict[str, Any]:
    """OpenAPI schema of what fields.yaml says; of an object fields that are not known are kept."""
    if isinstance(fields, list):
        return {"type": "array", "items": typed(fields[0])}
    if isinstance(fields, dict):
        if "*" in fields:
            return {"type": "object", "additionalProperties": typed(fields["*"])}
        return {"type": "object", **_ANY, "properties": {name: typed(field) for name, field in fields.items()}}
    word, _bar, null = fields.partition("|")
    if word == "conditions":
        return typed(_CONDITIONS)
    if word == "int-or-string":
        return {"x-kubernetes-int-or-string": True}
    more: dict[str, Any] = {"object": _ANY, "list": {"items": {"type": "object", **_ANY}}}.get(word, {})
    return {"type": "array" if word == "list" else word, **more, **({"nullable": True} if null else {})}


@dataclass(frozen=True)
class Defined:
    """One kind of a group."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    status: bool = True
    """It has the subresource status."""

    @property
    def name(self) -> str:
        return f"{self.plural}.{self.group}"

    def manifest(self) -> dict[str, Any]:
        """The CustomResourceDefinition."""
        schema = {"openAPIV3Schema": typed(FIELDS.get(self.group, {}).get(self.kind, {}))}
        version = {"name": self.version, "served": True, "storage": True, "schema": schema}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name},
            "spec": {
                "group": self.group,
                "names": {"kind": self.kind, "plural": self.plural, "singular": self.kind.lower()},
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "versions": [version | ({"subresources": {"status": {}}} if self.status else {})],
            },
        }


def of_capi() -> list[dict[str, Any]]:
    """CAPI's own, with their schemas; a version that is not the stored one needs its webhook, and is left out."""
    found = []
    for path in sorted(gobuild.files(*CAPI).iterdir()):
        document = yaml.safe_load(path.read_text())
        document["spec"]["versions"] = [v for v in document["spec"]["versions"] if v["storage"]]
        found.append(document)
    return found


def _of(group: str, version: str, kinds: str, *, namespaced: bool = True, status: bool = True) -> Iterator[Defined]:
    """Kinds as `Kind/plural`, parted by blanks."""
    for kind, plural in (word.split("/") for word in kinds.split()):
        yield Defined(group, version, kind, plural, namespaced, status)


CAPI = (
    *("sigs.k8s.io/cluster-api", "v1.5.3", "h1:TtxneDCps14sZ9bNr515ivBRMj9OwUE6mRUr6l7fSBA="),
    *(f"config/crd/bases/cluster.x-k8s.io_{plural}.yaml" for plural in ("clusters", "machines")),
)
KINDS = (
    *_of(
        "harvesterhci.io",
        "v1beta1",
        "Version/versions UpgradeLog/upgradelogs VirtualMachineImage/virtualmachineimages "
        "VirtualMachineTemplate/virtualmachinetemplates VirtualMachineTemplateVersion/virtualmachinetemplateversions "
        "VirtualMachineBackup/virtualmachinebackups VirtualMachineRestore/virtualmachinerestores KeyPair/keypairs "
        "Addon/addons Preference/preferences SupportBundle/supportbundles BlockDevice/blockdevices",
    ),
    *_of("harvesterhci.io", "v1beta1", "Upgrade/upgrades", status=False),
    *_of("harvesterhci.io", "v1beta1", "Setting/settings", namespaced=False),
    *_of("fleet.cattle.io", "v1alpha1", "Bundle/bundles BundleDeployment/bundledeployments Cluster/clusters"),
    *_of("management.cattle.io", "v3", "ManagedChart/managedcharts"),
    *_of("management.cattle.io", "v3", "Setting/settings", namespaced=False, status=False),
    *_of("cluster.x-k8s.io", "v1beta1", "Cluster/clusters Machine/machines"),
    *_of("provisioning.cattle.io", "v1", "Cluster/clusters"),
    *_of(
        "rke.cattle.io",
        "v1",
        "RKEBootstrap/rkebootstraps CustomMachine/custommachines RKEControlPlane/rkecontrolplanes "
        "RKECluster/rkeclusters",
    ),
    *_of("upgrade.cattle.io", "v1", "Plan/plans"),
    *_of(
        "longhorn.io",
        "v1beta2",
        "Volume/volumes Engine/engines Replica/replicas Node/nodes BackingImage/backingimages "
        "InstanceManager/instancemanagers BackupVolume/backupvolumes Backup/backups RecurringJob/recurringjobs",
    ),
    *_of("longhorn.io", "v1beta2", "Setting/settings", status=False),
    *_of(
        "kubevirt.io",
        "v1",
        "VirtualMachine/virtualmachines VirtualMachineInstance/virtualmachineinstances KubeVirt/kubevirts "
        "VirtualMachineInstanceMigration/virtualmachineinstancemigrations",
    ),
    *_of("k8s.cni.cncf.io", "v1", "NetworkAttachmentDefinition/network-attachment-definitions", status=False),
    *_of(
        "network.harvesterhci.io", "v1beta1", "ClusterNetwork/clusternetworks VlanConfig/vlanconfigs", namespaced=False
    ),
    *_of("loadbalancer.harvesterhci.io", "v1beta1", "LoadBalancer/loadbalancers"),
    *_of("loadbalancer.harvesterhci.io", "v1beta1", "IPPool/ippools", namespaced=False),
    *_of("node.harvesterhci.io", "v1beta1", "NodeConfig/nodeconfigs"),
    *_of("node.harvesterhci.io", "v1beta1", "CloudInit/cloudinits", namespaced=False),
)
NAMESPACES = (
    *("harvester-system", "longhorn-system", "fleet-local", "cattle-system", "cattle-fleet-system"),
    *("cattle-fleet-local-system", "cattle-provisioning-capi-system", "cluster-fleet-local-local-1a3d67d0a899"),
)


def define(lab: Lab) -> None:
    """Make namespaces and kinds on a lab's cluster, and wait until the API serves them."""
    first = lab.answering()
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
    ours = [kind.manifest() for kind in KINDS if kind.group != "cluster.x-k8s.io"]
    document = {"apiVersion": "v1", "kind": "List", "items": [*items, *ours, *of_capi()]}
    lab.kubectl(first, "apply", "--server-side", "-f", "-", timeout=120, stdin=json.dumps(document)).ok("kinds")

    def served() -> tuple[bool, str]:
        done = lab.kubectl(first, "get", "crd", "-o", "json")
        found = json.loads(done.out)["items"] if done.rc == 0 else []
        ready = {
            crd["metadata"]["name"]
            for crd in found
            if any(c["type"] == "Established" and c["status"] == "True" for c in crd["status"].get("conditions") or ())
        }
        missing = [kind.name for kind in KINDS if kind.name not in ready]
        return not missing, f"{len(missing)} of {len(KINDS)} kinds are not served yet"

    wait_for("the kinds of Harvester", served, 90)
