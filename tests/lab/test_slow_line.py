# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller is far away: 100 ms, 2 % loss, 5 Mbit/s."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import delay, faults
from lab.drill import confirm, lose_quorum, playbook
from lab.labs import Lab
from lab.progress import say
from lab.spec import ssh_options
from tests.lab import story

SLOW = ("*large*",)
FILL = "dd if=/dev/urandom bs=700000 count=1 2>/dev/null | base64 >/tmp/fill"
MANY = 90


@contextmanager
def far(lab: Lab, monkeypatch: pytest.MonkeyPatch, sockets: Path) -> Iterator[tuple[str, str]]:
    """Options of a controller that is far from every host of a lab that is on, and logged in nowhere."""
    monkeypatch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(sockets))
    arguments = " ".join([*ssh_options(lab.folder), delay.options(100)])
    hosts = [host for host in (*lab.servers, *lab.agents) if lab.running(host)]
    try:
        for host in hosts:
            faults.slow_line(lab, host)
        yield "-e", json.dumps({"ansible_ssh_common_args": arguments})
    finally:
        for host in hosts:
            faults.heal(lab, host)


def test_a_recovery_over_a_slow_line(k3s: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lab = k3s
    lose_quorum(lab)
    with far(lab, monkeypatch, tmp_path) as options:
        run = playbook(lab, "recover.yml", *confirm(lab), *options)
    assert story.outcome(run) == "recovered", run.out[-4000:]
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    trips = {phase["name"]: phase["trips"] for phase in run.report["phases"]}
    say(f"over a slow line: {run.seconds:.0f} s, round trips {trips}")
    assert f"{sum(trips.values())} round trips" in " ".join(run.out.split())
    # One for each host; of those that have a datastore its pages, its bootstrap data and the token besides.
    assert len(lab.servers) + len(lab.agents) <= trips["INSPECT"] <= 18


def test_the_plan_says_how_long_a_large_datastore_takes(
    k3s: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = k3s
    first, *others = lab.servers
    lab.sh(first, FILL, timeout=60).ok("fill")
    for number in range(MANY):
        words = ("create", "configmap", f"fill-{number}", "--from-file=/tmp/fill", "-n", "default")
        lab.kubectl(first, *words, timeout=60).ok("configmap")
    for host in others:
        faults.power_off(lab, host)
    try:
        with far(lab, monkeypatch, tmp_path) as options:
            off = "-e", json.dumps({"requorum_powered_off": others})
            run = playbook(lab, "recover.yml", "--check", *off, *options)
    finally:
        for host in others:
            faults.power_on(lab, host)
        lab.wait_ready()
        for number in range(MANY):
            lab.kubectl(first, "delete", "configmap", f"fill-{number}", "-n", "default", timeout=60)
    line = run.report["transfer"]
    copies = next(action for action in story.plan(run)["actions"] if action["verb"] == "snapshot")
    say(f"{line}; {copies['expect_s']} s expected, 5 Mbit/s would be {line['bytes'] / 625_000:.0f} s")
    assert line["node"] == first and line["bytes"] > 64 << 20
    assert 100_000 < line["bytes_per_s"] < 700_000
    assert line["bytes"] / 700_000 < copies["expect_s"] < line["bytes"] / 100_000 + 10
    assert re.search(rf"off {first} at \d+\.\d kB/s or more", " ".join(run.out.split()))
