# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lab tests go with a commit."""

from __future__ import annotations

from tests.lab.conftest import ALWAYS, chosen

MODULES = [*(f"test_{number}" for number in range(9)), *ALWAYS]


def test_a_part_of_them_and_the_same_ones_for_one_commit() -> None:
    once = chosen(MODULES, "a1b2")
    assert once == chosen(list(reversed(MODULES)), "a1b2")
    assert len(set(once) - set(ALWAYS)) in (3, 4) and set(ALWAYS) <= set(once)
    assert chosen(["test_one"], "a1b2") == ["test_one"]


def test_each_has_its_turn() -> None:
    turns = [chosen(MODULES, f"commit {number}") for number in range(40)]
    assert {name for turn in turns for name in turn} == set(MODULES)
    assert all(sum(name in turn for turn in turns) < 40 for name in MODULES if name not in ALWAYS)
