# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Harvester keeps to the facts when nodes are drained and leave; the ids name the section of the sheet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import capi, drain, guests, kinds, machines, objects, planner, storage
from tests.unit.lab.harvesters import Harvester, node

JSON = dict[str, Any]
ALL = objects.DRAIN
PLAIN = '{"enabled":true}'
PRE_HOOK, POST_HOOK = "harvesterhci.io/pre-hook", "harvesterhci.io/post-hook"
ASKED = {drain.OPTIONS: ALL, drain.PRE: ALL}
DRAINED = {**ASKED, PRE_HOOK: ALL, drain.DONE: ALL}
ENDS = dict.fromkeys((*DRAINED, drain.POST, drain.UNCORDON, POST_HOOK))


@pytest.mark.parametrize(
    ("notes", "what", "written"),
    [
        pytest.param({}, "", {}, id="1.3 nothing is asked"),
        pytest.param({drain.OPTIONS: PLAIN}, "drain", {drain.DONE: PLAIN}, id="1.3 no hooks: drained at once"),
        pytest.param({drain.OPTIONS: ALL}, "cordon", {drain.PRE: ALL}, id="1.3 the hook is asked"),
        pytest.param(ASKED, "cordon", {}, id="1.3 and waited for"),
        pytest.param({**ASKED, PRE_HOOK: PLAIN}, "cordon", {}, id="1.3 of an earlier try: not the same letters"),
        pytest.param({**ASKED, PRE_HOOK: ALL}, "drain", {drain.DONE: ALL}, id="1.3 the hook is done"),
        pytest.param(DRAINED, "", {}, id="1.3 drained: the plan is carried out"),
        pytest.param({**DRAINED, drain.UNCORDON: "true"}, "", {drain.POST: ALL}, id="1.3 the other hook is asked"),
        pytest.param({**DRAINED, drain.UNCORDON: "true", drain.POST: ALL}, "", {}, id="1.3 and waited for, too"),
        pytest.param(
            {**DRAINED, drain.UNCORDON: "true", drain.POST: ALL, POST_HOOK: ALL}, "uncordon", ENDS,
            id="1.3 undrain clears all",
        ),
        pytest.param(
            {drain.OPTIONS: PLAIN, PRE_HOOK: ALL, drain.PRE: ALL}, "drain", {drain.DONE: PLAIN},
            id="1.4 hooks lost: drained without them",
        ),
    ],
)  # fmt: skip
def test_hooks(notes: JSON, what: str, written: JSON) -> None:
    assert drain.next_step(notes) == (what, written)


def pod(it: Harvester, name: str, on: str, **meta: Any) -> None:
    """A pod that is gone as soon as it may go: its kubelet is alive."""
    it.api.create(kinds.PODS, {"metadata": {"name": name, "namespace": "default", **meta}, "spec": {"nodeName": on}})


def kubelet(api: _api.Api) -> None:
    """Ends what is Terminating, unless somebody else holds it."""
    for item in api.items(kinds.PODS) or ():
        meta = item["metadata"]
        if meta.get("deletionTimestamp") and guests.HELD not in meta.get("finalizers", ()):
            api.delete(kinds.PODS, meta["name"], meta["namespace"], now=True)


def test_a_paused_cluster_has_no_plan_carried_out() -> None:
    """1.3, 3.4: Rancher's drain goes on by its annotations; only the planner stands still, so nothing is uncordoned."""
    it = Harvester()
    it.pause()
    pod(it, "a", "n1")
    secret = f"{objects.machine('n1')}-machine-plan"
    it.patch(kinds.SECRETS, secret, {"metadata": {"annotations": {**ASKED, PRE_HOOK: ALL, POST_HOOK: ALL}}})
    steps = (drain.machine_drain, kubelet, planner.planner)
    it.run(steps)
    assert it.notes("n1")[drain.DONE] == ALL and drain.UNCORDON not in it.notes("n1")
    assert it.get(kinds.NODES, "n1")["spec"]["unschedulable"] and not it.fake.names("pods")
    it.pause(False)
    it.run(steps)
    assert not set(it.notes("n1")) & set(ENDS)
    assert "unschedulable" not in it.get(kinds.NODES, "n1")["spec"]


@pytest.mark.parametrize(
    ("leaving", "labels", "first"),
    [
        pytest.param(set(), ["n2"], "n2", id="3.3 it stays who is"),
        pytest.param({"n2"}, ["n2"], "n1", id="3.3 it is another one when its Machine goes"),
        pytest.param(set(), [], "n1", id="3.3 the survivor, once the dead ones are gone"),
        pytest.param({"n1", "n2", "n3"}, [], "", id="3.3 waiting for viable init node"),
    ],
)
def test_who_is_the_init_node(leaving: set[str], labels: list[str], first: str) -> None:
    plans = [
        {"metadata": {"name": name, "annotations": {planner.URL: f"https://{name}:9345"}, "labels": {
            "rke.cattle.io/machine-name": name, planner.ETCD: "true",
            **({planner.INIT: "true"} if name in labels else {})}}}
        for name in ("n1", "n2", "n3")
    ]  # fmt: skip
    assert planner.elect(plans, leaving) == first


REMOVAL = (capi.machines, capi.bootstraps, planner.planner, capi.garbage, kubelet)


def etcd(it: Harvester) -> Any:
    """RKE2 on another server removes the member of a Node that is marked."""

    def part(api: _api.Api) -> None:
        for item in api.items(kinds.NODES) or ():
            if (item["metadata"].get("annotations") or {}).get(capi.REMOVE) == "true":
                change = {"metadata": {"annotations": {capi.REMOVE: None, capi.REMOVED: "member"}}}
                api.patch(kinds.NODES, item["metadata"]["name"], change)

    return part


def test_a_living_server_is_drained_and_its_member_removed() -> None:
    """3.3: in this order, and nobody joins it any more."""
    it = Harvester("n1", "n2", "n3")
    pod(it, "a", "n1")
    pod(it, "static", "n1", annotations={"kubernetes.io/config.mirror": "x"})
    its = objects.machine("n1")
    it.api.delete(kinds.MACHINES, its, objects.FLEET)
    it.run(REMOVAL)
    assert it.fake.names("pods") == ["static"] and it.get(kinds.NODES, "n1")["spec"]["unschedulable"]
    assert it.notes("n3")[planner.JOINED] == "https://10.0.0.2:9345" and planner.JOINED not in it.notes("n2")
    assert it.get(kinds.NODES, "n1")["metadata"]["annotations"][capi.REMOVE] == "true"
    assert it.there(kinds.MACHINES, its)  # etcd has not said so yet
    it.run((*REMOVAL, etcd(it)))
    assert not it.there(kinds.MACHINES, its) and not it.there(kinds.BOOTSTRAPS, its)
    assert it.fake.names("nodes") == ["n2", "n3"] and not it.there(kinds.SECRETS, f"{its}-machine-plan")


@pytest.mark.parametrize("forced", [False, True], ids=["3.3 a dead node blocks", "3.3 force-remove lets it go"])
def test_a_dead_server(forced: bool) -> None:
    it = Harvester("n1", "n2", "n3")
    it.patch(kinds.LEASES, "n3", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}, "kube-node-lease")
    its = objects.machine("n3")
    it.patch(kinds.MACHINES, its, {"metadata": {"annotations": {capi.EXCLUDE: ""}}})
    if forced:
        it.patch(kinds.BOOTSTRAPS, its, {"metadata": {"annotations": {capi.FORCE: "true"}}})
    it.api.delete(kinds.MACHINES, its, objects.FLEET)
    it.run(REMOVAL)
    assert it.there(kinds.MACHINES, its) is not forced


def test_a_paused_cluster_deletes_no_machine() -> None:
    it = Harvester("n1", "n2", "n3")
    it.pause()
    it.api.delete(kinds.MACHINES, objects.machine("n2"), objects.FLEET)
    it.run((*REMOVAL, etcd(it)))
    assert it.there(kinds.MACHINES, objects.machine("n2")) and it.there(kinds.NODES, "n2")


def replicas(it: Harvester, volume: str) -> list[str]:
    found = it.api.items(kinds.REPLICAS, objects.LONGHORN) or []
    return sorted(r["spec"]["nodeID"] for r in found if r["spec"]["volumeName"] == volume and storage._good(r))


def robustness(it: Harvester, volume: str) -> str:
    return str(it.get(kinds.VOLUMES, volume, objects.LONGHORN)["status"]["robustness"])


def vm(it: Harvester, *on: str) -> None:
    objects.write(it.api, guests.machine("default/vm1", on[0], on))


def test_a_volume_is_as_good_as_its_replicas() -> None:
    """9."""
    it = Harvester("n1", "n2")
    vm(it, "n1", "n2")
    it.run([storage.longhorn])
    assert robustness(it, "pvc-vm1") == "healthy" and robustness(it, "vol-1") == "unknown"  # detached
    down = {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    it.patch(kinds.NODES, "n2", down)
    it.run([storage.longhorn])
    assert robustness(it, "pvc-vm1") == "degraded"
    conditions = it.get(kinds.STORAGE, "n2", objects.LONGHORN)["status"]["conditions"]
    assert conditions[0] == {"type": "Ready", "status": "False", "reason": "KubernetesNodeNotReady"}
    it.patch(kinds.NODES, "n1", down)
    it.run([storage.longhorn])
    assert robustness(it, "pvc-vm1") == "faulted"


def test_a_new_node_gets_replicas() -> None:
    """9: WO first, then RW."""
    it = Harvester("n1", "n2")
    vm(it, "n1", "n2")
    it.api.patch(kinds.VOLUMES, "pvc-vm1", {"spec": {"numberOfReplicas": 3}}, objects.LONGHORN)
    it.run([storage.longhorn])
    assert replicas(it, "pvc-vm1") == ["n1", "n2"] and robustness(it, "pvc-vm1") == "degraded"
    it.appears(node("n3"))
    it.run([storage.longhorn], 3)
    modes = it.get(kinds.ENGINES, "pvc-vm1-e-0", objects.LONGHORN)["status"]["replicaModeMap"]
    assert modes["pvc-vm1-r-n3"] == "WO"
    it.run([storage.longhorn])
    assert replicas(it, "pvc-vm1") == ["n1", "n2", "n3"] and robustness(it, "pvc-vm1") == "healthy"


@pytest.mark.parametrize(
    ("others", "left"),
    [pytest.param({"n3": {}}, ["n2", "n3"], id="3.3 another node takes them"),
     pytest.param({}, ["n1", "n2"], id="9 nobody can take them: they stay"),
     pytest.param({"n3": {"unschedulable": True}}, ["n1", "n2"], id="9 nobody that is cordoned")],
)  # fmt: skip
def test_eviction(others: dict[str, JSON], left: list[str]) -> None:
    it = Harvester("n1", "n2")
    vm(it, "n1", "n2")
    for name, spec in others.items():
        it.appears({**node(name), "spec": spec})
    it.api.patch(kinds.STORAGE, "n1", {"spec": {"allowScheduling": False, "evictionRequested": True}}, objects.LONGHORN)
    it.run([storage.longhorn], 12)
    assert replicas(it, "pvc-vm1") == replicas(it, "vol-2") == left


class Processes(guests.Hosts):
    def __init__(self) -> None:
        self.on: list[tuple[str, str]] = [("n1", "default/vm1")]

    def run(self, node: JSON, machine: str) -> None:
        self.on.append((node["metadata"]["name"], machine))

    def stop(self, node: JSON, machine: str) -> None:
        self.on.remove((node["metadata"]["name"], machine))


@pytest.mark.parametrize(
    ("nodes", "choices", "how", "now"),
    [
        pytest.param(["n1", "n2"], {}, "evict", "n2", id="1.3 evicted: it migrates"),
        pytest.param(["n1", "n2"], {}, "taint", "n2", id="7D drained by taint: it migrates"),
        pytest.param(["n1", "n2"], {}, "", "n1", id="nobody asks: it stays"),
        pytest.param(["n1"], {}, "evict", "n1", id="1.3 no other node: it is waited for"),
        pytest.param(["n1", "n2"], {"able": False}, "evict", "n1", id="7A not migratable: it is waited for"),
        pytest.param(["n1", "n2"], {"strategy": ""}, "evict", "", id="no strategy: it stops with its pod"),
        pytest.param(["n1", "n2"], {}, "delete", "", id="its instance is deleted: it shuts down"),
    ],
)  # fmt: skip
def test_a_machine_leaves_its_node(nodes: list[str], choices: JSON, how: str, now: str) -> None:
    it, processes = Harvester(*nodes), Processes()
    objects.write(it.api, guests.machine("default/vm1", nodes[0], nodes, **choices))

    def asked(api: _api.Api) -> None:
        if how == "evict":
            drain.evict(api, "n1")

    if how == "taint":
        it.patch(kinds.NODES, "n1", {"spec": {"taints": [{"key": guests.TAINT, "effect": "NoSchedule"}]}})
    if how == "delete":
        it.api.delete(guests.RUNNING, "vm1", "default")
    it.run((asked, lambda api: guests.guests(api, processes), kubelet, storage.longhorn))
    assert processes.on == ([(now, "default/vm1")] if now else [])
    assert it.fake.names("pods") == ([f"virt-launcher-vm1-{now}"] if now else [])
    attached = [a["spec"]["nodeName"] for a in it.api.items(kinds.ATTACHMENTS) or ()
                if a["spec"]["source"]["persistentVolumeName"] == "pvc-vm1"]  # fmt: skip
    assert attached == ([now] if now else [])
    assert it.get(kinds.ENGINES, "pvc-vm1-e-0", objects.LONGHORN)["spec"]["nodeID"] == now
    shown = it.get(guests.MACHINES, "vm1", "default")["status"]["printableStatus"]
    assert shown == ("Running" if now else "Stopped") and it.there(guests.RUNNING, "vm1", "default") is bool(now)


def test_the_options_name_the_hooks_of_harvester() -> None:
    """1.3."""
    asked = json.loads(ALL)
    assert [asked[which][0]["annotation"] for which in ("preDrainHooks", "postDrainHooks")] == [PRE_HOOK, POST_HOOK]
    assert machines.OF_NODE == "cluster.x-k8s.io/machine"
