# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The core components of a Harvester as objects that say they are ready, and its VIP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _check_nodes, _fleet
from lab.harvester.objects import BUILT_IN, FLEET, SYSTEM
from lab.harvester.play import settle

JSON = dict[str, Any]
KINDS = {"deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet"}


def components(version: str, vip: str) -> Iterator[JSON]:
    """Workloads that are ready, and the VIP as kube-vip has it."""
    for kinds, namespaces, name in _check_nodes.COMPONENTS:
        yield _workload(KINDS[kinds[0]], namespaces[0], name, version)
    config = {"enabled": "true", "mode": "static", "ip": vip}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vip", "namespace": SYSTEM}, "data": config}
    marks = {"kube-vip.io/loadbalancerIPs": vip}
    yield {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "ingress-expose", "namespace": "kube-system", "annotations": marks},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
    }  # fmt: skip


def images(api: _api.Api) -> None:
    """Helm gives the Deployment of Harvester the image of the chart that Fleet has brought."""
    bundle = api.get(_fleet.BUNDLES, "mcc-harvester", FLEET) or {}
    chart = api.get(_fleet.CHARTS, "harvester", FLEET) or {}
    ready = ((bundle.get("status") or {}).get("display") or {}) == {"readyClusters": "1/1"}
    found = api.get(BUILT_IN["Deployment"], "harvester", SYSTEM)
    if ready and found and not chart["spec"].get("paused"):
        image = f"x/harvester:v{str(chart['spec']['version']).removeprefix('v')}"
        template = {"spec": {"containers": [{"name": "x", "image": image}]}}
        settle(api, BUILT_IN["Deployment"], found, {"spec": {"template": template}})


def _workload(kind: str, namespace: str, name: str, version: str) -> JSON:
    marks = {"app": name}
    template = {"metadata": {"labels": marks}, "spec": {"containers": [{"name": "x", "image": f"x/{name}:{version}"}]}}
    one: JSON = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    if kind == "DaemonSet":
        one = dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled"), 1)
        one |= {"numberReady": 1, "numberMisscheduled": 0}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": marks}, "template": template}, "status": {**one, "observedGeneration": 1},
    }  # fmt: skip
