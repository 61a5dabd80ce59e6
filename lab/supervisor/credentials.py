# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""D/server/cred, D/server/etc and the token files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

from . import pki, tokens
from .context import ServerContext


def write_settings(ctx: ServerContext) -> None:
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


def write_credentials(ctx: ServerContext) -> None:
    """D/server/cred: passwords, keys and kubeconfigs."""
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
