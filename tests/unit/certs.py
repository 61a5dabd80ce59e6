# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole sets of certificates as a node has them: right ones, and any of them made wrong."""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.requorum.cluster.plugins.module_utils import _tls_files
from ansible_collections.requorum.cluster.plugins.module_utils._tls_files import File

NOW = 1_795_551_000
DAY = 86_400
DATA = {"rke2": "/var/lib/rancher/rke2", "k3s": "/var/lib/rancher/k3s"}
SERVICE_IP = "10.43.0.1"
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """A certificate that signs others, and its key."""

    cert: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.cert.public_bytes(serialization.Encoding.PEM)


Authorities = Mapping[str, Authority]


def make(
    name: str, key: Key, *, signer: Authority | None = None, names: tuple[str, ...] = (), starts: int, ends: int
) -> x509.Certificate:
    """A leaf, or without a signer an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = signer.key.public_key() if signer else key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.cert.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"))
        .not_valid_before(datetime.datetime.fromtimestamp(starts, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(ends, datetime.UTC))
    )
    if signer:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
    else:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(authority), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
    return builder.sign(signer.key if signer else key, hashes.SHA256())


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@functools.cache
def authorities(which: str = "ours", *, starts: int = -30, ends: int = 3620) -> Authorities:
    """Of a cluster by its name; days from NOW. Authorities of another cluster have the same subjects and other keys."""
    made = {}
    for path in _tls_files.AUTHORITIES:
        key = ec.generate_private_key(ec.SECP256R1())
        name = f"rke2-{Path(path).stem}@{NOW}"
        made[path] = Authority(make(name, key, starts=NOW + starts * DAY, ends=NOW + ends * DAY), key)
    return made


def private(key: Key) -> bytes:
    """As Go writes it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def key_id(key: Key) -> str:
    """sha256 of the public half."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def shared(cas: Authorities, which: str = "ours") -> dict[str, bytes]:
    """What every server of a cluster has in common: the content of its bootstrap data, by path."""
    found = {path: authority.pem for path, authority in cas.items()}
    found |= {path.replace(".crt", ".key"): private(authority.key) for path, authority in cas.items()}
    return found | {path: f"{which} {path}\n".encode() for path in _tls_files.SHARED}


def bootstrap(cas: Authorities, which: str = "ours") -> dict[str, dict[str, str | None]]:
    """The same as `_bootstrap.authorities` gives it."""
    return {
        path: {
            "sha256": hashlib.sha256(content).hexdigest(),
            "text": content.decode() if path.endswith(".crt") else None,
        }
        for path, content in shared(cas, which).items()
    }


_MADE: dict[tuple[object, ...], tuple[dict[str, bytes], dict[str, Key], Authorities]] = {}
"""Right sets, made once; with the authorities, so that their identity lasts."""


@dataclass
class Node:
    """A node and all its files: a right set, of which a test then makes some wrong."""

    name: str = "r1"
    cas: Authorities = field(default_factory=authorities)
    distro: str = "rke2"
    version: str = "v1.34.3+rke2r1"
    address: str = "10.0.0.1"
    server: bool = True
    ends: int = 365
    """Days from NOW in which its leaves end."""

    def __post_init__(self) -> None:
        wanted = [file for file in _tls_files.files(self.distro) if self.server or file.path.startswith("agent/")]
        self.table = {file.path: file for file in wanted}
        what = (self.name, id(self.cas), self.distro, self.address, self.server, self.ends)
        if what not in _MADE:
            self.files: dict[str, bytes] = {}
            self.keys: dict[str, Key] = {}
            self._make()
            _MADE[what] = self.files, self.keys, self.cas
        self.files, self.keys = dict(_MADE[what][0]), dict(_MADE[what][1])

    def _make(self) -> None:
        if self.server:
            self.files |= shared(self.cas)
            self.keys |= {path: authority.key for path, authority in self.cas.items()}
        for file in self.table.values():
            if file.kind == "ca" and file.signer:
                self.files[file.path] = self.cas[file.signer].pem
            elif file.kind == "leaf":
                self.issue(file.path)
        for file in self.table.values():
            if file.kind == "kubeconfig":
                self.files[file.path] = self.kubeconfig(file)

    def names(self, file: File) -> tuple[str, ...]:
        mine = (self.name, self.address, SERVICE_IP) if file.names in ("node", "server") else ()
        return (*mine, "localhost", "127.0.0.1") if file.names else ()

    def issue(
        self,
        path: str,
        *,
        cas: Authorities | None = None,
        starts: int = -30,
        ends: int | None = None,
        names: tuple[str, ...] | None = None,
    ) -> None:
        """Make a leaf and its key; days from NOW."""
        file, key = self.table[path], ec.generate_private_key(ec.SECP256R1())
        signer = (cas or self.cas)[file.signer]
        cert = make(
            Path(path).stem,
            key,
            signer=signer,
            names=self.names(file) if names is None else names,
            starts=NOW + starts * DAY,
            ends=NOW + (self.ends if ends is None else ends) * DAY,
        )
        chain = cert.public_bytes(serialization.Encoding.PEM) + signer.pem
        self.files[path], self.keys[path] = chain, key

    def kubeconfig(self, file: File) -> bytes:
        data = DATA[self.distro]
        if file.path.startswith("/"):
            admin = f"{_tls_files.TLS}client-admin.crt"
            ca, client = self.cas[f"{_tls_files.TLS}server-ca.crt"].pem, self.files[admin]
            said = (
                f"    certificate-authority-data: {base64.b64encode(ca).decode()}\n"
                "    server: https://127.0.0.1:6443\nusers:\n- name: default\n  user:\n"
                f"    client-certificate-data: {base64.b64encode(client).decode()}\n"
                f"    client-key-data: {base64.b64encode(private(self.keys[admin])).decode()}\n"
            )
        else:
            said = (
                f"    server: https://127.0.0.1:6443\n    certificate-authority: {data}/server/tls/server-ca.crt\n"
                f"users:\n- name: user\n  user:\n    client-certificate: {data}/{file.signer}\n"
            )
        return f"apiVersion: v1\nclusters:\n- cluster:\n{said}".encode()

    def document(self, *, keys: bool = True, **other: Any) -> dict[str, Any]:
        """As tls_info returns it. keys: whether their public halves are known."""
        rows = [
            {
                "path": path,
                "sha256": hashlib.sha256(content).hexdigest(),
                "key_id": key_id(self.keys[path]) if keys and path in self.keys and path.endswith(".crt") else None,
                "text": content.decode("ascii", "replace") if not path.endswith(".key") else "",
            }
            for path, content in self.files.items()
        ]
        return {
            "name": self.name, "error": None, "distro": self.distro, "version": self.version,
            "data_dir": DATA[self.distro], "server": self.server, "clock_skew": 0.1, "files": rows,
            "names": {"node_name": self.name, "address": self.address}, "bootstrap": None, "bootstrap_unread": "",
        } | other  # fmt: skip

    def write(self, root: Path) -> None:
        """Lay the files down below a data directory, keys included, as the programs write them."""
        for path, content in self.files.items():
            if path.startswith(("/", "secret/")):
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if path.endswith("dynamic-cert.json"):
                pair = {"tls.crt": content, "tls.key": private(self.keys[path])}
                data = {name: base64.b64encode(part).decode() for name, part in pair.items()}
                content = json.dumps({"kind": "Secret", "data": data}, separators=(",", ":")).encode()
            elif path in self.keys:
                (root / path.replace(".crt", ".key")).write_bytes(private(self.keys[path]))
            (root / path).write_bytes(content)
