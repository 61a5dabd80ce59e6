# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet: static pods from files, ordinary pods from the API, and the Node's life sign."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from . import cri, log, proc
from .distro import Distro
from .kubeletapi import ApiSide
from .podsync import Action, Desired, Remove, Run, Start, decide, parse_manifest

FILE_CHECK = 5.0
RELIST = 1.0


def command_line(data_dir: Path, node_name: str, node_ip: str) -> list[str]:
    """Arguments as RKE2 passes them."""
    agent = data_dir / "agent"
    return ["kubelet", "--volume-plugin-dir=/var/lib/kubelet/volumeplugins", "--file-check-frequency=5s",
            "--sync-frequency=30s", "--cgroup-driver=cgroupfs", "--cgroups-per-qos=false",
            f"--config-dir={agent}/etc/kubelet.conf.d", f"--containerd={cri.SOCKET}", "--enforce-node-allocatable=",
            f"--hostname-override={node_name}", f"--kubeconfig={agent}/kubelet.kubeconfig", f"--node-ip={node_ip}",
            "--node-labels="]


def start_kubelet(distro: Distro, data_dir: Path, node_name: str, node_ip: str,
                  server: bool) -> subprocess.Popen[bytes] | None:
    """Start kubelet; only on a `server` it follows agent/pod-manifests.

    RKE2: a child that ends with the calling thread. K3s has kubelet in its own process: threads, and None.
    """
    argv = command_line(data_dir, node_name, node_ip)
    log.info(f"Running {' '.join(argv)}")
    logs = data_dir / "agent/logs"
    logs.mkdir(parents=True, exist_ok=True, mode=0o750)
    manifests = "1" if server and distro.static_pods else ""
    if not distro.static_pods:
        kubelet = assemble(argv, distro.version, bool(manifests))
        threading.Thread(target=kubelet.run, daemon=True, name="kubelet").start()
        return None
    env = proc.child_env({"REQUORUM_LAB_VERSION": distro.version, "REQUORUM_LAB_STATIC": manifests})
    (logs / "kubelet.log").touch(mode=0o600)
    with (logs / "kubelet.log").open("ab") as sink:
        return subprocess.Popen(argv, executable=sys.executable, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                env=env)


def note(message: str, severity: str = "I") -> None:
    """A line in klog's format."""
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.gmtime(now))
    print(f"{severity}{stamp}.{int(now % 1 * 1e6):06d} {os.getpid():7d} kubelet.go:1] {message}", file=sys.stderr,
          flush=True)


def read_manifests(directory: Path, node: str) -> tuple[Desired, ...]:
    """Static pods of a directory; files that cannot be read are logged and left out."""
    found = []
    for path in sorted(directory.glob("*")) if directory.is_dir() else []:
        if path.suffix not in (".yaml", ".yml", ".json") or path.name.startswith("."):
            continue
        try:
            found.append(parse_manifest(path.read_text(), node))
        except (OSError, yaml.YAMLError, KeyError, TypeError) as exc:
            note(f'"Can\'t process manifest file" path="{path}" err="{exc}"', "E")
    return tuple(found)


class Kubelet:
    """The runtime's side: what runs follows what is wanted. Nothing here waits for the API."""

    def __init__(self, node: str, manifests: Path | None, client: cri.Client) -> None:
        self.node, self._manifests, self._client = node, manifests, client
        self.static: tuple[Desired, ...] = ()
        self.bound: tuple[Desired, ...] | None = None
        """Pods that the API has bound to this node; None until it has answered."""
        self.pods: tuple[cri.Pod, ...] = ()
        self.ready = False
        """Whether the runtime answers."""
        self._seen: set[str] = set()
        self._busy: set[str] = set()

    def run(self) -> None:
        """Sync for ever."""
        checked = -FILE_CHECK
        while True:
            now = time.monotonic()
            if self._manifests is not None and now - checked >= FILE_CHECK:
                self.static, checked = read_manifests(self._manifests, self.node), now
            try:
                self._sync()
                self.ready = True
            except cri.RuntimeDown as exc:
                if self.ready:
                    note(f'"Container runtime not ready" err="{exc}"', "E")
                self.ready = False
            time.sleep(RELIST)

    def _sync(self) -> None:
        bound = self.bound
        desired = (*self.static, *(bound or ()))
        self._seen.update(pod.uid for pod in desired)
        self.pods = tuple(self._client.pods())
        self._busy &= {pod.id for pod in self.pods}
        for action in decide(desired, self.pods, time.time(), api_known=bound is not None, seen=self._seen,
                             busy=self._busy):
            try:
                self._act(action)
            except cri.RuntimeFault as exc:
                note(f'"Error syncing pod, skipping" err="{exc}"', "E")

    def _act(self, action: Action) -> None:
        match action:
            case Run(pod, attempt, restarts):
                note(f'"Creating pod sandbox" pod="{pod.namespace}/{pod.name}" attempt={attempt}')
                self._client.run_pod(pod.name, pod.namespace, pod.labels, pod.annotations, pod.containers, pod.uid,
                                     attempt, restarts)
            case Start(pod_id, spec, attempt):
                note(f'"Starting container" pod="{pod_id[:13]}" container="{spec.name}" attempt={attempt}')
                self._client.start_container(pod_id, spec, attempt)
            case Remove(pod, grace, why):
                note(f'"Removing pod" pod="{pod.namespace}/{pod.name}" why="{why}" grace={grace}')
                if grace == 0:
                    self._client.remove_pod(pod.id)
                else:
                    self._busy.add(pod.id)
                    threading.Thread(target=self._remove, args=(pod, grace), daemon=True).start()

    def _remove(self, pod: cri.Pod, grace: float) -> None:
        try:
            self._client.remove_pod(pod.id, grace)
        except (cri.RuntimeDown, cri.RuntimeFault) as exc:
            note(f'"Failed to remove pod" pod="{pod.namespace}/{pod.name}" err="{exc}"', "E")
            self._busy.discard(pod.id)


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """`/healthz` on the local port, 401 for everything on the one that others reach."""
        local = isinstance(self.server, ThreadingHTTPServer) and self.server.server_port == 10248
        body = b"ok" if local else b"Unauthorized"
        self.send_response(200 if local else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that breaks off is no event."""


class _DualStack(_Server):
    address_family = socket.AF_INET6


def listen(address: str, port: int, certificate: Path | None) -> None:
    """Serve kubelet's own port in the background."""
    try:
        server = (_Server if address else _DualStack)((address, port), _Health)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    except OSError as exc:
        note(f'"Failed to listen" port={port} err="{exc}"', "E")
        return
    threading.Thread(target=server.serve_forever, daemon=True).start()


def options(argv: Iterable[str]) -> Mapping[str, str]:
    """`--name=value` arguments."""
    return {name.lstrip("-"): value for name, _, value in (word.partition("=") for word in argv)}


def assemble(argv: Sequence[str], version: str, static: bool) -> Kubelet:
    """kubelet from its command line, its ports and its API side running."""
    given = options(argv[1:])
    kubeconfig, address = Path(given["kubeconfig"]), given["node-ip"]
    manifests = kubeconfig.parent / "pod-manifests" if static else None
    kubelet = Kubelet(given["hostname-override"], manifests, cri.Client(Path(given["containerd"])))
    listen("127.0.0.1", 10248, None)
    listen("", 10250, kubeconfig.parent / "serving-kubelet.crt")
    note(f'"Starting kubelet" version="{version}"')
    api = ApiSide(kubelet, kubeconfig, address, version)
    threading.Thread(target=api.run, daemon=True, name="kubelet-api").start()
    return kubelet


def main(argv: list[str]) -> int:
    """`kubelet --kubeconfig=... --hostname-override=... --node-ip=...`."""
    proc.die_with_parent()
    static = bool(os.environ.get("REQUORUM_LAB_STATIC"))
    assemble(argv, os.environ.get("REQUORUM_LAB_VERSION", "v0.0.0"), static).run()
    return 0
