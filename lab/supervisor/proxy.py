# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""K3s has one port for both: what is not the supervisor's goes to kube-apiserver, with the client's identity."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from email.message import Message
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from . import tlsclient

_HOP = frozenset(("connection", "keep-alive", "proxy-connection", "te", "trailer"))
_CHUNK = 65536


class Unavailable(Exception):
    """kube-apiserver does not listen."""


def identity(cert: Mapping[str, Any] | None) -> tuple[str, list[str]]:
    """User and groups of a verified client certificate."""
    pairs = [pair for rdn in (cert or {}).get("subject", ()) for pair in rdn]
    users = [value for key, value in pairs if key == "commonName"]
    return (users[0] if users else ""), [value for key, value in pairs if key == "organizationName"]


def head(method: str, path: str, headers: Iterable[tuple[str, str]], user: str, groups: Sequence[str]) -> bytes:
    """Request head for kube-apiserver: one request for each connection, identity by request header."""
    items = list(headers)
    upgrade = any(key.lower() == "upgrade" for key, _value in items)
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{key}: {value}" for key, value in items
              if key.lower() not in _HOP and not key.lower().startswith("x-remote-")]
    lines.append("Connection: Upgrade" if upgrade else "Connection: close")
    if user:
        lines.append(f"X-Remote-User: {user}")
        lines += [f"X-Remote-Group: {group}" for group in groups]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _connect(port: int, tls: Path, with_identity: bool) -> ssl.SSLSocket:
    own = (tls / "client-auth-proxy.crt", tls / "client-auth-proxy.key") if with_identity else (None, None)
    try:
        context = tlsclient.context(tls / "server-ca.crt", *own)
        raw = socket.create_connection(("127.0.0.1", port), timeout=5)
        raw.settimeout(60)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")
    except OSError as exc:
        raise Unavailable(str(exc)) from exc


def _body(headers: Message, source: BufferedIOBase, backend: ssl.SSLSocket) -> None:
    left = int(headers.get("Content-Length") or 0)
    while left > 0:
        data = source.read(min(left, _CHUNK))
        if not data:
            return
        backend.sendall(data)
        left -= len(data)
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower():
        while True:
            line = source.readline()
            backend.sendall(line)
            size = int(line.split(b";")[0] or b"0", 16)
            backend.sendall(source.read(size + 2))
            if size == 0:
                return


def _pump(client: ssl.SSLSocket, backend: ssl.SSLSocket) -> None:
    """Copy both ways until one side ends; a client that went away ends a watch."""
    sides = {client: backend, backend: client}
    for side in sides:
        side.settimeout(None)
    while True:
        ready: list[Any] = [side for side in sides if side.pending()]
        if not ready:
            ready = select.select(list(sides), [], [])[0]
        for side in ready:
            data = side.recv(_CHUNK)
            if not data:
                return
            sides[side].sendall(data)


def forward(client: ssl.SSLSocket, source: BufferedIOBase, method: str, path: str, headers: Message, port: int,
            tls: Path) -> None:
    """Pass one request on and its answer back; raises Unavailable before anything was answered."""
    user, groups = identity(client.getpeercert())
    backend = _connect(port, tls, bool(user))
    with backend:
        try:
            backend.sendall(head(method, path, headers.items(), user, groups))
            _body(headers, source, backend)
            _pump(client, backend)
        except (OSError, ValueError):
            return
