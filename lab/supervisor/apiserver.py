# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube-apiserver: its flags, its static pod, and whether it is ready."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path

from . import log, manifests
from .context import ServerContext

_PSS = """apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1beta1
    kind: PodSecurityConfiguration
    defaults:
      enforce: "privileged"
      enforce-version: "latest"
    exemptions:
      usernames: []
      runtimeClasses: []
      namespaces: []
"""


def pss_file(ctx: ServerContext) -> Path:
    """Pod security configuration of RKE2."""
    return ctx.distro.config.parent / f"{ctx.distro.name}-pss.yaml"


def write_pss(ctx: ServerContext) -> None:
    """Write the pod security configuration."""
    log.info("Applying Pod Security Admission Configuration")
    path = pss_file(ctx)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(_PSS)
        path.chmod(0o600)


def flags(ctx: ServerContext) -> list[str]:
    """Flags in alphabetical order, as the real programs pass them."""
    tls, etcd = ctx.tls, ctx.tls / "etcd"
    values = {
        "advertise-address": ctx.node_ip,
        "allow-privileged": "true",
        "anonymous-auth": "false",
        "api-audiences": f"https://kubernetes.default.svc.cluster.local,{ctx.distro.name}",
        "authorization-mode": "Node,RBAC",
        "bind-address": "0.0.0.0" if ctx.distro.static_pods else "127.0.0.1",
        "cert-dir": tls / "temporary-certs",
        "client-ca-file": tls / "client-ca.crt",
        "enable-admission-plugins": "NodeRestriction",
        "enable-aggregator-routing": "true",
        "enable-bootstrap-token-auth": "true",
        "etcd-cafile": etcd / "server-ca.crt",
        "etcd-certfile": etcd / "client.crt",
        "etcd-keyfile": etcd / "client.key",
        "etcd-servers": "https://127.0.0.1:2379",
        "kubelet-certificate-authority": tls / "server-ca.crt",
        "kubelet-client-certificate": tls / "client-kube-apiserver.crt",
        "kubelet-client-key": tls / "client-kube-apiserver.key",
        "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
        "profiling": "false",
        "proxy-client-cert-file": tls / "client-auth-proxy.crt",
        "proxy-client-key-file": tls / "client-auth-proxy.key",
        "requestheader-allowed-names": "system:auth-proxy",
        "requestheader-client-ca-file": tls / "request-header-ca.crt",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "secure-port": ctx.apiserver_port,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": tls / "service.key",
        "service-account-signing-key-file": tls / "service.current.key",
        "service-cluster-ip-range": "10.43.0.0/16",
        "service-node-port-range": "30000-32767",
        "storage-backend": "etcd3",
        "tls-cert-file": tls / "serving-kube-apiserver.crt",
        "tls-private-key-file": tls / "serving-kube-apiserver.key",
    }
    if ctx.distro.static_pods:
        values["admission-control-config-file"] = pss_file(ctx)
        values["encryption-provider-config"] = ctx.cred / "encryption-config.json"
        values["encryption-provider-config-automatic-reload"] = "true"
    for argument in ctx.config.all("kube-apiserver-arg"):
        key, _, value = argument.partition("=")
        values[key] = value
    return [f"--{key}={value}" for key, value in sorted(values.items())]


def announce(ctx: ServerContext) -> None:
    """Log the command lines of the control plane, as the real programs do at every start."""
    log.info(f"Running kube-apiserver {' '.join(flags(ctx))}")
    if ctx.distro.static_pods:
        manifests.remove(ctx, "kube-apiserver")
        log.info("Removed kube-apiserver static pod manifest")
    for component, args in companions(ctx).items():
        log.info(f"Running {component} {' '.join(args)}")


def companions(ctx: ServerContext) -> dict[str, list[str]]:
    """Command lines of scheduler and controller manager."""
    result = {}
    for component, name, port in (("kube-scheduler", "scheduler", 10259),
                                  ("kube-controller-manager", "controller", 10257)):
        config, serving = ctx.cred / f"{name}.kubeconfig", ctx.tls / component / component
        result[component] = [
            "--permit-port-sharing=true", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1", f"--kubeconfig={config}",
            "--profiling=false", f"--secure-port={port}", f"--tls-cert-file={serving}.crt",
            f"--tls-private-key-file={serving}.key"]
    return result


def write_manifests(ctx: ServerContext) -> None:
    """Static pod of kube-apiserver."""
    names = ("client-ca.crt", "serving-kube-apiserver.crt", "service.key", "client-auth-proxy.crt",
             "request-header-ca.crt", "etcd/client.crt", "etcd/server-ca.crt")
    manifests.write(ctx, "kube-apiserver", manifests.render(
        "kube-apiserver", flags(ctx), [*(ctx.tls / name for name in names), ctx.cred / "encryption-config.json"]))


def write_companions(ctx: ServerContext) -> None:
    """Static pods of scheduler and controller manager, once the apiserver is ready."""
    for component, args in companions(ctx).items():
        manifests.write(ctx, component, manifests.render(component, args, [ctx.tls / component / f"{component}.crt"]))


def readiness(ctx: ServerContext) -> str:
    """Empty when the local apiserver is ready, else the reason in the real client's words."""
    tls = ssl.create_default_context(cafile=str(ctx.tls / "server-ca.crt"))
    tls.load_cert_chain(ctx.tls / "client-supervisor.crt", ctx.tls / "client-supervisor.key")
    connection = http.client.HTTPSConnection("127.0.0.1", ctx.apiserver_port, timeout=15, context=tls)
    url = f"https://127.0.0.1:{ctx.apiserver_port}/readyz?timeout=15s&verbose="
    try:
        connection.request("GET", "/readyz?timeout=15s&verbose=")
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return "" if response.status == 200 else f'GET /readyz failed: an error on the server ("{text.strip()}")'
    except ConnectionRefusedError:
        return (f'GET /readyz failed: Get "{url}": dial tcp 127.0.0.1:{ctx.apiserver_port}: connect: '
                "connection refused")
    except (OSError, http.client.HTTPException) as exc:
        return f'GET /readyz failed: Get "{url}": {exc}'
    finally:
        connection.close()
