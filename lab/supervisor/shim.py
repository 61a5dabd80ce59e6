# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shim of one pod: parent of its pause process and its containers, outlives the runtime and the unit.

State: <pod directory>/state.json, rewritten at every change, with pid and start time of each process, so that the
runtime sees whether they live even after the shim was killed.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from . import cri, proc
from .distro import LAB_BIN

IDLE = ("kube-scheduler", "kube-controller-manager")
"""Control-plane parts that the lab does not have; the stand-in plays them (`idle.py`)."""
PATH = f"{LAB_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def log_line(now: float, stream: str, text: bytes) -> bytes:
    """A line of a container log in CRI format."""
    seconds, fraction = divmod(int(now * 1e9), 10**9)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{fraction:09d}Z {stream} F ".encode() + text + b"\n"


def executable(name: str) -> str:
    """File that a container's command stands for."""
    if name in IDLE:  # until it takes its name, it is called like the program that starts containers
        return str(Path(sys.executable).with_name("runc"))
    found = shutil.which(name, path=PATH)
    if found is None:
        raise FileNotFoundError(f'exec: "{name}": executable file not found in $PATH')
    return found


class Shim:
    """Event loop of one shim."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pod = json.loads((directory / "pod.json").read_text())
        self._state: dict[str, Any] = {"shim": [os.getpid(), proc.start_time(os.getpid())], "containers": []}
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[int, tuple[str, int, bytearray]] = {}

    def open(self) -> None:
        """Start the pause process and listen."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake_read, selectors.EVENT_READ, self._reap)
        self._state["pause"] = self._start_pause()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._directory / "shim.sock"))
        listener.listen()
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        self._save()

    def run(self) -> NoReturn:
        """Serve until killed."""
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def _start_pause(self) -> list[int | None]:
        link = cri.STATE / "pause"
        if not link.is_symlink():
            temporary = link.with_name(f"pause-{secrets.token_hex(4)}")
            temporary.symlink_to("/bin/cat")
            temporary.replace(link)
        read, write = os.pipe()  # cat holds both ends itself: it never sees the end, and nobody needs to live for it
        pid = os.posix_spawn(link, ["/pause"], {"PATH": PATH}, setsid=True, setsigdef=[signal.SIGPIPE],
                             file_actions=[(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, write, 3)])
        os.close(read)
        os.close(write)
        return [pid, proc.start_time(pid)]

    def _accept(self, listener: Any) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(2)
            try:
                request = json.loads(connection.makefile("rb").readline())
                answer = {"result": self._start(cri.spec_from_json(request["container"]), request["attempt"])}
            except (OSError, ValueError, KeyError) as exc:
                answer = {"error": str(exc)}
            try:
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return

    def _start(self, spec: cri.ContainerSpec, attempt: int) -> str:
        pod, now = self._pod, time.time()
        path = Path("/var/log/pods", f"{pod['namespace']}_{pod['name']}_{pod['uid']}", spec.name, f"{attempt}.log")
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        env = {"PATH": PATH, "HOSTNAME": socket.gethostname(), **spec.env}
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, out_write, 1),
                   (os.POSIX_SPAWN_DUP2, err_write, 2)]
        try:
            pid = os.posix_spawn(executable(spec.command[0]), list(spec.command), env, file_actions=actions,
                                 setsid=True, setsigdef=[signal.SIGPIPE])
        except OSError:
            for descriptor in (log, out_read, err_read):
                os.close(descriptor)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        for stream, descriptor in (("stdout", out_read), ("stderr", err_read)):
            os.set_blocking(descriptor, False)
            self._buffers[descriptor] = (stream, os.dup(log), bytearray())
            self._selector.register(descriptor, selectors.EVENT_READ, self._output)
        os.close(log)
        identity = secrets.token_hex(32)
        self._state["containers"].append({
            "id": identity, "name": spec.name, "image": spec.image, "attempt": attempt, "pid": pid,
            "start": proc.start_time(pid) or 0, "exit_code": 0, "created_at": now, "started_at": now,
            "finished_at": 0.0})
        self._save()
        return identity

    def _output(self, descriptor: int) -> None:
        stream, log, rest = self._buffers[descriptor]
        data = os.read(descriptor, 65536)
        lines = (bytes(rest) + data).split(b"\n")
        tail = lines.pop()
        if not data and tail:
            lines.append(tail)
        rest[:] = tail
        os.write(log, b"".join(log_line(time.time(), stream, text) for text in lines))
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            os.close(log)
            del self._buffers[descriptor]

    def _reap(self, descriptor: int) -> None:
        os.read(descriptor, 512)
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for row in self._state["containers"]:
                if row["pid"] == pid and not row["finished_at"]:
                    code = os.waitstatus_to_exitcode(status)
                    row["exit_code"] = code if code >= 0 else 128 - code
                    row["finished_at"] = time.time()
                    changed = True
        if changed:
            self._save()

    def _save(self) -> None:
        temporary = self._directory / "state.tmp"
        temporary.write_text(json.dumps(self._state))
        temporary.replace(self._directory / "state.json")


def main(argv: list[str]) -> int:
    """`containerd-shim-runc-v2 -namespace k8s.io -id ID -address SOCKET`: returns once its child, the shim, serves."""
    directory = cri.STATE / "pods" / argv[argv.index("-id") + 1]
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        return 0 if os.read(read, 1) else 1
    os.setsid()
    os.chdir("/")
    shim = Shim(directory)
    shim.open()
    os.write(write, b"1")
    os.close(read)
    os.close(write)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    shim.run()
