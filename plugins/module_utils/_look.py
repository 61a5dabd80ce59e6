# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The short answer of a server that is starting (sh/look.sh), and what it means."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _answers, _blocks, _server

HEALTHY = "etcd healthy"


@dataclass(frozen=True)
class Look:
    """One look at a server. Everything that did not answer is False, None or empty."""

    unit: str
    restarts: int
    ping: bool
    health: str
    leader: str | None
    member_id: str | None
    cluster_id: str | None
    revision: int
    members: tuple[dict[str, t.Any], ...] | None
    ready: bool
    readyz: str

    @property
    def healthy(self) -> bool:
        """/health reads through the quorum."""
        return self.health == HEALTHY

    @property
    def seen(self) -> str:
        """For a line of progress."""
        members = (
            "no member list"
            if self.members is None
            else "members "
            + ", ".join((m["name"] or "unstarted") + ("(learner)" if m["learner"] else "") for m in self.members)
        )
        words = [
            f"unit {self.unit or 'unknown'}",
            "supervisor answers" if self.ping else "supervisor silent",
            self.health or "etcd silent",
            members,
        ]
        return ", ".join(words + ([f"readyz {self.readyz[:60]}"] if self.readyz else []))


def parse(out: str) -> Look:
    """Read the blocks of sh/look.sh."""
    blocks = _blocks.Blocks(out)
    unit = blocks.pairs("unit")
    health = _blocks.loads(blocks.text("health"))
    status = _blocks.loads(blocks.text("status")) or {}
    listed = _blocks.loads(blocks.text("members")) or {}
    head = status.get("header") or {}
    readyz = (blocks.text("readyz") or "").strip()
    return Look(
        unit=unit.get("ActiveState", ""),
        restarts=int(unit.get("NRestarts") or 0),
        ping=(blocks.text("ping") or "").strip() == "pong",
        health="" if health is None else HEALTHY if health.get("health") == "true" else f"etcd: {health.get('reason')}",
        leader=f"{int(status['leader']):x}" if int(status.get("leader") or 0) else None,
        member_id=f"{int(head['member_id']):x}" if head.get("member_id") else None,
        cluster_id=f"{int(head['cluster_id']):x}" if head.get("cluster_id") else None,
        revision=int(head.get("revision") or 0),
        members=tuple(_answers.member(entry) for entry in listed["members"]) if "members" in listed else None,
        ready=readyz == "ok",
        readyz=readyz,
    )


def missing_voters(look: Look, servers: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """Names of the servers that are no voters yet; a server is found by its node name or its peer address."""
    voters = [_server.member(entry) for entry in look.members or () if not entry["learner"] and entry["name"]]
    names, places = {voter.node for voter in voters}, {voter.address for voter in voters}
    return [server["name"] for server in servers if server["node"] not in names and server["address"] not in places]


def members_of(
    members: t.Iterable[_server.Member], servers: t.Collection[t.Mapping[str, t.Any]], name: str
) -> list[_server.Member]:
    """Members that belong to a server, by the name of its Node, by its peer address, or by its name in the inventory
    where no other server's Node bears it.
    """
    mine = {word for server in servers if server["name"] == name for word in (server["node"], server["address"])}
    others = {server["node"] for server in servers if server["name"] != name}
    words = (mine | ({name} - others)) - {""}
    return [member for member in members if {member.node, member.address} & words]
