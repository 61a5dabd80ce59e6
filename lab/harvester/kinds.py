# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds that the played controllers read and write, and what they ask of single objects."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects

NODES, LEASES, SECRETS, ATTACHMENTS, PODS, JOBS = (
    objects.BUILT_IN[k] for k in ("Node", "Lease", "Secret", "VolumeAttachment", "Pod", "Job")
)
MACHINES, CLUSTERS = (_api.Kind("cluster.x-k8s.io", "v1beta1", plural) for plural in ("machines", "clusters"))
BOOTSTRAPS, CUSTOM = (_api.Kind("rke.cattle.io", "v1", plural) for plural in ("rkebootstraps", "custommachines"))
STORAGE, VOLUMES, ENGINES, REPLICAS = (
    _api.Kind("longhorn.io", "v1beta2", plural) for plural in ("nodes", "volumes", "engines", "replicas")
)
PLAN_SECRET = "rke.cattle.io/machine-plan"


def paused(api: _api.Api) -> bool:
    """Whether the CAPI Cluster is paused, as it is seen by who reconciles it; also where there is none."""
    cluster = api.get(CLUSTERS, "local", objects.FLEET)
    return cluster is None or bool((cluster.get("spec") or {}).get("paused"))


def ready(node: Mapping[str, Any]) -> bool:
    """Whether a Node says that it is Ready."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def lives(api: _api.Api, node: str) -> bool:
    """Whether its kubelet has renewed its Lease."""
    lease = api.get(LEASES, node, "kube-node-lease") or {}
    renewed = str((lease.get("spec") or {}).get("renewTime") or "")
    return bool(renewed) and time.time() - datetime.fromisoformat(renewed).timestamp() < 40
