# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node objects of etcd members: their annotations, the condition EtcdIsVoter, and removal of members."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from . import log, nodepassword, upkeep
from .api import STRATEGIC, Api, ApiError
from .etcd import EtcdError, Member
from .nodeobjects import stamp
from .nodepassword import PasswordRejected

if TYPE_CHECKING:
    from .context import ServerContext

__all__ = ["PasswordRejected", "ensure_node_password", "start_controllers"]

ETCD_FINALIZER, NODE_FINALIZER = "wrangler.cattle.io/managed-etcd-controller", "wrangler.cattle.io/node"
VOTER_TICK = 15.0
HEARTBEAT = 300.0
_VOTER = {
    True: ("True", "MemberNotLearner", "Node is a voting member of the etcd cluster"),
    False: ("False", "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster"),
    None: ("False", "NotAMember", "Node is not a member of the etcd cluster"),
}


def marks(node: Mapping[str, Any]) -> Mapping[str, str]:
    """Annotations of an object."""
    return node["metadata"].get("annotations") or {}


def member_of(node: Mapping[str, Any], members: Iterable[Member], prefix: str) -> Member | None:
    """The member that a Node's annotations name, at the address that they give."""
    own = marks(node)
    name, address = own.get(f"{prefix}/node-name"), own.get(f"{prefix}/node-address")
    for member in members:
        hosts = {urlsplit(url).hostname for url in member.peer_urls}
        if address in hosts and (not member.name or member.name == name):
            return member
    return None


def own_patch(node: Mapping[str, Any], prefix: str, member: str, address: str) -> dict[str, Any]:
    """Merge patch that marks the own Node as an etcd member; empty when nothing is missing."""
    metadata = node["metadata"]
    if metadata.get("deletionTimestamp"):
        return {}
    labels = {f"node-role.kubernetes.io/{role}": "true" for role in ("control-plane", "etcd")}
    wanted: dict[str, Any] = {"labels": labels}
    if member and marks(node).get(f"{prefix}/removed-node-name") != member:
        wanted["annotations"] = {f"{prefix}/node-name": member, f"{prefix}/node-address": address}
    finalizers = metadata.get("finalizers") or []
    missing = [name for name in (ETCD_FINALIZER, NODE_FINALIZER) if name not in finalizers]
    if missing:
        wanted["finalizers"] = [*finalizers, *missing]
    same = all(metadata.get(key, {}).get(name) == value for key in ("labels", "annotations")
               for name, value in wanted.get(key, {}).items())
    return {} if same and not missing else {"metadata": wanted}


def voter_condition(node: Mapping[str, Any], member: Member | None, now: float) -> dict[str, str] | None:
    """EtcdIsVoter as it should be, None while the Node says so and its heartbeat is fresh."""
    status, reason, message = _VOTER[None if member is None else not member.is_learner]
    rows = node["status"].get("conditions") or []
    have: Mapping[str, str] = next((row for row in rows if row["type"] == "EtcdIsVoter"), {})
    same = (have.get("status"), have.get("reason")) == (status, reason)
    if same and have.get("lastHeartbeatTime", "") > stamp(now - HEARTBEAT):
        return None
    since = have["lastTransitionTime"] if have.get("status") == status else stamp(now)
    return {"type": "EtcdIsVoter", "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": stamp(now), "lastTransitionTime": since}


def supervisor_api(ctx: ServerContext) -> Api:
    """The local apiserver, with the supervisor's own certificate."""
    return Api.from_kubeconfig(ctx.cred / "supervisor.kubeconfig")


def ensure_node_password(ctx: ServerContext, node: str, password: str) -> None:
    """Refuse a node that comes with another password than before; the own node is compared with its file."""
    if node == ctx.node_name and nodepassword.FILE.exists() and password == nodepassword.local():
        log.info(f"Password verified locally for node {node}")
        return
    try:
        nodepassword.ensure(supervisor_api(ctx), node, ctx.distro.name, password)
    except PasswordRejected:
        log.error(f"unable to verify password for node {node}: hash does not match")
        raise


class Controllers:
    """The controllers of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._api = supervisor_api(ctx)
        self._upkeep = upkeep.Upkeep(self._api, ctx.distro.name, ctx.tls / "server-ca.crt")
        self._first = True
        self._voters = -VOTER_TICK

    def _prefix(self, word: str) -> str:
        return f"{self._ctx.distro.annotation}/{word}"

    def tick(self) -> None:
        """One round."""
        nodes = self._api.get("/api/v1/nodes")["items"]
        own = next((node for node in nodes if node["metadata"]["name"] == self._ctx.node_name), None)
        if own is not None:
            self._own(own, nodes)
        failure: Exception | None = None
        for node in nodes:
            if node is not own:
                try:
                    self._remove(node)
                except (ApiError, EtcdError) as exc:  # tried again; the other duties go on meanwhile
                    failure = exc
        self._upkeep.tick(nodes)
        if time.monotonic() - self._voters >= VOTER_TICK:
            self._voters = time.monotonic()
            self._conditions(nodes)
        if failure is not None:
            raise failure

    def _patch(self, name: str, body: Mapping[str, Any]) -> None:
        self._api.patch(f"/api/v1/nodes/{name}", body)

    def _own(self, own: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> None:
        ctx = self._ctx
        patch = own_patch(own, ctx.distro.annotation, ctx.member_name, ctx.node_ip)
        if patch:
            self._patch(ctx.node_name, patch)
            log.info(f"Annotations and labels have been set successfully on node: {ctx.node_name}")
        if not self._first:
            return
        self._first = False
        if ctx.reset_flag.exists():
            nodepassword.forget(self._api, ctx.node_name, ctx.distro.name)
            words = [self._prefix(word) for word in ("remove", "removed-node-name")]
            for node in nodes:
                if any(word in marks(node) for word in words):
                    self._patch(node["metadata"]["name"], {"metadata": {"annotations": dict.fromkeys(words)}})
            ctx.reset_flag.unlink(missing_ok=True)
        if not nodepassword.exists(self._api, ctx.node_name, ctx.distro.name):
            nodepassword.create(self._api, ctx.node_name, ctx.distro.name, nodepassword.local())

    def _remove(self, node: Mapping[str, Any]) -> None:
        """Remove the member of a Node that is being deleted or is marked; never the own one."""
        metadata, own = node["metadata"], marks(node)
        name, finalizers = metadata["name"], metadata.get("finalizers") or []
        deleted = metadata.get("deletionTimestamp") and ETCD_FINALIZER in finalizers
        if not deleted and own.get(self._prefix("remove")) != "true":
            return
        member = member_of(node, self._ctx.gateway.members(), self._ctx.distro.annotation)
        if member is not None:
            address = own[self._prefix("node-address")]
            log.info(f"Removing name={member.name} id={member.id} address={address} from etcd")
            self._ctx.gateway.remove(member.id)
        if deleted:
            left = [item for item in finalizers if item not in (ETCD_FINALIZER, NODE_FINALIZER)]
            self._patch(name, {"metadata": {"finalizers": left, "resourceVersion": metadata["resourceVersion"]}})
            return
        removed = own.get(self._prefix("node-name"))
        words = dict.fromkeys(self._prefix(word) for word in ("remove", "node-name", "node-address"))
        self._patch(name, {"metadata": {"annotations": {**words, self._prefix("removed-node-name"): removed}}})

    def _conditions(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        status = self._ctx.gateway.status()
        if status.get("leader") != status["header"]["member_id"]:
            return
        members = self._ctx.gateway.members()
        for node in nodes:
            if "node-role.kubernetes.io/etcd" not in (node["metadata"].get("labels") or {}):
                continue
            row = voter_condition(node, member_of(node, members, self._ctx.distro.annotation), time.time())
            if row is not None:
                self._api.patch(f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": {"conditions": [row]}},
                                STRATEGIC)


class Tombstone:
    """Watches whether this server's member has been removed; its own apiserver is gone then, so it asks peers."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._api = supervisor_api(ctx)
        self._peers: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """db/etcd/tombstone."""
        return self._ctx.etcd / "tombstone"

    def tick(self) -> None:
        """Write the tombstone when a peer's apiserver knows of the removal."""
        name = self._ctx.member_name
        try:
            members = self._ctx.gateway.members()
        except EtcdError:
            members = []
        if any(member.name == name for member in members):
            hosts = {urlsplit(url).hostname for member in members for url in member.client_urls}
            self._peers = tuple(f"https://{host}:6443" for host in sorted(hosts - {self._ctx.node_ip, None}, key=str))
            return
        if not name or self.path.exists():
            return
        for url in self._peers:
            try:
                node = self._api.at(url).get(f"/api/v1/nodes/{self._ctx.node_name}")
            except (OSError, ApiError):
                continue
            if marks(node).get(f"{self._ctx.distro.annotation}/removed-node-name") == name:
                self.path.touch(mode=0o600)
                return


def _every(seconds: float, tick: Callable[[], None]) -> None:
    last = ""
    while True:
        try:
            tick()
            last = ""
        except (OSError, ApiError, EtcdError, KeyError, ValueError) as exc:
            if str(exc) != last:
                last = str(exc)
                log.error(f"error syncing nodes: {exc}")
        time.sleep(seconds)


def start_controllers(ctx: ServerContext) -> None:
    """Start the controllers in the background; call it once the apiserver is ready."""
    log.info("Starting managed etcd node metadata controller")
    for seconds, tick in ((1.0, Controllers(ctx).tick), (2.0, Tombstone(ctx).tick)):
        threading.Thread(target=_every, args=(seconds, tick), daemon=True, name="controllers").start()
