# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for the states of servers, so that a table of cases reads like a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils._server import Member, Server

SERVERS = ("r1", "r2", "r3", "r4", "r5")


def of(names: str, *, learners: str = "") -> tuple[Member, ...]:
    """The member list of a cluster: member m1 runs on r1, m2 on r2."""
    return tuple(
        Member(f"m{name[1:]}", f"{name}-0000000{name[1:]}", f"10.0.0.1{name[1:]}", name in learners.split())
        for name in names.split()
    )


THREE = of("r1 r2 r3")


def server(name: str, **facts: Any) -> Server:
    return replace(Server(name, address=f"10.0.0.1{name[1:]}"), **facts)


def stopped(name: str, **facts: Any) -> Server:
    """etcd does not run; the datastore is whole."""
    given = {"etcd": "stopped", "store": "intact", "cluster_id": "A", "member_id": f"m{name[1:]}", "members": THREE}
    return server(name, **given | {"term": 3, "index": 100, "revision": 100, "unit": False} | facts)


def voting(name: str, **facts: Any) -> Server:
    return stopped(name, **{"etcd": "voting", "unit": True, "gateway": True, "api": True} | facts)


def leaderless(name: str, **facts: Any) -> Server:
    return stopped(name, **{"etcd": "leaderless", "unit": True, "gateway": True} | facts)


def learning(name: str, **facts: Any) -> Server:
    return voting(name, **{"etcd": "learning", "api": False} | facts)


def wiped(name: str, **facts: Any) -> Server:
    """A new disk under the old name."""
    return server(name, **{"etcd": "stopped", "store": "absent", "unit": False} | facts)


def damaged(name: str, **facts: Any) -> Server:
    return server(name, **{"etcd": "stopped", "store": "damaged", "fault": "no meta page", "unit": False} | facts)


def unread(name: str, **facts: Any) -> Server:
    """It answers, and nothing about etcd can be read."""
    return server(name, **{"etcd": "unknown", "store": "unknown"} | facts)


def silent(name: str, **facts: Any) -> Server:
    """It does not answer, and nobody says why."""
    return server(name, **{"reachable": False} | facts)


def off(name: str, **facts: Any) -> Server:
    """It does not answer, and a person says that its power is cut."""
    return server(name, **{"reachable": False, "powered_off": True} | facts)
