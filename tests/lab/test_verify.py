# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum verify` on one server: as it should be, a Harvester with faults, an API that hangs; nothing is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import CHARTS
from lab.drill import confirm, playbook
from lab.harvester import fleet, host, objects, play
from lab.harvester import story as told
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story
from tests.lab.test_force_sync import synced

SLOW = ("*k3s*",)
RELEASE = "v1.7.1"

JSON = dict[str, Any]
NODES, CAPI, REPLICAS = (_orphans.KINDS[name][0] for name in ("nodes", "clusters", "replicas"))
VOLUMES = _api.Kind("longhorn.io", "v1beta2", "volumes")


@pytest.fixture(scope="module")
def one() -> Iterator[Callable[[str], Lab]]:
    """A lab of one server, built when it is asked for."""
    made: dict[str, Lab] = {}

    def build(distro: str) -> Lab:
        if distro not in made:
            made[distro] = Lab(f"verify-{distro}-{os.getpid()}", distro, 1, 0)
            made[distro].up()
        return made[distro]

    yield build
    if not os.environ.get("REQUORUM_KEEP_LABS"):
        for lab in made.values():
            lab.down()


def verify(lab: Lab, *words: str) -> tuple[int, dict[str, JSON], JSON]:
    """(exit code, checks that do not hold, the whole document)."""
    rc, document, said = story.command(lab, "verify", *words)
    print(said[-6000:])
    return rc, {check["name"]: check for check in document["checks"] if not check["ok"]}, document


@pytest.mark.parametrize("distro", ["rke2", "k3s"])
def test_healthy_and_nothing_is_touched(one: Callable[[str], Lab], distro: str) -> None:
    lab = one(distro)
    with story.untouched(lab, quiet=[]):  # a running etcd writes by itself
        rc, wrong, document = verify(lab)
        assert (rc, wrong, document["harvester"]) == (0, {}, False)
        names = [check["name"] for check in document["checks"]]
        assert names[0] == "hosts" and names[-1] == "kubelets" and len(names) == 11


def test_a_leftover_of_ours(one: Callable[[str], Lab]) -> None:
    lab = one("rke2")
    path = "/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml"
    lab.sh(lab.servers[0], f"mkdir -p {path.rpartition('/')[0]}; touch {path}").ok("leftover")
    rc, wrong, _document = verify(lab)
    lab.sh(lab.servers[0], f"rm {path}").ok("leftover")
    assert rc == 4 and set(wrong) == {"leftovers"}
    assert path in wrong["leftovers"]["observed"] and "repair.yml --tags leftovers" in wrong["leftovers"]["next"]
    assert playbook(lab, "playbooks/verify.yml").rc == 0


def test_an_api_that_hangs_is_not_checked(one: Callable[[str], Lab]) -> None:
    lab = one("rke2")
    first = lab.servers[0]
    lab.sh(first, "pkill -STOP -x kube-apiserver").ok("stop")
    try:
        rc, wrong, document = verify(lab)
    finally:
        lab.sh(first, "pkill -CONT -x kube-apiserver").ok("go on")
        lab.wait_ready(deadline=120)
    assert rc == 4 and not document["holds"] and document["asked"] is None
    assert {name: check["state"] for name, check in wrong.items()} == {
        "API ready on": "wrong", "API endpoints": "unknown", "Nodes Ready": "unknown", "kubelets": "unknown",
    }  # fmt: skip


@pytest.fixture(scope="module")
def harvester(one: Callable[[str], Lab]) -> Iterator[tuple[Lab, _api.Api]]:
    """That server as a Harvester with a Fleet that works and a virtual machine that runs."""
    lab = one("rke2")
    api = told.become(lab, lab.servers, release=RELEASE)
    told.play_version(lab, lab.servers[0], objects.RELEASES[RELEASE].kubernetes)
    wait_for("the static pods of the new version", lambda: static_pods(lab), 120)
    with play.playing(lab, [fleet.fleet]):
        synced(api)
        yield lab, api


def static_pods(lab: Lab) -> tuple[bool, str]:
    """Whether all are Ready again after a restart."""
    done = lab.kubectl(lab.servers[0], "get", "pods", "-n", "kube-system", "-o", "json")
    pods = json.loads(done.out)["items"] if done.rc == 0 else []
    late = [
        pod["metadata"]["name"]
        for pod in pods
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())
    ]
    return bool(pods) and not late, f"not Ready: {', '.join(late) or 'nobody answers'}"


def guest(api: _api.Api, name: str, node: str) -> None:
    """A virtual machine that is said to run there."""
    for kind, spec, status in (
        ("VirtualMachine", {"runStrategy": "Always", "template": {}}, {"printableStatus": "Running"}),
        ("VirtualMachineInstance", {}, {"phase": "Running", "nodeName": node}),
    ):
        meta = {"name": name, "namespace": "default"}
        made = {"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": meta, "spec": spec, "status": status}
        objects.write(api, [made])


def test_a_harvester(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    first = lab.servers[0]
    host.run_machine(lab, first, "default/web")
    guest(api, "web", first)
    rc, wrong, document = verify(lab)
    assert (rc, wrong, document["harvester"], document["asked"]) == (0, {}, True, first)
    assert document["compared_with"] is None
    states = {check["name"]: check for check in document["checks"]}
    assert states["virtual machines"]["observed"] == "1 run"


def test_every_fault_of_a_harvester_is_named_with_the_next_step(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    first = lab.servers[0]
    guest(api, "ghost", first)
    api.patch(CHARTS, "harvester", {"spec": {"paused": True}}, "fleet-local")
    api.patch(VOLUMES, "vol-2", {"spec": {"numberOfReplicas": 1}}, objects.LONGHORN)
    api.patch(REPLICAS, f"vol-2-r-{first}", {"spec": {"failedAt": objects.LONG_AGO}}, objects.LONGHORN)
    api.patch(CAPI, "local", {"spec": {"paused": True}}, objects.FLEET)
    api.patch(NODES, first, {"spec": {"unschedulable": True}})
    rc, wrong, _document = verify(lab)
    assert rc == 4 and {check["state"] for check in wrong.values()} == {"wrong"}
    named = {name: (check["observed"], check["next"]) for name, check in wrong.items()}
    inventory = str(lab.inventory)
    assert named["cordons"] == (f"{first} is cordoned", f"kubectl uncordon {first}")
    assert named["Longhorn volumes"][0].startswith("vol-2 is degraded: 0 of 1 healthy replicas")
    assert named["ManagedCharts"][0] == "harvester is paused"
    assert f"requorum force-sync -i {inventory} --check" in named["ManagedCharts"][1]
    assert "fleet-local/mcc-harvester" in named["bundles"][0]
    assert named["CAPI cluster"][0].startswith("it is paused")
    assert "patch clusters.cluster.x-k8s.io local" in named["CAPI cluster"][1]
    assert "default/ghost is said to run" in named["virtual machines"][0]
    assert set(named) == {
        *("cordons", "Longhorn volumes", "ManagedCharts", "bundles", "CAPI cluster", "virtual machines"),
        "leftovers of upgrades",
    }
    repaired(lab, api)
    assert verify(lab)[:2] == (0, {})


def repaired(lab: Lab, api: _api.Api) -> None:
    """What the next steps say."""
    first = lab.servers[0]
    for kind in ("virtualmachines", "virtualmachineinstances"):
        api.delete(_api.Kind("kubevirt.io", "v1", kind), "ghost", "default")
    assert playbook(lab, "playbooks/force_sync.yml", *confirm(lab)).rc == 0
    api.patch(REPLICAS, f"vol-2-r-{first}", {"spec": {"failedAt": ""}}, objects.LONGHORN)
    api.patch(CAPI, "local", {"spec": {"paused": False}}, objects.FLEET)
    api.patch(NODES, first, {"spec": {"unschedulable": None}})
    wait_for("the taint to go", lambda: (not _taints(api, first), str(_taints(api, first))), 5)


def _taints(api: _api.Api, node: str) -> list[JSON]:
    return list(((api.get(NODES, node) or {}).get("spec") or {}).get("taints") or ())
