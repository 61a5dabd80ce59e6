# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RKE2's wait for its static pods: it looks from time to time, and an old sandbox that is dead costs it a look."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence

from . import cri, log, manifests, runtime
from .context import ServerContext

COMPONENTS = ("etcd", "kube-apiserver")


def leftovers(written: Collection[str], pods: Iterable[cri.Pod]) -> frozenset[str]:
    """Components with a dead sandbox: one that is known, or one that a power loss took, whose manifest has stayed."""
    known = list(pods)
    by_name = {name: [pod.state for pod in cri.static(known, name)] for name in COMPONENTS}
    return frozenset(name for name, states in by_name.items()
                     if "NotReady" in states or (name in written and not states))


def look(written: Sequence[str], old: Collection[str]) -> tuple[Sequence[str], str]:
    """One look at the pods, in order: those that are in sync, and the one at which it ends, empty when all are."""
    for number, name in enumerate(written):
        if name in old:
            return written[:number], name
    return written, ""


def _written(ctx: ServerContext) -> list[str]:
    return [name for name in COMPONENTS if manifests.path(ctx, name).exists()]


def start(ctx: ServerContext, stopped: threading.Event) -> threading.Event:
    """Begin to look, before containerd runs; set once all static pods are in sync, at full speed at once."""
    synced = threading.Event()
    if not ctx.config.pace.pod_sync:
        synced.set()
        return synced
    old = set(leftovers(_written(ctx), filter(None, map(runtime.load, runtime.PODS.glob("*")))))

    def run() -> None:
        while not stopped.wait(ctx.config.pace.pod_sync):
            written = _written(ctx)
            done, waiting = look(written, old)
            for name in done:
                log.info(f"Pod for {name} is synced")
            if waiting:
                log.info(f"Pod for {waiting} not synced (waiting for termination of old pod sandbox), retrying")
                old.discard(waiting)
            elif written:
                synced.set()
                return

    threading.Thread(target=run, daemon=True, name="pod-sync").start()
    return synced
