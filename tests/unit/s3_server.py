# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line to a server that breaks, is slow or speaks TLS; and a certificate for it."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Line:
    """Forwards connections. `up` and `down`: bytes after which all connections break, once; `dead`: every time."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        self.port, self.up, self.down = port, None, None
        self.dead, self.pause = False, 0.0
        self.sent, self.received, self.heads = 0, 0, list[bytes]()
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def parts(self) -> list[int]:
        """Numbers of the parts that were begun to be sent."""
        found = [re.match(rb"PUT \S*[?&]partNumber=(\d+)", head) for head in self.heads]
        return [int(match[1]) for match in found if match]

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        try:
            client = self.context.wrap_socket(client, server_side=True) if self.context else client
            server = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            client.close()
            return
        with self.lock:
            self.open |= {client, server}
        up = threading.Thread(target=self.forward, args=(client, server, "up"), daemon=True)
        up.start()
        self.forward(server, client, "down")
        up.join()
        client.close()  # what was not read makes this a reset
        server.close()

    def forward(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if re.match(rb"[A-Z]+ /\S* HTTP/1.1\r\n", data):
                    self.heads.append(data.split(b"\r\n\r\n")[0])
                self.sent += len(data) * (way == "up")
                self.received += len(data) * (way == "down")
                left = getattr(self, way)
                if left is not None and left < len(data):
                    if not self.dead:
                        setattr(self, way, None)
                    self.cut()
                    break
                if left is not None:
                    setattr(self, way, left - len(data))
                time.sleep(self.pause if len(data) > 8192 else 0)
                target.sendall(data)
        shut(source, target)

    def cut(self) -> None:
        """Break every connection."""
        with self.lock:
            ends, self.open = self.open, set()
        shut(*ends)

    def close(self) -> None:
        self.listener.close()
        self.cut()


def shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def certificate(folder: Path) -> tuple[Path, Path]:
    """(authority, certificate of 127.0.0.1 with its key)."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a store of its own")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption())  # fmt: skip
    (folder / "ca.crt").write_bytes(public)
    (folder / "server.txt").write_bytes(private + public)
    return folder / "ca.crt", folder / "server.txt"
