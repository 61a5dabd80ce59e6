# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container runtime: keeps the list of pods, starts a shim for each, and adopts the shims that it finds."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import cri, log, proc
from .context import bin_dir
from .cri import Client, Container, ContainerSpec, Pod
from .distro import Distro

__all__ = ["Client", "Container", "ContainerSpec", "Pod", "main", "start_containerd"]

PODS = cri.STATE / "pods"


def start_containerd(distro: Distro, data_dir: Path) -> subprocess.Popen[bytes]:
    """Start the runtime as a child that ends with the calling thread; its socket answers a moment later."""
    output = data_dir / "agent/containerd/containerd.log"
    output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = data_dir / "agent/etc/containerd/config.toml"
    log.info(f"Using containerd config template at {config.with_name('config-v3.toml.tmpl')}")
    log.info(f"Logging containerd to {output}")
    log.info(f"Running containerd -c {config}")
    shim = bin_dir(distro, data_dir) / "containerd-shim-runc-v2"
    with output.open("ab") as sink:
        return subprocess.Popen(
            ["containerd", "-c", str(config)], executable=sys.executable,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=proc.child_env({"REQUORUM_LAB_SHIM": str(shim)}))


def load(directory: Path) -> Pod | None:
    """A pod from its directory, with the state in which its processes are now; None for a half-made one."""
    try:
        fixed = json.loads((directory / "pod.json").read_text())
        state = json.loads((directory / "state.json").read_text())
    except (OSError, ValueError):
        return None
    shim_lives = proc.same(*state["shim"])
    containers = []
    for row in state["containers"]:
        lives = not row["finished_at"] and proc.same(row["pid"], row["start"])
        known = {key: value for key, value in row.items() if key != "start"}
        if not lives and not row["finished_at"]:
            known["exit_code"] = 255  # nobody was left to see it end
        containers.append(Container(**known, state="Running" if lives else "Exited"))
    ready = shim_lives and proc.same(*state["pause"])
    return Pod(**fixed, state="Ready" if ready else "NotReady", pid=state["shim"][0], containers=tuple(containers))


def processes(directory: Path) -> tuple[list[int], list[int]]:
    """What still lives of a pod: (processes of its containers, shim and pause)."""
    state = json.loads((directory / "state.json").read_text())
    inner = [row["pid"] for row in state["containers"] if proc.same(row["pid"], row["start"])]
    outer = [pid for pid, start in (state["shim"], state["pause"]) if proc.same(pid, start)]
    return [pid for root in inner for pid in proc.tree(root)], outer


def end(pids: list[int], grace: float) -> None:
    """SIGTERM, wait `grace` seconds, SIGKILL; at once SIGKILL without grace."""
    if grace > 0:
        proc.kill(pids, signal.SIGTERM)
        if proc.wait_gone(pids, grace):
            return
    proc.kill(pids, signal.SIGKILL)
    proc.wait_gone(pids, 5)


class Runtime:
    """Requests on the socket; one method per operation."""

    def __init__(self, shim: str) -> None:
        self._shim = shim
        self._lock = threading.Lock()

    def version(self) -> str:
        """Name of the runtime."""
        return "containerd v2.1.5"

    def pods(self) -> list[dict[str, Any]]:
        """All pods, newest first."""
        found = [pod for pod in map(load, PODS.iterdir()) if pod is not None]
        return [asdict(pod) for pod in sorted(found, key=lambda pod: -pod.created_at)]

    def run_pod(self, name: str, namespace: str, uid: str, attempt: int, labels: dict[str, str],
                annotations: dict[str, str], containers: list[dict[str, Any]], restarts: dict[str, int]) -> str:
        """Make a sandbox; refused while one of the same name, uid and attempt is known."""
        uid = uid or secrets.token_hex(16)
        identity = secrets.token_hex(32)
        with self._lock:
            for pod in filter(None, map(load, PODS.iterdir())):
                if (pod.name, pod.namespace, pod.uid, pod.attempt) == (name, namespace, uid, attempt):
                    raise cri.RuntimeFault(f'failed to reserve sandbox name "{name}_{namespace}_{uid}_{attempt}": '
                                           f'name is reserved for "{pod.id}"')
            directory = PODS / identity
            directory.mkdir(mode=0o700)
            own = dict(zip(cri.POD_LABELS, (name, namespace, uid), strict=True))
            (directory / "pod.json").write_text(json.dumps({
                "id": identity, "name": name, "namespace": namespace, "uid": uid, "attempt": attempt,
                "created_at": time.time(), "labels": {**labels, **own}, "annotations": annotations}))
            argv = [self._shim, "-namespace", "k8s.io", "-id", identity, "-address", str(cri.SOCKET)]
            done = subprocess.run(argv, executable=sys.executable, env=proc.child_env(), stdin=subprocess.DEVNULL,
                                  check=False)
            if done.returncode:
                shutil.rmtree(directory, ignore_errors=True)
                raise cri.RuntimeFault(f"failed to start shim: exit status {done.returncode}")
        for container in containers:
            self.start_container(identity, container, restarts.get(container["name"], 0))
        return identity

    def start_container(self, identity: str, container: dict[str, Any], attempt: int) -> str:
        """Start a container through the shim of its pod."""
        try:
            answer = cri.ask(self._find(identity) / "shim.sock", {"container": container, "attempt": attempt}, 10)
        except cri.RuntimeDown as exc:
            raise cri.RuntimeFault(f"failed to create containerd task: shim is gone: {exc}") from exc
        return str(answer)

    def stop_container(self, identity: str, grace: float) -> None:
        """End one container."""
        for directory in PODS.iterdir():
            pod = load(directory)
            for row in pod.containers if pod else ():
                if row.id.startswith(identity):
                    if row.state == "Running":
                        end(proc.tree(row.pid), grace)
                    return
        raise cri.RuntimeFault(f'an error occurred when try to find container "{identity}": not found')

    def stop_pod(self, identity: str, grace: float) -> None:
        """End containers, then pause and shim."""
        inner, outer = processes(self._find(identity))
        end(inner, grace)
        end(outer, 0)

    def remove_pod(self, identity: str, grace: float) -> None:
        """Stop a pod and forget it."""
        directory = self._find(identity)
        self.stop_pod(identity, grace)
        shutil.rmtree(directory, ignore_errors=True)

    @staticmethod
    def _find(identity: str) -> Path:
        for directory in PODS.iterdir():
            if directory.name.startswith(identity) and (directory / "state.json").exists():
                return directory
        raise cri.RuntimeFault(f'an error occurred when try to find sandbox "{identity}": not found')


OPERATIONS = ("version", "pods", "run_pod", "start_container", "stop_container", "stop_pod", "remove_pod")


class _Handler(socketserver.StreamRequestHandler):
    runtime: Runtime

    def handle(self) -> None:
        line = self.rfile.readline()
        if not line:
            return
        request = json.loads(line)
        operation = request.pop("op")
        try:
            if operation not in OPERATIONS:
                raise cri.RuntimeFault(f"unknown method {operation}")
            answer = {"result": getattr(self.runtime, operation)(**request)}
        except (cri.RuntimeFault, OSError, ValueError, TypeError) as exc:
            answer = {"error": str(exc)}
        try:
            self.wfile.write(json.dumps(answer).encode() + b"\n")
        except OSError:
            return


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def main(argv: list[str]) -> int:
    """`containerd -c FILE`."""
    proc.die_with_parent()
    PODS.mkdir(parents=True, exist_ok=True, mode=0o711)
    for directory in PODS.iterdir():
        if load(directory) is None:  # its shim was never ready
            shutil.rmtree(directory, ignore_errors=True)
    cri.SOCKET.unlink(missing_ok=True)
    _Handler.runtime = Runtime(os.environ.get("REQUORUM_LAB_SHIM", "containerd-shim-runc-v2"))
    streaming = socket.socket()  # the port of the real one's stream server; nothing here uses it
    streaming.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        streaming.bind(("127.0.0.1", 10010))
        streaming.listen()
    except OSError as exc:
        print(f"stream server: {exc}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with _Server(str(cri.SOCKET), _Handler) as server:
        os.chmod(cri.SOCKET, 0o660)
        server.serve_forever()
    return 0
