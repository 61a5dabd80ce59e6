# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate files belong to which service of `certificate rotate --service`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .distro import Distro

_CLIENTS = {"admin": "client-admin", "auth-proxy": "client-auth-proxy", "supervisor": "client-supervisor"}


def agent_services(distro: Distro) -> tuple[str, ...]:
    """Services of every node."""
    return "kube-proxy", "kubelet", f"{distro.name}-controller"


def services(distro: Distro) -> tuple[str, ...]:
    """Services of a server, those of its node included."""
    return ("api-server", "admin", "auth-proxy", "cloud-controller", "controller-manager", "etcd", "scheduler",
            "supervisor", f"{distro.name}-server", *agent_services(distro))


def _names(distro: Distro, service: str) -> tuple[list[str], list[str]]:
    """Certificates of a service below server/tls and below agent, without suffix."""
    program = distro.name
    server = {
        **{name: [leaf] for name, leaf in _CLIENTS.items()},
        "api-server": ["client-kube-apiserver", "serving-kube-apiserver"],
        "cloud-controller": [f"client-{program}-cloud-controller"],
        "controller-manager": ["client-controller", "kube-controller-manager/kube-controller-manager"],
        "scheduler": ["client-scheduler", "kube-scheduler/kube-scheduler"],
        "etcd": ["etcd/client", "etcd/server-client", "etcd/peer-server-client"],
    }.get(service, [])
    agent = {"kube-proxy": ["client-kube-proxy"], "kubelet": ["client-kubelet", "serving-kubelet"],
             f"{program}-controller": [f"client-{program}-controller"]}.get(service, [])
    return server + agent, agent


def files(distro: Distro, data_dir: Path, wanted: Sequence[str]) -> dict[str, list[Path]]:
    """Certificates and keys by service; `<program>-server` has none: its certificate is dynamic-cert.json."""
    found = {}
    for service in wanted:
        server, agent = _names(distro, service)
        found[service] = [folder / f"{name}.{suffix}" for folder, names in
                          ((data_dir / "server" / "tls", server), (data_dir / "agent", agent))
                          for name in names for suffix in ("crt", "key")]
    found.pop(f"{distro.name}-server", None)
    return found
