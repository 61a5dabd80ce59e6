# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster tokens: `K10<CA hash>::<user>:<password>`, or the password alone."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from . import pki

_SECURE = re.compile(r"^K10([0-9a-f]{64})::(?:([^:]+):)?(.+)$", re.S)
_USERS = ("server", "node")


@dataclass(frozen=True)
class Token:
    """A token taken apart."""

    password: str
    user: str = "server"
    ca_hash: str = ""

    def basic(self) -> str:
        """Value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def parse(text: str, default_user: str = "server") -> Token:
    """Parse a configured token."""
    match = _SECURE.match(text)
    if match:
        ca_hash, user, password = match.groups()
        return Token(password, user or default_user, ca_hash)
    user, sep, password = text.partition(":")
    if sep and user in _USERS:
        return Token(password, user)
    return Token(text, default_user)


def ca_hash(pem: bytes) -> str:
    """Hash in a token: sha256 of what /cacerts answers; of the root itself where that is a chain."""
    if pem.count(b"BEGIN CERTIFICATE") > 1:
        leaf, *above = pki.load_certs(pem)
        root = pki.root_of(leaf, [cert for cert in above if pki.signed_by(cert, cert)], above)
        pem = root.public_bytes(Encoding.DER) if root else pem
    return hashlib.sha256(pem).hexdigest()


def secure(pem: bytes, user: str, password: str) -> str:
    """Full token, as in D/server/token."""
    return f"K10{ca_hash(pem)}::{user}:{password}"


def bootstrap_key(password: str) -> str:
    """etcd key of the bootstrap data that this password opens."""
    return f"/bootstrap/{hashlib.sha256(password.encode()).hexdigest()[:12]}"


def passwd(distro: str, server: str, agent: str) -> str:
    """Content of cred/passwd."""
    return f"{server},server,server,{distro}:server\n{agent},node,node,{distro}:agent\n"
