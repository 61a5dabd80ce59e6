# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`etcd-snapshot save|ls|delete|prune`: the command, and the supervisor that does what it asks."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.client
import json
import ssl
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import config, log, tokens
from .context import ServerContext
from .distro import DISTROS
from .remote import RemoteError, Supervisor

SAVE_WAIT = 120.0
_OPERATIONS = {"save": "save", "ls": "list", "list": "list", "l": "list", "delete": "delete", "prune": "prune"}


class SnapshotError(Exception):
    """The supervisor could not do it; details are in its log."""


@dataclass(frozen=True)
class Snapshot:
    """One snapshot file."""

    path: Path

    def document(self, annotation: str, node: str) -> dict[str, Any]:
        """As an ETCDSnapshotFile."""
        stat = self.path.stat()
        return {"kind": "ETCDSnapshotFile", "apiVersion": "k3s.cattle.io/v1",
                "metadata": {"name": f"local-{self.path.name}",
                             "labels": {f"{annotation}/snapshot-storage-node": node}},
                "spec": {"snapshotName": self.path.name, "nodeName": node, "location": f"file://{self.path}"},
                "status": {"size": str(stat.st_size), "creationTime": _created(self.path), "readyToUse": True}}


def _created(path: Path) -> str:
    """The time in the name, else the file's own."""
    digits = path.name.removesuffix(".zip").rpartition("-")[2]
    seconds = int(digits) if digits.isdigit() else int(path.stat().st_mtime)
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def directory(ctx: ServerContext, asked: str = "") -> Path:
    """Where snapshots are: as asked, else etcd-snapshot-dir, else D/server/db/snapshots."""
    configured = asked or ctx.config.get("etcd-snapshot-dir")
    return Path(configured) if configured else ctx.db / "snapshots"


def found(where: Path) -> list[Snapshot]:
    """Snapshots in a directory, unfinished ones left out."""
    if not where.is_dir():
        return []
    return [Snapshot(path) for path in sorted(where.iterdir()) if path.is_file() and path.suffix != ".part"]


def _stream(ctx: ServerContext) -> Iterator[bytes]:
    tls = ctx.tls / "etcd"
    context = ssl.create_default_context(cafile=str(tls / "server-ca.crt"))
    context.load_cert_chain(tls / "client.crt", tls / "client.key")
    connection = http.client.HTTPSConnection("127.0.0.1", ctx.gateway.port, timeout=20, context=context)
    try:
        connection.request("POST", "/v3/maintenance/snapshot", "{}", {"Content-Type": "application/json"})
        response = connection.getresponse()
        while line := response.readline():
            answer = json.loads(line)
            if "result" not in answer:
                raise SnapshotError(str(answer.get("error") or answer))
            yield base64.b64decode(answer["result"].get("blob", ""))
    finally:
        connection.close()


def save(ctx: ServerContext, request: Mapping[str, Any]) -> str:
    """Write one snapshot and return its name."""
    where = directory(ctx, request.get("dir") or "")
    if any(m.is_learner for m in ctx.gateway.members() if m.name == ctx.member_name):
        raise SnapshotError("Unable to take snapshot: not supported for learner")
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{request.get('name') or 'on-demand'}-{ctx.node_name}-{int(time.time())}"
    part, size = where / f"{name}.part", 0
    part.touch(mode=0o600)
    with part.open("wb") as sink:
        for blob in _stream(ctx):
            size += sink.write(blob)
    if size % 512 != hashlib.sha256().digest_size:
        part.unlink()
        raise SnapshotError(f"sha256 checksum not found [bytes: {size}]")
    if not request.get("compress"):
        part.rename(where / name)
        return name
    with zipfile.ZipFile(where / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(part, name)
    (where / f"{name}.zip").chmod(0o600)
    part.unlink()
    return f"{name}.zip"


def prune(where: Path, prefix: str, keep: int) -> list[str]:
    """Delete the oldest snapshots of one kind; the names of those deleted."""
    kind = [snapshot.path for snapshot in found(where) if snapshot.path.name.startswith(prefix)]
    old = sorted(kind, key=lambda path: (_created(path), path.name), reverse=True)[keep:]
    for path in old:
        path.unlink()
    return [path.name for path in old]


def serve(ctx: ServerContext, request: Mapping[str, Any], api_ready: bool) -> dict[str, Any]:
    """Do what POST /db/snapshot asks."""
    where, operation = directory(ctx, request.get("dir") or ""), request.get("operation")
    if operation == "list":
        items = [snapshot.document(ctx.distro.annotation, ctx.node_name) for snapshot in found(where)]
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
    if operation == "delete":
        names = [snapshot.path.name for snapshot in found(where)]
        deleted = [name for name in request.get("name", []) if name in names]
        for name in deleted:
            (where / name).unlink()
        return {"deleted": deleted}
    if operation == "prune":
        prefix = f"{(request.get('name') or ['on-demand'])[0]}-{ctx.node_name}-"
        return {"deleted": prune(where, prefix, int(request.get("retention") or 5))}
    try:
        name = save(ctx, {**request, "name": (request.get("name") or [""])[0]})
        if not api_ready:
            # the real one waits for its clients here: the file is there, the command runs into its time-out
            time.sleep(SAVE_WAIT)
        return {"created": [name]}
    except Exception as exc:
        raise SnapshotError(log.numbered("etcd-snapshot", exc)) from exc


def table(items: Sequence[Mapping[str, Any]]) -> str:
    """Columns as Go's tabwriter makes them: one space between."""
    rows = [("Name", "Location", "Size", "Created")]
    rows += [(item["spec"]["snapshotName"], item["spec"]["location"], item["status"]["size"],
              item["status"]["creationTime"]) for item in items]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(" ".join(f"{row[column]:<{widths[column]}}" for column in range(3)) + f" {row[3]}"
                     for row in rows)


def _show(answer: dict[str, Any], kind: str) -> None:
    if kind == "json":
        print(json.dumps(answer, indent=4))
    elif kind == "yaml":
        print(yaml.safe_dump(answer, sort_keys=False), end="")
    elif kind in ("", "table", "standard"):
        print(table(answer["items"]))
    else:
        log.fatal(f"Error: invalid output format: {kind}")


def main(argv: list[str]) -> int:
    """`<program> etcd-snapshot ...`."""
    distro = DISTROS[Path(argv[0]).name]
    operation = _OPERATIONS.get(argv[2] if len(argv) > 2 else "", "")
    if not operation:
        log.fatal(f"No help topic for '{argv[2] if len(argv) > 2 else 'etcd-snapshot'}'")
    try:
        settings = config.load(distro, "etcd-snapshot", argv[3:])
    except config.UsageError as exc:
        print(f"Incorrect Usage: {exc}\n")
        log.fatal(f"Error: {exc}")
    for text in settings.warnings:
        log.warning(text)
    if operation == "save" and settings.rest:
        log.fatal("Error: unexpected arguments; too many arguments")
    text = settings.get("etcd-token")
    token_file = settings.data_dir / "server" / "token"
    if not text and token_file.exists():
        text = token_file.read_text().strip()
    names = list(settings.rest) or [settings.get("name", "on-demand")]
    request = {"operation": operation, "name": names, "dir": settings.get("etcd-snapshot-dir"),
               "compress": settings.flag("etcd-snapshot-compress"),
               "retention": 0 if operation == "save" else int(settings.get("etcd-snapshot-retention", "5"))}
    url = settings.get("etcd-server", f"https://127.0.0.1:{distro.supervisor_port}")
    try:
        supervisor = Supervisor.connect(url, tokens.parse(text))
    except RemoteError as exc:
        log.fatal(f"Error: {exc}")
    try:
        answer = json.loads(supervisor.request("POST", "/db/snapshot", json.dumps(request).encode(), 120))
    except RemoteError as exc:
        text = "context deadline exceeded" if "deadline" in str(exc) else f"see server log for details: {exc}"
        log.fatal(f"Error: {text}")
    if operation == "list":
        _show(answer, settings.get("output"))
    for name in answer.get("created", []):
        log.info(f"Snapshot {name} saved.")
    for name in answer.get("deleted", []):
        log.info(f"Snapshot {name} deleted.")
    if operation == "delete":
        for name in names:
            if name not in answer["deleted"]:
                log.warning(f"Snapshot {name} not found.")
    return 0
