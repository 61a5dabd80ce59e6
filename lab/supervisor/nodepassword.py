# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node passwords: the file on the node, the hash in a Secret, and who is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from .api import Api, ApiError

FILE = Path("/etc/rancher/node/password")
REJECTED = (f"Node password rejected, duplicate hostname or contents of '{FILE}' may not match server node-passwd "
            "entry, try enabling a unique node name with the --with-node-id flag")
_LOG_N, _R, _P, _SIZE = 15, 8, 1, 64


class PasswordRejected(Exception):
    """The password is not the one that this node name came with first."""


def _scrypt(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << log_n, r=r, p=p, dklen=_SIZE, maxmem=1 << 27)


def make_hash(password: str, salt: bytes | None = None) -> str:
    """`$1:<salt hex>:15:8:1:<base64 without padding>`."""
    salt = salt or secrets.token_bytes(8)
    key = base64.b64encode(_scrypt(password, salt, _LOG_N, _R, _P)).decode().rstrip("=")
    return f"$1:{salt.hex()}:{_LOG_N}:{_R}:{_P}:{key}"


def verify(stored: str, password: str) -> bool:
    """Whether a hash is of this password; a hash that cannot be read is of none."""
    try:
        version, salt, log_n, r, p, key = stored.split(":")
        expected = base64.b64decode(key + "=" * (-len(key) % 4))
        actual = _scrypt(password, bytes.fromhex(salt), int(log_n), int(r), int(p))
    except (ValueError, binascii.Error):
        return False
    return version == "$1" and hmac.compare_digest(expected, actual)


def local(path: Path = FILE) -> str:
    """This node's password, made when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
            sink.write(secrets.token_hex(16) + "\n")
    return path.read_text().strip()


def _path(node: str, program: str) -> str:
    return f"/api/v1/namespaces/kube-system/secrets/{node}.node-password.{program}"


def ensure(api: Api, node: str, program: str, password: str) -> None:
    """Check a node's password against its Secret, or make the Secret; raises PasswordRejected."""
    try:
        stored = base64.b64decode(api.get(_path(node, program))["data"]["hash"]).decode()
    except ApiError as exc:
        if exc.status != 404:
            raise
        create(api, node, program, password)
        return
    if not verify(stored, password):
        raise PasswordRejected(REJECTED)


def create(api: Api, node: str, program: str, password: str) -> None:
    """Make the Secret of a node unless it exists."""
    metadata: dict[str, object] = {"name": f"{node}.node-password.{program}", "namespace": "kube-system"}
    try:
        owner = api.get(f"/api/v1/nodes/{node}")["metadata"]["uid"]
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner}]
    except ApiError as exc:
        if exc.status != 404:
            raise
    digest = base64.b64encode(make_hash(password).encode()).decode()
    try:
        api.post("/api/v1/namespaces/kube-system/secrets", {
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "immutable": True, "data": {"hash": digest},
            "type": f"{program}.cattle.io/node-password"})
    except ApiError as exc:
        if exc.status != 409:
            raise


def exists(api: Api, node: str, program: str) -> bool:
    """Whether a node has a Secret."""
    try:
        api.get(_path(node, program))
    except ApiError as exc:
        if exc.status == 404:
            return False
        raise
    return True


def forget(api: Api, node: str, program: str) -> None:
    """Delete the Secret of a node."""
    try:
        api.delete(_path(node, program))
    except ApiError as exc:
        if exc.status != 404:
            raise
