# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`cluster_diagnose` over what INSPECT has read: what it returns, keeps, and says."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_diagnose
from ansible_collections.requorum.cluster.plugins.module_utils import _rules
from requorum import cli
from tests.unit.diagnoses import FOLDER, NOW
from tests.unit.runs import DRILL, HEALTHY, JSON
from tests.unit.test_diagnosis import problems

LOST = '{"level":"info","ts":"2026-11-24T20:14:00.000000Z","msg":"raft.node: 91bc3c398fb3c146 lost leader 8211f1d0f64f3269 at term 3"}'  # noqa: E501
INVENTORY = "/home/me/prod hosts.yml"


class Acting(cluster_diagnose.ActionModule):
    """On r1, whose API nobody asks."""

    settings: ClassVar[JSON] = {"requorum_cert_days": 400}

    def __init__(self, state: JSON, folder: Path, **args: Any) -> None:
        self.host = "r1"
        logs = {"requorum_logs": [{"source": "etcd", "file": "etcd.log", "text": LOST}]}
        hosts = {e["name"]: {"requorum_read": {"requorum_node": e, "logs": logs}} for e in state["nodes"]}
        self.vars = {"hostvars": hosts, "ansible_inventory_sources": [INVENTORY]}
        given = {"cluster": "prod", "servers": list(hosts), "api": False, "output": str(folder), **args}
        self._task = SimpleNamespace(args=given, check_mode=False)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(_rules, "OURS", FOLDER)
    monkeypatch.setattr(cluster_diagnose, "now", lambda: NOW)
    monkeypatch.setattr(cluster_diagnose.display, "display", said.append)
    return said


def test_what_was_seen_and_said_is_kept(tmp_path: Path, shown: list[str]) -> None:
    result = Acting(DRILL, tmp_path).act()
    document, folder = result["diagnosis"], Path(result["requorum_run_dir"])
    assert problems(document) == [] and document["verdict"]["case"] == "quorum_lost"
    assert sorted(path.name for path in folder.iterdir()) == ["diagnosis.html", "diagnosis.json", "state.json"]
    assert json.loads((folder / "diagnosis.json").read_text()) == document
    assert folder.parent == tmp_path / "prod" and "upkeep" not in result
    assert document["verdict"]["next"]["command"] == f"ansible-playbook recover.yml -i '{INVENTORY}' --check"
    assert shown[0].startswith("BLOCKER: prod")
    assert {each["node"] for each in json.loads((folder / "state.json").read_text())["hits"]} == {"r1", "r2", "r3"}


def test_logs_that_could_not_be_read_are_told(tmp_path: Path, shown: list[str]) -> None:
    acting = Acting(DRILL, tmp_path)
    hosts = acting.vars["hostvars"]
    hosts["r1"]["requorum_read"]["logs"] = {"requorum_logs": [], "unread": {"etcd": "it cannot be read"}}
    hosts["r2"]["requorum_read"]["logs"] = {"msg": "r2: its logs cannot be read."}
    del hosts["r3"]["requorum_read"]["logs"]  # nobody asked
    assert acting.act()["diagnosis"]["source"]["unread"] == [
        {"what": "r1: log of etcd", "why": "it cannot be read"},
        {"what": "r2: logs", "why": "r2: its logs cannot be read."},
    ]


def test_nothing_is_kept_of_a_watch(tmp_path: Path, shown: list[str]) -> None:
    assert "requorum_run_dir" not in Acting(HEALTHY, tmp_path, record=False).act()
    assert list(tmp_path.iterdir()) == []


def test_on_a_schedule(tmp_path: Path, shown: list[str]) -> None:
    given = {"upkeep": ["certificates", "backups"], "prometheus": f"{tmp_path}/r.prom", "record": False}
    upkeep = Acting(HEALTHY, tmp_path, **given).act()["upkeep"]
    assert upkeep["document"]["parts"] == ["certificates", "backups"] and upkeep["code"] == 4
    assert upkeep["document"]["thresholds"]["cert_days"] == 400
    assert shown == [upkeep["text"]] and f"-i '{INVENTORY}'" in upkeep["text"]
    assert 'check="rules"' in (tmp_path / "r.prom").read_text()


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("state", [HEALTHY, DRILL], ids=["healthy", "lost"])
def test_a_bundle_of_ours_says_the_same(state: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    action = Acting(state, tmp_path, bundle=f"{tmp_path}/b.zip", record=False)
    action.vars["ansible_inventory_sources"] = []
    live = action.act()["diagnosis"]
    cli.main(["diagnose", f"{tmp_path}/b.zip", "--json"])
    again = json.loads(capsys.readouterr().out)
    assert again.pop("source")["kind"] == "requorum" and live.pop("source")["kind"] == "live"
    assert again == live and "etcd_lost_leader" in {finding["id"] for finding in again["findings"]}
