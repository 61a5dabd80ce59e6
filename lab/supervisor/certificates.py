# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates, keys and kubeconfigs a server has, and when they are issued again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from . import credentials, log, pki
from .context import ServerContext

CLUSTER_IP = "10.43.0.1"
API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True)
class Leaf:
    """One certificate below D/server/tls."""

    path: str
    ca: str
    name: str
    organization: str = ""
    usages: tuple[x509.ObjectIdentifier, ...] = pki.CLIENT
    names: tuple[str, ...] = ()


def sans(ctx: ServerContext) -> tuple[str, ...]:
    """Names and addresses under which a server is reached."""
    return ("localhost", ctx.node_name, "127.0.0.1", "::1", ctx.node_ip, *ctx.config.all("tls-san"), CLUSTER_IP)


def leaves(ctx: ServerContext) -> list[Leaf]:
    """Certificates of a server, in the order in which they are issued."""
    program, masters, hosts = ctx.distro.name, "system:masters", sans(ctx)
    etcd_names = ("kine.sock", *hosts)
    return [
        Leaf("client-admin", "client-ca", "system:admin", masters),
        Leaf("client-supervisor", "client-ca", f"system:{program}-supervisor", masters),
        Leaf("client-controller", "client-ca", "system:kube-controller-manager"),
        Leaf("client-scheduler", "client-ca", "system:kube-scheduler"),
        Leaf("client-kube-apiserver", "client-ca", "system:apiserver", masters),
        Leaf(f"client-{program}-cloud-controller", "client-ca", f"{program}-cloud-controller-manager"),
        Leaf("serving-kube-apiserver", "server-ca", "kube-apiserver", usages=pki.SERVER, names=(*API_NAMES, *hosts)),
        Leaf("kube-scheduler/kube-scheduler", "server-ca", "kube-scheduler", usages=pki.SERVER, names=hosts),
        Leaf("kube-controller-manager/kube-controller-manager", "server-ca", "kube-controller-manager",
             usages=pki.SERVER, names=hosts),
        Leaf("client-auth-proxy", "request-header-ca", "system:auth-proxy"),
        Leaf("etcd/client", "etcd/server-ca", "etcd-client"),
        Leaf("etcd/peer-server-client", "etcd/peer-ca", "etcd-peer", usages=pki.BOTH, names=etcd_names),
        Leaf("etcd/server-client", "etcd/server-ca", "etcd-server", usages=pki.BOTH, names=etcd_names),
    ]


def issuer(ctx: ServerContext, name: str) -> pki.Issuer:
    """An authority below D/server/tls."""
    return pki.load_issuer(ctx.tls / f"{name}.crt", ctx.tls / f"{name}.key")


def _ensure_leaf(ctx: ServerContext, leaf: Leaf, force: bool) -> None:
    cert_path, key_path = ctx.tls / f"{leaf.path}.crt", ctx.tls / f"{leaf.path}.key"
    authority, name = issuer(ctx, leaf.ca), pki.subject(leaf.name, leaf.organization)
    if cert_path.exists() and key_path.exists() and not force:
        again, reason = pki.stale(cert_path.read_bytes(), authority, name, leaf.names, pki.utcnow(),
                                   ctx.distro.renewal_window)
        if not again:
            return
        if reason:
            log.info(reason)
    key_path.unlink(missing_ok=True)
    key = pki.ensure_key(key_path)
    _cert, chain, text = pki.issue(authority, name, leaf.usages, leaf.names, key.public_key())
    pki.write(cert_path, chain, 0o644)
    log.info(text)


def generate(ctx: ServerContext, renew: tuple[str, ...] = ()) -> None:
    """Make what is missing below D/server/tls and D/server/cred and renew what is stale."""
    program, now = ctx.distro.name, pki.utcnow()
    for directory in (ctx.server, ctx.tls, ctx.cred, ctx.db, ctx.tls / "temporary-certs", ctx.server / "etc"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    for directory in (*(ctx.tls / name for name in ("etcd", "kube-scheduler", "kube-controller-manager")),
                      ctx.server / "manifests"):
        directory.mkdir(mode=0o755, exist_ok=True)
    ctx.data_dir.chmod(0o755)
    for ca, name in (("client-ca", f"{program}-client-ca"), ("server-ca", f"{program}-server-ca"),
                     ("request-header-ca", f"{program}-request-header-ca"), ("etcd/server-ca", "etcd-server-ca"),
                     ("etcd/peer-ca", "etcd-peer-ca")):
        text = pki.ensure_ca(ctx.tls / f"{ca}.crt", ctx.tls / f"{ca}.key", name, now)
        if text:
            log.info(text)
    for leaf in leaves(ctx):
        _ensure_leaf(ctx, leaf, leaf.path in renew)
    for name in ("client-kube-proxy", "client-kubelet", f"client-{program}-controller", "serving-kubelet"):
        pki.ensure_key(ctx.tls / f"{name}.key")
    if not (ctx.tls / "service.key").exists():
        pki.write(ctx.tls / "service.key", pki.new_rsa_key(), 0o600)
    for source, target, mode in (("service.key", "service.current.key", 0o600),
                                 ("server-ca.crt", "server-ca.nochain.crt", 0o644),
                                 ("client-ca.crt", "client-ca.nochain.crt", 0o644)):
        content = (ctx.tls / source).read_bytes()
        pki.write(ctx.tls / target, pki.first(content) if target.endswith(".crt") else content, mode)
    credentials.write_credentials(ctx)
    credentials.write_settings(ctx)


def agent_leaf(ctx: ServerContext, name: str, node: str, addresses: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Certificate chain and key that the supervisor hands to a node: `client-kubelet`, `serving-kubelet`, ..."""
    subject, usages, names = {
        "serving-kubelet": (pki.subject(node), pki.SERVER, (node, "localhost", "127.0.0.1", *addresses)),
        "client-kubelet": (pki.subject(f"system:node:{node}", "system:nodes"), pki.CLIENT, ()),
        "client-kube-proxy": (pki.subject("system:kube-proxy"), pki.CLIENT, ()),
        f"client-{ctx.distro.name}-controller": (pki.subject(f"system:{ctx.distro.name}-controller"), pki.CLIENT, ()),
    }[name]
    authority = issuer(ctx, "server-ca" if name == "serving-kubelet" else "client-ca")
    key = pki.ensure_key(ctx.tls / f"{name}.key")
    _cert, chain, text = pki.issue(authority, subject, usages, names, key.public_key())
    log.info(text)
    return chain, pki.ec_key_pem(key)


def write_agent(ctx: ServerContext) -> None:
    """D/agent of a server: certificates are made anew at every start, as the real agent fetches them."""
    controller, api = f"client-{ctx.distro.name}-controller", "https://127.0.0.1:6443"
    for ca in ("client-ca.crt", "server-ca.crt"):
        pki.write(ctx.agent / ca, (ctx.tls / ca).read_bytes(), 0o600)
    for name in ("serving-kubelet", "client-kubelet", "client-kube-proxy", controller):
        chain, key = agent_leaf(ctx, name, ctx.node_name, (ctx.node_ip,))
        pki.write(ctx.agent / f"{name}.crt", chain, 0o600)
        pki.write(ctx.agent / f"{name}.key", key, 0o600)
    for name, leaf in (("kubelet", "client-kubelet"), ("kubeproxy", "client-kube-proxy"),
                       (f"{ctx.distro.name}controller", controller)):
        pki.write(ctx.agent / f"{name}.kubeconfig", credentials.kubeconfig(
            api, ctx.agent / "server-ca.crt", ctx.agent / f"{leaf}.crt", ctx.agent / f"{leaf}.key").encode(), 0o600)


def backup_tls(ctx: ServerContext, stamp: int) -> Path:
    """Copy server/tls to server/tls-<unix>."""
    target = ctx.server / f"tls-{stamp}"
    shutil.copytree(ctx.tls, target, symlinks=True, dirs_exist_ok=True)
    return target
