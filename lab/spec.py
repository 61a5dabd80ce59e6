# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab consists of: names, addresses, and the files that describe it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from lab.progress import LabError
from lab.supervisor.distro import DISTROS, Distro

LABEL = "requorum.lab"
"""Label on every container, volume and network of a lab; its value is the lab's name."""
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_LETTER = {"rke2": "r", "k3s": "n"}


@dataclass(frozen=True)
class Host:
    """One host of a lab."""

    name: str
    role: str
    """`server` or `agent`."""
    ip: str

    @property
    def mac(self) -> str:
        """Follows from the address: a host on a new disk is found at once by those who talked to the old one."""
        return ":".join(["02:00", *(f"{int(part):02x}" for part in self.ip.split("."))])


@dataclass(frozen=True)
class Spec:
    """Everything that was chosen for a lab; lab.json holds it."""

    name: str
    distro: str = "rke2"
    servers: int = 3
    agents: int = 1
    subnet: str = "10.89.1.0/24"
    token: str = ""
    etcd: str = "3.6"
    strict: bool = True
    pace: bool = False
    binary: str = ""
    """Real rke2 or k3s program in place of the stand-in."""
    images: str = ""
    """Folder with air-gap image archives for the real program."""
    disk_mb: int = 0
    """Size of each host's own disk for /var/lib/rancher; 0: a folder on the machine's disk, which cannot be filled."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not _NAME.fullmatch(self.name):
            raise LabError(f"lab name {self.name!r}: at most 20 small letters, digits and dashes, a letter first")
        if self.distro not in DISTROS:
            raise LabError(f"distro {self.distro!r}: one of {', '.join(sorted(DISTROS))}")
        if not 1 <= self.servers <= 9 or not 0 <= self.agents <= 100:
            raise LabError("1 to 9 servers and 0 to 100 agents")

    @property
    def supervisor(self) -> Distro:
        """Names, paths and ports of the distribution."""
        return DISTROS[self.distro]

    @property
    def label(self) -> str:
        """Label that marks what belongs to this lab."""
        return f"{LABEL}={self.name}"

    @property
    def network(self) -> str:
        """Name of the network in podman."""
        return f"requorum-{self.name}"

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Servers (r1.. or n1.., .11..), then agents (a1.., .21..)."""
        network = IPv4Network(self.subnet)
        letter = _LETTER[self.distro]
        return (*(Host(f"{letter}{i}", "server", str(network[10 + i])) for i in range(1, self.servers + 1)),
                *(Host(f"a{i}", "agent", str(network[20 + i])) for i in range(1, self.agents + 1)))

    def host(self, name: str) -> Host:
        """Host by name."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"lab {self.name} has no host {name!r}; it has {' '.join(h.name for h in self.hosts)}")

    def container(self, host: str) -> str:
        """Name of a host's container."""
        return f"{self.name}-{self.host(host).name}"

    def volumes(self, host: str) -> dict[str, str]:
        """Volume -> where it is mounted."""
        container = self.container(host)
        return {f"{container}-data": "/var/lib/rancher", f"{container}-kubelet": "/var/lib/kubelet",
                f"{container}-log": "/var/log"}

    def unit(self, host: str) -> str:
        """Name of the host's rke2 or k3s unit."""
        return self.supervisor.server_unit if self.host(host).role == "server" else self.supervisor.agent_unit

    def url(self, host: str) -> str:
        """Registration address of a server."""
        return f"https://{self.host(host).ip}:{self.supervisor.supervisor_port}"

    def to_json(self) -> str:
        """Content of lab.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read lab.json."""
        return cls(**json.loads(text))


def candidate_subnets(taken: Iterable[str]) -> Iterator[str]:
    """Every 10.89.x.0/24 that overlaps nothing in `taken`."""
    others = [IPv4Network(subnet, strict=False) for subnet in taken if ":" not in subnet]
    for third in range(1, 256):
        subnet = IPv4Network(f"10.89.{third}.0/24")
        if not any(subnet.overlaps(other) for other in others):
            yield str(subnet)


def ssh_options(folder: Path) -> list[str]:
    """Options that make ssh use the lab's key and known hosts, and nothing of the user's."""
    return ["-o", f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null",
            "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "PasswordAuthentication=no"]


def inventory(spec: Spec, folder: Path) -> str:
    """Content of the Ansible inventory hosts.yml (JSON scalars, which are YAML)."""
    variables = {"requorum_cluster": spec.name, "ansible_user": "rancher", "ansible_become": True,
                 "ansible_ssh_private_key_file": str(folder / "id_ed25519"),
                 "ansible_ssh_common_args": " ".join(ssh_options(folder))}
    lines = ["all:", "  vars:", *(f"    {name}: {json.dumps(value)}" for name, value in variables.items())]
    lines.append("  children:")
    for group, role in (("servers", "server"), ("agents", "agent")):
        members = [host for host in spec.hosts if host.role == role]
        lines += [f"    {group}:", "      hosts:" if members else "      hosts: {}"]
        lines += [f"        {host.name}: {{ansible_host: {host.ip}}}" for host in members]
    return "\n".join(lines) + "\n"
