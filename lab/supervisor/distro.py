# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, paths and ports in which the two programs that the stand-in plays differ."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

VERSION_FILE = Path("/etc/requorum-lab-version")
"""On a lab host: the version that the stand-in plays, when it is not the recorded one."""


@dataclass(frozen=True)
class Distro:
    """What `rke2` and `k3s` call the same things (facts/rke2.md 4.4, 6.1)."""

    name: str
    version: str
    binary: str
    server_unit: str
    agent_unit: str
    unit_dir: str
    supervisor_port: int
    static_pods: bool
    """RKE2 runs etcd and kube-apiserver as static pods that outlive its unit; K3s runs them itself."""

    @property
    def release(self) -> tuple[int, ...]:
        """Numbers of the version, the one of the build last: (1, 34, 3, 1)."""
        return tuple(int(number) for number in re.findall(r"\d+", re.sub(r"\+(rke2|k3s)", ".", self.version)))

    @property
    def renewal_window(self) -> datetime.timedelta:
        """How long before its end a start issues a leaf again (facts/rke2.md 0)."""
        return datetime.timedelta(days=120 if self.release >= (1, 30, 13) else 90)

    @property
    def renews_expired_serving(self) -> bool:
        """Whether a start replaces a serving certificate that expired while the host was down (rke2#8318)."""
        return self.release >= (1, 30, 14)

    @property
    def asks_datastore_first(self) -> bool:
        """Whether an emptied server/tls is restored from the local datastore instead of made anew (k3s#13371)."""
        return self.release >= (1, 34, 3, 2)

    @property
    def data_dir(self) -> Path:
        """Default data directory (D in the facts sheet)."""
        return Path("/var/lib/rancher") / self.name

    @property
    def config(self) -> Path:
        """Main configuration file; `config.yaml.d` lies beside it."""
        return Path("/etc/rancher") / self.name / "config.yaml"

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig, rewritten at every start."""
        return Path("/etc/rancher") / self.name / f"{self.name}.yaml"

    @property
    def annotation(self) -> str:
        """Prefix of the etcd annotations on Node objects."""
        return f"etcd.{self.name}.cattle.io"


def _version(recorded: str) -> str:
    return VERSION_FILE.read_text().strip() if VERSION_FILE.exists() else recorded


RKE2 = Distro("rke2", _version("v1.34.3+rke2r1"), "/usr/local/bin/rke2", "rke2-server", "rke2-agent",
              "/usr/local/lib/systemd/system", 9345, True)
K3S = Distro("k3s", _version("v1.34.3+k3s1"), "/usr/local/bin/k3s", "k3s", "k3s-agent",
             "/etc/systemd/system", 6443, False)
DISTROS = {distro.name: distro for distro in (RKE2, K3S)}

LAB_BIN = Path("/opt/lab/bin")
"""On a lab host: etcd, etcdctl, etcdutl, kube-apiserver and kubectl (read-only mount)."""
