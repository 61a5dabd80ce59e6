# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Longhorn, played: its nodes, replicas that are built anew or moved, and volumes that are as good as their replicas.

A replica is built in two looks: first it is there (WO), then it is good (RW). One of a volume at a time. That a
detached volume is rebuilt too is ours; the real Longhorn does so only when it is attached, or its replicas are evicted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.kinds import ATTACHMENTS, ENGINES, NODES, REPLICAS, STORAGE, VOLUMES, ready
from lab.harvester.play import release, settle

JSON = dict[str, Any]


def longhorn(api: _api.Api) -> None:
    """Everything that Longhorn does in one look."""
    nodes = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    replicas = api.items(REPLICAS, objects.LONGHORN) or []
    for replica in [each for each in replicas if each["metadata"].get("deletionTimestamp")]:
        release(api, REPLICAS, replica, objects.LONGHORN_FINALIZER)
        replicas.remove(replica)
    for attachment in api.items(ATTACHMENTS) or ():
        if attachment["metadata"].get("deletionTimestamp"):
            of = f"{attachment['spec']['source']['persistentVolumeName']}-e-0"
            found = api.get(ENGINES, of, objects.LONGHORN)
            if found and found["spec"]["nodeID"] == attachment["spec"]["nodeName"]:
                api.patch(ENGINES, of, {"spec": {"nodeID": ""}}, objects.LONGHORN)
            release(api, ATTACHMENTS, attachment, objects.ATTACHER_FINALIZER)
    storage = {item["metadata"]["name"]: item for item in api.items(STORAGE, objects.LONGHORN) or ()}
    for name, node in nodes.items():
        if name not in storage and ready(node) and "harvesterhci.io/managed" in (node["metadata"].get("labels") or {}):
            objects.write(api, objects.storage(name, ready=True))
    for name, item in storage.items():
        _look(api, item, nodes.get(name), [each for each in replicas if each["spec"]["nodeID"] == name])
        if item["metadata"].get("deletionTimestamp"):
            release(api, STORAGE, item, objects.LONGHORN_FINALIZER)
    usable = [name for name, item in storage.items() if takes(item, nodes.get(name))]
    leaving = {name for name, item in storage.items() if _evicts(item)}
    for volume in api.items(VOLUMES, objects.LONGHORN) or ():
        own = [each for each in replicas if each["spec"]["volumeName"] == volume["metadata"]["name"]]
        engine = api.get(ENGINES, f"{volume['metadata']['name']}-e-0", objects.LONGHORN) or {"metadata": {}}
        _rebuild(api, volume, engine, own, usable, leaving)
        _judge(api, volume, engine, own, {name for name, node in nodes.items() if ready(node)})


def takes(item: Mapping[str, Any], node: Mapping[str, Any] | None) -> bool:
    """Whether a replica may be put on a node of Longhorn."""
    cordoned = node is None or (node.get("spec") or {}).get("unschedulable")
    return bool(node and ready(node) and not cordoned and item["spec"]["allowScheduling"] and not _evicts(item))


def _evicts(item: Mapping[str, Any]) -> bool:
    disks = (item["spec"].get("disks") or {}).values()
    return bool(item["spec"].get("evictionRequested")) or any(disk.get("evictionRequested") for disk in disks)


def _look(api: _api.Api, item: JSON, node: JSON | None, replicas: list[JSON]) -> None:
    """Status of a node of Longhorn: what its Node says, and what lies on its disk."""
    why = "KubernetesNodeGone" if node is None else "" if ready(node) else "KubernetesNodeNotReady"
    cordoned = "KubernetesNodeCordoned" if node and (node.get("spec") or {}).get("unschedulable") else ""
    conditions = [{"type": kind, "status": "False" if reason else "True", "reason": reason}
                  for kind, reason in (("Ready", why), ("Schedulable", why or cordoned))]  # fmt: skip
    disk = item["status"]["diskStatus"]["default"]
    there = {each["metadata"]["name"]: 1 for each in replicas}
    scheduled = {**dict.fromkeys(disk.get("scheduledReplica") or {}), **there}
    status = {"conditions": conditions, "diskStatus": {"default": {"scheduledReplica": scheduled}}}
    settle(api, STORAGE, item, {"status": status}, "status")


def _good(replica: Mapping[str, Any]) -> bool:
    return bool(replica["spec"]["healthyAt"]) and not replica["spec"]["failedAt"]


def _rebuild(
    api: _api.Api, volume: JSON, engine: JSON, replicas: list[JSON], usable: Collection[str], leaving: Collection[str]
) -> None:
    """One more where there are too few, or where one has to leave that another node can take."""
    good = [each for each in replicas if _good(each)]
    building = [each for each in replicas if not each["spec"]["healthyAt"]]
    shown = (engine.get("status") or {}).get("replicaModeMap") or {}
    written = [r for r in building if volume["status"].get("state") != "attached" or r["metadata"]["name"] in shown]
    for replica in written if good else ():
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        settle(api, REPLICAS, replica, {"spec": {"healthyAt": moment}})
    free = [name for name in usable if name not in {each["spec"]["nodeID"] for each in replicas}]
    wanted = volume["spec"]["numberOfReplicas"]
    going = [each for each in replicas if each["spec"]["nodeID"] in leaving]
    if going and len(good) > wanted:
        api.delete(REPLICAS, going[0]["metadata"]["name"], objects.LONGHORN)
    elif good and free and not building and (len(replicas) < wanted or (going and len(replicas) <= wanted)):
        objects.write(api, [objects.replica(volume["metadata"]["name"], free[0], healthy=False)])


def _judge(api: _api.Api, volume: JSON, engine: JSON, replicas: list[JSON], up: Collection[str]) -> None:
    """Robustness of an attached volume; that of a detached one is unknown, unless every replica has failed."""
    reached = [each for each in replicas if each["spec"]["nodeID"] in up]
    modes = {each["metadata"]["name"]: "RW" if _good(each) else "WO" for each in reached}
    writable = list(modes.values()).count("RW")
    enough = writable >= volume["spec"]["numberOfReplicas"]
    robust = "healthy" if enough else "degraded" if writable else "faulted"
    if volume["status"].get("state") != "attached":
        modes, robust = {}, "unknown" if any(map(_good, replicas)) else "faulted"
    settle(api, VOLUMES, volume, {"status": {"robustness": robust}}, "status")
    if engine["metadata"]:
        gone = dict.fromkeys((engine.get("status") or {}).get("replicaModeMap") or {})
        settle(api, ENGINES, engine, {"status": {"replicaModeMap": {**gone, **modes}}}, "status")
