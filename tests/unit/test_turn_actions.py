# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done in a turn, by actions whose scripts are answered by a cluster of three in memory."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import member_remove, node_forget, node_settle, quorum_margin
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

JSON = dict[str, Any]


class Cluster:
    """Members r1 (leader), r2 and r3, a Node for each; r1 answers."""

    def __init__(self, *, api: bool = True, finalizer: bool = True) -> None:
        self.api, self.finalizer = api, finalizer
        self.members = [1, 2, 3]
        self.nodes = ["r1", "r2", "r3"]
        self.calls: list[str] = []
        self.leases = 1
        """So often an API server that was killed is still told as an endpoint."""

    def answer(self, name: str, given: JSON) -> _node.Done:
        if name == "look":
            return _node.Done(0, self.look(1), "")
        if name == "member":
            self.calls.append(f"{given['CALL']} m{given['ID']}")
            self.members.remove(int(given["ID"]))
            return _node.Done(0, "{}", "")
        if name == "nodes":
            return self.listed()
        raise AssertionError(name)

    def __call__(self, request: _api.Request) -> _api.Answer:
        """Its API."""
        if not self.api:
            return _api.Answer("NoAnswer", "refused")
        name = request.name
        if name not in self.nodes:
            return _api.Answer("NotFound")
        if request.verb == "delete":
            assert request.body and request.body["preconditions"] == {"uid": f"of {name}"}
            self.calls.append(f"delete {name}")
            self.nodes.remove(name)
            if self.finalizer:
                self.members.remove(int(name[1:]))
        return _api.Answer("", "", {"kind": "Node", "metadata": {"uid": f"of {name}"}})

    def listed(self) -> _node.Done:
        """What sh/nodes.sh says: clock, Nodes, endpoints, Leases."""
        if not self.api:
            return _node.Done(1, "", "refused")
        self.leases -= 1
        own = [3] if self.leases >= 0 and 3 not in self.members else []
        slices = {"endpoints": [{"addresses": [f"10.0.0.1{n}"]} for n in [*self.members, *own]]}
        return _node.Done(0, "\n".join(["5", '{"items": []}', json.dumps(slices), '{"items": []}']), "")

    def look(self, number: int) -> str:
        header = {"member_id": str(number), "cluster_id": "9", "revision": "5"}
        listed = [
            {"ID": str(n), "name": f"r{n}-0000000{n}", "peerURLs": [f"https://10.0.0.1{n}:2380"]} for n in self.members
        ]
        blocks = {
            "unit": "ActiveState=active",
            "health": json.dumps({"health": "true"}),
            "status": json.dumps({"header": header, "leader": "1"}),
            "members": json.dumps({"members": listed}),
        }
        return "".join(f"@@ {key} 0\n {text}\n" for key, text in blocks.items())


@pytest.fixture(autouse=True)
def on_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_node_api, "on_host", lambda action, **_how: _api.Api(action.cluster, where="r1", seconds=0))


def acting(kind: type[PlanAction], cluster: Cluster, folder: Path, *, leaves: bool = True, turn: str = "r3") -> Any:
    """An action of this kind on r1, for the server whose turn it is."""

    class Acting(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self.host, self.turn, self.run_dir, self.vars = "r1", turn, str(folder), {}
            self.cluster = cluster
            self._task = SimpleNamespace(check_mode=False, args={})
            self.plan = {
                "needs": {turn: "leaves" if leaves else "rejoin"},
                "nodes": {turn: ["r3"]},
                "anchors": {turn: "r1"},
                "survivor": "r1",
                "members": [],
                "servers": [
                    {"name": f"r{n}", "node": f"r{n}", "address": f"10.0.0.1{n}", "need": "x", "member_id": f"{n}"}
                    for n in (1, 2, 3)
                ],
            }

        def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **given: str) -> _node.Done:
            return cluster.answer(name, given)

        def timeout(self, name: str, default: float) -> float:
            return 0.1

        def say(self, text: str) -> None:
            pass

    return Acting()


def test_a_deleted_node_takes_its_member_along_and_its_manifest_is_kept(tmp_path: Path) -> None:
    cluster = Cluster()
    path = tmp_path / "nodes" / "r3.json"
    assert acting(node_forget.ActionModule, cluster, tmp_path).do_forget() == f"Node r3 deleted; kept: {path}"
    assert cluster.calls == ["delete r3"]
    assert cluster.leases < 0  # it has waited until the API server was no endpoint any more
    assert json.loads(path.read_text())["metadata"] == {"uid": "of r3"}
    assert cluster.members == [1, 2]
    again = acting(node_forget.ActionModule, cluster, tmp_path)
    assert again.do_forget() == "no Node r3 is left"


@pytest.mark.parametrize(
    ("cluster", "calls"),
    [
        (Cluster(api=False), ["remove m3"]),
        (Cluster(finalizer=False), ["delete r3", "remove m3"]),
    ],
    ids=["no API", "no finalizer"],
)
def test_otherwise_the_gateway_removes_it(cluster: Cluster, calls: list[str], tmp_path: Path) -> None:
    said = acting(node_forget.ActionModule, cluster, tmp_path).do_forget()
    assert cluster.calls == calls
    assert cluster.members == [1, 2]
    assert "member r3-00000003 removed through the gateway" in said


def test_the_new_member_of_a_renamed_server_is_not_removed_with_its_old_node(tmp_path: Path) -> None:
    cluster = Cluster(finalizer=False)
    action = acting(node_forget.ActionModule, cluster, tmp_path, leaves=False, turn="r2")
    action.do_forget()  # r2 bore the name r3 before
    assert cluster.members == [1, 2]


def test_in_a_turn_only_its_own_member_is_removed(tmp_path: Path) -> None:
    cluster = Cluster()
    action = acting(member_remove.ActionModule, cluster, tmp_path)
    assert action.do_remove() == "no member of r3 is listed"
    assert cluster.calls == ["remove m3"]


@pytest.mark.parametrize(
    ("working", "turn", "leaves", "why"),
    [
        ([1, 2, 3], "r3", True, ""),
        ([1, 2], "r3", False, ""),
        ([1, 2], "r3", True, ""),
        ([1, 2], "r2", True, "r2 cannot leave now: when it is removed, 1 of 2 voters work, and 2 are needed"),
        ([], "r3", False, "r3 cannot join now: no server says that it sees a leader"),
    ],
)
def test_room(working: list[int], turn: str, leaves: bool, why: str, tmp_path: Path) -> None:
    cluster = Cluster()
    action = acting(quorum_margin.ActionModule, cluster, tmp_path, leaves=leaves, turn=turn)
    looks = [{"requorum_look": {"name": f"r{n}", "out": cluster.look(n)}} for n in working]
    action._task.args["looks"] = looks
    if why:
        with pytest.raises(RequorumError, match=why):
            action.do_room()
    else:
        assert "voters will work" in action.do_room()


def test_a_turn_is_about_one_server_where_a_voter_acts_for_it() -> None:
    action = acting(node_settle.ActionModule, Cluster(), Path())
    assert [server["name"] for server in action.in_turn] == ["r3"]
    action.plan["anchors"] = {}
    assert action.in_turn == []
