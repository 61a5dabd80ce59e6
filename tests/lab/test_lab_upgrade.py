# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Harvester is upgraded: one host, and two Nodes that are objects only; or three hosts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from lab.harvester import objects, play, upgrade
from lab.harvester.upgrade import films, told
from lab.harvester.upgrade.seen import condition, kind_of, status
from lab.labs import Lab
from lab.progress import LabError, wait_for
from tests.lab import story

SLOW = ("*hosts*",)

JSON = dict[str, Any]
UPGRADES = kind_of("upgrades")
LOGS = "/var/log/pods/harvester-system_hvst-upgrade-*/apply/*.log"


@contextmanager
def made(servers: int, more: Sequence[str] = ()) -> Iterator[Lab]:
    lab = Lab(f"test-upgrade-{os.getpid()}", "rke2", servers, 0)
    try:
        lab.up()
        upgrade.become_ready(lab, "v1.3.2", more=more, pace=0.5)
        yield lab
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


@pytest.fixture
def harvester() -> Iterator[Lab]:
    with made(1, ["n2", "n3"]) as lab:
        yield lab


def found(lab: Lab, name: str = films.NAME) -> JSON:
    """The Upgrade; empty while the API is away."""
    try:
        return play.client(lab).get(UPGRADES, name, objects.SYSTEM) or {}
    except (RequorumError, LabError):
        return {}


def reaches(lab: Lab, node: str, state: str, seconds: float = 180) -> None:
    def probe() -> tuple[bool, str]:
        seen = status(found(lab)).get("nodeStatuses") or {}
        return told.node_state(found(lab), node) == state, str({n: e["state"] for n, e in seen.items()})

    wait_for(f"{node} {state}", probe, seconds)


def ends(lab: Lab, seconds: float = 300) -> None:
    """It has succeeded, and every Node is what it brings."""
    began = time.monotonic()

    def probe() -> tuple[bool, str]:
        item = found(lab)
        return condition(item, "Completed") == "True", upgrade.phase({"upgrades": [item]}) if item else ""

    wait_for("the upgrade", probe, seconds)
    print(f"it took {time.monotonic() - began:.0f} s")
    for node in play.client(lab).items(kind_of("nodes")) or ():
        info = node["status"]["nodeInfo"]
        assert (info["osImage"], info["kubeletVersion"]) == ("Harvester v1.4.0", "v1.29.9+rke2r1"), node["metadata"]


def refused(api: _api.Api, to: str, **more: Any) -> str:
    with pytest.raises(RequorumError) as caught:
        upgrade.begin(api, to, **more)
    return str(caught.value)


def test_one_that_is_stopped_in_phase_2_leaves_nothing(harvester: Lab) -> None:
    lab, first = harvester, harvester.servers[0]
    api = play.client(lab, seconds=60)
    with upgrade.playing(lab) as asked:
        upgrade.stall(api, "prepare-slow", first)
        upgrade.begin(api, "v1.4.0")
        reaches(lab, first, "Images preloading")
        count = len(asked)
        rc, document, said = story.command(lab, "upgrade", "--stop", "--check")
        assert rc == 0 and [action["name"] for action in document["actions"]] == [films.NAME], said[-3000:]
        assert story.command(lab, "upgrade", "--stop")[0] == 3  # nobody has confirmed it
        assert not [each for each in asked[count:] if each.verb == "delete"]
        rc, _document, said = story.command(lab, "upgrade", "--stop", "--confirm", lab.name)
        assert rc == 0, said[-5000:]
        assert not found(lab)
        upgrade.heal(api, "prepare-slow")
        assert not [plan for plan in api.items(kind_of("plans")) or () if films.NAME in plan["metadata"]["name"]]
        assert story.command(lab, "upgrade", "--stop", "--check")[0] == 3  # there is none any more


def test_a_hop_that_stalls_is_watched_and_nudged_and_never_deleted(harvester: Lab) -> None:
    lab, first = harvester, harvester.servers[0]
    api = play.client(lab, seconds=60)
    limits = ("-e", 'requorum_timeouts={"upgrade_stall": 10, "upgrade_unknown": 20}', "-e", "requorum_pace=2")
    before = len(upgrade.requests(lab))
    with upgrade.playing(lab):
        upgrade.stall(api, "predrain-volume", first)
        upgrade.begin(api, "v1.4.0")
        assert f'previous upgrade "{films.NAME}" completes' in refused(api, "v1.4.0", name="hvst-upgrade-other")
        reaches(lab, first, "Pre-draining")
        waits = "Waiting for volume pvc-7c1e0c5e to be healthy..."
        wait_for("the log", lambda: (waits in (text := lab.sh(first, f"cat {LOGS}").out), text[-200:]), 60)

        # The watching ends by the rule that names it; the upgrade is left alone.
        rc, document, said = story.command(lab, "upgrade", "--to", "v1.4.0", *limits)
        assert (rc, document["hops"][0]["stall"]) == (1, "upgrade_waits_volume"), said[-5000:]
        assert waits in said and document["hops"][0]["progress"]["node"] == first
        rc, _document, said = story.command(lab, "upgrade", "--stop", "--confirm", lab.name)
        assert rc == 3 and "is in phase 4: its nodes are between two versions" in said
        rc, _document, said = story.command(lab, "upgrade", "--nudge", "pre-drain", first, "--confirm", lab.name)
        assert rc == 3 and "is Pre-draining, and its answer is due when it is Pre-drained" in said
        with pytest.raises(RequorumError, match="node upgrade is in progressing, please wait for it to be provisioned"):
            api.delete(UPGRADES, films.NAME, objects.SYSTEM)

        # A hook that was served and not answered is answered by name.
        upgrade.stall(api, "pre-hook-unanswered", first)
        upgrade.heal(api, "predrain-volume")
        reaches(lab, first, "Pre-drained")
        rc, document, said = story.command(lab, "upgrade", "--nudge", "pre-drain", first, "--check")
        assert rc == 0 and document["actions"][0]["what"].startswith("harvesterhci.io/pre-hook becomes"), said[-3000:]
        rc, _document, said = story.command(lab, "upgrade", "--nudge", "pre-drain", first, "--confirm", lab.name)
        assert rc == 0, said[-3000:]
        upgrade.heal(api, "pre-hook-unanswered")
        ends(lab)
    ways = [(each.verb, bool(each.refused)) for each in upgrade.requests(lab)[before:] if each.kind == "upgrades"]
    assert [way for way in ways if way[0] != "update"] == [("create", False), ("create", True), ("delete", True)]


def test_three_hosts() -> None:
    with made(3) as lab, upgrade.playing(lab):
        upgrade.begin(play.client(lab, seconds=60), "v1.4.0")
        ends(lab, 420)
        logs = [lab.sh(host, f"cat {LOGS}").out for host in lab.servers]
        assert all("There is nothing to do in nodenetwork" in text for text in logs)
        assert not [n for n in play.client(lab).items(kind_of("nodes")) or () if n["spec"].get("unschedulable")]
