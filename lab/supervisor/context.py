# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of a running server needs to know about itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .config import Config
from .distro import Distro

if TYPE_CHECKING:
    from .etcd import Gateway


def bin_dir(distro: Distro, data_dir: Path) -> Path:
    """Directory of the bundled programs: D/data/<version>-<hash>/bin."""
    tag = distro.version.replace("+", "-")
    return data_dir / "data" / f"{tag}-ecfbf5fa310e" / "bin"


@dataclass(frozen=True)
class ServerContext:
    """Identity, paths and settings of one server."""

    distro: Distro
    data_dir: Path
    node_name: str
    node_ip: str
    token: str
    """Password part of the cluster token."""
    config: Config

    @property
    def server(self) -> Path:
        """D/server."""
        return self.data_dir / "server"

    @property
    def tls(self) -> Path:
        """D/server/tls."""
        return self.server / "tls"

    @property
    def cred(self) -> Path:
        """D/server/cred."""
        return self.server / "cred"

    @property
    def db(self) -> Path:
        """D/server/db."""
        return self.server / "db"

    @property
    def etcd(self) -> Path:
        """D/server/db/etcd."""
        return self.db / "etcd"

    @property
    def agent(self) -> Path:
        """D/agent."""
        return self.data_dir / "agent"

    @property
    def manifests(self) -> Path:
        """D/agent/pod-manifests."""
        return self.agent / "pod-manifests"

    @property
    def reset_flag(self) -> Path:
        """D/server/db/reset-flag."""
        return self.db / "reset-flag"

    @property
    def force_restart(self) -> Path:
        """D/force-restart (RKE2)."""
        return self.data_dir / "force-restart"

    @property
    def member_name(self) -> str:
        """Name of the local etcd member (db/etcd/name), empty when there is none."""
        path = self.etcd / "name"
        return path.read_text().strip() if path.exists() else ""

    @property
    def apiserver_port(self) -> int:
        """Port of the local kube-apiserver itself: K3s keeps 6443 for its supervisor."""
        return 6443 if self.distro.static_pods else 6444

    @property
    def supervisor_url(self) -> str:
        """URL at which others reach this supervisor."""
        return f"https://{self.node_ip}:{self.distro.supervisor_port}"

    @cached_property
    def gateway(self) -> Gateway:
        """Client of the local etcd."""
        from .etcd import Gateway

        return Gateway.local(self.tls / "etcd")
