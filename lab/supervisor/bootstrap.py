# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap data: what every server has in common, kept in etcd encrypted with the token."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import log, tokens
from .context import ServerContext
from .etcd import Gateway

DIFFERENT_TOKEN = "bootstrap data already found and encrypted with different token"
NO_DATA = "no bootstrap data found in datastore - check server token value and verify datastore integrity"
NEWER_TOLERANCE = 3.0


class BootstrapError(Exception):
    """Bootstrap data that cannot be used; fatal for the program."""


@dataclass(frozen=True)
class Entry:
    """One file of the bootstrap data."""

    timestamp: str
    content: bytes


Data = Mapping[str, Entry]


def tls_paths(tls: Path) -> dict[str, Path]:
    """Authorities and the key that signs service accounts, by their names in the bootstrap data."""
    return {
        "ClientCA": tls / "client-ca.crt", "ClientCAKey": tls / "client-ca.key",
        "ETCDPeerCA": tls / "etcd/peer-ca.crt", "ETCDPeerCAKey": tls / "etcd/peer-ca.key",
        "ETCDServerCA": tls / "etcd/server-ca.crt", "ETCDServerCAKey": tls / "etcd/server-ca.key",
        "RequestHeaderCA": tls / "request-header-ca.crt", "RequestHeaderCAKey": tls / "request-header-ca.key",
        "ServerCA": tls / "server-ca.crt", "ServerCAKey": tls / "server-ca.key", "ServiceKey": tls / "service.key",
    }


def paths(ctx: ServerContext) -> dict[str, Path]:
    """Files of the bootstrap data by their names in it."""
    cred = ctx.cred
    files = {**tls_paths(ctx.tls), "IPSECKey": cred / "ipsec.psk", "PasswdFile": cred / "passwd"}
    if ctx.distro.static_pods:
        files["EncryptionConfig"] = cred / "encryption-config.json"
        files["EncryptionHash"] = cred / "encryption-state.json"
    return files


def _key(password: str, salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), 4096, 32)


def encrypt(password: str, plain: bytes) -> bytes:
    """Encrypt as the value in etcd: `<salt>:<base64(nonce, ciphertext, tag)>`."""
    salt, nonce = secrets.token_hex(8), secrets.token_bytes(12)
    sealed = nonce + AESGCM(_key(password, salt)).encrypt(nonce, plain, None)
    return f"{salt}:{base64.b64encode(sealed).decode()}".encode()


def decrypt(password: str, value: bytes) -> bytes:
    """Decrypt a value of etcd; raises BootstrapError for another token."""
    salt, _, text = value.decode().partition(":")
    sealed = base64.b64decode(text)
    try:
        return AESGCM(_key(password, salt)).decrypt(sealed[:12], sealed[12:], None)
    except InvalidTag as exc:
        raise BootstrapError(DIFFERENT_TOKEN) from exc


def encode(data: Data) -> bytes:
    """JSON of the bootstrap data."""
    return json.dumps({name: {"Timestamp": entry.timestamp, "Content": base64.b64encode(entry.content).decode()}
                       for name, entry in data.items()}, separators=(",", ":")).encode()


def decode(text: bytes) -> dict[str, Entry]:
    """Bootstrap data from its JSON."""
    return {name: Entry(entry["Timestamp"], base64.b64decode(entry["Content"] or ""))
            for name, entry in json.loads(text).items()}


def from_disk(ctx: ServerContext) -> dict[str, Entry]:
    """Bootstrap data as it lies on disk."""
    return read_files(paths(ctx))


def read_files(files: Mapping[str, Path]) -> dict[str, Entry]:
    """Content and time of those files that are there."""
    data = {}
    for name, path in sorted(files.items()):
        if not path.exists():
            log.warning(f"failed to stat {name}: stat {path}: no such file or directory")
            continue
        when = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        data[name] = Entry(when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), path.read_bytes())
    return data


def _unix(timestamp: str) -> float:
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")


def newer_on_disk(ctx: ServerContext, data: Data) -> tuple[list[Path], list[Path]]:
    """Files that differ from the datastore: those newer than it, and those that it will replace."""
    newer: list[Path] = []
    older: list[Path] = []
    for name, path in sorted(paths(ctx).items()):
        entry = data.get(name)
        if entry is None or not path.exists() or path.read_bytes() == entry.content:
            continue
        late = path.stat().st_mtime >= _unix(entry.timestamp) + NEWER_TOLERANCE
        (newer if late else older).append(path)
    return newer, older


def write_files(ctx: ServerContext, data: Data) -> None:
    """Write the files of the bootstrap data with the times that it holds for them."""
    for name, path in paths(ctx).items():
        entry = data.get(name)
        if entry is None:
            continue
        path.parent.mkdir(mode=0o755 if path.parent.name == "etcd" else 0o700, parents=True, exist_ok=True)
        path.write_bytes(entry.content)
        path.chmod(0o644 if path.suffix == ".crt" else 0o600)
        when = _unix(entry.timestamp)
        os.utime(path, (when, when))


def reconcile(ctx: ServerContext, data: Data) -> None:
    """Bring the files on disk to what the datastore holds; refuses to overwrite newer ones."""
    log.info("Reconciling bootstrap data between datastore and disk")
    newer, older = newer_on_disk(ctx, data)
    if newer:
        names = ", ".join(str(path) for path in newer)
        raise BootstrapError(f"{names} newer than datastore and could cause a cluster outage. Remove the file(s) "
                             "from disk and restart to be recreated from datastore.")
    for path in older:
        log.warning(f"{path} will be updated from the datastore.")
    known = paths(ctx)
    if older or any(name in known and not known[name].exists() for name in data):
        log.warning("Updating bootstrap data on disk from datastore")
        write_files(ctx, {name: entry for name, entry in data.items()
                          if name in known and (known[name] in older or not known[name].exists())})


def read(gateway: Gateway, password: str) -> dict[str, Entry] | None:
    """Bootstrap data in etcd, None when there is none; raises BootstrapError for another token."""
    found = gateway.range("/bootstrap/", prefix=True)
    value = found.get(tokens.bootstrap_key(password))
    if value:
        return decode(decrypt(password, value))
    if any(content for content in found.values()):
        raise BootstrapError(DIFFERENT_TOKEN)
    return None


def replace(ctx: ServerContext, password: str, data: Data) -> None:
    """Write the bootstrap data, whatever is there."""
    ctx.gateway.put(tokens.bootstrap_key(password), encrypt(password, encode(data)))


def save(ctx: ServerContext) -> None:
    """Write the bootstrap data unless it is there; raises BootstrapError for another token."""
    log.info("Saving cluster bootstrap data to datastore")
    gateway = ctx.gateway
    if read(gateway, ctx.token) is not None:
        log.warning("Bootstrap key already exists")
        return
    value = encrypt(ctx.token, encode(from_disk(ctx)))
    if not gateway.create(tokens.bootstrap_key(ctx.token), value):
        gateway.put(tokens.bootstrap_key(ctx.token), value)
