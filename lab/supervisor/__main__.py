# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-call entry: what the program is depends on the name it is called by."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from . import log, proc
from .distro import DISTROS, LAB_BIN, Distro

# the modules are imported when they are needed: a shim has to stay small
_ROLES = {"containerd": "runtime", "containerd-shim-runc-v2": "shim", "kubelet": "kubelet", "crictl": "crictl",
          "ctr": "crictl", "kube-scheduler": "idle", "kube-controller-manager": "idle", "yip": "yip"}
_COMMANDS = {"server": "server", "agent": "agent", "etcd-snapshot": "snapshots",
             "certificate": "certcommand", "token": "tokenrotate"}


def _call(module: str, argv: list[str]) -> int:
    return int(importlib.import_module(f"lab.supervisor.{module}").main(argv))


def _kubectl(distro: Distro, argv: list[str]) -> NoReturn:
    env = proc.child_env({})
    env.setdefault("KUBECONFIG", str(distro.kubeconfig))
    os.execve(LAB_BIN / "kubectl", ["kubectl", *argv], env)


def _distro(argv: list[str]) -> int:
    distro, rest = DISTROS[Path(argv[0]).name], argv[1:]
    command = rest[0] if rest else ""
    if command in ("--version", "-v"):
        build = "lab" if distro.static_pods else "80b11e87"
        print(f"{distro.name} version {distro.version} ({build})\ngo version go1.26.8")
        return 0
    if command == "kubectl":
        _kubectl(distro, rest[1:])
    if command in ("crictl", "ctr"):
        return _call("crictl", rest)
    if command in _COMMANDS:
        return _call(_COMMANDS[command], argv)
    log.fatal(f"No help topic for '{command}'")


def main(argv: list[str]) -> int:
    """Run the role that the program's name asks for."""
    name = Path(argv[0]).name
    proc.set_name(name)
    if name in DISTROS:
        return _distro(argv)
    if name == "kubectl":
        _kubectl(DISTROS["k3s"], argv[1:])
    if name in _ROLES:
        return _call(_ROLES[name], [name, *argv[1:]])
    print(f"{name}: this program is called as {', '.join([*DISTROS, *_ROLES])}", file=sys.stderr)
    return 2


def run() -> None:
    """Entry point of the executable."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
