# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single servers come back, are replaced and leave while the quorum stands and a workload goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import faults
from lab.drill import Run, confirm, playbook
from lab.labs import Lab
from tests.lab import story
from tests.lab.load import load


def rejoin(lab: Lab, *arguments: str, **options: Any) -> Run:
    words = [("-e", json.dumps({f"requorum_{name}": value})) for name, value in options.items()]
    return playbook(lab, "playbooks/rejoin.yml", *confirm(lab), *arguments, *(word for pair in words for word in pair))


def told_and_done(lab: Lab, **options: Any) -> Run:
    """A dry run, the run itself, which does exactly that, and a second one, which finds nothing to do."""
    told = rejoin(lab, "--check", **options)
    assert story.outcome(told) == "planned"
    run = rejoin(lab, **options)
    assert story.outcome(run) == "done"
    assert story.plan(run)["plan_id"] == story.plan(told)["plan_id"]
    assert story.done(run) == story.planned(run) == story.planned(told)
    print(f"rejoin.yml took {run.seconds:.1f} s")
    return run


@contextmanager
def without_downtime(lab: Lab, voters: list[str] | None = None) -> Iterator[None]:
    """A workload writes and reads all the time; no write that was acknowledged is lost, and no gap is long."""
    with load(lab) as seen:
        yield
    print(f"{seen.acknowledged} writes, longest gap {seen.gap:.1f} s")
    assert seen.lost() == []
    assert seen.gap < 10
    assert story.voters(lab) == sorted(voters or lab.servers)
    assert story.count(lab) == 40


def test_a_wiped_server_joins_again(lab: Lab) -> None:
    third = lab.servers[2]
    faults.power_off(lab, third)
    faults.replace_disk(lab, third)
    with without_downtime(lab):
        told_and_done(lab)
    assert rejoin(lab).rc == 0
    again = rejoin(lab)
    assert story.outcome(again) == "healthy"
    assert story.verbs(again) == []
