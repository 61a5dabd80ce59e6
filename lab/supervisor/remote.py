# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of another server's supervisor port, with the token as its password."""

from __future__ import annotations

import errno
import http.client
import json
import os
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import log
from .tokens import Token, ca_hash

_UNTRUSTED = ("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. "
              "Use the full token from the server's node-token file to enable Cluster CA validation.")


class RemoteError(Exception):
    """What went wrong, in the real client's words."""


def _reason(exc: OSError) -> str:
    if isinstance(exc, TimeoutError):
        return "context deadline exceeded"
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {exc.verify_message}"
    text = os.strerror(exc.errno).lower() if exc.errno and exc.errno in errno.errorcode else str(exc)
    return f"connect: {text}"


@dataclass(frozen=True)
class Supervisor:
    """Another server's supervisor, its CA fetched and checked against the token."""

    url: str
    token: Token
    ca: str

    @classmethod
    def connect(cls, url: str, token: Token) -> Supervisor:
        """Fetch /cacerts and compare it with the token's hash."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            status, pem = _request(url, "GET", "/cacerts", context, {}, None, 10)
        except RemoteError as exc:
            raise RemoteError(f"failed to get CA certs: {exc}") from exc
        if status != 200:
            raise RemoteError(f"failed to get CA certs: {url}/cacerts: {status}")
        actual = ca_hash(pem)
        if not token.ca_hash:
            log.warning(_UNTRUSTED)
        elif token.ca_hash != actual:
            raise RemoteError("token CA hash does not match the Cluster CA certificate hash: "
                              f"{token.ca_hash} != {actual}")
        return cls(url, token, pem.decode())

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float = 15) -> bytes:
        """One request; raises RemoteError for everything but 200."""
        context = ssl.create_default_context(cadata=self.ca)
        headers = {"Authorization": self.token.basic(), "Content-Type": "application/json"}
        status, data = _request(self.url, method, path, context, headers, body, timeout)
        if 200 <= status < 300:
            return data
        if status == 401:
            raise RemoteError("not authorized")
        try:
            message = str(json.loads(data)["message"])
        except (ValueError, KeyError, TypeError):
            message = data.decode(errors="replace").strip()
        raise RemoteError(message or f"{self.url}{path}: {status}")

    def json(self, path: str) -> Any:
        """GET a JSON document."""
        return json.loads(self.request("GET", path))


def _request(url: str, method: str, path: str, context: ssl.SSLContext, headers: dict[str, str],
             body: bytes | None, timeout: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    port = parts.port or 443
    connection = http.client.HTTPSConnection(parts.hostname or "", port, timeout=timeout, context=context)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError as exc:
        raise RemoteError(f'{method.title()} "{url}{path}": dial tcp {parts.hostname}:{port}: {_reason(exc)}') from exc
    except http.client.HTTPException as exc:
        raise RemoteError(f'{method.title()} "{url}{path}": {exc or type(exc).__name__}') from exc
    finally:
        connection.close()
