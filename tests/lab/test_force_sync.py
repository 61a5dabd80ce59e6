# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles that are paused, drifted, refused or waited for, on a server whose Fleet is played."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import BUNDLES, CHARTS, DEPLOYMENTS, SECRETS
from ansible_collections.requorum.cluster.plugins.plugin_utils import _bundles
from lab.drill import ROOT, confirm, playbook
from lab.harvester import fleet
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

SLOW = ("*webhook*", "*drift*", "*kubeconfig*", "*helm*", "*left_paused*", "*killed*")

JSON = dict[str, Any]
NAME, WHERE = "mcc-harvester", "fleet-local"


@dataclass(frozen=True)
class Ended:
    """A run of `requorum force-sync`."""

    rc: int
    document: JSON
    said: str

    @property
    def what(self) -> list[str]:
        return [f"{a['name']} {a['what']}" for a in self.document["requorum_actions"]]


@pytest.fixture(scope="module")
def harvester() -> Iterator[tuple[Lab, _api.Api]]:
    """Its bundles are synced."""
    with story.with_fleet("test-sync") as (lab, api):
        synced(api)
        yield lab, api


def synced(api: _api.Api) -> None:
    """Wait until the bundles of the lab are as they must be."""

    def probe() -> tuple[bool, str]:
        there = {bundle["metadata"]["name"]: bundle for bundle in api.items(BUNDLES) or ()}
        states = [(there.get(name) or {}).get("status", {}).get("display") for name in (f"{NAME}-crd", NAME)]
        return states == [{"readyClusters": "1/1"}] * 2, str(states)

    wait_for("the bundles", probe, 120)


def words(lab: Lab, *arguments: str) -> list[str]:
    program = str(Path(sys.executable).parent / "requorum")
    output = f"requorum_output={ROOT / 'recoveries'}"
    return [program, "force-sync", "-i", str(lab.inventory), "--json", "-e", output, *arguments]


def environment() -> dict[str, str]:
    paths = [str(ROOT / ".collections"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(lab: Lab, *arguments: str) -> Ended:
    done = subprocess.run(
        words(lab, *arguments), cwd=ROOT, capture_output=True, text=True, check=False, env=environment(), timeout=300
    )
    print(done.stdout[-3000:], done.stderr[-3000:])
    return Ended(done.returncode, json.loads(done.stdout), done.stderr)


def told_and_done(lab: Lab, *arguments: str) -> Ended:
    """The dry run says exactly what the run does."""
    check, done = run(lab, "--check", *arguments), run(lab, "--confirm", lab.name, *arguments)
    assert check.document["requorum_actions"] == done.document["requorum_actions"]
    return done


def kept(document: JSON) -> list[JSON]:
    return [json.loads(Path(path).read_text("utf-8")) for path in document["saved"]]


def patch(api: _api.Api, kind: _api.Kind, name: str, spec: JSON) -> None:
    api.patch(kind, name, {"spec": spec}, WHERE)


def faults(api: _api.Api, **data: str | None) -> None:
    namespace, name = fleet.FAULTS
    if api.get(fleet.CONFIGMAPS, name, namespace) is None:
        api.create(fleet.CONFIGMAPS, {"metadata": {"name": name, "namespace": namespace}, "data": {}})
    api.patch(fleet.CONFIGMAPS, name, {"data": data}, namespace)


def state(api: _api.Api) -> str:
    bundle = api.get(BUNDLES, NAME, WHERE)
    return str(((bundle or {}).get("status", {}).get("display") or {}).get("state") or "")


def forced(api: _api.Api) -> int:
    return int((api.get(BUNDLES, NAME, WHERE) or {})["spec"].get("forceSyncGeneration") or 0)


def test_charts_that_an_upgrade_left_paused(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    for name in ("harvester-crd", "harvester"):
        patch(api, CHARTS, name, {"paused": True})
    patch(api, BUNDLES, NAME, {"forceSyncGeneration": 1})
    wait_for("OutOfSync", lambda: (state(api) == "OutOfSync", state(api)), 120)
    refused = run(lab)
    assert refused.rc == 3 and "Nothing was changed" in refused.said
    assert state(api) == "OutOfSync"
    done = told_and_done(lab)
    assert done.rc == 0 and done.what == [
        "harvester-crd paused: false",
        "mcc-harvester-crd paused: false",
        "harvester paused: false",
        "mcc-harvester paused: false",
        "mcc-harvester forceSyncGeneration: 2",
    ]
    assert all(bundle["synced"] for bundle in done.document["bundles"])
    assert [item["spec"].get("paused") for item in kept(done.document)] == [True] * 4
    again = run(lab)  # nothing is to be done, so nothing is to be confirmed
    assert again.rc == 0 and again.what == []


def test_it_returns_within_two_seconds_of_the_sync(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    with pytest.raises(RequorumError, match="forceSyncGeneration"):  # the API knows the types of what is used
        patch(api, BUNDLES, NAME, {"forceSyncGeneration": "2"})
    for _turn in range(3):
        late = seconds_after_the_sync(lab, api)
        limit = 2 * max(1.0, story.stretch())  # other labs take their share of the processor
        print(f"force_sync.yml ended {late:.2f} s after the sync, limit {limit:.1f} s")
        if late < limit:
            break
    assert late < limit


def seconds_after_the_sync(lab: Lab, api: _api.Api) -> float:
    """Let the agent be down when force_sync.yml begins; how long after the sync the command ends."""
    faults(api, agent="down")
    since: list[float] = []

    def watch() -> None:
        """Let the agent work some seconds after the force sync, and note when all conditions hold."""
        wait_for("WaitApplied", lambda: (state(api) == "WaitApplied", state(api)), 60, poll=0.1)
        time.sleep(3)
        faults(api, agent=None)

        def probe() -> tuple[bool, str]:
            found = _bundles.Bundles(api).find(["harvester"]) or []
            return all(bundle.document["synced"] for bundle in found), found[0].document["state"]

        wait_for("the sync", probe, 60, poll=0.1)
        since.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    variables = json.dumps({"requorum_bundles": ["harvester"], "requorum_sync_always": True})
    done = playbook(lab, "playbooks/force_sync.yml", *confirm(lab), "-e", variables)
    ended = time.monotonic()
    watcher.join()
    assert done.rc == 0, done.out
    return ended - since[0]


def test_drift(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    value = forced(api)
    api.patch(fleet.CONFIGMAPS, "harvester-demo", {"data": {"answer": "43"}}, "harvester-system")
    wait_for("Modified", lambda: (state(api) == "Modified", state(api)), 120)
    done = told_and_done(lab)
    assert done.rc == 0 and done.what == [f"{NAME} forceSyncGeneration: {value + 1}"]
    assert (api.get(fleet.CONFIGMAPS, "harvester-demo", "harvester-system") or {})["data"] == {"answer": "42"}


def test_a_webhook_that_is_away_for_a_while(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    message = 'failed calling webhook "rancher.cattle.io": connection refused'
    faults(api, **{f"error.{NAME}": message, f"until.{NAME}": str(forced(api) + 2)})
    done = run(lab, "harvester", "--always", "--confirm", lab.name)
    faults(api, **{f"error.{NAME}": None, f"until.{NAME}": None})
    assert done.rc == 0 and done.document["bundles"][0]["tries"] == 1


def test_helm_would_refuse_it(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    secrets = sorted(api.items(SECRETS, "harvester-system", selector="name=harvester") or (), key=fleet.revision)
    name, label = secrets[-1]["metadata"]["name"], secrets[-1]["metadata"]["labels"]["status"]
    before = api.get(BUNDLES, NAME, WHERE)
    api.patch(SECRETS, name, {"metadata": {"labels": {"status": "pending-upgrade"}}}, "harvester-system")
    done = told_and_done(lab, "--always")
    assert done.rc == 1 and done.what == [] and "rollback harvester REVISION" in done.said
    assert api.get(BUNDLES, NAME, WHERE) == before
    api.patch(SECRETS, name, {"metadata": {"labels": {"status": label}}}, "harvester-system")


def test_a_killed_run_is_finished_by_the_next(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    faults(api, agent="down")
    value = forced(api)
    command = words(lab, "harvester", "--always", "--confirm", lab.name)
    killed = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for("WaitApplied", lambda: (state(api) == "WaitApplied", state(api)), 60)
    os.killpg(killed.pid, 9)
    killed.wait()
    check = run(lab, "--check")
    assert check.rc == 0 and check.what == [f"{NAME} forceSyncGeneration: {value + 2}"]
    assert check.document["bundles"][1]["cause"] == "agent"
    faults(api, agent=None)
    synced(api)
    done = run(lab)
    assert done.rc == 0 and done.what == []
    (deployment,) = (d for d in api.items(DEPLOYMENTS) or () if d["metadata"]["name"] == NAME)
    assert deployment["status"]["syncGeneration"] == value + 1


def test_by_a_kubeconfig_of_the_controller(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    synced(api)
    kubeconfig = Path(lab.folder) / "admin.kubeconfig"
    done = told_and_done(lab, "-e", f"requorum_kubeconfig={kubeconfig}", "--always", "harvester-crd")
    assert done.rc == 0 and [bundle["synced"] for bundle in done.document["bundles"]] == [True]
