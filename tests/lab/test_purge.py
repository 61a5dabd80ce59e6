# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dead servers of a Harvester are purged, from a lab of one RKE2 server; the dead ones are objects only.

The survivor is the first node of the Harvester; controllers of the lab answer, as Rancher's and Longhorn's would.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans
from lab.drill import Run, confirm, killed, playbook
from lab.harvester import capi, crds, objects, play
from lab.labs import Lab
from lab.progress import wait_for

SLOW = ("*killed*", "*let_go*", "*never_goes_on*", "*refusals*")

PLAYBOOK = "playbooks/purge_orphans.yml"
NODES = _orphans.KINDS["nodes"][0]
DEAD = {"n2": "192.0.2.12", "n3": "192.0.2.13"}
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def rke2() -> Iterator[Lab]:
    lab = Lab(f"test-purge-{os.getpid()}", "rke2", 1, 0)
    try:
        lab.up()
        crds.define(lab)
        capi.guard(lab)
        yield lab
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


@pytest.fixture
def harvester(rke2: Lab) -> Iterator[tuple[Lab, _api.Api]]:
    """The objects of three servers of which the first lives; nothing of them is left afterwards."""
    lab = rke2
    api = play.client(lab)
    first = lab.servers[0]
    nodes = {first: lab.spec.host(first).ip, **DEAD}
    objects.write(api, objects.cluster(nodes, living=[first], release="v1.3.1"))
    api.patch(NODES, first, {"metadata": {"annotations": {_orphans.MACHINE_OF_NODE: objects.machine(first)}}})
    yield lab, api
    sweep(lab, api)


def sweep(lab: Lab, api: _api.Api) -> None:
    """Everything that the objects of a Harvester are, whatever holds it; the living Node stays."""
    for which, (kind, where) in _orphans.KINDS.items():
        for item in (api.items(kind, where) or []) if which not in ("pods", "passwords", "leases") else []:
            meta = item["metadata"]
            if kind == NODES and meta["name"] == lab.servers[0]:
                continue
            if which == "storage":  # or Longhorn would keep it
                api.patch(kind, meta["name"], {"spec": {"allowScheduling": False}}, where)
                gone = [{"type": "Ready", "reason": "KubernetesNodeGone"}]
                status = {"conditions": gone, "diskStatus": {"default": None}}
                api.patch(kind, meta["name"], {"status": status}, where, subresource="status")
            if meta.get("finalizers"):
                api.patch(kind, meta["name"], {"metadata": {"finalizers": []}}, meta.get("namespace", ""))
            api.delete(kind, meta["name"], meta.get("namespace", ""))
    for name in DEAD:
        api.delete(objects.BUILT_IN["Pod"], f"virt-launcher-{name}", "default", now=True)
        api.delete(objects.BUILT_IN["Lease"], name, "kube-node-lease")
        api.delete(objects.BUILT_IN["Secret"], f"{name}.node-password.rke2", "kube-system")


def dead(*names: str, **more: Any) -> tuple[str, str]:
    return "-e", json.dumps({"requorum_dead": list(names or DEAD), **more})


def listed(run: Run) -> list[str]:
    """The actions as the module shows them, each on its line."""
    kinds = ("patch ", "delete ")
    return [line.strip() for line in run.out.splitlines() if line.startswith("  ") and line.strip().startswith(kinds)]


def done(folder: Path) -> list[JSON]:
    return [json.loads(line) for line in (folder / "actions.jsonl").read_text().splitlines()]


def as_shown(action: JSON) -> str:
    where = f"{action['namespace']}/" if action["namespace"] else ""
    return f"{action['verb']} {action['kind']} {where}{action['name']}: {action['what']}; {action['why']}."


def left(api: _api.Api) -> dict[str, list[str]]:
    """Names of what is there, by kind."""
    found = {which: api.items(kind, where) or [] for which, (kind, where) in _orphans.KINDS.items() if which != "pods"}
    return {which: sorted(item["metadata"]["name"] for item in items) for which, items in found.items()}


def purged(lab: Lab, api: _api.Api) -> None:
    """Only the survivor is left, everywhere."""
    first, found = lab.servers[0], left(api)
    its = objects.machine(first)
    assert found["nodes"] == found["storage"] == [first]
    assert found["machines"] == found["bootstraps"] == found["custom"] == [its]
    assert [name for name in found["secrets"] if "custom-" in name] == [f"{its}-machine-plan", f"{its}-machine-state"]
    assert found["replicas"] == [f"vol-{number}-r-{first}" for number in (1, 2, 3)]
    assert not found["attachments"] and len(found["devices"]) == 1
    assert not [name for name in found["passwords"] if name.startswith(tuple(DEAD))]


def test_dead_servers_go(harvester: tuple[Lab, _api.Api]) -> None:
    """`--check` shows exactly what is done, nobody confirms by accident, and a second run has nothing to do."""
    lab, api = harvester
    before = left(api)
    check = playbook(lab, PLAYBOOK, "--check", *dead())
    assert check.rc == 0, check.out[-4000:]
    shown = listed(check)
    assert len(shown) > 25
    config = lab.folder / "admin.kubeconfig"
    assert listed(playbook(lab, PLAYBOOK, "--check", *dead(requorum_kubeconfig=str(config)))) == shown
    refused = playbook(lab, PLAYBOOK, *dead())
    assert refused.rc != 0 and 'requorum_confirm is ""' in " ".join(refused.out.split())
    assert left(api) == before and check.folder is None and refused.folder is None

    with play.playing(lab, capi.PARTS):
        run = playbook(lab, PLAYBOOK, *confirm(lab), *dead())
    assert run.rc == 0 and run.folder, run.out[-4000:]
    assert [as_shown(action) for action in done(run.folder)] == shown
    purged(lab, api)
    saved = [json.loads(path.read_text()) for path in sorted((run.folder / "objects").iterdir())]
    assert {(o["kind"], o["metadata"]["name"]) for o in saved} >= {("Machine", objects.machine(n)) for n in DEAD}
    assert {path.stat().st_mode & 0o777 for path in (run.folder / "objects").iterdir()} == {0o600}
    written = run.out + "".join(path.read_text() for path in run.folder.rglob("*") if path.is_file())
    assert "c2VjcmV0IG9mIGEgcGxhbg" not in written

    again = playbook(lab, PLAYBOOK, *confirm(lab), *dead())
    assert again.rc == 0 and not listed(again) and "an earlier run has purged it" in again.out, again.out[-4000:]


def test_killed_half_way_while_the_cluster_is_paused(harvester: tuple[Lab, _api.Api]) -> None:
    """The planner is never let go: Cluster or RKEControlPlane is paused all the time, and in the end the Cluster."""
    lab, api = harvester
    (clusters, where), (planes, _where) = _orphans.KINDS["clusters"], _orphans.KINDS["planes"]
    api.patch(clusters, "local", {"spec": {"paused": True}}, where)
    free: list[str] = []

    def planner(seen: _api.Api) -> None:
        plane, cluster = seen.get(planes, "local", where), seen.get(clusters, "local", where)
        plane = seen.get(planes, "local", where) if plane and cluster and not cluster["spec"]["paused"] else plane
        notes = (plane or {"metadata": {}})["metadata"].get("annotations") or {}
        if plane and cluster and not cluster["spec"]["paused"] and _orphans.PAUSED not in notes:
            free.append("the planner goes on")

    with play.playing(lab, [planner, *capi.PARTS]):
        killed(lab, PLAYBOOK, "delete", *confirm(lab), *dead())
        held = api.get(planes, "local", where)
        assert held and _orphans.HELD in held["metadata"]["annotations"]
        run = playbook(lab, PLAYBOOK, *confirm(lab), *dead())
    assert run.rc == 0, run.out[-4000:]
    purged(lab, api)
    plane, cluster = api.get(planes, "local", where), api.get(clusters, "local", where)
    assert cluster and cluster["spec"]["paused"] and plane
    assert not plane["metadata"].get("annotations") and not free


def test_refusals_change_nothing(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    first = lab.servers[0]
    kind, where = _orphans.KINDS["replicas"]
    api.patch(kind, f"vol-2-r-{first}", {"spec": {"failedAt": objects.LONG_AGO}}, where)
    before = left(api)
    for names, said in (
        (("n2",), "volume vol-2 has no healthy replica on a living node"),
        ((first,), f"{first} is alive: "),
        (("n8",), "The API knows no server n8"),
    ):
        run = playbook(lab, PLAYBOOK, *confirm(lab), *dead(*names))
        assert run.rc != 0 and said in " ".join(run.out.split()), run.out[-4000:]
        assert run.folder is None
    assert left(api) == before


def test_a_machine_that_rancher_does_not_let_go(harvester: tuple[Lab, _api.Api]) -> None:
    """No controller answers: the run says what holds it, and the same command ends the work later."""
    lab, api = harvester
    more = {"requorum_timeouts": {"purge": 3}}
    run = playbook(lab, PLAYBOOK, *confirm(lab), *dead(**more))
    said = " ".join(run.out.split())
    assert run.rc != 0 and "finalizers machine.cluster.x-k8s.io" in said and "run the same command again" in said
    with play.playing(lab, capi.PARTS):
        again = playbook(lab, PLAYBOOK, *confirm(lab), *dead())
    assert again.rc == 0, again.out[-4000:]
    purged(lab, api)


def test_leftovers_of_an_upgrade_that_never_goes_on(harvester: tuple[Lab, _api.Api]) -> None:
    """Its Upgrade is never touched; Longhorn builds what is missing as soon as another node is there."""
    lab, api = harvester
    first = lab.servers[0]
    objects.write(
        api, objects.stuck_upgrade({first: "Images preloaded", "n2": "Pre-draining", "n3": "Images preloaded"})
    )
    marks = objects.leftovers(first)
    api.patch(NODES, first, marks["node"])
    kind, where = _orphans.KINDS["secrets"]
    api.patch(kind, f"{objects.machine(first)}-machine-plan", marks["secret"], where)
    upgrades = objects.kind_of(objects.stuck_upgrade({})[0])
    upgrade = api.get(upgrades, objects.UPGRADE, objects.SYSTEM)

    with play.playing(lab, capi.PARTS):
        run = playbook(lab, PLAYBOOK, *confirm(lab), *dead(requorum_leftovers=True))
        assert run.rc == 0 and run.folder, run.out[-4000:]
        assert [as_shown(action) for action in done(run.folder)] == listed(run)[: len(done(run.folder))]
        purged(lab, api)
        objects.write(api, objects.storage("n2", ready=True))  # a new server in the place of the dead one
        objects.write(api, objects.node("n2", DEAD["n2"], "v1.3.2")[:1])
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        api.patch(NODES, "n2", {"status": ready}, subresource="status")
        replicas, there = _orphans.KINDS["replicas"]

        def rebuilt() -> tuple[bool, str]:
            good = [r["metadata"]["name"] for r in api.items(replicas, there) or () if r["spec"]["healthyAt"]]
            return len(good) == 6, " ".join(good)

        wait_for("Longhorn to rebuild", rebuilt, 120)
    now = api.get(upgrades, objects.UPGRADE, objects.SYSTEM)
    assert now == upgrade
    node = api.get(NODES, first)
    assert node and not node["spec"].get("unschedulable") and not node["spec"].get("taints")
    assert "harvesterhci.io/pendingOSImage" not in node["metadata"]["annotations"]
    plan = api.get(kind, f"{objects.machine(first)}-machine-plan", where)
    assert plan and "harvesterhci.io/pre-hook" not in plan["metadata"]["annotations"]
    again = playbook(lab, PLAYBOOK, *confirm(lab), "-e", '{"requorum_leftovers": true}')
    assert again.rc == 0 and not listed(again), again.out[-4000:]
