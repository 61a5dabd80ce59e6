# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates of the kinds that K3s and RKE2 make."""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAF_LIFE = datetime.timedelta(days=365)
CA_LIFE = datetime.timedelta(days=3650)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
BOTH = (*SERVER, *CLIENT)

_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


@dataclass(frozen=True)
class Issuer:
    """A certificate authority on disk, loaded."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    pem: bytes


def utcnow() -> datetime.datetime:
    """Now, as certificates write it: UTC without a zone, whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def load_cert(pem: bytes) -> x509.Certificate:
    """First certificate of a PEM text."""
    with warnings.catch_warnings():
        # the authorities that K3s and RKE2 make have serial number 0
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificate(pem)


def load_certs(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificates(pem)


def root_of(cert: x509.Certificate, roots: Sequence[x509.Certificate],
            others: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The root that a certificate leads to, also over cross-signed ones among the others."""
    between = [other for other in others if not signed_by(other, other)]
    edge = [cert]
    while edge:
        for root in roots:
            if any(signed_by(below, root) for below in edge):
                return root
        edge = [other for other in between if any(signed_by(below, other) for below in edge)]
        between = [other for other in between if other not in edge]
    return None


def first(pem: bytes) -> bytes:
    """The first certificate of a bundle."""
    end = b"-----END CERTIFICATE-----\n"
    return pem.partition(end)[0] + end


def signed_by(cert: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority's key has signed a certificate."""
    try:
        cert.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a file with its mode, its directory made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def new_key() -> ec.EllipticCurvePrivateKey:
    """An EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def ec_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SEC1 PEM, as Go writes it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption())


def private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The first key of a PEM text."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def ensure_key(path: Path, mode: int = 0o600) -> ec.EllipticCurvePrivateKey:
    """The EC P-256 key of a file, made when missing."""
    if path.exists():
        return private_key(path.read_bytes())
    key = new_key()
    write(path, ec_key_pem(key), mode)
    return key


def new_rsa_key() -> bytes:
    """An RSA 2048 key in PKCS#1 PEM (service account signing key)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption())


def usage(builder: x509.CertificateBuilder, sign: bool) -> x509.CertificateBuilder:
    """Key usage of an authority (`sign`) or of a leaf."""
    return builder.add_extension(x509.KeyUsage(
        digital_signature=True, key_encipherment=True, key_cert_sign=sign, content_commitment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False,
        decipher_only=False), critical=True)


def ensure_ca(cert_path: Path, key_path: Path, name: str, now: datetime.datetime) -> str:
    """Make an authority `<name>@<unix time>` unless both files are there; the line to log when it was made."""
    if cert_path.exists() and key_path.exists():
        return ""
    key_path.unlink(missing_ok=True)
    key = ensure_key(key_path)
    own = subject(f"{name}@{int(now.timestamp())}")
    builder = (x509.CertificateBuilder().subject_name(own).issuer_name(own).serial_number(1)
               .public_key(key.public_key()).not_valid_before(now).not_valid_after(now + CA_LIFE))
    builder = usage(builder, sign=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    write(cert_path, _with_serial_zero(builder.sign(key, hashes.SHA256()), key), 0o644)
    return (f"generated self-signed CA certificate {show(own)}: notBefore={now:%Y-%m-%d %H:%M:%S} +0000 UTC "
            f"notAfter={now + CA_LIFE:%Y-%m-%d %H:%M:%S} +0000 UTC")


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _with_serial_zero(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The certificate signed again with serial number 0, which the builder refuses but the real programs use."""
    tbs = cert.tbs_certificate_bytes.replace(bytes.fromhex("a003020102020101"), bytes.fromhex("a003020102020100"), 1)
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    bits = b"\x03" + _length(len(signature) + 1) + b"\x00" + signature
    body = tbs + _ECDSA_SHA256 + bits
    der = b"\x30" + _length(len(body)) + body
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def load_issuer(cert_path: Path, key_path: Path) -> Issuer:
    """An authority from its files."""
    pem = cert_path.read_bytes()
    return Issuer(load_cert(pem), ensure_key(key_path), pem)


def alt_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """DNS names and addresses as SAN entries."""
    result: list[x509.GeneralName] = []
    for name in names:
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def subject(name: str, organization: str = "") -> x509.Name:
    """O before CN, the order in which Go writes them."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def sha1(cert: x509.Certificate) -> str:
    """SHA-1 fingerprint in upper case hex."""
    return cert.fingerprint(hashes.SHA1()).hex().upper()


def show(name: x509.Name) -> str:
    """A subject as the log prints it: CN first."""
    common = [f"CN={a.value!s}" for a in name if a.oid == NameOID.COMMON_NAME]
    other = [f"O={a.value!s}" for a in name if a.oid == NameOID.ORGANIZATION_NAME]
    return ",".join(common + other)


def issue(issuer: Issuer, name: x509.Name, usages: Iterable[x509.ObjectIdentifier], names: Iterable[str],
          public_key: ec.EllipticCurvePublicKey) -> tuple[x509.Certificate, bytes, str]:
    """A leaf, its PEM chain with the authority, and the line that the log gets."""
    start, end = issuer.cert.not_valid_before_utc, utcnow() + LEAF_LIFE
    builder = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer.cert.subject)
               .serial_number(secrets.randbits(62) | 1).public_key(public_key)
               .not_valid_before(start).not_valid_after(end))
    builder = usage(builder, sign=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(key_id(issuer.cert), None, None), critical=False)
    sans = alt_names(names)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    cert = builder.sign(issuer.key, hashes.SHA256())
    text = (f"certificate {show(name)} signed by {show(issuer.cert.subject)}: "
            f"notBefore={start:%Y-%m-%d %H:%M:%S} +0000 UTC notAfter={end:%Y-%m-%d %H:%M:%S} +0000 UTC")
    return cert, cert.public_bytes(serialization.Encoding.PEM) + issuer.pem, text


def key_id(cert: x509.Certificate) -> bytes:
    """Subject key identifier of an authority."""
    return cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def stale(pem: bytes, issuer: Issuer | None, name: x509.Name, names: Iterable[str],
          now: datetime.datetime, window: datetime.timedelta) -> tuple[bool, str]:
    """Whether a leaf has to be issued again, and the line to log when it ends within `window`.

    Without an issuer, it may be anybody's.
    """
    cert = load_cert(pem)
    left = cert.not_valid_after_utc - now
    if left < window:
        return True, (f"certificate {show(cert.subject)} will expire in {left.total_seconds() / 86400:f} days at "
                      f"{cert.not_valid_after_utc:%Y-%m-%d %H:%M:%S} +0000 UTC")
    authority = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    if issuer and (authority != key_id(issuer.cert) or not signed_by(cert, issuer.cert)):
        return True, ""
    if cert.subject != name:
        return True, ""
    wanted = set(alt_names(names))
    try:
        have = set(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        have = set()
    return not wanted <= have, ""
