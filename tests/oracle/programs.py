# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real programs: an etcd on loopback, and the tools whose answers ours are compared with."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lab import binaries

SERIES = ("3.5", "3.6")
ADMIN = "root:root"
TXN_OPS = 1000
_START_S = 30


@functools.cache
def etcd_folder(series: str) -> Path:
    """Folder with etcd, etcdctl and etcdutl."""
    return binaries.provide(binaries.etcd_part(series))


@functools.cache
def oracle_folder() -> Path:
    """Folder with bbolt and etcd-dump-logs."""
    return binaries.oracle()


def run(*argv: str | Path) -> str:
    """Standard output of a program that must succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [opened.getsockname()[1] for opened in sockets]


def b64(text: str | bytes) -> str:
    """As the JSON gateway wants keys and values."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Etcd:
    """One etcd server with its data below `folder`; spoken to through its JSON gateway."""

    def __init__(self, folder: Path, series: str = "3.6", *flags: str) -> None:
        self.data, self.series, self.flags = folder / "etcd", series, flags
        self.port, self.peer = free_ports(2)
        self._token = ""
        self._gateway: http.client.HTTPConnection | None = None

    def __enter__(self) -> Etcd:
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer}"
        # kill -9 does not empty the page cache, so fsync proves nothing here and costs most of the time.
        flags = {"name": "m1", "data-dir": self.data, "listen-client-urls": client, "advertise-client-urls": client,
                 "listen-peer-urls": peer, "initial-advertise-peer-urls": peer, "initial-cluster": f"m1={peer}",
                 "log-level": "error", "max-txn-ops": str(TXN_OPS), "unsafe-no-fsync": "true"}
        argv = [etcd_folder(self.series) / "etcd", *(f"--{key}={value}" for key, value in flags.items()), *self.flags]
        with (self.data.parent / "etcd.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        until = time.monotonic() + _START_S
        while True:
            try:
                self.call("maintenance/status")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    raise RuntimeError(f"no etcd: {(self.data.parent / 'etcd.log').read_text()[-2000:]}") from None
                time.sleep(0.05)

    def __exit__(self, *_error: object) -> None:
        self.end(signal.SIGTERM)

    def end(self, how: signal.Signals) -> None:
        """End it, with or without the chance to write what it still holds."""
        self.process.send_signal(how)
        self.process.wait(30)

    def kill(self) -> None:
        """`kill -9`."""
        self.end(signal.SIGKILL)

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        """One request to the gateway; ValueError with etcd's text when it refuses."""
        if self._gateway is None:
            self._gateway = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", **({"Authorization": self._token} if self._token else {})}
        try:
            self._gateway.request("POST", f"/v3/{path}", json.dumps(body), headers)
            reply = self._gateway.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException) as error:
            self._gateway.close()
            self._gateway = None
            raise OSError(str(error)) from error
        if reply.status != 200:
            raise ValueError(f"{path}: {text.decode()}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def put(self, key: str, value: str | bytes, **more: Any) -> None:
        """Write one key."""
        self.call("kv/put", key=b64(key), value=b64(value), **more)

    def put_all(self, items: Iterable[tuple[str, str | bytes]]) -> None:
        """Write many keys, up to `TXN_OPS` in one revision; one key at most once in each."""
        batch: list[dict[str, Any]] = []
        for key, value in items:
            batch.append({"request_put": {"key": b64(key), "value": b64(value)}})
            if len(batch) == TXN_OPS:
                self.call("kv/txn", success=batch)
                batch = []
        if batch:
            self.call("kv/txn", success=batch)

    def delete(self, key: str) -> None:
        """Delete one key, which leaves a tombstone."""
        self.call("kv/deleterange", key=b64(key))

    def revision(self) -> int:
        """The newest revision."""
        return int(self.call("maintenance/status")["header"]["revision"])

    def compact(self, revision: int) -> None:
        """Forget what was before `revision`, and wait until it is gone from the file."""
        self.call("kv/compaction", revision=str(revision), physical=True)

    def defragment(self) -> None:
        """Write the file anew."""
        self.call("maintenance/defragment")

    def facts(self) -> dict[str, Any]:
        """What it says about itself, in the words of the JSON gateway."""
        return {"members": self.call("cluster/member/list")["members"],
                "leases": sorted(int(lease["ID"]) for lease in self.call("lease/leases").get("leases", ())),
                "alarms": self.call("maintenance/alarm", action="GET").get("alarms", []),
                "auth": self.call("auth/status").get("enabled", False),
                "status": self.call("maintenance/status")}

    def login(self) -> None:
        """Go on as the administrator."""
        name, _, password = ADMIN.partition(":")
        self._token = self.call("auth/authenticate", name=name, password=password)["token"]

    def save(self, target: Path) -> Path:
        """`etcdctl snapshot save`."""
        user = ["--user", ADMIN] if self._token else []
        run(etcd_folder(self.series) / "etcdctl", "--endpoints", f"127.0.0.1:{self.port}", *user, "snapshot", "save",
            target)
        return target


@contextlib.contextmanager
def copied(path: Path) -> Iterator[Path]:
    """A copy beside the original, for tools that write into what they read."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        yield Path(shutil.copy2(path, folder))


def status(path: Path, series: str) -> dict[str, Any]:
    """`etcdutl snapshot status`; raises CalledProcessError when it refuses the file."""
    answer: dict[str, Any] = json.loads(run(etcd_folder(series) / "etcdutl", "snapshot", "status", "-w", "json", path))
    return answer


def hashkv(path: Path) -> dict[str, Any]:
    """`etcdutl hashkv`, on a copy without trailer: it changes the file."""
    with copied(path) as copy:
        os.truncate(copy, copy.stat().st_size // 512 * 512)
        copy.chmod(0o600)
        answer: dict[str, Any] = json.loads(run(etcd_folder("3.6") / "etcdutl", "hashkv", "-w", "json", copy))
        return answer


def bbolt_check(path: Path) -> str:
    """What `bbolt check` has against a file; empty when nothing."""
    try:
        done = subprocess.run([oracle_folder() / "bbolt", "check", path], capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return "no end"
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"exit code {done.returncode}"


def bbolt_pages(path: Path) -> Counter[str]:
    """Pages by type in `bbolt pages`, with those they overflow into as "overflow"."""
    pages: Counter[str] = Counter()
    for line in run(oracle_folder() / "bbolt", "pages", path).splitlines()[2:]:
        _number, kind, *counts = line.split()
        pages[kind] += 1
        pages["overflow"] += int(counts[1]) if len(counts) == 2 else 0
    return pages


def bbolt_stats(path: Path) -> dict[str, int]:
    """The figures of `bbolt stats` by their names."""
    found = re.findall(r"^\s*([^\n:]+): (\d+)", run(oracle_folder() / "bbolt", "stats", path), re.M)
    return {name: int(figure) for name, figure in found}


def log_of(data: Path, folder: Path) -> Path:
    """A copy of the logs of a data directory, in `folder`: they are opened for writing."""
    target = folder / "etcd"
    for path in [*(data / "member").glob("wal/*.wal"), *(data / "member").glob("snap/*.snap")]:
        (target / path.relative_to(data)).parent.mkdir(parents=True, exist_ok=True)
        run("cp", "--sparse=always", path, target / path.relative_to(data))
    (target / "member/snap").mkdir(exist_ok=True)
    return target


def dump_logs(data: Path) -> dict[str, int | str]:
    """What `etcd-dump-logs` says about a copy; CalledProcessError when it cannot read it."""
    text = run(oracle_folder() / "etcd-dump-logs", data)
    found = re.search(r"nodeID=(\w+) clusterID=(\w+) term=(\d+) commitIndex=(\d+) vote=(\w+)", text)
    assert found, text[:2000]
    # what it reads begins after the raft snapshot, if there is one
    places = re.findall(r"^ *(\d+)\t *(\d+)\t|^term=(\d+) index=(\d+) nodes", text, re.M)
    term, index = (int(number) for number in places[-1] if number)
    return {"member_id": found[1], "cluster_id": found[2], "state_term": int(found[3]), "commit": int(found[4]),
            "vote": found[5], "term": term, "index": index}


def with_freelist(path: Path, folder: Path) -> Path:
    """A copy in `folder` with a free list on disk, which etcd leaves out (NoFreelistSync)."""
    target = folder / "freelist.db"
    with copied(path) as copy:
        os.truncate(copy, copy.stat().st_size // 512 * 512)
        run(oracle_folder() / "bbolt", "surgery", "freelist", "rebuild", copy, "--output", target)
    return target
