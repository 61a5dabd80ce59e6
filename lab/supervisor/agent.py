# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rke2 agent` and `k3s agent`: a node without a control plane."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from . import assets, children, config, cri, kubelet, log, nodepassword, runtime, tokens
from .api import Api, Credentials, message
from .balancer import Balancer
from .credentials import kubeconfig
from .distro import DISTROS, Distro
from .etcd import write_private

LB_PORT, API_PORT = 6444, 6443
RETRY = 5.0
REFRESH = 10.0
_UNTRUSTED = ("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. "
              "Use the full token from the server's node-token file to enable Cluster CA validation.")


class NotReady(Exception):
    """The supervisor does not give what the agent needs; the text is what the real one logs."""


def split_pem(text: str) -> tuple[str, str]:
    """Certificates and private key of a supervisor's answer."""
    start = next((text.find(f"-----BEGIN {kind}PRIVATE KEY") for kind in ("EC ", "", "RSA ")
                  if f"-----BEGIN {kind}PRIVATE KEY" in text), -1)
    if start < 0:
        raise NotReady("no private key in the server's answer")
    return text[:start], text[start:]


def write_node_config(distro: Distro, data_dir: Path, node_name: str, api_url: str) -> None:
    """Settings of runtime, crictl and kubelet, and the kubeconfigs of the node's programs."""
    agent = data_dir / "agent"
    for directory in (agent / "etc/containerd", agent / "etc/kubelet.conf.d", agent / "pod-manifests"):
        directory.mkdir(parents=True, exist_ok=True)
    (agent / "etc/kubelet.conf.d").chmod(0o700)
    (agent / "pod-manifests").chmod(0o700)
    write_private(agent / "etc/crictl.yaml", f"runtime-endpoint: unix://{cri.SOCKET}\n")
    write_private(agent / "etc/containerd/config.toml", f'version = 3\nroot = "{agent}/containerd"\n'
                  f'state = "{cri.STATE}"\n[grpc]\n  address = "{cri.SOCKET}"\n')
    write_private(agent / f"etc/kubelet.conf.d/00-{distro.name}-defaults.conf", json.dumps({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs",
        "fileCheckFrequency": "5s", "syncFrequency": "30s", "staticPodPath": str(agent / "pod-manifests"),
        "tlsCertFile": str(agent / "serving-kubelet.crt"), "tlsPrivateKeyFile": str(agent / "serving-kubelet.key")}))
    for name, leaf in (("kubelet", "client-kubelet"), ("kubeproxy", "client-kube-proxy"),
                       (f"{distro.name}controller", f"client-{distro.name}-controller")):
        write_private(agent / f"{name}.kubeconfig", kubeconfig(
            api_url, agent / "server-ca.crt", agent / f"{leaf}.crt", agent / f"{leaf}.key"))


def _fetch(api: Api, path: str, headers: Mapping[str, str]) -> str:
    try:
        status, body = api.raw("GET", path, headers=headers)
    except OSError as exc:
        raise NotReady(f"Get \"{api.url}{path}\": {exc}") from exc
    if status != 200:
        raise NotReady(nodepassword.REJECTED if status == 403 and headers else message(body) or f"{path}: {status}")
    return body.decode()


def connect(url: str, token: tokens.Token, ca: Path) -> Api:
    """The supervisor behind `url`, its CA written to `ca` and compared with the token's hash."""
    pem = _fetch(Api(url, Credentials()), "/cacerts", {})
    actual = tokens.ca_hash(pem.encode())
    if not token.ca_hash:
        log.warning(_UNTRUSTED)
    elif token.ca_hash != actual:
        raise NotReady(f"token CA hash does not match the Cluster CA certificate hash: {token.ca_hash} != {actual}")
    write_private(ca, pem)
    return Api(url, Credentials(ca=ca, basic=f"{token.user}:{token.password}"))


def fetch_identity(api: Api, distro: Distro, data_dir: Path, node_name: str, node_ip: str) -> None:
    """Certificates of this node, fetched anew at every start."""
    agent, prefix = data_dir / "agent", f"/v1-{distro.name}"
    headers = {f"{distro.name}-Node-Name": node_name, f"{distro.name}-Node-Password": nodepassword.local(),
               f"{distro.name}-Node-IP": node_ip}
    write_private(agent / "client-ca.crt", _fetch(api, f"{prefix}/client-ca.crt", {}))
    for name in ("serving-kubelet", "client-kubelet", "client-kube-proxy", f"client-{distro.name}-controller"):
        try:
            certificate, key = split_pem(_fetch(api, f"{prefix}/{name}.crt", headers))
        except NotReady as exc:
            raise NotReady(f"{agent / name}.crt: {exc}") from exc
        write_private(agent / f"{name}.crt", certificate)
        write_private(agent / f"{name}.key", key)


class Agent:
    """One agent from its configuration on."""

    def __init__(self, distro: Distro, settings: config.Config) -> None:
        self.distro, self.settings = distro, settings
        self._token = tokens.parse(settings.token, "node")
        host = urlsplit(settings.server)
        self._host = host.hostname or ""
        directory = settings.data_dir / "agent/etc"
        port = host.port or distro.supervisor_port
        self._supervisors = Balancer(f"{distro.name}-agent-load-balancer", directory, LB_PORT, f"{self._host}:{port}",
                                     settings.server)
        self._apis = Balancer(f"{distro.name}-api-server-agent-load-balancer", directory, API_PORT,
                              f"{self._host}:{API_PORT}", settings.server) if distro.static_pods else None

    def _refresh(self, api: Api) -> None:
        """Take over the servers that a server knows."""
        answer = json.loads(_fetch(api, f"/v1-{self.distro.name}/apiservers", {}))
        hosts = [str(address).rpartition(":")[0] for address in answer]
        self._supervisors.update(f"{host}:{self.distro.supervisor_port}" for host in hosts)
        if self._apis:
            self._apis.update(f"{host}:{API_PORT}" for host in hosts)

    def prepare(self) -> Api:
        """Load balancers and certificates; retried until a server gives them."""
        settings, data_dir = self.settings, self.settings.data_dir
        (data_dir / "agent").mkdir(parents=True, exist_ok=True, mode=0o755)
        for balancer in (self._supervisors, self._apis):
            if balancer:
                balancer.start()
        ca = data_dir / "agent/server-ca.crt"
        while True:
            try:
                api = connect(self._supervisors.url, self._token, ca)
                break
            except NotReady as exc:
                log.error(f"Failed to validate connection to cluster at {settings.server}: {exc}")
                time.sleep(RETRY)
        while True:
            try:
                self._refresh(api)
                fetch_identity(api, self.distro, data_dir, settings.node_name, settings.node_ip)
                break
            except NotReady as exc:
                log.info(f"Waiting to retrieve agent configuration; server is not ready: {exc}")
                time.sleep(RETRY)
        write_node_config(self.distro, data_dir, settings.node_name, (self._apis or self._supervisors).url)
        return api

    def start(self) -> Sequence[subprocess.Popen[bytes]]:
        """containerd and kubelet, as children of the main thread."""
        data_dir = self.settings.data_dir
        assets.extract(self.distro, data_dir)
        containerd = runtime.start_containerd(self.distro, data_dir)
        cri.Client().wait(60)
        log.info("containerd is now running")
        child = kubelet.start_kubelet(self.distro, data_dir, self.settings.node_name, self.settings.node_ip, False)
        return [containerd, child] if child else [containerd]

    def watch(self, api: Api, running: Sequence[subprocess.Popen[bytes]]) -> int:
        """Follow the list of servers until a child ends."""
        refreshed = time.monotonic()
        while all(child.poll() is None for child in running):
            if time.monotonic() - refreshed >= REFRESH:
                refreshed = time.monotonic()
                with contextlib.suppress(NotReady, ValueError):  # no server answers now: the known ones are kept
                    self._refresh(api)
            time.sleep(1)
        log.error("Shutdown request received: a child process has ended")
        return 1


def _on_term(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)  # containerd and kubelet end with this process, pods go on


def main(argv: list[str]) -> int:
    """`<program> agent ...`."""
    distro = DISTROS[Path(argv[0]).name]
    try:
        settings = config.load(distro, "agent", argv[2:])
    except config.UsageError as exc:
        log.fatal(f"Error: {exc}")
    for text in settings.warnings:
        log.warning(text)
    if not settings.token:
        log.fatal("Error: --token is required")
    if not settings.server:
        log.fatal("Error: --server is required")
    signal.signal(signal.SIGTERM, _on_term)
    build = "lab" if distro.static_pods else "80b11e87"
    log.info(f"Starting {distro.name} agent {distro.version} ({build})")
    agent = Agent(distro, settings)
    api = agent.prepare()
    running = agent.start()
    log.info(f"{distro.name} agent is up and running")
    children.notify("READY=1")
    return agent.watch(api, running)
