# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The Secret in a datastore in which Rancher and Harvester keep the tokens of their cluster.

`fleet-local/local-rke-state` has them as serverToken and agentToken (facts/harvester.md 3.1). In etcd a Secret is
protobuf, with its data as they are, or JSON, with its data in base64. RKE2 encrypts it at rest (aescbc), with a key in
server/cred/encryption-config.json of every server. Sources: core/v1 generated.proto (Secret), the API server's aes
transformers (IV, CBC, PKCS #7; nonce, GCM, with the key in etcd as additional data).
"""

from __future__ import annotations

import base64
import json
import re
import typing as t

from . import _datastore
from ._bbolt import BadFile

STATE = "/registry/secrets/fleet-local/local-rke-state"
TOKENS = ("serverToken", "agentToken")
PROTOBUF = b"k8s\0"
_ENCRYPTED = re.compile(rb"k8s:enc:(aescbc|aesgcm):v1:([^:]{1,253}):")


def tokens(value: bytes, configs: t.Iterable[bytes] = ()) -> dict[str, str]:
    """Tokens in the value of STATE by their names; nothing where it is encrypted with a key that is not at hand.

    configs: contents of encryption-config.json.
    """
    plain = opened(value, configs)
    try:
        data = _from_json(plain) if plain.startswith(b"{") else _from_protobuf(plain)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: text for name in TOKENS if (text := data.get(name, b"").decode("utf-8", "replace").strip())}


def opened(value: bytes, configs: t.Iterable[bytes], at: str = STATE) -> bytes:
    """A value of etcd without its encryption at rest; empty where no key at hand opens it."""
    if not value.startswith(b"k8s:enc:"):
        return value
    match = _ENCRYPTED.match(value)
    if match is None:
        return b""
    for config in configs:
        for secret in _keys(config, match[1].decode(), match[2].decode("utf-8", "replace")):
            plain = _decrypted(match[1], secret, value[match.end() :], at)
            if plain.startswith((PROTOBUF, b"{")):
                return plain
    return b""


def _keys(config: bytes, provider: str, name: str) -> list[bytes]:
    """Keys of this name in an EncryptionConfiguration."""
    try:
        providers = [one for resource in json.loads(config)["resources"] for one in resource["providers"]]
        keys = [key for one in providers for key in (one.get(provider) or {}).get("keys") or ()]
        return [base64.b64decode(key["secret"]) for key in keys if key["name"] == name]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _decrypted(provider: bytes, secret: bytes, sealed: bytes, at: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        if provider == b"aesgcm":
            return AESGCM(secret).decrypt(sealed[:12], sealed[12:], at.encode())
        decryptor = Cipher(algorithms.AES(secret), modes.CBC(sealed[:16])).decryptor()
        padded = decryptor.update(sealed[16:]) + decryptor.finalize()
        unpadder = padding.PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (ValueError, InvalidTag):
        return b""


def _from_json(plain: bytes) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in (json.loads(plain).get("data") or {}).items()}


def _from_protobuf(plain: bytes) -> dict[str, bytes]:
    """Entries of `data`, field 2 of a Secret, which is field 2 of the envelope."""
    if not plain.startswith(PROTOBUF):
        return {}
    secret = _last(plain[len(PROTOBUF) :], 2)
    try:
        entries = [entry for number, entry in _datastore.protobuf(secret) if number == 2 and isinstance(entry, bytes)]
        return {_last(entry, 1).decode("utf-8", "replace"): _last(entry, 2) for entry in entries}
    except BadFile:
        return {}


def _last(message: bytes, number: int) -> bytes:
    """A field of a message that is bytes; empty where it is absent."""
    try:
        found = [content for at, content in _datastore.protobuf(message) if at == number]
    except BadFile:
        return b""
    return found[-1] if found and isinstance(found[-1], bytes) else b""
