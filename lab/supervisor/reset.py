# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`server --cluster-reset`: one member out of what is left, in the order in which the real programs do it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import bootstrap, certificates, datastore, etcd, log, manifests, proc, startup
from .context import ServerContext
from .distro import LAB_BIN
from .etcd import EtcdError
from .temporary import log_connected

if TYPE_CHECKING:
    from .server import Server

SUCCESS = ("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and "
           "delete ${datadir}/server/db on each peer etcd server and rejoin the nodes")
_PREFIX = "Error: starting kubernetes: failed to start cluster: start managed database: "
_LOG = 5.0


class ResetError(Exception):
    """The reset cannot be done; fatal for the program."""


def restore(ctx: ServerContext, path: Path, name: str) -> None:
    """Move the datastore aside and make a new one from a snapshot, whose hash is only then checked."""
    if ctx.etcd.exists():
        log.info(f"Pre-restore etcd database moved to {datastore.move_aside(ctx, 'old')}")
    peer = f"https://{ctx.node_ip}:{etcd.PEER_PORT}"
    done = subprocess.run(
        [str(LAB_BIN / "etcdutl"), "snapshot", "restore", str(path), f"--data-dir={ctx.etcd}", f"--name={name}",
         f"--initial-cluster={name}={peer}", f"--initial-advertise-peer-urls={peer}", "--initial-cluster-token="],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, env=proc.child_env())
    errors = []
    for text in done.stderr.splitlines():
        if text.startswith("Error: "):
            errors.append(text.removeprefix("Error: "))
        elif "\t" in text:
            log.raw(zap(text, f"{ctx.distro.name}-etcd-client"))
    if done.returncode:
        raise ResetError(errors[-1] if errors else restore_failure(path, done.stderr))


def zap(text: str, logger: str) -> str:
    """A line of etcdutl's console log as the JSON line that the real program writes in its place."""
    stamp, level, *rest = text.split("\t")
    fields = json.loads(rest.pop()) if rest[-1].startswith("{") else {}
    msg = rest.pop()
    caller = rest.pop() if rest else ""
    name = f"{logger}.{rest[0]}" if rest else logger
    return json.dumps({"level": level, "ts": stamp, "logger": name, "caller": caller, "msg": msg, **fields},
                      separators=(",", ":"))


def restore_failure(path: Path, text: str) -> str:
    """The real program's words for a snapshot that etcdutl refused without an error line."""
    data = path.read_bytes()
    if len(data) < hashlib.sha256().digest_size:
        return f"seek {path}: invalid argument"
    return text.strip().splitlines()[-1] if text.strip() else "restore failed"


def _database(server: Server) -> None:
    """From the reset-flag to the start of etcd with force-new-cluster."""
    ctx = server.ctx
    text = ctx.config.get("cluster-reset-restore-path")
    etcd.set_name(ctx, force=False)
    if not text and ctx.reset_flag.exists():
        program = ctx.distro.name
        log.fatal(f"{_PREFIX}Managed etcd cluster membership was previously reset, please remove the cluster-reset "
                  f"flag and start {program} normally. If you need to perform another cluster reset, you must first "
                  f"manually delete the file at {ctx.reset_flag}")
    name = f"{ctx.node_name}-{etcd.suffix()}"
    if text:
        path = Path(text)
        if not path.exists():
            raise ResetError(f"etcd: snapshot path does not exist: {text}")
        if path.is_dir():
            raise ResetError(f"etcd: snapshot path must be a file, not a directory: {text}")
        restore(ctx, path, name)
    ctx.etcd.mkdir(mode=0o700, exist_ok=True)
    etcd.write_private(ctx.etcd / "name", name)
    ctx.reset_flag.touch(mode=0o600)
    log.info("Starting etcd for new cluster, cluster-reset=true")
    server.etcd_child = datastore.start(ctx, name, etcd.initial_new(ctx, name), reset=True)


def _rebootstrap(ctx: ServerContext) -> None:
    """Give the disk the files of the datastore, after a copy of server/tls was made."""
    data = bootstrap.read(ctx.gateway, ctx.token)
    if data is None:
        raise bootstrap.BootstrapError(bootstrap.NO_DATA)
    log.info("Reconciling bootstrap data between datastore and disk")
    copy = certificates.backup_tls(ctx, int(time.time()))
    log.info(f"Cluster reset: backing up certificates directory to {copy}")
    log.warning("Updating bootstrap data on disk from datastore")
    bootstrap.write_files(ctx, data)
    certificates.generate(ctx, ("etcd/peer-server-client", "etcd/server-client") if ctx.distro.static_pods else ())


def _finish(server: Server) -> bool:
    """Reconcile with an etcd that answers; whether this is its only member. Raises EtcdError to be tried again."""
    ctx = server.ctx
    log_connected(ctx.gateway)
    if not ctx.distro.static_pods:
        log.info("Connection to etcd is ready")
        log.info("ETCD server is now running")
        log.info(f"{ctx.distro.name} is up and running")
        _save(ctx)
    ctx.gateway.put(f"{ctx.distro.name}/apiaddresses", b"")
    members = ctx.gateway.members()
    _rebootstrap(ctx)
    if len(members) == 1 and members[0].name == ctx.member_name:
        return True
    log.warning("failed to update peer url: etcd still has more than one member")
    return False


def _wait(server: Server) -> None:
    """Try until it is done; no deadline, as in the real programs."""
    pause, logged = server.ctx.config.pace.reset_poll, 0.0
    while True:
        server.check_children()
        try:
            if _finish(server):
                return
        except EtcdError as exc:
            if time.monotonic() - logged >= _LOG:
                logged = time.monotonic()
                log.info(f"Failed to test etcd connection: failed to get etcd status: {exc}")
                log.warning(f"failed to list etcd members: {exc}")
        time.sleep(pause)


def _save(ctx: ServerContext) -> None:
    try:
        bootstrap.save(ctx)
    except bootstrap.BootstrapError as exc:
        if not ctx.config.get("cluster-reset-restore-path"):
            log.error(f"Shutdown request received: failed to save bootstrap data: {exc}")
        raise


def run(server: Server) -> int:
    """The reset; returns the exit code."""
    ctx = server.ctx
    for name in ("agent-load-balancer", "api-server-agent-load-balancer"):
        (ctx.agent / "etc" / f"{ctx.distro.name}-{name}.json").unlink(missing_ok=True)
    if etcd.is_initialized(ctx):
        log.info("Managed etcd cluster bootstrap already complete and initialized")
    else:
        log.info("Managed etcd cluster initializing")
    server.prepare()
    try:
        if ctx.distro.static_pods:
            manifests.remove(ctx, "kube-apiserver")
            log.info("Removed kube-proxy static pod manifest")
        _database(server)
        startup.announce(ctx)
        if ctx.distro.static_pods:
            server.node_children = startup.start_node(ctx)
        _wait(server)
    except ResetError as exc:
        log.info("Shutdown request received")
        log.warning("failed to list etcd members: context canceled")
        log.fatal(f"{_PREFIX}{exc}")
    except bootstrap.BootstrapError as exc:
        log.fatal(str(exc))
    log.error(f'Shutdown request received: "{SUCCESS}"')
    if ctx.distro.static_pods:
        log.info("Polling for API server readiness: GET /readyz failed: context canceled")
        log.info("Shutting down kubelet and etcd")
    return 0
