# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the quorum stands without a member or with one more, for every number of members that work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _margin


def look(number: int, size: int, *, learners: int = 0, **other: Any) -> _look.Look:
    """Server number (1, 2, ...) of a cluster, which works and sees member 1 lead."""
    listed = tuple(
        {"id": f"a{n}", "name": f"r{n}-0000000{n}", "peer_urls": [f"https://10.0.0.{n}:2380"], "learner": n > size}
        for n in range(1, size + learners + 1)
    )
    given: dict[str, Any] = {
        "unit": "active", "restarts": 0, "ping": True, "health": _look.HEALTHY, "leader": "a1", "revision": 9,
        "member_id": f"a{number}", "cluster_id": "c", "members": listed, "ready": True, "readyz": "ok",
    }  # fmt: skip
    return _look.Look(**given | other)


def cluster(members: int, working: int, learners: int = 0) -> _margin.Margin:
    return _margin.margin([look(n, members, learners=learners) for n in range(1, working + 1)])


@pytest.mark.parametrize(
    ("members", "working", "stop_last", "stop_first", "remove_last", "add"),
    [  # the last one is dead where not all work; the first one works
        (1, 1, True, True, False, True),
        (2, 2, False, False, True, True),
        (3, 3, True, True, True, True),
        (3, 2, True, False, True, True),
        (4, 4, True, True, True, True),
        (4, 3, True, False, True, True),
        (5, 5, True, True, True, True),
        (5, 4, True, True, True, True),
        (5, 3, True, False, True, True),
    ],
)
def test_margin(members: int, working: int, stop_last: bool, stop_first: bool, remove_last: bool, add: bool) -> None:
    seen = cluster(members, working)
    assert not seen.fault
    assert (seen.why_not_stop(f"a{members}") == "") == stop_last
    assert (seen.why_not_stop("a1") == "") == stop_first
    assert (seen.why_not_remove(f"a{members}") == "") == remove_last
    assert (seen.why_not_add() == "") == add


def test_a_removal_that_leaves_no_quorum_is_forbidden() -> None:
    assert "1 of 2 voters work, and 2 are needed" in cluster(3, 2).why_not_remove("a1")
    assert cluster(3, 2).why_not_remove("a3") == ""


def test_a_learner_counts_for_nothing() -> None:
    seen = cluster(2, 3, learners=1)
    assert [voter.id for voter in seen.voters] == ["a1", "a2"]
    assert seen.working == {"a1", "a2"}
    assert seen.why_not_stop("a3") == ""
    assert "1 of 2 voters work" in seen.why_not_stop("a2")


@pytest.mark.parametrize(
    ("looks", "fault"),
    [
        ([], "no server says that it sees a leader"),
        ([look(1, 3, health="etcd: RAFT NO LEADER")], "no server says that it sees a leader"),
        ([look(1, 3, leader=None)], "no server says that it sees a leader"),
        ([look(1, 3, members=None)], "no server says that it sees a leader"),
        ([look(1, 3), look(2, 3, cluster_id="d")], "servers of more than one cluster answer"),
        ([look(1, 3), look(2, 3, leader="a2")], "servers name different leaders: an election goes on"),
    ],
)
def test_what_is_not_known_forbids_everything(looks: list[_look.Look], fault: str) -> None:
    seen = _margin.margin(looks)
    assert {seen.why_not_stop("a1"), seen.why_not_remove("a1"), seen.why_not_add()} == {fault}


@given(st.integers(1, 9), st.data())
def test_whatever_is_allowed_leaves_a_quorum(members: int, data: st.DataObject) -> None:
    alive = data.draw(st.sets(st.integers(1, members), min_size=members // 2 + 1))
    target = data.draw(st.integers(1, members))
    seen = _margin.margin([look(n, members) for n in sorted(alive)])
    if not seen.why_not_stop(f"a{target}") and members > 1:
        assert len(alive - {target}) > members // 2
    if not seen.why_not_remove(f"a{target}"):
        assert len(alive - {target}) > (members - 1) // 2
