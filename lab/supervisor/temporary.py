# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A short-lived etcd on a copy of the datastore, in which an existing server reads the bootstrap data."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import bootstrap, children, log
from .context import ServerContext
from .etcd import CLIENT_PORT, EtcdError, Gateway, faults

_CLIENT, _PEER, _HTTP = 2399, 2400, 2402


def _copy(source: str, target: str) -> None:
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def _start(ctx: ServerContext, directory: Path) -> subprocess.Popen[bytes]:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(ctx.etcd, directory, copy_function=_copy, ignore=shutil.ignore_patterns("*.tmp"))
    peer, client = f"http://127.0.0.1:{_PEER}", f"http://127.0.0.1:{_CLIENT}"
    return children.spawn(ctx, "etcd", [
        f"--name={ctx.member_name}", f"--data-dir={directory}", "--force-new-cluster", "--logger=zap",
        "--log-outputs=stderr", f"--initial-advertise-peer-urls={peer}", f"--listen-peer-urls={peer}",
        f"--initial-cluster={ctx.member_name}={peer}", f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}", f"--listen-client-http-urls=http://127.0.0.1:{_HTTP}"])


def _connect(ctx: ServerContext, directory: Path, gateway: Gateway) -> subprocess.Popen[bytes]:
    """Start it and wait until it answers; a copy of a database in use can be torn and is then made again."""
    for left in (2, 1, 0):
        child, last = _start(ctx, directory), ""
        while child.poll() is None:
            try:
                log_connected(gateway)
                return child
            except EtcdError as exc:
                if str(exc) != last:
                    last = str(exc)
                    log.info(f"Failed to test temporary data store connection: failed to get etcd status: {exc}")
                time.sleep(0.2)
        if not left or not _in_use():
            break
    log.fatal(f"Failed to reconcile with temporary etcd: etcd exited with status {child.returncode}")


def _in_use() -> bool:
    """Whether the server's own etcd runs (RKE2: its pod outlives the unit)."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", CLIENT_PORT)) == 0


def reconcile(ctx: ServerContext) -> None:
    """Reconcile with the local datastore; ends the program when that is impossible."""
    log.info("Starting temporary etcd to reconcile with datastore")
    directory, gateway = ctx.db / "etcd-tmp", Gateway(_HTTP, timeout=3)
    child = _connect(ctx, directory, gateway)
    log.info("etcd temporary data store connection OK")
    try:
        _apply(ctx, gateway)
    except bootstrap.BootstrapError as exc:
        text = str(exc)
        log.fatal(f"Failed to reconcile with temporary etcd: {text}" if text == bootstrap.DIFFERENT_TOKEN else text)
    finally:
        log.info("Stopping etcd server...")
        children.stop(child)
        log.info("etcd server stopped")
        shutil.rmtree(directory, ignore_errors=True)


def _apply(ctx: ServerContext, gateway: Gateway) -> None:
    empty = any(not path.is_dir() or not any(path.iterdir()) for path in (ctx.cred, ctx.tls, ctx.tls / "etcd"))
    if empty and not ctx.distro.asks_datastore_first:
        # k3s#13371: with one of these empty the datastore is not asked, and new authorities are made afterwards
        bootstrap.from_disk(ctx)
        log.info("Reconciling bootstrap data between datastore and disk")
        return
    data = bootstrap.read(gateway, ctx.token)
    if data is not None:
        bootstrap.reconcile(ctx, data)


def log_connected(gateway: Gateway) -> None:
    """What the real program does with an etcd that answers: status, defragmentation, alarms, all logged."""
    status = gateway.status()
    if wrong := faults(status):
        raise EtcdError(wrong[0])
    log.info(f"Connected to etcd v{status['version']} - datastore using {status.get('dbSizeInUse', 0)} of "
             f"{status.get('dbSize', 0)} bytes")
    log.info("Defragmenting etcd database")
    gateway.defragment()
    for alarm in gateway.disarm():
        log.error(f"{alarm} alarm must be disarmed manually")
    status = gateway.status()
    log.info(f"Datastore using {status.get('dbSizeInUse', 0)} of {status.get('dbSize', 0)} bytes after defragment")
