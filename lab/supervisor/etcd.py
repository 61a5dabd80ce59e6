# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local etcd: its JSON gateway on 2382, its configuration file and its member name."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import log, tlsclient
from .context import ServerContext

CLIENT_PORT, PEER_PORT, METRICS_PORT, HTTP_PORT = 2379, 2380, 2381, 2382


class EtcdError(Exception):
    """An error that etcd answered, or the failure to reach it, in the words of the real client."""


def faults(status: Mapping[str, Any]) -> list[str]:
    """Errors of an endpoint's status; without NOSPACE, which the next start disarms."""
    return [str(error) for error in status.get("errors") or () if "alarm:NOSPACE" not in str(error)]


@dataclass(frozen=True)
class Member:
    """One row of the member list."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.peer_urls)}"


@dataclass(frozen=True)
class Gateway:
    """JSON gateway of an etcd on this host."""

    port: int = HTTP_PORT
    tls: Path | None = None
    """Directory with server-ca.crt, client.crt and client.key; plain HTTP without."""
    timeout: float = 5.0

    @classmethod
    def local(cls, tls: Path) -> Gateway:
        """The server's own etcd."""
        return cls(HTTP_PORT, tls)

    def call(self, path: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> dict[str, Any]:
        """POST to /v3/`path`; raises EtcdError."""
        seconds = timeout or self.timeout
        connection: http.client.HTTPConnection
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        else:
            try:
                names = ("server-ca.crt", "client.crt", "client.key")
                context = tlsclient.context(*(self.tls / name for name in names))
            except (OSError, ssl.SSLError) as exc:
                raise EtcdError(f"failed to load client certificates: {exc}") from exc
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=seconds, context=context)
        try:
            connection.request("POST", f"/v3/{path}", json.dumps(body or {}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            data = response.read()
        except ConnectionRefusedError as exc:
            raise EtcdError("rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while "
                            f"dialing: dial tcp 127.0.0.1:{CLIENT_PORT}: connect: connection refused\"") from exc
        except TimeoutError as exc:
            raise EtcdError("context deadline exceeded") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise EtcdError(f"rpc error: code = Unavailable desc = connection error: desc = \"{exc}\"") from exc
        finally:
            connection.close()
        try:
            answer: dict[str, Any] = json.loads(data)
        except ValueError as exc:
            raise EtcdError(f"unexpected answer {response.status}: {data[:200]!r}") from exc
        if response.status != 200:
            raise EtcdError(str(answer.get("message") or answer.get("error") or response.status))
        return answer

    def status(self) -> dict[str, Any]:
        """/v3/maintenance/status as etcd answers it."""
        return self.call("maintenance/status")

    def members(self) -> list[Member]:
        """Member list; answered without quorum."""
        rows = self.call("cluster/member/list").get("members", [])
        return [Member(int(row["ID"]), row.get("name", ""), tuple(row.get("peerURLs", [])),
                       tuple(row.get("clientURLs", [])), bool(row.get("isLearner"))) for row in rows]

    def add_learner(self, peer_url: str) -> dict[str, Any]:
        """Add a learner; the answer is etcd's."""
        return self.call("cluster/member/add", {"peerURLs": [peer_url], "isLearner": True}, 20)

    def promote(self, member_id: int) -> None:
        """Make a learner a voter."""
        self.call("cluster/member/promote", {"ID": str(member_id)}, 10)

    def remove(self, member_id: int) -> None:
        """Remove a member."""
        self.call("cluster/member/remove", {"ID": str(member_id)}, 20)

    def move_leader(self, member_id: int) -> None:
        """Hand leadership to another member (only the leader can)."""
        self.call("maintenance/transfer-leadership", {"targetID": str(member_id)}, 10)

    def defragment(self) -> None:
        """Defragment the local database."""
        self.call("maintenance/defragment", timeout=30)

    def disarm(self) -> list[str]:
        """Disarm NOSPACE of every member, as the real program does after each defragmentation; what else is raised."""
        raised = self.call("maintenance/alarm", {"action": "GET"}, 10).get("alarms", [])
        for alarm in [alarm for alarm in raised if alarm["alarm"] == "NOSPACE"]:
            self.call("maintenance/alarm", {**alarm, "action": "DEACTIVATE"}, 10)
            log.info("NOSPACE disarmed successfully")
        return [alarm["alarm"] for alarm in raised if alarm["alarm"] != "NOSPACE"]

    def range(self, key: str, *, prefix: bool = False, keys_only: bool = False) -> dict[str, bytes]:
        """Values by key; with `prefix` all keys that start with it."""
        body: dict[str, Any] = {"key": _b64(key.encode()), "keys_only": keys_only}
        if prefix:
            body["range_end"] = _b64(key[:-1].encode() + bytes([key.encode()[-1] + 1]))
        rows = self.call("kv/range", body, 10).get("kvs", [])
        return {base64.b64decode(row["key"]).decode(): base64.b64decode(row.get("value", "")) for row in rows}

    def put(self, key: str, value: bytes) -> None:
        """Write one key."""
        self.call("kv/put", {"key": _b64(key.encode()), "value": _b64(value)}, 10)

    def create(self, key: str, value: bytes) -> bool:
        """Write a key unless it exists; False when it did."""
        encoded = _b64(key.encode())
        answer = self.call("kv/txn", {
            "compare": [{"key": encoded, "target": "CREATE", "create_revision": "0"}],
            "success": [{"request_put": {"key": encoded, "value": _b64(value)}}]}, 10)
        return bool(answer.get("succeeded"))

    def delete(self, key: str) -> None:
        """Delete one key."""
        self.call("kv/deleterange", {"key": _b64(key.encode())}, 10)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def has_leader() -> bool:
    """What the metrics port says: it needs no certificate, so that a rotation on a running server does not blind it."""
    connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def suffix() -> str:
    """Random part of a member's name."""
    return secrets.token_hex(4)


def set_name(ctx: ServerContext, force: bool) -> str:
    """Name of the local member: `<node>-<8 hex>`, made when missing or forced."""
    ctx.etcd.mkdir(mode=0o700, parents=True, exist_ok=True)
    if force or not ctx.member_name:
        write_private(ctx.etcd / "name", f"{ctx.node_name}-{suffix()}")
    return ctx.member_name


def write_private(path: Path, text: str) -> None:
    """Write a file that only root can read, never half."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text)
    temporary.chmod(0o600)
    temporary.replace(path)


def is_initialized(ctx: ServerContext) -> bool:
    """Whether a datastore is there: like the real one, looks for the WAL directory only."""
    return (ctx.etcd / "member" / "wal").is_dir()


def render_config(ctx: ServerContext, name: str, initial: Mapping[str, str], *, reset: bool = False) -> str:
    """Content of db/etcd/config. `initial` holds the initial-* keys, empty for K3s' existing members."""
    tls, ip = ctx.tls / "etcd", ctx.node_ip
    both = not reset
    settings: dict[str, Any] = {
        "advertise-client-urls": f"https://{ip}:{CLIENT_PORT}",
        "client-transport-security": {
            "cert-file": str(tls / "server-client.crt"), "client-cert-auth": True,
            "key-file": str(tls / "server-client.key"), "trusted-ca-file": str(tls / "server-ca.crt")},
        "data-dir": str(ctx.etcd),
        "election-timeout": 5000,
        "experimental-initial-corrupt-check": True,
        "experimental-watch-progress-notify-interval": 5000000000,
        "heartbeat-interval": 500,
        "listen-client-http-urls": f"https://127.0.0.1:{HTTP_PORT}",
        "listen-client-urls": f"https://127.0.0.1:{CLIENT_PORT}" + (f",https://{ip}:{CLIENT_PORT}" if both else ""),
        "listen-metrics-urls": f"http://127.0.0.1:{METRICS_PORT}",
        "listen-peer-urls": f"https://127.0.0.1:{PEER_PORT}" + (f",https://{ip}:{PEER_PORT}" if both else ""),
        "log-outputs": ["stderr"],
        "logger": "zap",
        "name": name,
        "peer-transport-security": {
            "cert-file": str(tls / "peer-server-client.crt"), "client-cert-auth": True,
            "key-file": str(tls / "peer-server-client.key"), "trusted-ca-file": str(tls / "peer-ca.crt")},
        "snapshot-count": 10000,
        "socket-options": {"reuse-address": True, "reuse-port": True},
        **initial,
    }
    if reset:
        settings["force-new-cluster"] = True
    for argument in ctx.config.all("etcd-arg"):
        key, _, value = argument.partition("=")
        settings[key] = yaml.safe_load(value) if value else True
    return str(yaml.safe_dump(settings, sort_keys=True))


def write_config(ctx: ServerContext, name: str, initial: Mapping[str, str], *, reset: bool = False) -> Path:
    """Write db/etcd/config and return its path."""
    path = ctx.etcd / "config"
    write_private(path, render_config(ctx, name, initial, reset=reset))
    return path


def initial_new(ctx: ServerContext, name: str) -> dict[str, str]:
    """initial-* keys of a new one-member cluster."""
    peer = f"https://{ctx.node_ip}:{PEER_PORT}"
    return {"initial-advertise-peer-urls": peer, "initial-cluster": f"{name}={peer}", "initial-cluster-state": "new"}
