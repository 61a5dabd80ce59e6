# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTPS server in front of the API in memory, and what an API server, or something before it, may do wrong."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.supervisor import pki
from tests.unit.fake_api import FakeApi

JSON = dict[str, Any]
VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/[a-z]))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)


class Handler(BaseHTTPRequestHandler):
    """One request; `fault` of the server may answer it in its own way."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = self._request(json.loads(body) if body else None)
        if fault := self.server.fault(request):
            fault(self)
            return
        said = self.server.store(request)
        if said.reason:
            code = next(code for code, reason in _api.CODES.items() if reason == said.reason)
            self.send(code, failure(code, said.reason, said.text))
        else:
            self.send(200, {"kind": "Thing", "metadata": {}, **(said.document or {})})

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def send(self, code: int, body: JSON | str, *, length: int | None = None) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: Any) -> None:
        pass

    def _request(self, body: JSON | None) -> _api.Request:
        path, _mark, query = self.path.partition("?")
        found = PATH.fullmatch(path)
        assert found, path
        part = {name: unquote(text or "") for name, text in found.groupdict().items()}
        kind = _api.Kind(part["group"], part["version"], part["plural"])
        return _api.Request(
            VERBS[self.command], kind, part["namespace"], part["name"], body, query=query, subresource=part["sub"]
        )


Fault = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """An API server with its objects; `fault` says which request it answers wrongly, and how."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.store, self.connections = FakeApi(), 0
        self.fault: Callable[[_api.Request], Fault | None] = lambda _request: None

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"

    def process_request(self, *given: Any) -> None:
        self.connections += 1
        super().process_request(*given)

    def handle_error(self, *_args: Any) -> None:
        """Who hangs up is a client that has waited long enough."""


def failure(code: int, reason: str, message: str) -> JSON:
    return {"kind": "Status", "status": "Failure", "metadata": {}, "code": code, "reason": reason, "message": message}


def says(code: int, reason: str, message: str) -> Fault:
    """An API server's own refusal."""
    return lambda handler: handler.send(code, failure(code, reason, message))


def raw(code: int, text: str, *, length: int | None = None) -> Fault:
    """Anything at all; it may be shorter than it says."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.send(code, text, length=length)

    return answer


def hangs(handler: Handler) -> None:
    time.sleep(3)
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """A byte now and then, for ever."""
    handler.close_connection = True
    handler.send(200, "{", length=1 << 20)
    for _round in range(40):
        time.sleep(0.1)
        handler.wfile.write(b" ")


def resets(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server, and folder/kubeconfig that leads to it."""
    pki.ensure_ca(folder / "ca.crt", folder / "ca.key", "ca", pki.utcnow())
    issuer, key = pki.load_issuer(folder / "ca.crt", folder / "ca.key"), pki.new_key()
    (folder / "key").write_bytes(pki.ec_key_pem(key))
    _leaf, chain, _said = pki.issue(issuer, pki.subject("server"), pki.SERVER, ["127.0.0.1"], key.public_key())
    (folder / "server").write_bytes(chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server", folder / "key")
    with Server() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        authority = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
        cluster = {"server": server.address, "certificate-authority-data": authority}
        (folder / "kubeconfig").write_text(yaml.safe_dump({
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "x", "user": "u"}}],
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "token-of-the-kubeconfig"}}],
        }))  # fmt: skip
        yield server
        server.shutdown()
