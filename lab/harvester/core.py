# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core components of a Harvester as objects that say they are ready, and its VIP."""

from __future__ import annotations

from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _check_nodes, _orphans
from lab.harvester import objects
from lab.harvester.host import RELEASE
from lab.labs import Lab

JSON = dict[str, Any]
CONFIGMAPS, SERVICES = _api.Kind("", "v1", "configmaps"), _api.Kind("", "v1", "services")
PROVISIONING = _api.Kind("provisioning.cattle.io", "v1", "clusters")
KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet"}
VIP = "10.89.255.10"


def install(api: _api.Api, lab: Lab) -> None:
    """Everything of a Harvester beside Fleet, for the living servers of a lab."""
    nodes = {name: lab.spec.host(name).ip for name in lab.servers}
    objects.write(api, objects.cluster(nodes, living=list(nodes), release=RELEASE["harvester"]))
    marks = {"cluster.x-k8s.io/cluster-name": "local"}
    secret = {"name": "local-kubeconfig", "namespace": objects.FLEET, "labels": marks}
    api.create(objects.BUILT_IN["Secret"], {"metadata": secret})
    version = ""
    for name in nodes:
        marks = {_orphans.MACHINE_OF_NODE: objects.machine(name)}
        made = api.patch(objects.BUILT_IN["Node"], name, {"metadata": {"annotations": marks}})
        version = made["status"]["nodeInfo"]["kubeletVersion"]
    api.patch(PROVISIONING, "local", {"spec": {"kubernetesVersion": version}}, objects.FLEET)
    text = "".join(f"{key}: {value}\n" for key, value in {**RELEASE, "kubernetes": version}.items())
    for name in nodes:
        lab.sh(name, "cat >/etc/harvester-release.yaml", stdin=text).ok("release")
    for kinds, namespaces, name in _check_nodes.COMPONENTS:
        _workload(api, kinds[0], namespaces[0], name)
    api.create(CONFIGMAPS, {"metadata": {"name": "vip", "namespace": objects.SYSTEM},
                            "data": {"enabled": "true", "mode": "static", "ip": VIP}})  # fmt: skip
    api.create(SERVICES, {
        "metadata": {"name": "ingress-expose", "namespace": "kube-system",
                     "annotations": {"kube-vip.io/loadbalancerIPs": VIP}},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
    })  # fmt: skip


def _workload(api: _api.Api, which: str, namespace: str, name: str) -> None:
    marks = {"app": name}
    image = f"rancher/{name}:{RELEASE['harvester']}"
    template = {"metadata": {"labels": marks}, "spec": {"containers": [{"name": "x", "image": image}]}}
    kind = _api.Kind("apps", "v1", which)
    api.create(kind, {
        "apiVersion": "apps/v1", "kind": KINDS[which], "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": marks}, "template": template},
    })  # fmt: skip
    one: JSON = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    if which == "daemonsets":
        one = dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled"), 1)
        one |= {"numberReady": 1, "numberMisscheduled": 0}
    api.patch(kind, name, {"status": {**one, "observedGeneration": 1}}, namespace, subresource="status")
