# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's etcd: start it as static pod or child, test it, look after learners."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from . import children, etcd, log, manifests
from .context import ServerContext
from .etcd import EtcdError
from .temporary import log_connected

TICK, STALL = 15.0, 300.0
NOT_PROMOTED = "this server has not yet been promoted from learner to voting member"


def start(ctx: ServerContext, name: str, initial: Mapping[str, str], *,
          reset: bool = False) -> subprocess.Popen[bytes] | None:
    """Write the configuration and start etcd; the child for K3s, None for RKE2, where kubelet starts it."""
    config = etcd.write_config(ctx, name, initial, reset=reset)
    if ctx.distro.static_pods:
        manifests.write_etcd(ctx, config, initial)
        return None
    return children.spawn(ctx, "etcd", [f"--config-file={config}"])


def existing_options(ctx: ServerContext) -> dict[str, str]:
    """initial-* keys of a member that has its data: as its pod had them; K3s leaves them out."""
    return manifests.initial_options(ctx) if ctx.distro.static_pods else {}


def test(ctx: ServerContext) -> None:
    """What the real program calls a connection test; raises EtcdError with its reason."""
    try:
        status = ctx.gateway.status()
    except EtcdError as exc:
        raise EtcdError(f"failed to get etcd status: {exc}") from exc
    if wrong := etcd.faults(status):
        raise EtcdError(wrong[0])
    name, peer = ctx.member_name, f"https://{ctx.node_ip}:{etcd.PEER_PORT}"
    members = ctx.gateway.members()
    own = [member for member in members if member.name == name and peer in member.peer_urls]
    if not own:
        shown = " ".join(str(member) for member in members)
        raise EtcdError(f"this server is not a member of the etcd cluster. Found [{shown}], expect: {name}={peer}")
    if own[0].is_learner:
        raise EtcdError(NOT_PROMOTED)
    log_connected(ctx.gateway)


def wait_ready(ctx: ServerContext, stopped: threading.Event) -> bool:
    """Wait until this server is a voter of a cluster with a leader; False when the program ends before."""
    pause, logged = ctx.config.pace.etcd_test, 0.0
    while not stopped.is_set():
        try:
            test(ctx)
            log.info("Connection to etcd is ready")
            return True
        except EtcdError as exc:
            if time.monotonic() - logged >= 5:
                logged = time.monotonic()
                log.info(f"Failed to test etcd connection: {exc}")
        stopped.wait(pause)
    return False


class Learners(threading.Thread):
    """On the leader, every 15 s: promote learners that are in sync, remove those that have stalled."""

    def __init__(self, ctx: ServerContext, stopped: threading.Event) -> None:
        super().__init__(daemon=True, name="learners")
        self._ctx, self._stopped = ctx, stopped
        self._seen: dict[int, float] = {}

    def run(self) -> None:
        """Tick until the server ends."""
        while True:
            try:
                self._tick()
            except EtcdError as exc:
                log.error(f"Failed to check local etcd status for learner management: {exc}")
            if self._stopped.wait(TICK):
                return

    def _tick(self) -> None:
        gateway = self._ctx.gateway
        status = gateway.status()
        if status.get("leader", "0") != status["header"]["member_id"]:
            self._seen.clear()
            return
        now = time.monotonic()
        learners = [member for member in gateway.members() if member.is_learner]
        self._seen = {member.id: self._seen.get(member.id, now) for member in learners}
        for member in learners:
            try:
                gateway.promote(member.id)
                log.info(f"Promoted learner {member.name}")
            except EtcdError:
                if now - self._seen[member.id] < STALL:
                    continue
                log.warning(f"Learner {member.name} stalled at RaftAppliedIndex=0")
                gateway.remove(member.id)
                log.warning(f"Removed learner {member.name} from etcd cluster")


def move_aside(ctx: ServerContext, label: str) -> Path:
    """Rename db/etcd to db/etcd-<label>-<unix>."""
    target = ctx.db / f"etcd-{label}-{int(time.time())}"
    ctx.etcd.rename(target)
    return target
