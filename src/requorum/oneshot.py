# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that gives each of a few texts away a given number of times, then ends.

Nothing else is served, and nothing is listed. Every path begins with a random word; who does not know it is told
nothing. The log names hosts and files, never paths.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SLOW = 15
"""Seconds that one client may keep us waiting."""


def self_signed(host: str, seconds: float) -> ssl.SSLContext:
    """A certificate for this name or address that ends soon, with a key that no file has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "requorum join-config")])
    try:
        other: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        other = x509.DNSName(host)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks of hosts that are installed are never right
        .not_valid_after(now + datetime.timedelta(hours=1, seconds=seconds))
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    with tempfile.NamedTemporaryFile(prefix="requorum-") as file:  # OpenSSL reads only files: 0600, gone at once
        file.write(made.public_bytes(pem) + key.private_bytes(pem, *plain))
        file.flush()
        return certified(file.name)


def certified(certificate: str, key: str | None = None) -> ssl.SSLContext:
    """With a certificate of one's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


class OneShot:
    """Bound when it is made, so that its address is known before there is anything to serve."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, times: int = 1) -> None:
        family, _type, _proto, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.word = secrets.token_urlsafe(32)
        self._left: dict[str, int] = {}
        self._sent: Counter[str] = Counter()
        self._texts: dict[str, bytes] = {}
        self._needed: set[str] = set()
        self._times, self._lock, self._done = times, threading.Lock(), threading.Event()
        self._server = _Server(address, _handler(self), family, tls)
        shown = f"[{host}]" if ":" in host else host
        self.base = f"http{'s' if tls else ''}://{shown}:{self._server.server_address[1]}/{self.word}"

    def serve(self, texts: Mapping[str, str], needed: Collection[str], seconds: float) -> bool:
        """Until each of the needed ones was fetched as often as it may be; False when time has run out before."""
        self._texts = {f"/{self.word}/{path}": text.encode() for path, text in texts.items()}
        self._left = dict.fromkeys(self._texts, self._times)
        self._needed = {f"/{self.word}/{path}" for path in needed}
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            return self._done.wait(seconds)
        finally:
            self._server.shutdown()
            self._server.server_close()

    def close(self) -> None:
        """Give the port back without having served."""
        self._server.server_close()

    def give(self, path: str, send: Callable[[bytes], None]) -> str | None:
        """Send what lies at a path, if it may still be had; its name, or None. What was cut off may be had again."""
        with self._lock:
            if self._left.get(path, 0) < 1:
                return None
            self._left[path] -= 1
        try:
            send(self._texts[path])
        except OSError:
            with self._lock:
                self._left[path] += 1
            raise
        with self._lock:
            self._sent[path] += 1
            if all(self._sent[each] == self._times for each in self._needed):
                self._done.set()
        return path.removeprefix(f"/{self.word}/")


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # the last answer is sent to its end before the program ends
    allow_reuse_address = True

    def __init__(self, address: Any, handler: Any, family: int, tls: ssl.SSLContext | None) -> None:
        self.address_family, self._tls = family, tls
        super().__init__(address, handler)

    def get_request(self) -> tuple[Any, Any]:
        link, peer = super().get_request()
        link.settimeout(SLOW)
        if self._tls:  # the handshake belongs to the client's own thread: a silent one holds up nobody
            link = self._tls.wrap_socket(link, server_side=True, do_handshake_on_connect=False)
        return link, peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        why = getattr(error, "reason", None) or type(error).__name__
        _log(client_address[0], f"went away ({why})")


def _handler(owner: OneShot) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "requorum", ""

        def do_GET(self) -> None:
            try:
                name = owner.give(self.path, self._send)
            except OSError as error:
                _log(self.client_address[0], f"was cut off ({type(error).__name__})")
                self.close_connection = True
                return
            if name is None:
                self._head(404, 0)
            _log(self.client_address[0], f"fetched {name}" if name else "asked for what is not, or not any more, here")

        def _send(self, body: bytes) -> None:
            self._head(200, len(body))
            self.wfile.write(body)
            self.wfile.flush()

        def _head(self, code: int, length: int) -> None:
            self.send_response_only(code)
            for key, value in (("Content-Length", str(length)), ("Content-Type", "text/plain; charset=utf-8"),
                               ("Cache-Control", "no-store"), ("Connection", "close")):
                self.send_header(key, value)
            self.end_headers()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """The path is a secret: _log writes the log."""

    return Handler


def _log(peer: str, text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {peer} {text}\n")
    sys.stderr.flush()
