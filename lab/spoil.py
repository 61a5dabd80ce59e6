# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spoil certificates, keys and passwords of lab hosts.

Files are changed past the host, on or off; a program that runs sees them when it reads them, the cluster's unit at its
next start.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lab.faults import data
from lab.forge import authorities, leaves, reissue
from lab.labs import Lab
from lab.progress import LabError, say
from lab.supervisor import pki
from lab.supervisor.distro import VERSION_FILE

CAS = ("client-ca", "server-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca")


def _change(lab: Lab, host: str, paths: tuple[str, ...], days: float, names: tuple[str, ...] | None) -> None:
    with data(lab, lab.servers[0]) as first, data(lab, host) as own:
        signers = authorities(own / lab.spec.distro) or authorities(first / lab.spec.distro)
        chosen = [own / lab.spec.distro / path for path in paths] or leaves(own / lab.spec.distro)
        if not chosen:
            raise LabError(f"{host}: there are no certificates below {lab.data_dir}")
        for path in chosen:
            reissue(path, signers, timedelta(days=days), names)


def expire_certs(lab: Lab, host: str, *paths: str, days: float = -35) -> None:
    """Issue leaf certificates again that expired 35 days ago: those named below the data directory, else all.

    Key, subject, names and authority stay. `days` is what is left of them: 30 makes them expire soon.
    """
    _change(lab, host, paths, days, None)
    say(f"{host}: {' '.join(paths) or 'all leaf certificates'} {'ended' if days < 0 else 'will end'} "
        f"{abs(days):g} days {'ago' if days < 0 else 'from now'}")


def expire_secret(lab: Lab, host: str, days: float = -35) -> None:
    """Write the Secret <program>-serving of kube-system, whose certificate ended 35 days ago.

    The real programs keep it like `dynamic-cert.json`; the stand-in neither reads nor writes it.
    """
    with data(lab, host) as own, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret.json"
        shutil.copy(own / lab.spec.distro / "server/tls/dynamic-cert.json", path)
        reissue(path, authorities(own / lab.spec.distro), timedelta(days=float(days)))
        secret = json.loads(path.read_text())
    secret["metadata"] |= {"name": f"{lab.spec.distro}-serving", "namespace": "kube-system"}
    lab.kubectl(host, "apply", "-f", "-", stdin=json.dumps(secret)).ok(f"Secret by {host}")
    say(f"{host}: the Secret {lab.spec.distro}-serving ended {-float(days):g} days ago")


def wrong_names(lab: Lab, host: str, path: str = "server/tls/serving-kube-apiserver.crt") -> None:
    """Issue a certificate again for the names of another host."""
    _change(lab, host, (path,), 365, ("other.example.org", "192.0.2.1"))
    say(f"{host}: {path} is for another host's names")


def wrong_key(lab: Lab, host: str, path: str = "server/tls/client-admin.key") -> None:
    """Put another key beside a certificate."""
    with data(lab, host) as own:
        pki.write(own / lab.spec.distro / path, pki.ec_key_pem(pki.new_key()), 0o600)
    say(f"{host}: {path} is another key")


def drift_ca(lab: Lab, host: str, *names: str, age: float = 0) -> None:
    """Replace a server's authorities (default all; server-ca, etcd/peer-ca, ...) by new ones that nobody knows.

    With their time of now the next start refuses them (`newer than datastore`); files `age` seconds old it overwrites.
    """
    with data(lab, host) as own:
        for name in names or CAS:
            cert, key = (own / lab.spec.distro / "server/tls" / f"{name}.{suffix}" for suffix in ("crt", "key"))
            cert.unlink()
            pki.ensure_ca(cert, key, f"{lab.spec.distro}-{Path(name).name}", pki.utcnow())
            for path in (cert, key):
                os.utime(path, (time.time() - age,) * 2)
    say(f"{host}: {' '.join(names) or 'all authorities'} drifted")


def lose_file(lab: Lab, host: str, path: str = "server/tls/service.key") -> None:
    """Remove a file below the data directory."""
    with data(lab, host) as own:
        (own / lab.spec.distro / path).unlink()
    say(f"{host}: {path} is lost")


def empty_tls(lab: Lab, host: str) -> None:
    """Empty server/tls, as a well-meant runbook does."""
    with data(lab, host) as own:
        tls = own / lab.spec.distro / "server/tls"
        for path in tls.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    say(f"{host}: server/tls is empty")


def wrong_node_password(lab: Lab, host: str) -> None:
    """Replace the node's password; counts from the unit's next start."""
    lab.sh(host, "umask 077; cat > /etc/rancher/node/password", stdin=secrets.token_hex(16) + "\n").ok("password")
    say(f"{host}: has another node password")


def old_version(lab: Lab, host: str, version: str = "") -> None:
    """Have the stand-in play another version (default v1.28.12) from the next start on."""
    version = version or f"v1.28.12+{'rke2r1' if lab.spec.supervisor.static_pods else 'k3s1'}"
    lab.sh(host, f"cat > {VERSION_FILE}", stdin=f"{version}\n").ok("version")
    say(f"{host}: plays {version}")


SPOILERS: dict[str, Callable[..., None]] = {function.__name__: function for function in (
    expire_certs, expire_secret, wrong_names, wrong_key, drift_ca, lose_file, empty_tls, wrong_node_password,
    old_version)}
"""By name, for the command line."""
