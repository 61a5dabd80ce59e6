# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node passwords, Node objects, member look-up, leases, load balancer and shim log lines."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lab.supervisor import agent, balancer, node, nodepassword, shim, upkeep
from lab.supervisor.etcd import Member
from lab.supervisor.kubeletapi import is_mirror, same_status
from lab.supervisor.nodeobjects import conditions, mirror, node_labels, pod_status, stamp, transitions
from lab.supervisor.podsync import parse_manifest

RECORDED = ("JDE6YjlhMTc2NjIzMWUxNWQ0NToxNTo4OjE6Q0xJY0twT0o5YWNYYkREdHpEL2VKUWdyQ0JLRC82RnRJTFExaG5WTWdJQ0w0T1QwTTVu"
            "dVdId1JZT3dXcndOVUNCOXBiTHdUZURnSkV5Tjh2Uk5vUGc=")
"""data.hash of transcripts/k3s-node-password-n3.txt."""
PREFIX = "etcd.rke2.cattle.io"
MEMBER = Member(1, "r1-acac502c", ("https://10.89.0.21:2380",), ("https://10.89.0.21:2379",), False)


def test_a_hash_has_the_recorded_form() -> None:
    recorded = base64.b64decode(RECORDED).decode().split(":")
    made = nodepassword.make_hash("secret").split(":")
    assert [made[0], *made[2:5]] == [recorded[0], *recorded[2:5]] == ["$1", "15", "8", "1"]
    assert [len(part) for part in made] == [len(part) for part in recorded]


def test_a_password_is_verified() -> None:
    stored = nodepassword.make_hash("secret", bytes(8))
    assert nodepassword.verify(stored, "secret")
    assert not nodepassword.verify(stored, "other")
    assert not nodepassword.verify("nonsense", "secret")


def test_the_local_password_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "node/password"
    first = nodepassword.local(path)
    assert len(first) == 32
    assert nodepassword.local(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def a_node(**metadata: Any) -> dict[str, Any]:
    """A Node with these metadata."""
    return {"metadata": {"name": "r1", **metadata}, "spec": {}, "status": {"conditions": []}}


def test_the_own_node_is_marked_once() -> None:
    patch = node.own_patch(a_node(labels={}), PREFIX, "r1-acac502c", "10.89.0.21")["metadata"]
    assert patch["annotations"] == {f"{PREFIX}/node-name": "r1-acac502c", f"{PREFIX}/node-address": "10.89.0.21"}
    assert patch["finalizers"] == ["wrangler.cattle.io/managed-etcd-controller", "wrangler.cattle.io/node"]
    assert node.own_patch(a_node(**patch), PREFIX, "r1-acac502c", "10.89.0.21") == {}
    assert node.own_patch(a_node(deletionTimestamp="x"), PREFIX, "r1-acac502c", "10.89.0.21") == {}


def test_a_removed_member_is_not_marked_again() -> None:
    removed = a_node(annotations={f"{PREFIX}/removed-node-name": "r1-acac502c"})
    assert "annotations" not in node.own_patch(removed, PREFIX, "r1-acac502c", "10.89.0.21")["metadata"]
    assert "annotations" in node.own_patch(removed, PREFIX, "r1-new", "10.89.0.21")["metadata"]


@pytest.mark.parametrize(("name", "address", "found"), [
    ("r1-acac502c", "10.89.0.21", True), ("r1-other", "10.89.0.21", False), ("r1-acac502c", "10.89.0.22", False)])
def test_a_member_is_found_by_name_and_address(name: str, address: str, found: bool) -> None:
    marked = a_node(annotations={f"{PREFIX}/node-name": name, f"{PREFIX}/node-address": address})
    assert (node.member_of(marked, [MEMBER], PREFIX) is MEMBER) == found


def test_the_voter_condition_changes_and_is_refreshed() -> None:
    learner = Member(1, "x", (), (), True)
    reasons = [(row or {})["reason"] for row in (node.voter_condition(a_node(), MEMBER, 1000.0),
                                                 node.voter_condition(a_node(), learner, 1000.0),
                                                 node.voter_condition(a_node(), None, 1000.0))]
    assert reasons == ["MemberNotLearner", "MemberIsLearner", "NotAMember"]
    row = node.voter_condition(a_node(), MEMBER, 1000.0)
    settled = {**a_node(), "status": {"conditions": [row]}}
    assert node.voter_condition(settled, MEMBER, 1100.0) is None
    later = node.voter_condition(settled, MEMBER, 1400.0) or {}
    assert (later["lastHeartbeatTime"], later["lastTransitionTime"]) == (stamp(1400.0), stamp(1000.0))


def test_a_node_is_silent_when_its_lease_stands_still() -> None:
    leases = upkeep.Leases()
    assert leases.silent({"r1": "a", "r2": "a"}, ["r1", "r2"], 0) == []
    assert leases.silent({"r1": "b", "r2": "a"}, ["r1", "r2"], 39) == []
    assert leases.silent({"r1": "b", "r2": "a"}, ["r1", "r2"], 41) == ["r2"]


def test_a_silent_node_becomes_unknown_once() -> None:
    rows = upkeep.unknown_conditions(a_node(), "now")
    assert {row["status"] for row in rows} == {"Unknown"}
    assert upkeep.unknown_conditions({"status": {"conditions": rows}}, "now") == []


def test_the_registration_taint_goes_when_the_node_is_ready() -> None:
    taints = [{"key": "node.kubernetes.io/not-ready"}, {"key": "own"}]
    ready = {"spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert upkeep.without_taint(ready) == [{"key": "own"}]
    assert upkeep.without_taint({**ready, "status": {}}) is None


def a_pod(name: str, bound: str | None, owner: str = "") -> dict[str, Any]:
    owners = [{"kind": "Node", "uid": owner}] if owner else [{"kind": "ReplicaSet", "uid": "x"}]
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"nodeName": bound} if bound else {}}


def test_pods_of_nodes_that_are_gone_are_orphans() -> None:
    pods = [a_pod("pending", None), a_pod("here", "r1"), a_pod("mirror", "r1", "u1"),
            a_pod("lost", "r9"), a_pod("of-before", "r1", "u0")]  # fmt: skip
    lost = {f"uid-{name}": f"/api/v1/namespaces/ns/pods/{name}" for name in ("lost", "of-before")}
    assert upkeep.orphans(pods, {"r1": "u1"}) == lost


def test_an_orphan_goes_at_the_second_look() -> None:
    gone: list[tuple[str, Any]] = []

    class Api:
        def get(self, _path: str) -> Any:
            return {"items": [a_pod("lost", "r9")]}

        def delete(self, path: str, body: Any) -> None:
            gone.append((path, body["preconditions"]))

    duty = upkeep.Upkeep(Api(), "rke2", Path("ca"))  # type: ignore[arg-type]
    duty._collect({"r1": "u1"})
    assert not gone
    duty._collect({"r1": "u1", "r9": "young"})
    duty._collect({"r1": "u1"})
    assert not gone
    duty._collect({"r1": "u1"})
    assert gone == [("/api/v1/namespaces/ns/pods/lost", {"uid": "uid-lost"})]


def test_conditions_keep_their_transition() -> None:
    first = conditions(True, {}, "t1")
    again = conditions(True, transitions({"status": {"conditions": first}}), "t2")
    assert {(row["lastTransitionTime"], row["lastHeartbeatTime"]) for row in again} == {("t1", "t2")}
    assert conditions(False, {}, "t")[-1]["status"] == "False"


def test_a_mirror_pod_is_what_node_restriction_accepts() -> None:
    want = parse_manifest("{metadata: {name: etcd, namespace: kube-system, uid: u}, spec: {containers: "
                          "[{name: etcd, command: [etcd]}]}}", "r1")
    pod = mirror(want, "r1", "node-uid")
    assert is_mirror(pod)
    assert pod["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "r1", "uid": "node-uid", "controller": True}]
    assert (pod["metadata"]["name"], pod["spec"]["nodeName"]) == ("etcd-r1", "r1")
    pending = pod_status(want, None, "10.0.0.1")
    assert pending["phase"] == "Pending"
    assert same_status(pending, pod_status(want, None, "10.0.0.1"))


def test_kubelet_sets_no_role_label() -> None:
    assert not [label for label in node_labels("r1") if "node-role" in label]


@pytest.mark.parametrize(("healthy", "expected"), [
    ("", ["b", "c", "a"]), ("c", ["c", "b", "a"]), ("a", ["a", "b", "c"])])
def test_the_load_balancer_tries_the_default_last(healthy: str, expected: list[str]) -> None:
    assert balancer.order("a", ["a", "b", "c"], healthy) == expected


def test_the_load_balancer_remembers_its_servers(tmp_path: Path) -> None:
    first = balancer.Balancer("k3s-agent-load-balancer", tmp_path, 6444, "n1:6443", "https://n1:6443")
    first.update(["n2:6443", "n1:6443"])
    stored = json.loads((tmp_path / "k3s-agent-load-balancer.json").read_text())
    assert stored == {"ServerURL": "https://n1:6443", "ServerAddresses": ["n1:6443", "n2:6443"]}
    assert "n2:6443" in balancer.Balancer("k3s-agent-load-balancer", tmp_path, 6444, "", "https://n1:6443")._describe()
    assert "n2:6443" not in balancer.Balancer("k3s-agent-load-balancer", tmp_path, 6444, "", "https://n9")._describe()


def test_a_supervisors_answer_is_split() -> None:
    chain, key = "-----BEGIN CERTIFICATE-----\nx\n", "-----BEGIN EC PRIVATE KEY-----\ny\n"
    assert agent.split_pem(chain + key) == (chain, key)
    with pytest.raises(agent.NotReady):
        agent.split_pem(chain)


def test_log_lines_are_in_cri_format() -> None:
    assert shim.log_line(0.5, "stderr", b"hello") == b"1970-01-01T00:00:00.500000000Z stderr F hello\n"
