# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that writes and reads through every server's API while something is done to the cluster."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import yaml

from lab.labs import Lab
from lab.progress import LabError, say, wait_for
from lab.supervisor.api import Api, ApiError, Credentials
from lab.supervisor.etcd import write_private

_PATH = "/api/v1/namespaces/default/configmaps"
_SICK_S = 5.0
"""How long a load balancer leaves a server alone that did not answer."""


@dataclass
class Report:
    """What the client saw."""

    writes: int = 0
    reads: int = 0
    retries: int = 0
    """Attempts that another server had to answer."""
    gap: float = 0.0
    """Longest time in seconds without an acknowledged write."""
    late: list[str] = field(default_factory=list)
    """Requests that took longer than the bound, all attempts together."""
    missing: list[str] = field(default_factory=list)
    """Acknowledged writes that were not there when they were read, or are not there at the end."""

    def __str__(self) -> str:
        return (f"{self.writes} writes and {self.reads} reads, {self.retries} retries, longest gap {self.gap:.1f} s, "
                f"{len(self.late)} late, {len(self.missing)} lost")


def _apis(lab: Lab, timeout: float) -> dict[str, Api]:
    """The API of every server with the administrator's certificate."""
    config = yaml.safe_load(lab.sh(lab.answering(), f"cat {lab.spec.supervisor.kubeconfig}").ok("kubeconfig").out)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca, cert, key = (lab.folder / f"workload.{name}" for name in ("ca", "crt", "key"))
    for path, text in ((ca, cluster["certificate-authority-data"]), (cert, user["client-certificate-data"]),
                       (key, user["client-key-data"])):
        write_private(path, base64.b64decode(text).decode())
    admin = Credentials(ca, cert, key)
    return {host: Api(f"https://{lab.spec.host(host).ip}:6443", admin, timeout) for host in lab.servers}


class Workload:
    """`with Workload(lab) as w: ...`; then `w.report`."""

    def __init__(self, lab: Lab, *, bound: float = 10.0, timeout: float = 3.0, pause: float = 0.1) -> None:
        """`timeout` is that of one attempt, `bound` what a whole request may take."""
        self.report = Report()
        self._lab, self._bound, self._pause, self._timeout = lab, bound, pause, timeout
        self._acknowledged: dict[str, str] = {}
        self._sick: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"workload {lab.name}")
        self._run_id = f"{time.time():.0f}"
        self._apis: dict[str, Api] = {}
        self._turn = itertools.count()

    def __enter__(self) -> Self:
        self._apis = _apis(self._lab, self._timeout)
        self._thread.start()
        wait_for("the first acknowledged write", lambda: (bool(self.report.writes), "none yet"), 60, poll=0.1)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopped.set()
        self._thread.join(self._bound + 60)
        with contextlib.suppress(LabError):
            self._compare()
        say(f"workload: {self.report}")

    def _ask(self, what: str, call: Callable[[Api, int], Any]) -> Any:
        """One request, on one server after the other until one answers it; None when the client is stopped before."""
        begun, answer = time.monotonic(), None
        for attempt in itertools.count():
            host = self._choose()
            try:
                answer = call(self._apis[host], attempt)
                break
            except (OSError, ApiError):
                self._sick[host] = time.monotonic()
                self.report.retries += 1
            if self._stopped.is_set() and time.monotonic() - begun > self._bound:
                break
            time.sleep(0.05)
        took = time.monotonic() - begun
        if took > self._bound:
            self.report.late.append(f"{what}: {took:.1f} s")
        return answer

    def _choose(self) -> str:
        """The next server in turn that has not failed lately; the one that failed first when all have."""
        hosts, now = list(self._apis), time.monotonic()
        start = next(self._turn) % len(hosts)
        for host in hosts[start:] + hosts[:start]:
            if now - self._sick.get(host, -_SICK_S) >= _SICK_S:
                return host
        return min(hosts, key=lambda host: self._sick[host])

    def _run(self) -> None:
        last = time.monotonic()
        for number in itertools.count(1):
            name, value = f"load-{self._run_id}-{number}", str(number)
            written = self._ask(f"write {name}", partial(_create, name, value))
            if written:
                self._acknowledged[name] = value
                self.report.writes += 1
                self.report.gap = max(self.report.gap, time.monotonic() - last)
                last = time.monotonic()
                seen = self._ask(f"read {name}", partial(_read, name))
                if seen is not None:
                    self.report.reads += 1
                    if seen != value:
                        self.report.missing.append(name)
            if self._stopped.wait(self._pause):
                self.report.gap = max(self.report.gap, time.monotonic() - last)
                return

    def _compare(self) -> None:
        found: dict[str, str] = {}

        def probe() -> tuple[bool, str]:
            for api in self._apis.values():
                with contextlib.suppress(OSError, ApiError):
                    rows = api.get(_PATH, labelSelector=f"requorum-load={self._run_id}")["items"]
                    found.update({row["metadata"]["name"]: row["data"]["value"] for row in rows})
                    return True, "answered"
            return False, "no API answers"

        try:
            wait_for("an API that lists what was written", probe, 120)
        finally:
            lost = [name for name, value in self._acknowledged.items() if found.get(name) != value]
            self.report.missing = sorted({*self.report.missing, *lost})


def _create(name: str, value: str, api: Api, attempt: int) -> bool:
    _, run, _ = name.split("-")
    try:
        api.post(_PATH, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": value},
                         "metadata": {"name": name, "labels": {"requorum-load": run}}})
    except ApiError as exc:
        # an attempt whose answer got lost was nevertheless carried out
        if exc.status != 409 or not attempt:
            raise
    return True


def _read(name: str, api: Api, _attempt: int) -> str:
    try:
        return str(api.get(f"{_PATH}/{name}")["data"]["value"])
    except ApiError as exc:
        if exc.status != 404:
            raise
        return ""
