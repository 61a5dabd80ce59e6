# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the survivor must see of its peers before a reset."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action.node_fence import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _fence
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._node import Done

PEERS = [{"name": "r2", "address": "10.0.0.12"}, {"name": "r3", "address": "10.0.0.13"}]
ASKED = _fence.targets(PEERS, "rke2")


def answers(**said: str) -> str:
    """All ports refused, but those that are given: r2_2379="open"."""
    addresses = {"10.0.0.12": "r2", "10.0.0.13": "r3"}
    return "\n".join(
        f"{place} {port} {said.get(f'{addresses[place]}_{port}', said.get(addresses[place], 'refused'))}"
        for place, port in ASKED
    )


def test_targets() -> None:
    assert [port for place, port in ASKED if place == "10.0.0.12"] == [2379, 2380, 9345, 6443, 22]
    assert [port for _place, port in _fence.targets(PEERS[:1], "k3s")] == [2379, 2380, 6443, 22]


@pytest.mark.parametrize(
    ("powered_off", "out", "fault"),
    [
        ((), answers(), ""),
        ((), answers(r2_22="open", r3_22="open"), ""),
        ((), answers(r2="silent", r3="silent"), ""),
        (("r2", "r3"), answers(r2="silent", r3="silent"), ""),
        (("r3",), answers(r2_22="open", r3="silent"), ""),
        ((), answers(r2_2380="open"), "r2 (10.0.0.12) still answers on port 2380."),
        ((), answers(r3_9345="open", r3_2379="open"), "r3 (10.0.0.13) still answers on port 2379, 9345."),
        (("r3",), answers(r3="silent", r3_6443="open"), "r3 (10.0.0.13) still answers on port 6443."),
        (("r3",), answers(), "r3 is named in requorum_powered_off, but the host at 10.0.0.13 answers."),
        (
            ("r3",),
            answers(r3="silent", r3_22="open"),
            "r3 is named in requorum_powered_off, but the host at 10.0.0.13 answers.",
        ),
        ((), answers(r2_2380="unknown"), "Port 2380 of r2 could not be looked at."),
        (("r3",), answers(r3="silent", r3_22="unknown"), "Port 22 of r3 could not be looked at."),
        (
            (),
            "\n".join(line for line in answers().split("\n") if "13 2379" not in line),
            "Port 2379 of r3 could not be looked at.",
        ),
    ],
)
def test_judge(powered_off: tuple[str, ...], out: str, fault: str) -> None:
    assert _fence.judge(PEERS, powered_off, ASKED, out) == ([fault] if fault else [])


@pytest.mark.parametrize("out", ["", "sh: curl: not found", "10.0.0.12 2379"])
def test_no_answer_is_no_proof(out: str) -> None:
    assert len(_fence.judge(PEERS, (), ASKED, out)) == 2


class Fencing(ActionModule):
    """A host whose etcd sees this leader (0: none)."""

    stamp = "20261129T181400Z"

    def __init__(self, case: str, need: str, leader: int) -> None:
        self.host, self.leader, self.called = "r3", leader, list[str]()
        self.plan = {"case": case, "servers": [{"name": "r3", "need": need, "etcd": "stopped"}]}

    def script(self, name: str, **_options: Any) -> Done:
        self.called.append(name)
        return Done(0, f'@@ status 0\n {{"leader": "{self.leader}"}}\n' if name == "look" else "", "")


def test_a_host_that_has_begun_to_take_part_since_it_was_looked_at_is_not_stopped() -> None:
    host = Fencing("member_lost", "rejoin", leader=7)
    with pytest.raises(RequorumError, match="etcd on r3 may run, and the quorum may stand by it"):
        host.do_fence()
    assert host.called == ["look"]


@pytest.mark.parametrize(
    ("case", "need", "leader", "called"),
    [
        ("member_lost", "rejoin", 0, ["look", "fence"]),
        ("quorum_lost", "rejoin", 7, ["fence"]),
        ("member_lost", "nothing", 7, ["fence"]),
    ],
)
def test_others_are_stopped(case: str, need: str, leader: int, called: list[str]) -> None:
    host = Fencing(case, need, leader)
    assert host.do_fence().startswith("etcd and kube-apiserver are gone")
    assert host.called == called


@pytest.mark.parametrize(
    ("out", "seen"),
    [
        (answers(), True),
        (answers(r2="unknown", r3="unknown", r3_22="silent"), True),
        (answers(r2="unknown", r3="unknown"), False),
        ("sh: curl: not found", False),
        ("", False),
    ],
)
def test_a_tool_that_answers_nothing_has_seen_nobody(out: str, seen: bool) -> None:
    assert _fence.seen(ASKED, out) is seen
    assert _fence.seen([], "")
