# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joining an existing etcd cluster as a learner."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from . import log, proc
from .context import ServerContext
from .distro import LAB_BIN
from .etcd import PEER_PORT, Member
from .remote import RemoteError, Supervisor

_RETRY = 1.0
DUPLICATE = "duplicate node name found, please use a unique name for this node"


class JoinError(Exception):
    """The cluster does not take this server."""


def parse_members(rows: Sequence[dict[str, Any]]) -> list[Member]:
    """Member list as a supervisor's /db/info answers it."""
    return [Member(int(row["ID"]), row.get("name", ""), tuple(row.get("peerURLs", [])),
                   tuple(row.get("clientURLs", [])), bool(row.get("isLearner"))) for row in rows]


def plan(members: Sequence[Member], node: str, name: str, peer_url: str) -> tuple[list[str], bool]:
    """initial-cluster entries of the members there are, and whether this one has to be added first."""
    entries, add = [], True
    for member in members:
        own = member.name or (name if peer_url in member.peer_urls else "")
        if own.rpartition("-")[0] == node and own != name:
            raise JoinError(DUPLICATE)
        add = add and own != name
        entries += [f"{own}={url}" for url in member.peer_urls[:1]]
    return entries, add


def _add(ctx: ServerContext, members: Sequence[Member], peer_url: str) -> str:
    """Add this server through the members' client URLs; empty on success, else etcd's error."""
    endpoints = ",".join(url for member in members for url in member.client_urls if not member.is_learner)
    tls = ctx.tls / "etcd"
    done = subprocess.run(
        [str(LAB_BIN / "etcdctl"), f"--endpoints={endpoints}", f"--cacert={tls / 'server-ca.crt'}",
         f"--cert={tls / 'client.crt'}", f"--key={tls / 'client.key'}", "--command-timeout=20s", "--dial-timeout=5s",
         "member", "add", "joining", "--learner", f"--peer-urls={peer_url}", "-w", "json"],
        capture_output=True, text=True, check=False, env=proc.child_env())
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    return (errors or done.stderr.splitlines() or ["unknown error"])[-1].removeprefix("Error: ").strip()


def join(ctx: ServerContext, supervisor: Supervisor, name: str) -> dict[str, str]:
    """Become a learner, waiting for other learners to be promoted; returns the initial-* keys for etcd."""
    peer_url = f"https://{ctx.node_ip}:{PEER_PORT}"
    while True:
        try:
            members = parse_members(supervisor.json("/db/info")["members"])
        except (RemoteError, json.JSONDecodeError, KeyError) as exc:
            log.info(f"Waiting to retrieve etcd cluster member list: {exc}")
            time.sleep(_RETRY)
            continue
        try:
            entries, add = plan(members, ctx.node_name, name, peer_url)
        except JoinError:
            (ctx.etcd / "name").unlink(missing_ok=True)
            raise
        if add:
            log.info(f"Adding member {name}={peer_url} to etcd cluster [{' '.join(str(m) for m in members)}]")
            error = _add(ctx, members, peer_url)
            if "learner" in error or "unhealthy" in error:
                log.info(f"Waiting for other members to finish joining etcd cluster: {error}")
                time.sleep(_RETRY)
                continue
            if error:
                log.info(f"Retrying etcd cluster join: {error}")
                time.sleep(_RETRY)
                continue
            entries.append(f"{name}={peer_url}")
        return {"initial-advertise-peer-urls": peer_url, "initial-cluster": ",".join(entries),
                "initial-cluster-state": "existing"}
