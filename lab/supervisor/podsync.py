# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubelet wants and what it has to do about it: pure decisions over pods."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from .cri import HASH, SEEN, SOURCE, Container, ContainerSpec, Pod

GRACE = 30.0


@dataclass(frozen=True)
class Desired:
    """A pod that should run here, from a manifest or from the API."""

    name: str
    namespace: str
    uid: str
    source: str
    """`file` or `api`."""
    labels: Mapping[str, str]
    containers: tuple[ContainerSpec, ...]
    restart: str = "Always"
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of its sandbox."""
        known = {HASH: self.uid, SOURCE: self.source}
        given = (self.manifest.get("metadata") or {}).get("annotations") or {}
        return {**{str(key): str(value) for key, value in given.items() if key != SEEN}, **known}


@dataclass(frozen=True)
class Run:
    """Make a sandbox with all containers; `restarts` is what each container counts from."""

    pod: Desired
    attempt: int
    restarts: Mapping[str, int]


@dataclass(frozen=True)
class Start:
    """Start one container in a sandbox that lives."""

    pod_id: str
    spec: ContainerSpec
    attempt: int


@dataclass(frozen=True)
class Remove:
    """End a sandbox and forget it."""

    pod: Pod
    grace: float
    why: str


Action = Run | Start | Remove


def container_specs(spec: Mapping[str, Any]) -> tuple[ContainerSpec, ...]:
    """Containers of a pod's spec; `env` entries with a plain value only."""
    return tuple(ContainerSpec(
        str(item["name"]), str(item.get("image", "")),
        tuple(str(word) for word in [*(item.get("command") or []), *(item.get("args") or [])]) or ("pause",),
        {str(env["name"]): str(env["value"]) for env in item.get("env") or [] if "value" in env})
        for item in spec.get("containers") or [])


def parse_manifest(text: str, node: str) -> Desired:
    """A static pod from its manifest: name with the node's name, uid of the manifest or a hash of it."""
    manifest = yaml.safe_load(text)
    metadata = manifest["metadata"]
    uid = str(metadata.get("uid") or hashlib.md5(f"{node}{text}".encode(), usedforsecurity=False).hexdigest())
    return Desired(f"{metadata['name']}-{node}", metadata.get("namespace", "default"), uid, "file",
                   {str(key): str(value) for key, value in (metadata.get("labels") or {}).items()},
                   container_specs(manifest["spec"]), manifest["spec"].get("restartPolicy", "Always"), manifest)


def parse_api_pod(pod: Mapping[str, Any]) -> Desired:
    """A pod that the API has bound to this node."""
    metadata = pod["metadata"]
    return Desired(metadata["name"], metadata["namespace"], metadata["uid"], "api", metadata.get("labels") or {},
                   container_specs(pod["spec"]), pod["spec"].get("restartPolicy", "Always"), pod)


def delay(attempts: int) -> float:
    """Back-off before a restart: none for the first, then 10 s doubled up to five minutes."""
    return 0.0 if attempts <= 0 else min(300.0, 10.0 * 2 ** (attempts - 1))


def due(last: Container, restart: str, now: float) -> bool:
    """Whether a container that has exited is to be started again now."""
    if restart == "Never" or (restart == "OnFailure" and last.exit_code == 0):
        return False
    calm = last.finished_at - last.started_at > 600
    since = now - (last.finished_at or last.started_at)
    return since >= (0.0 if calm else delay(last.attempt))


def decide(desired: Iterable[Desired], pods: Sequence[Pod], now: float, *, api_known: bool,
           seen: Collection[str] = (), busy: Collection[str] = ()) -> list[Action]:
    """Actions that bring the pods that run nearer to those that are wanted.

    `api_known`: the API has said which pods it wants (else only what this kubelet has `seen` wanted is removed);
    `busy`: ids of sandboxes that are being removed.
    """
    actions: list[Action] = []
    wanted = {pod.key: pod for pod in desired}
    by_key: dict[tuple[str, str], list[Pod]] = {}
    for pod in pods:
        by_key.setdefault((pod.namespace, pod.name), []).append(pod)
        if (pod.namespace, pod.name) not in wanted and pod.id not in busy and (api_known or pod.uid in seen):
            actions.append(Remove(pod, GRACE, "it is not wanted any more"))
    for key, want in wanted.items():
        present = by_key.get(key, [])
        alive = [pod for pod in present if pod.uid == want.uid and pod.state == "Ready" and pod.id not in busy]
        stale = [pod for pod in present if pod not in alive]
        for pod in stale:
            if pod.id not in busy:
                other = pod.uid != want.uid
                actions.append(Remove(pod, GRACE if other else 0.0, "of another uid" if other else "it is dead"))
        if alive:
            actions += containers_due(want, alive[0], now)
        elif all(pod.uid == want.uid and pod.id not in busy for pod in stale):
            attempt = 1 + max((pod.attempt for pod in stale), default=-1)
            actions.append(Run(want, attempt, restarts(want, stale)))
    return actions


def restarts(want: Desired, dead: Iterable[Pod]) -> dict[str, int]:
    """Restart counts with which a pod's containers begin: one more than in a dead sandbox, or than the API knows of.

    The API's count stands for sandboxes that a power loss has taken.
    """
    counts = {row["name"]: row["restartCount"] + 1
              for row in (want.manifest.get("status") or {}).get("containerStatuses") or [] if row.get("containerID")}
    for pod in dead:
        for spec in want.containers:
            last = pod.latest(spec.name)
            if last is not None:
                counts[spec.name] = max(counts.get(spec.name, 0), last.attempt + 1)
    return counts


def containers_due(want: Desired, pod: Pod, now: float) -> list[Action]:
    """Containers of a living sandbox that have to be started."""
    actions: list[Action] = []
    for spec in want.containers:
        last = pod.latest(spec.name)
        if last is None:
            actions.append(Start(pod.id, spec, 0))
        elif last.state != "Running" and due(last, want.restart, now):
            actions.append(Start(pod.id, spec, last.attempt + 1))
    return actions
