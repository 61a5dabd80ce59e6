# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Successors of CAs that end soon, with which nobody is cut off.

A file holds what K3s' rotate-default-ca-certs.sh makes: the CA that signs leaves, its new root as the old one signs it,
the same root by itself, the old one. Who trusts only the old root accepts new leaves by the second; who has the new
file accepts old leaves by the fourth. Upstream has the second behind the third, where OpenSSL does not find it; Go
tries every way. The key file holds the keys of CA and root, so that the root can sign its successor.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from . import _clocks, _tls, _tls_files, _x509
from ._errors import RequorumError

JSON = t.Mapping[str, t.Any]
DAYS, LIFE = _tls.CA_DAYS, 7300
"""A CA that ends within so many days gets a successor, which lasts so many (as upstream's)."""
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.S)
Signer = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Successor:
    """A CA that will be made, and the one that it follows."""

    path: str
    """Of both certificates, below the data directory."""
    sha256: str
    """Of the old file."""
    old: str
    """Subject of the old CA, and when it ends (Unix seconds)."""
    ends: int
    signer: str
    """Subject of the old root, which signs the new one."""
    name: str
    """Common names of the new CA and of its root."""
    root: str
    starts: int
    until: int

    @property
    def key_path(self) -> str:
        return self.path.replace(".crt", ".key")

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"{self.path}: {self.old} ends {_day(self.ends)}. After it: CN={self.name}, {_day(self.starts)} to "
            f"{_day(self.until)}, below CN={self.root}, which {self.signer} signs too."
        )


def due(known: JSON, *, now: float, days: int, distro: str) -> t.Iterator[Successor]:
    """What the CAs of the datastore that end within so many days get. known: of `_bootstrap.authorities`."""
    for path in _tls_files.AUTHORITIES:
        file = known.get(path) or {}
        chain = _x509.certificates(str(file.get("text") or ""))
        root = _x509.root(chain)
        ends = min((found.ends for found in (*chain[:1], root) if found), default=None)
        if ends is None or ends - now >= days * _tls.DAY:
            continue
        kind = f"{distro}-{path.removeprefix(_tls_files.TLS).removesuffix('-ca.crt').replace('/', '-')}"
        yield Successor(
            path=path,
            sha256=str(file["sha256"]),
            old=chain[0].subject,
            ends=ends,
            signer=root.subject if root else "",
            name=f"{kind}-ca@{int(now)}",
            root=f"{kind}-root@{int(now)}",
            starts=int(now) - _clocks.SKEW_S,
            until=int(now) + LIFE * _tls.DAY,
        )


def issue(made: Successor, crt: bytes, key: bytes) -> tuple[bytes, bytes]:
    """Content of the new certificate and key file. crt, key: of the old ones; RequorumError where they cannot sign."""
    old = _x509.root(_x509.certificates(crt.decode("ascii", "replace")))
    signer = _key_of(old, key) if old else None
    if old is None or signer is None:
        raise RequorumError(
            f"{made.path}: the cluster does not hold the key of its root {made.signer}.",
            "Nothing was changed. Make its successor with the PKI that made this CA, then `certificate rotate-ca`.",
        )
    root_key, ca_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, ca = _name(made.root), _name(made.name)
    own = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()).digest
    certs = (
        _sign(made, ca, ca_key, root, own, root_key),
        _sign(made, root, root_key, old.name, bytes.fromhex(old.skid), signer),
        _sign(made, root, root_key, root, own, root_key),
    )
    new = b"".join(cert.public_bytes(serialization.Encoding.PEM) for cert in certs)
    return new + _block_of(old, crt), _pem(ca_key) + _pem(root_key)


def _sign(
    made: Successor,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_id: bytes,
    signer: Signer,
) -> x509.Certificate:
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(made.starts, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(made.until, datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_encipherment=True, key_cert_sign=True, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer_id:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(issuer_id, None, None), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _key_of(old: _x509.Certificate, keys: bytes) -> Signer | None:
    for block in _BLOCK.finditer(keys):
        try:
            key = serialization.load_pem_private_key(block[0], None)
        except (ValueError, TypeError):  # parameters of a curve stand before some keys
            continue
        if isinstance(key, Signer) and _x509.key_id(key.public_key()) == old.key_id:
            return key
    return None


def _block_of(old: _x509.Certificate, crt: bytes) -> bytes:
    """Its PEM as it stands in the file: it is not written anew."""
    blocks = (block[0].rstrip() + b"\n" for block in _BLOCK.finditer(crt))
    return next(pem for pem in blocks if _x509.certificates(pem.decode())[0].sha256 == old.sha256)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _day(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d")
