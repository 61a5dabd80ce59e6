# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that make a lab host an RKE2 or K3s node: units, links, configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .config import PACE_FILE
from .distro import Distro

STANDIN = "/opt/lab/standin/standin"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class HostFile:
    """A file on a host; with `link`, a symbolic link to `content`."""

    mode: int
    content: str
    link: bool = False


def settings(distro: Distro, role: str, *, token: str, server: str, node_ip: str) -> dict[str, Any]:
    """Content of config.yaml."""
    values: dict[str, Any] = {"token": token, "node-ip": node_ip}
    if server:
        values["server"] = server
    elif role == "server" and not distro.static_pods:
        values["cluster-init"] = True
    return values


def _unit(distro: Distro, role: str) -> str:
    own, other = (distro.server_unit, distro.agent_unit) if role == "server" else (distro.agent_unit,
                                                                                   distro.server_unit)
    text = (_HERE / "units" / f"{distro.name}.service").read_text()
    return text.replace("@role@", role).replace("@other@", other).replace("@unit@", own)


def host_files(distro: Distro, role: str, *, token: str, server: str, node_ip: str,
               pace: bool = False) -> dict[str, HostFile]:
    """Files of one host by absolute path. `role` is `server` or `agent`; `server` is empty on the first server."""
    unit = distro.server_unit if role == "server" else distro.agent_unit
    config = yaml.safe_dump(settings(distro, role, token=token, server=server, node_ip=node_ip), sort_keys=False)
    bin_dir = Path(distro.binary).parent
    files = {
        str(distro.config): HostFile(0o600, config),
        f"{distro.unit_dir}/{unit}.service": HostFile(0o644, _unit(distro, role)),
        f"/etc/systemd/system/{unit}.service.d/lab.conf": HostFile(0o644, (_HERE / "units/lab.conf").read_text()),
        distro.binary: HostFile(0o777, STANDIN, link=True),
        f"{bin_dir}/{distro.name}-killall.sh": HostFile(
            0o755, (_HERE / "files" / f"{distro.name}-killall.sh").read_text()),
    }
    if distro.static_pods:
        files[f"{distro.unit_dir}/{unit}.env"] = HostFile(0o644, "HOME=/root\n")
    else:
        files[f"{distro.unit_dir}/{unit}.service.env"] = HostFile(0o600, "")
        for program in ("kubectl", "crictl", "ctr"):
            files[f"{bin_dir}/{program}"] = HostFile(0o777, distro.binary, link=True)
    if pace:
        files[str(PACE_FILE)] = HostFile(0o644, "")
    return files
