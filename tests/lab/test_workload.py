# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client that measures how long the API is away sees what is done to the cluster."""

from __future__ import annotations

import time

from lab import faults
from lab.labs import Lab
from lab.workload import Workload

SLOW = ("*",)


def test_one_server_less_loses_nothing(lab: Lab) -> None:
    """The power of one of three is cut: the client goes on with the others."""
    last = lab.servers[-1]
    with Workload(lab) as load:
        time.sleep(3)
        faults.power_off(lab, last)
        time.sleep(12)
        faults.power_on(lab, last)
    lab.wait_ready()
    assert load.report.writes > 20 and load.report.reads > 20
    assert load.report.retries > 0
    assert load.report.missing == [] and load.report.late == []
    assert load.report.gap < 15


def test_lost_quorum_is_seen_as_a_gap(lab: Lab) -> None:
    """Without two of three nothing is acknowledged until one of them is back."""
    lost = lab.servers[1:]
    with Workload(lab, bound=5) as load:
        for host in lost:
            faults.power_off(lab, host)
        time.sleep(10)
        for host in lost:
            faults.power_on(lab, host)
        lab.wait_ready()
    assert load.report.gap > 10
    assert load.report.late and load.report.missing == []
