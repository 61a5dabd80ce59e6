# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an export takes, hides and leaves out; from an API that is played, and from the snapshot of a real cluster."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _bbolt,
    _bootstrap,
    _core,
    _describe,
    _export,
    _export_index,
    _yaml,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter
from tests.unit.datastores import unpacked
from tests.unit.test_objects import kubernetes, message

JSON = dict[str, Any]
VM, CLAIM = "virtualmachines.kubevirt.io", "persistentvolumeclaims"


def thing(name: str = "x", namespace: str = "ns", *, meta: JSON | None = None, **body: Any) -> JSON:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **(meta or {})}
    return {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, **body}


# Kinds


def test_every_kind_has_one_name_and_one_place_in_etcd() -> None:
    names = [wanted.name for wanted in _export.WANTED]
    assert len(set(names)) == len(names) == len(_export.NAMED) == len(_export.RESOURCES)
    assert {name: _export.NAMED[name].resource for name in (VM, CLAIM, "storageclasses.storage.k8s.io",
                                                            "volumesnapshots.snapshot.storage.k8s.io")} == {
        VM: "kubevirt.io/virtualmachines", CLAIM: CLAIM, "storageclasses.storage.k8s.io": "storageclasses",
        "volumesnapshots.snapshot.storage.k8s.io": "snapshot.storage.k8s.io/volumesnapshots"}  # fmt: skip
    assert not _export.NAMED["settings.harvesterhci.io"].kinds[0].namespaced
    assert _export.NAMED["settings.longhorn.io"].kinds[0].namespaced


# Stripping


def test_an_object_is_stripped_of_what_a_server_sets() -> None:
    server = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "t", "generation": 2, "managedFields": [1],
              "ownerReferences": [{"uid": "o"}]}
    whole = thing(meta={**server, "labels": {"a": "b"}}, spec={"x": 1}, status={"phase": "y"})
    before = json.dumps(whole)
    assert _export.strip(VM, whole) == thing(meta={"labels": {"a": "b"}}, spec={"x": 1})
    assert json.dumps(whole) == before, "the index still needs it"


def test_a_claim_and_its_volume_can_be_bound_again() -> None:
    notes = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
    claim = thing(meta={"annotations": notes}, spec={"volumeName": "pvc-1"})
    assert _export.strip(CLAIM, claim) == thing(spec={"volumeName": "pvc-1"})
    bound = {"name": "x", "namespace": "ns", "uid": "u", "resourceVersion": "1"}
    volume = _export.strip("persistentvolumes", thing(namespace="", spec={"claimRef": bound}))
    assert volume["spec"]["claimRef"] == {"name": "x", "namespace": "ns"}


# Secrets


def inline(**volume: Any) -> JSON:
    return thing(spec={"template": {"spec": {"volumes": [{"name": "init", "cloudInitNoCloud": volume}]}}})


@pytest.mark.parametrize(
    ("kind", "document", "hidden"),
    [
        ("secrets", thing(data={}), True),
        ("users.management.cattle.io", thing(), True),
        ("settings.harvesterhci.io", thing("backup-target", "", value=""), True),
        ("settings.harvesterhci.io", thing("server-version", "", value="v1.3.2"), False),
        (VM, inline(secretRef={"name": "token"}, networkDataSecretRef={"name": "password"}), False),
        (VM, inline(userData="#cloud-config\nruncmd: []"), True),
        (VM, inline(userDataBase64="eA=="), True),
        (VM, inline(networkData=""), False),
        ("configmaps", thing(data={"a": "users:\n- name: x\n  password: geheim\n"}), True),
        ("configmaps", thing(data={"a": "-----BEGIN RSA PRIVATE KEY-----\n"}), True),
        ("configmaps", thing(data={"a": '{"secretAccessKey":"x"}'}), True),
        ("configmaps", thing(data={"a": "client-key-data: LS0t"}), True),
        ("configmaps", thing(data={"a": "lock_passwd: false\nssh_pwauth: true\npassword:\n"}), False),
        ("addons.harvesterhci.io", thing(spec={"valuesContent": "bootstrapPassword: geheim\n"}), True),
        ("settings.management.cattle.io", thing("auth-token-max-ttl-minutes", "", value="0"), False),
        ("backuptargets.longhorn.io", thing(spec={"credentialSecret": "backup-secret"}), False),
    ],
)
def test_what_is_a_secret(kind: str, document: JSON, hidden: bool) -> None:
    assert _export.secret(kind, document) is hidden


@pytest.mark.parametrize(
    ("kind", "document", "why"),
    [
        ("secrets", thing(type="helm.sh/release.v1"), "Helm"),
        ("secrets", thing(type="kubernetes.io/service-account-token"), "service accounts"),
        ("secrets", thing(type="Opaque"), ""),
        ("configmaps", thing("kube-root-ca.crt"), "every namespace"),
        (VM, thing(meta={"deletionTimestamp": "2026-01-01T00:00:00Z"}), "being deleted"),
    ],
)
def test_what_is_left_out(kind: str, document: JSON, why: str) -> None:
    assert why in _export.left_out(kind, document) and bool(why) == bool(_export.left_out(kind, document))


# Paths


@pytest.mark.parametrize(
    ("namespace", "name", "path"),
    [
        ("vms", "web-1", f"vms/{VM}/web-1.yaml"),
        ("", "vlan", f"_cluster/{VM}/vlan.yaml"),
        ("..", "../../etc/passwd", f"%2E%2E/{VM}/..%2F..%2Fetc%2Fpasswd.yaml"),
        ("a", ".", f"a/{VM}/%2E.yaml"),
    ],
)
def test_paths(namespace: str, name: str, path: str) -> None:
    assert _export.path(VM, thing(name, namespace)) == path


@given(st.text(), st.text())
def test_no_name_leads_out_of_the_folder(namespace: str, name: str) -> None:
    parts = _export.path("secrets", thing(name, namespace)).split("/")
    assert len(parts) == 3 and not {"", ".", ".."} & set(parts) and all(len(part.encode()) < 256 for part in parts)


@given(st.text(), st.text())
def test_two_names_are_two_files(one: str, other: str) -> None:
    assert (_export.path("secrets", thing(one)) == _export.path("secrets", thing(other))) is (one == other)


# YAML


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_what_is_written_is_read_again(value: Any) -> None:
    read = _yaml.load(_yaml.dump({"a": value}))
    assert read == {"a": value}


def test_text_that_is_no_yaml() -> None:
    with pytest.raises(ValueError, match="expected"):
        _yaml.load("{")


# The index


def test_from_a_machine_to_the_nodes_of_its_replicas() -> None:
    index = _export_index.Index()
    template = [{"metadata": {"name": "new", "annotations": {_export_index.IMAGE: "default/i"}},
                 "spec": {"storageClassName": "longhorn-i", "resources": {"requests": {"storage": "1Gi"}}}}]
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "b", "dataVolume": {"name": "new"}},
               {"name": "init", "cloudInitNoCloud": {}}, {"name": "odd", "strange": {}}, "no volume"]
    machine = {"running": True, "template": {"spec": {"volumes": volumes}}}
    objects: list[tuple[str, JSON]] = [
        (VM, thing("vm", meta={"annotations": {_export_index.TEMPLATES: json.dumps(template)}}, spec=machine,
                   status={"printableStatus": "Running"})),
        (VM, thing("bare", meta={"annotations": {_export_index.TEMPLATES: "{"}}, spec={})),
        (CLAIM, thing("c", spec={"volumeName": "pv", "resources": {"requests": {"storage": "9Gi"}}})),
        ("persistentvolumes", thing("pv", "", spec={"csi": {"volumeHandle": "lh"}})),
        ("volumes.longhorn.io", thing("lh", spec={"numberOfReplicas": 3},
                                      status={"state": "detached", "robustness": "unknown"})),
        *(("replicas.longhorn.io", thing(name, spec={"volumeName": "lh", "nodeID": f"n{name}", **state}))
          for name, state in (("1", {"healthyAt": "t"}), ("2", {"healthyAt": "t", "failedAt": "t"}), ("3", {}))),
    ]  # fmt: skip
    for kind, document in reversed(objects):
        index.take(kind, document)
    found = {(row.vm, row.disk): row for row in index.rows()}
    assert list(found) == [("bare", ""), ("vm", "a"), ("vm", "b"), ("vm", "init"), ("vm", "odd")]
    one, two = found["vm", "a"], found["vm", "b"]
    assert (one.wanted, one.state, one.size, one.volume, one.health) == (
        "Always", "Running", "9Gi", "lh", "detached, 3 replicas")
    assert one.replicas == "n1, n2 (failed), n3 (not complete)"
    assert (two.claim, two.image, two.size, two.health) == ("new", "default/i", "1Gi", "no such claim")
    assert (found["vm", "init"].kind, found["vm", "odd"].kind) == ("cloud-init", "unknown")
    assert found["bare", ""].wanted == "Halted"


def test_nothing_in_the_index_is_code() -> None:
    row = _export_index.Row("<b>", "=1+1", 'a"b', "<script>")
    cells = next(csv.DictReader(io.StringIO(_export_index.as_csv([row]))))
    assert (cells["vm"], cells["wanted"], cells["namespace"]) == ("'=1+1", 'a"b', "<b>")
    manifest = {"cluster": "<i>", "counts": {"<u>": 1}, "encrypted": {}, "left_out": [], "not_installed": ["<s>"],
                "warnings": ["<em>"]}
    page = _export_index.as_html([row], manifest)
    assert not any(mark in page for mark in ("<b>", "<script>", "<i>", "<u>", "<s>", "<em>"))


# Protobuf


def test_volumes_in_protobuf() -> None:
    quantity = message(_1=b"storage", _2=message(_1=b"10Gi"))
    spec = (message(_1=b"ReadWriteMany") + message(_2=message(_2=quantity)) + message(_3=b"pvc-1")
            + message(_5=b"") + message(_6=b"Block"))
    body = message(_1=message(_1=b"c", _3=b"ns", _5=b"uid"), _2=spec, _3=message(_1=b"Bound"))
    claim = _core.document(kubernetes(b"PersistentVolumeClaim", body))
    assert claim == {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}},
                 "volumeName": "pvc-1", "storageClassName": "", "volumeMode": "Block"}}
    csi = message(_22=message(_1=b"driver.longhorn.io", _2=b"pvc-1", _3=0, _4=b""))
    body = message(_1=message(_1=b"pvc-1"), _2=message(_2=csi, _6=b""))
    volume = _core.document(kubernetes(b"PersistentVolume", body))
    assert volume["spec"] == {"csi": {"driver": "driver.longhorn.io", "volumeHandle": "pvc-1"}}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (kubernetes(b"Pod", b""), "Pod is not decoded"),
        (kubernetes(b"PersistentVolume", message(_2=message(_2=message(_6=b"rbd")))), "field 6 of VolumeSource"),
        (kubernetes(b"Secret", message(_9=1)), "field 9 of Secret"),
        (kubernetes(b"Secret", message(_1=7)), "a number stands where"),
        (kubernetes(b"Secret", b"\x0a\xff"), "cut off"),
        (b"{}", "not protobuf"),
    ],
)
def test_half_an_object_is_none(value: bytes, why: str) -> None:
    with pytest.raises(_bbolt.BadFile, match=why):
        _core.document(value)


@given(st.binary(max_size=60), st.sampled_from(_core.KINDS))
def test_no_bytes_raise_anything_else(data: bytes, kind: str) -> None:
    with contextlib.suppress(_bbolt.BadFile):
        _core.document(kubernetes(kind.encode(), data))


# The snapshot of a real cluster, whose token the lab knows


def real() -> str:
    return str(unpacked() / "snapshot.db")


def sealed() -> tuple[bytes, list[_describe.Entry]]:
    boot = _describe.entries(real(), b"/bootstrap/", values=True)[0].value
    return boot, _describe.entries(real(), b"/registry/secrets/", values=True)


def test_secrets_at_rest_are_opened_by_the_token() -> None:
    boot, secrets = sealed()
    unseal = _bootstrap.unsealer(boot, "sekret123")
    read = {entry.name: _core.document(unseal(entry.value)) for entry in secrets}
    assert len(read) == 5 and read["r1.node-password.rke2"]["type"] == "rke2.cattle.io/node-password"
    assert "sekret123" not in repr(unseal)
    value = secrets[0].value
    for bad, why in (
        (value[:-16], "does not open it"),
        (value[:-1], "cut off"),
        (value.replace(b"aescbckey", b"anotherone"), "not in the bootstrap data"),
        (b"k8s:enc:secretbox:v1:x:abc", "another provider"),
    ):
        with pytest.raises(_bbolt.BadFile, match=why):
            unseal(bad)
    with pytest.raises(_bbolt.BadFile, match="token does not open"):
        _bootstrap.unsealer(boot, "wrong")


def passphrase(folder: Path) -> str:
    (folder / "passphrase").write_text("of the test\n")
    return str(folder / "passphrase")


def test_each_gives_what_entries_gives() -> None:
    found: dict[bytes, bytes] = {}
    assert _describe.each(real(), lambda key: key.startswith(b"/registry/"),
                          lambda entry: found.update({entry.key: entry.value}))  # fmt: skip
    assert found == {entry.key: entry.value for entry in _describe.entries(real(), b"/registry/", values=True)}


def test_a_real_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    done = _exporter.run(str(folder), cluster="lab", snapshot=real(), token="sekret123",
                         passphrase_file=passphrase(tmp_path))  # fmt: skip
    assert done["counts"] == {"bundles.fleet.cattle.io": 1, "configmaps": 41, "namespaces": 6, "secrets": 5,
                              "settings.harvesterhci.io": 1, VM: 2}  # fmt: skip
    assert done["encrypted"] == {"bundles.fleet.cattle.io": 1, "secrets": 5} and done["machines"] == 2
    assert "replicas.longhorn.io" in done["not_installed"] and VM not in done["not_installed"]
    machine = yaml.safe_load((folder / "vms" / VM / "web-1.yaml").read_text())
    assert set(machine["metadata"]) == {"annotations", "name", "namespace"} and "status" not in machine
    assert (folder / "vms/secrets/app.yaml").read_bytes().startswith(b"$ANSIBLE_VAULT;1.1;AES256")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o600, 0o700}
    assert json.loads((folder / "export.json").read_text()) == {k: v for k, v in done.items() if k != "folder"}


@pytest.mark.parametrize(("token", "why"), [("", "requorum_token_file"), ("wrong", "not the one of this snapshot")])
def test_secrets_that_cannot_be_opened_are_counted(tmp_path: Path, token: str, why: str) -> None:
    done = _exporter.run(str(tmp_path / "e"), cluster="lab", snapshot=real(), token=token,
                         passphrase_file=passphrase(tmp_path))  # fmt: skip
    assert [entry["count"] for entry in done["left_out"] if why in entry["why"]] == [5]


def test_a_damaged_snapshot_is_said(tmp_path: Path) -> None:
    data = bytearray((unpacked() / "snapshot.db").read_bytes())
    data[-1] ^= 1
    (tmp_path / "s.db").write_bytes(data)
    done = _exporter.run(str(tmp_path / "e"), cluster="lab", snapshot=str(tmp_path / "s.db"))
    assert "is wrong" in done["warnings"][0]
    (tmp_path / "s.db").write_bytes(b"no snapshot" * 999)
    with pytest.raises(RequorumError, match=r"s\.db.*Name another snapshot"):
        _exporter.run(str(tmp_path / "f"), cluster="lab", snapshot=str(tmp_path / "s.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "s.db"]


# An API


def serving(lists: dict[str, Any]) -> _api.Api:
    def answer(request: _api.Request) -> _api.Answer:
        found = lists.get(request.kind.name, _api.Answer("NotFound"))
        if isinstance(found, _api.Answer):
            return found
        return _api.Answer("", "", {"kind": "ThingList", "apiVersion": "v1", "items": found, "metadata": {}})

    return _api.Api(answer, where="r1", clock=lambda: 0.0, sleep=lambda _seconds: None, seconds=-1)


def test_an_api_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    lists = {"namespaces": [thing("vms", "")], "secrets": _api.Answer("Forbidden", "no")}
    with pytest.raises(RequorumError, match="administrator"):
        _exporter.run(str(tmp_path / "e"), cluster="c", api=serving(lists))
    assert list(tmp_path.iterdir()) == []


def test_where_the_api_fails_the_snapshot_is_read(tmp_path: Path) -> None:
    said: list[str] = []
    done = _exporter.run(str(tmp_path / "e"), cluster="c", api=serving({"namespaces": _api.Answer("NoAnswer", "down")}),
                         snapshot=real(), say=said.append)  # fmt: skip
    assert done["source"].startswith("the snapshot") and "down" in said[0] and done["counts"]["namespaces"] == 6


def test_an_api(tmp_path: Path) -> None:
    lists = {"namespaces": [{"metadata": {"name": "vms"}}], "secrets": [thing(data={"a": "Z2VoZWlt"})], VM: []}
    done = _exporter.run(str(tmp_path / "e"), cluster="c", api=serving(lists))
    assert done["counts"] == {"namespaces": 1} and done["source"] == "the API (r1)"
    assert done["left_out"] == [{"kind": "secrets", "count": 1, "why": _exporter.LOCKED}]
    assert VM not in done["not_installed"] and "upgrades.harvesterhci.io" in done["not_installed"]
    written = yaml.safe_load((tmp_path / "e/_cluster/namespaces/vms.yaml").read_text())
    assert written == {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "vms"}}
    with pytest.raises(RequorumError, match="is there already"):
        _exporter.run(str(tmp_path / "e"), cluster="c", api=serving(lists))


@pytest.mark.parametrize(("text", "why"), [(None, "cannot be read"), (" \n", "is empty")])
def test_bad_passphrase_files(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "p").write_text(text)
    with pytest.raises(RequorumError, match=why):
        _exporter.run(str(tmp_path / "e"), cluster="c", snapshot=real(), passphrase_file=str(tmp_path / "p"))


def test_a_list_that_expires_is_counted_once(tmp_path: Path) -> None:
    pages = iter([
        _api.Answer("", "", {"kind": "SecretList", "items": [thing("a")], "metadata": {"continue": "x"}}),
        _api.Answer("Expired"),
        _api.Answer("", "", {"kind": "SecretList", "items": [thing("a"), thing("b")], "metadata": {}}),
    ])  # fmt: skip

    def answer(request: _api.Request) -> _api.Answer:
        return next(pages) if request.kind.name == "configmaps" else _api.Answer("NotFound")

    api = _api.Api(answer, where="r1")
    assert _exporter.run(str(tmp_path / "e"), cluster="c", api=api)["counts"] == {"configmaps": 2}
