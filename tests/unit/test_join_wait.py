# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action join_wait on an API in memory, by a clock of its own; how it looks at a host; and the command."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.action import join_wait
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _joining, _node, _why_joining
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._harvester import CAPI
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside, _joiner, _node_api, _watch
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from requorum import await_join, cli, remote
from tests.unit.fake_api import FakeApi
from tests.unit.test_joining import BRAKED, PAUSED, job, machine, node, storage

JSON = dict[str, Any]
STAGES = [*_joining.ARRIVAL, *_joining.RISE]


class Cluster:
    """A survivor n2, hosts that are installed while somebody waits, and what is said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.now, self.said = FakeApi(), 0.0, list[str]()
        self.etcd: list[str] | None = ["n2"]
        self.hosts: dict[str, _joining.Host] = {}
        self.plan: list[tuple[float, Callable[[], Any]]] = []
        self.settings: JSON = {"requorum_join": {"n4": {"ip": "10.0.0.4"}, "n5": {}}}
        self.put(_joining.NODE, node("n2", manages=True, age=9))
        self.put(_joining.MACHINE, machine("custom-n2", "n2"), "fleet-local")
        self.put(_joining.LONGHORN, storage("n2"), "longhorn-system")
        self.put(CAPI, {"metadata": {"name": "local"}, "spec": {"paused": False}}, "fleet-local")
        self.put(_joining.SETTING, {"metadata": {"name": "server-version"}, "value": "v1.3.2"})
        timed = partial(_watch.Watch, clock=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(join_wait, "Watch", timed)
        monkeypatch.setattr(_node_api, "of", lambda _action: self.store.api)
        monkeypatch.setattr(
            _joiner, "look", lambda _action, name, _at: self.hosts.get(name, _joining.Host(False, "dead"))
        )

    def put(self, kind: _api.Kind, item: JSON, namespace: str = "") -> None:
        key = (kind.name, namespace, item["metadata"]["name"])
        self.store.objects[key] = copy.deepcopy(item) | {"kind": "X"}

    def drop(self, kind: _api.Kind, name: str, namespace: str = "") -> None:
        del self.store.objects[kind.name, namespace, name]

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, what in [entry for entry in self.plan if entry[0] <= self.now]:
            self.plan.remove((at, what))
            what()

    def at(self, moment: float, what: Callable[..., Any], *words: Any) -> None:
        self.plan.append((moment, partial(what, *words)))

    def boot(self, name: str) -> None:
        self.hosts[name] = _joining.Host(True, "it answers over SSH", "v1.3.2", f"custom-{name}")

    def install(self, name: str, begin: float, age: int) -> None:
        """A host that comes as far as it can by itself within 100 s."""
        self.at(begin, self.boot, name)
        self.at(begin + 20, self.put, _joining.MACHINE, machine(f"custom-{name}", "", "Pending"), "fleet-local")
        self.at(begin + 40, self.put, _joining.NODE, node(name, ready="False", age=age))
        self.at(begin + 50, self.put, _joining.MACHINE, machine(f"custom-{name}", name), "fleet-local")
        self.at(begin + 60, self.put, _joining.NODE, node(name, age=age))
        self.at(begin + 100, self.put, _joining.LONGHORN, storage(name), "longhorn-system")

    def promote(self, name: str, begin: float, age: int) -> None:
        self.at(begin, self.put, _joining.NODE, node(name, said="running", ready="False", age=age))
        self.at(begin + 20, self.put, _joining.NODE, node(name, said="complete", manages=True, age=age))
        self.at(begin + 30, self._vote, name)

    def _vote(self, name: str) -> None:
        assert self.etcd is not None
        self.etcd.append(name)

    def look(self) -> _node.Done:
        if self.etcd is None:
            return _node.Done(0, "@@ unit 0\n ActiveState=active", "")
        listed = [{"ID": str(number), "name": f"{name}-0a1b2c3d", "peerURLs": [f"https://10.0.0.{name[-1]}:2380"]}
                  for number, name in enumerate(self.etcd)]  # fmt: skip
        return _node.Done(0, f"@@ members 0\n {json.dumps({'members': listed})}", "")

    def run(self, *nodes: str, given: Any = None, check: bool = False, host: str = "r1") -> JSON:
        cluster = self

        class Acting(join_wait.ActionModule):
            settings = cluster.settings

            def __init__(self) -> None:
                self._task = SimpleNamespace(args={"nodes": given or list(nodes)}, check_mode=check)
                self.host, self.vars = host, {"hostvars": {"n7": {}}}

            def script(self, name: str, **_given: Any) -> _node.Done:
                assert name == "look"
                return cluster.look()

            def say(self, text: str) -> None:
                cluster.said.append(text)

        done: JSON = Acting().act()
        assert self.store.changes == [] and done["changed"] is False
        return done


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def states(host: JSON) -> dict[str, str]:
    return {stage["stage"]: stage["state"] for stage in host["stages"]}


def of(host: JSON, name: str) -> JSON:
    return next(stage for stage in host["stages"] if stage["stage"] == name)


# --- the whole way


def test_two_hosts_join_and_the_third_node_promotes_both(cluster: Cluster) -> None:
    cluster.install("n4", 60, 3)
    cluster.install("n5", 300, 2)
    cluster.promote("n4", 420, 3)
    cluster.promote("n5", 460, 2)
    done = cluster.run()
    assert "failed" not in done, done.get("msg")
    n4, n5 = done["hosts"]
    assert (n4["host"], n5["host"]) == ("n4", "n5")
    assert all(host["joined"] and host["waits_for"] is None for host in done["hosts"])
    assert set(states(n4).values()) == set(states(n5).values()) == {"done"}
    said = [line.partition(":")[0] for line in cluster.said if not line.startswith("waiting")]
    arrive = [f"{name} {stage}" for name in ("n4", "n5") for stage in _joining.ARRIVAL]
    assert said == arrive + [f"{name} {stage}" for name in ("n4", "n5") for stage in _joining.RISE]
    # what was waited for each: n4's promotion only after n5 is there
    assert of(n4, "reachable")["seconds"] == pytest.approx(60, abs=12)
    assert of(n4, "registered")["seconds"] == pytest.approx(20, abs=12)
    assert of(n4, "promoted")["seconds"] == pytest.approx(40, abs=12)
    assert sum(stage["seconds"] for host in done["hosts"] for stage in host["stages"]) == pytest.approx(490, abs=15)


def test_one_host_stays_a_worker_and_it_is_said_why(cluster: Cluster) -> None:
    cluster.install("n4", 0, 3)
    done = cluster.run("n4")
    (n4,) = done["hosts"]
    assert n4["joined"] and states(n4)["storage"] == "done"
    assert states(n4)["promoted"] == states(n4)["voter"] == "not due"
    assert "until 3 nodes can manage, and 2 can" in of(n4, "promoted")["seen"]
    assert "etcd has 1 member" in of(n4, "promoted")["seen"]
    assert cluster.now < 150


def test_what_is_done_already_is_not_waited_for(cluster: Cluster) -> None:
    cluster.install("n4", 0, 3)
    cluster.run("n4")
    before = cluster.now
    again = cluster.run("n4")
    assert cluster.now == before
    assert {stage["seconds"] for stage in again["hosts"][0]["stages"]} == {0.0}


def test_check_mode_looks_once(cluster: Cluster) -> None:
    done = cluster.run(check=True)
    assert cluster.now == 0 and "failed" not in done
    assert [host["waits_for"] for host in done["hosts"]] == ["reachable", "reachable"]
    assert [stage["stage"] for stage in done["hosts"][0]["stages"]] == STAGES
    assert {stage["seconds"] for stage in done["hosts"][0]["stages"]} == {None}
    assert len([line for line in cluster.said if line.startswith("n4 ")]) == len(STAGES)


def test_lines_are_few_and_new_ones_come_at_once(cluster: Cluster) -> None:
    cluster.settings["requorum_timeouts"] = {"join_reachable": 600}
    cluster.at(300, lambda: cluster.hosts.update(n4=_joining.Host(False, "it is booting")))
    cluster.run("n4")
    waiting = [line for line in cluster.said if line.startswith("waiting")]
    assert 15 < len(waiting) < 25
    first = next(line for line in waiting if "it is booting" in line)
    assert int(first.split()[1]) <= 312


# --- what does not come


def test_a_stage_has_its_deadline_and_the_rest_is_part_of_the_result(cluster: Cluster) -> None:
    cluster.settings["requorum_timeouts"] = {"join_registered": 90}
    cluster.boot("n4")
    done = cluster.run("n4", "n5")
    assert done["failed"] and cluster.now == pytest.approx(90, abs=3)
    assert "n4 to be registered at Rancher: not within 90 s. Seen last: there is no Machine custom-n4." in done["msg"]
    assert "journalctl -u rancherd" in done["msg"] and "the same command goes on" in done["msg"]
    assert [host["waits_for"] for host in done["hosts"]] == ["registered", "reachable"]
    assert not any(host["joined"] for host in done["hosts"])


def test_all_together_have_a_deadline(cluster: Cluster) -> None:
    cluster.settings["requorum_timeouts"] = {"join": 120}
    cluster.install("n4", 100, 3)
    done = cluster.run()
    assert done["failed"] and cluster.now == pytest.approx(120, abs=3)
    assert done["hosts"][0]["waits_for"] in ("registered", "running")
    cluster.settings["requorum_timeouts"] = {"join": 0}
    assert "not within 0 s" in cluster.run("n5")["msg"]


def test_what_does_not_pass_by_itself_ends_the_waiting(cluster: Cluster) -> None:
    cluster.hosts["n4"] = _joining.Host(True, "it answers over SSH", "v1.3.2", "custom-n4", ("token",))
    done = cluster.run("n4")
    assert done["failed"] and cluster.now < _watch.SURE + 5
    assert "token is not the cluster's" in done["msg"] and "requorum join-config n4" in done["msg"]
    assert of(done["hosts"][0], "registered")["cause"] == "token"


def test_but_not_what_was_seen_only_for_a_moment(cluster: Cluster) -> None:
    cluster.hosts["n4"] = _joining.Host(True, "it answers over SSH", "v1.3.2", "custom-n4", ("token",))
    cluster.at(10, cluster.boot, "n4")
    cluster.install("n4", 12, 3)
    assert cluster.run("n4")["hosts"][0]["joined"]


@pytest.mark.parametrize(
    ("capi", "word"), [(PAUSED, "kubectl patch clusters"), (BRAKED, "repair.yml --tags leftovers")]
)
def test_a_paused_cluster_is_named_while_it_is_waited(cluster: Cluster, capi: JSON, word: str) -> None:
    paused = capi | {"metadata": {"name": "local", **capi["metadata"]}}
    cluster.put(CAPI, paused, "fleet-local")
    cluster.boot("n4")
    cluster.settings["requorum_timeouts"] = {"join_registered": 60}
    done = cluster.run("n4")
    assert word in done["msg"] and "fleet-local/local is paused" in done["msg"]
    assert any("is paused" in line for line in cluster.said if line.startswith("waiting"))
    # unpaused meanwhile, it goes on
    cluster.settings = {"requorum_join": {"n4": {}}}
    cluster.at(cluster.now + 100, cluster.put, CAPI, {"metadata": {"name": "local"}, "spec": {}}, "fleet-local")
    cluster.install("n4", cluster.now + 100, 3)
    assert cluster.run("n4")["hosts"][0]["joined"]


def test_a_failed_promotion_of_another_node_is_named(cluster: Cluster) -> None:
    cluster.install("n4", 0, 3)
    cluster.at(100, cluster.put, _joining.NODE, node("n5", said="failed", age=5))
    done = cluster.run("n4")
    assert done["failed"] and "The promotion of n5 is failed" in done["msg"] and "annotate node n5" in done["msg"]
    assert states(done["hosts"][0])["storage"] == "done" and done["hosts"][0]["waits_for"] == "promoted"


def test_a_job_of_an_older_node_of_this_name(cluster: Cluster) -> None:
    cluster.put(_joining.JOB, job("n4", "uid-of-before"), "harvester-system")
    cluster.put(_joining.NODE, node("n5", age=1))
    cluster.install("n4", 0, 3)
    assert "harvester#1040" in cluster.run("n4")["msg"]


def test_an_api_that_is_silent_for_a_while_ends_nothing(cluster: Cluster) -> None:
    cluster.install("n4", 0, 3)
    cluster.at(30, setattr, cluster.store, "refuse", lambda _request: _api.Answer("NoAnswer", "connection refused"))
    cluster.at(70, setattr, cluster.store, "refuse", lambda _request: None)
    assert cluster.run("n4")["hosts"][0]["joined"]
    assert any("the API cannot be asked" in line and "connection refused" in line for line in cluster.said)


def test_a_server_that_is_silent_for_a_while_ends_nothing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.install("n4", 0, 3)
    members = cluster.look

    def dead() -> _node.Done:
        raise AnsibleConnectionFailure("no route to host")

    cluster.at(30, monkeypatch.setattr, cluster, "look", dead)
    cluster.at(60, monkeypatch.setattr, cluster, "look", members)
    assert cluster.run("n4")["hosts"][0]["joined"]
    assert any("r1 does not answer: no route to host" in line for line in cluster.said)


def test_an_etcd_that_is_silent_makes_no_voter(cluster: Cluster) -> None:
    cluster.settings["requorum_timeouts"] = {"join_voter": 30}
    cluster.install("n4", 0, 3)
    cluster.put(_joining.NODE, node("n5", age=1))
    cluster.promote("n4", 110, 3)
    cluster.at(120, setattr, cluster, "etcd", None)
    cluster.plan = [entry for entry in cluster.plan if entry[0] != 140]
    done = cluster.run("n4")
    assert "n4 to be a voter of etcd: not within 30 s" in done["msg"] and "etcd of r1 does not answer" in done["msg"]


@pytest.mark.parametrize("reason", ["Forbidden", "InternalError", "NoAnswer", "TooManyRequests"])
def test_a_cluster_that_cannot_be_asked_is_an_error_at_once(cluster: Cluster, reason: str) -> None:
    cluster.store.refuse = lambda _request: _api.Answer(reason, f"said {reason}")
    with pytest.raises(RequorumError, match=f"said {reason}"):
        cluster.run("n4")
    assert cluster.now == 0


def test_what_is_refused_at_once(cluster: Cluster) -> None:
    with pytest.raises(RequorumError, match="n9 is neither in requorum_join"):
        cluster.run("n4", "n9")
    known = cluster.run("n7", "n2", check=True)["hosts"]  # the inventory knows one, the cluster the other
    assert [host["waits_for"] for host in known] == ["reachable", None]
    assert [host["host"] for host in cluster.run(given="n7", check=True)["hosts"]] == ["n7"]
    cluster.settings = {}
    with pytest.raises(RequorumError, match="No host is named"):
        cluster.run()
    cluster.settings = {"requorum_join": ["n4"]}
    with pytest.raises(RequorumError, match="no dictionary"):
        cluster.run()
    cluster.store.missing = ("machines.cluster.x-k8s.io",)
    cluster.settings = {"requorum_join": {"n4": None}}
    with pytest.raises(RequorumError, match=r"it is no Harvester.*requorum rejoin"):
        cluster.run()


def test_without_longhorn_and_without_rancher_objects(cluster: Cluster) -> None:
    cluster.store.missing = ("nodes.longhorn.io", "settings.harvesterhci.io", "rkecontrolplanes.rke.cattle.io")
    cluster.install("n4", 0, 3)
    (n4,) = cluster.run("n4")["hosts"]
    assert n4["joined"] and states(n4)["storage"] == "not due" and of(n4, "storage")["cause"] == "no_longhorn"


def test_by_a_kubeconfig_the_condition_stands_for_etcd(cluster: Cluster) -> None:
    cluster.put(_joining.NODE, node("n5", age=1))
    cluster.put(_joining.NODE, node("n4", manages=True, EtcdIsVoter="True"))
    cluster.put(_joining.MACHINE, machine("custom-n4", "n4"), "fleet-local")
    cluster.put(_joining.LONGHORN, storage("n4"), "longhorn-system")
    (n4,) = cluster.run("n4", host="localhost")["hosts"]
    assert n4["joined"] and "no server's etcd can be asked" in of(n4, "voter")["seen"]


# --- one look at a host


class Other(NodeAction):
    """An action as it would be on another host."""

    def __init__(self, said: str | Exception, address: str = "10.0.0.4") -> None:
        self.said, self.host, self.vars = said, "r1", {"ansible_host": address}

    def script(self, name: str, **given: Any) -> _node.Done:
        if name == "prove":
            address, port = given["TARGETS"].split()
            words = {"10.0.0.4": "open", "10.0.0.5": "refused", "10.0.0.6": "silent"}
            return _node.Done(0, f"{address} {port} {words[address]}", "")
        assert name == "joiner" and "cacerts" in given["SYMPTOMS"]
        if isinstance(self.said, Exception):
            raise self.said
        return _node.Done(*((0, self.said, "") if self.said else (124, "", "")))


READ = (
    "release=v1.3.2\nmachine=custom-0123456789ab\n@@\ninsecure cacerts download from https://10.0.0.10/cacerts: EOF\n"
)


@pytest.mark.parametrize(
    ("said", "answers", "word"),
    [
        (READ, True, "over SSH"),
        ("", True, "cannot be read"),
        (AnsibleConnectionFailure("ssh: connect to host 10.0.0.4 port 22: Connection timed out"), True,
         "it does not answer over SSH: ssh: connect to host 10.0.0.4 port 22: Connection timed out; "
         "10.0.0.4 is open at port 22, seen from r1"),
        (AnsibleConnectionFailure("... over ssh: Host key verification failed."), True,
         "lets nobody in, so its logs are not read: Host key verification failed."),
        (AnsibleConnectionFailure("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!"), True, "lets nobody in"),
        (AnsibleConnectionFailure("rancher@10.0.0.4: Permission denied (publickey)."), True, "lets nobody in"),
    ],
)  # fmt: skip
def test_a_host_of_the_inventory(monkeypatch: pytest.MonkeyPatch, said: Any, answers: bool, word: str) -> None:
    monkeypatch.setattr(_beside, "beside", lambda action, _name: action)
    found = _joiner.look(Other(said), "n4", [])
    assert found.answers is answers and word in found.seen
    if said is READ:
        assert (found.release, found.machine, found.symptoms) == ("v1.3.2", "custom-0123456789ab", ("token",))


@pytest.mark.parametrize(
    ("places", "answers", "seen"),
    [
        (["10.0.0.4"], True, "10.0.0.4 is open at port 22, seen from r1"),
        (["10.0.0.5"], True, "10.0.0.5 is refused at port 22, seen from r1"),
        (["10.0.0.6"], False, "10.0.0.6 is silent at port 22, seen from r1"),
        (["10.0.0.6", "10.0.0.5"], True, "10.0.0.6 is silent, 10.0.0.5 is refused at port 22, seen from r1"),
        (["", ""], None, "its address is not known"),
    ],
)
def test_any_other_host(monkeypatch: pytest.MonkeyPatch, places: list[str], answers: bool | None, seen: str) -> None:
    monkeypatch.setattr(_beside, "beside", lambda _action, _name: None)
    assert _joiner.look(Other(""), "n4", places) == _joining.Host(answers, seen)


def test_from_this_machine_where_only_a_kubeconfig_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_beside, "beside", lambda _action, _name: None)
    monkeypatch.setattr(_joiner, "SSH_PORT", 1)
    action = Other("")
    action.host = "localhost"
    found = _joiner.look(action, "n4", ["127.0.0.1"])
    assert found == _joining.Host(True, "127.0.0.1 is refused at port 1, seen from this machine")


# --- the command


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[JSON]:
    given: JSON = {"outcome": remote.Outcome()}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        given.update(name=name, variables=variables, check=arguments.check)
        outcome: remote.Outcome = given["outcome"]
        return outcome

    monkeypatch.setattr(remote, "play", play)
    return given


def test_the_command(played: JSON, cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.install("n4", 0, 3)
    played["outcome"].results["join_wait"] = cluster.run("n4")
    assert cli.main(["await-join", "n4", "-i", "inv"]) == 0
    assert (played["name"], played["variables"], played["check"]) == (
        "await_join",
        {"requorum_join_nodes": ["n4"]},
        False,
    )
    out = capsys.readouterr().out
    assert "n4    storage     done" in out and "until 3 nodes can manage" in " ".join(out.split())
    assert cli.main(["await-join", "-i", "inv", "--check", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["check"] and document["hosts"][0]["joined"] and document["errors"] == []
    assert played["variables"] == {} and played["check"]


def test_the_command_fails_with_what_was_seen(
    played: JSON, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.settings["requorum_timeouts"] = {"join": 10}
    done = cluster.run("n4")
    played["outcome"].results["join_wait"] = done
    played["outcome"].failures.append(done["msg"])
    assert cli.main(["await-join", "n4", "-i", "inv"]) == await_join.FAILED
    said = capsys.readouterr()
    assert "not within 10 s" in said.err and "reachable   open" in said.out
    played["outcome"] = remote.Outcome(failures=["No server has an API that answers."])
    assert cli.main(["await-join", "-i", "inv", "--json"]) == await_join.FAILED
    assert json.loads(capsys.readouterr().out)["errors"] == ["No server has an API that answers."]


def test_every_cause_has_something_to_type() -> None:
    facts = _why_joining.Facts("n4", "x")
    for stage in STAGES:
        assert len(_why_joining.hint(_why_joining.Facts("n4", stage))) > 20
        assert _why_joining.cause(_why_joining.Facts("n4", stage, capi={"paused": False})) is None
    assert _why_joining.cause(facts) is None
