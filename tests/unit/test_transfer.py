# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a copy takes is known before it begins, and changes no plan's id."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _report_words, _transfer
from tests.unit.test_plan import plan

GIB = 1 << 30


@pytest.mark.parametrize(
    ("latency", "line", "calls"),
    [(0.2, 600_000, 2), (0.05, 20_000_000, 3), (0.6, 5_000, 2), (0.01, 10**12, 3)],
)
def test_the_line_is_tried_with_as_little_as_tells(latency: float, line: int, calls: int) -> None:
    asked = list[int]()

    def took(size: int) -> float:
        asked.append(size)
        return latency + size / line

    found = _transfer.rate(took)
    assert len(asked) == calls
    assert found == pytest.approx(min(line, (1 << 23) / 0.01), rel=0.01)


@pytest.mark.parametrize("silent", [0, 1 << 18])
def test_a_call_that_fails_tells_nothing(silent: int) -> None:
    assert _transfer.rate(lambda size: None if size == silent else 1.0 + size) is None


@pytest.mark.parametrize("size", [0, 1 << 18])
def test_the_shell_answers_that_many_bytes(size: int) -> None:
    said = subprocess.run(["/bin/sh", "-c", _transfer.command(size)], capture_output=True, check=True)
    assert len(said.stdout) == size


def test_a_plan_says_what_its_copies_take() -> None:
    before = plan("drill")
    entries = [
        {"name": "r1", "datastore": {"bytes": 3 * GIB}, "line": 600_000},
        {"name": "r2", "datastore": None, "line": None},
    ]
    after, told = _transfer.expected(before, entries)
    assert told == {"node": "r1", "bytes": 3 * GIB, "bytes_per_s": 600_000}
    assert after.plan_id == before.plan_id
    slower = {a.id: a.expect_s - b.expect_s for a, b in zip(after.actions, before.actions, strict=True)}
    assert {i for i, more in slower.items() if more} == {a.id for a in after.actions if a.verb in ("snapshot", "save")}
    assert {more for more in slower.values() if more} == {3 * GIB // 600_000}


def test_a_small_datastore_is_not_told_of() -> None:
    assert _transfer.expected(plan("drill"), [{"name": "r1", "datastore": {"bytes": 4096}}]) == (plan("drill"), None)


def test_the_report_of_a_dry_run_says_it() -> None:
    told = {"node": "r1", "bytes": 3 * GIB, "bytes_per_s": 600_000}
    action = {"node": "r1", "phase": 3, "expect_s": 5372}
    report = {"run": {"mode": "check"}, "plan": [action], "transfer": told}
    assert "3.2 GB off r1 at 600.0 kB/s or more" in _report_words.tiles(report)[0][2]
