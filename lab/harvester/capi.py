# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a Harvester that answer when servers go: CAPI, Rancher's bootstrap controller, garbage.

As upstream does it: nothing of a paused Cluster is deleted; a Machine is drained and held by Rancher's hook, which is
let go when etcd has removed the member, or by force; the hook's owner lets go of its RKEBootstrap only afterwards.
Rancher asks for the removal while CAPI drains, and waits for no drain: who wants it drained drains it first. That CAPI
gives up on the pods of a silent node after five minutes, and waits for volumes to be detached, is not played.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects, planner
from lab.harvester.drain import evict
from lab.harvester.kinds import BOOTSTRAPS, CLUSTERS, CUSTOM, MACHINES, NODES, SECRETS, lives
from lab.harvester.play import release, settle
from lab.harvester.storage import longhorn
from lab.labs import Lab

JSON = dict[str, Any]
REMOVE, REMOVED = "etcd.rke2.cattle.io/remove", "etcd.rke2.cattle.io/removed-node-name"
FORCE, EXCLUDE = "rke.cattle.io/etcd-force-remove", "machine.cluster.x-k8s.io/exclude-node-draining"
POLICY = "longhorn-keeps-its-nodes"


def guard(lab: Lab) -> None:
    """What Longhorn's webhook refuses, by a policy of the API server itself."""
    disks = "oldObject.status.diskStatus"
    busy = f"{disks}.exists(d, size({disks}[d].scheduledReplica) > 0)"
    gone = "oldObject.status.conditions.exists(c, c.type == 'Ready' && c.reason == 'KubernetesNodeGone')"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["longhorn.io"], "apiVersions": ["v1beta2"],
                                                    "operations": ["DELETE"], "resources": ["nodes"]}]},
            "validations": [{"expression": f"!oldObject.spec.allowScheduling && !({busy}) && {gone}",
                             "message": "could not delete node: it is schedulable, not gone, or replicas are on it"}]},
    }  # fmt: skip
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY}, "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    }  # fmt: skip
    document = {"apiVersion": "v1", "kind": "List", "items": [policy, binding]}
    lab.kubectl(lab.answering(), "apply", "-f", "-", stdin=json.dumps(document)).ok("policy")


def machines(api: _api.Api) -> None:
    """CAPI: a Machine that is deleted takes infrastructure, bootstrap and Node with it, in this order."""
    cluster = api.get(CLUSTERS, "local", objects.FLEET) or {}
    if cluster.get("spec", {}).get("paused"):
        return
    nodes = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    for machine in api.items(MACHINES, objects.FLEET) or ():
        meta = machine["metadata"]
        if not meta.get("deletionTimestamp") or objects.MACHINE_FINALIZER not in meta.get("finalizers", ()):
            continue
        notes, node = meta.get("annotations") or {}, _node_of(machine)
        if node in nodes and EXCLUDE not in notes and not _drained(api, nodes[node]):
            why = "waits for pods to go" if lives(api, node) else "cannot evict pods from an unreachable node"
            _condition(api, machine, "DrainingSucceeded", why)
        elif objects.PRETERMINATE in notes:
            _condition(api, machine, "PreTerminateDeleteHookSucceeded", "waits for rke-bootstrap-controller")
        elif not [part for kind in (CUSTOM, BOOTSTRAPS) if (part := _deleted(api, kind, meta["name"]))]:
            if node in nodes:
                api.delete(NODES, node)
            release(api, MACHINES, machine, objects.MACHINE_FINALIZER)


def bootstraps(api: _api.Api) -> None:
    """Rancher: its hook protects etcd until the member is removed, which a dead node never confirms."""
    machines = {item["metadata"]["name"]: item for item in api.items(MACHINES, objects.FLEET) or ()}
    for bootstrap in api.items(BOOTSTRAPS, objects.FLEET) or ():
        meta = bootstrap["metadata"]
        machine = machines.get(meta["name"])
        forced = (meta.get("annotations") or {}).get(FORCE) == "true"
        held = machine is not None and objects.PRETERMINATE in (machine["metadata"].get("annotations") or {})
        if machine is not None and held and (forced or _removed(api, machine)):
            change = {"metadata": {"annotations": {objects.PRETERMINATE: None}}}
            api.patch(MACHINES, meta["name"], change, objects.FLEET)
        elif meta.get("deletionTimestamp") and (machine is None or not held or forced):
            release(api, BOOTSTRAPS, bootstrap, objects.ETCD_FINALIZER)
    for custom in api.items(CUSTOM, objects.FLEET) or ():
        if custom["metadata"].get("deletionTimestamp"):
            release(api, CUSTOM, custom, "wrangler.cattle.io/unmanaged-machine")


def _drained(api: _api.Api, node: JSON) -> bool:
    settle(api, NODES, node, {"spec": {"unschedulable": True}})
    return evict(api, node["metadata"]["name"])


def _removed(api: _api.Api, machine: JSON) -> bool:
    """Whether etcd has removed the member; RKE2 on another server is asked to, when nobody joins it any more."""
    meta = machine["metadata"]
    if not meta.get("deletionTimestamp"):
        return False
    node = api.get(NODES, name) if (name := _node_of(machine)) else None
    if node is None or meta.get("labels", {}).get(planner.ETCD) != "true":
        return True
    notes = node["metadata"].get("annotations") or {}
    plans = {item["metadata"]["labels"]["rke.cattle.io/machine-name"]: planner.notes(item)
             for item in planner.secrets(api)}  # fmt: skip
    url = plans.pop(meta["name"], {}).get(planner.URL)
    if any(url and each.get(planner.JOINED) == url for each in plans.values()):
        return False
    if REMOVED in notes:
        return True
    settle(api, NODES, node, {"metadata": {"annotations": {REMOVE: "true"}}})
    return False


def garbage(api: _api.Api) -> None:
    """The garbage collector of Kubernetes, as far as Rancher's secrets need it."""
    uids = {item["metadata"]["uid"] for item in api.items(BOOTSTRAPS, objects.FLEET) or ()}
    for secret in api.items(SECRETS, objects.FLEET) or ():
        owners = secret["metadata"].get("ownerReferences") or ()
        if owners and not {owner["uid"] for owner in owners} & uids:
            api.delete(SECRETS, secret["metadata"]["name"], objects.FLEET)


PARTS = (machines, bootstraps, garbage, longhorn)


def _node_of(machine: JSON) -> str:
    return str((machine["status"].get("nodeRef") or {}).get("name") or "")


def _deleted(api: _api.Api, kind: _api.Kind, name: str) -> JSON | None:
    """Ask for it once; what is still there of it."""
    found = api.get(kind, name, objects.FLEET)
    if found and not found["metadata"].get("deletionTimestamp"):
        api.delete(kind, name, objects.FLEET)
    return found


def _condition(api: _api.Api, machine: JSON, kind: str, message: str) -> None:
    said = {"type": kind, "status": "False", "message": message}
    known = [{key: each.get(key) for key in said} for each in machine["status"].get("conditions", ())]
    if said not in known:
        dated = {**said, "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        change = {"status": {"phase": "Deleting", "conditions": [dated]}}
        api.patch(MACHINES, machine["metadata"]["name"], change, objects.FLEET, subresource="status")
