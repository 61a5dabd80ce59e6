# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a server that is starting."""

from __future__ import annotations

import json

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _look

HEAD = {"cluster_id": "6392944180960766693", "member_id": "12201987836031469614", "revision": "1435", "raft_term": "2"}
MEMBERS = [
    {"ID": "12201987836031469614", "name": "r1-acac502c", "peerURLs": ["https://10.89.0.21:2380"]},
    {"ID": "3684389900785838211", "name": "r2-c4a09fbf", "peerURLs": ["https://10.89.0.22:2380"], "isLearner": True},
    {"ID": "17375417201600540370", "peerURLs": ["https://10.89.0.23:2380"]},
]
R1 = f"{12201987836031469614:x}"
SERVERS = [{"name": name, "node": name, "address": f"10.89.0.2{name[1]}"} for name in ("r1", "r2", "r3")]


def out(
    *,
    ping: str = "pong",
    health: str = '{"health":"true","reason":""}',
    leader: str = HEAD["member_id"],
    readyz: str = "ok",
) -> str:
    status = {"header": HEAD, "raftTerm": "2"} | ({"leader": leader} if leader else {})
    members = {"header": HEAD, "members": MEMBERS}
    return (
        "@@ unit 0\n ActiveState=active\n SubState=running\n NRestarts=2\n Result=success\n"
        f"@@ ping 0\n {ping}\n@@ health 0\n {health}\n"
        f"@@ status 0\n {json.dumps(status)}\n@@ members 0\n {json.dumps(members)}\n@@ readyz 0\n {readyz}\n"
    )


def test_running_server() -> None:
    look = _look.parse(out())
    assert (look.unit, look.restarts, look.ping, look.ready) == ("active", 2, True, True)
    assert (look.leader, look.member_id, look.cluster_id, look.revision) == (R1, R1, f"{6392944180960766693:x}", 1435)
    assert look.members is not None and [member["learner"] for member in look.members] == [False, True, False]
    assert look.seen == (
        "unit active, supervisor answers, etcd healthy, members r1-acac502c, r2-c4a09fbf(learner), unstarted, readyz ok"
    )


def test_server_without_a_leader() -> None:
    look = _look.parse(out(health='{"health":"false","reason":"RAFT NO LEADER"}', leader="", readyz="timeout"))
    assert (look.leader, look.ready, look.health) == (None, False, "etcd: RAFT NO LEADER")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@@ unit 0\n",
        "@@ unit 0\n NRestarts=\n@@ ping 0\n \n@@ health 0\n \n@@ status 0\n \n@@ members 0\n \n",
        '@@ ping 0\n curl: (7)\n@@ health 0\n <html>\n@@ status 0\n {"code":14}\n@@ members 0\n {"code":14}\n',
    ],
    ids=["nothing", "no unit", "silent", "errors"],
)
def test_what_does_not_answer_is_nothing(text: str) -> None:
    look = _look.parse(text)
    assert (look.ping, look.ready, look.leader, look.member_id, look.cluster_id, look.revision) == (
        False,
        False,
        None,
        None,
        None,
        0,
    )
    assert look.members is None
    assert look.restarts == 0
    assert "supervisor silent" in look.seen and "no member list" in look.seen


def test_missing_voters() -> None:
    """A learner and a member that never started are none yet."""
    assert _look.missing_voters(_look.parse(out()), SERVERS) == ["r2", "r3"]
    assert _look.missing_voters(_look.parse(""), SERVERS) == ["r1", "r2", "r3"]


def test_a_voter_is_found_by_its_address_when_the_node_has_another_name() -> None:
    servers = [{"name": "first", "node": "server-1", "address": "10.89.0.21"}]
    assert _look.missing_voters(_look.parse(out()), servers) == []
