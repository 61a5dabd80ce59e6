# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks at the end of a recovery: every one of them notices what it is for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _verify
from tests.unit.runs import DRILL, HEALTHY, JSON, dead, entry, plan, state

BACKUP, SAVED = {"revision": 1400}, {"path": "/var/lib/rancher/rke2/server/db/snapshots/requorum-after-r1"}


def wrong(
    after: JSON, *, before: JSON = HEALTHY, of: JSON | None = None, backup: JSON = BACKUP, saved: JSON = SAVED
) -> dict[str, str]:
    checks = _verify.checks(of or plan(DRILL), before, after, backup=backup, saved=saved)
    return {check.name: check.observed for check in checks if not check.ok}


def test_recovered_cluster() -> None:
    made = plan(state(entry("quorum-lost"), entry("wiped", "r2"), entry("wiped", "r3")))
    assert wrong(HEALTHY, of=made) == {}
    assert len(_verify.checks(made, HEALTHY, HEALTHY, backup=BACKUP, saved=SAVED)) == 12


def at(name: str, *path: Any) -> Callable[[JSON], Any]:
    def place(after: JSON) -> Any:
        found: Any = next(e for e in after["nodes"] if e["name"] == name)
        for step in path:
            found = found[step]
        return found

    return place


DAMAGE: dict[str, tuple[Callable[[JSON], Any], set[str]]] = {
    "a member is missing": (lambda s: at("r1", "etcd", "members")(s).pop(), {"voters"}),
    "a member is a learner": (lambda s: at("r1", "etcd", "members")(s)[0].update(learner=True), {"voters", "learners"}),
    "a stranger is a member": (
        lambda s: at("r1", "etcd", "members")(s).append(
            {"id": "9", "name": "r9-00000009", "peer_urls": ["https://10.89.0.29:2380"]}
        ),
        {"voters"},
    ),
    "two leaders": (lambda s: at("r2", "etcd", "status")(s).update(leader="ff"), {"leader"}),
    "no leader": (lambda s: [at(r, "etcd", "status")(s).update(leader=None) for r in ("r1", "r2", "r3")], {"leader"}),
    "two clusters": (lambda s: at("r3", "etcd", "status")(s).update(cluster_id="ff"), {"cluster ID"}),
    "one is silent": (lambda s: at("r3", "etcd")(s).update(status=None), {"leader", "cluster ID"}),
    "alarm": (lambda s: at("r1", "etcd")(s).update(alarms=["NOSPACE"]), {"alarms"}),
    "alarms unread": (lambda s: at("r1", "etcd")(s).update(alarms=None), {"alarms"}),
    "older revision": (lambda s: at("r1", "etcd", "status")(s).update(revision=1399), {"revision"}),
    "an API is down": (lambda s: at("r2", "api")(s).update(ready=False), {"API ready on"}),
    "an endpoint is missing": (lambda s: at("r1", "api", "endpoints")(s).pop(), {"API endpoints"}),
    "a dead endpoint": (lambda s: at("r1", "api", "endpoints")(s).append("10.89.0.29"), {"API endpoints"}),
    "a Node is not Ready": (lambda s: at("r1", "api", "nodes")(s)[2].update(ready=False), {"Nodes Ready"}),
    "our drop-in lies there": (
        lambda s: at("r2", "files")(s).update({"/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml": {}}),
        {"leftovers"},
    ),
    "a reset-flag lies there": (lambda s: at("r1", "files")(s).update({"/x/server/db/reset-flag": {}}), {"leftovers"}),
    "a pod was restarted": (
        lambda s: next(p for p in at("r2", "processes")(s) if p["name"].startswith("nginx")).update(pid=77, start=5),
        {"workloads"},
    ),
    "only etcd and the API server were restarted": (
        lambda s: [
            p.update(start=p["start"] + 9) for p in at("r1", "processes")(s) if p["name"] in ("etcd", "kube-apiserver")
        ],
        set(),
    ),
    "a host was restarted with its pods": (
        lambda s: (
            at("r3", "processes")(s).clear(),
            next(e for e in s["nodes"] if e["name"] == "r3").update(boot_id="other"),
        ),
        set(),
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_check_notices(name: str) -> None:
    change, names = DAMAGE[name]
    after = copy.deepcopy(HEALTHY)
    change(after)
    made = plan(state(entry("quorum-lost"), entry("wiped", "r2"), entry("wiped", "r3")))
    assert set(wrong(after, of=made)) == names


def test_snapshot_and_revision() -> None:
    assert wrong(HEALTHY, of=plan(HEALTHY), saved={}) == {"fresh snapshot": "none"}
    assert wrong(HEALTHY, of=plan(HEALTHY), backup={}) == {}


def test_server_that_is_gone_again_is_told_and_nothing_raises() -> None:
    made = plan(HEALTHY)
    after = state(entry("healthy"), dead("r2"), entry("healthy", "r3"))
    assert set(wrong(after, of=made)) == {"leader", "cluster ID", "API ready on", "leftovers"}
    assert "voters" in wrong(state(dead("r1"), dead("r2"), dead("r3")), of=made)


def test_server_without_a_distribution_is_told_and_nothing_raises() -> None:
    bare = {
        key: value for key, value in entry("healthy", "r2").items() if key not in ("etcd", "api", "files", "processes")
    }
    assert "API ready on" in wrong(state(entry("healthy"), bare, entry("healthy", "r3")), of=plan(HEALTHY))


def one_voter() -> JSON:
    only = entry("healthy")
    only["etcd"]["members"] = [member for member in only["etcd"]["members"] if member["name"].startswith("r1")]
    only["api"]["endpoints"] = ["10.89.0.21"]
    return only


def test_servers_that_stay_off_are_not_waited_for() -> None:
    before = state(entry("quorum-lost"), dead("r2"), dead("r3"))
    made = plan(before, powered_off=("r2", "r3"))
    assert wrong(state(one_voter(), dead("r2"), dead("r3")), before=before, of=made) == {}


def test_member_that_is_off_stays_listed_where_the_quorum_stands() -> None:
    """Two of three were started: the third one is still a member, and nobody may take it away."""
    before = state(entry("healthy"), entry("healthy", "r2"), dead("r3"))
    after = copy.deepcopy(before)
    for name in ("r1", "r2"):
        at(name, "api")(after)["endpoints"] = ["10.89.0.21", "10.89.0.22"]
    assert wrong(after, before=before, of=plan(before)) == {}


def test_workloads_are_what_runs_under_the_shims_of_ordinary_pods() -> None:
    assert set(_verify.workloads(entry("healthy")).values()) == {"nginx: master p"}


@pytest.mark.parametrize("name", ["runc:[2:INIT]", "containerd-shim"])
def test_container_that_is_being_made_is_no_workload(name: str) -> None:
    """Moments later it is a kube-scheduler, or whatever its pod runs; nothing that runs is lost if it ends."""
    here = entry("healthy")
    [shim] = {p["parent"] for p in here["processes"] if p["name"] == "nginx: master p"}
    new = {**here["processes"][0], "pid": 99, "parent": shim, "name": name}
    assert _verify.workloads({**here, "processes": [*here["processes"], new]}) == _verify.workloads(here)
