# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""plan.json beside the plan itself: what later phases, the report and a rollback need to know of the nodes."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from . import _cleanup
from ._classify import Case
from ._plan import Plan
from ._rollback_beyond import accepted, reached
from ._rollback_parts import Record, backs
from ._server import Server
from ._turns import Ask

JSON = dict[str, t.Any]


def of_nodes(case: Case, plan: Plan, ask: Ask, purpose: str) -> JSON:
    """What the later phases and the report need to know of the nodes."""
    entries = ask.entries
    needs = dict(case.needs) | plan.needs
    if purpose == "repair":  # it leaves servers alone that must join again
        needs |= dict.fromkeys(case.having("rejoin", "promote"), "stays_off")
    return {
        "version": next((entry["version"] for entry in entries if entry.get("version")), None),
        "servers": [
            of_server(server, needs.get(server.name, "unknown"), entry)
            for server, entry in zip(case.servers, entries, strict=False)
        ],
        "members": [asdict(member) for member in case.members],
        "ranking": [server.name for server in case.base],
        "enable": any(
            (entry.get("unit") or {}).get("UnitFileState") == "enabled"
            or "enabled=enabled" in (entry.get("journal") or ())
            for entry in entries
        ),
        "agent_nodes": [
            (e.get("program") or {}).get("node_name") or e["hostname"] for e in entries if e["name"] in ask.agents
        ],
    }


def of_server(server: Server, need: str, entry: t.Mapping[str, t.Any]) -> JSON:
    """What the later phases and the report need to know of a server."""
    authority = next(
        (c["subject"] for c in entry.get("certificates") or () if c["path"].endswith("/tls/server-ca.crt")), None
    )
    return {
        "name": server.name,
        "node": (entry.get("program") or {}).get("node_name") or entry.get("hostname") or server.name,
        "address": server.address,
        "need": need,
        "reachable": server.reachable,
        "etcd": server.etcd,
        "store": server.store,
        "fault": server.fault,
        "leader": server.leader,
        "cluster_id": server.cluster_id,
        "member_id": server.member_id,
        "term": server.term,
        "index": server.index,
        "revision": server.revision,
        "bytes": server.store_bytes,
        "authority": authority,
        "tokens": [word for key, word in (entry.get("token") or {}).items() if key == "in-force"],
        "own_token": (entry.get("token") or {}).get("server"),
        "error": entry.get("error"),
    }


def of_earlier(case: Case, plan: Plan, ask: Ask, purpose: str) -> JSON:
    """What is undone or removed of what earlier runs have left."""
    if purpose == "cleanup":
        return {"clean": _cleanup.paths(ask) if plan.actions else {}}
    record: Record | None = ask.options["record"]
    if not record:
        return {}
    return {
        "back": [asdict(back) for back in backs(record, ask.entries, case.servers)],
        "undoes": record.stamp,
        "reached": reached(case.servers),
        "accepted": accepted(ask.options),
    }
