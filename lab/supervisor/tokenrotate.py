# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`token rotate`: the command, and what the server does when it is asked for it."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path

from . import bootstrap, log, tokens
from .config import SCALAR, UsageError, parse_args
from .context import ServerContext
from .distro import DISTROS
from .pki import write
from .remote import RemoteError, Supervisor

_FLAGS = dict.fromkeys(("token", "new-token", "server", "data-dir"), SCALAR)
_RECORD = ("\033[33mWARNING\033[0m: Recommended to keep a record of the old token. If restoring from a snapshot, "
           "you must use the token associated with that snapshot.")


def rotate(ctx: ServerContext, new: str) -> None:
    """Change cred/passwd, the token file and the key of the bootstrap data; who is authorised changes at a restart."""
    path = ctx.cred / "passwd"
    known = {row.split(",")[1]: row.split(",")[0] for row in path.read_text().splitlines()}
    new = new or secrets.token_hex(16)
    agent = new if known["node"] == known["server"] and not ctx.config.get("agent-token") else known["node"]
    write(path, tokens.passwd(ctx.distro.name, new, agent).encode(), 0o600)
    pem = (ctx.tls / "server-ca.crt").read_bytes()
    write(ctx.server / "token", f"{tokens.secure(pem, 'server', new)}\n".encode(), 0o600)
    old_key = tokens.bootstrap_key(known["server"])
    if bootstrap.read(ctx.gateway, known["server"]) is None:
        raise bootstrap.BootstrapError("failed to find bootstrap data in datastore")
    if old_key == tokens.bootstrap_key(new) and len(ctx.gateway.range("/bootstrap/", prefix=True)) > 1:
        raise bootstrap.BootstrapError("found multiple bootstrap keys in storage")
    bootstrap.replace(ctx, new, bootstrap.from_disk(ctx))
    if old_key != tokens.bootstrap_key(new):
        ctx.gateway.delete(old_key)


def main(argv: list[str]) -> int:
    """`<program> token rotate [--token OLD] --new-token NEW`."""
    distro, command = DISTROS[Path(argv[0]).name], argv[2] if len(argv) > 2 else ""
    if command != "rotate":
        log.fatal(f"Error: No help topic for '{command}'")
    try:
        given = dict(parse_args(argv[3:], _FLAGS)[0])
    except UsageError as exc:
        log.fatal(f"Error: {exc}")
    print(_RECORD, flush=True)
    folder = Path(given.get("data-dir", str(distro.data_dir))) / "server"
    text = given.get("token") or os.environ.get(f"{distro.name.upper()}_TOKEN", "")
    try:
        supervisor = Supervisor.connect(given.get("server", f"https://127.0.0.1:{distro.supervisor_port}"),
                                        tokens.parse(text or (folder / "token").read_text().strip()))
        body = json.dumps({"newToken": given.get("new-token", "")}).encode()
        supervisor.request("PUT", f"/v1-{distro.name}/token", body)
    except (OSError, RemoteError) as exc:
        log.fatal(f"Error: {exc}")
    time.sleep(1)
    print(f"Token rotated, restart {distro.name} nodes with new token")
    return 0
