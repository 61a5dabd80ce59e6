# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Cluster tokens and the bootstrap data that they open: what all servers have in common, in a key of etcd.

Only hashes, subjects, dates and names ever leave this module. Formats, alike in K3s and RKE2: facts/rke2.md 5.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t
from dataclasses import dataclass

from ._bbolt import BadFile

AUTHORITIES = {
    "ClientCA": "client-ca.crt",
    "ETCDPeerCA": "etcd/peer-ca.crt",
    "ETCDServerCA": "etcd/server-ca.crt",
    "RequestHeaderCA": "request-header-ca.crt",
    "ServerCA": "server-ca.crt",
}
"""Names in the bootstrap data and below server/tls."""
FILES = {
    **{
        f"{key}{suffix}": f"server/tls/{path.removesuffix('.crt')}.{ending}"
        for key, path in AUTHORITIES.items()
        for suffix, ending in (("", "crt"), ("Key", "key"))
    },
    "ServiceKey": "server/tls/service.key",
    "PasswdFile": "server/cred/passwd",
    "IPSECKey": "server/cred/ipsec.psk",
    "EncryptionConfig": "server/cred/encryption-config.json",
    "EncryptionHash": "server/cred/encryption-state.json",
}
"""Names in the bootstrap data, and where these files lie below the data directory of every server."""
NONCE, TAG = 12, 16
_ENCRYPTED = re.compile(rb"k8s:enc:aescbc:v1:([^:]*):")
_SEALED = re.compile(rb"([0-9a-f]{16}):([A-Za-z0-9+/]+={0,2})")
_STAGE_AND_HASH = re.compile(r"[a-z_]{1,32}-[0-9a-f]{64}")


@dataclass(frozen=True)
class Authority:
    """A CA certificate of the cluster, as it lies on a server's disk."""

    path: str
    """Below server/tls."""
    sha256: str
    """Of the file."""
    subject: str | None
    """Null, as is the end, where the certificate cannot be read."""
    ends: int | None
    """Unix seconds."""


@dataclass(frozen=True)
class Bootstrap:
    """What bootstrap data say without giving a secret away; what they do not hold is empty."""

    authorities: tuple[Authority, ...]
    service_key_sha256: str
    """Of service.key, which signs the tokens of service accounts."""
    encryption_providers: tuple[str, ...]
    """In the order in which the API server tries them: the first one encrypts."""
    encryption_hash: str
    """Stage of the rotation of encryption keys and sha256 of encryption-config.json."""


def password(token: str) -> str:
    """The password part of `K10<CA hash>::<user>:<password>`; a short token is the password itself."""
    token = token.strip()
    if token.startswith("K10") and "::" in token:
        token = token.split("::", 1)[1]
        return token.split(":", 1)[1] if ":" in token else token
    return token


def name(token: str) -> str:
    """Name of the bootstrap key that this token opens: first 12 hex digits of sha256(password)."""
    return hashlib.sha256(_secret(token)).hexdigest()[:12]


def about(token: str) -> dict[str, str]:
    """What may be told of a token: hash, form, and the hash of the CA in it."""
    full = token.startswith("K10") and "::" in token
    authority = token[3:].split("::", 1)[0] if full else ""
    return {"key": name(token), "form": "full" if full else "short", "authority": authority}


def opens(key: str, token: str) -> bool:
    """Whether this token opens the bootstrap key of that name (with or without /bootstrap/), without decrypting."""
    return key.removeprefix("/bootstrap/") == name(token)


def advice(keys: t.Collection[str]) -> str | None:
    """What is to be done about the bootstrap keys of a datastore; None when they are as they should be."""
    if not keys:
        return "There is no bootstrap key: no server can start from this datastore, whatever its token."
    if len(keys) > 1:
        return (
            f"{len(keys)} bootstrap keys ({', '.join(sorted(keys))}): a token rotation did not end. A server starts "
            "with the token of any of them, so keep the old and the new one. Once the cluster runs, repeat "
            "`token rotate --token OLD --new-token NEW` on a server whose server/token is still the old one: it "
            "removes the old key."
        )
    return None


def decrypt(value: bytes, token: str) -> Bootstrap:
    """Read the value of a bootstrap key; BadFile when the token does not open it or it is damaged."""
    files = _files(_opened(value, token))
    return Bootstrap(
        authorities=tuple(_authority(path, files[key]) for key, path in AUTHORITIES.items() if files.get(key)),
        service_key_sha256=hashlib.sha256(files["ServiceKey"]).hexdigest() if files.get("ServiceKey") else "",
        encryption_providers=_providers(files.get("EncryptionConfig", b"")),
        encryption_hash=_stage_and_hash(files.get("EncryptionHash", b"")),
    )


def authorities(value: bytes, token: str) -> dict[str, dict[str, str | None]]:
    """Path below the data directory -> sha256, and PEM text of certificates: what a server's files are measured by."""
    found = {FILES[key]: content for key, content in _files(_opened(value, token)).items() if key in FILES and content}
    return {
        path: {
            "sha256": hashlib.sha256(content).hexdigest(),
            "text": content.decode("ascii", "replace") if path.endswith(".crt") else None,
        }
        for path, content in sorted(found.items())
    }


def unsealer(value: bytes, token: str) -> t.Callable[[bytes], bytes]:
    """A function that decrypts what is encrypted at rest with aescbc; BadFile where it cannot. Its keys stay in it."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    keys = _aescbc(_files(_opened(value, token)).get("EncryptionConfig", b""))

    def unseal(sealed: bytes) -> bytes:
        found = _ENCRYPTED.match(sealed)
        if not found:
            raise BadFile("it is encrypted by another provider than aescbc")
        key, rest = keys.get(found[1].decode("utf-8", "replace")), sealed[found.end() :]
        if key is None:
            raise BadFile(f"its key {found[1].decode('utf-8', 'replace')} is not in the bootstrap data")
        if len(rest) < 32 or len(rest) % 16:
            raise BadFile("it is cut off")
        cipher = Cipher(algorithms.AES(key), modes.CBC(rest[:16])).decryptor()
        plain = cipher.update(rest[16:]) + cipher.finalize()
        padding = plain[-1]
        if not 1 <= padding <= 16 or plain[-padding:] != bytes([padding]) * padding:
            raise BadFile("its key does not open it")
        return plain[:-padding]

    return unseal


def _aescbc(config: bytes) -> dict[str, bytes]:
    """Keys by name. Errors name no content, and have no cause that would."""
    try:
        resources = json.loads(config)["resources"] if config else []
        settings = [p["aescbc"] for resource in resources for p in resource["providers"] if "aescbc" in p]
        return {key["name"]: base64.b64decode(key["secret"]) for entry in settings for key in entry["keys"]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise BadFile("the encryption configuration in the bootstrap data cannot be read")


def _secret(token: str) -> bytes:
    # Arguments and environment give bytes that are no UTF-8 as surrogates.
    return password(token).encode("utf-8", "surrogateescape")


def _opened(value: bytes, token: str) -> bytes:
    """The plain text of `<salt>:<base64 of nonce, AES-256-GCM, tag>`, its key made by PBKDF2 of the password."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not value:
        raise BadFile("the bootstrap key is empty: it is the lock of a first server whose start did not end")
    match = _SEALED.fullmatch(value.strip())
    if not match or len(match[2]) % 4:
        raise BadFile("the bootstrap data are damaged: they are not a salt and base64")
    salt, sealed = match[1], base64.b64decode(match[2])
    key = hashlib.pbkdf2_hmac("sha1", _secret(token), salt, 4096, 32)
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], None)
    except (InvalidTag, ValueError):
        pass
    if len(sealed) <= NONCE + TAG:
        raise BadFile("the bootstrap data are cut off")
    raise BadFile("the token does not open the bootstrap data, or they are damaged")


def _files(plain: bytes) -> dict[str, bytes]:
    """Contents by name. Errors name no content, and have no cause that would."""
    try:
        entries = json.loads(plain)
        return {key: base64.b64decode(entry["Content"] or "", validate=True) for key, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise BadFile("the bootstrap data were decrypted, but are not the JSON that K3s and RKE2 write")


def _authority(path: str, content: bytes) -> Authority:
    # Nodes and quick checks only compare names: they need no cryptography.
    from . import _x509

    read = _x509.first(content.decode("utf-8", "replace"))
    digest = hashlib.sha256(content).hexdigest()
    return Authority(path, digest, read.subject if read else None, read.ends if read else None)


def _providers(config: bytes) -> tuple[str, ...]:
    """Names of the providers in an EncryptionConfiguration; their keys stand below the names."""
    try:
        resources = json.loads(config)["resources"] if config else []
        providers = [provider for resource in resources for provider in resource["providers"]]
        return tuple(dict.fromkeys(name for provider in providers for name, _settings in provider.items()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()


def _stage_and_hash(content: bytes) -> str:
    text = content.decode("ascii", "replace").strip()
    return text if _STAGE_AND_HASH.fullmatch(text) else ""
