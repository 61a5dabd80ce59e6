# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watching of an upgrade of a single node: killed in every phase, and without an API for two minutes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from lab.drill import ROOT, kill_family, started
from lab.harvester import objects, play, upgrade
from lab.harvester.upgrade import films
from lab.harvester.upgrade.seen import kind_of
from lab.labs import Lab
from lab.progress import LabError, say, wait_for

SLOW = ("*",)
AWAY_S = 120
MANIFEST = "agent/pod-manifests/kube-apiserver.yaml"
WISHES = ("-e", "requorum_to=v1.4.0", "-e", "requorum_pace=1")


def seen(lab: Lab) -> list[dict[str, Any]]:
    """The timeline of the upgrade."""
    path = Path(ROOT) / "recoveries" / lab.name / "upgrades" / films.NAME / "timeline.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def killed_in(lab: Lab, phase: int) -> None:
    """Watch until a phase is seen, and kill the watcher with its workers."""
    begun = len(seen(lab))
    with started(lab, "playbooks/upgrade.yml", *WISHES, alone=True) as run:

        def probe() -> tuple[bool, str]:
            if run.poll() is not None:
                raise LabError(f"the watching ended with {run.returncode} before phase {phase}")
            phases = [entry["phase"] for entry in seen(lab)[begun:]]
            return bool(phases) and phases[-1] >= phase, str(phases[-1:])

        try:
            wait_for(f"phase {phase} to be watched", probe, 180, poll=0.1)
        finally:
            kill_family(run.pid)
    say(f"the watcher was killed in phase {seen(lab)[-1]['phase']}")


def test_a_single_node_is_watched_through_kills_and_without_an_api() -> None:
    lab = Lab(f"survives-{os.getpid()}", "rke2", 1, 0)
    try:
        lab.up()
        (host,) = lab.servers
        api = upgrade.become_ready(lab, "v1.3.2", pace=4)
        with upgrade.playing(lab):
            upgrade.stall(api, "log-not-ready")
            upgrade.begin(api, "v1.4.0")
            killed_in(lab, 0)
            upgrade.heal(api, "log-not-ready")
            for phase in range(1, 5):
                killed_in(lab, phase)
            with started(lab, "playbooks/upgrade.yml", *WISHES, alone=True) as run:
                before = len(seen(lab))
                wait_for("a look", lambda: (len(seen(lab)) > before, ""), 60)
                path = lab.data_dir / MANIFEST
                lab.sh(host, f"mv {path} /root/ && sleep 1").ok("the API goes")
                time.sleep(AWAY_S)
                lab.sh(host, f"[ -e {path} ] || mv /root/kube-apiserver.yaml {path}").ok("the API comes")
                wait_for("the end", lambda: (run.poll() is not None, str(seen(lab)[-1]["phase"])), 400)
        assert seen(lab)[-1]["ended"] == "succeeded"
        phases = [entry["phase"] for entry in seen(lab)]
        assert set(phases) == {0, 1, 2, 3, 4, 5} and phases == sorted(phases)
        made = [each.verb for each in upgrade.requests(lab) if each.kind == "upgrades" and each.verb != "update"]
        assert made == ["create"]  # no watcher has begun, deleted or restarted anything
        assert play.client(lab).get(kind_of("upgrades"), films.NAME, objects.SYSTEM)
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()
