# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes of dead servers, in which order, and what forbids it; on the objects that the lab's Harvester has too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans, _stale
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import Dead, Purge
from lab.harvester import objects
from tests.unit.fake_api import FakeApi, merged

JSON = dict[str, Any]
NODES = {"n1": "10.0.0.1", "n2": "10.0.0.2", "n3": "10.0.0.3"}
NOW = 1790000000.0
FRESH, FRESHER = "2026-09-21T14:13:15.000000Z", "2026-09-21T14:13:25.000000Z"
ALL = _orphans.KINDS | _stale.KINDS


def world(living: tuple[str, ...] = ("n1",), **choices: Any) -> FakeApi:
    """An API with a Harvester of three nodes; those that live report."""
    fake = FakeApi()
    api = _api.Api(fake, where="r1")
    objects.write(api, objects.cluster(NODES, living=living, **choices))
    for name in living:
        objects.write(api, objects.node(name, NODES[name], choices.get("release", "v1.3.1"))[:3])
        change(fake, "nodes", name, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        change(fake, "leases", name, {"spec": {"renewTime": FRESH}})
    return fake


def change(fake: FakeApi, which: str, name: str, what: JSON) -> None:
    kind, namespace = ALL[which]
    key = fake.key(kind, name, namespace)
    fake.objects[key] = merged(fake.objects[key], what)


def drop(fake: FakeApi, which: str, name: str) -> None:
    kind, namespace = ALL[which]
    del fake.objects[fake.key(kind, name, namespace)]


def seen(fake: FakeApi) -> dict[str, list[JSON]]:
    api = _api.Api(fake, where="r1")
    found = {which: api.items(kind, namespace) for which, (kind, namespace) in ALL.items()}
    return {which: items for which, items in found.items() if items is not None}


def purge(fake: FakeApi, *names: str, **more: Any) -> Purge:
    return _orphans.purge(seen(fake), names, **{"clock": NOW, **more})


def lines(made: Purge) -> list[str]:
    return [f"{step.verb} {step.kind.name} {step.name}" for step in made.steps]


def why(made: Purge) -> str:
    assert made.refusals and not made.steps
    return " | ".join(map(str, made.refusals))


M1, M2, M3 = map(objects.machine, NODES)


def test_what_goes_in_this_order() -> None:
    made = purge(world(), "n2", "n3")
    assert not made.refusals and not made.notes
    both = sorted([M2, M3])
    bds = {objects._storage(n, ready=False)[1]["metadata"]["name"] for n in ("n2", "n3")}
    said = lines(made)
    assert said[:4] == [
        *(f"patch rkebootstraps.rke.cattle.io {m}" for m in both),
        *(f"patch machines.cluster.x-k8s.io {m}" for m in both),
    ]
    assert said[4:10] == [
        *(f"delete machines.cluster.x-k8s.io {m}" for m in both),
        *(f"delete custommachines.rke.cattle.io {m}" for m in both),
        *(f"delete rkebootstraps.rke.cattle.io {m}" for m in both),
    ]
    assert said[10:14] == [f"delete secrets {m}-machine-{w}" for m in both for w in ("plan", "state")]
    assert said[14:19] == [
        *("delete nodes n2", "delete nodes n3", "delete pods virt-launcher-n2", "delete pods virt-launcher-n3"),
        "delete volumeattachments.storage.k8s.io csi-vol-1",
    ]
    assert said[19:25] == [f"delete replicas.longhorn.io vol-{v}-r-{n}" for v in (1, 2, 3) for n in ("n2", "n3")]
    assert said[25:29] == [f"{verb} nodes.longhorn.io {n}" for n in ("n2", "n3") for verb in ("patch", "delete")]
    assert {line.removeprefix("delete blockdevices.harvesterhci.io ") for line in said[29:31]} == bds
    assert said[31:] == [f"delete secrets {n}.node-password.rke2" for n in ("n2", "n3")]
    assert all(step.uid and step.what and step.why for step in made.steps)


@pytest.mark.parametrize("release", objects.RELEASES)
def test_every_release(release: str) -> None:
    assert lines(purge(world(release=release), "n2", "n3")) == lines(purge(world(), "n2", "n3"))


def test_only_pods_that_are_stuck_go_and_at_once() -> None:
    fake = world()
    runs = {"metadata": {"name": "runs", "namespace": "default", "uid": "b"}, "spec": {"nodeName": "n2"}}
    fake.objects["pods", "default", "runs"] = runs
    made = purge(fake, "n2")
    assert [(step.name, step.now) for step in made.steps if step.kind.name == "pods"] == [("virt-launcher-n2", True)]


def test_a_paused_cluster_is_paused_again_and_the_planner_never_goes_on() -> None:
    fake = world()
    change(fake, "clusters", "local", {"spec": {"paused": True}})
    made = purge(fake, "n2")
    hold, unpause, *rest, pause, release = made.steps
    assert [step.name for step in (hold, unpause, pause, release)] == ["local"] * 4
    notes = {_orphans.PAUSED: "true", _orphans.HELD: "true"}
    assert hold.change == {"metadata": {"annotations": notes}} and unpause.change == {"spec": {"paused": False}}
    assert pause.change == {"spec": {"paused": True}}
    assert release.change == {"metadata": {"annotations": dict.fromkeys(notes)}}
    assert [step for step in rest if step.kind.name == "machines.cluster.x-k8s.io"]

    # cut off at any place: the next run ends it
    change(fake, "planes", "local", hold.change)
    assert purge(fake, "n2").steps[0].change == unpause.change
    change(fake, "clusters", "local", {"spec": {"paused": False}})
    again = purge(fake, "n2").steps
    assert [step.change for step in again[-2:]] == [pause.change, release.change]
    assert "local" not in [step.name for step in again[:-2]]
    drop(fake, "machines", M2)
    assert [step.change for step in purge(fake, "n2").steps[-2:]] == [pause.change, release.change]


def test_a_planner_that_somebody_else_pauses_stays_so() -> None:
    fake = world()
    change(fake, "clusters", "local", {"spec": {"paused": True}})
    change(fake, "planes", "local", {"metadata": {"annotations": {_orphans.PAUSED: ""}}})
    hold, release = purge(fake, "n2").steps[0], purge(fake, "n2").steps[-1]
    change(fake, "planes", "local", hold.change or {})
    assert purge(fake, "n2").steps[-1].change == release.change == {"metadata": {"annotations": {_orphans.HELD: None}}}


def test_a_dead_init_node_that_is_named_for_ever() -> None:
    fake = world()
    change(fake, "planes", "local", {"metadata": {"labels": {_orphans.PINNED: objects._machine_id("n2")}}})
    assert lines(purge(fake, "n2"))[0] == "patch rkecontrolplanes.rke.cattle.io local"
    assert "patch rkecontrolplanes.rke.cattle.io local" not in lines(purge(fake, "n3"))


def test_what_is_done_is_not_planned_again() -> None:
    fake = world()
    change(fake, "bootstraps", M2, {"metadata": {"annotations": {_orphans.FORCE: "true"}}})
    change(fake, "machines", M2, {"metadata": {"annotations": dict.fromkeys(_orphans.EASE, "")}})
    change(fake, "storage", "n2", {"spec": {"allowScheduling": False}})
    assert [line for line in lines(purge(fake, "n2")) if line.startswith("patch")] == []


@pytest.mark.parametrize(
    "gone",
    [
        [("machines", M2)],
        [("machines", M2), ("custom", M2)],
        [("machines", M2), ("custom", M2), ("bootstraps", M2)],
        [("machines", M2), ("custom", M2), ("bootstraps", M2), ("nodes", "n2")],
    ],
)
def test_a_run_that_was_cut_off_is_gone_on_with(gone: list[tuple[str, str]]) -> None:
    """Wherever it was cut: everything that is left goes, and nothing else."""
    fake = world()
    first = purge(fake, "n2")
    for which, name in gone:
        drop(fake, which, name)
    again = purge(fake, "n2", before=first.dead)
    missing = {f"{verb} {ALL[which][0].name} {name}" for which, name in gone for verb in ("patch", "delete")}
    assert lines(again) == [line for line in lines(first) if line not in missing]


def test_an_earlier_run_has_purged_it() -> None:
    fake = world()
    dead = Dead("n9", "n9", ("custom-n9",))
    made = purge(fake, "n9", before=[dead])
    assert not made.steps and not made.refusals and "an earlier run" in made.notes[0]


def test_a_server_that_came_back_and_died_again() -> None:
    """An earlier run has purged a Machine of that name; only what is left counts."""
    before = [Dead("n2", "n2", ("custom-of-then",))]
    assert lines(purge(world(), "n2", before=before)) == lines(purge(world(), "n2"))


def test_a_host_of_the_inventory_is_found_by_its_address() -> None:
    fake = world()
    named = purge(fake, "server-2", addresses={"server-2": NODES["n2"]})
    assert lines(named) == lines(purge(fake, "n2"))
    drop(fake, "nodes", "n2")  # its Machine remembers the address
    assert purge(fake, "server-2", addresses={"server-2": NODES["n2"]}).dead[0].node == "n2"
    drop(fake, "machines", M2)  # and an earlier run the name
    assert purge(fake, "server-2", before=named.dead).dead[0].node == "n2"


def test_a_machine_that_never_had_a_node() -> None:
    fake = world()
    api = _api.Api(fake, where="r1")
    objects.write(api, objects._machine("n4", "10.0.0.4", first="10.0.0.1"))
    name = objects.machine("n4")
    for which in ("machines", "custom"):
        change(fake, which, name, {"spec": {"providerID": None}, "status": {"nodeRef": None}})
    made = purge(fake, name)
    assert {step.name for step in made.steps} == {name, f"{name}-machine-plan", f"{name}-machine-state"}


def test_parts_that_are_not_installed_are_skipped_and_said() -> None:
    found = {which: items for which, items in seen(world()).items() if which in ("nodes", "leases", "passwords")}
    made = _orphans.purge(found, ["n2"], clock=NOW)
    assert lines(made) == ["delete nodes n2", "delete secrets n2.node-password.rke2"]
    assert "machines.cluster.x-k8s.io: the cluster has no such kind; this part is skipped." in made.notes


Spoil = Callable[[FakeApi], None]


def refer(machine: str, node: str) -> Spoil:
    return lambda fake: change(fake, "machines", machine, {"status": {"nodeRef": {"name": node}}})


def annotate(node: str, machine: str) -> Spoil:
    return lambda fake: change(fake, "nodes", node, {"metadata": {"annotations": {_orphans.MACHINE_OF_NODE: machine}}})


def fail(*replicas: str) -> Spoil:
    def spoil(fake: FakeApi) -> None:
        for name in replicas:
            change(fake, "replicas", name, {"spec": {"failedAt": "2026-01-01T00:00:00Z"}})

    return spoil


def modes(**found: str) -> Spoil:
    its = {name.replace("_", "-"): mode for name, mode in found.items()}
    return lambda fake: change(fake, "engines", "vol-1-e-0", {"status": {"replicaModeMap": its}})


def one_image(fake: FakeApi) -> None:
    key = ("backingimages.longhorn.io", "longhorn-system", "image-1")
    files = {"disk-of-n2": {"state": "ready"}, "disk-of-n1": {"state": "failed"}}
    fake.objects[key] = {"metadata": {"name": "image-1", "uid": "i"}, "status": {"diskFileStatusMap": files}}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (refer(M2, "n1"), f"Machine {M2} of n2 is also one of n1, by its nodeRef"),
        (annotate("n1", M2), f"Machine {M2} of n2 is also one of n1, by the annotation of the Node"),
        (annotate("n2", M3), f"n2 has more than one Machine: {', '.join(sorted([M2, M3]))}"),
        (
            lambda fake: change(
                fake, "machines", M1, {"metadata": {"labels": {_orphans.MACHINE_ID: objects._machine_id("n2")}}}
            ),
            f"has the machine ID of {M1} too",
        ),
        (lambda fake: change(fake, "leases", "n2", {"spec": {"renewTime": FRESH}}), "n2 is alive: its kubelet repor"),
        (lambda fake: (change(fake, "nodes", "n2", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
                       drop(fake, "leases", "n2"))[0], "n2 is alive: its Node is Ready"),
        (fail("vol-2-r-n1"), "volume vol-2 has no healthy replica on a living node; its last one is on n2"),
        (lambda fake: change(fake, "replicas", "vol-3-r-n1", {"spec": {"healthyAt": ""}}), "volume vol-3"),
        (modes(vol_1_r_n1="WO"), "volume vol-1"),
        (modes(vol_1_r_n1="ERR"), "volume vol-1"),
        (lambda fake: change(fake, "storage", "n1", {"status": {"conditions": []}}), "volume vol-1"),
        (fail("vol-1-r-n1", "vol-1-r-n2", "vol-1-r-n3"), "volume vol-1"),
        (one_image, "backing image image-1 has no ready copy on a living node"),
    ],
)  # fmt: skip
def test_refusals(spoil: Spoil, said: str) -> None:
    fake = world()
    spoil(fake)
    assert said in why(purge(fake, "n2"))


def test_a_lease_that_was_renewed_meanwhile_counts_whatever_the_clocks_say() -> None:
    later = [{"metadata": {"name": "n2"}, "spec": {"renewTime": "2026-01-01T00:00:10.000000Z"}}]
    assert "n2 is alive: its kubelet has just renewed its Lease" in why(purge(world(), "n2", later=later))
    assert not purge(world(), "n2", later=seen(world())["leases"]).refusals


def test_not_ready_alone_is_no_reason() -> None:
    """n3 is not Ready either, and nobody named it."""
    touched = {step.name for step in purge(world(), "n2").steps}
    assert not [name for name in touched if name.endswith("n3") or name.startswith(M3)]


@pytest.mark.parametrize("names", [("n8",), ("n2", "n8"), ("custom-000000000000",)])
def test_nobody_knows_it(names: tuple[str, ...]) -> None:
    assert f"The API knows no server {names[-1]}" in why(purge(world(), *names))


def test_somebody_has_to_be_left() -> None:
    assert "Every Node of the cluster is declared dead" in why(purge(world(living=()), "n1", "n2", "n3"))


def test_two_machines_of_one_node_go_by_name() -> None:
    fake = world()
    api = _api.Api(fake, where="r1")
    objects.write(api, objects._machine("n4", "10.0.0.4", first="10.0.0.1"))
    other = objects.machine("n4")
    for which in ("machines", "custom"):
        change(fake, which, other, {"spec": {"providerID": "rke2://n2"}, "status": {"nodeRef": {"name": "n2"}}})
    assert "more than one Machine" in why(purge(fake, "n2"))
    assert {f"delete machines.cluster.x-k8s.io {m}" for m in (M2, other)} <= set(lines(purge(fake, "n2", M2, other)))


def test_what_is_given_up_by_name() -> None:
    fake = world()
    fail("vol-2-r-n1")(fake)
    one_image(fake)
    assert "vol-2" in why(purge(fake, "n2", accept=["image-1"]))
    assert not purge(fake, "n2", accept=["image-1", "vol-2"]).refusals


def test_another_cluster() -> None:
    assert _orphans.foreign("a", {"a"}) is None and _orphans.foreign("a", ()) is None
    assert "another cluster" in str(_orphans.foreign("a", {"b"}))


@pytest.mark.parametrize(
    ("entry", "off", "said"),
    [
        ({"reachable": True, "unit": {"ActiveState": "active"}}, [], "its unit is active"),
        ({"reachable": True, "agent": {"ActiveState": "activating"}}, [], "its unit is activating"),
        ({"reachable": True, "unit": {"ActiveState": "inactive"}}, ["n2"], "it answers"),
        ({"reachable": True, "unit": {"ActiveState": "inactive"}}, [], ""),
        ({"reachable": False}, ["n2"], ""),
        ({}, [], ""),
    ],
)
def test_a_host_that_answers(entry: JSON, off: list[str], said: str) -> None:
    found = _orphans.answering({"n2": entry}, off)
    assert bool(found) == bool(said) and said in " ".join(map(str, found))


def test_ten_thousand_objects() -> None:
    fake = world()
    pattern = objects.replica("vol-x", "n1")
    for number in range(10000):
        item = copy.deepcopy(pattern)
        item["metadata"] |= {"name": f"r-{number}", "uid": f"r-{number}"}
        item["spec"] |= {"volumeName": f"v-{number}"}
        fake.objects["replicas.longhorn.io", "longhorn-system", f"r-{number}"] = item
    assert lines(purge(fake, "n2")) == lines(purge(world(), "n2"))


NAMES = ("n1", "n2", "n3", "n4", "n5")
MACHINES = tuple(map(objects.machine, NAMES))


@given(
    living=st.sets(st.sampled_from(NAMES), min_size=1, max_size=3),
    refs=st.dictionaries(st.sampled_from(MACHINES), st.sampled_from(NAMES), max_size=1),
    marks=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(MACHINES), max_size=1),
    ids=st.dictionaries(st.sampled_from(MACHINES), st.sampled_from(NAMES), max_size=1),
    failed=st.sets(st.sampled_from([f"vol-{v}-r-{n}" for v in (1, 2, 3) for n in NAMES]), max_size=2),
    named=st.sets(st.sampled_from((*NAMES, MACHINES[0])), min_size=1, max_size=2),
    paused=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_nothing_of_a_living_node_is_ever_touched(
    living: set[str],
    refs: dict[str, str],
    marks: dict[str, str],
    ids: dict[str, str],
    failed: set[str],
    named: set[str],
    paused: bool,
) -> None:
    """However the maps are spoilt and whoever is named: what goes is of no Node that reports, by no map."""
    fake = FakeApi()
    api = _api.Api(fake, where="r1")
    addresses = {name: f"10.0.0.{name[1]}" for name in NAMES}
    objects.write(api, objects.cluster(addresses, living=sorted(living)))
    for name in sorted(living):
        objects.write(api, objects.node(name, addresses[name], "v1.3.1")[:3])
        change(fake, "leases", name, {"spec": {"renewTime": FRESH}})
    for machine, node in refs.items():
        refer(machine, node)(fake)
    for node, machine in marks.items():
        annotate(node, machine)(fake)
    for machine, node in ids.items():
        change(fake, "machines", machine, {"metadata": {"labels": {_orphans.MACHINE_ID: objects._machine_id(node)}}})
    fail(*failed)(fake)
    change(fake, "clusters", "local", {"spec": {"paused": paused}})
    found = seen(fake)
    made = _orphans.purge(found, sorted(named), clock=NOW)
    theirs = {
        machine["metadata"]["name"]
        for machine in found["machines"]
        if machine["status"]["nodeRef"]["name"] in living or machine["spec"]["providerID"][7:] in living
    } | {
        n["metadata"]["annotations"][_orphans.MACHINE_OF_NODE]
        for n in found["nodes"]
        if n["metadata"]["name"] in living
    }
    by_uid = {item["metadata"]["uid"]: item for items in found.values() for item in items}
    for step in made.steps:
        item = by_uid[step.uid]
        assert item["metadata"]["name"] == step.name
        if step.name == "local":
            continue
        on = {item.get("spec", {}).get(key) for key in ("nodeName", "nodeID")}
        assert not living & (on | {step.name, step.name.split(".")[0]})
        assert not theirs & {step.name, step.name.removesuffix("-machine-plan").removesuffix("-machine-state")}
    healthy = {
        r["spec"]["volumeName"]
        for r in found["replicas"]
        if r["spec"]["nodeID"] in living and not r["spec"]["failedAt"]
    }
    for step in made.steps:
        if step.kind.name == "replicas.longhorn.io":
            assert by_uid[step.uid]["spec"]["volumeName"] in healthy
