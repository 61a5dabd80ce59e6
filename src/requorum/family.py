# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a run, by a variable of their environment: workers of Ansible outlive a parent that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def kill(name: str, value: str) -> None:
    """Kill every process of this user whose environment has it, until there is none."""
    for _round in range(20):
        found = list(_members(f"{name}={value}".encode()))
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _members(entry: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            if pid != os.getpid() and entry in (folder / "environ").read_bytes().split(b"\0"):
                yield pid
        except OSError:  # of another user, or gone
            continue
