# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server does before its etcd: who it is, bootstrap data, certificates, its node's runtime."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time

from . import (
    agent,
    assets,
    bootstrap,
    certificates,
    credentials,
    cri,
    kubelet,
    log,
    runtime,
    serving,
    temporary,
    tokens,
)
from .config import Config
from .context import ServerContext
from .etcd import is_initialized
from .remote import RemoteError, Supervisor


def make_context(config: Config) -> ServerContext:
    """Identity of this server; the token is the configured one, the one on disk, or a new one."""
    data_dir, text = config.data_dir, config.token
    path = data_dir / "server" / "token"
    if not text and path.exists():
        text = path.read_text().strip()
    password = tokens.parse(text).password if text else secrets.token_hex(16)
    return ServerContext(config.distro, data_dir, config.node_name, config.node_ip, password, config)


def bootstrap_data(ctx: ServerContext) -> Supervisor | None:
    """Bring the shared files to what the cluster has; the supervisor to join when this server is no member yet."""
    token, url = tokens.parse(ctx.config.token or ctx.token), ctx.config.server
    if not is_initialized(ctx):
        if not url:
            log.info("Managed etcd cluster initializing")
            return None
        try:
            supervisor = Supervisor.connect(url, token)
            log.info("Managed etcd cluster not yet initialized")
            data = bootstrap.decode(supervisor.request("GET", f"/v1-{ctx.distro.name}/server-bootstrap"))
            bootstrap.reconcile(ctx, data)
        except RemoteError as exc:
            log.fatal("Error: preparing server: failed to bootstrap cluster data: failed to check if bootstrap data "
                      f"has been initialized: failed to validate token: {exc}")
        except bootstrap.BootstrapError as exc:
            log.fatal(str(exc))
        return supervisor
    log.info("Managed etcd cluster bootstrap already complete and initialized")
    if ctx.config.flag("cluster-reset"):
        return None
    if url:
        try:
            supervisor = Supervisor.connect(url, token)
            bootstrap.reconcile(ctx, bootstrap.decode(
                supervisor.request("GET", f"/v1-{ctx.distro.name}/server-bootstrap")))
            log.info("Successfully reconciled with remote datastore")
            return supervisor
        except RemoteError as exc:
            log.warning(f"Unable to reconcile with remote datastore: {exc}")
        except bootstrap.BootstrapError as exc:
            log.fatal(str(exc))
    temporary.reconcile(ctx)
    return None


def tombstone(ctx: ServerContext) -> None:
    """A member that was removed starts over: its data moves aside."""
    if not (ctx.etcd / "tombstone").exists():
        return
    log.info("tombstone file has been detected, removing data dir to rejoin the cluster")
    ctx.etcd.rename(ctx.db / f"etcd-backup-{int(time.time())}")
    for old in sorted(ctx.db.glob("etcd-backup-*"))[:-5]:
        shutil.rmtree(old)


def node_identity(ctx: ServerContext) -> None:
    """Certificates and settings of the server's own node."""
    if ctx.config.flag("cluster-reset"):
        program, port = ctx.distro.name, ctx.distro.supervisor_port
        log.info(f"Updated load balancer {program}-agent-load-balancer default server: 127.0.0.1:{port}")
        log.info(f"Running load balancer {program}-agent-load-balancer 127.0.0.1:6444 -> [] "
                 f"[default: 127.0.0.1:{port}]")
        if ctx.distro.static_pods:
            log.info(f"Running load balancer {program}-api-server-agent-load-balancer 127.0.0.1:6443 -> [] "
                     "[default: ]")
    serving.trusted(ctx)
    log.info(f"Password verified locally for node {ctx.node_name}")
    certificates.write_agent(ctx)
    agent.write_node_config(ctx.distro, ctx.data_dir, ctx.node_name, "https://127.0.0.1:6443")


def start_node(ctx: ServerContext) -> list[subprocess.Popen[bytes]]:
    """Start containerd and kubelet; call it from the main thread, with which they end."""
    assets.extract(ctx.distro, ctx.data_dir)
    containerd = runtime.start_containerd(ctx.distro, ctx.data_dir)
    cri.Client().wait(60)
    log.info("containerd is now running")
    if ctx.distro.static_pods:
        archive = ctx.agent / "images" / "lab.tar"
        log.info(f"Importing images from {archive}")
        time.sleep(ctx.config.pace.kubelet)
    child = kubelet.start_kubelet(ctx.distro, ctx.data_dir, ctx.node_name, ctx.node_ip, server=True)
    return [containerd, child] if child else [containerd]


def announce(ctx: ServerContext) -> None:
    """Tokens and kubeconfig, and the lines that tell where they are."""
    credentials.write_tokens(ctx)
    program, url = ctx.distro.name, ctx.supervisor_url
    log.info(f"Server node token is available at {ctx.server / 'token'}")
    log.info(f"To join server node to cluster: {program} server -s {url} -t ${{SERVER_NODE_TOKEN}}")
    log.info(f"Agent node token is available at {ctx.server / 'agent-token'}")
    log.info(f"To join agent node to cluster: {program} agent -s {url} -t ${{AGENT_NODE_TOKEN}}")
    path = ctx.distro.kubeconfig
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(credentials.admin_kubeconfig(ctx))
    path.chmod(0o600)
    log.info(f"Wrote kubeconfig {path}")
    log.info(f"Run: {program} kubectl")
