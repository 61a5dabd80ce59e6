# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Harvester takes hosts in as the real one does: by the files of `requorum join-config`, and by its rules."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab import faults
from lab.drill import playbook
from lab.harvester import drain, guests, host, joining, kinds, objects, oem, parts, planner, play, promote, story
from lab.labs import Lab
from lab.progress import LabError, wait_for

JSON = dict[str, Any]
RELEASE = "v1.7.1"
NEW = "node-9"
"""Name under which the third host joins."""

SLOW = ("*two_hosts_join*", "*server_leaves*")


class Alone(Lab):
    """Only the first server is started; the other hosts are there, and idle."""

    def start_cluster(self, deadline: float = 420) -> None:
        first = self.spec.hosts[0]
        self._start(first)
        self.wait_ping(first.name, deadline)
        wait_for("one Node", lambda: (self.nodes(first.name) == {first.name: True}, ""), deadline)


@pytest.fixture(scope="module")
def harvester() -> Iterator[tuple[Lab, _api.Api]]:
    lab = Alone(f"test-joining-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        yield lab, story.become(lab, lab.servers[:1], release=RELEASE)
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def written(lab: Lab, folder: Path, *names: str) -> dict[str, Path]:
    """The config.yaml of each host, by our playbook."""
    iso = f"http://boot.example.org/harvester-{RELEASE}-amd64.iso"
    wish = {"interfaces": ["ens5"], "device": "/dev/disk/by-id/wwn-0x5000", "ssh_authorized_keys": ["github:admin"],
            "iso_url": iso}  # fmt: skip
    wishes = {"requorum_join": dict.fromkeys(names, wish), "requorum_output": str(folder)}
    run = playbook(lab, "playbooks/join_config.yml", "-e", json.dumps(wishes))
    assert run.rc == 0, run.out[-3000:]
    return {name: next(folder.glob(f"*/join/{name}/config.yaml")) for name in names}


def machine(api: _api.Api, node: str) -> JSON:
    """The Machine of a host that asked to join."""
    named = "rke.cattle.io/node-name"
    found = [m for m in api.items(kinds.MACHINES) or () if m["metadata"]["labels"].get(named) == node]
    return found[0] if found else {"status": {}}


def phase(api: _api.Api, node: str) -> str:
    return str((machine(api, node).get("status") or {}).get("phase") or "")


def test_a_strict_host(harvester: tuple[Lab, _api.Api]) -> None:
    """What is only in /etc is forgotten, what /oem says comes back, /usr is read-only, and the cluster starts again."""
    lab, _api_of = harvester
    first = lab.servers[0]
    token = yaml.safe_load(lab.sh(first, f"cat {oem.RANCHERD}").out)["token"]
    assert token != lab.spec.token
    assert lab.sh(first, "touch /usr/bin/x").rc != 0 and lab.sh(first, "touch /usr/local/x && rm /usr/local/x").rc == 0
    lab.sh(first, f"touch /etc/x; echo y >/etc/motd; echo 'token: z' >{oem.RANCHERD}; touch {oem.CONFIGS}/99-x.yaml")
    faults.power_off(lab, first)
    faults.power_on(lab, first)
    assert lab.sh(first, "[ -e /etc/x ]").rc != 0 and "y" not in lab.sh(first, "cat /etc/motd").out.split()
    assert yaml.safe_load(lab.sh(first, f"cat {oem.RANCHERD}").out)["token"] == token
    assert lab.sh(first, f"[ -e {oem.CONFIGS}/99-x.yaml ]").rc == 0  # /etc/rancher is persistent
    lab.wait_ping(first)
    wanted = [f"Harvester {RELEASE}", objects.RELEASES[RELEASE].kubernetes]
    wait_for("the Node as the host is", lambda: (system(lab, first) == wanted, str(system(lab, first))), 60)


def system(lab: Lab, host: str) -> list[str]:
    """System and kubelet as the Node has them."""
    done = lab.kubectl(host, "get", "node", host, "-o", "json")
    info = json.loads(done.out)["status"]["nodeInfo"] if done.rc == 0 else {}
    return [info.get("osImage", ""), info.get("kubeletVersion", "")]


def test_two_hosts_join(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    first, second, third = lab.servers
    configs = written(lab, tmp_path, second, NEW)
    for change, said in (
        ({"server_url": "https://10.9.9.9:443"}, "context deadline exceeded"),
        ({"token": "another"}, "cacerts: EOF"),
        ({"install": {"mode": "join", "iso_url": "http://x/harvester-v1.6.1-amd64.iso"}}, "the ISO is v1.6.1"),
    ):
        wrong = tmp_path / "wrong.yaml"
        wrong.write_text(yaml.safe_dump(yaml.safe_load(configs[second].read_text()) | change))
        with pytest.raises(LabError, match=said):
            joining.install(lab, second, wrong)

    def until(what: str, probe: Callable[[], object], seconds: float = 120) -> None:
        def seen() -> str:
            return f"{phase(api, second)} {phase(api, NEW)} {states(api)} {lab.members(first)}"

        wait_for(what, lambda: (bool(probe()), seen()), seconds)

    with play.playing(lab, parts.everything(lab)):
        api.patch(kinds.CLUSTERS, "local", {"spec": {"paused": True}}, objects.FLEET)
        joining.install(lab, second, configs[second])
        until("registration", lambda: "metadata" in machine(api, second))
        assert phase(api, second) == "" and lab.nodes(first) == {first: True}  # held
        api.patch(kinds.CLUSTERS, "local", {"spec": {"paused": False}}, objects.FLEET)
        until("the second Machine", lambda: phase(api, second) == "Running")
        assert lab.nodes(first) == {first: True, second: True} and lab.members(first) == {first: "voter"}
        assert not api.items(kinds.JOBS, objects.SYSTEM)  # two nodes: nobody is promoted
        joining.install(lab, third, configs[NEW])
        until("three voters", lambda: list(lab.members(first).values()) == ["voter"] * 3, 240)
        until("both promotions", lambda: states(api) == {second: "complete", NEW: "complete"})
    (one, two) = sorted(api.items(kinds.JOBS, objects.SYSTEM) or (), key=lambda j: j["status"]["startTime"])
    assert one["metadata"]["name"] == f"harvester-promote-{second}"
    assert one["status"]["completionTime"] <= two["metadata"]["creationTimestamp"]
    assert {n["metadata"]["name"] for n in api.items(kinds.STORAGE) or ()} == {first, second, NEW}
    assert machine(api, second)["metadata"]["annotations"][objects.PRETERMINATE]


def test_a_server_leaves_and_is_installed_anew(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    """Replicas move and its machine migrates, RKE2 removes its member; then it joins as a new one."""
    lab, _old = harvester
    first, second, third = lab.servers
    api = play.client(lab, host=second, seconds=60)  # etcd elects a leader meanwhile
    host.run_machine(lab, first, "default/vm1")
    objects.write(api, guests.machine("default/vm1", first, [first, second]))
    its = objects.machine(first)

    def until(what: str, probe: Callable[[], bool], seconds: float = 120) -> None:
        wait_for(what, lambda: (probe(), f"{lab.nodes(second)} {lab.members(second)} {states(api)}"), seconds)

    with play.playing(lab, parts.everything(lab)):
        leaves = {"spec": {"allowScheduling": False, "evictionRequested": True}}
        api.patch(kinds.STORAGE, first, leaves, objects.LONGHORN)
        until("replicas to move", lambda: where(api) == {second, NEW})
        api.patch(kinds.NODES, first, {"spec": {"unschedulable": True}})
        until("its pods to go", lambda: drain.evict(api, first))
        api.delete(kinds.MACHINES, its, objects.FLEET)
        until("its Machine to go", lambda: api.get(kinds.MACHINES, its, objects.FLEET) is None, 180)
        assert set(lab.members(second)) == set(lab.nodes(second)) == {second, NEW}
        assert not host.machines(lab, first) and len(host.machines(lab, second) + host.machines(lab, third)) == 1
        plans = [item["metadata"] for item in planner.secrets(api)]
        assert [m["labels"].get(planner.INIT) for m in plans].count("true") == 1 and len(plans) == 2
        faults.power_off(lab, first)
        api.delete(kinds.NODES, first)  # its kubelet may have come back meanwhile (harvester#1497)
        until("Longhorn to see that", lambda: gone(api, first))
        api.delete(kinds.STORAGE, first, objects.LONGHORN)
        until("no trace", lambda: api.get(kinds.STORAGE, first, objects.LONGHORN) is None)
        joining.install(lab, first, written(lab, tmp_path, first)[first])
        until("three voters", lambda: sorted(lab.members(second).values()) == ["voter"] * 3, 240)
        until("its promotion", lambda: states(api).get(first) == "complete")


def where(api: _api.Api) -> set[str]:
    """Nodes with a good replica of a volume of the machine's."""
    found = api.items(kinds.REPLICAS, objects.LONGHORN) or []
    return {r["spec"]["nodeID"] for r in found if r["spec"]["volumeName"] == "pvc-vm1" and r["spec"]["healthyAt"]}


def gone(api: _api.Api, node: str) -> bool:
    item = api.get(kinds.STORAGE, node, objects.LONGHORN) or {"status": {}}
    return "KubernetesNodeGone" in {c["reason"] for c in item["status"].get("conditions", ())}


def states(api: _api.Api) -> dict[str, str]:
    return {n["metadata"]["name"]: s for n in api.items(kinds.NODES) or () if (s := promote.state(n))}
