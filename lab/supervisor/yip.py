# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`yip -s STAGE FOLDER`: what Elemental does at each boot with the files of /oem, as far as Harvester's need it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


def _file(entry: dict[str, Any]) -> None:
    path = Path(entry["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(entry.get("content") or ""))
    path.chmod(int(entry.get("permissions") or 0o644))
    os.chown(path, int(entry.get("owner", -1)), int(entry.get("group", -1)))


def _step(step: dict[str, Any]) -> None:
    for entry in step.get("files") or ():
        _file(entry)
    if name := step.get("hostname"):
        socket.sethostname(name)
        Path("/etc/hostname").write_text(f"{name}\n")
    for command in step.get("commands") or ():
        subprocess.run(["sh", "-c", command], check=False)


def main(argv: list[str]) -> int:
    """Files in lexical order; one that is no YAML does not keep the others from their work."""
    stage, folder = argv[argv.index("-s") + 1], Path(argv[-1])
    code = 0
    for path in sorted(folder.glob("*.yaml")):
        try:
            stages = (yaml.safe_load(path.read_text()) or {}).get("stages") or {}
            for step in stages.get(stage) or ():
                _step(step)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as fault:
            print(f"{path}: {fault}", file=sys.stderr)
            code = 1
    return code
