# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/fleet_inspect.yml over hosts that are not there: in one run, in slices, and after it was killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from requorum import cli
from tests.unit import fleets
from tests.unit.test_diagnosis import problems
from tests.unit.test_prometheus import read as samples

JSON = fleets.JSON
HOW = {"alfa": "well", "beta": "lost", "gamma": "dead", "delta": "garbage", "epsilon": "well", "zeta": "well"}
FACES = ("overview.json", "overview.html", "overview.prom", "overview.txt")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the inventory of a fleet, and the same as hosts that carry their clusters."""
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "fleet.json").write_text(json.dumps(fleets.inventory(HOW)))
    (folder / "fleet.requorum.yml").write_text("plugin: requorum.cluster.fleet\nsources: [fleet.json]\n")
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """What a run over all of it has left."""
    done = fleets.play("fleet_inspect", place / "fleet.json", place / "whole")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.index("zeta: warning") < done.stdout.index("FLEET: 6 clusters: 1 blocker, 2 unknown, 3 warning")
    return place / "whole"


def test_dead_and_strange_clusters_do_not_stop_the_others(whole: Path) -> None:
    found = fleets.rows(whole)
    assert list(found) == ["beta", "delta", "gamma", "alfa", "epsilon", "zeta"]  # the worst first
    assert {name: row["case"] for name, row in found.items()} == {
        "beta": "quorum_recoverable", "delta": "unknown", "gamma": "unknown",
        "alfa": "healthy", "epsilon": "healthy", "zeta": "healthy",
    }  # fmt: skip
    assert found["alfa"]["nodes_read"] == 3 and found["gamma"]["nodes_read"] == found["delta"]["nodes_read"] == 0
    assert found["gamma"]["certificate"] is None and found["alfa"]["certificate"]["node"] == "alfax1"
    state = json.loads(Path(found["delta"]["report"], "state.json").read_text())
    assert {node["error"] for node in state["nodes"]} == {
        "SSH answers, but nothing can be read: ??? >"
    }


def test_every_face(whole: Path) -> None:
    folder = whole / "_fleet"
    text, page = (folder / "overview.txt").read_text(), (folder / "overview.html").read_text()
    prose = [line for line in text.splitlines() if "/" not in line]
    assert max(map(len, prose)) <= 80 and "next: ansible-playbook" in text
    report = Path(fleets.rows(whole)["beta"]["report"])
    assert f'href="../beta/{report.name}/diagnosis.html"' in page and (folder / f"../beta/{report.name}").is_dir()
    found = samples((folder / "overview.prom").read_text())
    up = {dict(labels)["cluster"]: value for labels, value in found["requorum_up"].items()}
    assert up == {"alfa": 1, "beta": 1, "gamma": 0, "delta": 0, "epsilon": 1, "zeta": 1}
    assert {dict(labels)["cluster"] for labels in found["requorum_unread"]} == {"gamma", "delta"}


def test_the_documents_are_those_of_inspect(whole: Path, place: Path) -> None:
    """By the inventory of the one cluster that the fleet's report names."""
    report = Path(fleets.rows(whole)["alfa"]["report"])
    alone = whole / "_fleet" / "inventories" / "alfa.requorum.yml"
    done = fleets.play("inspect", alone, place / "alone")
    assert done.returncode == 0, done.stdout
    [again] = (place / "alone" / "alfa").iterdir()
    for name in ("diagnosis.json", "state.json"):
        one, other = (json.loads((folder / name).read_text()) for folder in (report, again))
        assert _still(one) == _still(other)
    assert problems(json.loads((report / "diagnosis.json").read_text())) == []


def _still(document: JSON) -> str:
    """Without times, and what is counted from them."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b17\d{8}(\.\d+)?\b", "TIME", json.dumps(document, indent=1))
    return re.sub(r'("clock_skew"): [\d.e-]+|-?[\d.]+ m?s (ahead|behind|old)', r"\1 SKEW", text)


def test_slices_make_the_same_overview(place: Path, whole: Path) -> None:
    """AWX hands out hosts in the order of their names, one to each slice in turn, and keeps all groups."""
    source = place / "fleet.requorum.yml"
    words = ["ansible-inventory", "-i", str(source), "--list", "--export"]
    listed = json.loads(subprocess.run(words, env=os.environ | fleets.ENVIRONMENT, text=True,
                                       capture_output=True, check=True).stdout)  # fmt: skip
    variables = listed["_meta"]["hostvars"]
    assert sorted(variables) == sorted(HOW)
    for number in range(2):
        mine = sorted(variables)[number::2]
        script = place / f"slice{number}.py"
        cut = {"all": {"hosts": [], "children": ["clusters"]}, "clusters": {"hosts": mine},
               "_meta": {"hostvars": {name: variables[name] for name in mine}}}  # fmt: skip
        script.write_text(f"#! /usr/bin/env python3\nprint({json.dumps(cut)!r})\n")
        script.chmod(0o700)
        done = fleets.play("fleet_inspect", script, place / "sliced", requorum_fleet_overview=False, awx_job_id=number)
        assert done.returncode == 0 and not (place / "sliced" / "_fleet" / "overview.json").exists(), done.stdout
    done = fleets.play("fleet_overview", source, place / "sliced", awx_job_id=9)
    assert done.returncode == 0, done.stdout
    again = fleets.play("fleet_inspect", source, place / "carried", awx_job_id=1)  # in one go, of the same inventory
    assert again.returncode == 0
    for face in FACES:
        one, other = (fleets.timeless(place / run / "_fleet" / face, place / run) for run in ("sliced", "carried"))
        assert one == other, face
    assert list(fleets.rows(place / "sliced")) == list(fleets.rows(whole))


def test_a_slice_never_judges_a_part_of_a_cluster(place: Path) -> None:
    cut = fleets.inventory({"alfa": "well"})
    servers = cut["all"]["children"]["clusters"]["children"]["alfa"]["children"]["alfa_servers"]["hosts"]
    del servers["alfax2"], servers["alfax3"]
    (place / "cut.json").write_text(json.dumps(cut))
    done = fleets.play("fleet_inspect", place / "cut.json", place / "cut", awx_job_id=1)
    assert done.returncode == 2 and not (place / "cut" / "alfa").exists()
    assert fleets.rows(place / "cut")["alfa"]["state"] == "unknown" and "AWX may have cut" in done.stdout


def test_mistakes_of_the_inventory_fail_the_run_after_the_others(place: Path) -> None:
    made = fleets.inventory({"alfa": "well", "beta": "well", "gamma": "well"})
    groups = made["all"]["children"]["clusters"]["children"]
    groups["beta"]["children"]["beta_servers"]["hosts"]["gammax1"] = {}  # in two clusters
    groups["empty"] = {}
    (place / "wrong.json").write_text(json.dumps(made))
    done = fleets.play("fleet_inspect", place / "wrong.json", place / "wrong")
    found = fleets.rows(place / "wrong")
    assert done.returncode == 2 and "3 of 4 clusters were not judged" in done.stdout
    assert {name: row["state"] for name, row in found.items()} == {
        "beta": "unknown", "empty": "unknown", "gamma": "unknown", "alfa": "warning",
    }  # fmt: skip
    assert "gammax1 is also in the cluster gamma" in found["beta"]["sentence"]


def test_a_member_that_hangs_and_a_worker_that_breaks(place: Path) -> None:
    made = fleets.inventory({"slow": "well", "well": "well", "broken": "well"})
    groups = made["all"]["children"]["clusters"]["children"]
    groups["slow"]["children"]["slow_servers"]["hosts"]["slowx2"] = {"simulated": "slow"}
    groups["broken"]["vars"]["requorum_rules"] = ["/nowhere"]
    groups["slow"]["vars"]["requorum_output"] = f"{place}/own"
    made["all"]["vars"]["requorum_output"] = f"{place}/slow"
    (place / "slow.json").write_text(json.dumps(made))
    away = place / "away"
    begun = time.monotonic()
    done = fleets.play("fleet_inspect", place / "slow.json", place / "slow", requorum_timeouts={"fleet": 2}, told=False,
                       requorum_deliver=str(away))  # fmt: skip
    assert time.monotonic() - begun < 20
    found = fleets.rows(place / "slow")
    assert done.returncode == 2 and "/nowhere is no folder" in found["broken"]["sentence"]
    assert found["broken"]["state"] == "unknown" and found["well"]["nodes_read"] == 3
    assert Path(found["slow"]["report"]).is_relative_to(place / "own" / "slow")
    report = Path(found["well"]["report"])
    assert (away / "well" / report.name / "diagnosis.html").is_file()  # it leaves the container of a job
    assert (away / "slow" / "_fleet" / "overview.html").is_file() and not (away / "broken").exists()
    assert found["slow"]["nodes_read"] == 2 and "within 2 s" in json.dumps(
        json.loads(Path(found["slow"]["report"], "state.json").read_text())
    )


def test_a_run_that_was_killed_leaves_what_it_has_seen(place: Path) -> None:
    made = fleets.inventory({"alfa": "well", "beta": "slow"})
    (place / "killed.json").write_text(json.dumps(made))
    given = json.dumps({"requorum_output": f"{place}/killed", "requorum_batch": 1})
    words = ["ansible-playbook", str(fleets.ROOT / "playbooks" / "fleet_inspect.yml"), "-i", f"{place}/killed.json"]
    environment, nothing = os.environ | fleets.ENVIRONMENT, subprocess.DEVNULL
    with subprocess.Popen([*words, "-e", given], env=environment, cwd=place, stdout=nothing, stderr=nothing,
                          start_new_session=True) as run:  # fmt: skip
        row = place / "killed" / "_fleet" / "rows" / "alfa.json"
        for _turn in range(200):
            if row.exists():
                break
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)
    done = fleets.play("fleet_overview", place / "killed.json", place / "killed")
    found = fleets.rows(place / "killed")
    assert done.returncode == 2 and found["beta"]["sentence"] == "It was never read." and found["alfa"]["age_s"] >= 0
    made["all"]["children"]["clusters"]["children"]["beta"]["vars"]["simulated"] = "well"
    (place / "killed.json").write_text(json.dumps(made))
    assert fleets.play("fleet_inspect", place / "killed.json", place / "killed").returncode == 0
    assert len(list((place / "killed" / "alfa").iterdir())) == 2


def test_a_limit_is_refused(place: Path) -> None:
    words = ["ansible-playbook", str(fleets.ROOT / "playbooks" / "fleet_inspect.yml"), "-i", f"{place}/fleet.json"]
    done = subprocess.run([*words, "--limit", "alfa"], env=os.environ | fleets.ENVIRONMENT, cwd=place, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.returncode != 0 and "Leave --limit out" in done.stdout + done.stderr


def test_the_command(
    place: Path, whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fleets.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    words = ["fleet", "overview", "-i", str(place / "fleet.json"), "-e", f"requorum_output={whole}"]
    assert cli.main(words) == 4
    assert capsys.readouterr().out.startswith("FLEET: 6 clusters: 1 blocker")
    assert cli.main([*words, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["totals"]["unknown"] == 2
