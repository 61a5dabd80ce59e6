# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Who holds a lock: the process of ansible-playbook, and whether it still lives."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import socket
import typing as t
from pathlib import Path


def me() -> dict[str, str]:
    """The run whose worker this is."""
    pid = os.getppid()
    return {
        "id": secrets.token_hex(8),
        "owner": _user(),
        "host": socket.gethostname(),
        "pid": str(pid),
        "began": began(str(pid)),
        "place": place(),
    }


def place() -> str:
    """This boot of this machine and its processes: only here a pid means something."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    return secrets.token_hex(8)  # nobody is alike


def began(pid: str) -> str:
    """When a process began, in ticks since the boot: a later one with its number has another. Empty: none lives."""
    try:
        fields = Path(f"/proc/{int(pid)}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]  # its parent has not heard of its end yet
    except (OSError, ValueError, IndexError):
        return ""


def ended(held: t.Mapping[str, t.Any]) -> bool:
    """What `me` told of a holder: it worked here, and is no more."""
    return held.get("place") == place() and began(str(held.get("pid"))) != (held.get("began") or "?")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        return str(os.getuid())
