# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lab tests CI begins with at a commit."""

from __future__ import annotations

from itertools import pairwise

from tests.lab.conftest import FIRST, turned

MODULES = [*(f"test_{number}" for number in range(9)), FIRST]


def test_all_of_them_in_the_same_order_for_one_commit() -> None:
    once = turned(MODULES, "a1b2")
    assert once == turned(MODULES, "a1b2")
    assert sorted(once) == sorted(MODULES) and once[0] == FIRST
    assert turned(["test_one"], "a1b2") == ["test_one"] and turned([FIRST], "a1b2") == [FIRST] and turned([], "") == []


def test_each_is_the_first_one_day_and_they_follow_each_other_as_ever() -> None:
    turns = [turned(MODULES, f"commit {number}")[1:] for number in range(60)]
    assert {turn[0] for turn in turns} == {*MODULES} - {FIRST}
    assert all(f"{a} {b}" in " ".join(turn + turn) for turn in turns for a, b in pairwise(MODULES[:-1]))
