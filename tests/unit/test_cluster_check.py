# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`cluster_check` over what INSPECT has read and an API in memory; and the command `requorum verify`."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_check
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _verify
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api, _survey
from requorum import cli, remote
from requorum import verify as command
from tests.unit.fake_api import FakeApi
from tests.unit.harvesters import Harvester
from tests.unit.runs import HEALTHY, JSON, dead, entry, state

SERVERS = ["r1", "r2", "r3"]
UID = "4a9bd2ee-6a1c-4c6e-9d6e-111111111111"


def standing(after: JSON, *, off: tuple[str, ...] = ()) -> dict[str, Any]:
    return {check.name: check for check in _verify.standing(after, SERVERS, off) if not check.ok}


def test_a_cluster_that_stands() -> None:
    assert standing(HEALTHY) == {}
    assert [check.name for check in _verify.standing(HEALTHY, SERVERS)] == [
        *("hosts", "voters", "learners", "leader", "cluster ID", "alarms", "API ready on", "API endpoints"),
        *("Nodes Ready", "leftovers"),
    ]


def test_a_server_that_does_not_answer_is_still_wanted_by_its_member() -> None:
    found = standing(state(entry("healthy"), dead("r2"), entry("healthy", "r3")))
    assert set(found) == {"hosts", "leader", "cluster ID", "API ready on", "leftovers"}
    assert found["hosts"].observed == "r1, r3" and "requorum rejoin" in found["hosts"].next
    assert found["leader"].observed.endswith("seen by 2")


def test_a_server_that_is_off_on_purpose_is_left_out() -> None:
    after = state(entry("healthy"), entry("healthy", "r2"), dead("r3"))
    after["nodes"][0]["api"]["endpoints"].remove("10.89.0.23")
    assert standing(after, off=("r3",)) == {}


def test_nothing_that_was_not_read_counts_as_healthy() -> None:
    found = standing(state(dead("r1"), dead("r2"), dead("r3")))
    states = {name: check.state for name, check in found.items()}
    assert states == {
        "hosts": "wrong", "API ready on": "wrong",
        **dict.fromkeys(("voters", "learners", "leader", "cluster ID", "alarms", "leftovers"), "unknown"),
        **dict.fromkeys(("API endpoints", "Nodes Ready"), "unknown"),
    }  # fmt: skip
    assert all(check.next for check in found.values())


def test_an_agent_must_be_ready_too() -> None:
    after = copy.deepcopy(HEALTHY)
    agent = {"name": "a1", "host": "10.89.0.31", "reachable": True, "hostname": "a1", "unread": {}}
    after["nodes"].append(agent)
    assert set(standing(after)) == {"Nodes Ready"}


class Acting(cluster_check.ActionModule):
    """On r1; what INSPECT has read stands in the variables of the hosts."""

    settings: ClassVar[JSON] = {}

    def __init__(self, entries: list[JSON], **args: Any) -> None:
        self.host, self.said = "r1", list[str]()
        names = [e["name"] for e in entries]
        self.vars = {
            "hostvars": {e["name"]: {"requorum_read": {"requorum_node": e}} for e in entries},
            "ansible_inventory_sources": ["/home/me/prod hosts.yml"],
        }
        self._task = SimpleNamespace(args={"cluster": "prod", "servers": names, "api": True, **args}, check_mode=False)

    def say(self, text: str) -> None:
        self.said.append(text)


def on_harvester(version: str = "1.3") -> tuple[Harvester, list[JSON]]:
    """A Harvester in memory whose hosts are r1 to r3 of INSPECT and call themselves n1 to n3; default/web runs."""
    harvester = Harvester(version)
    harvester.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID}})
    entries = []
    for number, name in enumerate(SERVERS, 1):
        made = entry("healthy", name)
        text = json.dumps(made).replace(f'"{name}"', f'"n{number}"').replace(f"{name}-", f"n{number}-")
        for other in range(1, 4):
            text = text.replace(f'"r{other}-', f'"n{other}-').replace(f'"name": "r{other}"', f'"name": "n{other}"')
        found = json.loads(text) | {"name": name, "harvester": harvester.release}
        found["api"]["system_uid"] = UID
        entries.append(found)
    qemu(entries[0], "default/web")
    return harvester, entries


def qemu(item: JSON, guest: str) -> None:
    args = f"/usr/bin/qemu-kvm -name guest={guest.replace('/', '_')},debug-threads=on"
    item["processes"].append({"pid": 7, "parent": 1, "state": "S", "start": 5, "name": "qemu-kvm", "args": args})


def act(store: FakeApi, entries: list[JSON], folder: Path, **args: Any) -> tuple[JSON, dict[str, JSON], Acting]:
    action = Acting(entries, output=str(folder), **args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_node_api, "of", lambda _action, **_how: store.api)
        result = action.act()
    assert not result["changed"] and store.changes == []
    return result, {check["name"]: check for check in result["checks"] if not check["ok"]}, action


def test_a_harvester_is_found_by_itself_and_holds(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    result, wrong, action = act(harvester, entries, tmp_path)
    assert wrong == {} and result["holds"] and result["harvester"] and result["asked"] == "r1"
    assert len(result["checks"]) == 28 and any(line.startswith("ok: VIP: 10.0.0.10") for line in action.said)


def test_other_clusters_have_no_such_checks(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    for item in entries:
        item["harvester"] = None
    harvester.missing = ("settings.harvesterhci.io",)
    result, wrong, _action = act(harvester, entries, tmp_path)
    assert wrong == {} and not result["harvester"] and len(result["checks"]) == 11


def test_the_next_step_is_told_with_the_inventory_of_this_run(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    harvester.change("managedcharts.management.cattle.io", "harvester", {"spec": {"paused": True}})
    _result, wrong, action = act(harvester, entries, tmp_path)
    assert "requorum force-sync -i '/home/me/prod hosts.yml' --check" in wrong["ManagedCharts"]["next"]
    assert any(line.startswith("WRONG: ManagedCharts: harvester is paused. Wanted: none") for line in action.said)


@pytest.mark.parametrize("reason", ["Forbidden", "TooManyRequests", "InternalError", "NoAnswer"])
def test_a_part_that_the_api_refuses_is_not_checked(tmp_path: Path, reason: str) -> None:
    harvester, entries = on_harvester()
    served = harvester.refuse

    def refuse(request: _api.Request) -> _api.Answer | None:
        return _api.Answer(reason, f"said {reason}") if request.kind.group == "longhorn.io" else served(request)

    harvester.refuse = refuse
    result, wrong, _action = act(harvester, entries, tmp_path)
    assert {name: check["state"] for name, check in wrong.items()} == dict.fromkeys(
        ("Longhorn nodes", "Longhorn volumes", "leftovers of upgrades"), "unknown"
    )
    assert not result["holds"] and reason in wrong["Longhorn nodes"]["observed"]


def test_an_api_that_hangs_is_asked_once(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    harvester.refuse = lambda _request: _api.Answer("NoAnswer", "no answer before the deadline")
    _result, wrong, _action = act(harvester, entries, tmp_path)
    assert {check["state"] for check in wrong.values()} == {"unknown"} and len(wrong) == 17
    assert len(harvester.asked) == 1


def test_an_api_that_is_too_slow_is_not_waited_for_longer_than_the_deadline(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    with pytest.MonkeyPatch.context() as patch:
        clock = iter(range(0, 100_000, 50))
        patch.setattr(_survey.time, "monotonic", lambda: next(clock))
        _result, wrong, _action = act(harvester, entries, tmp_path)
    assert "requorum_timeouts.verify" in wrong["pods"]["observed"] and len(harvester.asked) < 10


def test_no_api_at_all(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    result, wrong, _action = act(harvester, entries, tmp_path, api=False)
    assert harvester.asked == [] and result["asked"] is None
    assert {check["state"] for check in wrong.values()} == {"unknown"} and len(wrong) == 17


def test_the_api_of_another_cluster_is_not_judged(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    entries[0]["api"]["system_uid"] = entries[1]["api"]["system_uid"] = entries[2]["api"]["system_uid"] = "other"
    _result, wrong, _action = act(harvester, entries, tmp_path)
    assert "that of another cluster" in wrong["kubelets"]["observed"] and len(harvester.asked) == 1


def run(folder: Path, stamp: str, *, purpose: str, phase: int, guest: str, before: JSON) -> None:
    place = folder / "prod" / stamp
    place.mkdir(parents=True)
    found = copy.deepcopy(before)
    qemu(found["nodes"][0], guest)
    for name, content in (("plan.json", {"purpose": purpose}), ("state-before.json", found)):
        (place / name).write_text(json.dumps(content))
    (place / "actions.jsonl").write_text(json.dumps({"phase": phase}) + "\n")


def test_machines_are_compared_with_the_last_recovery_that_did_something(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    before = {"nodes": copy.deepcopy(entries)}
    run(tmp_path, "20261124T201500Z", purpose="recover", phase=5, guest="default/old", before=before)
    run(tmp_path, "20261125T201500Z", purpose="recover", phase=3, guest="default/web", before=before)
    run(tmp_path, "20261126T201500Z", purpose="agents", phase=5, guest="default/web", before=before)
    result, wrong, _action = act(harvester, entries, tmp_path)
    assert result["compared_with"] == str(tmp_path / "prod" / "20261124T201500Z")
    assert set(wrong) == {"virtual machines"}
    assert wrong["virtual machines"]["observed"].startswith("default/old does not run (it ran on n1 before)")
    assert act(harvester, entries, tmp_path, compare=False)[0]["holds"]


def test_a_machine_without_its_process_does_not_run(tmp_path: Path) -> None:
    harvester, entries = on_harvester()
    entries[0]["processes"].pop()
    _result, wrong, _action = act(harvester, entries, tmp_path)
    assert wrong["virtual machines"]["observed"] == "default/web is said to run on n1, which has no such process"
    entries[0]["processes"] = None
    assert act(harvester, entries, tmp_path)[0]["holds"]


CHECK = {"name": "voters", "wanted": "a, b", "observed": "a", "state": "wrong", "ok": False, "next": "look"}
GOOD = {"name": "leader", "wanted": "one", "observed": "one, seen by 1", "state": "holds", "ok": True, "next": ""}


def played(monkeypatch: pytest.MonkeyPatch, checks: list[JSON] | None, failures: list[str]) -> JSON:
    seen: JSON = {}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        made = {"holds": all(c["ok"] for c in checks or ()), "harvester": False, "asked": "r1", "compared_with": None}
        return remote.Outcome({} if checks is None else {"cluster_check": {**made, "checks": checks}}, failures)

    monkeypatch.setattr(command.remote, "play", play)
    return seen


@pytest.mark.parametrize(
    ("checks", "failures", "code", "last"),
    [
        ([GOOD], [], 0, "1 checks: all hold."),
        ([GOOD, CHECK], ["r1: Not everything is as it should be"], 4, "2 checks: 1 wrong."),
        ([GOOD, {**CHECK, "state": "unknown"}], ["x"], 4, "2 checks: 1 not checked."),
        (None, ["r1: SSH"], 1, ""),
    ],
)
def test_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    checks: list[JSON] | None, failures: list[str], code: int, last: str,
) -> None:  # fmt: skip
    seen = played(monkeypatch, checks, failures)
    assert cli.main(["verify", "-i", "hosts.yml", "-e", "requorum_compare=no"]) == code
    assert seen == {"name": "verify", "inventory": "hosts.yml", "variables": {"requorum_compare": "no"}, "check": False}
    said = capsys.readouterr()
    assert said.out.strip().rpartition("\n")[2] == last
    assert cli.main(["verify", "-i", "hosts.yml", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1 and (document.get("checks") == checks or code == 1)


def test_a_fault_takes_three_rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    played(monkeypatch, [GOOD, CHECK], [])
    cli.main(["verify", "-i", "hosts.yml"])
    assert capsys.readouterr().out == (
        "STATE  CHECK\n"
        "ok     leader  one, seen by 1\n"
        "WRONG  voters  a\n"
        "               wanted: a, b\n"
        "               next: look\n"
        "\n"
        "2 checks: 1 wrong.\n"
    )


def test_a_version_whose_webhook_is_down_is_read_in_the_other_one(tmp_path: Path) -> None:
    harvester, entries = on_harvester("1.8")

    def refuse(request: _api.Request) -> _api.Answer | None:
        down = (request.kind.group, request.kind.version) == ("cluster.x-k8s.io", "v1beta2")
        return _api.Answer("InternalError", "conversion webhook failed") if down else None

    harvester.refuse = refuse
    assert act(harvester, entries, tmp_path)[0]["holds"]
