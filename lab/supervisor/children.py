# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a supervisor runs as its own children, and systemd's readiness protocol."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import proc
from .context import ServerContext
from .distro import LAB_BIN

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(ctx: ServerContext, program: str, args: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start etcd or kube-apiserver as a child; call it from the main thread, with which the child ends.

    K3s has both inside its own process: the child is called like the program, so that looking for processes by
    name finds what it finds on a real host.
    """
    executable, name = LAB_BIN / program, program
    if not ctx.distro.static_pods:
        link = Path("/run/k3s/embedded") / program / ctx.distro.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(executable)
        executable, name = link, f"{ctx.distro.binary} server"
    return subprocess.Popen([name, *args], executable=executable, env=proc.child_env(), stdin=subprocess.DEVNULL,
                            preexec_fn=_end_with_parent)


def stop(child: subprocess.Popen[bytes] | None, seconds: float = 10.0) -> None:
    """End a child, gently first."""
    if child is None or child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def notify(state: str) -> None:
    """Tell systemd, when it started this process as Type=notify."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + path[1:] if path.startswith("@") else path)
        sender.sendall(state.encode())
