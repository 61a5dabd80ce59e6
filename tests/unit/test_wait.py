# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting: it ends, it speaks, it says what was seen last."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _wait


class Clock:
    """Time passes only by sleeping and by slow probes."""

    def __init__(self, probe_takes: float = 0.0) -> None:
        self.now, self.said, self.probes, self.takes = 100.0, list[str](), 0, probe_takes

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, *, done_at: float, seconds: float) -> str:
        def probe() -> tuple[bool, str]:
            self.probes += 1
            self.now += self.takes
            return self.now - 100 >= done_at, f"look {self.probes}"

        return _wait.wait(
            "a leader", probe, seconds=seconds, say=self.said.append, clock=lambda: self.now, sleep=self.sleep
        )


def test_done_at_once_is_silent() -> None:
    clock = Clock()
    assert clock.wait(done_at=0, seconds=10) == "look 1"
    assert clock.said == []
    assert clock.now == 100


def test_speaks_every_five_seconds() -> None:
    clock = Clock()
    assert clock.wait(done_at=16, seconds=60) == "look 33"
    assert clock.said[0] == "waiting 5 s of 60 s: a leader; seen last: look 11"
    assert [line.split()[1] for line in clock.said] == ["5", "10", "15"]


def test_ends_at_the_deadline() -> None:
    clock = Clock()
    with pytest.raises(_wait.Expired, match=r"a leader: not within 20 s\. Seen last: look 41\.") as expired:
        clock.wait(done_at=1000, seconds=20)
    assert expired.value.seen == "look 41"
    assert clock.now == 120


def test_success_of_the_last_slow_probe_counts() -> None:
    assert Clock(probe_takes=30).wait(done_at=25, seconds=20) == "look 1"


def test_slow_probes_do_not_extend_the_deadline() -> None:
    clock = Clock(probe_takes=8)
    with pytest.raises(_wait.Expired):
        clock.wait(done_at=1000, seconds=20)
    assert clock.probes == 3
