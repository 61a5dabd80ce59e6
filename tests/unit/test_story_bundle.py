# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story as a support bundle: the cause is found with its evidence, and less evidence makes no other certainty."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnose,
    _diagnosis_html,
    _diagnosis_junit,
    _diagnosis_text,
    _rules,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import bundles
from tests.bundles import support
from tests.bundles.story import LATE, NEW, OLD, story, variation

JSON = dict[str, Any]
RULES = _rules.load()
CERTIFICATES = ("certificates", "ca_", "leaf_", "etcd_expired")


def diagnosis(bundle: support.Bundle, folder: Path, **options: Any) -> tuple[JSON, JSON]:
    """The state, and what is said of it."""
    path = support.write(bundle, folder / "bundle.zip", **options)
    state = bundles.state(bundles.read([path]), RULES)
    return state, _diagnose.diagnose(state, RULES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[JSON, JSON]:
    return diagnosis(story(), tmp_path_factory.mktemp("story"))


def of(found: JSON, ident: str) -> list[JSON]:
    return [finding for finding in found["findings"] if finding["id"] == ident]


def test_the_upgrade_that_was_begun_anew_is_the_cause(whole: tuple[JSON, JSON]) -> None:
    _state, found = whole
    first = found["findings"][0]
    assert (first["id"], first["severity"], first["explained_by"]) == ("upgrade_restarted", "blocker", None)
    said = " ".join(first["evidence"])
    for word in (NEW, OLD, "Pre-draining", "Images preloaded", "custom-n2", "n3"):
        assert word in said
    assert found["verdict"]["severity"] == "blocker" and found["verdict"]["sentence"].startswith(first["summary"])
    assert found["verdict"]["next"]["command"] == first["action"]


def test_what_follows_from_it_is_folded_below_it(whole: tuple[JSON, JSON]) -> None:
    folded = {finding["id"] for finding in whole[1]["findings"] if finding["explained_by"] == "upgrade_restarted"}
    assert len(folded) >= 6


def test_the_skew_is_told_by_node(whole: tuple[JSON, JSON]) -> None:
    skewed = [found for found in whole[1]["findings"] if "v1.28.12+rke2r1 on Harvester v1.3.1" in found["summary"]]
    assert sorted(finding["node"] for finding in skewed) == ["n2", "n3"]


def test_a_handshake_that_timed_out_is_no_certificate(whole: tuple[JSON, JSON]) -> None:
    _state, found = whole
    timed = [finding for finding in found["findings"] if any("TLS handshake timeout" in e for e in finding["evidence"])]
    assert timed and all("certificate" not in finding["summary"].lower() for finding in timed)
    assert any("not reachable" in (finding["cause"] or "") for finding in timed)
    assert not any(finding["id"].startswith(CERTIFICATES) for finding in found["findings"])


def test_defragmenting_is_no_loss_of_a_quorum_and_elections_are_evidence(whole: tuple[JSON, JSON]) -> None:
    _state, found = whole
    defragmented = [each for each in found["findings"] if any('"defragmenting"' in e for e in each["evidence"])]
    assert defragmented and {finding["severity"] for finding in defragmented} == {"info"}
    elections = [f for f in found["findings"] if any("starting a new election" in e for e in f["evidence"])]
    assert [f["node"] for f in elections] == ["n1"]
    assert "n1 logs/kube-system/etcd-n1/etcd.log:" in elections[0]["evidence"][0]
    assert of(found, "etcd_lost_leader")


def test_what_must_not_be_done_now(whole: tuple[JSON, JSON]) -> None:
    _state, found = whole
    refused = {each["operation"]: each["what"] for each in found["refused"]}
    assert {"upgrade", "reset", "restore", "start"} <= set(refused)
    assert "begun anew" in refused["upgrade"] and "n1, n2, n3" in refused["start"]
    assert found["verdict"]["case"] == "unknown" and [each["operation"] for each in found["allowed"]] == ["collect"]


def test_what_a_bundle_cannot_know_is_not_checked(whole: tuple[JSON, JSON]) -> None:
    state, found = whole
    unchecked = {each["rule"] for each in found["not_checked"]}
    assert {"no_leader", "datastore_absent", "datastore_damaged"} <= unchecked
    assert all(entry["etcd"] is None if "etcd" in entry else True for entry in state["nodes"])


def test_the_quirks_of_the_collector_change_nothing(whole: tuple[JSON, JSON], tmp_path: Path) -> None:
    _state, plain = diagnosis(story(), tmp_path, quirks=False, top="renamed by hand")
    assert [(f["id"], f["node"]) for f in plain["findings"]] == [(f["id"], f["node"]) for f in whole[1]["findings"]]


def test_a_node_that_was_not_reached_is_a_finding(tmp_path: Path) -> None:
    bundle = story()
    hosts = {node: files for node, files in bundle.hosts.items() if node != "n3"}
    state, found = diagnosis(dataclasses.replace(bundle, hosts=hosts), tmp_path)
    assert not state["nodes"][2]["reachable"] and "n3.zip is not in the bundle" in state["nodes"][2]["error"]
    assert [finding["node"] for finding in of(found, "node_uncollected")] == ["n3"]
    assert not of(found, "server_unreachable"), "nobody has asked it"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_less_evidence_makes_no_wrong_certainty(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle, _gone = variation(seed)
    _state, found = diagnosis(bundle, tmp_path_factory.mktemp("variation"))
    refused = {each["operation"] for each in found["refused"]}
    assert found["verdict"]["case"] == "unknown" and {"reset", "restore", "start"} <= refused
    assert found["verdict"]["severity"] != "ok"
    upgrades = [key for key in bundle.objects if key[0] == "upgrades.harvesterhci.io"]
    answered = [item for key, item in bundle.objects.items() if key[0] == "secrets"
                and "harvesterhci.io/pre-hook" in item["metadata"]["annotations"]]  # fmt: skip
    if of(found, "upgrade_restarted"):
        hooked = ("clusters.provisioning.cattle.io", "fleet-local", "local") in bundle.objects
        ahead = hooked and any(("nodes", "", node) in bundle.objects for node in LATE)
        assert upgrades and (len(upgrades) == 2 or answered or ahead)
        assert "upgrade" in refused
    assert not any(f["id"].startswith(CERTIFICATES) for f in found["findings"])
    assert {f["severity"] for f in found["findings"] if any('"defragmenting"' in e for e in f["evidence"])} <= {"info"}
    json.dumps(found)


BAD = {
    "yamls/namespaced/harvester-system/harvesterhci.io/v1beta1/upgrades.yaml": b"items: [{a: b\n  c",
    "yamls/cluster/v1/nodes.yaml": b"\x00\xff\xfe not yaml: [",
    "logs/kube-system/etcd-n1/etcd.log": b"\x00" * 1000 + b"\xff\xfe lost leader 1 at term 2\n" + b"x" * 2_000_000,
    "nodes/n1.zip": b"PK\x03\x04 broken",
    "metadata.yaml": b"- a list",
}


def test_parts_that_cannot_be_read_are_said_and_the_rest_is_read(tmp_path: Path) -> None:
    good = support.write(story(), tmp_path / "good.zip")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "bad.zip", "w") as new:
        for name in old.namelist():
            inner = name.partition("/")[2]
            new.writestr(name, BAD.get(inner, old.read(name)))
    state = bundles.state(bundles.read([tmp_path / "bad.zip"]), RULES)
    found = _diagnose.diagnose(state, RULES)
    unread = {each["what"]: each["why"] for each in state["source"]["unread"]}
    assert {what.partition("/")[2] for what in unread} >= {name for name in BAD if name.endswith(".yaml")}
    assert any("nodes/n1" in what for what in unread) and found["not_checked"]
    assert state["objects"]["upgrades"] is None and "upgrades.yaml" in state["unread"]["objects.upgrades"]
    assert state["objects"]["nodes"] is None and not of(found, "upgrade_restarted")
    assert any(hit["source"] == "etcd" for hit in state["hits"])


@pytest.mark.parametrize("names", [["README.md"], ["must-gather/namespaces/x.yaml", "version"], []])
def test_the_bundle_of_somebody_else(names: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        for name in names:
            made.writestr(name, "x")
    with pytest.raises(RequorumError, match="no support bundle of Harvester"):
        bundles.read([tmp_path / "x.zip"])


SECRETS = (
    *("K10deadbeefdeadbeef::server:0123456789abcdef", "sekret-password-4711"),
    *("c2VjcmV0LWtleS00NzEyLTQ3MTM=", "cloud-4714", "LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS00NzE1", "MHcCAQEEIKey4716"),
    *("AKIAS3SECRET4717", "eyJhbGciOiJSUzI1NiIsImtpZCI6IjQ3MTgifQ.e30.c2lnbmF0dXJl4718"),
)


def test_no_secret_of_a_bundle_is_shown(tmp_path: Path) -> None:
    """Even where the collector has not masked what it should."""
    token, password, key, cloud, kubeconfig, private, bucket, bearer = SECRETS
    bundle = story()
    objects: dict[support.Key, JSON] = {**bundle.objects}
    guest: support.Key = ("virtualmachines.kubevirt.io", "default", "web")
    volumes = [{"name": "c", "cloudInitNoCloud": {"userData": f"#cloud-config\npassword: {cloud}\n"}}]
    objects[guest] = {**objects[guest], "spec": {"template": {"spec": {"volumes": volumes}}}}
    plan: support.Key = ("secrets", "fleet-local", "custom-n1-machine-plan")
    objects[plan] = {**objects[plan], "data": {"plan": key, "applied-checksum": "eA=="}}
    line = f'{{"ts":"2024-09-10T08:12:00.1Z","msg":"raft.node: 82 lost leader 91 at term 1 token: {token}"}}\n'
    said = [
        f"password={password} lost leader 1 at term 2",
        f"client-key-data: {kubeconfig} lost leader 1 at term 3",
        f"-----BEGIN EC PRIVATE KEY----- {private} lost leader 1 at term 4",
        f"--etcd-s3-secret-key={bucket} lost leader 1 at term 5",
        f"Authorization: Bearer {bearer} lost leader 1 at term 6",
    ]
    logs = {**bundle.logs, "kube-system/etcd-n1/etcd": line + "\n".join(said[:4]) + "\n",
            "kube-system/etcd-n2/etcd": "\n".join(said[4:]) + "\n"}  # fmt: skip
    config = {"configs/etc/rancher/rke2/config.yaml": f"token: {token}\n"}
    hosts = {node: {**files, **config} for node, files in bundle.hosts.items()}
    state, found = diagnosis(dataclasses.replace(bundle, objects=objects, logs=logs, hosts=hosts), tmp_path)
    assert [finding["node"] for finding in of(found, "etcd_lost_leader")] == ["n1", "n2"]
    texts = [json.dumps(state), json.dumps(found), _diagnosis_html.render(found), _diagnosis_junit.render(found),
             _diagnosis_text.summary(found, everything=True)]  # fmt: skip
    assert not [secret for text in texts for secret in SECRETS if secret in text]


def test_an_encrypted_bundle_is_called_so(tmp_path: Path) -> None:
    data = bytearray(support.write(story(), tmp_path / "x.zip").read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 1)
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(RequorumError, match="it is encrypted"):
        bundles.read([tmp_path / "x.zip"])


@pytest.mark.slow
def test_a_hundred_thousand_small_files(tmp_path: Path) -> None:
    path = support.write(story(), tmp_path / "many.zip")
    with zipfile.ZipFile(path, "a") as made:
        for number in range(100_000):
            made.writestr(f"{support.TOP}/logs/default/pod-{number}/main.log", "nothing\n")
    state = bundles.state(bundles.read([path]), RULES)
    assert len(state["logs"]) > 100_000 and _diagnose.diagnose(state, RULES)["findings"][0]["id"] == "upgrade_restarted"
