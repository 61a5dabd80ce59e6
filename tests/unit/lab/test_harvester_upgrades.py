# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's upgrade controller keeps to the facts; the ids name the section of the sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._fleet import CHARTS
from lab.harvester import core, drain, fleet, objects, planner, upgrade
from lab.harvester.upgrade import films, hooks, live, told, webhook
from lab.harvester.upgrade.seen import World, condition, kind_of, labels, name_of, notes, status
from tests.unit.fake_api import FakeApi

JSON = dict[str, Any]
NODES = ("n1", "n2", "n3")
CLOCK = itertools.count()
CONDITIONS = ("Completed", "LogReady", "ImageReady", "RepoReady", "NodesPrepared", "SystemServicesUpgraded",
              "NodesUpgraded")  # fmt: skip


def latest(shown: dict[str, list[JSON]]) -> JSON:
    return shown["upgrades"][-1]


def distinct(words: list[Any]) -> list[Any]:
    return [word for i, word in enumerate(words) if word and word != ([None, *words])[i]]


def test_a_hop_goes_through_all_phases() -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", NODES))
    states = distinct([labels(latest(each)).get("harvesterhci.io/upgradeState") for each in shown])
    assert states == ["PreparingLoggingInfra", "LoggingInfraPrepared", "PreparingRepo", "RepoPrepared",
                      "PreparingNodes", "UpgradingSystemServices", "UpgradingNodes", "Succeeded"]  # fmt: skip
    last = shown[-1]
    assert [c["type"] for c in status(latest(last))["conditions"]] == list(CONDITIONS)
    assert {condition(latest(last), kind) for kind in CONDITIONS} == {"True"}
    for node in NODES:
        ways = distinct([told.node_state(latest(each), node) for each in shown])
        assert ways == ["Images preloading", "Images preloaded", "Pre-draining", "Pre-drained", "Post-draining",
                        "Waiting Reboot", "Succeeded"]  # fmt: skip
    assert {status(n)["nodeInfo"]["osImage"] for n in last["nodes"]} == {"Harvester v1.4.0"}
    assert {status(n)["nodeInfo"]["kubeletVersion"] for n in last["nodes"]} == {"v1.29.9+rke2r1"}
    assert not any(n["spec"].get("unschedulable") or n["spec"].get("taints") for n in last["nodes"])
    assert not last["plans"] and not last["vms"] and not last["images"]
    assert last["settings"][0]["value"] == "600" and last["config"][0]["value"] == "v1.4.0"
    assert not any(chart["spec"].get("paused") for chart in last["charts"])
    assert list(last["provisioning"][0]["spec"]["rkeConfig"]) == ["provisionGeneration"]
    assert sorted(map(name_of, last["jobs"])) == sorted(
        f"{name_of(latest(last))}-{word}" for word in ("apply-manifests", *(
            f"{kind}-drain-{node}" for kind in ("pre", "post") for node in NODES)))  # fmt: skip


def one(shown: dict[str, list[JSON]], kind: str, name: str) -> JSON:
    return next((each for each in shown[kind] if name_of(each) == name), {})


def strategy(shown: dict[str, list[JSON]]) -> JSON:
    return dict((shown["provisioning"][0]["spec"].get("rkeConfig") or {}).get("upgradeStrategy") or {})


U = films.NAME
OF = "harvesterhci.io/upgrade"
PREPARE = {OF: U, "harvesterhci.io/upgradeComponent": "node"}
PRE_DRAIN = {**PREPARE, "harvesterhci.io/upgradeJobType": "pre-drain", "harvesterhci.io/node": "n2"}
HOOKS = {"preDrainHooks": [{"annotation": "harvesterhci.io/pre-hook"}],
         "postDrainHooks": [{"annotation": "harvesterhci.io/post-hook"}]}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        pytest.param("images", U, "spec.retry", 3, id="1.2 the image is called as the Upgrade"),
        pytest.param("images", U, "spec.sourceType", "download", id="1.2 image"),
        pytest.param("vms", f"upgrade-repo-{U}", "metadata.labels", {
            "harvesterhci.io/creator": "harvester", OF: U, "harvesterhci.io/upgradeComponent": "repo"}, id="1.2 repo"),
        pytest.param("plans", f"{U}-prepare", "spec.concurrency", 1, id="1.2 one node at a time"),
        pytest.param("plans", f"{U}-prepare", "spec.jobActiveDeadlineSecs", 3600, id="1.2 an hour for each"),
        pytest.param("plans", f"{U}-prepare", "metadata.namespace", "cattle-system", id="1.2 plans of SUC"),
        pytest.param("plans", f"{U}-prepare", "metadata.labels", PREPARE, id="1.1 component of prepare"),
        pytest.param("plans", f"{U}-cleanup", "spec.concurrency", 3, id="1.2 clean up all at once"),
        pytest.param("jobs", f"{U}-apply-manifests", "spec.ttlSecondsAfterFinished", 604800, id="1.2 kept for 7 d"),
        pytest.param("jobs", f"{U}-apply-manifests", "metadata.labels", {
            OF: U, "harvesterhci.io/upgradeComponent": "manifest"}, id="1.1 component of phase 3"),
        pytest.param("jobs", f"{U}-pre-drain-n2", "metadata.labels", PRE_DRAIN, id="1.1 labels of a hook's job"),
        pytest.param("provisioning", "local", "spec.kubernetesVersion", "v1.29.9+rke2r1", id="1.3 wanted RKE2"),
        pytest.param("provisioning", "local", "spec.rkeConfig.provisionGeneration", 4, id="1.3 generation"),
        pytest.param("provisioning", "local", "spec.rkeConfig.upgradeStrategy.controlPlaneConcurrency", "1", id="1.3"),
        pytest.param("settings", "replica-replenishment-wait-interval", "value", "1800", id="1.4 Longhorn waits"),
        pytest.param("nodes", "n2", "spec.unschedulable", True, id="1.3 cordoned"),
        pytest.param("nodes", "n2", "spec.taints", [
            {"key": "kubevirt.io/drain", "value": "draining", "effect": "NoSchedule"}], id="1.3 machines leave"),
        pytest.param("charts", "rancher-logging-crd", "spec.paused", True, id="1.2 charts are paused"),
        pytest.param("charts", "harvester", "spec.version", "1.4.0", id="1.2 Harvester's chart"),
    ],
)  # fmt: skip
def test_facts(hop: list[dict[str, list[JSON]]], kind: str, name: str, path: str, value: object) -> None:
    seen = []
    for shown in hop:
        found: Any = one(shown, kind, name)
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        seen.append(found)
    assert value in seen, distinct(seen)


def test_drain_hooks(hop: list[dict[str, list[JSON]]]) -> None:
    """1.3: both roles, and forgotten at the end; that RKE2 is wanted is not forgotten."""
    (told_once,) = distinct([strategy(shown) for shown in hop])
    for role in ("controlPlane", "worker"):
        assert HOOKS.items() <= told_once[f"{role}DrainOptions"].items()
    assert hop[-1]["provisioning"][0]["spec"]["kubernetesVersion"] == "v1.29.9+rke2r1"


def test_answers_are_copies(hop: list[dict[str, list[JSON]]]) -> None:
    """1.3: a hook is answered letter by letter, and everything is taken away when the node is uncordoned."""
    of = f"{objects.machine('n1')}-machine-plan"
    for hook, asked in ((hooks.PRE, drain.PRE), (hooks.POST, drain.POST)):
        pairs = [tuple(notes(one(shown, "secrets", of)).get(key) for key in (hook, asked)) for shown in hop]
        assert (objects.DRAIN, objects.DRAIN) in pairs and {pair[0] for pair in pairs} == {None, objects.DRAIN}
        assert pairs[-1] == (None, None)


@pytest.fixture(scope="module")
def hop() -> list[dict[str, list[JSON]]]:
    return list(upgrade.film("v1.3.2", "v1.4.0", NODES))


def test_never_two_nodes_at_once() -> None:
    for shown in upgrade.film("v1.3.2", "v1.4.0", NODES):
        states = [e["state"] for e in (status(latest(shown)).get("nodeStatuses") or {}).values()]
        assert len([word for word in states if word not in ("Images preloading", "Images preloaded", "Succeeded")]) < 2
        assert sum(bool(n["spec"].get("unschedulable")) for n in shown["nodes"]) < 2


def test_one_node() -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", ["n1"]))
    last = latest(shown[-1])
    assert condition(last, "Completed") == "True" and status(last)["singleNode"] == "n1"
    assert {name_of(j) for j in shown[-1]["jobs"]} == {
        f"{name_of(last)}-apply-manifests", f"{name_of(last)}-single-node-upgrade-n1"}  # fmt: skip
    assert "replica-replenishment-wait-interval" not in "".join(notes(last))


@pytest.mark.parametrize("name", upgrade.STALLS)
def test_a_stall_stays(name: str) -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={name: ""}))
    value = condition(latest(shown[-1]), "Completed")
    assert value == ("False" if name in ("prepare-deadline", "node-failed") else "Unknown")


def test_a_stall_is_about_a_node() -> None:
    (*_, last) = upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={"predrain-vms": "n2", "planner-silent": "n9"})
    assert {told.node_state(latest(last), node) for node in NODES} == {"Images preloaded"}  # all wait for Rancher
    (*_, last) = upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={"predrain-vms": "n2"})
    assert [told.node_state(latest(last), node) for node in NODES] == ["Succeeded", "Pre-draining", "Images preloaded"]
    (guest,) = [each for each in last["guests"] if name_of(each) == "fixed"]
    assert status(guest)["nodeName"] == "n2" and condition(guest, "LiveMigratable") == "False"


@pytest.mark.parametrize(
    ("stall", "message"),
    [
        ("planner-silent", "waiting for viable init node"),
        ("pre-hook-unanswered", "draining etcd node(s) {}: draining node"),
        ("drain-pdb", "draining etcd node(s) {0}: error draining machine {0}: error when evicting pods"),
        ("post-hook-unanswered", "uncordoning etcd node(s) {}: waiting for uncordon to finish"),
        ("capi-provisioning", "waiting for probes: kube-controller-manager, kube-scheduler"),
    ],
)
def test_what_the_planner_says(stall: str, message: str) -> None:
    (*_, last) = upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={stall: ""})
    (said,) = [c for c in status(last["provisioning"][0])["conditions"] if c["type"] == "Updated"]
    assert said["status"] == "Unknown" and message.format(objects.machine("n1")) in said["message"]


def served(*stalls: str, of: str = "v1.3.2") -> FakeApi:
    """A Harvester on an API server in memory, whose Upgrade to v1.4.0 is written."""
    fake = FakeApi()
    api = fake.api
    addresses = {name: f"10.0.0.{i}" for i, name in enumerate(NODES, 1)}
    fleet.install(api, version=of)
    for name in ("rancher-monitoring-crd", "rancher-logging-crd"):
        api.create(CHARTS, fleet.chart(name, version="103.0.3+up45.31.1"))
    objects.write(api, objects.cluster(addresses, release=of, living=NODES))
    objects.write(api, [films.node(name, addresses[name], of) for name in NODES])
    objects.write(api, [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"pace": "1"},
                         "metadata": {"namespace": live.FAULTS[0], "name": live.FAULTS[1]}}])  # fmt: skip
    for name in stalls:
        upgrade.stall(api, name)
    upgrade.begin(api, "v1.4.0")
    return fake


def play(fake: FakeApi, rounds: int = 90) -> JSON:
    """The Upgrade as it is at last."""
    api, quiet = fake.api, 0
    for now in itertools.islice(CLOCK, rounds):
        written = len(fake.changes)
        for part in (planner.planner, drain.machine_drain, fleet.fleet, core.images):
            part(api)
        if world := live.look(api, now=float(now)):
            live.alone(api, world)
        quiet = quiet + 1 if len(fake.changes) == written else 0
        if quiet > films.QUIET:
            break
    found = api.get(kind_of("upgrades"), films.NAME, objects.SYSTEM)
    assert found
    return found


def test_on_an_api_with_all_other_controllers() -> None:
    fake = served()
    found = play(fake)
    assert condition(found, "Completed") == "True", found
    assert {e["state"] for e in status(found)["nodeStatuses"].values()} == {"Succeeded"}
    written = len(fake.changes)
    play(fake, 3)
    assert len(fake.changes) == written  # nobody writes when nothing happens


def test_nothing_is_played_where_nobody_asked_for_it() -> None:
    fake = served()
    fake.api.delete(live.CONFIGMAPS, live.FAULTS[1], live.FAULTS[0])
    assert not status(play(fake, 3))


@pytest.mark.parametrize(
    ("name", "state"),
    [("predrain-volume", "Pre-draining"), ("predrain-vms", "Pre-draining"), ("predrain-pdb", "Pre-draining"),
     ("pre-hook-unanswered", "Pre-drained"), ("two-plan-secrets", "Pre-drained"),
     ("log-not-ready", ""), ("repo-not-ready", ""), ("apply-bundle", "Images preloaded"), ("drain-pdb", "Pre-drained"),
     ("postdrain-rke2", "Post-draining"), ("reboot-old-image", "Waiting Reboot"), ("restarted", "Images preloaded")],
)  # fmt: skip
def test_a_stall_on_an_api_can_be_healed(name: str, state: str) -> None:
    fake = served(name)
    found = play(fake)
    assert told.node_state(found, "n1") == state and condition(found, "NodesUpgraded") in ("Unknown", "")
    upgrade.heal(fake.api, name)
    secret = f"{objects.machine('n1')}-machine-plan"
    if name == "two-plan-secrets":
        fake.api.delete(kind_of("secrets"), f"old-{secret}", objects.FLEET)
    if name in ("pre-hook-unanswered", "two-plan-secrets"):  # Harvester answers once, or never: facts 1.4, the nudge
        asked = planner.notes(fake.api.get(kind_of("secrets"), secret, objects.FLEET) or {})[drain.PRE]
        answer = {"metadata": {"annotations": {hooks.PRE: asked}}}
        assert condition(play(fake, 5), "NodesUpgraded") == "Unknown"
        fake.api.patch(kind_of("secrets"), secret, answer, objects.FLEET)
    assert condition(play(fake), "Completed") == ("Unknown" if name == "restarted" else "True")


SHA = "0" * 128


@pytest.mark.parametrize(
    ("before", "to", "more", "why"),
    [
        ("v1.3.1", "v1.4.0", {}, "The current version v1.3.1 is less than the minimum upgradable version v1.3.2."),
        ("v1.4.1", "v1.4.0", {}, "downgrading is prohibited"),
        ("v1.4.0", "v1.5.1", {}, "current version does not meet minimum upgrade requirement"),
        ("v1.3.2", "v1.4.0", {"checksum": SHA}, "doesn't match the file actual checksum"),
    ],
)
def test_what_ends_at_once(before: str, to: str, more: JSON, why: str) -> None:
    world = films.start(before, NODES, {"pace": "1"})
    world["versions"].append(films.version(to, **more))
    world["upgrades"].append(films.upgrade(to))
    (*_, last) = films.run(world)
    assert labels(latest(last))["harvesterhci.io/upgradeState"] == "Failed"
    said = {c["type"]: c for c in status(latest(last))["conditions"] if c["status"] == "False"}
    assert why in "".join(str(c.get("reason", "")) + str(c.get("message", "")) for c in said.values())
    assert not last["plans"] and not last["vms"] and not last["images"]


def judged(change: Callable[[World], object], word: str = "create") -> webhook.Refused:
    world = films.start("v1.3.2", NODES, {})
    world["versions"].append(films.version("v1.4.0"))
    change(world)
    item = films.upgrade("v1.4.0") if word == "create" else world["upgrades"][0]
    return webhook.create(world, item) if word == "create" else webhook.delete(world, item)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param(lambda w: None, 0, "", id="1.6 all is well"),
        pytest.param(lambda w: w["versions"].clear(), 400, "version v1.4.0 is not found", id="1.6 no Version"),
        pytest.param(lambda w: w["upgrades"].append(films.upgrade("v1.4.0", name="old")), 409,
                     'cannot proceed until previous upgrade "old" completes', id="1.6 another one"),
        pytest.param(lambda w: status(w["clusters"][0]).update(phase="Provisioning"), 400,
                     "status is Provisioning", id="1.6 CAPI"),
        pytest.param(lambda w: w["nodes"][1]["spec"].update(unschedulable=True), 400,
                     "node n2 is unschedulable", id="1.6 cordoned"),
        pytest.param(lambda w: status(w["volumes"][0]).update(robustness="degraded"), 400,
                     "degraded volumes", id="1.6 volumes"),
        pytest.param(lambda w: status(w["capi"][0]).update(phase="Pending"), 500, "is not running", id="1.6 machines"),
        pytest.param(lambda w: status(w["charts"][0]).update(conditions=[{"type": "Ready", "status": "False"}]), 400,
                     "managed chart harvester is not ready", id="1.6 charts"),
    ],
)  # fmt: skip
def test_who_may_begin(change: Callable[[World], object], code: int, message: str) -> None:
    found = judged(change)
    assert found.code == code and message in found.message


@pytest.mark.parametrize(
    ("conditions", "skip", "message"),
    [
        ({"NodesUpgraded": "Unknown"}, "", "node upgrade is in progressing, please wait for it to be provisioned"),
        ({"NodesUpgraded": "Unknown"}, "true", ""),
        ({"NodesUpgraded": "True"}, "", ""),
        ({"SystemServicesUpgraded": "Unknown"}, "", ""),
    ],
)
def test_who_may_delete(conditions: dict[str, str], skip: str, message: str) -> None:
    def change(world: World) -> None:
        item = films.upgrade("v1.4.0")
        status(item)["conditions"] = [{"type": kind, "status": value} for kind, value in conditions.items()]
        notes(item)[webhook.SKIP] = skip
        world["upgrades"].append(item)

    assert judged(change, "delete").message == message


def test_a_restart_in_phase_4_leaves_what_the_facts_say() -> None:
    world = films.start("v1.3.2", NODES, {"pace": "1", "postdrain-rke2": "n1"})
    world["versions"].append(films.version("v1.4.0"))
    world["upgrades"].append(films.upgrade("v1.4.0", name="first"))
    list(films.run(world))
    world["upgrades"][0]["metadata"]["deletionTimestamp"] = world.stamp
    world["upgrades"].append(films.upgrade("v1.4.0", name="second"))
    (*_, last) = films.run(world)
    assert [name_of(each) for each in last["upgrades"]] == ["second"]
    assert {told.node_state(latest(last), node) for node in NODES} == {"Images preloaded"}
    assert not [job for job in last["jobs"] if "second-pre-drain" in name_of(job)]


def test_one_that_is_deleted_in_phase_3_leaves_charts_paused() -> None:
    """1.4.3."""
    world = films.start("v1.3.2", NODES, {"pace": "1", "capi-provisioning": ""})
    world.add("versions", films.version("v1.4.0"))
    world.add("upgrades", films.upgrade("v1.4.0"))
    list(films.run(world))
    world["upgrades"][0]["metadata"]["deletionTimestamp"] = world.stamp
    (*_, last) = films.run(world)
    assert not last["upgrades"] and not last["jobs"] and not last["plans"] and not last["vms"]
    assert {chart["spec"].get("paused") for chart in last["charts"]} == {True}
    assert condition(last["provisioning"][0], "Updated") == "True"  # the stall was about that upgrade


def test_a_deleted_upgrade_is_cleaned_up() -> None:
    fake = served("prepare-slow")
    assert told.node_state(play(fake), "n1") == "Images preloading"
    fake.api.delete(kind_of("upgrades"), films.NAME, objects.SYSTEM)
    live.look(fake.api, now=float(next(CLOCK)))
    left = [name for kind in ("plans", "preparing", "vms", "images", "upgrades")
            for name in fake.names(kind_of(kind).name)]  # fmt: skip
    assert left == []
