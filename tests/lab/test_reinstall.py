# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The survivor of a Harvester is reinstalled: three RKE2 servers, and controllers of the lab that answer as Rancher's.

It is the first one, and the others have joined by it. A virtual machine of it migrates; nobody else's is touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _reinstall
from lab.drill import Run, confirm, killed, playbook, runs
from lab.harvester import guests, host, joining, kinds, objects, parts, play, story
from lab.labs import Lab
from lab.progress import wait_for

SLOW = ("*",)

PLAYBOOK = "playbooks/reinstall.yml"
RELEASE, BEFORE = "v1.7.1", "v1.6.1"
VM = "default/web"
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def harvester() -> Iterator[Lab]:
    lab = Lab(f"test-reinstall-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        story.become(lab, lab.servers, release=RELEASE)
        yield lab
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


@pytest.fixture
def survivor(harvester: Lab) -> tuple[Lab, _api.Api, str]:
    """The first server, whose OS is of the release before."""
    lab, first = harvester, harvester.servers[0]
    of = objects.RELEASES[BEFORE].kubernetes
    lab.sh(first, f"sed -i 's/^kubernetes: .*/kubernetes: {of}/' /etc/harvester-release.yaml").ok("an older OS")
    return lab, play.client(lab), first


def leaving(node: str, **more: Any) -> tuple[str, str]:
    wish = {"interfaces": ["ens5"], "device": "/dev/disk/by-id/wwn-0x5000", "ssh_authorized_keys": ["github:admin"],
            "iso_url": f"http://boot.example.org/harvester-{RELEASE}-amd64.iso"}  # fmt: skip
    return "-e", json.dumps({"requorum_reinstall": node, "requorum_join": {node: wish}, **more})


def folder_of(lab: Lab, run: Run) -> Path:
    """The folder of a run whose last task wrote the files for joining beside it."""
    assert run.folder, run.out[-4000:]
    return max(path for path in runs(lab) if (path / "actions.jsonl").exists())


def done(folder: Path) -> list[tuple[str, ...]]:
    lines = [json.loads(line) for line in (folder / "actions.jsonl").read_text().splitlines()]
    return [tuple(str(line[word]) for word in ("id", "verb", "kind", "name", "what", "why")) for line in lines]


def shown(run: Run) -> list[str]:
    """The actions as the module shows them."""
    return [line.strip() for line in run.out.splitlines() if line.startswith("  ") and line.strip()[:2] in NUMBERS]


NUMBERS = ("1.", "2.", "3.", "4.")


def said(run: Run) -> str:
    return " ".join(run.out.split())


def voters(lab: Lab, *names: str) -> Callable[[], tuple[bool, str]]:
    def probe() -> tuple[bool, str]:
        members = lab.members(lab.servers[1])
        return members == dict.fromkeys(names, "voter"), str(members)

    return probe


def whole(lab: Lab, api: _api.Api) -> None:
    """Three voters, their Machines Running, every volume with three good replicas."""

    def probe() -> tuple[bool, str]:
        phases = [(m.get("status") or {}).get("phase") for m in api.items(kinds.MACHINES, objects.FLEET) or ()]
        good = [r for r in api.items(kinds.REPLICAS, objects.LONGHORN) or () if r["spec"]["healthyAt"]]
        volumes = api.items(kinds.VOLUMES, objects.LONGHORN) or []
        busy = [n for n in api.items(kinds.NODES) or () if (n.get("spec") or {}).get("unschedulable")]
        members = lab.members(lab.servers[1])
        ok = phases == ["Running"] * 3 and len(good) == 3 * len(volumes) and not busy
        seen = f"{phases} {len(good)} replicas of {len(volumes)} volumes, {len(busy)} cordoned, {members}"
        return ok and list(members.values()) == ["voter"] * 3, seen

    wait_for("a whole Harvester", probe, 300)


def test_the_survivor_is_reinstalled(survivor: tuple[Lab, _api.Api, str]) -> None:
    lab, api, first = survivor
    _first, second, third = lab.servers
    objects.write(api, guests.machine(VM, first, lab.servers))
    pid = host.run_machine(lab, first, VM)
    with play.playing(lab, parts.everything(lab)):
        whole(lab, api)
        check = playbook(lab, PLAYBOOK, "--check", *leaving(first))
        assert check.rc == 0 and check.folder is None, check.out[-4000:]
        assert f"{VM} migrates" in said(check) and "its OS brings RKE2" in said(check)
        refused = playbook(lab, PLAYBOOK, *leaving(first))
        assert refused.rc != 0 and 'requorum_confirm is ""' in said(refused)
        assert host.machines(lab, first) == [pid] and lab.members(second) == dict.fromkeys(lab.servers, "voter")

        run = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first))
        assert run.rc == 0, run.out[-4000:]
        folder, api = folder_of(lab, run), play.client(lab)  # of another server than before
        assert [action[:3] for action in done(folder)] == [tuple(line.split()[:3]) for line in shown(check)]
        assert shown(run) == shown(check)
        voters(lab, second, third)()[0] or pytest.fail(voters(lab, second, third)()[1])
        traces(lab, api, first)
        left = [(p["metadata"]["name"], p["spec"]["nodeName"]) for p in api.items(kinds.PODS, "default") or ()]
        assert left and all(where != first for _name, where in left), left
        assert not host.machines(lab, first) and len(host.machines(lab, second) + host.machines(lab, third)) == 1
        saved = {path.name for path in (folder / "objects").iterdir()}
        assert {"1.1-nodes-" + first + ".json"} <= saved
        again = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first))
        assert again.rc == 0 and not shown(again), again.out[-4000:]

        joining.install(lab, first, folder.parent / "join" / first / "config.yaml")
        whole(lab, api)


def traces(lab: Lab, api: _api.Api, node: str) -> None:
    """It is stopped and stays so, its datastore lies aside, and the API holds nothing of it."""
    unit = lab.spec.unit(node)
    assert lab.sh(node, f"systemctl is-enabled {unit} rancher-system-agent; true").out.split() == ["disabled"] * 2
    assert lab.sh(node, f"systemctl is-active {unit} rancher-system-agent; true").out.split() == ["inactive"] * 2
    assert lab.sh(node, f"ls {lab.data_dir}/server/db").out.split()[0].startswith("etcd-requorum-")
    for which, (kind, where) in _reinstall.KINDS.items():
        for item in (api.items(kind, where) or []) if which not in ("leases", "upgrades", "jobs") else []:
            spec = item.get("spec") or {}
            assert item["metadata"]["name"] != node and spec.get("nodeID") != node, (which, item["metadata"]["name"])
            assert (item.get("status") or {}).get("nodeRef", {}).get("name") != node, which
    assert not api.get(kinds.SECRETS, f"{node}.node-password.rke2", "kube-system")


def test_killed_and_taken_back(survivor: tuple[Lab, _api.Api, str]) -> None:
    """Before its member is removed it can be taken back."""
    lab, api, first = survivor
    with play.playing(lab, parts.everything(lab)):
        whole(lab, api)
        killed(lab, PLAYBOOK, "cordon", *confirm(lab), *leaving(first))
        node = api.get(kinds.NODES, first)
        assert node and node["spec"]["unschedulable"]
        undone = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first, requorum_reinstall_undo=True))
        assert undone.rc == 0, undone.out[-4000:]
        node, storage = api.get(kinds.NODES, first), api.get(kinds.STORAGE, first, objects.LONGHORN)
        assert node and not node["spec"].get("unschedulable") and storage and storage["spec"]["allowScheduling"]
        assert _reinstall.MARK not in node["metadata"]["annotations"]
        whole(lab, api)


def test_refusals_change_nothing(survivor: tuple[Lab, _api.Api, str]) -> None:
    lab, api, first = survivor
    second = lab.servers[1]
    machine = guests.machine("default/fixed", first, lab.servers, able=False)
    objects.write(api, machine)
    kind, where = _reinstall.KINDS["replicas"]
    before = {which: len(api.items(k, w) or ()) for which, (k, w) in _reinstall.KINDS.items()}
    with play.playing(lab, [part for part in parts.everything(lab) if getattr(part, "__name__", "") != "longhorn"]):
        run = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first))
        assert run.rc != 0 and "requorum_accept_vm_stop: [default/fixed]" in said(run), run.out[-4000:]
        for other in lab.servers[1:]:
            api.patch(kind, f"vol-2-r-{other}", {"spec": {"failedAt": objects.LONG_AGO}}, where)
        lab.sh(second, "systemctl kill -s STOP --kill-who=all rke2-server; pkill -STOP -x etcd").ok(
            "a server that hangs"
        )
        try:
            run = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first, requorum_accept_vm_stop="all"))
        finally:
            lab.sh(second, "pkill -CONT -x etcd; systemctl kill -s CONT --kill-who=all rke2-server").ok("it goes on")
        assert run.rc != 0 and "1 other voters work" in said(run), run.out[-4000:]
        assert "volume vol-2 has no healthy replica on a living node" in said(run) and run.folder is None
        for other in lab.servers[1:]:
            api.patch(kind, f"vol-2-r-{other}", {"spec": {"failedAt": ""}}, where)
    after = {which: len(api.items(k, w) or ()) for which, (k, w) in _reinstall.KINDS.items()}
    assert after == before and lab.members(second) == dict.fromkeys(lab.servers, "voter")


def test_killed_after_the_point_of_no_return(survivor: tuple[Lab, _api.Api, str]) -> None:
    """The same command goes on: the server is stopped, and what is left of it goes."""
    lab, api, first = survivor
    _first, second, third = lab.servers
    more = {"requorum_accept_vm_stop": ["default/fixed"]}
    with play.playing(lab, parts.everything(lab)):
        whole(lab, api)
        killed(lab, PLAYBOOK, "remove", *confirm(lab), *leaving(first, **more))
        run = playbook(lab, PLAYBOOK, *confirm(lab), *leaving(first, **more))
        assert run.rc == 0, run.out[-4000:]
        wait_for("two voters", voters(lab, second, third), 60)
        api = play.client(lab)
        traces(lab, api, first)
        definition = api.get(guests.MACHINES, "fixed", "default")
        assert definition and not api.get(guests.RUNNING, "fixed", "default")
