# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client load balancer of an agent: a local port in front of all servers that are known."""

from __future__ import annotations

import json
import select
import socket
import socketserver
import threading
from collections.abc import Iterable
from pathlib import Path

from . import log


def order(default: str, known: Iterable[str], healthy: str) -> list[str]:
    """Servers in the order in which they are tried: the last one that answered first, the default one last."""
    rest = [address for address in dict.fromkeys(known) if address not in (healthy, default)]
    tail = [default] if default and default != healthy else []
    return ([healthy] if healthy else []) + rest + tail


class Balancer:
    """One load balancer; its servers outlive the process in a JSON file."""

    def __init__(self, name: str, directory: Path, port: int, default: str, scheme_url: str) -> None:
        self._name, self._port, self._default, self._url = name, port, default, scheme_url
        self._path = directory / f"{name}.json"
        self._known: list[str] = []
        self._healthy = ""
        try:
            stored = json.loads(self._path.read_text())
            if stored.get("ServerURL") == scheme_url:
                self._known = [str(address) for address in stored["ServerAddresses"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or not readable: start with the configured server

    @property
    def url(self) -> str:
        """URL of the local port."""
        return f"https://127.0.0.1:{self._port}"

    def _describe(self) -> str:
        return f"[{' '.join(self._known)}] [default: {self._default}]"

    def start(self) -> None:
        """Listen in the background; raises OSError when the port is taken."""
        balancer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                balancer.forward(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

        server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True, name=self._name).start()
        log.info(f"Running load balancer {self._name} 127.0.0.1:{self._port} -> {self._describe()}")

    def update(self, addresses: Iterable[str]) -> None:
        """Take over the list of servers that a server has given."""
        found = sorted(set(addresses))
        if not found or found == self._known:
            return
        for address in found:
            if address not in self._known:
                log.info(f"Adding server to load balancer {self._name}: {address}")
        for address in self._known:
            if address not in found:
                log.info(f"Removing server from load balancer {self._name}: {address}")
        self._known = found
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"ServerURL": self._url, "ServerAddresses": found}, indent=2))
        temporary.chmod(0o600)
        temporary.replace(self._path)
        log.info(f"Updated load balancer {self._name} server addresses -> {self._describe()}")

    def forward(self, client: socket.socket) -> None:
        """Connect a client with the first server that answers and copy both ways."""
        for address in order(self._default, self._known, self._healthy):
            host, _, port = address.rpartition(":")
            try:
                backend = socket.create_connection((host.strip("[]"), int(port)), timeout=2)
            except OSError:
                if address == self._healthy:
                    self._healthy = ""
                continue
            self._healthy = address
            with backend:
                backend.settimeout(None)
                copy(client, backend)
            return


def copy(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until one side ends."""
    ways = {one: other, other: one}
    try:
        while True:
            for side in select.select(list(ways), [], [])[0]:
                data = side.recv(65536)
                if not data:
                    return
                ways[side].sendall(data)
    except OSError:
        return
