# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: their names, their trees, their environment, and dying with a parent."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15


def set_name(name: str) -> None:
    """Set the command name (comm) that ps and pkill -x see."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel send SIGKILL to this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:  # it ended before the call
        os._exit(1)


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what PyInstaller's loader and systemd put there for this process alone."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("_PYI_", "_MEIPASS")) and key not in ("LD_LIBRARY_PATH", "NOTIFY_SOCKET")
           and not key.endswith("_ORIG")}
    if os.environ.get("LD_LIBRARY_PATH_ORIG"):
        env["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH_ORIG"]
    return {**env, **(extra or {})}


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks, None when there is none or only a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def same(pid: int, start: int) -> bool:
    """Whether `pid` is still the process that was started at `start`."""
    return bool(start) and start_time(pid) == start


def tree(pid: int) -> list[int]:
    """A process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def kill(pids: Iterable[int], number: int) -> None:
    """Send a signal; processes that are gone do not matter."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_gone(pids: Iterable[int], seconds: float) -> bool:
    """Wait until all processes have ended (zombies count as ended)."""
    left = list(pids)
    deadline = time.monotonic() + seconds
    while left:
        left = [pid for pid in left if start_time(pid) is not None]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return not left
