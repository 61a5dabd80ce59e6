# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every brain that reads objects of a Harvester, over all versions from 1.2 to 1.8: one that is as it should be, and
one fault of each sort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _export,
    _export_index,
    _fleet,
    _harvester_checks,
    _join_config,
    _orphans,
    _stale,
)
from ansible_collections.requorum.cluster.plugins.module_utils._check import Check
from ansible_collections.requorum.cluster.plugins.plugin_utils import _bundles
from tests.unit.harvesters import NODES, VERSIONS, Harvester
from tests.unit.test_join_config import WISH

JSON = dict[str, Any]
TOPICS = (*_harvester_checks.EVERY, *_harvester_checks.HARVESTER)
NOW = 1790000000.0
versions = pytest.mark.parametrize("version", VERSIONS)


def read(harvester: Harvester) -> dict[str, Any]:
    """As the action reads it."""
    found: dict[str, Any] = {}
    for name in _harvester_checks.needed(TOPICS):
        asked = _harvester_checks.KINDS[name]
        lists = [harvester.api.items(kind, asked.namespace, selector=asked.selector) for kind in asked.kinds]
        items = next((items for items in lists if items is not None), None)
        found[name] = items and [asked.keep(item) if asked.keep else item for item in items]
    return found


def checks(harvester: Harvester, **hosts: Any) -> dict[str, Check]:
    given = {"releases": dict.fromkeys(NODES, harvester.release), **hosts}
    return {check.name: check for check in _harvester_checks.checks(read(harvester), TOPICS, **given)}


def wrong(harvester: Harvester, **hosts: Any) -> dict[str, Check]:
    return {name: check for name, check in checks(harvester, **hosts).items() if check.state != "holds"}


def seen(harvester: Harvester) -> dict[str, list[JSON]]:
    """As purge reads it."""
    found = {n: harvester.api.items(*of) for n, of in (_orphans.KINDS | _stale.KINDS).items()}
    return {name: items for name, items in found.items() if items is not None}


def test_all_versions_are_here() -> None:
    assert VERSIONS == ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8"]


@versions
def test_healthy(version: str) -> None:
    harvester = Harvester(version)
    assert wrong(harvester, running={"n1": {"default/web"}}, before={"default/web": "n1"}) == {}
    assert len(checks(harvester)) == len(TOPICS)
    assert _stale.leftovers(seen(harvester)) == ((), ())


def condition(kind: str, state: str = "False", **more: str) -> JSON:
    return {"status": {"conditions": [{"type": kind, "status": state, **more}]}}


def paused(h: Harvester) -> None:
    h.change("managedcharts.management.cattle.io", "harvester", {"spec": {"paused": True}})
    h.change("bundles.fleet.cattle.io", "mcc-harvester", {"spec": {"paused": True}})


def under_way(h: Harvester, **states: str) -> None:
    h.change("upgrades.harvesterhci.io", "hvst-upgrade-done", {
        "metadata": {"labels": {"harvesterhci.io/upgradeState": "UpgradingNodes"}},
        "status": {"nodeStatuses": {node: {"state": state} for node, state in states.items()}, "conditions": [
            {"type": "Completed", "status": "Unknown"}, {"type": "SystemServicesUpgraded", "status": "True"}]},
    })  # fmt: skip


def aborted(h: Harvester) -> None:
    under_way(h, n1="Images preloaded")
    notes = dict.fromkeys(_stale.PRE, "{}")
    h.change("secrets", "custom-n1-machine-plan", {"metadata": {"annotations": notes}})


def gone(h: Harvester) -> None:
    """A server was lost, and only its Node was deleted."""
    h.drop("nodes", "n3")
    h.drop("leases.coordination.k8s.io", "n3")


LH, VM, VMI = "longhorn.io", "virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io"
APP, SYSTEM = "deployments.apps", "harvester-system"
BROKEN: dict[str, tuple[Callable[[Harvester], Any], dict[str, str]]] = {
    "a Node is not Ready": (
        lambda h: h.change("nodes", "n2", condition("Ready", "Unknown")), {"kubelets": "n2 is not Ready"}),
    "a kubelet has just died": (
        lambda h: h.change("leases.coordination.k8s.io", "n2", {"spec": {"renewTime": "2026-09-21T14:12:15.000000Z"}}),
        {"kubelets": "the kubelet of n2 reported 60 s before the others"}),
    "a Node has no Lease": (
        lambda h: h.drop("leases.coordination.k8s.io", "n2"), {"kubelets": "the kubelet of n2 has no Lease"}),
    "cordoned": (lambda h: h.change("nodes", "n2", {"spec": {"unschedulable": True}}), {"cordons": "n2 is cordoned"}),
    "in maintenance": (
        lambda h: h.change("nodes", "n2", {"metadata": {"annotations": {"harvesterhci.io/maintain-status": "x"}}}),
        {"cordons": "n2 is in maintenance"}),
    "RKE2 is newer than its OS": (
        lambda h: h.change("nodes", "n2", {"status": {"nodeInfo": {"kubeletVersion": "v1.99.0+rke2r1"}}}),
        {"versions": "n2 runs RKE2 v1.99.0+rke2r1, its OS came with"}),
    "an OS was left behind": (
        lambda h: h.change("nodes", "n2", {"status": {"nodeInfo": {"osImage": "Harvester v1.1.3"}}}),
        {"versions": "n2 runs Harvester v1.1.3, others Harvester v1."}),
    "a component is missing": (
        lambda h: h.drop(APP, "harvester-webhook"), {"components": "deployment harvester-system/harvester-webhook is"}),
    "the agent of Fleet is missing": (
        lambda h: h.drop("statefulsets.apps" if h.release["harvester"] == "v1.4.1" else APP, "fleet-agent"),
        {"components": "cattle-fleet-local-system/fleet-agent is missing"}),
    "Rancher was scaled to 0 and nobody went on": (
        lambda h: h.change(APP, "rancher", {"spec": {"replicas": 0}, "status": {"readyReplicas": None}}),
        {"components": "cattle-system/rancher is scaled to 0"}),
    "CAPI does not run": (
        lambda h: h.change(APP, "capi-controller-manager", {"status": {"readyReplicas": 0}}),
        {"components": "capi-controller-manager 0 of 3"}),
    "a daemon is missing on a node": (
        lambda h: h.change("daemonsets.apps", "longhorn-manager", {"status": {"numberReady": 2}}),
        {"components": "longhorn-system/longhorn-manager 2 of 3"}),
    "a pod is not Ready": (
        lambda h: h.change("pods", "virt-handler-n2", condition("Ready", reason="ContainersNotReady")),
        {"pods": f"{SYSTEM}/virt-handler-n2 is not Ready"}),
    "a pod ends and ends": (
        lambda h: h.change("pods", "virt-handler-n2", {
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, **condition("Ready")}),
        {"pods": "virt-handler-n2 is stuck in Terminating"}),
    "a node of Longhorn is not Ready": (
        lambda h: h.change(f"nodes.{LH}", "n2", condition("Ready", reason="ManagerPodDown")),
        {"Longhorn nodes": "n2: not Ready (ManagerPodDown)"}),
    "a node of Longhorn takes nothing": (
        lambda h: h.change(f"nodes.{LH}", "n2", {"spec": {"allowScheduling": False}}),
        {"Longhorn nodes": "n2: scheduling is off"}),
    "a volume is degraded": (
        lambda h: h.change(f"engines.{LH}", "pvc-1-e-0", {"status": {"replicaModeMap": {"pvc-1-r-n2": "ERR"}}}),
        {"Longhorn volumes": "pvc-1 (default/web-disk-0) is degraded: 2 of 3 replicas that are written to"}),
    "a volume is rebuilt": (
        lambda h: h.change(f"engines.{LH}", "pvc-1-e-0", {"status": {"replicaModeMap": {"pvc-1-r-n2": "WO"}}}),
        {"Longhorn volumes": "is being rebuilt, 2 of 3"}),
    "a detached volume is degraded": (
        lambda h: h.change(f"replicas.{LH}", "pvc-2-r-n2", {"spec": {"failedAt": "2026-01-02T00:00:00Z"}}),
        {"Longhorn volumes": "pvc-2 is degraded: 2 of 3 healthy replicas"}),
    "a volume is faulted": (
        lambda h: h.change(f"volumes.{LH}", "pvc-2", {"status": {"robustness": "faulted"}}),
        {"Longhorn volumes": "pvc-2 is faulted"}),
    "a virtual machine does not run": (
        lambda h: h.drop(VMI, "web"), {"virtual machines": "default/web does not run"}),
    "a virtual machine is being scheduled": (
        lambda h: h.change(VMI, "web", {"status": {"phase": "Scheduling"}}),
        {"virtual machines": "default/web is Scheduling"}),
    "a virtual machine stands still": (
        lambda h: h.change(VMI, "web", condition("Paused", "True", reason="PausedIOError")),
        {"virtual machines": "its disk gave an error"}),
    "a chart is paused": (paused, {
        "ManagedCharts": "harvester is paused", "bundles": "ManagedChart of fleet-local/mcc-harvester is paused",
        "leftovers of upgrades": "managedcharts harvester: set spec.paused to false"}),
    "a bundle is not ready": (
        lambda h: h.change("bundledeployments.fleet.cattle.io", "mcc-harvester", {"status": {"ready": False}}),
        {"bundles": "fleet-local/mcc-harvester is NotReady"}),
    "helm is stuck": (
        lambda h: h.change("secrets", "sh.helm.release.v1.harvester.v7", {
            "metadata": {"labels": {"status": "pending-upgrade"}}}),
        {"bundles": "none of its revisions is deployed"}),
    "CAPI is paused": (
        lambda h: h.change("clusters.cluster.x-k8s.io", "local", {"spec": {"paused": True}}),
        {"CAPI cluster": "it is paused"}),
    "the planner is paused by annotation": (
        lambda h: h.change("rkecontrolplanes.rke.cattle.io", "local", {
            "metadata": {"annotations": {"cluster.x-k8s.io/paused": "true"}}}),
        {"CAPI cluster": "its RKEControlPlane is paused"}),
    "the cluster is provisioning": (
        lambda h: h.change("clusters.cluster.x-k8s.io", "local", {"status": {"phase": "Provisioning"}}),
        {"CAPI cluster": "its phase is Provisioning"}),
    "a Machine is deleted for ever": (
        lambda h: h.change("machines.cluster.x-k8s.io", "custom-n2", {"status": {"phase": "Deleting"}}),
        {"CAPI machines": "custom-n2 of n2 is Deleting"}),
    "a Node has no Machine": (
        lambda h: h.drop("machines.cluster.x-k8s.io", "custom-n2"), {"CAPI machines": "n2 has no Machine"}),
    "a server is gone and left orphans": (
        gone, {"CAPI machines": "custom-n3 is of n3, which is not there", "Longhorn nodes": "n3 has no Node any more"}),
    "the kubeconfig has lost its label": (
        lambda h: h.change("secrets", "local-kubeconfig", {"metadata": {"labels": None}}),
        {"CAPI kubeconfig": "it has not the label"}),
    "an upgrade stopped half way": (
        lambda h: h.change("settings.harvesterhci.io", "server-version", {"value": "v1.1.3"}),
        {"server-version": "the OS of n1 says v1.", "bundles": "not the version that runs"}),
    "the VIP has moved": (
        lambda h: h.change("configmaps", "vip", {"data": {"ip": "10.0.0.11"}}),
        {"VIP": "the configmap says 10.0.0.11, the Service 10.0.0.10"}),
    "an upgrade goes on": (
        lambda h: under_way(h, n1="Pre-drained"),
        {"upgrade": "hvst-upgrade-done is UpgradingNodes (n1: Pre-drained)"}),
    "an upgrade was begun twice": (aborted, {
        "upgrade": "cannot go on by itself", "leftovers of upgrades": "secrets custom-n1-machine-plan: take the"}),
    "Longhorn waits half an hour": (
        lambda h: h.change(f"settings.{LH}", "replica-replenishment-wait-interval", {"value": "1800"}),
        {"leftovers of upgrades": "settings replica-replenishment-wait-interval: set it to 600"}),
    "the virtual machine of an upgrade is still there": (
        lambda h: h.put({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "spec": {"runStrategy": "Halted"},
                         "metadata": {"name": "upgrade-repo-hvst-upgrade-x", "namespace": SYSTEM}}),
        {"leftovers of upgrades": "vm upgrade-repo-hvst-upgrade-x"}),
}  # fmt: skip


@versions
@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_found_and_nothing_else(version: str, name: str) -> None:
    change, expected = BROKEN[name]
    harvester = Harvester(version)
    change(harvester)
    found = wrong(harvester)
    assert set(found) == set(expected)
    for check, text in expected.items():
        assert found[check].state == "wrong" and text in found[check].observed
        assert found[check].next


@pytest.mark.parametrize(
    ("said", "observed"),
    [
        ({"system_agent": "inactive"}, "rancher-system-agent of n2 is inactive"),
        ({"fallback": "yes"}, "n2 has booted its former OS: the upgrade of its OS failed"),
        ({"left": "/usr/local/upgrade_tmp "}, "n2:/usr/local/upgrade_tmp"),
    ],
)
@versions
def test_what_only_a_host_knows(version: str, said: dict[str, str], observed: str) -> None:
    harvester = Harvester(version)
    healthy = {**harvester.release, "system_agent": "active", "left": " "}
    assert wrong(harvester, releases=dict.fromkeys(NODES, healthy)) == {}
    found = wrong(harvester, releases={"n1": healthy, "n2": healthy | said, "n3": healthy})
    assert {name: check.observed for name, check in found.items()} == {"Harvester hosts": observed}


@versions
def test_a_harvester_of_which_no_host_was_read(version: str) -> None:
    found = wrong(Harvester(version), releases={})
    assert {name: check.state for name, check in found.items()} == {"Harvester hosts": "unknown"}


@versions
def test_a_part_that_is_not_installed_is_said_and_not_wrong(version: str) -> None:
    harvester = Harvester(version)
    harvester.missing = ("virtualmachines.kubevirt.io", "bundles.fleet.cattle.io", "rkecontrolplanes.rke.cattle.io")
    found = checks(harvester)
    assert {name for name, check in found.items() if check.state == "absent"} == {"virtual machines", "bundles"}
    assert all(check.ok for check in found.values())
    assert found["bundles"].observed == "this cluster has no bundles"


@versions
def test_fleet_judges_and_forces(version: str) -> None:
    """What force_sync reads: the release of helm is found too where a BundleDeployment names no cluster."""
    harvester = Harvester(version)
    (bundle,) = _bundles.Bundles(harvester.api).find(["harvester"]) or ()
    judgement = _fleet.judge(bundle.seen)
    assert judgement.synced and judgement.next == 3 and not bundle.steps
    assert {"helm", "version"} <= {check.name for check in judgement.checks}
    harvester.change("bundledeployments.fleet.cattle.io", "mcc-harvester", {"status": {"nonModified": False}})
    (bundle,) = _bundles.Bundles(harvester.api).find(["harvester"]) or ()
    assert bundle.document["cause"] == "modified"
    assert [step.what for step in bundle.steps] == ["forceSyncGeneration: 3"]


@versions
def test_purge_finds_everything_of_a_dead_server(version: str) -> None:
    harvester = Harvester(version)
    harvester.change("nodes", "n3", condition("Ready", "Unknown"))
    harvester.change("leases.coordination.k8s.io", "n3", {"spec": {"renewTime": "2026-09-21T14:00:00.000000Z"}})
    made = _orphans.purge(seen(harvester), ["n3"], clock=NOW)
    assert not made.refusals and made.dead[0].machines == ("custom-n3",)
    assert {(step.kind.name, step.name) for step in made.steps if step.verb == "delete"} == {
        ("machines.cluster.x-k8s.io", "custom-n3"), ("custommachines.rke.cattle.io", "custom-n3"),
        ("rkebootstraps.rke.cattle.io", "custom-n3"), ("secrets", "custom-n3-machine-plan"), ("nodes", "n3"),
        ("replicas.longhorn.io", "pvc-1-r-n3"), ("replicas.longhorn.io", "pvc-2-r-n3"), ("nodes.longhorn.io", "n3"),
        ("secrets", "n3.node-password.rke2"),
    }  # fmt: skip
    for replica in ("pvc-1-r-n1", "pvc-1-r-n2"):
        harvester.change("replicas.longhorn.io", replica, {"spec": {"failedAt": "2026-01-02T00:00:00Z"}})
    refused = _orphans.purge(seen(harvester), ["n3"], clock=NOW)
    assert "pvc-1 has no healthy replica" in str(refused.refusals[0]) and not refused.steps


@versions
def test_a_host_that_joins_must_be_of_this_version(version: str) -> None:
    harvester = Harvester(version)
    api = harvester.api
    cluster = _join_config.cluster(
        setting=api.get(_fleet.SETTINGS, "server-version"),
        vip=api.get(_api.Kind("", "v1", "configmaps"), "vip", "harvester-system"),
        nodes=api.items(_orphans.KINDS["nodes"][0]) or [],
        machines=api.items(*_orphans.KINDS["machines"]) or [],
        longhorn=api.items(*_orphans.KINDS["storage"]) or [],
    )
    mine = harvester.release["harvester"]
    assert (cluster.version, cluster.vip, len(cluster.nodes)) == (mine, "10.0.0.10", 3)
    assert all(node.manages and node.ready and node.os == f"Harvester {mine}" for node in cluster.nodes)

    def faults(name: str, iso: str) -> list[str]:
        wish = {**WISH, "iso_url": f"http://boot/harvester-{iso}-amd64.iso"}
        return _join_config.faults(cluster, [name], {name: wish})

    assert faults("n4", mine) == []
    assert faults("n4", "v1.1.3") == [f"n4: the ISO is v1.1.3, the cluster is {mine}: they must be equal"]
    assert ["the name is in use (Node n3, Machine custom-n3" in fault for fault in faults("n3", mine)] == [True]


@versions
def test_an_export_knows_where_disks_lie(version: str) -> None:
    harvester, index = Harvester(version), _export_index.Index()
    for (kind, _namespace, _name), item in harvester.objects.items():
        index.take(kind, item)
        stripped = _export.strip(kind, item)
        assert "status" not in stripped and "uid" not in stripped["metadata"]
    rows = {row.vm: row for row in index.rows()}
    assert (rows["web"].claim, rows["web"].volume, rows["web"].replicas) == ("web-disk-0", "pvc-1", "n1, n2, n3")
    assert (rows["web"].state, rows["old"].wanted) == ("Running", "Halted")
    assert rows["web"].wanted == ("Always" if version == "1.2" else "RerunOnFailure")
    harvester.change("replicas.longhorn.io", "pvc-1-r-n2", {"spec": {"failedAt": "2026-01-02T00:00:00Z"}})
    index.take("replicas.longhorn.io", harvester.objects["replicas.longhorn.io", "longhorn-system", "pvc-1-r-n2"])
    assert {row.vm: row for row in index.rows()}["web"].replicas == "n1, n2 (failed), n3"
