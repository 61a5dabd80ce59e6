# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a Harvester holds of its servers: the kinds, where they are, what leads from one object to another.

Objects are plain JSON.
"""

from __future__ import annotations

import typing as t

from ._api import Kind

JSON = dict[str, t.Any]
Seen = t.Mapping[str, t.Sequence[JSON]]
"""Objects by the names of `KINDS`; a name is missing where the cluster has no such kind."""
FLEET, LONGHORN = "fleet-local", "longhorn-system"
KINDS: dict[str, tuple[Kind, str]] = {
    "nodes": (Kind("", "v1", "nodes", namespaced=False), ""),
    "leases": (Kind("coordination.k8s.io", "v1", "leases"), "kube-node-lease"),
    "clusters": (Kind("cluster.x-k8s.io", "v1beta1", "clusters"), FLEET),
    "planes": (Kind("rke.cattle.io", "v1", "rkecontrolplanes"), FLEET),
    "machines": (Kind("cluster.x-k8s.io", "v1beta1", "machines"), FLEET),
    "bootstraps": (Kind("rke.cattle.io", "v1", "rkebootstraps"), FLEET),
    "custom": (Kind("rke.cattle.io", "v1", "custommachines"), FLEET),
    "secrets": (Kind("", "v1", "secrets"), FLEET),
    "passwords": (Kind("", "v1", "secrets"), "kube-system"),
    "pods": (Kind("", "v1", "pods"), ""),
    "attachments": (Kind("storage.k8s.io", "v1", "volumeattachments", namespaced=False), ""),
    "storage": (Kind("longhorn.io", "v1beta2", "nodes"), LONGHORN),
    "engines": (Kind("longhorn.io", "v1beta2", "engines"), LONGHORN),
    "replicas": (Kind("longhorn.io", "v1beta2", "replicas"), LONGHORN),
    "images": (Kind("longhorn.io", "v1beta2", "backingimages"), LONGHORN),
    "devices": (Kind("harvesterhci.io", "v1beta1", "blockdevices"), LONGHORN),
}
FRESH_S = 40
"""A Lease that is younger is a sign of life: the grace period of the controller manager."""
FORCE = "rke.cattle.io/etcd-force-remove"
PAUSED = "cluster.x-k8s.io/paused"
HELD = "requorum.io/held-by-purge"
"""On an RKEControlPlane: a purge of ours pauses the planner by it, so that its Cluster need not be paused."""
EASE = (
    "machine.cluster.x-k8s.io/exclude-node-draining",
    "machine.cluster.x-k8s.io/exclude-wait-for-node-volume-detach",
)
"""Nobody drains a dead server, and none of its volumes is ever reported as detached."""
MACHINE_OF_NODE, MACHINE_UID = "cluster.x-k8s.io/machine", "rke.cattle.io/machine"
MACHINE_ID, MACHINE_NAME = "rke.cattle.io/machine-id", "rke.cattle.io/machine-name"
PINNED = "rke.cattle.io/init-node-machine-id"
PASSWORDS = ("node-password.rke2", "node-password.k3s")


def meta(item: JSON) -> JSON:
    return t.cast("JSON", item.get("metadata") or {})


def name_of(item: JSON) -> str:
    return str(meta(item).get("name", ""))


def spec(item: JSON) -> JSON:
    return t.cast("JSON", item.get("spec") or {})


def status(item: JSON) -> JSON:
    return t.cast("JSON", item.get("status") or {})


def labels(item: JSON) -> dict[str, str]:
    return meta(item).get("labels") or {}


def notes(item: JSON) -> dict[str, str]:
    """Annotations."""
    return meta(item).get("annotations") or {}


def condition(item: JSON, kind: str) -> str:
    """True, False, Unknown; empty where it is missing."""
    return next((str(c.get("status")) for c in status(item).get("conditions") or () if c.get("type") == kind), "")


def node_of(which: str, item: JSON) -> str:
    """Node of a pod, attachment, replica, engine or block device."""
    return str(spec(item).get("nodeID" if which in ("replicas", "engines") else "nodeName") or "")


def inner(item: JSON) -> list[str]:
    """Addresses of a Node or a Machine within its network."""
    return [str(a.get("address")) for a in status(item).get("addresses") or () if a.get("type") == "InternalIP"]
