# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which moments of a recovery are killed, and what its end is compared with; the lab itself is in tests/lab."""

from __future__ import annotations

import pytest

from lab.progress import LabError
from tests.lab import kills

_ACTIONS = [{"id": f"{phase}.{n}", "verb": "act", "node": f"r{n}"} for phase in range(3, 10) for n in (1, 2, 3)]
_ALL = kills.every(_ACTIONS)


def test_every_action_is_killed_before_and_after_it() -> None:
    assert [kill.name for kill in _ALL[:3]] == ["3.1:before", "3.1:after", "3.2:before"]
    assert len({kill.name for kill in _ALL}) == 2 * len(_ACTIONS)
    assert str(_ALL[1]) == "3.1:after (act on r1)"


def test_a_sample_is_that_of_its_commit_and_in_time_all_are_met() -> None:
    assert kills.sample(_ALL, 2, "abc") == kills.sample(_ALL, 2, "abc")
    many = [kills.sample(_ALL, 2, str(seed)) for seed in range(500)]
    assert {kill for each in many for kill in each} == set(_ALL)
    middle = len(_ALL) // 2
    assert all(early in _ALL[:middle] and late in _ALL[middle:] for early, late in many)
    assert kills.sample(_ALL[:1], 2, "abc") == _ALL[:1]


@pytest.mark.parametrize(("names", "found"), [
    (["5.2:after"], ["5.2:after"]), (["5.2"], ["5.2:before", "5.2:after"]),
    (["9.1:before", "3.1:after"], ["9.1:before", "3.1:after"])])
def test_kills_are_found_by_their_names(names: list[str], found: list[str]) -> None:
    assert [kill.name for kill in kills.named(_ALL, names)] == found


def test_a_kill_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match=r"no kill '5\.9'; there are: 3\.1:before"):
        kills.named(_ALL, ["3.1", "5.9"])


@pytest.mark.parametrize(("seen", "lines"), [
    ({"r1 file a 1", "r1 kept db/etcd"}, []),
    ({"r1 file a 1", "r1 kept db/etcd", "r1 kept db/etcd-old-TIME"}, []),
    ({"r1 file a 2", "r1 kept db/etcd"}, ["only here: r1 file a 2", "missing: r1 file a 1"]),
    ({"r1 file a 1", "r1 kept db/etcd", "r1 stopped kubelet"}, ["only here: r1 stopped kubelet"]),
    ({"r1 file a 1"}, ["missing: r1 kept db/etcd"])])
def test_the_end_is_compared(seen: set[str], lines: list[str]) -> None:
    assert kills.difference(seen, {"r1 file a 1", "r1 kept db/etcd"}) == lines


def test_what_a_start_of_the_distribution_works_in_is_missed_by_nobody() -> None:
    assert kills.difference(set(), {"r3 kept server/db/etcd-tmp", "r3 kept server/db/etcd"}) == [
        "missing: r3 kept server/db/etcd"
    ]
