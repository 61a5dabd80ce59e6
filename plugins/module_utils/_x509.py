# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Certificates and kubeconfigs as text, read without ever raising: what cannot be read is not in the result.

The authorities that K3s and RKE2 make have serial number 0. `cryptography` warns about that today and will refuse them
one day: they are then read with another number in its place, which changes no other field and no public key.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import typing as t
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
_VERSION_3_SERIAL = bytes.fromhex("a0030201020201")
"""DER of version 3 and of a serial number of one byte, which follows."""
_REFUSED = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension)


@dataclass(frozen=True)
class Certificate:
    """What decisions need of one certificate."""

    subject: str
    issuer: str
    names: frozenset[str]
    """DNS names and addresses under which it serves."""
    starts: int
    """Unix seconds, as the end."""
    ends: int
    skid: str
    """Identifiers of its own key and of its issuer's, in hex; empty where it has none."""
    akid: str
    key_id: str
    """sha256 of its public key (DER, SubjectPublicKeyInfo)."""
    sha256: str
    """Of the whole certificate (DER)."""
    authority: bool
    """Whether it may sign others."""
    _loaded: x509.Certificate

    @property
    def name(self) -> x509.Name:
        """Its subject, encoded as it stands there."""
        return self._loaded.subject

    def signed_by(self, authority: Certificate) -> bool:
        """Issuer, key identifier and signature."""
        if self.akid and authority.skid and self.akid != authority.skid:
            return False
        try:
            self._loaded.verify_directly_issued_by(authority._loaded)
        except _REFUSED:
            return False
        return True


@functools.lru_cache(maxsize=4096)  # the same authorities lie on every node
def certificates(text: str) -> tuple[Certificate, ...]:
    """All certificates of a PEM text that can be read, in its order."""
    found = (_certificate(match[1]) for match in _PEM.finditer(text))
    return tuple(certificate for certificate in found if certificate)


def first(text: str | None) -> Certificate | None:
    """The certificate itself; behind it stand those of its issuers."""
    return next(iter(certificates(text or "")), None)


def root(chain: t.Sequence[Certificate]) -> Certificate | None:
    """The root among these that the first of them leads to, the nearest one; None where none does."""
    edge, rest = list(chain[:1]), list(chain[1:])
    while edge:
        for found in (*edge, *rest):
            if found.signed_by(found) and any(below.signed_by(found) for below in edge):
                return found
        edge = [above for above in rest if any(below.signed_by(above) for below in edge)]
        rest = [other for other in rest if other not in edge]
    return None


def pin(pem: bytes) -> str:
    """The hash of server-ca.crt in a full token: of the file, or of its root (DER) where it holds a chain."""
    chain = certificates(pem.decode("ascii", "replace"))
    found = root(chain) if len(chain) > 1 else None
    return found.sha256 if found else hashlib.sha256(pem).hexdigest()


def key_id(key: PublicKeyTypes) -> str:
    """sha256 of a public key (DER, SubjectPublicKeyInfo)."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _certificate(body: str) -> Certificate | None:
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = _load(der)
            names = _extension(loaded, x509.SubjectAlternativeName)
            own, issuer = _extension(loaded, x509.SubjectKeyIdentifier), _extension(loaded, x509.AuthorityKeyIdentifier)
            basic = _extension(loaded, x509.BasicConstraints)
            return Certificate(
                subject=loaded.subject.rfc4514_string(),
                issuer=loaded.issuer.rfc4514_string(),
                names=frozenset(str(name.value) for name in names or ()),
                starts=int(loaded.not_valid_before_utc.timestamp()),
                ends=int(loaded.not_valid_after_utc.timestamp()),
                skid=own.digest.hex() if own else "",
                akid=(issuer.key_identifier or b"").hex() if issuer else "",
                key_id=key_id(loaded.public_key()),
                sha256=hashlib.sha256(der).hexdigest(),
                authority=bool(basic and basic.ca),
                _loaded=loaded,
            )
    except _REFUSED:
        return None


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        zero, one = _VERSION_3_SERIAL + b"\0", _VERSION_3_SERIAL + b"\1"
        if zero not in der[:24]:
            raise
        return x509.load_der_x509_certificate(der.replace(zero, one, 1))


_Extension = t.TypeVar("_Extension", bound=x509.ExtensionType)


def _extension(loaded: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return loaded.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


@dataclass(frozen=True)
class Kubeconfig:
    """Whom a kubeconfig trusts and who it is: files that it names, or PEM in it; empty where it says nothing."""

    server: str
    authority_file: str
    authority: str
    """PEM."""
    client_file: str
    client: str
    """PEM."""


def kubeconfig(text: str) -> Kubeconfig:
    """Of the lines of one that RKE2 or K3s wrote, as sh/tls.sh gives them: one cluster, one user, no secrets."""
    said = {key: value.strip("\"'") for key, value in re.findall(r"(?m)^[\s-]*([a-z-]+):[ \t]+(\S+)[ \t]*$", text)}
    return Kubeconfig(
        server=said.get("server", ""),
        authority_file=said.get("certificate-authority", ""),
        authority=_decoded(said.get("certificate-authority-data", "")),
        client_file=said.get("client-certificate", ""),
        client=_decoded(said.get("client-certificate-data", "")),
    )


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("ascii", "replace")
    except ValueError:
        return ""
