# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The certificates, keys and kubeconfigs that RKE2 and K3s keep on a node (facts/rke2.md 3.1 and 3.4)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from . import _versions

TLS = "server/tls/"
DYNAMIC = f"{TLS}dynamic-cert.json"
"""Serving certificate of the supervisor. Its listener adds names by itself."""
SECRET = "secret/kube-system/"
"""Where the same certificate lies in the cluster: every server starts with it."""
CLUSTER = ("secret/", "trust/")
"""What was read through the API: Secrets, and whom webhooks and APIServices trust. All servers give the same."""
AUTHORITIES = tuple(
    f"{TLS}{name}.crt" for name in ("client-ca", "server-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca")
)
SHARED = (f"{TLS}service.key", *(f"server/cred/{name}" for name in ("passwd", "ipsec.psk")))
"""What every server has in common besides the authorities and their keys; all of it is bootstrap data."""
ENCRYPTION = tuple(f"server/cred/{name}" for name in ("encryption-config.json", "encryption-state.json"))
"""Common too, where secrets are encrypted."""


@dataclass(frozen=True)
class File:
    """One file. Paths are relative to the data directory, but for those in /etc and in the cluster."""

    path: str
    kind: str
    """ca, leaf, kubeconfig, key, or owned: what others made, of whom only the end is judged."""
    signer: str = ""
    """The authority that must have signed it; of a copy of an authority, the original."""
    service: str | None = None
    """For `certificate rotate --service`."""
    names: str = ""
    """Names that it must carry: of this `server` (tls-san too) or `node`, or only of the `loopback`."""
    optional: bool = False
    """A node may do without it."""
    serves: bool = False
    """Older versions let the component sign it by itself."""

    @property
    def anew(self) -> bool:
        """Whether every start of the unit writes it anew, whatever it was."""
        return self.path.startswith(("agent/", "/etc/")) or self.path.endswith(".nochain.crt")


@functools.cache
def files(distro: str) -> tuple[File, ...]:
    """All that a server has; an agent has those below agent/."""
    client, server, etcd = f"{TLS}client-ca.crt", f"{TLS}server-ca.crt", f"{TLS}etcd/server-ca.crt"
    cloud, controller, program = f"{distro}-cloud-controller", f"{distro}-controller", f"{distro}-server"
    # leaf below server/tls, service, kubeconfig in server/cred
    clients = (
        ("client-admin", "admin", "admin"),
        ("client-supervisor", "supervisor", "supervisor"),
        ("client-controller", "controller-manager", "controller"),
        ("client-scheduler", "scheduler", "scheduler"),
        ("client-kube-apiserver", "api-server", "api-server"),
        (f"client-{cloud}", "cloud-controller", "cloud-controller"),
    )
    agents = (
        ("client-kubelet", "kubelet", "kubelet"),
        ("client-kube-proxy", "kube-proxy", "kubeproxy"),
        (f"client-{controller}", controller, f"{distro}controller"),
    )
    return (
        *(File(path, "ca") for path in AUTHORITIES),
        *(File(path.replace(".crt", ".nochain.crt"), "ca", path) for path in AUTHORITIES[:2]),
        *(File(path.replace(".crt", ".key"), "key", path) for path in AUTHORITIES),
        *(File(path, "key") for path in SHARED),
        *(File(path, "key", optional=True) for path in ENCRYPTION),
        File(f"{TLS}etcd/client.crt", "leaf", etcd, "etcd"),
        File(f"{TLS}etcd/server-client.crt", "leaf", etcd, "etcd", "server", optional=True),
        File(f"{TLS}etcd/peer-server-client.crt", "leaf", f"{TLS}etcd/peer-ca.crt", "etcd", "server"),
        *(File(f"{TLS}{name}.crt", "leaf", client, service) for name, service, _config in clients),
        File(f"{TLS}serving-kube-apiserver.crt", "leaf", server, "api-server", "server"),
        *(
            File(f"{TLS}{name}/{name}.crt", "leaf", server, service, "loopback", optional=True, serves=True)
            for name, service in (("kube-controller-manager", "controller-manager"), ("kube-scheduler", "scheduler"))
        ),
        File(f"{TLS}client-auth-proxy.crt", "leaf", f"{TLS}request-header-ca.crt", "auth-proxy"),
        File(DYNAMIC, "leaf", server, program),
        File(f"{SECRET}{distro}-serving", "leaf", server, program, optional=True),
        *(
            File(f"server/cred/{config}.kubeconfig", "kubeconfig", f"{TLS}{name}.crt", service)
            for name, service, config in clients
        ),
        File(f"/etc/rancher/{distro}/{distro}.yaml", "kubeconfig", client, "admin", optional=True),
        *(File(f"agent/{name}-ca.crt", "ca", f"{TLS}{name}-ca.crt") for name in ("client", "server")),
        *(File(f"agent/{name}.crt", "leaf", client, service) for name, service, _config in agents),
        File("agent/serving-kubelet.crt", "leaf", server, "kubelet", "node"),
        *(
            File(f"agent/{config}.kubeconfig", "kubeconfig", f"agent/{name}.crt", service)
            for name, service, config in agents
        ),
    )


_SINCE = {30: 13, 31: 9, 32: 5, 33: 1}
"""From these patch releases on, and since 1.34."""


def renewal_days(version: str) -> int:
    """A start renews a leaf that ends within so many days."""
    return 120 if _may_2025(version) else 90


def signs_components(version: str) -> bool:
    """Whether the serving certificates of kube-scheduler and kube-controller-manager are signed by the cluster."""
    return _may_2025(version)


def _may_2025(version: str) -> bool:
    major, minor, patch = _versions.numbers(version)
    return (major, minor) >= (1, 34) or (major == 1 and patch >= _SINCE.get(minor, 1 << 30))
