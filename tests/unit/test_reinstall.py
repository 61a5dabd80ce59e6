# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""May a living server be reinstalled, and how does it leave; on the objects that the lab's Harvester has too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans, _reinstall
from ansible_collections.requorum.cluster.plugins.module_utils._margin import Margin
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import Dead
from ansible_collections.requorum.cluster.plugins.module_utils._reinstall import Reinstall, Wish
from ansible_collections.requorum.cluster.plugins.module_utils._server import Member
from lab.harvester import objects
from tests.unit import test_orphans
from tests.unit.fake_api import FakeApi, merged
from tests.unit.test_orphans import M1, NODES

JSON = dict[str, Any]
VMS, _all = _reinstall.KINDS["machines_running"]
PODS = _reinstall.KINDS["pods"][0]
OLD = {"harvester": "v1.3.1", "os": "Harvester v1.3.1", "kubernetes": "v1.27.13+rke2r1"}
ENTRIES: dict[str, JSON] = {
    f"s{name[1]}": {"host": address, "hostname": name, "reachable": True, "unit": {"ActiveState": "active"}}
    for name, address in NODES.items()
}
ENTRIES["s1"]["harvester"] = OLD
ENTRIES["s1"]["processes"] = []


def member(name: str, *, learner: bool = False) -> Member:
    return Member(f"id-{name}", f"{name}-1a2b3c4d", NODES.get(name, "10.0.0.9"), learner)


def margin(*names: str, working: tuple[str, ...] = (), learner: str = "") -> Margin:
    members = tuple(member(name, learner=name == learner) for name in names or NODES)
    return Margin(members, frozenset(f"id-{name}" for name in working or names or NODES), "id-n2")


def world() -> FakeApi:
    """Three servers that live; n1 has the OS of the release before."""
    fake = test_orphans.world(living=tuple(NODES), release="v1.3.2")
    put(fake, "harvester", "server-version", value="v1.3.2")
    change(fake, "nodes", "n1", {"status": {"nodeInfo": {"osImage": "Harvester v1.3.1"}}})
    pod(fake, "web")
    pod(fake, "proxy", ownerReferences=[{"kind": "DaemonSet"}])
    pod(fake, "etcd-n1", annotations={"kubernetes.io/config.mirror": "x"})
    return fake


def change(fake: FakeApi, which: str, name: str, what: JSON, namespace: str | None = None) -> None:
    kind, where = _reinstall.KINDS[which]
    key = fake.key(kind, name, where if namespace is None else namespace)
    fake.objects[key] = merged(fake.objects[key], what)


def put(fake: FakeApi, which: str, name: str, namespace: str = "", **parts: Any) -> None:
    kind, where = _reinstall.KINDS[which]
    meta = {"name": name, "namespace": namespace or where, "uid": f"uid-{which}-{name}", "resourceVersion": "1"}
    item = {"metadata": meta | parts.pop("metadata", {}), **parts}
    fake.objects[fake.key(kind, name, namespace or where)] = item


def pod(fake: FakeApi, name: str, node: str = "n1", **meta: Any) -> None:
    owned = {"ownerReferences": [{"kind": "ReplicaSet"}], **meta}
    put(fake, "pods", name, "default", metadata=owned, spec={"nodeName": node}, status={"phase": "Running"})


def vm(fake: FakeApi, name: str, *, migratable: str = "True", node: str = "n1", strategy: str = "LiveMigrate") -> None:
    status = {"nodeName": node, "phase": "Running", "conditions": [{"type": "LiveMigratable", "status": migratable}]}
    put(fake, "machines_running", name, "prod", spec={"evictionStrategy": strategy}, status=status)
    pod(fake, f"virt-launcher-{name}", node)


def seen(fake: FakeApi) -> dict[str, list[JSON]]:
    api = _api.Api(fake, where="r1")
    found = {which: api.items(kind, namespace) for which, (kind, namespace) in _reinstall.KINDS.items()}
    return {which: items for which, items in found.items() if items is not None}


def judge(fake: FakeApi, wish: Wish | None = None, *, etcd: Margin | None = None, **more: Any) -> Reinstall:
    return _reinstall.reinstall(seen(fake), wish or Wish("n1"), etcd or margin(), **{"entries": ENTRIES, **more})


def verbs(made: Reinstall) -> list[str]:
    assert not made.refusals, made.refusals
    return [action.verb for action in made.actions]


WHOLE = ["cordon", "close", "drain", "remove", "retire", "purge"]


@pytest.mark.parametrize("name", ["n1", "s1"])
def test_how_it_leaves(name: str) -> None:
    made = judge(world(), Wish(name))
    assert verbs(made) == WHOLE
    assert (made.host, made.node, made.stage, made.dead.machines) == ("s1", "n1", "whole", (M1,))
    assert [action.phase for action in made.actions] == [1, 1, 1, 2, 3, 4]
    assert [action.on for action in made.actions if action.verb == "retire"] == ["host"]
    assert "POINT OF NO RETURN" in made.actions[3].what and made.actions[3].name == M1
    said = " | ".join(made.notes)
    assert "its OS brings RKE2 v1.27.13+rke2r1, and its kubelet is v1.28.12+rke2r1" in said
    assert "its OS is Harvester v1.3.1, and the cluster is v1.3.2" in said
    assert "No other node takes a replica of vol-1, vol-2, vol-3: they stay degraded" in said


def test_an_init_node_that_is_named_for_ever() -> None:
    fake = world()
    change(fake, "planes", "local", {"metadata": {"labels": {_orphans.PINNED: objects._machine_id("n1")}}})
    assert verbs(judge(fake)) == [*WHOLE[:3], "unpin", *WHOLE[3:]]
    assert "unpin" not in verbs(judge(fake, Wish("n2", anyway=True)))


def test_replicas_that_another_node_takes_are_moved_first() -> None:
    fake = world()
    del fake.objects["replicas.longhorn.io", "longhorn-system", "vol-2-r-n3"]
    made = judge(fake)
    assert verbs(made) == ["cordon", "close", "drain", "move", "remove", "retire", "purge"]
    assert "evictionRequested to true" in made.actions[1].what and made.actions[3].what == (
        "wait until vol-2 has no replica on it"
    )
    said = " | ".join(made.notes)
    assert "replica of vol-1, vol-3" in said and "Only one healthy replica is left meanwhile, of vol-2" in said


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ([("nodes", {"spec": {"unschedulable": True}})], ["cordon", "close"]),  # by somebody else
        ([("nodes", {"spec": {"unschedulable": True}, "metadata": {"annotations": {_reinstall.MARK: ""}}})], ["close"]),
        ([("storage", {"spec": {"allowScheduling": False}})], ["cordon"]),
    ],
)
def test_what_is_done_is_not_planned_again(what: list[tuple[str, JSON]], left: list[str]) -> None:
    fake = world()
    for which, how in what:
        change(fake, which, "n1", how)
    assert verbs(judge(fake)) == [*left, *WHOLE[2:]]


Break = Callable[[FakeApi], None]


def changing(which: str, name: str, what: JSON, namespace: str | None = None) -> Break:
    return lambda fake: change(fake, which, name, what, namespace)


def dropping(which: str, name: str) -> Break:
    kind, where = _reinstall.KINDS[which]

    def drop(fake: FakeApi) -> None:
        del fake.objects[fake.key(kind, name, where)]

    return drop


def several(*parts: Break) -> Break:
    def all_of(fake: FakeApi) -> None:
        for part in parts:
            part(fake)

    return all_of


FAIL = {"spec": {"failedAt": objects.LONG_AGO}}
BUILD = {"spec": {"healthyAt": ""}}
BAD: list[tuple[str, Break]] = [
    ("n3 is not Ready", changing("nodes", "n3", {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})),
    ("n3 is not Ready", changing("nodes", "n3", {"status": {"conditions": None}})),
    ("n1 is not Ready, so it cannot be drained", changing("nodes", "n1", {"status": {"conditions": [
        {"type": "Ready", "status": "False"}]}})),
    ("The promotion of n2 has not ended well", changing("nodes", "n2", {"metadata": {"annotations": {
        _reinstall.PROMOTE: "failed"}}})),
    ("The promotion of n2 has not ended well", changing("nodes", "n2", {"metadata": {"annotations": {
        _reinstall.PROMOTE: "unknown"}}})),
    ("The promotion of n3 has not ended well",
     lambda fake: put(fake, "jobs", "harvester-promote-n3", status={"active": 1})),
    ("Rancher is paused", changing("clusters", "local", {"spec": {"paused": True}})),
    ("Rancher is paused", changing("planes", "local", {"metadata": {"annotations": {_orphans.PAUSED: ""}}})),
    ("There is no CAPI cluster", dropping("clusters", "local")),
    (f"Machine {test_orphans.M2} is not Running", changing("machines", test_orphans.M2, {"status": {
        "phase": "Deleting"}})),
    (f"Machine {test_orphans.M2} is not Running", changing("machines", test_orphans.M2, {"status": None})),
    ("volume vol-2 has no healthy replica on a living node; its last one is on n1",
     several(changing("replicas", "vol-2-r-n2", FAIL), changing("replicas", "vol-2-r-n3", FAIL))),
    ("volume vol-2 has no healthy replica on a living node",
     several(changing("replicas", "vol-2-r-n2", BUILD), changing("replicas", "vol-2-r-n3", BUILD))),
    ("volume vol-2 has no healthy replica on a living node",
     several(dropping("replicas", "vol-2-r-n2"), dropping("replicas", "vol-2-r-n3"))),
    ("Longhorn volume vol-2 is unknown and has no healthy replica on another node",
     several(*(dropping("replicas", f"vol-2-r-{node}") for node in NODES))),
    ("Longhorn volume vol-3 is faulted", changing("volumes", "vol-3", {"status": {"robustness": "faulted"}})),
    ("Longhorn is rebuilding a replica of vol-2", changing("replicas", "vol-2-r-n3", BUILD)),
    ("Longhorn is rebuilding a replica of vol-2", changing("engines", "vol-2-e-0", {"status": {
        "replicaModeMap": {"vol-2-r-n3": "WO"}}})),
    ("Longhorn's node n2 is not Ready", changing("storage", "n2", {"status": {"conditions": []}})),
    ("backing image img has no ready copy", lambda fake: put(fake, "images", "img", status={
        "diskFileStatusMap": {"disk-of-n1": {"state": "ready"}, "disk-of-n2": {"state": "in-progress"}}})),
    ("n1 has more than one Machine", changing("machines", test_orphans.M2, {"spec": {"providerID": "rke2://n1"}})),
    ("n1 has no Machine of Rancher", dropping("machines", M1)),
    ("prod/db on n1 would stop", lambda fake: vm(fake, "db", migratable="False")),
    ("prod/db on n1 would stop", lambda fake: vm(fake, "db", migratable="Unknown")),
    ("prod/db on n1 would stop", lambda fake: vm(fake, "db", strategy="None")),
    ("prod/db on n1 would stop", lambda fake: vm(fake, "db", strategy="")),
    ("prod/db on n1 would stop", several(lambda fake: vm(fake, "db"), *(
        changing("nodes", name, {"spec": {"unschedulable": True}}) for name in ("n2", "n3")))),
]  # fmt: skip


@pytest.mark.parametrize(("said", "broken"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_forbids_it(said: str, broken: Break) -> None:
    fake = world()
    broken(fake)
    made = judge(fake)
    assert said in " | ".join(map(str, made.refusals)) and not made.actions
    assert all(refusal.what and refusal.where and refusal.next for refusal in made.refusals)


def test_an_upgrade_that_works_forbids_it_and_one_that_cannot_go_on_does_not() -> None:
    fake = world()
    api = _api.Api(fake, where="r1")
    objects.write(api, objects.stuck_upgrade({"n1": "Pre-drained", "gone": "Images preloaded"}))
    assert f"Upgrade {objects.UPGRADE} goes on" in str(judge(fake).refusals)
    change(fake, "upgrades", objects.UPGRADE, {"status": {"nodeStatuses": {"n1": {"state": "Images preloaded"}}}})
    made = judge(fake)
    assert verbs(made) == WHOLE and "is paused, after an upgrade" in " | ".join(made.notes)


@pytest.mark.parametrize(
    ("etcd", "said"),
    [
        (Margin((), frozenset(), None, "no server says that it sees a leader"), "no server says that it sees a leader"),
        (margin("n1"), "0 other voters work"),
        (margin("n1", "n2"), "1 other voters work"),
        (margin("n1", "n2", "n3", working=("n1", "n2")), "1 other voters work"),
        (margin("n2", "n3"), "etcd lists no member of n1"),
        (margin("n1", "n2", "n3", "n4", learner="n4"), "n4 is still a learner"),
        (margin("n1", "n2", "n3", "n4", "n5", working=("n1", "n2", "n3")), "n1 cannot leave now"),
    ],
)
def test_two_other_voters_must_work(etcd: Margin, said: str) -> None:
    assert said in " | ".join(map(str, judge(world(), etcd=etcd).refusals))
    gone = judge(gone_world(), etcd=etcd, before=[Dead("n1", "n1", (M1,))])
    assert (said in " | ".join(map(str, gone.refusals))) == ("no member" not in said)


def test_its_member_is_found_by_its_address_too() -> None:
    other = replace(member("n1"), name="renamed-1a2b3c4d")
    etcd = Margin((other, member("n2"), member("n3")), margin().working, "id-n2")
    assert verbs(judge(world(), etcd=etcd)) == WHOLE


def test_what_may_stop_is_named() -> None:
    fake = world()
    vm(fake, "db", migratable="False")
    vm(fake, "web")
    vm(fake, "elsewhere", migratable="False", node="n2")
    guests = [f"/usr/bin/qemu-kvm -name guest=prod_{name},debug" for name in ("lost", "web")]
    running = [{"name": "qemu-kvm", "pid": pid, "start": 1, "args": args} for pid, args in enumerate(guests)]
    entries = {**ENTRIES, "s1": {**ENTRIES["s1"], "processes": running}}
    made = judge(fake, entries=entries)
    assert (made.moves, made.stops) == (("prod/web",), ("prod/db", "prod/lost"))
    assert "requorum_accept_vm_stop: [prod/db, prod/lost]" in str(made.refusals[0])
    half = judge(fake, Wish("n1", stop=["prod/db"]), entries=entries)
    assert "prod/lost on n1 would stop" in str(half.refusals[0]) and "prod/db on" not in str(half.refusals[0])
    made = judge(fake, Wish("n1", stop="all"), entries=entries)
    halts = [(action.namespace, action.name) for action in made.actions if action.verb == "halt"]
    assert halts == [("prod", "db"), ("prod", "lost")]
    assert next(action.why for action in made.actions if action.verb == "drain") == "prod/web migrates"


def test_the_strategy_of_the_cluster_counts_where_a_machine_has_none() -> None:
    fake = world()
    vm(fake, "db", strategy="")
    put(fake, "kubevirt", "kubevirt", "harvester-system", spec={"configuration": {"evictionStrategy": "LiveMigrate"}})
    assert judge(fake).moves == ("prod/db",)


def test_without_skew_a_person_says_so() -> None:
    fake = world()
    change(fake, "nodes", "n1", {"status": {"nodeInfo": {"osImage": "Harvester v1.3.2"}}})
    entries = {**ENTRIES, "s1": {**ENTRIES["s1"], "harvester": None}}
    assert "harvester-release.yaml was not read" in str(judge(fake, entries=entries).refusals[0])
    assert verbs(judge(fake, Wish("n1", anyway=True), entries=entries)) == WHOLE


@pytest.mark.parametrize(
    ("kubelet", "system", "release", "count"),
    [
        ("v1.28.12+rke2r1", "Harvester v1.3.2", {"kubernetes": "v1.28.12+rke2r1"}, 0),
        ("v1.28.12+rke2r1", "Harvester v1.3.1", {"kubernetes": "v1.27.13+rke2r1"}, 2),
        ("v1.27.13+rke2r1", "Harvester v1.3.2", None, 1),
        ("v1.28.12+rke2r1", "Harvester v1.3.2", None, 0),
        ("", "", {"kubernetes": "v1.28.12+rke2r1"}, 0),
    ],
)
def test_skew(kubelet: str, system: str, release: dict[str, str] | None, count: int) -> None:
    fake = world()
    change(fake, "nodes", "n1", {"status": {"nodeInfo": {"osImage": system, "kubeletVersion": kubelet}}})
    node = fake.objects["nodes", "", "n1"]
    assert len(_reinstall.skew(seen(fake), node, release)) == count


def test_a_volume_that_is_given_up() -> None:
    fake = world()
    for node in ("n2", "n3"):
        change(fake, "replicas", f"vol-2-r-{node}", FAIL)
    assert verbs(judge(fake, Wish("n1", loss=["vol-2"]))) == WHOLE


@pytest.mark.parametrize("missing", ["volumes", "machines_running", "upgrades", "harvester", "kubevirt"])
def test_a_part_that_is_not_installed(missing: str) -> None:
    fake = world()
    fake.missing = (_reinstall.KINDS[missing][0].name,)
    made = judge(fake)
    assert verbs(made) == WHOLE
    assert (f"{fake.missing[0]}: the cluster has no such kind" in " ".join(made.notes)) == (
        missing in ("volumes", "machines_running")
    )


def test_a_server_that_is_not_in_the_inventory() -> None:
    entries = {name: entry for name, entry in ENTRIES.items() if name != "s1"}
    assert "n1 is no host of the inventory" in str(judge(world(), entries=entries).refusals)
    unreached = {**ENTRIES, "n1": {"host": NODES["n1"], "reachable": False}}
    assert "n1 cannot be reached" in str(judge(world(), entries=unreached).refusals)
    assert "The API knows no server n8" in str(judge(world(), Wish("n8")).refusals)


def test_its_machine_is_being_deleted() -> None:
    """Killed while Rancher works: only quorum, data and machines are asked for again."""
    fake = world()
    change(fake, "machines", M1, {"metadata": {"deletionTimestamp": objects.LONG_AGO}})
    change(fake, "nodes", "n1", {"status": {"nodeInfo": {"osImage": "Harvester v1.3.2"}, "conditions": []}})
    made = judge(fake, etcd=margin("n2", "n3"))
    assert verbs(made) == ["remove", "retire", "purge"] and "on its way out" in " | ".join(made.notes)


def gone_world() -> FakeApi:
    """Its Machine is gone; its kubelet has registered it again meanwhile."""
    fake = world()
    for which in ("machines", "bootstraps", "custom"):
        dropping(which, M1)(fake)
    return fake


@pytest.mark.parametrize(
    ("unit", "etcd", "left", "expected"),
    [
        ({"ActiveState": "active"}, margin("n2", "n3"), True, ["retire", "purge"]),
        ({"ActiveState": "inactive", "UnitFileState": "enabled"}, margin("n2", "n3"), True, ["retire", "purge"]),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, margin("n2", "n3"), True, ["purge"]),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, margin(), False, ["purge"]),  # its member came back
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, margin("n2", "n3"), False, []),
        ({}, margin("n2", "n3"), False, []),  # its power is off, or it is being installed
    ],
)
def test_cut_off_after_the_point_of_no_return(unit: JSON, etcd: Margin, left: bool, expected: list[str]) -> None:
    fake = gone_world()
    if not left:
        for (kind, namespace, name), item in list(fake.objects.items()):
            if "n1" in name or M1 in name or (item.get("spec") or {}).get("nodeName") == "n1":
                del fake.objects[kind, namespace, name]
    entries = {**ENTRIES, "s1": {**ENTRIES["s1"], "unit": unit, "processes": None}}
    made = judge(fake, etcd=etcd, entries=entries, before=[Dead("n1", "n1", (M1,))])
    assert made.stage == "gone" and verbs(made) == expected


def test_undo() -> None:
    fake = world()
    assert _reinstall.undo(seen(fake), "n1") == ()
    for mark, expected in (("node storage", ["nodes.longhorn.io", "nodes"]), ("", ["nodes"]), ("storage", None)):
        change(fake, "nodes", "n1", {"metadata": {"annotations": {_reinstall.MARK: mark}}})
        made = _reinstall.undo(seen(fake), "n1")
        assert isinstance(made, tuple)
        assert [action.kind for action in made] == (expected or ["nodes.longhorn.io", "nodes"])
        assert ("uncordon" in made[-1].what) == ("node" in mark.split())
    change(fake, "machines", M1, {"metadata": {"deletionTimestamp": objects.LONG_AGO}})
    assert "is being deleted" in str(_reinstall.undo(seen(fake), "n1"))


def test_who_has_joined_by_it() -> None:
    fake = world()
    secrets = seen(fake)["secrets"]
    assert _reinstall.joined(secrets, M1) == sorted([test_orphans.M2, test_orphans.M3])
    assert _reinstall.joined(secrets, test_orphans.M2) == []
