# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runtime, kubelet and crictl tell each other: pods, containers and the client of the runtime's socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

STATE = Path("/run/k3s/containerd")
SOCKET = STATE / "containerd.sock"
POD_LABELS = ("io.kubernetes.pod.name", "io.kubernetes.pod.namespace", "io.kubernetes.pod.uid")
SOURCE, HASH, SEEN, MIRROR = (f"kubernetes.io/config.{word}" for word in ("source", "hash", "seen", "mirror"))


class RuntimeDown(Exception):
    """Nothing answers on the runtime's socket."""


class RuntimeFault(Exception):
    """The runtime refused a request."""


@dataclass(frozen=True)
class ContainerSpec:
    """What to run: `command` is command and args of the manifest."""

    name: str
    image: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """One attempt to run a container."""

    id: str
    name: str
    image: str
    attempt: int
    state: str
    """Running, Exited or Unknown."""
    pid: int
    exit_code: int
    created_at: float
    started_at: float
    finished_at: float


@dataclass(frozen=True)
class Pod:
    """A sandbox and its containers, oldest first."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int
    state: str
    """Ready while its shim and its pause process live, else NotReady."""
    pid: int
    """The shim's process id."""
    created_at: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containers: tuple[Container, ...] = ()

    def latest(self, name: str) -> Container | None:
        """Last attempt at the container `name`."""
        return max((c for c in self.containers if c.name == name), key=lambda c: c.attempt, default=None)


def pod_from_json(data: Mapping[str, Any]) -> Pod:
    """Inverse of `dataclasses.asdict` for a Pod."""
    return Pod(**{**data, "containers": tuple(Container(**item) for item in data["containers"])})


def spec_from_json(data: Mapping[str, Any]) -> ContainerSpec:
    """Inverse of `dataclasses.asdict` for a ContainerSpec."""
    return ContainerSpec(data["name"], data["image"], tuple(data["command"]), dict(data["env"]))


def parse_selector(text: str) -> dict[str, str]:
    """Label selector of crictl: `a=b,c=d`."""
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {key.strip(): value.strip() for key, _, value in pairs}


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all pairs of the selector are among the labels."""
    return all(labels.get(key) == value for key, value in selector.items())


def static(pods: Iterable[Pod], component: str) -> list[Pod]:
    """Sandboxes of the static pod `component` in kube-system, dead ones too."""
    return [pod for pod in pods if pod.namespace == "kube-system" and pod.labels.get("component") == component
            and pod.annotations.get(SOURCE) == "file"]


def ask(path: Path, request: Mapping[str, Any], timeout: float) -> Any:
    """One request on a unix socket, JSON lines both ways."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
        except OSError as exc:
            raise RuntimeDown(f"dial unix {path}: connect: {exc.strerror or exc}".lower()) from exc
    if not line:
        raise RuntimeDown(f"dial unix {path}: connection closed")
    answer = json.loads(line)
    if "error" in answer:
        raise RuntimeFault(answer["error"])
    return answer["result"]


class Client:
    """Client of the runtime; every call raises RuntimeDown when it does not answer."""

    def __init__(self, path: Path = SOCKET, timeout: float = 60.0) -> None:
        self._path, self._timeout = path, timeout

    def _ask(self, op: str, **arguments: Any) -> Any:
        return ask(self._path, {"op": op, **arguments}, self._timeout)

    def wait(self, seconds: float) -> None:
        """Wait until the runtime answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._ask("version")
                return
            except RuntimeDown:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def pods(self) -> list[Pod]:
        """All sandboxes, newest first, dead ones too."""
        return [pod_from_json(item) for item in self._ask("pods")]

    def run_pod(self, name: str, namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str],
                containers: Sequence[ContainerSpec], uid: str = "", attempt: int = 0,
                restarts: Mapping[str, int] | None = None) -> str:
        """Make a sandbox and start its containers, counting from `restarts`; returns the sandbox id."""
        return str(self._ask("run_pod", name=name, namespace=namespace, labels=dict(labels), uid=uid, attempt=attempt,
                             annotations=dict(annotations), containers=[asdict(spec) for spec in containers],
                             restarts=dict(restarts or {})))

    def start_container(self, pod_id: str, spec: ContainerSpec, attempt: int) -> str:
        """Start a container in a sandbox that lives; returns the container id."""
        return str(self._ask("start_container", identity=pod_id, container=asdict(spec), attempt=attempt))

    def stop_container(self, container_id: str, grace: float = 0.0) -> None:
        """End one container."""
        self._ask("stop_container", identity=container_id, grace=grace)

    def stop_pod(self, pod_id: str, grace: float = 0.0) -> None:
        """End a sandbox and all in it: SIGTERM, after `grace` seconds (or at once when 0) SIGKILL."""
        self._ask("stop_pod", identity=pod_id, grace=grace)

    def remove_pod(self, pod_id: str, grace: float = 0.0) -> None:
        """Stop a sandbox and forget it."""
        self._ask("remove_pod", identity=pod_id, grace=grace)
