# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an aborted upgrade has left: what restores it, and when it is none of our business."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans, _stale
from lab.harvester import objects
from tests.unit import upgrades
from tests.unit.fake_api import FakeApi
from tests.unit.test_orphans import M1, change, drop, seen, world

JSON = dict[str, Any]
WAITS = {"n1": "Images preloaded", "n2": "Images preloaded", "n3": "Images preloaded"}


def aborted(states: dict[str, str] | None = None, *, marks: bool = True, end: str = "") -> FakeApi:
    """n1 lives, with what the first try left on it; the second try is at these states, or has ended (True, False)."""
    fake = world()
    objects.write(_api.Api(fake, where="r1"), objects.stuck_upgrade(states or WAITS))
    if marks:
        change(fake, "nodes", "n1", objects.leftovers("n1")["node"])
        change(fake, "secrets", f"{M1}-machine-plan", objects.leftovers("n1")["secret"])
    if end:
        change(fake, "upgrades", objects.UPGRADE, {"status": {"conditions": [{"type": "Completed", "status": end}]}})
    return fake


def hook(fake: FakeApi) -> None:
    strategy = {
        "controlPlaneDrainOptions": {"enabled": True, "preDrainHooks": [{"annotation": "harvesterhci.io/pre-hook"}]}
    }
    change(fake, "provisioning", "local", {"spec": {"rkeConfig": {"upgradeStrategy": strategy}}})


def found(fake: FakeApi, gone: tuple[str, ...] = ()) -> dict[str, JSON | None]:
    """Name -> patch, None for a deletion."""
    steps, _said = _stale.leftovers(seen(fake), gone)
    return {f"{step.kind.name} {step.name}": step.change for step in steps}


def said(fake: FakeApi, gone: tuple[str, ...] = ()) -> str:
    return " | ".join(_stale.leftovers(seen(fake), gone)[1])


def test_after_an_upgrade_that_has_failed_everything_is_restored() -> None:
    fake = aborted(end="False")
    hook(fake)
    change(fake, "provisioning", "local", {"spec": {"kubernetesVersion": "v1.27.13+rke2r1"}})
    made = found(fake)
    drained = ("rke.cattle.io/pre-drain", "harvesterhci.io/pre-hook", "rke.cattle.io/drain-options")
    assert made == {
        "managedcharts.management.cattle.io harvester-crd": {"spec": {"paused": False}},
        "managedcharts.management.cattle.io harvester": {"spec": {"paused": False}},
        f"plans.upgrade.cattle.io {objects.UPGRADE}-prepare": None,
        "plans.upgrade.cattle.io hvst-upgrade-first-prepare": None,
        f"secrets {M1}-machine-plan": {"metadata": {"annotations": dict.fromkeys(drained)}},
        "nodes n1": {
            "metadata": {
                "annotations": {_stale.PENDING: None},
                "labels": {"plan.upgrade.cattle.io/hvst-upgrade-first-prepare": None},
            },
            "spec": {"unschedulable": None, "taints": None},
        },
        "settings.longhorn.io replica-replenishment-wait-interval": {"value": "600"},
        "clusters.provisioning.cattle.io local": {"spec": {"rkeConfig": {"upgradeStrategy": None}}},
    }
    assert list(made)[:2] == [f"managedcharts.management.cattle.io {name}" for name in ("harvester-crd", "harvester")]
    assert "upgrades.harvesterhci.io" not in " ".join(made)


def test_in_phase_4_only_what_keeps_it_from_going_on() -> None:
    fake = aborted()
    hook(fake)
    made = found(fake, ("n2", "n3"))
    assert made[f"secrets {M1}-machine-plan"] == {"metadata": {"annotations": {"harvesterhci.io/pre-hook": None}}}
    assert f"plans.upgrade.cattle.io {objects.UPGRADE}-prepare" not in made
    assert "plans.upgrade.cattle.io hvst-upgrade-first-prepare" in made
    assert "clusters.provisioning.cattle.io local" not in made
    assert "waits for n2, which is gone" in said(fake, ("n2", "n3"))


@pytest.mark.parametrize(
    ("states", "gone"),
    [
        (WAITS, ()),  # the early answer alone
        ({"n1": "Succeeded", "n2": "Pre-draining"}, ("n2",)),
        ({"n1": "Succeeded", "n9": "Waiting Reboot"}, ()),  # its Node is no more
    ],
)
def test_an_upgrade_that_can_never_go_on(states: dict[str, str], gone: tuple[str, ...]) -> None:
    assert not _stale.upgrade(seen(aborted(states)), gone).works
    assert found(aborted(states), gone)


@pytest.mark.parametrize(
    "states",
    [
        {"n1": "Pre-drained", "n2": "Images preloaded"},
        {"n1": "Waiting Reboot", "n2": "Images preloaded"},
        {"n1": "Post-draining", "n2": "Pre-draining"},
    ],
)
def test_an_upgrade_that_works_is_left_alone(states: dict[str, str]) -> None:
    fake = aborted(states)
    assert not found(fake, ("n2",)) and "goes on" in said(fake, ("n2",))


def test_a_job_that_works_on_a_living_node() -> None:
    fake = aborted({"n1": "Pre-draining", "n2": "Images preloaded"})
    labels = {"harvesterhci.io/upgrade": objects.UPGRADE, "harvesterhci.io/node": "n1"}
    job: JSON = {"metadata": {"name": "j", "uid": "j", "labels": labels}, "status": {"active": 1}}
    fake.objects["jobs.batch", "harvester-system", "j"] = job
    assert not found(fake, ("n2",))
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert found(fake, ("n2",))
    job |= {"status": {}, "metadata": {**job["metadata"], "labels": {**labels, "harvesterhci.io/node": "n2"}}}
    assert found(fake, ("n2",))  # a job of the dead one


def test_before_phase_4_charts_are_paused_on_purpose() -> None:
    fake = aborted()
    conditions = [{"type": "SystemServicesUpgraded", "status": "Unknown"}]
    change(fake, "upgrades", objects.UPGRADE, {"status": {"conditions": conditions}})
    assert not found(fake, ("n2", "n3"))


def test_without_any_upgrade() -> None:
    fake = aborted()
    drop(fake, "upgrades", objects.UPGRADE)
    assert "managedcharts.management.cattle.io harvester" in found(fake)
    assert found(world()) == {}


def test_hooks_stay_while_a_node_lacks_the_version() -> None:
    fake = aborted(end="False")
    hook(fake)
    change(fake, "provisioning", "local", {"spec": {"kubernetesVersion": "v1.28.12+rke2r1"}})
    assert "clusters.provisioning.cattle.io local" not in found(fake)
    assert "would get it undrained" in said(fake)


def test_a_node_that_a_person_has_cordoned_stays_so() -> None:
    fake = aborted(marks=False, end="False")
    change(fake, "nodes", "n1", {"spec": {"unschedulable": True}})
    assert "nodes n1" not in found(fake) and "n1 is cordoned" in said(fake)
    change(fake, "nodes", "n1", objects.leftovers("n1")["node"])
    change(fake, "nodes", "n1", {"metadata": {"annotations": {_stale.MAINTAINED: "completed"}}})
    assert "unschedulable" not in (found(fake)["nodes n1"] or {})["spec"]
    assert "taints" not in (found(fake)["nodes n1"] or {})["spec"]


def test_other_taints_stay() -> None:
    fake = aborted(end="True")
    mine = {"key": "mine", "effect": "NoSchedule"}
    taints = [mine, {"key": _stale.TAINT}, {"key": "node.kubernetes.io/unschedulable"}]
    change(fake, "nodes", "n1", {"spec": {"taints": taints}})
    step = next(s for s in _stale.leftovers(seen(fake))[0] if s.kind == _orphans.KINDS["nodes"][0])
    assert step.change and step.change["spec"]["taints"] == [mine]
    assert step.basis == {"taints": taints}


@pytest.mark.parametrize(("noted", "value"), [("", "600"), ("300", "300"), ("1800", None)])
def test_the_interval_that_was_noted_is_restored(noted: str, value: str | None) -> None:
    fake = aborted(end="True")
    note = {f"harvesterhci.io/{_stale.INTERVAL}": noted}
    change(fake, "upgrades", objects.UPGRADE, {"metadata": {"annotations": note}})
    made = found(fake).get(f"settings.longhorn.io {_stale.INTERVAL}")
    assert made == ({"value": value} if value else None)


def test_nothing_of_a_dead_node_is_restored() -> None:
    fake = aborted(end="False")
    change(fake, "nodes", "n2", objects.leftovers("n2")["node"])
    assert "nodes n2" in found(fake) and "nodes n2" not in found(fake, ("n2",))


@pytest.mark.parametrize(
    ("lacks", "gone", "ends"),
    [("", (), True), ("", ("n3",), True), ("osImage", (), False), ("kubeletVersion", (), False), ("n3", ("n3",), True)],
)
def test_an_upgrade_whose_nodes_have_it_all_has_ended(lacks: str, gone: tuple[str, ...], ends: bool) -> None:
    """lacks: what n2 has not, or a node that has none of it, and is gone."""
    fake, of = aborted({"n1": "Images preloaded", "n9": "Pre-draining"}, marks=False), objects.RELEASES["v1.3.2"]
    for name in fake.names("nodes"):
        info = {"osImage": of.os, "kubeletVersion": of.kubernetes}
        info |= {lacks: "another"} if lacks in info and name == "n2" else {}
        change(fake, "nodes", name, {"status": {"nodeInfo": {} if lacks == name else info}})
    assert fake.names("nodes")[:2] == ["n1", "n2"]
    every = found(fake, gone)
    made = every.get(f"upgrades.harvesterhci.io {objects.UPGRADE}")
    assert (made is not None) == ends == (f"plans.upgrade.cattle.io {objects.UPGRADE}-prepare" in every)
    assert not made or list(every.values())[-1] is made
    assert ("it stays in status.nodeStatuses" in said(fake, gone)) != ends
    if made:
        living = [name for name in fake.names("nodes") if name not in gone]
        assert made["status"]["nodeStatuses"] == {"n9": None, **{name: {"state": "Succeeded"} for name in living}}
        states = {c["type"]: c["status"] for c in made["status"]["conditions"]}
        assert set(states.values()) == {"True"} and {"Completed", "NodesUpgraded", "RepoReady"} <= states.keys()
        assert made["metadata"]["labels"] == {"harvesterhci.io/upgradeState": "Succeeded"}
        assert made["metadata"]["resourceVersion"]


def test_an_upgrade_that_still_works_on_its_last_node_ends_by_itself() -> None:
    fake, of = aborted({"n1": "Waiting Reboot"}, marks=False), objects.RELEASES["v1.3.2"]
    for name in fake.names("nodes"):
        info = {"osImage": of.os, "kubeletVersion": of.kubernetes}
        change(fake, "nodes", name, {"status": {"nodeInfo": info}})
    assert not found(fake)
    change(fake, "upgrades", objects.UPGRADE, {"status": {"nodeStatuses": {"n1": {"state": "Images preloaded"}}}})
    assert f"upgrades.harvesterhci.io {objects.UPGRADE}" in found(fake)


def test_an_upgrade_that_has_succeeded_leaves_nothing() -> None:
    """But for labels of its plans, which the system upgrade controller leaves on every node, always."""
    shown = upgrades.film()[-1]
    marked = [n for n in shown["nodes"] if any(key.startswith(_stale.PLANNED) for key in n["metadata"]["labels"])]
    assert len(marked) == 3
    assert _stale.leftovers(shown) == ((), ())
