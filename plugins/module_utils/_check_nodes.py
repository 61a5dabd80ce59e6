# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Nodes and what must run on them: kubelets, cordons, versions, workloads, pods."""

from __future__ import annotations

import datetime
import typing as t
from collections import Counter

from ._check import JSON, Fault, Seen, Verdict
from ._orphans import FRESH_S, condition, meta, name_of, notes, spec, status
from ._stale import MAINTAINED

SYSTEM, CATTLE, LONGHORN = "harvester-system", "cattle-system", "longhorn-system"
CAPI = ("cattle-provisioning-capi-system", "cattle-capi-system")
"""The second one since Harvester 1.8."""
COMPONENTS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    *((("deployments",), (SYSTEM,), name) for name in ("harvester", "harvester-webhook")),
    *((("deployments",), (SYSTEM,), name) for name in ("virt-operator", "virt-api", "virt-controller")),
    *((("daemonsets",), (SYSTEM,), name) for name in ("virt-handler", "kube-vip")),
    *((("deployments",), (CATTLE,), name) for name in ("rancher", "rancher-webhook", "harvester-cluster-repo")),
    (("deployments",), ("cattle-fleet-system",), "fleet-controller"),
    (("deployments", "statefulsets"), ("cattle-fleet-local-system",), "fleet-agent"),
    (("deployments",), CAPI, "capi-controller-manager"),
    (("daemonsets",), (LONGHORN,), "longhorn-manager"),
)
"""Kinds and namespaces of which each may be, and its name: facts/harvester.md 2 and 5, the sources for 1.2 to 1.8."""


def kubelets(seen: Seen) -> Verdict:
    """A Node is called Ready for 40 s after its kubelet has died: its Lease says so earlier."""
    renewed = {name_of(lease): _moment(spec(lease).get("renewTime")) for lease in seen["leases"]}
    newest = max(filter(None, renewed.values()), default=0.0)
    faults = []
    for node in seen["nodes"]:
        name, last = name_of(node), renewed.get(name_of(node))
        if condition(node, "Ready") != "True":
            faults.append(Fault(f"{name} is not Ready", f"kubectl describe node {name}"))
        elif last is None or newest - last > FRESH_S:
            age = "has no Lease" if last is None else f"reported {newest - last:.0f} s before the others"
            faults.append(Fault(f"the kubelet of {name} {age}", f"Look at the unit of RKE2 or K3s on {name}."))
    return Verdict(f"{len(seen['nodes'])} Nodes", faults)


def cordons(seen: Seen) -> Verdict:
    faults = []
    for node in seen["nodes"]:
        name = name_of(node)
        if MAINTAINED in notes(node):
            faults.append(Fault(f"{name} is in maintenance", f"Take {name} out of maintenance in Harvester's console."))
        elif spec(node).get("unschedulable"):
            faults.append(Fault(f"{name} is cordoned", f"kubectl uncordon {name}"))
    return Verdict("none is", faults)


def versions(seen: Seen) -> Verdict:
    """Of OS and kubelet, by node: against the OS's own release file, against each other, against what is wanted."""
    wanted = {str(spec(c)["kubernetesVersion"]) for c in seen["provisioning"] if name_of(c) == "local"}
    info = {name_of(node): status(node)["nodeInfo"] for node in seen["nodes"]}
    systems, kubelets_ = (Counter(i[key] for i in info.values()) for key in ("osImage", "kubeletVersion"))
    faults = []
    for name, its in info.items():
        own = seen.releases.get(name, {}).get("kubernetes")
        kubelet, more = its["kubeletVersion"], f"Reinstall {name} from the ISO of the cluster (docs/harvester.md, 8)."
        if own and own != kubelet:
            faults.append(Fault(f"{name} runs RKE2 {kubelet}, its OS came with {own}", more))
        elif wanted and kubelet not in wanted:
            faults.append(Fault(f"{name} runs RKE2 {kubelet}, Rancher wants {min(wanted)}", more))
        if its["osImage"] != systems.most_common(1)[0][0]:
            faults.append(Fault(f"{name} runs {its['osImage']}, others {systems.most_common(1)[0][0]}", more))
    return Verdict(", ".join([*systems, *(f"RKE2 {kubelet}" for kubelet in kubelets_)]), faults)


def hosts(seen: Seen) -> Verdict:
    """What the API does not know: Rancher's agent, an OS that fell back, what an upgrade has left on a host."""
    faults = []
    for name, host in sorted(seen.releases.items()):
        agent, left = host.get("system_agent", "active"), host.get("left", "").split()
        if agent != "active":
            faults.append(
                Fault(f"rancher-system-agent of {name} is {agent}", f"systemctl start rancher-system-agent, on {name}")
            )
        if host.get("fallback"):
            more = f"On {name}: /usr/local/upgrade_tmp/elemental-upgrade-*.log; or reinstall it (docs/harvester.md, 8)."
            faults.append(Fault(f"{name} has booted its former OS: the upgrade of its OS failed", more))
        faults += (
            Fault(f"{name}:{path}", f"An upgrade has left it: look, then remove {path} on {name}.") for path in left
        )
    return Verdict(f"{len(seen.releases)} hosts", faults)


def components(seen: Seen) -> Verdict:
    """What is named must be there; all workloads beside them must be ready."""
    there = {
        (which, meta(item)["namespace"], name_of(item)): item
        for which in ("deployments", "daemonsets", "statefulsets")
        for item in seen[which]
    }
    faults = []
    for kinds, namespaces, name in COMPONENTS:
        keys = [(kind, namespace, name) for kind in kinds for namespace in namespaces]
        if not any(key in there for key in keys):
            what = f"{kinds[0][:-1]} {namespaces[0]}/{name} is missing"
            faults.append(Fault(what, "requorum force-sync -i INV --check: a bundle that is not synced brings it."))
    places = {namespace for _kinds, namespaces, _name in COMPONENTS for namespace in namespaces}
    named = {(namespace, name) for _kinds, namespaces, name in COMPONENTS for namespace in namespaces}
    for (which, namespace, name), item in sorted(there.items()):
        ready, desired = _replicas(which, item)
        if namespace in places and (ready < desired or (not desired and (namespace, name) in named)):
            what = f"{namespace}/{name} is scaled to 0" if not desired else f"{namespace}/{name} {ready} of {desired}"
            faults.append(Fault(what, f"kubectl -n {namespace} describe {which[:-1]} {name}"))
    return Verdict(f"{len(COMPONENTS)} of them ready", faults)


def _replicas(which: str, item: JSON) -> tuple[int, int]:
    """(ready, wanted); what runs of an older form counts as not ready."""
    now = status(item)
    if which == "daemonsets":
        ready, updated, desired = "numberReady", "updatedNumberScheduled", int(now.get("desiredNumberScheduled") or 0)
    else:
        ready, updated, desired = "readyReplicas", "updatedReplicas", int(spec(item).get("replicas", 1))
    return min(int(now.get(ready) or 0), int(now.get(updated) or 0)), desired


def pods(seen: Seen) -> Verdict:
    """As the pre-check of an upgrade has it; a try of a Job that has failed is none."""
    faults = []
    for pod in seen["pods"]:
        phase = status(pod).get("phase")
        owned = any(owner.get("kind") == "Job" for owner in meta(pod).get("ownerReferences") or ())
        if phase == "Succeeded" or (phase == "Failed" and owned) or condition(pod, "Ready") == "True":
            continue
        where = f"{meta(pod)['namespace']}/{name_of(pod)}"
        what = f"{where} is stuck in Terminating" if meta(pod).get("deletionTimestamp") else f"{where} is not Ready"
        faults.append(Fault(what, f"kubectl -n {meta(pod)['namespace']} describe pod {name_of(pod)}"))
    return Verdict(f"{len(seen['pods'])} pods", faults)


def _moment(text: t.Any) -> float | None:
    return datetime.datetime.fromisoformat(str(text)).timestamp() if text else None
