# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request becomes a Machine, and the Machine a Node: Rancher's unmanaged machines and plan secrets, CAPI's phases.

While the Cluster is paused a host that asks still gets its objects (ra:unmanaged/controller.go looks at no pause), and
nothing follows: a Machine without a phase, without owner references and plan, so that nothing starts on the host.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.joining import REQUEST
from lab.harvester.kinds import BOOTSTRAPS, CUSTOM, MACHINES, NODES, SECRETS, paused, ready
from lab.harvester.play import settle

JSON = dict[str, Any]
MINE = "lab.requorum/joined"
"""Label on what has joined here; Machines that a test wrote are left as they are."""
NAME, ADDRESS = "rke.cattle.io/node-name", "rke.cattle.io/internal-address"
LABELS = "rke.cattle.io/labels"
OF_NODE = "cluster.x-k8s.io/machine"


def requests(api: _api.Api) -> None:
    """RKEBootstrap, CustomMachine and Machine of each request; it is kept until there is a plan."""
    for secret in api.items(SECRETS, objects.FLEET) or ():
        if secret.get("type") == REQUEST:
            name, wish = secret["metadata"]["name"], json.loads(base64.b64decode(secret["data"]["data"]))
            if api.get(SECRETS, f"{name}-machine-plan", objects.FLEET):
                api.delete(SECRETS, name, objects.FLEET)
            elif not api.get(MACHINES, name, objects.FLEET):
                objects.write(api, _made(name, wish))


def _made(name: str, wish: JSON) -> list[JSON]:
    roles = {f"rke.cattle.io/{role}-role": "true" for role in ("control-plane", "etcd", "worker")
             if wish.get(f"role-{role}")}  # fmt: skip
    of_node = dict(pair.split("=") for pair in str(wish["labels"]).split(","))
    labels = {"cluster.x-k8s.io/cluster-name": "local", "rke.cattle.io/cluster-name": "local", MINE: "true",
              "rke.cattle.io/machine-id": wish["id"], NAME: wish["node-name"], **roles, **of_node}  # fmt: skip
    notes = {ADDRESS: wish["internal-address"], LABELS: json.dumps(of_node)}
    meta = {"name": name, "namespace": objects.FLEET, "labels": labels}
    ref = {"apiVersion": "rke.cattle.io/v1", "name": name, "namespace": objects.FLEET}
    spec = {"clusterName": "local", "bootstrap": {"configRef": {**ref, "kind": "RKEBootstrap"}},
            "infrastructureRef": {**ref, "kind": "CustomMachine"}}  # fmt: skip
    return [
        {"apiVersion": "rke.cattle.io/v1", "kind": "RKEBootstrap", "metadata": {**meta, "annotations": notes},
         "spec": {"clusterName": "local"}},
        {"apiVersion": "rke.cattle.io/v1", "kind": "CustomMachine", "metadata": {**meta}, "spec": {}},
        {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine", "metadata": {**meta}, "spec": spec},
    ]  # fmt: skip


def phases(api: _api.Api) -> None:
    """CAPI: Pending -> Provisioning (there is a plan) -> Running (its Node is Ready)."""
    if paused(api):
        return
    nodes = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    for machine in api.items(MACHINES, objects.FLEET) or ():
        meta = machine["metadata"]
        if MINE not in meta.get("labels", {}) or meta.get("deletionTimestamp"):
            continue
        parts = [(kind, api.get(kind, meta["name"], objects.FLEET)) for kind in (BOOTSTRAPS, CUSTOM)]
        settle(api, MACHINES, machine, {"metadata": {"finalizers": [objects.MACHINE_FINALIZER]}})
        owner = {"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Machine", "controller": True,
                 "blockOwnerDeletion": True, "name": meta["name"], "uid": meta["uid"]}  # fmt: skip
        for kind, part in parts:
            if part:
                settle(api, kind, part, {"metadata": {"ownerReferences": [owner]}})
        node = nodes.get(meta["labels"][NAME])
        planned = bool(((parts[0][1] or {}).get("status") or {}).get("ready"))
        if planned and node and ready(node):
            _running(api, machine, node)
        elif (machine.get("status") or {}).get("phase") != "Running":
            settle(api, MACHINES, machine, {"status": {"phase": "Provisioning" if planned else "Pending"}}, "status")


def _running(api: _api.Api, machine: JSON, node: JSON) -> None:
    name, it = node["metadata"]["name"], machine["metadata"]["name"]
    bootstrap = api.get(BOOTSTRAPS, it, objects.FLEET) or {"metadata": {}}
    settle(api, NODES, node, {"metadata": {
        "labels": json.loads((bootstrap["metadata"].get("annotations") or {}).get(LABELS) or "{}"),
        "annotations": {OF_NODE: it, "cluster.x-k8s.io/cluster-name": "local",
                        "cluster.x-k8s.io/cluster-namespace": objects.FLEET}}})  # fmt: skip
    provider = {"spec": {"providerID": f"rke2://{name}"}}
    if custom := api.get(CUSTOM, it, objects.FLEET):
        settle(api, CUSTOM, custom, {**provider, "metadata": {"finalizers": ["wrangler.cattle.io/unmanaged-machine"]}})
    settle(api, MACHINES, machine, provider)
    ref = {"apiVersion": "v1", "kind": "Node", "name": name}
    status = {"phase": "Running", "nodeRef": ref, "addresses": node["status"].get("addresses") or []}
    settle(api, MACHINES, machine, {"status": status}, "status")


def plans(api: _api.Api) -> None:
    """Rancher's bootstrap controller: a plan secret for a RKEBootstrap that CAPI has taken, and etcd's hook."""
    if paused(api):
        return
    for bootstrap in api.items(BOOTSTRAPS, objects.FLEET) or ():
        meta = bootstrap["metadata"]
        if MINE not in meta.get("labels", {}) or not meta.get("ownerReferences") or meta.get("deletionTimestamp"):
            continue
        settle(api, BOOTSTRAPS, bootstrap, {"metadata": {"finalizers": [objects.ETCD_FINALIZER]}})
        owner = {"apiVersion": "rke.cattle.io/v1", "kind": "RKEBootstrap", "name": meta["name"], "uid": meta["uid"]}
        for word in ("plan", "state"):
            name, kind = f"{meta['name']}-machine-{word}", f"rke.cattle.io/machine-{word}"
            if not api.get(SECRETS, name, objects.FLEET):
                labels = {**meta["labels"], "rke.cattle.io/machine-name": meta["name"]}
                api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {
                    "name": name, "namespace": objects.FLEET, "labels": labels, "annotations": {},
                    "ownerReferences": [owner]}})  # fmt: skip
        settle(api, BOOTSTRAPS, bootstrap, {"status": {"ready": True}}, "status")
