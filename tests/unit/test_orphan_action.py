# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A purge against an API in memory, with the lab's controllers; cut off at every place, refused, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import orphan_purge
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from lab.harvester import capi, objects
from tests.unit.fake_api import FakeApi
from tests.unit.test_orphans import M1, M2, M3, change, fail, world

JSON = dict[str, Any]
LEFT = {
    "machines.cluster.x-k8s.io": [M1], "rkebootstraps.rke.cattle.io": [M1], "custommachines.rke.cattle.io": [M1],
    "nodes": ["n1"], "nodes.longhorn.io": ["n1"], "volumeattachments.storage.k8s.io": [], "pods": [],
    "replicas.longhorn.io": ["vol-1-r-n1", "vol-2-r-n1", "vol-3-r-n1"],
    "secrets": [f"{M1}-machine-plan", f"{M1}-machine-state", "n1.node-password.rke2"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphan_purge, "RENEWS_S", 0)
    monkeypatch.setattr(orphan_purge._wait, "EVERY", 0.01)


def controlled(fake: FakeApi) -> FakeApi:
    """Its controllers look before every request of the purge; Longhorn refuses what its webhook refuses."""
    inside: list[bool] = []

    def look(request: _api.Request) -> _api.Answer | None:
        if inside:
            return None
        inside.append(True)
        for part in capi.PARTS:
            part(_api.Api(fake, where="controllers"))
        inside.clear()
        if request.verb == "delete" and request.kind.name == "nodes.longhorn.io":
            node = fake.objects[fake.key(request.kind, request.name, request.namespace)]
            disks = node["status"]["diskStatus"].values()
            gone = node["status"]["conditions"][0].get("reason") == "KubernetesNodeGone"
            if node["spec"]["allowScheduling"] or not gone or any(disk["scheduledReplica"] for disk in disks):
                return _api.Answer("Forbidden", "could not delete node")
        return None

    fake.refuse = look
    if not fake.names("namespaces"):
        fake.objects["namespaces", "", "kube-system"] = {"metadata": {"name": "kube-system", "uid": "sys"}}
    return fake


def acting(
    fake: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch, *dead: str, check: bool = False, **more: Any
) -> Any:
    """The action on n1, for these dead servers; what it waits for may take no time at all."""
    hosts = more.pop("hosts", {})
    args = {"cluster": "prod", "output": str(folder), "dead": list(dead), "servers": list(hosts), **more}
    monkeypatch.setattr(orphan_purge._node_api, "of", lambda _action, **_how: _api.Api(fake, where="n1", seconds=0))

    class Acting(orphan_purge.ActionModule):
        settings = {"requorum_timeouts": {"purge": 2}}  # type: ignore[assignment]  # noqa: RUF012

        def __init__(self) -> None:
            self.host = self.turn = "n1"
            self.vars = {
                "hostvars": {name: {"requorum_read": {"requorum_node": entry}} for name, entry in hosts.items()}
            }
            self._task = SimpleNamespace(args=args, check_mode=check)

        def say(self, text: str) -> None:
            pass

    return Acting()


Run = Callable[..., JSON]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A second later than the last one each time, since the folder has the time as its name."""
    stamps = iter(f"2026112{day}T120000Z" for day in range(10))
    monkeypatch.setattr(orphan_purge.time, "strftime", lambda *_args: next(stamps))
    return lambda fake, *dead, **more: acting(fake, tmp_path, monkeypatch, *dead, **more).act()


def left(fake: FakeApi) -> dict[str, list[str]]:
    return {kind: fake.names(kind) for kind in LEFT}


def test_check_mode_shows_what_is_done(run: Run) -> None:
    fake = controlled(world())
    fake.asked.clear()
    check = run(fake, "n2", "n3", check=True)
    changes = [request for request in fake.asked if request.verb != "get" and request.namespace != "longhorn-system"]
    assert check["changed"] and "saved" not in check and not changes  # but for what the controllers count
    wet = run(fake, "n2", "n3")
    assert wet["actions"] == check["actions"] and not wet.get("failed")
    assert left(fake) == LEFT
    again = run(fake, "n2", "n3")
    assert not again["changed"] and len([n for n in again["notes"] if "an earlier run" in n]) == 2


def test_everything_is_saved_before_anything_goes(run: Run) -> None:
    fake = controlled(world())
    before = {item["metadata"]["uid"]: item for item in fake.objects.values() if "uid" in item["metadata"]}
    wet = run(fake, "n2")
    files = sorted(Path(wet["saved"]).iterdir())
    saved = [json.loads(path.read_text()) for path in files]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert Path(wet["requorum_run_dir"]).stat().st_mode & 0o777 == 0o700
    gone = set(before) - {item["metadata"]["uid"] for item in fake.objects.values() if "uid" in item["metadata"]}
    assert gone <= {item["metadata"]["uid"] for item in saved}
    plan = next(item for item in saved if item["metadata"]["name"] == f"{M2}-machine-plan")
    assert plan["data"] == {"plan": "not saved"} and plan["metadata"]["labels"]
    password = next(item for item in saved if item["metadata"]["name"].endswith("node-password.rke2"))
    assert password["data"] == {"hash": "eA=="}


def test_only_the_objects_that_were_seen_are_deleted(run: Run) -> None:
    fake = controlled(world())
    run(fake, "n2")
    ours = [r for r in fake.asked if r.verb == "delete" and (r.body or {}).get("preconditions")]
    assert len(ours) >= 9  # the others went with their owners
    pods = [r.body for r in ours if r.kind.name == "pods"]
    assert pods and all(body and body["gracePeriodSeconds"] == 0 for body in pods)


def test_cut_off_before_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run dies at its n-th change, its controllers go on; the second one ends the work, whatever n is."""
    for number in range(100):
        fake, folder = controlled(world()), tmp_path / str(number)
        change(fake, "clusters", "local", {"spec": {"paused": True}})
        stamps = iter(("20261128T120000Z", "20261128T120001Z"))
        monkeypatch.setattr(orphan_purge.time, "strftime", lambda *_args, stamps=stamps: next(stamps))
        own = acting(fake, folder, monkeypatch, "n2", "n3")
        mortal = _api.Api(Mortal(fake, number), where="n1", seconds=0)
        monkeypatch.setattr(orphan_purge._node_api, "of", lambda _action, mortal=mortal, **_how: mortal)
        try:
            assert not own.act().get("failed") and number > 20
            return
        except KeyboardInterrupt:
            done = acting(fake, folder, monkeypatch, "n2", "n3").act()
        assert not done.get("failed"), (number, done["msg"])
        assert left(fake) == LEFT, number
        plane = fake.objects["rkecontrolplanes.rke.cattle.io", "fleet-local", "local"]
        cluster = fake.objects["clusters.cluster.x-k8s.io", "fleet-local", "local"]
        assert cluster["spec"]["paused"] and not plane["metadata"].get("annotations"), number
    raise AssertionError("it never ended")


class Mortal:
    """A transport of a run that is killed before its n-th change."""

    def __init__(self, fake: FakeApi, changes: int) -> None:
        self.fake, self.left = fake, changes

    def __call__(self, request: _api.Request) -> _api.Answer:
        if request.verb != "get":
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
        return self.fake(request)


def test_refused_and_nothing_is_done(run: Run) -> None:
    fake = controlled(world())
    fail("vol-2-r-n1")(fake)
    before = json.dumps(list(fake.objects.items()), default=str)
    made = run(fake, "n2")
    assert made["failed"] and "volume vol-2" in made["msg"] and made["actions"] == [] and not made["changed"]
    assert "n2" in fake.names("nodes") and "requorum_run_dir" not in made
    assert len(json.dumps(list(fake.objects.items()), default=str)) >= len(before)
    assert not run(fake, "n2", accept_loss=["vol-2"]).get("failed")


def test_what_inspect_has_read(run: Run) -> None:
    fake = controlled(world())
    hosts: JSON = {
        "n1": {"host": "10.0.0.1", "reachable": True, "api": {"system_uid": "other"}},
        "s2": {"host": "10.0.0.2", "reachable": True, "unit": {"ActiveState": "active"}},
    }
    made = run(fake, "s2", hosts=hosts, check=True)
    assert "another cluster" in made["msg"] and "s2 is alive: its unit is active" in made["msg"]
    hosts["s2"]["hostname"] = "n2"  # known by its Node too
    assert "s2 is alive: its unit is active" in run(fake, "n2", hosts=hosts, check=True)["msg"]
    hosts["n1"]["api"]["system_uid"], hosts["s2"] = "sys", {"host": "10.0.0.2", "reachable": False}
    assert {"kind": "nodes", "name": "n2"}.items() <= next(
        a for a in run(fake, "s2", hosts=hosts, check=True)["actions"] if a["kind"] == "nodes"
    ).items()  # fmt: skip


def test_powered_off_counts_as_dead_and_must_not_answer(run: Run) -> None:
    fake = controlled(world())
    hosts = {"n3": {"host": "10.0.0.3", "reachable": True, "unit": {"ActiveState": "inactive"}}}
    assert "it answers" in run(fake, powered_off=["n3"], hosts=hosts, check=True)["msg"]
    assert f"{M3}" in {a["name"] for a in run(fake, powered_off=["n3"], check=True)["actions"]}


def test_nobody_is_named(run: Run) -> None:
    with pytest.raises(RequorumError, match="No server is named"):
        run(controlled(world()))


def test_names_are_a_list(run: Run) -> None:
    with pytest.raises(RequorumError, match="accept_loss is 'vol-1', and no list"):
        run(controlled(world()), "n2", accept_loss="vol-1")


def test_what_does_not_go_says_who_holds_it(run: Run) -> None:
    fake = controlled(world())
    fake.refuse = lambda _request: None
    made = run(fake, "n2")
    assert made["failed"] and "finalizers machine.cluster.x-k8s.io" in made["msg"]
    assert [a["verb"] for a in made["actions"]] == ["patch", "patch"]
    lines = (Path(made["requorum_run_dir"]) / "actions.jsonl").read_text().splitlines()
    assert [json.loads(line)["result"][:6] for line in lines] == ["done", "done", "failed"]
    controlled(fake)
    assert not run(fake, "n2").get("failed") and "n2" not in fake.names("nodes")


@pytest.mark.parametrize("reason", ["Forbidden", "Conflict", "TooManyRequests", "InternalError", "NoAnswer"])
def test_an_api_that_refuses(reason: str, run: Run) -> None:
    """While it is read nothing is begun; in the middle, what was done is said, and the next run ends it."""
    fake = controlled(world())
    look = fake.refuse
    fake.refuse = lambda request: _api.Answer(reason, "no") if request.kind.name == "replicas.longhorn.io" else None
    with pytest.raises(RequorumError, match=r"n1: get replicas\.longhorn\.io: no"):
        run(fake, "n2")

    def late(request: _api.Request) -> _api.Answer | None:
        if (
            request.verb == "delete"
            and request.name == f"{M2}-machine-plan"
            and (request.body or {}).get("preconditions")
        ):
            return _api.Answer(reason, "no")
        return look(request)

    garbage, capi_parts = capi.garbage, capi.PARTS
    try:
        capi.PARTS = tuple(part for part in capi_parts if part is not garbage)
        fake.refuse = late
        made = run(fake, "n2")
        assert made["failed"] and f"{M2}-machine-plan" in made["msg"] and len(made["actions"]) == 5
        fake.refuse = look
        assert not run(fake, "n2").get("failed") and "n2" not in fake.names("nodes")
    finally:
        capi.PARTS = capi_parts


def test_taints_that_changed_meanwhile_are_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = controlled(world())
    change(fake, "nodes", "n1", objects.leftovers("n1")["node"])
    own = acting(fake, tmp_path, monkeypatch, leftovers=True)
    plan = own._plan

    def planned() -> Any:
        made = plan()
        change(fake, "nodes", "n1", {"spec": {"taints": [{"key": "new", "effect": "NoExecute"}]}})
        return made

    monkeypatch.setattr(own, "_plan", planned)
    made = own.act()
    assert made["failed"] and "It has changed since it was read" in made["msg"]
    assert fake.objects["nodes", "", "n1"]["spec"]["taints"] == [{"key": "new", "effect": "NoExecute"}]


def test_a_node_whose_status_is_written_meanwhile_is_patched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = controlled(world())
    change(fake, "nodes", "n1", objects.leftovers("n1")["node"])
    busy = iter([True, False])

    def kubelet(request: _api.Request) -> None:
        if request.verb == "patch" and request.name == "n1" and next(busy):
            fake.objects["nodes", "", "n1"]["metadata"]["resourceVersion"] = "later"

    fake.refuse = kubelet
    made = acting(fake, tmp_path, monkeypatch, leftovers=True).act()
    assert not made.get("failed") and not fake.objects["nodes", "", "n1"]["spec"].get("taints")


def test_paging(run: Run) -> None:
    fake = controlled(world())
    fake.page = 2
    assert run(fake, "n2", "n3")["actions"] and left(fake) == LEFT


def test_the_kinds_of_the_lab_are_those_that_are_asked_for() -> None:
    from lab.harvester.crds import KINDS

    defined = {(kind.group, kind.version, kind.plural, kind.namespaced) for kind in KINDS}
    for kind, _where in _orphans.KINDS.values():
        assert (
            "." not in kind.group.removesuffix(".k8s.io")
            or (kind.group, kind.version, kind.plural, kind.namespaced) in defined
        )
