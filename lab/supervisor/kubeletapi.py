# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet's side towards the API: registration, lease, status, mirror pods and the pods that are bound to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from . import nodeobjects
from .api import STRATEGIC, Api, ApiError
from .cri import MIRROR, Pod
from .podsync import Desired, parse_api_pod

TICK = 2.0
RENEW = 10.0


class Node(Protocol):
    """What the API side needs of kubelet."""

    node: str
    static: tuple[Desired, ...]
    bound: tuple[Desired, ...] | None
    pods: tuple[Pod, ...]
    ready: bool


def say(text: str) -> None:
    """A line in kubelet's log."""
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.gmtime(now))
    print(f"E{stamp}.{int(now % 1 * 1e6):06d} kubelet_node_status.go:1] {text}", file=sys.stderr, flush=True)


def pod_path(namespace: str, name: str = "") -> str:
    """URL path of pods."""
    return f"/api/v1/namespaces/{namespace}/pods{'/' if name else ''}{name}"


def is_mirror(pod: Mapping[str, Any]) -> bool:
    """Whether an API pod only mirrors a static pod."""
    return MIRROR in (pod["metadata"].get("annotations") or {})


def sandbox(want: Desired, pods: Sequence[Pod]) -> Pod | None:
    """The newest sandbox of a pod."""
    found = [pod for pod in pods if pod.uid == want.uid and (pod.namespace, pod.name) == want.key]
    return max(found, key=lambda pod: pod.attempt, default=None)


def same_status(have: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    """Whether a status says the same already, times of conditions aside."""
    def essence(status: Mapping[str, Any]) -> Any:
        rows = status.get("containerStatuses") or []
        return (status.get("phase"), {row["type"]: row["status"] for row in status.get("conditions") or []},
                [(row["name"], row["ready"], row["restartCount"], row.get("containerID"), sorted(row["state"]))
                 for row in rows])
    return bool(essence(have) == essence(want))


class ApiSide:
    """Everything that may wait for an apiserver, in a thread of its own."""

    def __init__(self, kubelet: Node, kubeconfig: Path, address: str, version: str) -> None:
        self._kubelet, self._kubeconfig = kubelet, kubeconfig
        self._address, self._version = address, version
        self._api: Api | None = None
        self._uid = ""
        self._renewed = self._posted = -RENEW
        self._posted_ready: bool | None = None
        self._said = ""

    def run(self) -> None:
        """Tick for ever; an apiserver that does not answer is tried again."""
        while True:
            try:
                if self._api is None:
                    self._api = Api.from_kubeconfig(self._kubeconfig)
                self._tick(self._api)
                self._said = ""
            except (OSError, ApiError, KeyError, ValueError) as exc:
                self._say(f'"Unable to reach the API" node="{self._kubelet.node}" err="{exc}"')
            time.sleep(TICK)

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            say(text)

    def _tick(self, api: Api) -> None:
        if not self._uid:
            self._register(api)
        steps: tuple[Callable[[Api], None], ...] = (self._renew, self._post, self._sync_pods)
        failure: Exception | None = None
        for step in steps:
            try:
                step(api)
            except ApiError as exc:  # one refusal must not keep the other steps from happening
                failure = failure or exc
        if failure is not None:
            raise failure

    def _register(self, api: Api) -> None:
        name = self._kubelet.node
        try:
            node = api.post("/api/v1/nodes", nodeobjects.node(name, self._address, self._version, self._kubelet.ready))
        except ApiError as exc:
            if exc.status != 409:
                raise
            node = api.patch(f"/api/v1/nodes/{name}", {"metadata": {"labels": nodeobjects.node_labels(name)}})
        self._uid = node["metadata"]["uid"]

    def _renew(self, api: Api) -> None:
        if time.monotonic() - self._renewed < RENEW:
            return
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        lease = nodeobjects.lease(self._kubelet.node, self._uid)
        try:
            api.patch(f"{path}/{self._kubelet.node}", lease)
        except ApiError as exc:
            if exc.status != 404:
                raise
            api.post(path, lease)
        self._renewed = time.monotonic()

    def _post(self, api: Api) -> None:
        name, ready = self._kubelet.node, self._kubelet.ready
        node = api.get(f"/api/v1/nodes/{name}")
        since = nodeobjects.transitions(node)
        shown = f"Ready={ready}" in since
        if shown and ready == self._posted_ready and time.monotonic() - self._posted < RENEW:
            return
        status = nodeobjects.node_status(name, self._address, self._version, ready, since)
        api.patch(f"/api/v1/nodes/{name}/status", {"status": status}, STRATEGIC)
        self._posted, self._posted_ready = time.monotonic(), ready

    def _sync_pods(self, api: Api) -> None:
        name = self._kubelet.node
        listed = api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={name}")["items"]
        mirrors = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in listed if is_mirror(pod)}
        ordinary = [pod for pod in listed if not is_mirror(pod)]
        going = [pod for pod in ordinary if pod["metadata"].get("deletionTimestamp")]
        kept = [(pod, parse_api_pod(pod)) for pod in ordinary if not pod["metadata"].get("deletionTimestamp")]
        self._kubelet.bound = tuple(want for _, want in kept)
        pods = self._kubelet.pods
        for pod in going:
            if not any(have.uid == pod["metadata"]["uid"] for have in pods):
                self._delete(api, pod)
        for want in self._kubelet.static:
            self._mirror(api, want, mirrors.pop(want.key, None))
        for pod in mirrors.values():
            self._delete(api, pod)
        for pod, want in kept:
            self._status(api, want, pod, pods)

    def _mirror(self, api: Api, want: Desired, have: Mapping[str, Any] | None) -> None:
        if have is not None and have["metadata"]["annotations"][MIRROR] != want.uid:
            self._delete(api, have)
            have = None
        if have is None:
            uid = api.get(f"/api/v1/nodes/{self._kubelet.node}")["metadata"]["uid"]
            have = api.post(pod_path(want.namespace), nodeobjects.mirror(want, self._kubelet.node, uid))
        assert have is not None
        self._status(api, want, have, self._kubelet.pods)

    def _status(self, api: Api, want: Desired, have: Mapping[str, Any], pods: Sequence[Pod]) -> None:
        status = nodeobjects.pod_status(want, sandbox(want, pods), self._address)
        if not same_status(have.get("status") or {}, status):
            api.patch(f"{pod_path(want.namespace, want.name)}/status", {"status": status}, STRATEGIC)

    @staticmethod
    def _delete(api: Api, pod: Mapping[str, Any]) -> None:
        metadata = pod["metadata"]
        api.delete(pod_path(metadata["namespace"], metadata["name"]),
                   {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}})
