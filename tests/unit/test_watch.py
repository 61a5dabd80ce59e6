# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines that run: who they are, that they run on, and what a datastore that does not know them is told."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.action import machine_watch, recovery_plan
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _catalog,
    _classify,
    _describe,
    _distro,
    _harvester,
    _machines,
    _node,
    _plan,
    _report_html,
    _report_text,
    _server,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._steps import STEPS
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from tests.unit.datastores import unpacked
from tests.unit.runs import DATA, DRILL, HEALTHY
from tests.unit.test_scripts import shells

JSON = dict[str, Any]


def qemu(pid: int, name: str) -> JSON:
    args = f"/usr/bin/qemu-kvm -name guest={name.replace('/', '_')},debug-threads=on"
    return {"pid": pid, "start": pid * 10, "name": "qemu-kvm", "args": args}


def host(name: str, *processes: JSON, harvester: bool = True) -> JSON:
    return {"name": name, "reachable": True, "harvester": {"harvester": "v1"} if harvester else None,
            "processes": list(processes)}  # fmt: skip


def machine(name: str = "a/web", node: str = "h1", pid: int = 7, accepted: bool = False) -> JSON:
    return {"node": node, "pid": pid, "start": pid * 10, "name": name, "accepted": accepted}


# Who runs


@pytest.mark.parametrize(
    ("entries", "accepted", "found"),
    [
        ([host("h1", qemu(7, "a/web"))], [], [machine()]),
        ([host("h1", qemu(7, "a/web"))], ["a/web"], [machine(accepted=True)]),
        ([host("h1", qemu(7, "a/web"))], "all", [machine(accepted=True)]),
        ([host("h1", qemu(7, "a/web"))], ["a/db"], [machine()]),
        ([host("h1", qemu(7, "a/web"), harvester=False)], [], []),
        ([host("h1"), host("w1", qemu(9, "a/db"), qemu(8, "a/a"), harvester=False)], None,
         [machine("a/a", "w1", 8), machine("a/db", "w1", 9)]),
        ([host("h1", qemu(7, "a/web")), {"name": "h2", "reachable": False, "harvester": None}], [], [machine()]),
    ],
    ids=["one", "accepted", "all accepted", "another accepted", "no Harvester", "on an agent", "a host is dead"],
)  # fmt: skip
def test_running(entries: list[JSON], accepted: object, found: list[JSON]) -> None:
    assert _machines.running(entries, accepted) == found


# That they run on


@pytest.mark.parametrize(
    ("still", "before", "accepted", "text", "ended"),
    [
        (["7/70", "8/80"], [], False, "2 of 2 run on", []),
        (["8/80"], [], False, "warning: a/web (process 7) has ended; 1 of 2 run on", [7]),
        (["8/80"], ["7/70"], False, "1 of 2 run on", []),
        ([], ["7/70"], False, "warning: a/db (process 8) has ended; 0 of 2 run on", [8]),
        (["8/80"], [], True, "a/web (process 7) has ended, as was accepted; 1 of 2 run on", [7]),
        (["7/71", "8/80"], [], False, "warning: a/web (process 7) has ended; 1 of 2 run on", [7]),
    ],
    ids=["all", "one ended", "told before", "a second one", "accepted", "its pid is another process"],
)
def test_a_look(still: list[str], before: list[str], accepted: bool, text: str, ended: list[int]) -> None:
    mine = [machine(accepted=accepted), machine("a/db", pid=8)]
    said, missed = _machines.result(mine, still, before)
    assert (said, [one["pid"] for one in missed]) == (text, ended)


class Watch(machine_watch.ActionModule):
    """On h1, in FENCE; its answers come one after another."""

    def __init__(self, run_dir: Path, *answers: _node.Done | Exception) -> None:
        self.host, self.run_dir, self.answers = "h1", str(run_dir), list(answers)
        phases = ["INSPECT", "PLAN", "BACKUP", "FENCE"]
        self.plan = {"phases": phases, "machines": [machine(), machine("a/db", "h2", 8)]}
        self._task = SimpleNamespace(args={"phase": 4})

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **given: str) -> _node.Done:
        assert (name, given) == ("still", {"SEEN": "7/70"})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_one_that_ended_is_told_once_and_written_down(tmp_path: Path) -> None:
    watch = Watch(tmp_path, _node.Done(0, "runs=7/70\n", ""), _node.Done(0, "", ""), _node.Done(0, "", ""))
    assert watch.do_watch() == "1 of 1 run on"
    assert watch.do_watch() == "warning: a/web (process 7) has ended; 0 of 1 run on"
    assert watch.do_watch() == "0 of 1 run on"
    assert [json.loads(line) for line in (tmp_path / "machines.jsonl").read_text().splitlines()] == [
        {**machine(), "phase": "FENCE"}
    ]


@pytest.mark.parametrize(
    "answer", [_node.Done(124, "", ""), AnsibleConnectionFailure("ssh: no answer before the deadline")]
)
def test_a_host_that_cannot_be_looked_at_stops_nothing(tmp_path: Path, answer: Any) -> None:
    said = Watch(tmp_path, answer).do_watch()
    assert said.startswith("warning: its 1 virtual machines could not be looked at: ")
    assert "no answer before the deadline" in said
    assert not (tmp_path / "machines.jsonl").exists()


@shells
def test_the_very_same_process(shell: str) -> None:
    """One that runs, one whose pid bears another process by now, one that is gone, one that nobody has reaped."""
    run, dead = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["true"])
    try:
        time.sleep(0.3)
        starts = {p.pid: Path(f"/proc/{p.pid}/stat").read_text().rpartition(")")[2].split()[19] for p in (run, dead)}
        same, zombie = f"{run.pid}/{starts[run.pid]}", f"{dead.pid}/{starts[dead.pid]}"
        script = _node.script("still", SEEN=f"{same} {run.pid}/1 4194999/1 {zombie}", DISTRO="auto", DATA="")
        done = subprocess.run([*shell.split(), "-c", script], capture_output=True, text=True, check=True)
        assert _node.many(done.stdout, "runs") == [same] and done.stderr == ""
    finally:
        run.kill()
        run.wait()
        dead.wait()


# The plan


def planned(state: JSON, machines: list[str], *, rancher: bool = True) -> _plan.Plan:
    servers = [_server.view(one, ["r3"]) for one in state["nodes"]]
    return _plan.make_plan(_classify.classify(servers), _distro.DISTROS["rke2"], cluster="prod", agents=["a1"],
                           rancher=rancher, machines=machines)  # fmt: skip


def test_machines_are_looked_at_at_the_end_of_every_phase_that_acts() -> None:
    actions = planned(DRILL, ["r1", "a1"]).actions
    assert [action.phase for action in actions] == sorted(action.phase for action in actions)
    for phase in range(4, 9):
        acts = [(action.verb, action.node) for action in actions if action.phase == phase]
        assert len(acts) > 2 and acts[-2:] == [("watch", "r1"), ("watch", "a1")]
    assert not [action for action in actions if action.verb == "watch" and action.phase not in range(4, 9)]
    without = [(action.verb, action.node) for action in planned(DRILL, []).actions]
    assert [(a.verb, a.node) for a in actions if a.verb != "watch"] == without


def test_other_clusters_have_no_such_actions() -> None:
    verbs = {action.verb for action in planned(DRILL, [], rancher=False).actions}
    assert not verbs & {"watch", "export", "brake"}


def test_nothing_is_looked_at_where_nothing_is_done() -> None:
    assert planned(HEALTHY, ["r1"]).actions == ()


@pytest.mark.parametrize("rancher", [True, False])
def test_a_backup_of_a_harvester_exports(rancher: bool) -> None:
    case = _classify.classify([_server.view(one) for one in HEALTHY["nodes"]])
    actions = _plan.backup_plan(case, _distro.DISTROS["rke2"], cluster="prod", rancher=rancher).actions
    verbs = ["snapshot", "keep", "keep", "keep"]
    assert [action.verb for action in actions] == [*verbs, "export"] if rancher else verbs
    assert actions[-1].node == actions[0].node or not rancher


def test_the_export_comes_after_the_proof_and_before_anything_is_touched() -> None:
    actions = planned(DRILL, []).actions
    verbs = [action.verb for action in actions]
    assert verbs.index("export") > max(verbs.index("snapshot"), len(verbs) - 1 - verbs[::-1].index("keep"))
    assert actions[verbs.index("export")].node == actions[verbs.index("snapshot")].node
    assert {STEPS["export"].phase, *(action.phase for action in actions if action.verb == "export")} == {3}


# A datastore that does not know them


@pytest.mark.parametrize(
    ("instances", "definitions", "machines", "words"),
    [
        ({"a/web"}, {"a/web"}, [machine()], None),
        (set(), set(), [machine(accepted=True)], None),
        (set(), set(), [], None),
        (set(), set(), [machine()], "end them: a/web on h1."),
        (set(), {"a/web"}, [machine()], "end them: a/web on h1 (halted in there)."),
        ({"a/db"}, set(), [machine("b/x", "h2", 9), machine("a/db", pid=8), machine()],
         "end them: a/web on h1, b/x on h2."),
    ],
    ids=["known", "accepted", "none runs", "not known", "halted", "two of three"],
)  # fmt: skip
def test_refusal(instances: set[str], definitions: set[str], machines: list[JSON], words: str | None) -> None:
    known = _machines.Known(frozenset(instances), frozenset(definitions))
    refusal = _machines.refusal(machines, known, "/old.db")
    if words is None:
        assert refusal is None
        return
    assert refusal and refusal.what.startswith("/old.db does not know") and refusal.what.endswith(words)
    given = json.loads(refusal.next.partition("-e '")[2].rpartition("'")[0])
    assert given == {"requorum_accept_vm_stop": _machines.unknown(machines, known)}


REAL = str(unpacked() / "snapshot.db")


def test_what_a_snapshot_knows() -> None:
    known = _machines.known(REAL)
    assert known.definitions == {"vms/web-1", "vms/web-2"} and known.instances == frozenset()
    assert {entry.resource for entry in _describe.entries(REAL, b"/registry/kubevirt.io/")} >= {_machines.DEFINITIONS}


@pytest.mark.parametrize(
    ("place", "path", "machines", "refused"),
    [
        ("controller", REAL, [machine("vms/web-1")], True),
        ("controller", REAL, [machine("vms/web-1", accepted=True)], False),
        ("controller", REAL, [], False),
        ("node", REAL, [machine("vms/web-1")], False),
        ("controller", "/none.db", [machine("vms/web-1")], False),
    ],
    ids=["at hand", "accepted", "none runs", "it is proved first", "it cannot be read"],
)
def test_plan_refuses_what_it_can_read(place: Any, path: str, machines: list[JSON], refused: bool) -> None:
    row = _catalog.Row(_catalog.Stored(place, "", path, 1, 1), "usable", "")
    assert bool(recovery_plan.ActionModule._ends(row, machines)) is refused
    assert recovery_plan.ActionModule._ends(None, machines) == ()


def test_backup_refuses_what_was_proved() -> None:
    action = PlanAction.__new__(PlanAction)
    action.plan = {"machines": [machine("vms/web-1")]}
    with pytest.raises(RequorumError, match=r"vms/web-1 on h1 \(halted in there\).*Nothing was reset.*accept_vm_stop"):
        action.spare(REAL, "The datastore of h1")
    action.plan = {"machines": [machine("vms/web-1", accepted=True)]}
    action.spare(REAL, "The datastore of h1")


# The report


def test_a_warning_stands_above_everything_and_machines_are_listed() -> None:
    report = json.loads((DATA / "report-recovered.json").read_text())
    assert "LOOK AT THIS" not in _report_text.summary(report) and "default/vm-1" in _report_html.render(report)
    report["machines"][0]["ended"] = "RESET"
    report["actions"][0]["result"] = "warning: default/vm-1 (process 4711) has ended; 0 of 1 run on"
    text, page = _report_text.summary(report), _report_html.render(report)
    node, verb = report["actions"][0]["node"], report["actions"][0]["verb"]
    assert text.index("LOOK AT THIS") < text.index("WHAT WAS WRONG")
    assert f"! {node} {verb}: default/vm-1 (process 4711) has ended; 0 of 1 run on" in text
    assert "default/vm-1 (process 4711, ended: RESET)" in text and "Virtual machines run on 0 of 1" in text
    assert "Look at this" in page and "ended: RESET" in page


def test_machines_are_named_as_kubevirt_names_its_guests() -> None:
    assert _harvester.machines(host("h1", qemu(7, "a/web"))) == {"7/70": "a/web"}
