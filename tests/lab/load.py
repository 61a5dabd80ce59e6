# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that writes through the API all the time, and turns to the next server when one does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.labs import Lab


class Load(threading.Thread):
    """Config maps load-1, load-2, ... one after another."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(daemon=True)
        self._lab, self._ended, self._begun = lab, threading.Event(), time.monotonic_ns()
        self.acknowledged, self.gap = 0, 0.0

    def run(self) -> None:
        servers, last, number = list(self._lab.servers), time.monotonic(), 0
        while not self._ended.is_set():
            name = f"load-{self._begun}-{number}"
            done = self._lab.kubectl(servers[0], "create", "configmap", name, timeout=6)
            if done.rc == 0 or "already exists" in done.err:
                self.gap, last = max(self.gap, time.monotonic() - last), time.monotonic()
                number = self.acknowledged = number + 1
            else:
                servers.append(servers.pop(0))
            self._ended.wait(0.3)
        self.gap = max(self.gap, time.monotonic() - last)

    def end(self) -> None:
        self._ended.set()
        self.join()

    def lost(self) -> list[str]:
        """Names of acknowledged writes that are not there any more."""
        done = self._lab.kubectl(self._lab.answering(), "get", "configmaps", "-o", "name").ok("kubectl get")
        there = set(done.out.split())
        names = [f"load-{self._begun}-{number}" for number in range(self.acknowledged)]
        return [name for name in names if f"configmap/{name}" not in there]


@contextmanager
def load(lab: Lab) -> Iterator[Load]:
    client = Load(lab)
    client.start()
    try:
        yield client
    finally:
        client.end()
