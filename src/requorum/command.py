# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which command a run was started and by which process it goes on: command.json in its folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import documents

JSON = dict[str, Any]
FILE = "command.json"


def save(folder: str, argv: Sequence[str]) -> None:
    """Write it, where the folder lies on this machine."""
    if not os.path.isdir(folder):
        return
    record = {"argv": list(argv), "cwd": os.getcwd(), "host": socket.gethostname(), "pid": os.getpid(),
              "process_began": _began(os.getpid())}  # fmt: skip
    documents.save(os.path.join(folder, FILE), json.dumps(record) + "\n")


def load(folder: str | Path) -> JSON | None:
    """None for runs that were not started by this command."""
    try:
        found = json.loads(Path(folder, FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("argv") else None


def running(record: JSON) -> bool | None:
    """Whether that process lives; None where it was on another machine."""
    if record.get("host") != socket.gethostname():
        return None
    began = _began(int(record.get("pid") or 0))
    return began is not None and began == record.get("process_began")


def _began(pid: int) -> str | None:
    """When a process began, in ticks since the boot: a later one with its number has another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
