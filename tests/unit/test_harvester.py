# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvester beside RKE2: its release, its virtual machines, the brake of Rancher's planner in plan and checks."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _classify,
    _distro,
    _harvester,
    _node,
    _plan,
    _server,
    _state,
    _verify,
)
from tests.unit.local_node import LocalNode
from tests.unit.runs import DRILL, HEALTHY, entry

QEMU = "/usr/bin/qemu-kvm -name guest=default_vm-1,debug-threads=on -S"


def test_release() -> None:
    assert _harvester.release({"release_harvester": "v1.3.1", "release_os": "", "uid": "0"}) == {"harvester": "v1.3.1"}
    assert _harvester.release({"release_os": "x"}) is None


@pytest.mark.parametrize(
    ("name", "args", "machine"),
    [
        ("qemu-kvm", QEMU, "default/vm-1"),
        ("qemu-system-x86", "/usr/bin/qemu-system-x86_64 -name guest=ns-1_vm,process=x", "ns-1/vm"),
        ("qemu-kvm", "/usr/bin/qemu-kvm -name default_vm", "default/vm"),
        ("qemu-kvm", "/usr/bin/qemu-kvm", None),
        ("etcd", QEMU, None),
    ],
)
def test_machines(name: str, args: str, machine: str | None) -> None:
    found = _harvester.machines({"processes": [{"pid": 7, "start": 9, "name": name, "args": args}]})
    assert found == ({"7/9": machine} if machine else {})


def test_a_host_that_is_no_harvester_is_read_as_before() -> None:
    said = LocalNode().run(_node.script("info", DISTRO="auto", DATA="")).out
    found = _state.node("x", "127.0.0.1", said, received=0.0)
    assert found["hostname"] and found["boot_id"] and found["harvester"] is None


def verbs(rancher: bool, state: dict[str, Any] = DRILL) -> list[str]:
    servers = [_server.view(one, ["r3"]) for one in state["nodes"]]
    made = _plan.make_plan(
        _classify.classify(servers), _distro.DISTROS["rke2"], cluster="prod", agents=(), rancher=rancher
    )
    return [action.verb for action in made.actions]


def test_the_planner_stands_still_from_the_first_api_server_to_the_end() -> None:
    with_rancher, without = verbs(rancher=True), verbs(rancher=False)
    assert [verb for verb in with_rancher if verb not in ("brake", "unbrake", "export")] == without
    assert with_rancher.index("brake") == with_rancher.index("start") + 1
    assert with_rancher.index("settle") < with_rancher.index("unbrake") < with_rancher.index("save")


def of_harvester(capi: dict[str, Any] | None, *, machine: bool = True) -> dict[str, Any]:
    one = entry("healthy") | {"harvester": {"harvester": "v1.3.1"}}
    one["api"]["capi"] = capi
    if machine:
        one["processes"].append({"pid": 7, "parent": 1, "state": "S", "start": 9, "name": "qemu-kvm", "args": QEMU})
    return {"nodes": [one], "harvester": _harvester.cluster([one])}


@pytest.mark.parametrize(
    ("after", "wrong"),
    [
        (of_harvester({"paused": False, "braked": None}), []),
        (of_harvester({"paused": True, "braked": None}), []),
        (of_harvester(None), []),
        (of_harvester({"paused": True, "braked": "x"}), ["paused by a run"]),
        (of_harvester(None, machine=False), ["virtual machines"]),
    ],
    ids=["as before", "paused by somebody else", "no CAPI", "still braked", "a machine ended"],
)
def test_checks(after: dict[str, Any], wrong: list[str]) -> None:
    checks = list(_verify._of_harvester({"machines": []}, of_harvester(None), copy.deepcopy(after)))
    assert [check.name for check in checks if not check.ok] == wrong


def test_a_machine_that_may_end_is_not_missed() -> None:
    plan = {"machines": [{"name": "default/vm-1", "accepted": True}]}
    without = of_harvester(None, machine=False)
    checks = list(_verify._of_harvester(plan, of_harvester(None), without))
    assert [(check.ok, check.observed) for check in checks] == [(True, "0 processes go on")]


def test_other_clusters_have_no_checks_of_harvester() -> None:
    assert list(_verify._of_harvester({}, HEALTHY, HEALTHY)) == []
