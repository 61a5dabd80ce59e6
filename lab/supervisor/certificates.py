# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates, keys and kubeconfigs a server has, and when they are issued again."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from . import log, pki, tokens
from .context import ServerContext

CLUSTER_IP = "10.43.0.1"
_API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


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
        Leaf("serving-kube-apiserver", "server-ca", "kube-apiserver", usages=pki.SERVER, names=(*_API_NAMES, *hosts)),
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
        again, reason = pki.stale(cert_path.read_bytes(), authority, name, leaf.names, pki.utcnow())
        if not again:
            return
        if reason:
            log.info(reason)
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
        pki.write(ctx.tls / target, (ctx.tls / source).read_bytes(), mode)
    _credentials(ctx)
    _settings(ctx)


def _settings(ctx: ServerContext) -> None:
    """D/server/etc: files of the recorded listing; their content is of our own, nothing here reads it."""
    tls = {"caBundle": f"{ctx.tls}/server-ca.crt", "clientKey": f"{ctx.tls}/client-kube-apiserver.key",
           "clientCert": f"{ctx.tls}/client-kube-apiserver.crt"}
    tcp = {"url": f"https://127.0.0.1:{ctx.distro.supervisor_port}", "tlsConfig": tls}
    for name, settings in (
        ("egress-selector-config", {
            "kind": "EgressSelectorConfiguration", "apiVersion": "apiserver.k8s.io/v1beta1", "egressSelections": [
                {"name": "cluster", "connection": {"proxyProtocol": "HTTPConnect", "transport": {"tcp": tcp}}}]}),
        ("cloud-config", {
            "lbDefaultPriorityClassName": "system-node-critical", "lbEnabled": False,
            "lbImage": "rancher/klipper-lb:v0.4.13", "lbNamespace": "kube-system", "nodeEnabled": False,
            "rootless": False}),
    ):
        pki.write(ctx.server / "etc" / f"{name}.yaml", json.dumps(settings, separators=(",", ":")).encode(), 0o600)


def _credentials(ctx: ServerContext) -> None:
    agent = tokens.parse(ctx.config.get("agent-token") or ctx.token).password
    passwd = ctx.cred / "passwd"
    content = tokens.passwd(ctx.distro.name, ctx.token, agent).encode()
    if not passwd.exists() or passwd.read_bytes() != content:
        pki.write(passwd, content, 0o600)
    if not (ctx.cred / "ipsec.psk").exists():
        pki.write(ctx.cred / "ipsec.psk", f"{secrets.token_hex(48)}\n".encode(), 0o600)
    if ctx.distro.static_pods and not (ctx.cred / "encryption-config.json").exists():
        key = {"name": "aescbckey", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
        text = json.dumps({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
                           "resources": [{"resources": ["secrets"], "providers": [
                               {"aescbc": {"keys": [key]}}, {"identity": {}}]}]}, separators=(",", ":")).encode()
        pki.write(ctx.cred / "encryption-config.json", text, 0o600)
        pki.write(ctx.cred / "encryption-state.json", f"start-{hashlib.sha256(text).hexdigest()}".encode(), 0o600)
    url = f"https://127.0.0.1:{ctx.apiserver_port}"
    for name, leaf in (("admin", "client-admin"), ("supervisor", "client-supervisor"),
                       ("controller", "client-controller"), ("scheduler", "client-scheduler"),
                       ("api-server", "client-kube-apiserver"),
                       ("cloud-controller", f"client-{ctx.distro.name}-cloud-controller")):
        pki.write(ctx.cred / f"{name}.kubeconfig", kubeconfig(
            url, ctx.tls / "server-ca.crt", ctx.tls / f"{leaf}.crt", ctx.tls / f"{leaf}.key").encode(), 0o600)


def kubeconfig(url: str, authority: Path, cert: Path, key: Path) -> str:
    """A kubeconfig that names its files."""
    return (f"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority: {authority}\n    server: {url}\n"
            "  name: local\ncontexts:\n- context:\n    cluster: local\n    namespace: default\n    user: user\n"
            "  name: Default\ncurrent-context: Default\nkind: Config\npreferences: {}\nusers:\n- name: user\n"
            f"  user:\n    client-certificate: {cert}\n    client-key: {key}\n")


def admin_kubeconfig(ctx: ServerContext) -> str:
    """The administrator's kubeconfig, with everything in it."""
    def data(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    return (f"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {data(ctx.tls / 'server-ca.crt')}"
            "\n    server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n    cluster: default\n"
            "    user: default\n  name: default\ncurrent-context: default\nkind: Config\npreferences: {}\nusers:\n"
            f"- name: default\n  user:\n    client-certificate-data: {data(ctx.tls / 'client-admin.crt')}\n"
            f"    client-key-data: {data(ctx.tls / 'client-admin.key')}\n")


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
        pki.write(ctx.agent / f"{name}.kubeconfig", kubeconfig(
            api, ctx.agent / "server-ca.crt", ctx.agent / f"{leaf}.crt", ctx.agent / f"{leaf}.key").encode(), 0o600)


def dynamic_names(ctx: ServerContext) -> list[str]:
    """Names in the supervisor's own serving certificate."""
    return [CLUSTER_IP, ctx.node_ip, "127.0.0.1", "::1", *_API_NAMES, "localhost", ctx.node_name,
            *ctx.config.all("tls-san")]


def dynamic_certificate(ctx: ServerContext) -> None:
    """dynamic-cert.json: issued when it is missing, stale, or asked for by dynamic-cert-regenerate."""
    path, trigger = ctx.tls / "dynamic-cert.json", ctx.tls / "dynamic-cert-regenerate"
    authority, name = issuer(ctx, "server-ca"), pki.subject(ctx.distro.name, ctx.distro.name)
    if path.exists() and not trigger.exists():
        pem = base64.b64decode(json.loads(path.read_text())["data"]["tls.crt"])
        again, reason = pki.stale(pem, authority, name, dynamic_names(ctx), pki.utcnow())
        if not again:
            return
        if reason.find("expire in -") > 0:
            log.error("unable to verify existing certificate: x509: certificate has expired or is not yet valid")
    trigger.unlink(missing_ok=True)
    key = pki.new_key()
    cert, chain, text = pki.issue(authority, name, pki.SERVER, dynamic_names(ctx), key.public_key())
    log.info(text)
    labels = {f"listener.cattle.io/cn-{_label(item)}": item for item in sorted(dynamic_names(ctx))}
    fingerprint = pki.sha1(cert)
    annotations = {**labels, "listener.cattle.io/fingerprint": f"SHA1={fingerprint}"}
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"creationTimestamp": None, "annotations": annotations},
              "data": {"tls.crt": base64.b64encode(chain).decode(),
                       "tls.key": base64.b64encode(pki.ec_key_pem(key)).decode()}, "type": "kubernetes.io/tls"}
    pki.write(path, json.dumps(secret, separators=(",", ":")).encode(), 0o600)
    log.warning(f"dynamiclistener [::]:{ctx.distro.supervisor_port}: no cached certificate available for preload - "
                "deferring certificate load until storage initialization or first client request")
    shown = " ".join(f"{key}:{value}" for key, value in labels.items())
    log.info(f"Active TLS secret / (ver=) (count {len(labels)}): map[{shown}]")


def _label(item: str) -> str:
    return "__1-f16284" if item == "::1" else item


def write_tokens(ctx: ServerContext) -> None:
    """D/server/token and its links; rewritten at every start."""
    pem = (ctx.tls / "server-ca.crt").read_bytes()
    token, agent = ctx.server / "token", ctx.config.get("agent-token")
    pki.write(token, f"{tokens.secure(pem, 'server', ctx.token)}\n".encode(), 0o600)
    for name in ("agent-token", "node-token"):
        path = ctx.server / name
        if path.is_symlink() or path.exists():
            path.unlink()
        if name == "agent-token" and agent:
            pki.write(path, f"{tokens.secure(pem, 'node', tokens.parse(agent).password)}\n".encode(), 0o600)
        else:
            os.symlink(token, path)


def backup_tls(ctx: ServerContext, stamp: int) -> Path:
    """Copy server/tls to server/tls-<unix>."""
    target = ctx.server / f"tls-{stamp}"
    shutil.copytree(ctx.tls, target, symlinks=True, dirs_exist_ok=True)
    return target
