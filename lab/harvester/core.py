# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core components of a Harvester as objects that say they are ready, and its VIP."""

from __future__ import annotations

from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _check_nodes
from lab.harvester import objects

JSON = dict[str, Any]
CONFIGMAPS, SERVICES = _api.Kind("", "v1", "configmaps"), _api.Kind("", "v1", "services")
KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet"}


def components(api: _api.Api, version: str, vip: str) -> None:
    """Workloads that are ready, and the VIP."""
    for kinds, namespaces, name in _check_nodes.COMPONENTS:
        _workload(api, kinds[0], namespaces[0], name, version)
    api.create(CONFIGMAPS, {"metadata": {"name": "vip", "namespace": objects.SYSTEM},
                            "data": {"enabled": "true", "mode": "static", "ip": vip}})  # fmt: skip
    api.create(SERVICES, {
        "metadata": {"name": "ingress-expose", "namespace": "kube-system",
                     "annotations": {"kube-vip.io/loadbalancerIPs": vip}},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
    })  # fmt: skip


def _workload(api: _api.Api, which: str, namespace: str, name: str, version: str) -> None:
    marks = {"app": name}
    image = f"rancher/{name}:{version}"
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
