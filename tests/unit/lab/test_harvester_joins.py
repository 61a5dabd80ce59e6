# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Harvester keeps to the facts when hosts join and are promoted; the ids name the section of the sheet."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _releases
from ansible_collections.requorum.cluster.plugins.module_utils._join_config import OLDEST
from lab.harvester import joining, kinds, objects, oem, promote
from lab.supervisor.config import read_files
from tests.unit.lab.harvesters import Harvester, node

JSON = dict[str, Any]
CLUSTER = joining.Cluster("v1.3.2", "10.0.0.100", "a: 'b' #c")
ANSWERS: JSON = {
    "server_url": "https://10.0.0.100:443", "token": "a: 'b' #c", "os": {"hostname": "n2"},
    "install": {"mode": "join", "iso_url": "http://x/harvester-v1.3.2-amd64.iso"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({}, "", id="3.2 as join-config writes it"),
        pytest.param({"server_url": "https://10.0.0.100"}, "", id="3.1 the port may be absent"),
        pytest.param({"server_url": "https://10.0.0.100:6443"}, "no port but 443", id="3.1 port of the API"),
        pytest.param({"server_url": "http://10.0.0.100"}, "no port but 443", id="3.1 no https"),
        pytest.param({"server_url": "https://10.0.0.1:443"}, "deadline exceeded", id="3.2 another VIP"),
        pytest.param({"token": "RKE2's"}, "/cacerts: EOF", id="3.2 another token"),
        pytest.param({"install": {"mode": "create"}}, "a cluster of its own", id="3.2 mode create"),
        pytest.param(
            {"install": {"mode": "join", "iso_url": "http://x/harvester-v1.3.1-amd64.iso"}},
            "the ISO is v1.3.1, the cluster is v1.3.2", id="3.2 ISO of another version",
        ),
    ],
)  # fmt: skip
def test_who_may_join(change: JSON, said: str) -> None:
    why = joining.refusal(ANSWERS | change, CLUSTER)
    assert said in why and bool(said) == bool(why)


MANAGED = {"harvesterhci.io/managed": "true"}
WORKERS = {"n2": {}, "n3": {"since": "2025-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("others", "promoted"),
    [
        pytest.param({"n2": {}}, "", id="3.1 two nodes: nobody"),
        pytest.param(WORKERS, "n3", id="3.1 three nodes: the oldest worker"),
        pytest.param({**WORKERS, "n2": {"ready": False}}, "", id="3.1 two healthy of three"),
        pytest.param({**WORKERS, "n2": {"labels": {}}}, "", id="3.1 a node that is not Harvester's"),
        pytest.param(
            {**WORKERS, "n2": {"labels": {**MANAGED, "node-role.harvesterhci.io/worker": "true"}}},
            "", id="3.2 role worker is never promoted",
        ),
        pytest.param(
            {**WORKERS, "n2": {"labels": {**MANAGED, "node-role.harvesterhci.io/management": "true"}}},
            "n2", id="3.1 role management is preferred",
        ),
        *(
            pytest.param({**WORKERS, "n2": {"notes": {promote.STATUS: state}}}, "", id=f"3.1 {state} blocks")
            for state in ("running", "failed", "unknown", "complete")
        ),
        pytest.param({"n2": {"role": "server"}, "n3": {}}, "n3", id="3.1 the third manager"),
        pytest.param({"n2": {"role": "server"}, "n3": {"role": "server"}, "n4": {}}, "", id="3.1 three manage: enough"),
    ],
)  # fmt: skip
def test_who_is_promoted(others: dict[str, JSON], promoted: str) -> None:
    nodes = [node("n1", role="server"), *(node(name, **more) for name, more in others.items())]
    assert promote.choose(nodes) == promoted


def joined(it: Harvester, name: str) -> str:
    """A host asks, gets its plan, carries it out, and its Node appears."""
    machine = it.asks(name)
    it.run(it.joins, 3)
    it.appears(node(name, labels={}, notes={}))
    it.run(it.joins)
    return machine


def phase(it: Harvester, machine: str) -> str:
    return str((it.get(kinds.MACHINES, machine).get("status") or {}).get("phase") or "")


def test_a_machine_goes_through_its_phases() -> None:
    it = Harvester()
    machine = it.asks("n2")
    seen = []
    for _round in range(8):
        for part in it.joins:
            part(it.api)
        seen.append(phase(it, machine))
        if it.carried and not it.there(kinds.NODES, "n2", ""):
            it.appears(node("n2", labels={}, notes={}))
    assert list(dict.fromkeys(seen)) == ["Pending", "Provisioning", "Running"]
    made = it.get(kinds.MACHINES, machine)
    assert made["status"]["nodeRef"]["name"] == "n2" and made["metadata"]["finalizers"] == [objects.MACHINE_FINALIZER]
    assert objects.PRETERMINATE not in (made["metadata"].get("annotations") or {})  # a worker is not in etcd
    assert it.get(kinds.NODES, "n2")["metadata"]["labels"]["harvesterhci.io/managed"] == "true"
    assert it.carried == [{"role": "agent", "server": "https://10.0.0.1:9345", "address": "10.0.0.2"}]
    assert not it.there(kinds.SECRETS, machine)


def test_a_paused_cluster_holds_a_join() -> None:
    it = Harvester()
    it.pause()
    machine = it.asks("n2")
    it.run(it.joins)
    assert it.there(kinds.MACHINES, machine) and phase(it, machine) == "" and not it.carried
    assert not it.there(kinds.SECRETS, f"{machine}-machine-plan")
    it.pause(False)
    it.run(it.joins)
    assert phase(it, machine) == "Provisioning" and it.carried


def test_one_is_promoted_after_the_other() -> None:
    it = Harvester()
    second = joined(it, "n2")
    assert not it.api.items(kinds.JOBS)
    third = joined(it, "n3")
    job = "harvester-promote-n2"
    assert [j["metadata"]["name"] for j in it.api.items(kinds.JOBS) or ()] == [job]
    first = it.get(kinds.NODES, "n2")
    assert first["metadata"]["annotations"][promote.STATUS] == "running" and first["spec"]["unschedulable"]
    assert it.plan(second)["role"] == "server" and it.plan(third)["role"] == "agent"
    assert it.get(kinds.MACHINES, second)["metadata"]["annotations"][objects.PRETERMINATE]
    serves = {f"node-role.kubernetes.io/{role}": "true" for role in promote.ROLES}
    it.patch(kinds.NODES, "n2", {"metadata": {"labels": serves}})
    it.run(it.joins)
    first = it.get(kinds.NODES, "n2")
    assert first["metadata"]["annotations"][promote.STATUS] == "complete" and "unschedulable" not in first["spec"]
    assert it.plan(third) == {"role": "server", "server": "https://10.0.0.1:9345", "address": "10.0.0.3"}


def test_a_job_that_is_left_over_holds_a_promotion_for_ever() -> None:
    it = Harvester()
    labels = {promote.OF_JOB: "n2"}
    old = {"metadata": {"name": "harvester-promote-n2", "namespace": objects.SYSTEM, "labels": labels,
                        "ownerReferences": [{"uid": "of the old n2"}]},
           "status": {"conditions": [{"type": "Complete", "status": "True"}]}}  # fmt: skip
    joined(it, "n2")
    it.api.create(kinds.JOBS, old)
    joined(it, "n3")
    it.run(it.joins)
    assert it.get(kinds.NODES, "n2")["metadata"]["annotations"][promote.STATUS] == "running"


@pytest.mark.parametrize(
    ("labels", "status"),
    [pytest.param({}, "unknown", id="3.1 a running Job that is deleted"),
     pytest.param({"Failed": "True"}, "failed", id="3.1 a Job that failed")],
)  # fmt: skip
def test_a_promotion_that_does_not_end_well(labels: JSON, status: str) -> None:
    it = Harvester()
    joined(it, "n2")
    joined(it, "n3")
    if labels:
        conditions = [{"type": kind, "status": on} for kind, on in labels.items()]
        it.patch(kinds.JOBS, "harvester-promote-n2", {"status": {"conditions": conditions}}, objects.SYSTEM)
    else:
        it.api.delete(kinds.JOBS, "harvester-promote-n2", objects.SYSTEM)
    it.run(it.joins)
    assert it.get(kinds.NODES, "n2")["metadata"]["annotations"][promote.STATUS] == status
    assert len(it.api.items(kinds.JOBS) or ()) == len(labels)  # and nobody else is promoted


def test_what_a_host_is_told_of_its_cluster(tmp_path: Any) -> None:
    """3.1: its own file of rancherd with a token of its own, and RKE2's from Rancher; the VIP's file wins."""
    of = oem.Identity("n2", objects.RELEASES["v1.3.2"], "10.0.0.100", "of rancherd")
    (stage,) = oem.custom(of)["stages"]["initramfs"]
    by = {entry["path"]: yaml.safe_load(entry["content"]) for entry in stage["files"]}
    assert by[oem.RANCHERD]["server"] == "https://10.0.0.100:443" and by[oem.RANCHERD]["token"] == "of rancherd"
    (tmp_path / "config.yaml.d").mkdir()
    for path, content in {**by, oem.RANCHER: {"server": "https://n1:9345", "token": "K10"},
                          oem.VIP: {"server": "https://vip:9345"}}.items():  # fmt: skip
        if path.startswith(oem.CONFIGS):
            (tmp_path / "config.yaml.d" / path.rpartition("/")[2]).write_text(yaml.safe_dump(content))
    found = read_files(tmp_path / "config.yaml")
    assert found["server"] == ["https://vip:9345"] and found["token"] == ["K10"] and found["tls-san"] == ["10.0.0.100"]


def test_releases_are_those_of_the_product() -> None:
    """10."""
    known = _releases.load()
    for name, release in objects.RELEASES.items():
        assert _releases.same(release.kubernetes, known[name].rke2) and release.oldest == known[name].oldest
    assert min(tuple(map(int, name[1:].split(".")))[:2] for name in objects.RELEASES) == OLDEST
