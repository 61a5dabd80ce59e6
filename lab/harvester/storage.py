# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Longhorn, played: its nodes, replicas that are built anew, and volumes that are as good as their replicas."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.kinds import ATTACHMENTS, ENGINES, NODES, REPLICAS, STORAGE, VOLUMES, ready
from lab.harvester.play import release

JSON = dict[str, Any]


def longhorn(api: _api.Api) -> None:
    """Nodes that are gone count as gone; what is deleted goes; what is missing is built anew, and takes two looks."""
    found = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    nodes = set(found)
    replicas = api.items(REPLICAS, objects.LONGHORN) or []
    for replica in [each for each in replicas if each["metadata"].get("deletionTimestamp")]:
        release(api, REPLICAS, replica, objects.LONGHORN_FINALIZER)
        replicas.remove(replica)
    for attachment in api.items(ATTACHMENTS) or ():
        if attachment["metadata"].get("deletionTimestamp"):
            volume = attachment["spec"]["source"]["persistentVolumeName"]
            api.patch(ENGINES, f"{volume}-e-0", {"spec": {"nodeID": ""}}, objects.LONGHORN)
            release(api, ATTACHMENTS, attachment, objects.ATTACHER_FINALIZER)
    storage = api.items(STORAGE, objects.LONGHORN) or []
    for name in nodes - {node["metadata"]["name"] for node in storage}:
        if ready(found[name]) and "harvesterhci.io/managed" in (found[name]["metadata"].get("labels") or {}):
            objects.write(api, objects.storage(name, ready=True))
    for node in storage:
        _count(api, node, nodes, [each for each in replicas if each["spec"]["nodeID"] == node["metadata"]["name"]])
        if node["metadata"].get("deletionTimestamp"):
            release(api, STORAGE, node, objects.LONGHORN_FINALIZER)
    usable = [n["metadata"]["name"] for n in storage if n["spec"]["allowScheduling"] and n["metadata"]["name"] in nodes]
    for volume in api.items(VOLUMES, objects.LONGHORN) or ():
        name = volume["metadata"]["name"]
        _rebuild(api, volume, [each for each in replicas if each["spec"]["volumeName"] == name], usable)


def _count(api: _api.Api, node: JSON, nodes: set[str], replicas: list[JSON]) -> None:
    """Status of a node of Longhorn: whether its Node is there, and what lies on its disk."""
    name = node["metadata"]["name"]
    gone = {"type": "Ready", "status": "False", "reason": "KubernetesNodeGone"}
    scheduled = {each["metadata"]["name"]: 1 for each in replicas}
    disk = node["status"]["diskStatus"]["default"]
    conditions = node["status"]["conditions"] if name in nodes else [gone]
    if disk.get("scheduledReplica", {}) == scheduled and conditions == node["status"]["conditions"]:
        return
    old = dict.fromkeys(disk.get("scheduledReplica") or {})
    status = {"conditions": conditions, "diskStatus": {"default": {"scheduledReplica": {**old, **scheduled}}}}
    api.patch(STORAGE, name, {"status": status}, objects.LONGHORN, subresource="status")


def _rebuild(api: _api.Api, volume: JSON, replicas: list[JSON], usable: list[str]) -> None:
    good = [each for each in replicas if each["spec"]["healthyAt"] and not each["spec"]["failedAt"]]
    for replica in replicas:
        if good and not replica["spec"]["healthyAt"]:
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            api.patch(REPLICAS, replica["metadata"]["name"], {"spec": {"healthyAt": moment}}, objects.LONGHORN)
    free = [name for name in usable if name not in {each["spec"]["nodeID"] for each in replicas}]
    if good and free and len(replicas) < volume["spec"]["numberOfReplicas"]:
        objects.write(api, [objects.replica(volume["metadata"]["name"], free[0], healthy=False)])
