# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kube-controller-manager does on a real cluster and nobody else would do here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .api import STRATEGIC, Api, ApiError
from .nodeobjects import LEASE_SECONDS, stamp

TICK = 5.0
ROOT_CA = "kube-root-ca.crt"
_STATUS = "Kubelet stopped posting node status."


class Leases:
    """Tells which nodes have been silent, by this host's own clock since it last saw a lease renewed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def silent(self, renewed: Mapping[str, str], nodes: Iterable[str], now: float) -> list[str]:
        """Nodes whose lease has not changed for `LEASE_SECONDS`; `renewed` maps node to renewTime."""
        found = []
        for name in nodes:
            value = renewed.get(name, "")
            if self._seen.get(name, ("?", 0.0))[0] != value:
                self._seen[name] = (value, now)
            if now - self._seen[name][1] > LEASE_SECONDS:
                found.append(name)
        return found


def unknown_conditions(node: Mapping[str, Any], now: str) -> list[dict[str, str]]:
    """kubelet's conditions of a silent node as Unknown; empty when they are so already."""
    rows = {row["type"]: row for row in node["status"].get("conditions") or []}
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    if rows.get("Ready", {}).get("status") == "Unknown":
        return []
    return [{"type": kind, "status": "Unknown", "reason": "NodeStatusUnknown", "message": _STATUS,
             "lastTransitionTime": now} for kind in kinds]


def without_taint(node: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Taints of a node that is Ready without the one that it was registered with; None when it has it not."""
    rows = {row["type"]: row["status"] for row in node["status"].get("conditions") or []}
    taints = node["spec"].get("taints") or []
    left = [taint for taint in taints if taint["key"] != "node.kubernetes.io/not-ready"]
    return left if rows.get("Ready") == "True" and left != taints else None


def orphans(pods: Iterable[Mapping[str, Any]], nodes: Mapping[str, str]) -> dict[str, str]:
    """Pods by uid -> URL path that are bound to a Node that is gone, or owned by one; `nodes` maps name to uid."""
    found = {}
    for pod in pods:
        metadata, bound = pod["metadata"], pod["spec"].get("nodeName")
        owners = {row["uid"] for row in metadata.get("ownerReferences") or [] if row["kind"] == "Node"}
        if (bound and bound not in nodes) or owners - {*nodes.values()}:
            found[metadata["uid"]] = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    return found


class Upkeep:
    """Node life signs and taints, pods of Nodes that are gone, ServiceAccounts, root CA ConfigMaps, node passwords."""

    def __init__(self, api: Api, program: str, ca: Path) -> None:
        self._api, self._program, self._ca = api, program, ca
        self._leases = Leases()
        self._orphans: dict[str, str] = {}
        self._last = -TICK

    def tick(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Do what is due."""
        if time.monotonic() - self._last < TICK:
            return
        self._last = time.monotonic()
        self._mark_silent(nodes)
        for node in nodes:
            taints = without_taint(node)
            if taints is not None:
                self._api.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": taints}})
        self._namespaces()
        uids = {node["metadata"]["name"]: node["metadata"]["uid"] for node in nodes}
        self._collect(uids)
        self._passwords(uids)

    def _mark_silent(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        leases = self._api.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")["items"]
        renewed = {row["metadata"]["name"]: str(row["spec"].get("renewTime", "")) for row in leases}
        by_name = {node["metadata"]["name"]: node for node in nodes}
        for name in self._leases.silent(renewed, by_name, time.monotonic()):
            rows = unknown_conditions(by_name[name], stamp())
            if rows:
                self._api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": rows}}, STRATEGIC)

    def _collect(self, uids: Mapping[str, str]) -> None:
        """Delete the pods that were orphans at the last round already: a Node may be younger than the list of Nodes."""
        found = orphans(self._api.get("/api/v1/pods")["items"], uids)
        for uid in found.keys() & self._orphans.keys():
            try:
                self._api.delete(found[uid], {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
            except ApiError as exc:
                if exc.status not in (404, 409):  # another server was faster
                    raise
        self._orphans = found

    def _create(self, path: str, body: Mapping[str, Any]) -> None:
        try:
            self._api.post(path, body)
        except ApiError as exc:
            if exc.status not in (403, 404, 409):  # a namespace that is going, or another server was faster
                raise

    def _namespaces(self) -> None:
        names = {row["metadata"]["name"] for row in self._api.get("/api/v1/namespaces")["items"]
                 if row["status"].get("phase") == "Active"}
        for kind, name in (("serviceaccounts", "default"), ("configmaps", ROOT_CA)):
            rows = self._api.get(f"/api/v1/{kind}", fieldSelector=f"metadata.name={name}")["items"]
            for namespace in names - {row["metadata"]["namespace"] for row in rows}:
                body: dict[str, Any] = {"apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}}
                body |= {"kind": "ServiceAccount"} if kind == "serviceaccounts" else {
                    "kind": "ConfigMap", "data": {"ca.crt": self._ca.read_text()}}
                self._create(f"/api/v1/namespaces/{namespace}/{kind}", body)

    def _passwords(self, uids: Mapping[str, str]) -> None:
        base = "/api/v1/namespaces/kube-system/secrets"
        kind = f"{self._program}.cattle.io/node-password"
        for secret in self._api.get(base, fieldSelector=f"type={kind}")["items"]:
            metadata = secret["metadata"]
            node = metadata["name"].removesuffix(f".node-password.{self._program}")
            owners = metadata.get("ownerReferences") or []
            if owners and uids.get(node) != owners[0]["uid"]:
                self._api.delete(f"{base}/{metadata['name']}")
            elif not owners and node in uids:
                self._api.patch(f"{base}/{metadata['name']}", {"metadata": {"ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": node, "uid": uids[node]}]}})
