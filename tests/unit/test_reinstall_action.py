# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server leaves against an API in memory, with the lab's controllers; cut off at every place, and gone on with."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_reinstall, orphan_purge
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node, _orphans, _reinstall
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from lab.harvester import capi, objects, planner
from tests.unit import test_reinstall
from tests.unit.test_orphan_action import Mortal
from tests.unit.test_orphans import M1, M2, M3, NODES
from tests.unit.test_reinstall import ENTRIES, change, vm

JSON = dict[str, Any]
WAITS = ("purge", "drain", "move", "remove", "halt", "leave")
STEPS = ["cordon", "close", "drain", "remove", "retire", "purge"]


class Cluster:
    """The API, the members of etcd and the hosts."""

    def __init__(self) -> None:
        self.fake = test_reinstall.world()
        self.fake.objects["namespaces", "", "kube-system"] = {"metadata": {"name": "kube-system", "uid": "sys"}}
        self.transport: _api.Transport = self.fake
        self.members = list(NODES)
        self.running = set(NODES)
        self.seconds = 30.0
        """Deadline of everything that is waited for."""
        self.stubborn = False
        """A member that comes back, since its server starts again before it is stopped."""
        self.late: Callable[[_api.Request], _api.Answer | None] = lambda _request: None
        inside: list[bool] = []

        def look(request: _api.Request) -> _api.Answer | None:
            if inside:
                return None
            inside.append(True)
            self._kubelets()
            for part in (planner.planner, *capi.PARTS) if capi.PARTS else ():
                part(_api.Api(self.fake, where="controllers"))
            self._machines()
            self._etcd()
            inside.clear()
            return self.late(request)

        self.fake.refuse = look

    def _kubelets(self) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        for name in self.running & set(self.fake.names("nodes")):
            change(self.fake, "leases", name, {"spec": {"renewTime": now}})

    def _etcd(self) -> None:
        """RKE2 on another server takes a member out: of a Node that is annotated, or that was deleted."""
        for name in self.members.copy():
            node = self.fake.objects.get(("nodes", "", name))
            marks = (node or {"metadata": {}})["metadata"].get("annotations") or {}
            if node and marks.get(capi.REMOVE) == "true" and capi.REMOVED not in marks:
                change(self.fake, "nodes", name, {"metadata": {"annotations": {capi.REMOVED: name}}})
            if (node is None or capi.REMOVED in marks) and not (self.stubborn and name in self.running):
                self.members.remove(name)

    def _machines(self) -> None:
        """KubeVirt: one whose launcher has gone has moved to n2."""
        for (kind, namespace, name), item in list(self.fake.objects.items()):
            launched = ("pods", "default", f"virt-launcher-{name}") in self.fake.objects
            if kind == test_reinstall.VMS.name and item["status"]["nodeName"] == "n1" and not launched:
                change(self.fake, "machines_running", name, {"status": {"nodeName": "n2"}}, namespace)

    def left(self) -> list[str]:
        """What the API still holds of n1."""
        return sorted(
            f"{kind} {name}"
            for (kind, _namespace, name), item in self.fake.objects.items()
            if "n1" in name or M1 in name or (item.get("spec") or {}).get("nodeName") == "n1"
            if kind not in ("pods", "leases.coordination.k8s.io")  # the garbage collector takes them with the Node
        )

    def look(self) -> JSON:
        members = [{"ID": str(int(name[1])), "name": f"{name}-1a2b3c4d", "peerURLs": [f"https://{NODES[name]}:2380"]}
                   for name in self.members]  # fmt: skip
        return {"members": members}

    def out(self, name: str) -> str:
        """What sh/look.sh says on a host."""
        if name not in self.running:
            return ""
        status = {"leader": "2", "header": {"member_id": name[1], "cluster_id": "9"}}
        blocks = {"unit": "ActiveState=active", "ping": "pong", "health": '{"health":"true"}',
                  "status": json.dumps(status), "members": json.dumps(self.look())}  # fmt: skip
        return "".join(f"@@ {block} 0\n {text}\n" for block, text in blocks.items())


def acting(cluster: Cluster, patch: pytest.MonkeyPatch, host: str, args: JSON, entries: JSON, *, check: bool) -> Any:
    patch.setattr(node_reinstall._node_api, "of", lambda action: _api.Api(cluster.transport, where=host, seconds=0))

    class Acting(node_reinstall.ActionModule):
        settings: ClassVar[JSON] = {"requorum_timeouts": dict.fromkeys(WAITS, cluster.seconds)}

        def __init__(self) -> None:
            self.host, self.turn = host, "s2"
            self.vars = {"hostvars": {n: {"requorum_read": {"requorum_node": e}} for n, e in entries.items()}}
            self._task = SimpleNamespace(args=args, check_mode=check)

        def say(self, text: str) -> None:
            pass

        def script(self, name: str, **options: Any) -> _node.Done:
            it = f"n{self.host[1]}"
            if name == "look":
                return _node.Done(0, cluster.out(it), "")
            if name == "member":
                cluster.members.remove(f"n{options['ID']}")
            if name == "fence":
                cluster.running.discard(it)
            return _node.Done(0, "unit=inactive\n" if name == "fence" else "", "")

    return Acting()


class Runs:
    """Whole runs of the playbook."""

    def __init__(self, cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster, self.folder, self.patch = cluster, folder, monkeypatch
        stamps = iter(f"20261128T12{number:04d}Z" for number in range(1000))
        monkeypatch.setattr(node_reinstall.time, "strftime", lambda *a: STRFTIME(*a) if "-" in a[0] else next(stamps))
        self.before: Callable[[int], None] = lambda _phase: None
        """Called before each phase."""

    def looks(self) -> list[JSON]:
        return [{"requorum_look": {"name": f"s{n[1]}", "out": self.cluster.out(n)}} for n in NODES]

    def act(self, host: str, args: JSON, *, check: bool = False) -> JSON:
        entries = copy.deepcopy(ENTRIES)
        for name, entry in entries.items():
            entry["unit"] = {"ActiveState": "active" if f"n{name[1]}" in self.cluster.running else "inactive"}
        made: JSON = acting(self.cluster, self.patch, host, args, entries, check=check).act()
        return made

    def show(self, host: str = "s2", **more: Any) -> JSON:
        args = {"name": "n1", "cluster": "prod", "output": str(self.folder), "servers": list(ENTRIES),
                "looks": self.looks(), **more}  # fmt: skip
        return self.act(host, args)

    def run(self, *, check: bool = False, **more: Any) -> JSON:
        """(the last result) with all actions."""
        shown = self.show(**more)
        done: list[JSON] = []
        result = shown
        for phase, host in ((1, "s2"), (2, "s2"), (3, "s1"), (4, "s2")):
            if result.get("failed"):
                break
            self.before(phase)
            args = {"plan": json.loads(json.dumps(shown["plan"])), "phase": phase,
                    "run_dir": shown["requorum_run_dir"], "servers": list(ENTRIES), "looks": self.looks()}  # fmt: skip
            result = self.act(host, args, check=check)
            done += result["requorum_actions"]
        return {**result, "shown": shown, "done": done, "folder": Path(shown["requorum_run_dir"])}


STRFTIME = time.strftime


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_reinstall, "AGAIN_S", 0)
    monkeypatch.setattr(node_reinstall._wait, "EVERY", 0.01)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(Cluster(), tmp_path, monkeypatch)


def told(actions: list[JSON]) -> list[tuple[str, ...]]:
    words = ("id", "node", "verb", "kind", "namespace", "name", "what", "why")
    return [tuple(str(action[word]) for word in words) for action in actions]


def test_check_mode_shows_what_is_done(runs: Runs) -> None:
    fake = runs.cluster.fake
    vm(fake, "web")
    before = copy.deepcopy(fake.objects)
    fake.asked.clear()
    check = runs.run(check=True)
    assert not check.get("failed"), check.get("msg")
    assert not [r for r in fake.asked if r.verb != "get" and r.kind.name in ("nodes", "machines.cluster.x-k8s.io")]
    assert before.keys() == fake.objects.keys() and not check["folder"].exists()
    wet = runs.run()
    assert not wet.get("failed"), wet["msg"]
    assert told(check["shown"]["requorum_actions"]) == told(check["done"]) == told(wet["done"])
    assert [action["verb"] for action in wet["done"]] == STEPS
    assert runs.cluster.left() == [] and runs.cluster.members == ["n2", "n3"]
    assert runs.cluster.running == {"n2", "n3"}
    assert fake.objects[test_reinstall.VMS.name, "prod", "web"]["status"]["nodeName"] == "n2"
    again = runs.show()
    assert not again.get("failed") and again["requorum_actions"] == []
    assert any("an earlier run has purged it" in note for note in again["notes"])


def test_everything_is_saved_before_it_changes(runs: Runs) -> None:
    fake = runs.cluster.fake
    machine = copy.deepcopy(fake.objects["machines.cluster.x-k8s.io", "fleet-local", M1])
    wet = runs.run()
    files = {path.name: json.loads(path.read_text()) for path in (wet["folder"] / "objects").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in (wet["folder"] / "objects").iterdir()} == {0o600}
    assert wet["folder"].stat().st_mode & 0o777 == 0o700
    assert files[f"2.1-machines.cluster.x-k8s.io-{M1}.json"]["spec"] == machine["spec"]
    assert not files["1.1-nodes-n1.json"]["spec"].get("unschedulable")
    assert {item["metadata"]["name"] for item in files.values()} >= {"vol-1-r-n1", "n1.node-password.rke2"}
    assert "c2VjcmV0IG9mIGEgcGxhbg" not in "".join(p.read_text() for p in wet["folder"].rglob("*") if p.is_file())


def test_pods_of_daemonsets_and_static_ones_stay(runs: Runs) -> None:
    runs.run()
    assert runs.cluster.fake.names("pods") == ["etcd-n1", "proxy"]
    evicted = [r.name for r in runs.cluster.fake.asked if r.subresource == "eviction"]
    assert evicted == ["web"]


def test_a_disruption_budget_is_waited_for(runs: Runs) -> None:
    runs.cluster.seconds = 0.3
    runs.cluster.fake.protected.add("web")
    made = runs.run()
    assert made["failed"] and "1 left: pod web Cannot evict pod" in made["msg"]
    assert "requorum_reinstall_undo: true" in made["msg"]
    assert M1 in runs.cluster.fake.names("machines.cluster.x-k8s.io") and runs.cluster.running == set(NODES)
    runs.cluster.fake.protected.clear()
    runs.cluster.seconds = 30
    assert not runs.run().get("failed") and runs.cluster.left() == []


def test_what_is_attached_is_waited_for(runs: Runs) -> None:
    runs.cluster.seconds = 0.3
    change(runs.cluster.fake, "engines", "vol-1-e-0", {"spec": {"nodeID": "n1"}})
    made = runs.run()
    assert made["failed"] and "engine vol-1-e-0" in made["msg"]


def test_rancher_chooses_another_init_node(runs: Runs) -> None:
    fake, plane = runs.cluster.fake, ("rkecontrolplanes.rke.cattle.io", "fleet-local", "local")
    change(fake, "planes", "local", {"metadata": {"labels": {_orphans.PINNED: objects._machine_id("n1")}}})
    made = runs.run()
    assert not made.get("failed") and [a["verb"] for a in made["done"]] == [*STEPS[:3], "unpin", *STEPS[3:]]
    assert _orphans.PINNED not in fake.objects[plane]["metadata"]["labels"]


def test_undo(runs: Runs) -> None:
    runs.cluster.seconds = 0.3
    fake = runs.cluster.fake
    fake.protected.add("web")
    assert runs.run()["failed"]
    node, storage = ("nodes", "", "n1"), ("nodes.longhorn.io", "longhorn-system", "n1")
    assert fake.objects[node]["spec"]["unschedulable"] and not fake.objects[storage]["spec"]["allowScheduling"]
    undone = runs.run(undo=True)
    assert not undone.get("failed") and [a["verb"] for a in undone["done"]] == ["open", "open"]
    assert not fake.objects[node]["spec"].get("unschedulable") and fake.objects[storage]["spec"]["allowScheduling"]
    assert _reinstall.MARK not in fake.objects[node]["metadata"]["annotations"]
    assert runs.run(undo=True)["done"] == [] and not list(runs.folder.rglob("purge.json"))


def test_a_node_that_somebody_else_has_cordoned_stays_so(runs: Runs) -> None:
    runs.cluster.seconds = 0.3
    fake = runs.cluster.fake
    fake.protected.add("web")
    change(fake, "nodes", "n1", {"spec": {"unschedulable": True}})
    assert runs.run()["failed"]
    runs.run(undo=True)
    assert fake.objects["nodes", "", "n1"]["spec"]["unschedulable"]


def test_replicas_move_first(runs: Runs) -> None:
    """Longhorn takes a replica from n1 as soon as another node has a good one in its place."""
    fake = runs.cluster.fake
    n3 = fake.objects.pop(("replicas.longhorn.io", "longhorn-system", "vol-2-r-n3"))
    change(fake, "volumes", "vol-2", {"spec": {"numberOfReplicas": 2}})

    def evict(_request: _api.Request) -> None:
        if fake.objects["nodes.longhorn.io", "longhorn-system", "n1"]["spec"]["evictionRequested"]:
            fake.objects["replicas.longhorn.io", "longhorn-system", "vol-2-r-n3"] = n3
            fake.objects.pop(("replicas.longhorn.io", "longhorn-system", "vol-2-r-n1"), None)

    def controlled(request: _api.Request) -> None:
        if "nodes.longhorn.io" in {key[0] for key in fake.objects if key[2] == "n1"}:
            evict(request)

    runs.cluster.late = controlled
    made = runs.run()
    assert not made.get("failed"), made["msg"]
    assert [action["verb"] for action in made["done"]] == [*STEPS[:3], "move", *STEPS[3:]]


def test_a_machine_that_may_stop_is_shut_down(runs: Runs) -> None:
    fake = runs.cluster.fake
    vm(fake, "db", migratable="False")
    refused = runs.show()
    assert refused["failed"] and "requorum_accept_vm_stop: [prod/db]" in refused["msg"]
    assert refused["requorum_actions"] == [] and refused["stops"] == ["prod/db"]
    made = runs.run(accept_stop=["prod/db"])
    assert not made.get("failed"), made["msg"]
    assert (test_reinstall.VMS.name, "prod", "db") not in fake.objects
    assert any(path.name.endswith("virtualmachineinstances.kubevirt.io-db.json")
               for path in (made["folder"] / "objects").iterdir())  # fmt: skip


def test_a_machine_that_starts_there_meanwhile_is_not_stopped(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(phase: int) -> None:
        if phase == 2:
            vm(runs.cluster.fake, "db", migratable="False")
            del runs.cluster.fake.objects["pods", "default", "virt-launcher-db"]
            change(runs.cluster.fake, "machines_running", "db", {"status": {"nodeName": "n1"}}, "prod")

    monkeypatch.setattr(runs.cluster, "_machines", lambda: None)
    runs.before = before
    made = runs.run(accept_stop="all")
    assert made["failed"] and "prod/db on n1 would stop" in made["msg"]
    assert M1 in runs.cluster.fake.names("machines.cluster.x-k8s.io")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda c: change(c.fake, "nodes", "n3", {"status": {"conditions": []}}), "n3 is not Ready"),
        (lambda c: c.running.discard("n3"), "1 other voters work"),
        (lambda c: change(c.fake, "replicas", "vol-1-r-n2", {"spec": {"healthyAt": ""}}), "rebuilding"),
        (lambda c: change(c.fake, "clusters", "local", {"spec": {"paused": True}}), "Rancher is paused"),
        (lambda c: change(c.fake, "nodes", "n1", {"spec": {"unschedulable": None}}), "n1 has changed meanwhile"),
    ],
)
def test_the_gates_hold_until_the_last_moment(what: Callable[[Cluster], None], said: str, runs: Runs) -> None:
    runs.cluster.fake.objects.pop(("replicas.longhorn.io", "longhorn-system", "vol-9"), None)
    capi_parts = capi.PARTS
    runs.before = lambda phase: what(runs.cluster) if phase == 2 else None
    try:
        capi.PARTS = tuple(part for part in capi_parts if part.__name__ != "longhorn")
        made = runs.run()
    finally:
        capi.PARTS = capi_parts
    assert made["failed"] and said in made["msg"]
    assert M1 in runs.cluster.fake.names("machines.cluster.x-k8s.io") and "n1" in runs.cluster.members


def test_a_member_that_comes_back_is_removed(runs: Runs) -> None:
    runs.cluster.seconds = 5
    runs.cluster.stubborn = True
    made = runs.run()
    assert not made.get("failed"), made["msg"]
    assert made["done"][3]["result"].endswith("etcd still lists n1-1a2b3c4d, which goes when it is stopped")
    assert runs.cluster.members == ["n2", "n3"] and runs.cluster.left() == []


def test_rancher_does_not_let_it_go(runs: Runs) -> None:
    runs.cluster.seconds = 0.3
    parts = capi.PARTS
    try:
        capi.PARTS = ()
        made = runs.run()
    finally:
        capi.PARTS = parts
    assert made["failed"] and "finalizers machine.cluster.x-k8s.io" in made["msg"]
    assert f"still joined to it: {', '.join(sorted([M2, M3]))}" in made["msg"] and "undo" not in made["msg"]
    assert runs.cluster.running == set(NODES)
    assert "is being deleted" in runs.show(undo=True)["msg"]
    runs.cluster.seconds = 30
    again = runs.run()
    assert not again.get("failed") and [a["verb"] for a in again["done"]][-2:] == STEPS[4:]
    assert runs.cluster.left() == []


def test_cut_off_before_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run dies at its n-th change, the controllers go on; the second ends the work, whatever n is."""
    for number in range(60):
        runs = Runs(Cluster(), tmp_path / str(number), monkeypatch)
        runs.cluster.transport = Mortal(runs.cluster.fake, number)
        try:
            ended = runs.run()
        except KeyboardInterrupt:
            ended = {}
        runs.cluster.transport = runs.cluster.fake
        if ended:
            assert not ended.get("failed") and number > 6
            return
        done = runs.run()
        assert not done.get("failed"), (number, done["msg"])
        assert runs.cluster.left() == [] and runs.cluster.members == ["n2", "n3"], number
        assert runs.cluster.running == {"n2", "n3"}, number
    raise AssertionError("it never ended")


@pytest.mark.parametrize("reason", ["Forbidden", "Conflict", "TooManyRequests", "InternalError", "NoAnswer"])
@pytest.mark.parametrize("kind", ["volumes.longhorn.io", "pods", "virtualmachineinstances.kubevirt.io"])
def test_an_api_that_refuses_while_it_is_read(reason: str, kind: str, runs: Runs) -> None:
    runs.cluster.late = lambda request: _api.Answer(reason, "no") if request.kind.name == kind else None
    with pytest.raises(RequorumError, match=r"s2: get .*: no"):
        runs.show()
    assert not list(runs.folder.rglob("*"))


@pytest.mark.parametrize("reason", ["Forbidden", "Conflict", "InternalError"])
@pytest.mark.parametrize("name", ["n1", M1, "vol-2-r-n1"])
def test_an_api_that_refuses_a_change(reason: str, name: str, runs: Runs) -> None:
    """What was done is said, nothing later is done, and the next run ends it."""
    runs.cluster.late = lambda r: _api.Answer(reason, "no") if r.verb != "get" and r.name == name else None
    runs.cluster.seconds = 2
    made = runs.run()
    assert made["failed"] and "no." in made["msg"], made
    failed = [a for a in made["done"] if a["result"].startswith("failed")]
    assert len(failed) == 1 and made["done"][-1] == failed[0]
    runs.cluster.late, runs.cluster.seconds = lambda _request: None, 30
    again = runs.run()
    assert not again.get("failed") and runs.cluster.left() == []


def test_it_is_not_asked_itself(runs: Runs) -> None:
    assert "n1 itself would be asked" in runs.show("s1")["msg"]


def test_an_api_of_another_cluster(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENTRIES["s2"], "api", {"system_uid": "other"})
    made = runs.show()
    assert made["failed"] and "that of another cluster" in made["msg"] and made["requorum_actions"] == []


def test_names_of_the_lists(runs: Runs) -> None:
    with pytest.raises(RequorumError, match="accept_loss is 'vol-1', and no list"):
        runs.show(accept_loss="vol-1")
    assert orphan_purge._names({"accept_loss": ["a"]}, "accept_loss") == ["a"]


def test_paging(runs: Runs) -> None:
    runs.cluster.fake.page = 2
    made = runs.run()
    assert not made.get("failed") and runs.cluster.left() == []
    assert _orphans.KINDS.keys() <= _reinstall.KINDS.keys()
