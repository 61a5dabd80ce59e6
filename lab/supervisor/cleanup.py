# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RKE2's static pod cleanup: old etcd and kube-apiserver pods are ended before a start that must not find them."""

from __future__ import annotations

import time

from . import cri, log, manifests
from .children import stop
from .context import ServerContext
from .runtime import start_containerd

_LIMIT = 300.0


def components(ctx: ServerContext, *, reset: bool, forced: bool) -> list[str]:
    """Static pods to end: only those whose manifest is still there."""
    if not (ctx.data_dir / "bin").exists() or not ctx.manifests.is_dir():
        return []
    names = ["etcd", "kube-apiserver"] if reset or not ctx.member_name else []
    if forced:
        names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    return [name for name in names if manifests.path(ctx, name).exists()]


def run(ctx: ServerContext) -> None:
    """Clean up when this start asks for it, and leave D/force-restart for the next one when it restores."""
    reset, forced = ctx.config.flag("cluster-reset"), ctx.force_restart.exists()
    ctx.force_restart.unlink(missing_ok=True)
    names = components(ctx, reset=reset, forced=forced)
    if ctx.config.get("cluster-reset-restore-path"):
        ctx.data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        ctx.force_restart.touch(mode=0o600)
    if names:
        _terminate(ctx, names)


def _terminate(ctx: ServerContext, names: list[str]) -> None:
    log.info("Static pod cleanup in progress", pods=f"[{' '.join(names)}]")
    for name in names:
        manifests.remove(ctx, name)
    child = start_containerd(ctx.distro, ctx.data_dir)
    client, begun, pace = cri.Client(), time.monotonic(), ctx.config.pace
    try:
        while True:
            time.sleep(pace.cleanup_poll)
            if child.poll() is not None:
                log.fatal("Error: temporary containerd process exited unexpectedly")
            if time.monotonic() - begun > _LIMIT:
                log.fatal("Error: static pod cleanup timed out")
            try:
                pods = [pod for name in names for pod in cri.static(client.pods(), name)]
            except cri.RuntimeDown:
                continue
            if not pods and time.monotonic() - begun >= pace.cleanup_of(len(names)):
                break
            for pod in pods:
                log.info(f"Removing pod {pod.name}")
                client.remove_pod(pod.id)
    finally:
        stop(child)
    log.info("Static pod cleanup completed successfully")
