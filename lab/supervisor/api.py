# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTPS client for kube-apiservers and supervisors."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import yaml

from . import tlsclient

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Credentials:
    """Whom to trust and as whom to speak; without `ca` nothing is verified."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    basic: str = ""
    """`user:password`"""

    def context(self) -> ssl.SSLContext:
        """TLS settings, read from disk anew."""
        if self.ca is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = tlsclient.context(self.ca, self.cert, self.key)
        return context


class Api:
    """One server; keeps its connection open. Failures to reach it are OSError, refusals ApiError."""

    def __init__(self, url: str, credentials: Credentials, timeout: float = 5.0) -> None:
        self.url = url.rstrip("/")
        self._credentials, self._timeout = credentials, timeout
        self._lock = threading.Lock()
        self._connection: http.client.HTTPSConnection | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path, timeout: float = 5.0) -> Self:
        """The first cluster and the first user of a kubeconfig whose files are named by path."""
        config = yaml.safe_load(path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca, cert, key = (Path(text) for text in (cluster["certificate-authority"], user["client-certificate"],
                                                 user["client-key"]))
        return cls(cluster["server"], Credentials(ca, cert, key), timeout)

    def at(self, url: str) -> Self:
        """The same credentials for another server."""
        return type(self)(url, self._credentials, self._timeout)

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        fresh = self._connection is None
        if self._connection is None:
            parts = urlsplit(self.url)
            try:
                context = self._credentials.context()
            except ssl.SSLError as exc:
                raise OSError(f"tls: {exc}") from exc
            self._connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, context=context,
                                                           timeout=self._timeout)
        try:
            self._connection.request(method, path, body, dict(headers))
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if not fresh and not isinstance(exc, TimeoutError):  # an idle connection that the server has closed
                return self._exchange(method, path, body, headers)
            raise exc if isinstance(exc, OSError) else OSError(str(exc) or type(exc).__name__) from exc

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def raw(self, method: str, path: str, body: bytes | None = None,
            headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """One request: status and body whatever they are."""
        sent = {"Accept": "application/json", **(headers or {})}
        if self._credentials.basic:
            sent["Authorization"] = "Basic " + base64.b64encode(self._credentials.basic.encode()).decode()
        with self._lock:
            return self._exchange(method, path, body, sent)

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str) -> Any:
        """One request with JSON both ways; raises ApiError when it is refused."""
        if query:
            path = f"{path}?{urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        status, answer = self.raw(method, path, data, {"Content-Type": kind})
        if status >= 400:
            raise ApiError(status, message(answer) or f"HTTP {status}")
        return json.loads(answer) if answer else None

    def get(self, path: str, **query: str) -> Any:
        """GET."""
        return self.request("GET", path, **query)

    def post(self, path: str, body: Any) -> Any:
        """POST."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any, kind: str = MERGE) -> Any:
        """PATCH, a merge patch unless said otherwise."""
        return self.request("PATCH", path, body, kind)

    def delete(self, path: str, body: Any = None) -> Any:
        """DELETE."""
        return self.request("DELETE", path, body)


def message(answer: bytes) -> str:
    """Message of a Status object, else the text itself."""
    try:
        data = json.loads(answer)
    except ValueError:
        return answer.decode(errors="replace").strip()
    return str(data.get("message", "")) if isinstance(data, dict) else ""
