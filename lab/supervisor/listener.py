# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor port: 9345 for RKE2; 6443 for K3s, which passes everything else on to kube-apiserver."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import api, bootstrap, certificates, log, node, proxy, rotateca, snapshots, tokenrotate, tokens
from .context import ServerContext
from .etcd import EtcdError

NOT_READY = "runtime core not ready"


@dataclass
class State:
    """What the running server tells its listener."""

    ctx: ServerContext
    etcd_ready: bool = False
    api_ready: bool = False
    passwords: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        agent = self.ctx.config.get("agent-token")
        self.passwords = {"server": self.ctx.token,
                          "node": tokens.parse(agent).password if agent else self.ctx.token}


class _Refused(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    address_family = socket.AF_INET6
    state: State
    tls: ssl.SSLContext

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # without HTTPServer's look-up of the host's name, which can take seconds
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are the client's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.settimeout(30)
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        """The real program does not log requests."""

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._dispatch()

    def _dispatch(self) -> None:
        path = self.path.partition("?")[0]
        route = self._route(path)
        try:
            if route is None:
                self._pass_on()
                return
            role, call = route
            if role:
                self._authorize(role)
            self._send(200, *call())
        except _Refused as exc:
            self._fail(exc.code, exc.reason, str(exc))
        except (EtcdError, api.ApiError, OSError) as exc:
            self._fail(503, "ServiceUnavailable", str(exc) or NOT_READY)

    def _route(self, path: str) -> tuple[str, Callable[[], tuple[bytes, str]]] | None:
        ctx, prefix = self.server.state.ctx, f"/v1-{self.server.state.ctx.distro.name}/"
        if path == "/ping":
            return "", lambda: (b"pong", "text/plain")
        if path == "/cacerts":
            return "", lambda: ((ctx.tls / "server-ca.crt").read_bytes(), "text/plain")
        if path == "/db/info":
            return "server", self._members
        if path == "/db/snapshot":
            return "server", self._snapshot
        name = path.removeprefix(prefix)
        if name == path:
            if ctx.distro.static_pods:
                raise_not_found = _Refused(404, "NotFound", "404 page not found")
                return "", lambda: _raise(raise_not_found)
            return None
        if name == "server-bootstrap":
            return "server", lambda: (bootstrap.encode(bootstrap.from_disk(ctx)), "application/json")
        if name == "token":
            return "server", lambda: self._change("token", lambda body: tokenrotate.rotate(
                ctx, str(json.loads(body)["newToken"])))
        if name == "cert/cacerts":
            return "server", lambda: self._change("certificate", lambda body: rotateca.accept(
                ctx, body, "force=true" in self.path))
        if name == "readyz":
            return "node", self._readyz
        if name == "apiservers":
            return "node", self._apiservers
        if name == "config":
            return "node", lambda: (json.dumps({"ClusterDNS": "10.43.0.10", "ClusterDomain": "cluster.local",
                                                "ServiceIPRange": "10.43.0.0/16"}).encode(), "application/json")
        if name in ("client-ca.crt", "server-ca.crt"):
            return "node", lambda: ((ctx.tls / name).read_bytes(), "text/plain")
        if name.endswith(".crt"):
            return "node", lambda: self._certificate(name.removesuffix(".crt"))
        return "node", lambda: _raise(_Refused(404, "NotFound", "404 page not found"))

    def _authorize(self, role: str) -> None:
        header = self.headers.get("Authorization") or ""
        if not header.startswith("Basic "):
            raise _Refused(403, "Forbidden", "forbidden")
        user, _, password = base64.b64decode(header[6:]).decode(errors="replace").partition(":")
        if not password or self.server.state.passwords.get(user) != password:
            # A client that still writes its body would see the connection end, not the answer.
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            raise _Refused(401, "Unauthorized", "not authorized")
        if role == "server" and user != "server":
            raise _Refused(403, "Forbidden", "forbidden")

    def _readyz(self) -> tuple[bytes, str]:
        if not self.server.state.api_ready:
            raise _Refused(503, "ServiceUnavailable", NOT_READY)
        return b"ok", "text/plain"

    def _members(self) -> tuple[bytes, str]:
        if not self.server.state.etcd_ready:
            raise _Refused(503, "ServiceUnavailable", NOT_READY)
        return json.dumps(self.server.state.ctx.gateway.call("cluster/member/list")).encode(), "application/json"

    def _apiservers(self) -> tuple[bytes, str]:
        ctx, addresses = self.server.state.ctx, []
        if self.server.state.etcd_ready:
            hosts = [url.split("//")[-1].rpartition(":")[0] for member in ctx.gateway.members()
                     for url in member.client_urls if not member.is_learner]
            addresses = [f"{host}:6443" for host in sorted(hosts)]
        return json.dumps(addresses or [f"{ctx.node_ip}:6443"]).encode(), "application/json"

    def _certificate(self, name: str) -> tuple[bytes, str]:
        ctx, program = self.server.state.ctx, self.server.state.ctx.distro.name
        host = self.headers.get(f"{program}-Node-Name") or ""
        address = tuple(filter(None, (self.headers.get(f"{program}-Node-IP") or "").split(",")))
        try:
            if name == "serving-kubelet":
                if not host:
                    raise _Refused(400, "BadRequest", "node name not set")
                node.ensure_node_password(ctx, host, self.headers.get(f"{program}-Node-Password") or "")
            chain, key = certificates.agent_leaf(ctx, name, host, address)
        except node.PasswordRejected as exc:
            raise _Refused(403, "Forbidden", str(exc)) from exc
        except KeyError as exc:
            raise _Refused(404, "NotFound", "404 page not found") from exc
        return chain + key, "text/plain"

    def _snapshot(self) -> tuple[bytes, str]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = snapshots.serve(self.server.state.ctx, json.loads(body), self.server.state.api_ready)
        except snapshots.SnapshotError as exc:
            raise _Refused(500, "InternalError", str(exc)) from exc
        return json.dumps(answer).encode(), "application/json"

    def _change(self, kind: str, do: Callable[[bytes], None]) -> tuple[bytes, str]:
        if self.command != "PUT":
            raise _Refused(405, "MethodNotAllowed", "method not allowed")
        try:
            do(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        except (bootstrap.BootstrapError, EtcdError, OSError, LookupError, ValueError) as exc:
            raise _Refused(500, "InternalError", log.numbered(kind, exc)) from exc
        return b"", "text/plain"

    def _pass_on(self) -> None:
        state = self.server.state
        if not state.etcd_ready:
            raise _Refused(503, "ServiceUnavailable", NOT_READY)
        self.close_connection = True
        try:
            proxy.forward(self.request, self.rfile, self.command, self.path, self.headers, state.ctx.apiserver_port,
                          state.ctx.tls)
        except proxy.Unavailable:
            self._fail(503, "ServiceUnavailable", NOT_READY)

    def _send(self, code: int, data: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, code: int, reason: str, message: str) -> None:
        if code == 503:
            log.error(f"Sending HTTP/1.1 503 response to {self.client_address[0].removeprefix('::ffff:')}:"
                      f"{self.client_address[1]}: {message}")
        self.close_connection = True
        self._send(code, json.dumps({"kind": "Status", "metadata": {}, "status": "Failure",
                                     "message": message, "reason": reason, "code": code}, indent=2).encode() + b"\n",
                   "application/json")


def _raise(exc: _Refused) -> tuple[bytes, str]:
    raise exc


def _context(ctx: ServerContext) -> ssl.SSLContext:
    data = json.loads((ctx.tls / "dynamic-cert.json").read_text())["data"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(ctx.tls / "client-ca.crt")
    with tempfile.TemporaryDirectory(prefix="serving-", dir=ctx.tls / "temporary-certs") as name:
        pair = Path(name) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(base64.b64decode(data["tls.crt"]) + base64.b64decode(data["tls.key"]))
        context.load_cert_chain(pair)
    return context


def serve(state: State) -> ThreadingHTTPServer:
    """Open the supervisor port and answer on it in the background; raises OSError when it is taken."""
    server = _Server(("::", state.ctx.distro.supervisor_port), _Handler)
    server.state, server.tls = state, _context(state.ctx)
    threading.Thread(target=server.serve_forever, daemon=True, name="listener").start()
    return server
