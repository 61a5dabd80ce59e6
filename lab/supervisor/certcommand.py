# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`certificate check` and `certificate rotate`: what `<program> certificate ...` does; config.yaml is not read."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import certfiles, certreport, log, rotateca
from .config import BOOL, LIST, SCALAR, UsageError, parse_args
from .distro import DISTROS, Distro

_FLAGS = {"data-dir": SCALAR, "service": LIST, "output": SCALAR, "debug": BOOL}


def _wanted(distro: Distro, data_dir: Path, given: Sequence[str], doing: str) -> list[str]:
    """Services that are named, else all that this host has."""
    known = certfiles.services(distro)
    for service in given:
        if service not in known:
            log.fatal(f"Error: service {service} is not recognized")
    if given:
        return list(given)
    if not (data_dir / "server").exists():
        log.info(f"Agent detected, {doing} agent certificates")
        return list(certfiles.agent_services(distro))
    log.info(f"Server detected, {doing} agent and server certificates")
    return list(known)


def _check(distro: Distro, data_dir: Path, given: Sequence[str], output: str) -> int:
    found = certfiles.files(distro, data_dir, _wanted(distro, data_dir, given, "checking"))
    rows = certreport.read([path for paths in found.values() for path in paths], distro)
    if output in ("", "text"):
        for severity, text in certreport.lines(rows, distro):
            severity(text)
    elif output == "table":
        sys.stdout.write(certreport.table(rows))
    elif output in ("json", "yaml"):
        sys.stdout.write(certreport.document(rows, output))
    else:
        log.fatal(f"Error: invalid output format {output}")
    return 0


def backup(data_dir: Path, paths: Sequence[Path], stamp: int) -> Path:
    """Copy server/tls to server/tls-<unix>, files of the agent flat beside it; on an agent to agent/tls-<unix>."""
    tls, agent = data_dir / "server" / "tls", data_dir / "agent"
    target = (tls.parent if tls.exists() else agent) / f"tls-{stamp}"
    if tls.exists():
        shutil.copytree(tls, target, symlinks=True, dirs_exist_ok=True)
    target.mkdir(mode=0o700, exist_ok=True)
    for path in paths:
        if path.is_relative_to(agent) and path.exists():
            shutil.copy2(path, target / path.name)
    return target


def _rotate(distro: Distro, data_dir: Path, given: Sequence[str], _output: str) -> int:
    services = _wanted(distro, data_dir, given, "rotating")
    found = certfiles.files(distro, data_dir, services)
    target = backup(data_dir, [path for paths in found.values() for path in paths], int(time.time()))
    if f"{distro.name}-server" in services and (data_dir / "server").exists():
        (data_dir / "server" / "tls" / "dynamic-cert-regenerate").touch(mode=0o600)
        log.info("Rotating dynamic listener certificate")
    for service, paths in found.items():
        log.info(f"Rotating certificates for {service}")
        for path in paths:
            path.unlink(missing_ok=True)
    log.info(f"Successfully backed up certificates to {target}, please restart {distro.name} server or agent to "
             "rotate certificates")
    if distro.static_pods:
        (data_dir / "force-restart").touch(mode=0o600)
    return 0


_COMMANDS: dict[str, Callable[[Distro, Path, Sequence[str], str], int]] = {"check": _check, "rotate": _rotate}


def main(argv: list[str]) -> int:
    """`<program> certificate check|rotate|rotate-ca ...`."""
    distro, command = DISTROS[Path(argv[0]).name], argv[2] if len(argv) > 2 else ""
    os.umask(0o022)
    if command == "rotate-ca":
        return rotateca.main(argv)
    if command not in _COMMANDS:
        log.fatal(f"Error: No help topic for '{command}'")
    try:
        pairs, _rest = parse_args(["--service" if word == "-s" else word for word in argv[3:]], _FLAGS)
    except UsageError as exc:
        log.fatal(f"Error: {exc}")
    scalars = dict(pairs)
    given = [name for key, value in pairs if key == "service" for name in value.split(",")]
    return _COMMANDS[command](distro, Path(scalars.get("data-dir", str(distro.data_dir))), given,
                              scalars.get("output", ""))
