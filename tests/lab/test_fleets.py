# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of a real cluster over SSH beside others that are dead, strange, or only played; nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import faults
from lab.labs import Lab
from tests.lab import story
from tests.unit import fleets

SLOW = ("*rke2*",)
"""K3s says the same in half the time."""
JSON = dict[str, Any]


def inventory(lab: Lab, folder: Path) -> Path:
    """One file for each cluster, names of hosts repeating, and the fleet of all of them."""
    found: JSON = {"real": yaml.safe_load(lab.inventory.read_text())}
    for name, how in (("played", "well"), ("lost", "lost"), ("strange", "garbage")):
        servers = {f"n{number}": {"simulated": how} for number in (1, 2, 3)}
        found[name] = {"all": {"vars": {"ansible_connection": "simulated"},
                               "children": {"servers": {"hosts": servers}}}}  # fmt: skip
    nobody = {"n1": {"ansible_host": lab.spec.subnet.rpartition(".")[0] + ".250"}}  # nobody has it
    found["dead"] = {"all": {"children": {"servers": {"hosts": nobody}}}}
    for name, hosts in found.items():
        hosts["all"].setdefault("vars", {})["requorum_cluster"] = name
        (folder / f"{name}.yml").write_text(json.dumps(hosts))
    source = folder / "fleet.requorum.yml"
    source.write_text("plugin: requorum.cluster.fleet\nsources: ['*.yml']\n")
    return source


def look(source: Path, output: Path) -> dict[str, JSON]:
    """By a run that leaves no connection of ssh behind."""
    kept = output.parent / "cp"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", str(kept))
        done = fleets.play("fleet_inspect", source, output)
    print(done.stdout[-4000:], done.stderr[-2000:])
    assert done.returncode == 0 and kept.is_dir() and list(kept.iterdir()) == []
    return fleets.rows(output)


def test_a_real_cluster_among_others(lab: Lab, tmp_path: Path) -> None:
    source = inventory(lab, tmp_path)
    with story.untouched(lab, quiet=[]):
        found = look(source, tmp_path / "out")
    real = found["real"]
    # "error" as long as no test has made a snapshot of it, "warning" afterwards: it is proved by nobody.
    assert (real["case"], real["nodes_read"]) == ("healthy", 4) and real["state"] in ("error", "warning"), real
    assert real["certificate"]["node"] in lab.servers and str(source.parent / "real.yml") in real["next"]["command"]
    assert (found["lost"]["state"], found["played"]["case"]) == ("blocker", "healthy")
    assert found["strange"]["state"] == found["dead"]["state"] == "unknown"
    # What it said is what inspect says of the cluster alone, of the API and of agents too.
    report = json.loads(Path(real["report"], "diagnosis.json").read_text())
    assert fleets.play("inspect", tmp_path / "real.yml", tmp_path / "alone").returncode == 0
    [folder] = (tmp_path / "alone" / "real").iterdir()
    alone = json.loads((folder / "diagnosis.json").read_text())
    for key in ("verdict", "allowed", "refused", "checked"):
        assert report[key] == alone[key], key
    assert {node["name"] for node in report["nodes"]} == {*lab.servers, *lab.agents}
    faults.power_off(lab, lab.servers[0])
    try:
        found = look(source, tmp_path / "out")
    finally:
        faults.power_on(lab, lab.servers[0])
    assert found["real"]["case"] in ("member_lost", "quorum_recoverable"), found["real"]  # they may still be voting
    assert found["real"]["nodes_read"] == 3
