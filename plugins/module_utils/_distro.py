# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What RKE2 and K3s call the same things (names, paths, ports)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Distro:
    """One distribution, as its nodes see it."""

    name: str
    server_unit: str
    agent_unit: str
    supervisor_port: int
    static_pods: bool
    """etcd and kube-apiserver are static pods, which outlive the unit (RKE2); K3s runs them in its own process."""


DISTROS = {
    "rke2": Distro("rke2", "rke2-server", "rke2-agent", 9345, True),
    "k3s": Distro("k3s", "k3s", "k3s-agent", 6443, False),
}
