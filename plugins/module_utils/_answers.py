# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What the etcd and the API of a server say of themselves, out of the blocks of sh/info.sh: parts of ClusterState."""

from __future__ import annotations

import typing as t

from . import _harvester
from ._blocks import Blocks, loads

JSON = dict[str, t.Any]


def etcd(blocks: Blocks) -> JSON:
    """Answers of the running etcd; each is null when it did not answer."""
    health = loads(blocks.text("health"))
    # Without a leader the alarms do not answer, and an etcd before 3.6 has no 2382: what did answer still counts.
    blocks.text("gateway")
    said = blocks.blocks.get("gateway", (-1, ""))[1].split("\n")
    port = next((line for line in said if line.isdigit()), None)
    answers = [loads(line) for line in said[said.index(port) + 1 :]] if port else []
    status, members, alarms = (answers + [None] * 3)[:3]
    head = (status or {}).get("header") or {}
    if status is not None and "cluster_id" not in head:
        blocks.unread["gateway"] = str(status.get("message") or status)[:200]
        status = None
    return {
        "health": None
        if health is None
        else {"ok": health.get("health") == "true", "reason": health.get("reason") or None},
        "port": int(port) if port else None,
        "status": None
        if status is None
        else {
            "cluster_id": f"{int(head['cluster_id']):x}",
            "member_id": f"{int(head['member_id']):x}",
            "revision": int(head.get("revision", 0)),
            "term": int(status.get("raftTerm", 0)),
            "index": int(status.get("raftAppliedIndex", 0)),
            "leader": f"{int(status['leader']):x}" if int(status.get("leader") or 0) else None,
            "learner": bool(status.get("isLearner", False)),
            "version": status.get("version"),
            **sizes(status),
            "errors": status.get("errors") or [],
        },
        "members": None
        if members is None or "members" not in members
        else [member(entry) for entry in members["members"]],
        "alarms": None
        if alarms is None or "header" not in alarms
        else [str(a.get("alarm")) for a in alarms.get("alarms", [])],
        "alarmed": {f"{int(a['memberID']):x}": str(a.get("alarm")) for a in (alarms or {}).get("alarms", [])},
    }


def sizes(status: JSON) -> dict[str, int | None]:
    """What the gateway's status says of the file; the quota only since etcd 3.6."""
    return {
        "bytes": int(status.get("dbSize", 0)),
        "in_use": int(status.get("dbSizeInUse", 0)),
        "quota": int(status.get("dbSizeQuota", 0)) or None,
    }


def member(entry: JSON) -> JSON:
    """One member as the JSON gateway lists it (64-bit IDs are decimal strings there)."""
    return {
        "id": f"{int(entry['ID']):x}",
        "name": entry.get("name", ""),
        "peer_urls": entry.get("peerURLs") or [],
        "learner": bool(entry.get("isLearner", False)),
    }


def api(blocks: Blocks) -> JSON:
    """Answers of the supervisor and of the API; each is null when it did not answer."""
    ready = blocks.text("readyz")
    nodes = loads(blocks.text("nodes"))
    slices = loads(blocks.text("endpoints"))
    system = loads(blocks.text("system"))
    return {
        "ping": blocks.blocks.get("ping", (-1, ""))[1].strip() == "pong",
        "ready": (ready or "").strip() == "ok",
        "nodes": None if nodes is None else [kubernetes_node(item) for item in nodes.get("items", [])],
        "endpoints": None if slices is None else addresses(slices),
        "system_uid": ((system or {}).get("metadata") or {}).get("uid"),
        "capi": _harvester.capi(loads(blocks.text("capi"))) if "capi" in blocks.blocks else None,
    }


def addresses(slices: JSON) -> list[str]:
    """Addresses of an EndpointSlice."""
    return sorted(address for point in slices.get("endpoints") or [] for address in point.get("addresses", []))


def kubernetes_node(item: JSON) -> JSON:
    """The part of a Node object that decisions need."""
    meta, status = item["metadata"], item.get("status", {})
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", [])}
    return {
        "name": meta["name"],
        "ready": conditions.get("Ready") == "True",
        "voter": conditions.get("EtcdIsVoter"),
        "control_plane": "node-role.kubernetes.io/control-plane" in meta.get("labels", {}),
        "conditions": conditions,
        "addresses": [entry["address"] for entry in status.get("addresses", []) if entry.get("type") == "InternalIP"],
        "os_image": (status.get("nodeInfo") or {}).get("osImage"),
        "kubelet_version": (status.get("nodeInfo") or {}).get("kubeletVersion"),
    }
