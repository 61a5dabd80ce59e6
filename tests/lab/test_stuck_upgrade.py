# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab builds the story as it was; its survivor is recovered, and what stood still goes on standing still."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._fleet import BUNDLES
from lab import faults
from lab.drill import confirm, playbook
from lab.harvester import drain, guests, host, kinds, objects, oem, parts, planner, play
from lab.harvester import story as told
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

SLOW = ("*",)


@pytest.fixture(scope="module")
def stuck() -> Iterator[Lab]:
    lab = Lab(f"test-stuck-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        faults.harvester_stuck_upgrade(lab, lab.servers[1])
        yield lab
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def test_the_story(stuck: Lab) -> None:
    lab, survivor = stuck, stuck.servers[1]
    assert [lab.running(name) for name in lab.servers] == [False, True, False]
    assert lab.kubectl(survivor, "get", "nodes", "--request-timeout=5s", timeout=8).rc != 0
    (pid,) = host.machines(lab, survivor)
    assert "TLS handshake" in lab.sh(survivor, "cat /var/log/pods/*capi-controller-manager*/manager/0.log").out
    assert lab.sh(survivor, f"[ -e {oem.RANCHER} ] && ! [ -e /etc/rancher/rke2/config.yaml ]").rc == 0
    off = {"requorum_powered_off": [name for name in lab.servers if name != survivor]}
    run = playbook(lab, "recover.yml", *confirm(lab), "-e", json.dumps(off))
    assert story.outcome(run) == "not_redundant"
    assert host.machines(lab, survivor) == [pid]

    api = play.client(lab)
    node = api.get(kinds.NODES, survivor) or {}
    info = node["status"]["nodeInfo"]
    assert (info["osImage"], info["kubeletVersion"]) == (
        f"Harvester {told.BEFORE}", objects.RELEASES[told.TARGET].kubernetes)  # fmt: skip
    secret = api.get(kinds.SECRETS, f"{objects.machine(survivor)}-machine-plan", objects.FLEET) or {}
    with play.playing(lab, parts.everything(lab)):
        dead = {name: api.get(kinds.NODES, name) for name in lab.servers if name != survivor}

        def silent() -> tuple[bool, str]:
            found = [api.get(kinds.STORAGE, name, objects.LONGHORN) or {} for name in dead]
            seen = [item["status"]["conditions"][0]["reason"] for item in found]
            return seen == ["KubernetesNodeNotReady"] * 2, str(seen)

        wait_for("Longhorn to see who is dead", silent, 120)
        volume = api.get(kinds.VOLUMES, "pvc-vm1", objects.LONGHORN) or {}
        assert volume["status"]["robustness"] == "degraded"
    held = api.get(kinds.SECRETS, f"{objects.machine(survivor)}-machine-plan", objects.FLEET) or {}
    notes = planner.notes(held)
    assert notes.get(drain.POST) == notes.get(drain.DONE) == objects.DRAIN
    assert notes.get(drain.UNCORDON) == planner.notes(secret)[drain.UNCORDON]  # for ever
    bundle = api.get(BUNDLES, "mcc-harvester", objects.FLEET) or {}
    assert bundle["status"]["display"]["state"] == "OutOfSync"
    assert host.machines(lab, survivor) == [pid]  # drained by taint, with nobody to migrate to
    vmi = api.get(guests.RUNNING, "vm1", "default") or {}
    assert vmi["status"]["nodeName"] == survivor
