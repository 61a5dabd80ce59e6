# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of Requorum, from a stuck upgrade with two dead servers to three healthy ones, by the commands of the docs.

One test, since each step stands on the one before it; docs/harvester.md, The whole way back, has the same order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import objects as written
from lab.drill import Run, confirm, killed, playbook
from lab.harvester import host as hosts
from lab.harvester import joining, parts, play, story
from lab.labs import Lab
from lab.progress import say, wait_for
from tests.lab import story as words

JSON = dict[str, Any]


@pytest.fixture
def stuck() -> Iterator[Lab]:
    """r2 is the only server left; 40 objects and a virtual machine are the user's."""
    lab = Lab(f"test-story-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        written.write_objects(lab)
        story.harvester_stuck_upgrade(lab, lab.servers[1])
        yield lab
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def given(**variables: Any) -> tuple[str, str]:
    return "-e", json.dumps({f"requorum_{name}": value for name, value in variables.items()})


def well(run: Run, what: str) -> Run:
    assert run.rc == 0, run.out[-6000:]
    say(f"STORY {what}: {run.seconds:.0f} s")
    return run


def failing(lab: Lab) -> dict[str, str]:
    """Checks of `requorum verify` that do not hold, and what was observed."""
    _rc, document, _said = words.command(lab, "verify")
    return {check["name"]: check["observed"] for check in document["checks"] if check["ok"] is not True}


def settled(lab: Lab, wanted: set[str]) -> None:
    """Pods of a host that has just joined need their time."""

    def probe() -> tuple[bool, str]:
        seen = failing(lab)
        return {*seen} == wanted, "; ".join(f"{name}: {seen[name]}" for name in {*seen} - wanted) or "no more"

    wait_for(f"only {', '.join(sorted(wanted)) or 'nothing'} to be wrong", probe, 300)


def test_from_a_stuck_upgrade_to_three_healthy_servers(stuck: Lab) -> None:
    lab = stuck
    first, survivor, third = lab.servers
    fourth = f"{third}-new"
    (pid,) = hosts.machines(lab, survivor)
    dead = given(powered_off=[first, third])
    iso = f"http://boot.example.org/harvester-{story.TARGET}-amd64.iso"
    wish = {"interfaces": ["ens5"], "device": "/dev/disk/by-id/wwn-0x5000", "iso_url": iso,
            "ssh_authorized_keys": ["github:admin"]}  # fmt: skip
    wishes = given(join=dict.fromkeys((first, fourth, survivor), wish))

    # 1-3 Assess, save, fence, reset; killed half way once. The machine runs on.
    check = playbook(lab, "recover.yml", "--check", *dead)
    assert words.outcome(check) == "planned" and words.plan(check)["survivor"] == survivor
    killed(lab, "recover.yml", "reset", *dead, *confirm(lab))
    with play.playing(lab, parts.everything(lab)):
        run = well(playbook(lab, "recover.yml", *dead, *confirm(lab)), "recover")
        assert words.outcome(run) == "not_redundant"
        assert hosts.machines(lab, survivor) == [pid]
        assert lab.members(survivor) == {survivor: "voter"} and words.count(lab) == 40
        then = json.loads(((run.folder or Path()) / "report.json").read_text())["verdict"]["then"]
        assert "purge-orphans" in then[0] and then[-1].startswith("requorum upgrade ")
        exports = sorted((written_to := run.folder or Path()).parent.glob("*/backup/export/index.csv"))
        assert exports and story.GUEST.split("/")[1] in exports[-1].read_text(), written_to
        assert {"CAPI machines", "voters"} & {*failing(lab)}

        # 4 What is left of the dead goes, and of their upgrade.
        purge = playbook(lab, "playbooks/purge_orphans.yml", *given(dead=[first, third], powered_off=[first, third],
                         leftovers=True), *confirm(lab))  # fmt: skip
        well(purge, "purge")
        assert lab.nodes(survivor) == {survivor: True}

        # 5-6 Two hosts are installed one after another; the third Node is what promotes them.
        well(playbook(lab, "playbooks/join_config.yml", *wishes, *given(join_nodes=[first, fourth])), "join-config")
        home = next((run.folder or Path()).parent.glob("join"))
        joining.install(lab, first, home / first / "config.yaml")
        well(playbook(lab, "playbooks/await_join.yml", *wishes, *given(join_nodes=[first])), "await the first")
        assert lab.members(survivor) == {survivor: "voter"}  # two nodes: a worker
        joining.install(lab, third, home / fourth / "config.yaml")
        well(playbook(lab, "playbooks/await_join.yml", *wishes, *given(join_nodes=[first, fourth])), "await both")
        assert lab.members(survivor) == dict.fromkeys((survivor, first, fourth), "voter")
        assert hosts.machines(lab, survivor) == [pid]

        # 7 The bundle is brought on.
        well(playbook(lab, "playbooks/force_sync.yml", *confirm(lab)), "force sync")

        # 8 The survivor has the old system: its machine migrates, it leaves, and joins again.
        wait_for("all volumes whole", lambda: (not {"volumes"} & {*failing(lab)}, ""), 180)
        leave = (*given(reinstall=survivor), *wishes)
        check = playbook(lab, "playbooks/reinstall.yml", "--check", *leave)
        assert f"{story.GUEST} migrates" in " ".join(check.out.split()), check.out[-3000:]
        well(playbook(lab, "playbooks/reinstall.yml", *leave, *confirm(lab)), "reinstall")
        assert lab.members(first) == dict.fromkeys((first, fourth), "voter")
        assert not hosts.machines(lab, survivor)
        assert len(hosts.machines(lab, first)) + len(hosts.machines(lab, third)) == 1
        joining.install(lab, survivor, home / survivor / "config.yaml")
        well(playbook(lab, "playbooks/await_join.yml", *wishes, *given(join_nodes=[survivor])), "await the survivor")
        assert lab.members(first) == dict.fromkeys((first, fourth, survivor), "voter")

        # 9 What the upgrade brings is everywhere, so it has ended; nothing is left.
        settled(lab, {"upgrade", "leftovers of upgrades"})
        well(playbook(lab, "playbooks/purge_orphans.yml", *given(leftovers=True), *confirm(lab)), "end of the upgrade")
        settled(lab, set())
        rc, document, said = words.command(lab, "verify")
        assert rc == 0, said[-6000:]
        assert all(check["ok"] for check in document["checks"])
    assert words.count(lab) == 40
