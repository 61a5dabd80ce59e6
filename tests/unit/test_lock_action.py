# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a whole cluster: four nodes that are folders of this machine, and the real script on each of them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.action import recovery_plan
from ansible_collections.requorum.cluster.plugins.action.recovery_lock import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _lock, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside
from tests.unit.test_lock import Place, text

JSON = dict[str, Any]
HOSTS = ["s1", "s2", "s3", "a1"]


class Cluster:
    """Its nodes; `broken` say why nothing can be written there, `dead` do not answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.places = folder, {name: Place(folder / name) for name in HOSTS}
        self.broken: dict[str, str] = {}
        self.dead: set[str] = set()
        self.calls: list[str] = []
        self.runs = 0

    def beside(self, _action: object, name: str) -> Any:
        def script(_name: str, *, stdin: bytes, timeout: int, **given: str) -> _node.Done:
            self.calls.append(f"{given['DO']} {name}")
            if name in self.dead:
                raise AnsibleConnectionFailure("ssh: no route to host")
            if name in self.broken:
                return _node.Done(1, "", self.broken[name])
            words = self.places[name].words(given.pop("DO"), given.pop("ID"), **given)
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout, check=False)
            return _node.Done(done.returncode, done.stdout.decode(), done.stderr.decode())

        return SimpleNamespace(script=script)

    def run(self, *, seen: JSON | None = None, unreachable: str = "", limit: float = 600) -> ActionModule:
        """A run that begins now. seen: locks that INSPECT has read."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        plan = {"command": f"recover.yml number {self.runs}", "stamp": f"stamp-{self.runs}"}
        (folder / "plan.json").write_text(json.dumps(plan))
        read = {
            name: {"name": name, "reachable": name != unreachable, "lock": (seen or {}).get(name)} for name in HOSTS
        }
        action = ActionModule.__new__(ActionModule)
        action.host = action.turn = "localhost"
        action.vars = {"hostvars": {name: {"requorum_read": {"requorum_node": node}} for name, node in read.items()},
                       "requorum_timeouts": {"lock": limit}}  # fmt: skip
        action._templar = SimpleNamespace(template=lambda value: value)
        action._task = SimpleNamespace(args={"run_dir": str(folder), "hosts": HOSTS}, check_mode=False)
        return action

    @property
    def held(self) -> dict[str, str]:
        """Node -> id of the lock that is there."""
        files = {name: place.file for name, place in self.places.items() if place.file.exists()}
        return {name: file.read_text().splitlines()[0].removeprefix("id=") for name, file in files.items()}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(tmp_path)
    monkeypatch.setattr(_beside, "beside", made.beside)
    return made


def free(action: ActionModule) -> JSON:
    action._task.args["state"] = "free"
    return action.act()


def ident(action: ActionModule) -> str:
    return str(json.loads((Path(action._task.args["run_dir"]) / _lock.FILE).read_text())["id"])


def test_the_first_node_is_asked_alone_and_all_are_held_until_it_ends(cluster: Cluster) -> None:
    run = cluster.run()
    assert run.act()["nodes"] == HOSTS
    assert cluster.calls[0] == "take s1" and sorted(cluster.calls[1:]) == ["take a1", "take s2", "take s3"]
    assert cluster.held == dict.fromkeys(HOSTS, ident(run))
    lines = cluster.places["s2"].file.read_text().splitlines()
    assert f"pid={os.getppid()}" in lines and "run=recover.yml number 1" in lines
    assert free(run)["nodes"] == HOSTS and cluster.held == {}
    cluster.calls.clear()
    assert free(run)["nodes"] == [] and cluster.calls == [], "what was let go is let go"


def test_a_second_run_is_refused_and_has_touched_nothing(cluster: Cluster) -> None:
    first, second = cluster.run(), cluster.run()
    first.act()
    held = cluster.held
    with pytest.raises(
        RequorumError, match=r"Another run works .* heard \d+ s ago on s1: recover.yml number 1 \(locked\)"
    ):
        second.act()
    [refusal] = json.loads((Path(second._task.args["run_dir"]) / "plan.json").read_text())["refusals"]
    assert refusal["what"].endswith(" recover.yml number 1 (locked).") and refusal["where"].startswith("s1, ")
    assert cluster.calls[len(HOSTS) :] == ["take s1"] and cluster.held == held
    free(second)
    assert cluster.held == held


def test_of_two_runs_at_one_instant_exactly_one_goes_on(cluster: Cluster) -> None:
    def begin(run: ActionModule) -> str:
        try:
            return run.act() and "goes on"
        except RequorumError as error:
            return str(error)

    for _round in range(8):
        runs = [cluster.run(), cluster.run()]
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(begin, runs))
        assert sorted(word == "goes on" for word in said) == [False, True], said
        [winner] = [run for run, word in zip(runs, said, strict=True) if word == "goes on"]
        assert cluster.held == dict.fromkeys(HOSTS, ident(winner))
        free(winner)
        assert cluster.held == {}


def test_what_was_taken_is_given_back_where_a_later_node_refuses(cluster: Cluster) -> None:
    cluster.places["s1"].call("take", "old")
    cluster.places["s1"].silent_for(700)
    cluster.places["s3"].call("take", "b")
    run = cluster.run()
    with pytest.raises(RequorumError, match=r"anna on desk .* on s3: .*\(locked\)"):
        run.act()
    assert cluster.held == {"s1": "old", "s3": "b"}
    assert time.time() - cluster.places["s1"].file.stat().st_mtime > 690


def test_a_run_that_gives_no_sign_of_life_is_taken_over_with_a_warning(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = list[str]()
    monkeypatch.setattr(ActionModule, "warn", lambda _self, text: warned.append(text))
    for name in ("s1", "s2"):
        cluster.places[name].call("take", "old")
        cluster.places[name].silent_for(700)
    run = cluster.run()
    result = run.act()
    assert cluster.held == dict.fromkeys(HOSTS, ident(run))
    [over] = result["taken_over"]
    assert (over["owner"], over["host"], over["dead"]) == ("anna", "desk", False) and over["age"] >= 700
    assert warned == [result["requorum_message"]] and "gives no sign of life any more: anna on desk" in warned[0]
    assert (cluster.folder / "s2" / "stamp-1" / "lock").read_bytes() == text("old")


def test_a_killed_run_of_this_machine_is_followed_at_once(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    first = cluster.run()
    first.act()
    lock = {key: value for key, _equals, value in
            (line.partition("=") for line in cluster.places["s1"].file.read_text().splitlines())}  # fmt: skip
    gone = {name: {**lock, "age": "3", "pid": "4194305"} for name in HOSTS}
    second = cluster.run(seen=gone)
    assert [over["dead"] for over in second.act()["taken_over"]] == [True]
    assert cluster.held == dict.fromkeys(HOSTS, ident(second))
    assert "because its process has ended" in " ".join(capsys.readouterr().out.split())
    free(first)
    assert cluster.held == dict.fromkeys(HOSTS, ident(second)), "it lets go only what is its own"


def test_a_limit_of_zero_takes_over_whatever_is_there(cluster: Cluster) -> None:
    cluster.run().act()
    run = cluster.run(limit=0)
    run.act()
    assert cluster.held == dict.fromkeys(HOSTS, ident(run))


def test_a_node_that_cannot_have_it_is_left_out(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    warned = list[str]()
    monkeypatch.setattr(ActionModule, "warn", lambda _self, text: warned.append(text))
    cluster.broken = {"s1": "No space left on device"}
    cluster.dead = {"s3"}
    run = cluster.run(unreachable="a1")
    result = run.act()
    assert cluster.calls[:2] == ["take s1", "take s2"], "the next one decides"
    assert result["nodes"] == ["s2"] and set(result["left_out"]) == {"s1", "s3"}
    assert [line.partition(":")[0] for line in warned] == ["s1", "s3"] and "No space left" in warned[0]
    kept = json.loads((Path(run._task.args["run_dir"]) / _lock.FILE).read_text())
    assert kept["nodes"] == ["s2"] and set(kept["tried"]) == {"s1", "s2", "s3"}, "it may be there all the same"
    cluster.dead.add("s2")
    warned.clear()
    assert free(run)["nodes"] == []
    assert [line.partition(":")[0] for line in warned] == ["s2"] and "stays there until it expires" in warned[0]


def test_one_node_must_have_it(cluster: Cluster) -> None:
    cluster.broken = dict.fromkeys(HOSTS, "flock (of util-linux) is missing on this node")
    with pytest.raises(RequorumError, match=r"could not be kept on any node: s1: flock .* a1: flock"):
        cluster.run().act()


def test_check_mode_takes_none(cluster: Cluster) -> None:
    run = cluster.run()
    run._task.check_mode = True
    assert run.act() == {"changed": False} and cluster.calls == []


@pytest.mark.parametrize("check", [True, False])
def test_the_plan_is_refused_by_what_inspect_has_read_and_tells_the_rest(
    check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = list[str]()
    monkeypatch.setattr(recovery_plan.ActionModule, "warn", lambda _self, text: warned.append(text))
    plan = recovery_plan.ActionModule.__new__(recovery_plan.ActionModule)
    plan.host = plan.turn = "localhost"
    plan.vars, plan._templar = {"requorum_timeouts": {"lock": 100}}, SimpleNamespace(template=lambda value: value)
    plan._task = SimpleNamespace(check_mode=check)
    entries: list[JSON] = [
        {"name": "s1", "reachable": True, "lock": {"id": "a", "age": "99", "owner": "anna"}},
        {"name": "s2", "reachable": True, "lock": {"id": "b", "age": "100", "owner": "bert"}},
        {"name": "s3", "reachable": False},
    ]
    [refusal] = plan._locks(entries)
    assert "works on this cluster: anna on" in refusal.what
    assert len(warned) == (1 if check else 0) and all("bert on" in line for line in warned)
