# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Requests to an API server with a kubeconfig of the controller: client certificate or token, no helper program."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import os
import ssl
import tempfile
import time
import typing as t
import zlib
from urllib.parse import urlsplit

import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

METHODS = {"get": "GET", "create": "POST", "replace": "PUT", "patch": "PATCH", "delete": "DELETE"}

IDLE = 20
"""Seconds; API servers, and what stands before them, keep a connection for longer."""


class Link:
    """A transport for `_api.Api`; RequorumError where the file is none that it can use."""

    def __init__(self, path: str, *, timeout: float = 20) -> None:
        self._path, self._timeout = path, timeout
        cluster, user = self._entries()
        self.server = str(cluster.get("server") or "")
        address = urlsplit(self.server)
        if address.scheme != "https" or not address.hostname:
            raise self._bad(f"its server is {self.server or 'missing'}, not an https address")
        self._host, self._port, self._root = address.hostname, address.port or 443, address.path.rstrip("/")
        self._headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
        if token := user.get("token") or self._file(user, "tokenFile"):
            self._headers["Authorization"] = f"Bearer {token.strip()}"
        tls = self._context(cluster, user)
        self._link = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=tls)
        self._used = 0.0

    def __call__(self, request: _api.Request) -> _api.Answer:
        body = None if request.body is None else json.dumps(request.body).encode()
        kind = "application/merge-patch+json" if request.verb == "patch" else "application/json"
        headers = self._headers | ({"Content-Type": kind} if body is not None else {})
        link = self._open()
        kept = link.sock is not None
        try:
            link.request(METHODS[request.verb], self._root + request.url, body, headers)
            response = link.getresponse()
            text = self._whole(response).decode("utf-8", "replace")
        except ssl.SSLCertVerificationError as error:
            return self._lost(_api.Answer("Unauthorized", error.verify_message))
        except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
            if kept and request.verb == "get" and isinstance(error, ConnectionError):  # closed behind our back
                link.close()
                return self(request)
            return self._lost(_api.Answer("NoAnswer", str(error) or type(error).__name__))
        self._used = time.monotonic()
        return _api.answered(response.status, text)

    def _open(self) -> http.client.HTTPSConnection:
        """The connection of the last request, while no server has closed it for being idle."""
        if time.monotonic() - self._used > IDLE:
            self._link.close()  # it opens again by itself
        return self._link

    def _lost(self, answer: _api.Answer) -> _api.Answer:
        self._link.close()
        return answer

    def _whole(self, response: http.client.HTTPResponse) -> bytes:
        """The timeout of a socket counts between two bytes; this one counts for all of them."""
        until, parts = time.monotonic() + self._timeout, list[bytes]()
        while part := response.read1(1 << 20):
            parts.append(part)
            if time.monotonic() > until:
                raise TimeoutError(f"only a part of the answer came within {self._timeout:.0f} s")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # or the connection takes no other request
        data = b"".join(parts)
        return gzip.decompress(data) if response.headers.get("Content-Encoding") == "gzip" else data

    def _entries(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        """(cluster, user) of the current context."""
        try:
            with open(self._path, encoding="utf-8") as file:
                document = yaml.safe_load(file)
            named = {key: {e["name"]: e for e in document.get(key) or ()} for key in ("contexts", "clusters", "users")}
            context = named["contexts"][document["current-context"]]["context"]
            return named["clusters"][context["cluster"]]["cluster"], named["users"][context["user"]]["user"]
        except OSError as error:
            raise self._bad(f"it cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise self._bad("it has no current context with a cluster and a user") from error

    def _context(self, cluster: dict[str, t.Any], user: dict[str, t.Any]) -> ssl.SSLContext:
        try:
            authority = self._file(cluster, "certificate-authority")
            context = ssl.create_default_context(cadata=authority or None)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # CAs of RKE2 and K3s have serial number 0
            if cluster.get("insecure-skip-tls-verify"):
                raise self._bad("it says insecure-skip-tls-verify: nobody would know which cluster is changed")
            certificate, key = self._file(user, "client-certificate"), self._file(user, "client-key")
            if certificate or key:
                self._load(context, certificate, key)
            return context
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise self._bad(f"its certificates cannot be used: {error}") from error

    @staticmethod
    def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
        """OpenSSL reads only files: one of 0600 that is gone at once."""
        with tempfile.NamedTemporaryFile("w", prefix="requorum-") as file:
            file.write(f"{certificate}\n{key}\n")
            file.flush()
            context.load_cert_chain(file.name)

    def _file(self, entry: dict[str, t.Any], name: str) -> str:
        """What stands in the kubeconfig itself, or in the file that it names."""
        if entry.get(f"{name}-data"):
            return base64.b64decode(entry[f"{name}-data"], validate=True).decode()
        if not entry.get(name):
            return ""
        with open(os.path.join(os.path.dirname(self._path), entry[name]), encoding="utf-8") as file:
            return file.read()

    def _bad(self, why: str) -> RequorumError:
        return RequorumError(
            f"The kubeconfig {self._path} cannot be used: {why}.",
            "Name another one by requorum_kubeconfig, or leave it out: then kubectl on a server is used.",
        )
