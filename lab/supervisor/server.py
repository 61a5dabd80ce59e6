# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rke2 server` and `k3s server`: a server from its start to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from . import (
    apiserver,
    bootstrap,
    certificates,
    children,
    cleanup,
    config,
    datastore,
    etcd,
    idle,
    join,
    listener,
    log,
    node,
    podwait,
    reset,
    serving,
    startup,
)
from .context import ServerContext
from .distro import DISTROS
from .etcd import EtcdError

LEADERLESS_LIMIT = 60.0
"""How long K3s goes on without a leader: its scheduler and controller manager lose their leases and take it along."""


class Stop(Exception):
    """The program ends: SIGTERM, or a failure that the real one answers by shutting down."""


def _on_term(_number: int, _frame: FrameType | None) -> None:
    raise Stop


class Server:
    """A running server: its children, its listener and what it has reached."""

    def __init__(self, ctx: ServerContext) -> None:
        self.ctx = ctx
        self.state = listener.State(ctx)
        self.stopped = threading.Event()
        self.etcd_child: subprocess.Popen[bytes] | None = None
        self.api_child: subprocess.Popen[bytes] | None = None
        self.node_children: list[subprocess.Popen[bytes]] = []
        self.held: list[socket.socket] = []
        self.pods_synced = threading.Event()

    def prepare(self) -> None:
        """Certificates, supervisor port and node identity: the same for a start and a reset."""
        ctx = self.ctx
        certificates.generate(ctx)
        if ctx.reset_flag.exists():  # of a host that was new, it is signed by CAs that the restore has replaced
            (ctx.tls / "dynamic-cert.json").unlink(missing_ok=True)
        serving.dynamic_certificate(ctx)
        os.chdir(ctx.server)
        try:
            listener.serve(self.state)
        except OSError as exc:
            log.fatal(f"Error: starting kubernetes: listen tcp :{ctx.distro.supervisor_port}: bind: {exc.strerror}")
        startup.node_identity(ctx)

    def start(self) -> None:
        """A normal start, up to the moment at which systemd is told."""
        ctx = self.ctx
        supervisor = startup.bootstrap_data(ctx)
        startup.tombstone(ctx)
        self.prepare()
        name = etcd.set_name(ctx, force=False)
        if ctx.distro.static_pods:
            self.pods_synced = podwait.start(ctx, self.stopped)
        self.node_children = startup.start_node(ctx)
        apiserver.announce(ctx)
        if etcd.is_initialized(ctx):
            log.info("Starting etcd for existing cluster member")
            initial = datastore.existing_options(ctx)
        elif supervisor:
            startup.announce(ctx)
            datastore.Learners(ctx, self.stopped).start()
            self._run_etcd(name, join.join(ctx, supervisor, name))
            return
        else:
            log.info("Starting etcd for new cluster, cluster-reset=false")
            initial = etcd.initial_new(ctx, name)
        startup.announce(ctx)
        datastore.Learners(ctx, self.stopped).start()
        self._run_etcd(name, initial)

    def _run_etcd(self, name: str, initial: dict[str, str]) -> None:
        ctx = self.ctx
        self.etcd_child = datastore.start(ctx, name, initial)
        ready = threading.Event()

        def wait() -> None:
            if datastore.wait_ready(ctx, self.stopped):
                ready.set()

        threading.Thread(target=wait, daemon=True, name="etcd-ready").start()
        while not ready.wait(0.1):
            self.check_children()
        log.info("ETCD server is now running")
        self.state.etcd_ready = True
        self._save_bootstrap()
        self._run_apiserver()

    def _save_bootstrap(self) -> None:
        while True:
            try:
                bootstrap.save(self.ctx)
                return
            except bootstrap.BootstrapError as exc:
                log.error(f"Shutdown request received: failed to save bootstrap data: {exc}")
                raise Stop from exc
            except EtcdError as exc:
                log.warning(f"failed to save bootstrap data: {exc}")
            self.check_children()
            time.sleep(1)

    def _run_apiserver(self) -> None:
        ctx = self.ctx
        if ctx.distro.static_pods:
            apiserver.write_manifests(ctx)
            if not ctx.config.pace.pod_sync:
                log.info("Pod for etcd is synced")
        else:
            self.api_child = children.spawn(ctx, "kube-apiserver", apiserver.flags(ctx))
        logged = 0.0
        while reason := apiserver.readiness(ctx):
            self.check_children()
            if time.monotonic() - logged >= 5:
                logged = time.monotonic()
                log.info(f"Polling for API server readiness: {reason}")
            time.sleep(0.3)
        if ctx.distro.static_pods:
            while not self.pods_synced.wait(0.3):
                self.check_children()
        log.info("Kube API server is now running")
        self.state.api_ready = True
        if ctx.distro.static_pods:
            apiserver.write_companions(ctx)
        else:
            self.held = [idle.hold(component) for component in idle.PORTS]
        log.info(f"{ctx.distro.name} is up and running")
        children.notify("READY=1")
        node.start_controllers(ctx)

    def check_children(self) -> None:
        """End with a child that ended, as the real programs do whose parts live in one process."""
        for child in self.node_children:
            if child.poll() is not None:
                log.error(f"Shutdown request received: {Path(str(child.args[0])).name} exited")  # type: ignore[index]
                raise Stop
        if self.etcd_child and self.etcd_child.poll() is not None:
            self._etcd_ended(self.etcd_child.returncode)
        if self.api_child and self.api_child.poll() is not None:
            log.error("Shutdown request received: kube-apiserver exited")
            raise Stop

    def _etcd_ended(self, code: int) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if (self.ctx.etcd / "tombstone").exists():
                self.etcd_child = None  # removed from the cluster: the program stays, as the real one does
                return
            time.sleep(0.2)
        sys.stderr.flush()
        os._exit(code if code > 0 else 2)

    def run(self) -> None:
        """Watch over the children until the end."""
        leaderless = time.monotonic()
        while True:
            self.check_children()
            if not self.ctx.distro.static_pods and self.etcd_child:
                if etcd.has_leader():
                    leaderless = time.monotonic()
                elif time.monotonic() - leaderless > LEADERLESS_LIMIT:
                    log.error("Shutdown request received: kube-controller-manager exited: leaderelection lost")
                    self.close()
                    os._exit(1)
            time.sleep(1)

    def close(self) -> None:
        """Stop what is the unit's own; etcd and kube-apiserver of RKE2 go on."""
        self.stopped.set()
        children.stop(self.api_child, 5)
        if self.etcd_child and self.etcd_child.poll() is None:
            log.info("Stopping etcd server...")
            children.stop(self.etcd_child)
            log.info("etcd server stopped")
        for child in self.node_children:
            child.kill()  # as PDEATHSIG does it: a frozen kubelet would not hear SIGTERM


def _check(ctx: ServerContext) -> None:
    """What the real programs refuse before they change anything."""
    settings = ctx.config
    restore = settings.get("cluster-reset-restore-path")
    if restore and not settings.flag("cluster-reset"):
        log.fatal("Error: invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
    if settings.flag("cluster-reset") and settings.server:
        log.fatal("Error: cannot perform cluster-reset while server URL is set - remove server from configuration "
                  "before resetting")
    if restore and not settings.get("token") and not (ctx.server / "token").exists():
        log.fatal(f"Error: {ctx.server / 'token'} does not exist, please pass --token to complete the restoration")


def main(argv: list[str]) -> int:
    """`<program> server ...`."""
    distro = DISTROS[Path(argv[0]).name]
    try:
        settings = config.load(distro, "server", argv[2:])
    except config.UsageError as exc:
        log.fatal(f"Error: {exc}")
    for text in settings.warnings:
        log.warning(text)
    os.umask(0o022)
    ctx = startup.make_context(settings)
    if distro.static_pods:
        log.warning("not running in CIS mode")
        apiserver.write_pss(ctx)
        cleanup.run(ctx)
    _check(ctx)
    log.info(f"Starting {distro.name} {distro.version} ({'lab' if distro.static_pods else '80b11e87'})")
    signal.signal(signal.SIGTERM, _on_term)
    signal.signal(signal.SIGINT, _on_term)
    server = Server(ctx)
    code = 0
    with contextlib.suppress(Stop):
        try:
            if settings.flag("cluster-reset"):
                code = reset.run(server)
            else:
                server.start()
                server.run()
        except join.JoinError as exc:
            log.error(f"Shutdown request received: etcd cluster join failed: {exc}")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server.close()
    sys.stderr.flush()
    os._exit(code)
