# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a host has come on its way into a Harvester: stages, the three nodes rule, causes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _joining, _promotion, _why_joining
from ansible_collections.requorum.cluster.plugins.module_utils._joining import Host, Seen
from ansible_collections.requorum.cluster.plugins.module_utils._server import Member
from lab.harvester import promote

JSON = dict[str, Any]
OVER_SSH = Host(True, "it answers over SSH", "v1.3.2", "custom-n4")
DONE, OPEN, NOT_DUE = "done", "open", "not due"


def node(
    name: str, *, manages: bool = False, ready: str = "True", role: str = "", said: str = "", age: int = 1,
    managed: bool = True, uid: str = "", zone: str = "", **conditions: str
) -> JSON:  # fmt: skip
    """A Node; the older, the greater its age."""
    labels = {
        **({f"node-role.kubernetes.io/{key}": "true" for key in ("control-plane", "etcd")} if manages else {}),
        **({"harvesterhci.io/managed": "true"} if managed else {}),
        **({f"node-role.harvesterhci.io/{role}": "true"} if role else {}),
        **({_promotion.ZONE: zone} if zone else {}),
    }
    rows = [{"type": "Ready", "status": ready, "message": "kubelet says so"}]
    return {
        "metadata": {"name": name, "uid": uid or f"uid-{name}", "labels": labels,
                     "annotations": {_promotion.STATUS: said} if said else {},
                     "creationTimestamp": f"2026-11-{28 - age:02}T00:00:00Z"},
        "status": {"conditions": rows + [{"type": kind, "status": status} for kind, status in conditions.items()],
                   "addresses": [{"type": "InternalIP", "address": f"10.0.0.{name[-1]}"}],
                   "nodeInfo": {"osImage": "Harvester v1.3.2", "kubeletVersion": "v1.28.12+rke2r1"}},
    }  # fmt: skip


def machine(name: str, of: str = "", phase: str = "Running", **more: Any) -> JSON:
    labels = {"rke.cattle.io/node-name": more["label"]} if "label" in more else {}
    meta: JSON = {"name": name, "labels": labels, "creationTimestamp": more.get("made", "2026-11-28T00:00:00Z")}
    if more.get("deleted"):
        meta["deletionTimestamp"] = "2026-11-28T00:00:00Z"
    status = {"phase": phase, "conditions": more.get("conditions", [])} | ({"nodeRef": {"name": of}} if of else {})
    return {"metadata": meta, "status": status}


def storage(name: str, status: str = "True", reason: str = "") -> JSON:
    return {
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": status, "reason": reason}]},
    }


def job(name: str, owner: str) -> JSON:
    return {"metadata": {"name": f"harvester-promote-{name}", "ownerReferences": [{"kind": "Node", "uid": owner}]}}


def members(*names: str, learner: str = "") -> tuple[Member, ...]:
    return tuple(
        Member(f"{n}", f"{name}-0a1b2c3d", f"10.0.0.{name[-1]}", name == learner) for n, name in enumerate(names)
    )


def seen(*nodes: JSON, **more: Any) -> Seen:
    """A cluster in which n4 has come as far as two nodes allow."""
    given: JSON = {
        "nodes": nodes or (node("n2", manages=True), node("n4")),
        "machines": (machine("custom-n2", "n2"), machine("custom-n4", "n4")),
        "cluster": {"metadata": {}, "spec": {"paused": False}},
        "longhorn": (storage("n2"), storage("n4")),
        "members": members("n2"), "etcd": "n2", "version": "v1.3.2",
    } | more  # fmt: skip
    return Seen(**given)


def states(look: Seen, host: Host = OVER_SSH, name: str = "n4") -> str:
    """One letter a stage: d o n."""
    return "".join(stage.state[0] for stage in _joining.stages(name, look, host))


def stage(wanted: str, look: Seen, host: Host = OVER_SSH, name: str = "n4") -> _joining.Stage:
    return next(each for each in _joining.stages(name, look, host) if each.name == wanted)


# --- how far

N2, N4, N5 = node("n2", manages=True, age=9), node("n4", age=3), node("n5", age=2)
OTHERS = (machine("custom-n2", "n2"),)
SILENT = Host(False, "it does not answer")
NOWHERE = Host()


@pytest.mark.parametrize(
    ("look", "host", "expected"),
    [
        (seen(N2, machines=OTHERS, longhorn=()), SILENT, "ooooooo"),
        (seen(N2, machines=OTHERS, longhorn=()), NOWHERE, "ooooooo"),
        (seen(N2, machines=OTHERS, longhorn=()), OVER_SSH, "doooooo"),
        (seen(N2, machines=(*OTHERS, machine("custom-n4", "", ""))), OVER_SSH, "ddoodoo"),
        (seen(N2, machines=(*OTHERS, machine("custom-n4", "", "Pending")), longhorn=()), OVER_SSH, "ddooooo"),
        # its Machine is of another node, or is going
        (seen(N2, machines=(*OTHERS, machine("custom-n4", "n9"))), OVER_SSH, "ddoodoo"),
        (seen(N2, machines=(*OTHERS, machine("custom-n4", "n4", deleted=True)), longhorn=()), OVER_SSH, "doooooo"),
        (seen(N2, node("n4", ready="False"), longhorn=()), OVER_SSH, "dddoooo"),
        (seen(N2, N4, longhorn=(storage("n4", "False", "ManagerPodDown"),)), OVER_SSH, "ddddonn"),
        # Ready, and its Machine has another name than its identity gives
        (seen(N2, N4), Host(True, "", "v1.3.2", "custom-other"), "dddddnn"),
        (seen(N2, node("n4", ready="Unknown"), longhorn=()), Host(True, "", "v1.3.2", "custom-other"), "doooooo"),
        # two nodes: the rest is not due
        (seen(N2, N4), OVER_SSH, "dddddnn"),
        # Ready and known to nobody by address: its kubelet is the proof
        (seen(N2, N4), NOWHERE, "dddddnn"),
        (seen(N2, N4), SILENT, "dddddnn"),
        # three: due
        (seen(N2, N4, N5), OVER_SSH, "dddddoo"),
        (seen(N2, node("n4", said="running", age=3), N5), OVER_SSH, "dddddoo"),
        (seen(N2, node("n4", manages=True, said="complete"), N5), OVER_SSH, "ddddddo"),
        (seen(N2, node("n4", manages=True, said="complete"), N5, members=members("n2", "n4", learner="n4")), OVER_SSH,
         "ddddddo"),
        (seen(N2, node("n4", manages=True, said="complete"), N5, members=members("n2", "n4")), OVER_SSH, "ddddddd"),
        # etcd lists it under its address only
        (seen(N2, node("n4", manages=True), N5, members=(Member("1", "", "10.0.0.4", False),)), OVER_SSH, "ddddddd"),
        # etcd lists it although its role is not there yet
        (seen(N2, node("n4", said="running"), N5, members=members("n2", "n4")), OVER_SSH, "dddddod"),
        # no Longhorn at all, and a witness that has none
        (seen(N2, N4, longhorn=None), OVER_SSH, "ddddnnn"),
        (seen(N2, node("n4", role="witness"), longhorn=()), OVER_SSH, "ddddnnn"),
    ],
)  # fmt: skip
def test_stages(look: Seen, host: Host, expected: str) -> None:
    assert states(look, host) == expected
    assert [each.name for each in _joining.stages("n4", look, host)] == [*_joining.ARRIVAL, *_joining.RISE]


def test_a_machine_without_a_node_may_be_this_host() -> None:
    look = seen(N2, machines=(*OTHERS, machine("custom-a", "", "Pending"), machine("custom-b", "", "Pending")))
    assert "custom-" in stage("registered", look, NOWHERE).seen and "1 more" in stage("registered", look, NOWHERE).seen
    assert states(look, NOWHERE)[:3] == "ddo"  # what has registered is reachable
    assert states(look, SILENT)[:3] == "odo"  # but not one that was knocked at in vain
    other = seen(N2, machines=(*OTHERS, machine("custom-a", "", "Pending", label="n5")))
    assert states(other, NOWHERE)[:2] == "oo"
    mine = seen(N2, machines=(*OTHERS, machine("custom-a", "", "Pending", label="n4")))
    assert stage("registered", mine, NOWHERE).seen == "Machine custom-a"


def test_the_vote_is_what_etcd_says() -> None:
    manager = node("n4", manages=True, EtcdIsVoter="True")
    assert stage("voter", seen(N2, manager, N5)).state == OPEN
    silent = seen(N2, manager, N5, members=None)
    assert stage("voter", silent).state == OPEN and "etcd of n2 does not answer" in stage("voter", silent).seen
    # only where nobody can be asked the condition counts, and that is said
    blind = replace(silent, etcd="")
    assert stage("voter", blind).state == DONE and "EtcdIsVoter" in stage("voter", blind).seen
    assert stage("voter", replace(blind, nodes=(N2, node("n4", manages=True), N5))).state == OPEN


def test_what_was_seen_is_said() -> None:
    waiting = machine("custom-n4", "", "Provisioning", conditions=[
        {"type": "BootstrapReady", "status": "True", "message": "no"},
        {"type": "InfrastructureReady", "status": "False", "message": "waiting for agent to check in"}])  # fmt: skip
    assert stage("running", seen(N2, machines=(waiting,))).seen == (
        "Machine custom-n4 is Provisioning: waiting for agent to check in"
    )
    assert stage("ready", seen(N2, node("n4", ready="False"))).seen == "Node not Ready: kubelet says so"
    assert "ManagerPodDown" in stage("storage", seen(longhorn=(storage("n4", "False", "ManagerPodDown"),))).seen
    assert stage("promoted", seen()).seen.endswith("; etcd has 1 member")


# --- the three nodes rule


@pytest.mark.parametrize(
    ("nodes", "state", "word"),
    [
        ([N2, N4], NOT_DUE, "until 3 nodes can manage, and 2 can"),
        ([N2, N4, node("n5", role="worker")], NOT_DUE, "and 2 can"),
        ([N2, N4, node("n5", managed=False)], NOT_DUE, "and 2 can"),
        ([N2, N4, node("n5", ready="Unknown")], OPEN, "n5 must be Ready first"),
        ([N2, N4, node("n5", DiskPressure="True")], OPEN, "n5 must be Ready first"),
        ([N2, N4, N5], OPEN, "the next to be promoted"),
        ([N2, N5, N4], OPEN, "the next to be promoted"),
        ([N2, N4, node("n5", age=8)], OPEN, "n5 is promoted before it"),
        ([N2, N4, node("n5", role="management", age=1)], OPEN, "n5 is promoted before it"),
        ([N2, N4, node("n5", role="witness", age=1)], OPEN, "n5 is promoted before it"),
        ([N2, N4, node("n5", said="running")], OPEN, "n5 is being promoted, one at a time"),
        # the one that is being promoted is not Ready while its agent becomes a server
        ([N2, N4, node("n5", said="running", ready="False")], OPEN, "n5 is being promoted"),
        ([N2, N4, node("n5", said="failed")], OPEN, "the promotion of n5 is failed"),
        ([N2, N4, node("n5", said="unknown")], OPEN, "the promotion of n5 is unknown"),
        ([N2, N4, node("n5", said="complete")], OPEN, "the promotion of n5 is complete"),
        ([N2, N4, node("n5", said="complete", manages=True)], OPEN, "the next to be promoted"),
        ([N2, node("n1", manages=True), N4, node("n5", age=8)], NOT_DUE, "n5 will be promoted, and then three manage"),
        ([N2, node("n1", manages=True), node("n3", manages=True), N4], NOT_DUE, "n1, n2, n3 manage already"),
        ([N2, node("n4", role="worker"), N5, node("n6")], NOT_DUE, "its role is worker"),
        ([N2, node("n4", role="witness"), node("n5", role="witness", manages=True), node("n6")], NOT_DUE,
         "one witness already"),
        ([N2, node("n4", role="witness"), N5], OPEN, "the next to be promoted"),
        ([N2, node("n4", managed=False), N5, node("n6")], NOT_DUE, "lacks the label"),
        ([N2, node("n4", said="running"), N5], OPEN, "its promotion is running"),
        ([N2, node("n4", said="running", manages=True), N5], OPEN, "its promotion is running"),
        ([N2, node("n4", said="complete"), N5], OPEN, "its promotion is complete"),
        ([N2, node("n4", manages=True, said="complete"), N5], DONE, "it manages, as n2, n4"),
        ([N2, node("n4", ready="False"), N5], OPEN, "not Ready"),
        ([N2, N5], OPEN, "no Node of this name"),
        ([node("n2", manages=True, zone="a"), node("n4", zone="b"), node("n5", zone="b")], OPEN, "nobody is promoted"),
        ([node("n2", manages=True, zone="a"), node("n4", zone="b"), node("n5", zone="c")], OPEN, "the next"),
    ],
)  # fmt: skip
def test_promotion(nodes: list[JSON], state: str, word: str) -> None:
    found = stage("promoted", seen(*nodes))
    assert (found.state, word in found.seen) == (state, True), found.seen
    if state == NOT_DUE:
        assert stage("voter", seen(*nodes)).state == NOT_DUE


@settings(max_examples=400, deadline=None)
@given(st.lists(st.builds(
    dict, manages=st.booleans(), ready=st.sampled_from(["True", "True", "True", "False", "Unknown"]),
    role=st.sampled_from(["", "", "management", "worker"]), managed=st.sampled_from([True, True, True, False]),
    said=st.sampled_from(["", "", "", "", "complete", "running", "failed"]),
), max_size=5), st.booleans())  # fmt: skip
def test_the_next_one_is_whom_the_labs_controller_takes(drawn: list[JSON], witness: bool) -> None:
    """Two readings of one source. The lab's plays neither zones nor a second witness."""
    nodes = [node(f"n{number}", age=number + 1, **more) for number, more in enumerate(drawn)]
    nodes += [node("n9", role="witness", age=20)] if witness else []
    chosen = promote.choose(nodes)
    looks = {n["metadata"]["name"]: _promotion.outlook(n["metadata"]["name"], nodes) for n in nodes}
    assert [name for name, look in looks.items() if look.seen == "it is the next to be promoted"] == [chosen] * bool(
        chosen
    )
    assert all(looks[name].due and not looks[name].done for name in looks if name == chosen)


# --- causes

PAUSED = {"metadata": {}, "spec": {"paused": True}}
BRAKED = {"metadata": {"annotations": {"requorum.io/braked": "20261128T120000Z"}}, "spec": {"paused": True}}
BARE = seen(N2, machines=OTHERS, longhorn=())
LONG_AGO, LATER = "2026-01-01T00:00:00Z", "2026-11-28T00:01:00Z"
PENDING = (*OTHERS, machine("custom-n4", "", "Pending"))


def with_(**more: Any) -> Host:
    return replace(OVER_SSH, **more)


@pytest.mark.parametrize(
    ("wanted", "look", "host", "name", "final", "word"),
    [
        ("registered", BARE, with_(symptoms=("token",)), "token", True, "join-config n4"),
        ("registered", BARE, with_(symptoms=("vip",)), "vip", False, "VIP"),
        ("registered", BARE, with_(release="v1.3.1"), "version", True, "ISO of v1.3.2"),
        # a wrong version is surer than what the logs say
        ("registered", BARE, with_(release="v1.3.1", symptoms=("vip",)), "version", True, "v1.3.2"),
        ("registered", BARE, with_(release="1.3.2"), None, False, "journalctl -u rancherd"),
        ("registered", replace(BARE, version=""), with_(release="v1.3.1"), None, False, "rancherd"),
        ("registered", replace(BARE, cluster=PAUSED), OVER_SSH, "paused", False, '{"paused":false}'),
        ("registered", replace(BARE, cluster=BRAKED), OVER_SSH, "paused", False, "repair.yml --tags leftovers"),
        ("registered", seen(N2, machines=(*OTHERS, machine("custom-old", "n4"))), OVER_SSH, "stale", False,
         "purge_orphans"),
        ("running", seen(N2, machines=PENDING, cluster=PAUSED), OVER_SSH, "paused", False, "kubectl patch clusters"),
        ("running", seen(N2, machines=(*PENDING, machine("custom-old", "n4"))), OVER_SSH, "stale", False,
         "requorum_dead"),
        ("running", seen(N2, machines=PENDING, password=LONG_AGO), OVER_SSH, "password", False, "delete secret"),
        ("running", seen(N2, machines=PENDING, password=LONG_AGO), with_(symptoms=("password",)), "password", True,
         "n4.node-password.rke2"),
        ("running", seen(N2, machines=PENDING, plane={"metadata": {}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown", "message": "waiting for viable init node"}]}}), OVER_SSH,
         "init_node", False, "purge_orphans"),
        ("running", seen(N2, machines=PENDING), with_(symptoms=("old_secret",)), "old_secret", False,
         "restart rancher-system-agent"),
        ("running", seen(N2, machines=PENDING), with_(symptoms=("supervisor",)), "supervisor", False, "rke2-agent"),
        # RKE2 stores it a little before there is a Node
        ("running", seen(N2, machines=PENDING, password=LATER), OVER_SSH, None, False, "rancher-system-agent"),
        ("running", seen(N2, machines=PENDING), OVER_SSH, None, False, "describe machine -n fleet-local custom-n4"),
        # the Node of before is still there, and its host answers under the same name
        ("ready", seen(N2, node("n4", ready="Unknown")), OVER_SSH, "stale", False, "Node"),
        ("ready", seen(N2, node("n4", ready="False")), OVER_SSH, None, False, "journalctl -u rke2-agent"),
        ("ready", seen(N2, node("n4", ready="Unknown")), SILENT, None, False, "rke2-agent"),
        ("ready", seen(N2, node("n4", ready="False"), version="v1.4.0"), with_(release=""), "version", True, "v1.4.0"),
        ("storage", seen(longhorn=None), OVER_SSH, "no_longhorn", False, "force_sync"),
        ("storage", seen(longhorn=()), OVER_SSH, None, False, "longhorn-system"),
        ("promoted", seen(N2, N4, N5, cluster=PAUSED), OVER_SSH, "paused", False, "kubectl patch"),
        ("promoted", seen(N2, N4, node("n5", said="failed")), OVER_SSH, "promotion_failed", True,
         "job/harvester-promote-n5"),
        ("promoted", seen(N2, N4, node("n5", said="unknown")), OVER_SSH, "promotion_unknown", True, "annotate node n5"),
        ("promoted", seen(N2, node("n4", said="failed"), N5), OVER_SSH, "promotion_failed", True, "uncordon n4"),
        ("promoted", seen(N2, node("n4", said="complete"), N5), OVER_SSH, "promotion_half", False, "system-agent"),
        ("promoted", seen(N2, node("n4", said="running"), N5, jobs=(job("n4", "of-before"),)), OVER_SSH,
         "promotion_job", True, "delete job -n harvester-system harvester-promote-n4"),
        ("promoted", seen(N2, node("n4", said="running"), N5, jobs=(job("n4", "uid-n4"),)), OVER_SSH, None, False,
         "job/harvester-promote-n4"),
        ("promoted", seen(N2, N4, N5, jobs=(job("n4", "of-before"),)), OVER_SSH, "promotion_job", True, "1040"),
        ("promoted", seen(N2, node("n1", manages=True, ready="Unknown"), node("n3", manages=True), N4), OVER_SSH,
         "dead_manager", False, "n1"),
        ("promoted", seen(node("n2", manages=True, zone="a"), node("n4", zone="b"), N5), OVER_SSH, "zones", True,
         "zone"),
        ("voter", seen(N2, node("n4", manages=True), N5, cluster=PAUSED), OVER_SSH, "paused", False, "kubectl patch"),
        ("voter", seen(N2, node("n4", manages=True), N5), OVER_SSH, None, False, "rke2-server"),
        ("reachable", BARE, SILENT, None, False, "console"),
    ],
)  # fmt: skip
def test_causes(wanted: str, look: Seen, host: Host, name: str | None, final: bool, word: str) -> None:
    found = stage(wanted, look, host)
    assert not found.done
    cause = found.cause
    assert (cause.name if cause else None) == name, found
    assert bool(cause and cause.final) == final
    assert word in (f"{cause.why} {cause.next}" if cause else found.hint)


def test_what_is_done_has_no_cause() -> None:
    stale = seen(N2, N4, machines=(*OTHERS, machine("custom-n4", "n4"), machine("custom-old", "n4")), cluster=PAUSED)
    for each in _joining.stages("n4", stale, OVER_SSH):
        assert each.document["cause"] is None or not each.done


LINES = {
    "token": ["insecure cacerts download from https://10.0.0.10:443/cacerts: EOF",
              "missing HMAC header in https://10.0.0.10/cacerts response, token mismatch",
              "response hash (abc) does not match (def)"],
    "vip": ["insecure cacerts download from https://10.0.0.10:443/cacerts: dial tcp: connect: no route to host",
            "insecure cacerts download from https://10.0.0.10/cacerts: context deadline exceeded"],
    "password": ["Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may"],
    "supervisor": ["failed to get CA certs: Get \"https://127.0.0.1:6444/cacerts\": connection refused"],
    "old_secret": ["secret received was too old, requeuing"],
}  # fmt: skip


@pytest.mark.parametrize(("word", "line"), [(word, line) for word, lines in LINES.items() for line in lines])
def test_symptoms(word: str, line: str) -> None:
    assert _why_joining.symptoms(f'level=error msg="{line}"\nother') == (word,)
    assert re.search("|".join(_why_joining.SYMPTOMS.values()), line)
    assert not _why_joining.symptoms('level=info msg="Bootstrapping Rancher (v2.8.5/v1.28.12+rke2r1)"')
