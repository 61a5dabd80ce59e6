# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and objects of a real datastore, and values of any kind that must never raise."""

from __future__ import annotations

import contextlib
import functools
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _keys, _objects, _structure
from tests.unit.datastores import snapshot

KUBE_SYSTEM = "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"


@functools.cache
def revisions() -> list[tuple[bytes, bytes]]:
    """Items of the bucket `key` of the real snapshot, in order."""
    data = snapshot()[:-32]
    found: list[tuple[bytes, bytes]] = []

    def visit(bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        found.extend(items if bucket == b"key" else ())

    _structure.check(lambda offset, size: data[offset : offset + size], len(data), visit)
    return found


@functools.cache
def live() -> dict[bytes, _keys.KeyValue]:
    """The live keys of the real snapshot."""
    found: dict[bytes, _keys.KeyValue] = {}
    for revision, raw in revisions():
        entry = _keys.keyvalue(raw)
        if len(revision) == 18:
            assert entry == _keys.KeyValue(entry.key, 0, 0, 0, b"", 0), "a tombstone has only the key"
            found.pop(entry.key)
        else:
            assert entry.mod == int.from_bytes(revision[:8], "big")
            found[entry.key] = entry
    return found


def value(key: str) -> bytes:
    return live()[key.encode()].value


def varint(number: int) -> bytes:
    number %= 1 << 64
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


def message(**fields: bytes | int) -> bytes:
    """A protobuf message of fields `_<number>`."""
    data = b""
    for name, content in fields.items():
        number = int(name[1:])
        if isinstance(content, int):
            data += varint(number << 3) + varint(content)
        else:
            data += varint(number << 3 | 2) + varint(len(content)) + content
    return data


def kubernetes(kind: bytes, body: bytes) -> bytes:
    return b"k8s\0" + message(_1=message(_1=b"v1", _2=kind), _2=body, _3=b"", _4=b"")


def custom(**parts: object) -> bytes:
    return json.dumps({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}, **parts}).encode()


# Keys and revisions


def test_all_keys_of_a_real_snapshot() -> None:
    assert len(live()) == 614
    assert all(_keys.key_of(raw) == _keys.keyvalue(raw).key for _revision, raw in revisions())
    entry = live()[b"/registry/kubevirt.io/virtualmachines/vms/web-1"]
    assert (entry.create, entry.mod, entry.version, entry.lease) == (2443, 2443, 1, 0)
    assert any(entry.lease for entry in live().values())
    assert "spec" not in repr(entry), "a value may be a Secret"


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300, 20_000])
def test_a_key_of_any_length(size: int) -> None:
    raw = message(_1=b"k" * size, _2=5, _3=6, _4=1, _5=b"value", _6=-1)
    assert _keys.key_of(raw) == b"k" * size
    assert _keys.keyvalue(raw) == _keys.KeyValue(b"k" * size, 5, 6, 1, b"value", -1)
    assert _keys.key_of(message(_1=b"k" * size)) == b"k" * size


def test_a_key_that_does_not_stand_first() -> None:
    assert _keys.key_of(message(_2=5, _1=b"key")) == b"key"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a",
        b"\x0a\0",
        b"\x0a\0\x10\1",
        b"\x0a\x05key",
        b"\x0a\xff",
        b"\x10\x01",
        message(_1=7),
        message(_1=b"k", _2=b"x"),
        b"\x0d1234",
    ],
)
def test_what_is_no_revision_is_refused(raw: bytes) -> None:
    with pytest.raises(_bbolt.BadFile):
        _keys.keyvalue(raw)
    if not raw.startswith(b"\x0a\x01"):
        with pytest.raises(_bbolt.BadFile):
            _keys.key_of(raw)


def test_the_empty_revision_of_a_restore_with_bumped_revision_has_an_empty_key() -> None:
    assert _keys.key_of(b"") == _keys.keyvalue(b"").key == b""


def test_a_million_keys_take_less_than_a_second() -> None:
    raw, key_of = message(_1=b"/registry/pods/default/" + b"x" * 30, _2=1, _5=b"v" * 500), _keys.key_of
    started = time.process_time()
    for _round in range(100_000):
        key_of(raw)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("/registry/pods/kube-system/etcd-r1", ("pods", "kube-system", "etcd-r1")),
        ("/registry/namespaces/vms", ("namespaces", "", "vms")),
        ("/registry/minions/r1", ("minions", "", "r1")),
        ("/registry/services/specs/default/kubernetes", ("services/specs", "default", "kubernetes")),
        ("/registry/services/endpoints/default/kubernetes", ("services/endpoints", "default", "kubernetes")),
        ("/registry/kubevirt.io/virtualmachines/vms/web-1", ("kubevirt.io/virtualmachines", "vms", "web-1")),
        ("/registry/harvesterhci.io/settings/server-version", ("harvesterhci.io/settings", "", "server-version")),
        (
            "/registry/fleet.cattle.io/bundles/fleet-local/mcc-harvester",
            ("fleet.cattle.io/bundles", "fleet-local", "mcc-harvester"),
        ),
        ("/registry/leases/kube-node-lease/r1", ("leases", "kube-node-lease", "r1")),
        ("/registry/ranges/servicenodeports", ("ranges", "", "servicenodeports")),
        ("/registry/masterleases/10.89.0.21", ("masterleases", "", "10.89.0.21")),
        ("/bootstrap/e2e269d4f6ec", ("bootstrap", "", "e2e269d4f6ec")),
        ("rke2/etcd/learnerProgress", ("rke2", "", "etcd/learnerProgress")),
    ],
)
def test_places_of_real_keys(key: str, place: tuple[str, str, str]) -> None:
    assert key.encode() in live()
    assert _keys.place(key.encode()) == place
    assert _keys.resource(key.encode()) == place[0]


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (b"", ("", "", "")),
        (b"/", ("", "", "")),
        (b"compact_rev_key", ("compact_rev_key", "", "")),
        (b"/registry", ("registry", "", "")),
        (b"/registry/", ("", "", "")),
        (b"/registry/health", ("health", "", "")),
        (b"/registry/services/specs", ("services/specs", "", "")),
        (b"/registry/kubevirt.io", ("kubevirt.io", "", "")),
        (b"/registry/pods/a/b/c", ("pods", "a", "b/c")),
        (b"/registry/pods/\xff/b", ("pods", "\ufffd", "b")),
    ],
)
def test_places_of_odd_keys(key: bytes, place: tuple[str, str, str]) -> None:
    assert _keys.place(key) == place
    assert _keys.resource(key) == place[0]


def test_place_agrees_with_the_metadata_of_each_real_object() -> None:
    compared = 0
    for key, entry in live().items():
        found = _objects.decode(entry.value)
        if found.encoding in ("json", "protobuf") and found.name and not key.startswith(b"/registry/masterleases/"):
            assert _keys.place(key)[1:] == (found.namespace, found.name), key
            compared += 1
    assert compared > 590


@given(st.lists(st.text("abc./", min_size=1, max_size=9), max_size=6).map("/".join))
def test_no_part_of_a_key_is_lost(rest: str) -> None:
    place = _keys.place(f"/registry/{rest}".encode())
    assert place.resource == _keys.resource(f"/registry/{rest}".encode())
    assert "/".join(place).replace("/", "") == rest.replace("/", "")


@pytest.mark.parametrize(
    ("resource", "names"),
    [
        ("pods", ("pods",)),
        ("minions", ("nodes", "minions")),
        ("services/specs", ("services", "services/specs")),
        ("services/endpoints", ("endpoints", "services/endpoints")),
        ("controllers", ("replicationcontrollers", "controllers")),
        ("ingress", ("ingresses", "ingress")),
        (
            "kubevirt.io/virtualmachines",
            ("virtualmachines", "virtualmachines.kubevirt.io", "kubevirt.io/virtualmachines"),
        ),
    ],
)
def test_names_of_resources(resource: str, names: tuple[str, ...]) -> None:
    assert _keys.names(resource) == names


# Objects


def test_encodings_of_a_real_snapshot() -> None:
    kinds: dict[str, set[str]] = {}
    for key, entry in live().items():
        kinds.setdefault(_objects.decode(entry.value).encoding, set()).add(_keys.resource(key))
    assert kinds["encrypted"] == {"secrets"}
    assert kinds["other"] == {"bootstrap", "rke2"}
    assert {"kubevirt.io/virtualmachines", "apiregistration.k8s.io/apiservices"} <= kinds["json"]
    assert {"minions", "pods", "ranges", "masterleases", "events"} <= kinds["protobuf"]


def test_built_in_objects_of_a_real_snapshot() -> None:
    space = _objects.decode(value("/registry/namespaces/kube-system"))
    assert space == _objects.Object(
        "protobuf",
        api_version="v1",
        kind="Namespace",
        name="kube-system",
        uid=KUBE_SYSTEM,
        created=1795552875,
        labels={"kubernetes.io/metadata.name": "kube-system"},
    )
    deployment = next(key for key in live() if key.startswith(b"/registry/deployments/"))
    found = _objects.decode(live()[deployment].value)
    assert (found.api_version, found.kind) == ("apps/v1", "Deployment")
    assert f"/registry/deployments/{found.namespace}/{found.name}".encode() == deployment


def test_custom_resources_of_a_real_snapshot() -> None:
    for name in ("web-1", "web-2"):
        found = _objects.decode(value(f"/registry/kubevirt.io/virtualmachines/vms/{name}"))
        assert (found.encoding, found.api_version, found.kind) == ("json", "kubevirt.io/v1", "VirtualMachine")
        assert (found.namespace, found.name, found.created) == ("vms", name, 1795553582)
        assert found.document == json.loads(value(f"/registry/kubevirt.io/virtualmachines/vms/{name}"))
    setting = _objects.decode(value("/registry/harvesterhci.io/settings/server-version")).document
    assert setting and setting["value"] == "v1.3.2"
    bundle = _objects.decode(value("/registry/fleet.cattle.io/bundles/fleet-local/mcc-harvester"))
    assert (bundle.kind, bundle.name) == ("Bundle", "mcc-harvester")


@pytest.mark.parametrize(
    ("raw", "provider"),
    [
        (b"k8s:enc:aescbc:v1:aescbckey:\0\1", "aescbc"),
        (b"k8s:enc:secretbox:v1:key1:", "secretbox"),
        (b"k8s:enc:kms:v2:vault:\xff", "kms"),
    ],
)
def test_encrypted_values_name_their_provider(raw: bytes, provider: str) -> None:
    assert _objects.decode(raw) == _objects.Object("encrypted", provider=provider)
    assert _objects.decode(value("/registry/secrets/vms/app")).provider == "aescbc"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"k8s",
        b"k8s\0",
        b"k8s\0\xff",
        b"k8s:enc:",
        b"k8s:enc:A:v1:",
        kubernetes(b"", b""),
        kubernetes(b"Pod", b"\x08\x01"),
        kubernetes(b"Pod", message(_1=message(_11=7))),
        kubernetes(b"Pod", message(_1=b"\x0a\x09name")),
        b"{",
        b"{}",
        b"{\0",
        b"{\xff}",
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 10_000 + b"}",
        b'{"id":1}',
        b'{"kind":"Pod","apiVersion":"v1","metadata":[]}',
        b'["10.89.0.21:6443"]',
        b"30000-32767",
    ],
)
def test_what_is_no_object_is_other(raw: bytes) -> None:
    assert _objects.decode(raw) == _objects.Object("other")
    assert _objects.renewed(raw) is None
    assert _objects.kubelet_version(raw) == _objects.os_image(raw) == ""
    assert _objects.document(_objects.decode(raw)) == {"requorum": "unreadable: no object of Kubernetes"}


def test_a_deleted_object_with_odd_metadata() -> None:
    meta = message(_1=b"\xff", _3=7, _8=message(_1=-62135596800), _9=message(_1=1795552860, _2=5), _11=message(_1=b"a"))
    found = _objects.decode(kubernetes(b"Pod", message(_1=meta)))
    assert (found.name, found.namespace, found.created, found.deleted) == ("\ufffd", "", None, 1795552860)
    assert found.labels == {"a": ""}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T20:40:55Z", 1795552855),
        ("2026-11-24T20:40:55.999999Z", 1795552855),
        ("2026-11-24T21:40:55+01:00", 1795552855),
        ("2026-11-24T20:40:55", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        (None, None),
        (7, None),
    ],
)
def test_times_in_json(text: object, seconds: int | None) -> None:
    assert _objects.decode(custom(metadata={"creationTimestamp": text})).created == seconds


@pytest.mark.parametrize("seconds", [0, -1, 253402300800, 1 << 62, b"x"])
def test_times_that_no_calendar_has(seconds: int | bytes) -> None:
    meta = message(_1=b"x", _8=message(_1=seconds))
    assert _objects.decode(kubernetes(b"Pod", message(_1=meta))).created is None


def test_nodes_and_leases_of_a_real_snapshot() -> None:
    for node in ("r1", "r2", "r3"):
        assert _objects.kubelet_version(value(f"/registry/minions/{node}")) == "v0.0.0-master+$Format:%H$"
        assert _objects.os_image(value(f"/registry/minions/{node}")) == "Debian GNU/Linux 12 (bookworm)"
    renewals = [_objects.renewed(value(f"/registry/leases/kube-node-lease/{node}")) for node in ("r1", "r2", "r3")]
    assert renewals == [1795553585, 1795553584, 1795553587]
    assert _objects.renewed(value("/registry/minions/r1")) is None
    assert _objects.kubelet_version(value("/registry/leases/kube-node-lease/r1")) == ""


def test_nodes_and_leases_in_json() -> None:
    info = {"kubeletVersion": "v1.30.1+k3s1", "osImage": "Harvester v1.3.2"}
    node = custom(kind="Node", status={"nodeInfo": info})
    assert (_objects.kubelet_version(node), _objects.os_image(node)) == tuple(info.values())
    assert _objects.kubelet_version(custom(kind="Node", status=["nodeInfo"])) == ""
    assert _objects.renewed(custom(kind="Lease", spec={"renewTime": "2026-11-24T20:40:55.123456Z"})) == 1795552855
    assert _objects.renewed(custom(kind="Lease", spec=None)) is None


def test_damage_behind_the_metadata_is_not_read() -> None:
    node = kubernetes(b"Node", message(_1=message(_1=b"r1")) + b"\xff\xff")
    assert _objects.decode(node).name == "r1"
    assert _objects.kubelet_version(node) == ""
    assert _objects.renewed(kubernetes(b"Lease", message(_1=message(_1=b"r1"), _2=message(_4=b"\x0a")))) is None


# What is written of objects


def test_a_virtual_machine_is_written_for_another_cluster() -> None:
    stored = json.loads(value("/registry/kubevirt.io/virtualmachines/vms/web-1"))
    found = _objects.decode(value("/registry/kubevirt.io/virtualmachines/vms/web-1"))
    claims = "harvesterhci.io/volumeClaimTemplates"
    assert _objects.document(found) == stored
    assert _objects.document(found, clean=True) == {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {
            "name": "web-1",
            "namespace": "vms",
            "annotations": {claims: stored["metadata"]["annotations"][claims]},
        },
        "spec": stored["spec"],
    }
    assert _objects.document(found) == stored, "cleaning leaves the object as it is"


def test_clean_drops_what_the_server_sets_and_keeps_the_rest() -> None:
    metadata = {"name": "x", "labels": {"a": "b"}, **dict.fromkeys(_objects.SERVER_SET, "set")}
    found = _objects.decode(custom(metadata=metadata, status={"ready": True}, data={"k": ""}, spec=None, count=0))
    assert _objects.document(found, clean=True) == {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "data": {"k": ""},
        "spec": None,
        "count": 0,
    }


def test_of_built_in_kinds_metadata_are_written() -> None:
    found = _objects.decode(value("/registry/namespaces/kube-system"))
    reason = "only metadata: the rest is protobuf, which is not decoded"
    labels = {"kubernetes.io/metadata.name": "kube-system"}
    created = "2026-11-24T20:41:15Z"
    assert _objects.document(found) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "kube-system", "uid": KUBE_SYSTEM, "labels": labels, "creationTimestamp": created},
        "requorum": reason,
    }
    clean = _objects.document(found, clean=True)
    assert (clean["metadata"], clean["requorum"]) == ({"name": "kube-system", "labels": labels}, reason)


def test_of_encrypted_objects_the_provider_is_written() -> None:
    found = _objects.decode(value("/registry/secrets/vms/app"))
    assert _objects.document(found) == {"requorum": "unreadable: encrypted at rest by aescbc"}
    assert _objects.document(found, clean=True) == _objects.document(found)


@pytest.mark.parametrize(
    ("part", "kept", "shown"),
    [
        ("data", {"password": "c2VrcmV0", "odd": "c2VrcmV0MQ==", "none": None, "bad": "="}, [6, 7, 0, 0]),
        ("stringData", {"password": "sekret", "umlaut": "\u00e4"}, [6, 2]),
    ],
)
def test_what_a_secret_keeps_is_never_shown(part: str, kept: dict[str, str | None], shown: list[int]) -> None:
    metadata = {"name": "x", "annotations": {_objects.LAST_APPLIED: "sekret c2VrcmV0", "note": "kept"}}
    found = _objects.decode(custom(kind="Secret", metadata=metadata, **{part: kept}))
    for document in (_objects.document(found), _objects.document(found, clean=True)):
        assert document[part] == {name: f"({size} bytes)" for name, size in zip(kept, shown, strict=True)}
        assert document["metadata"]["annotations"]["note"] == "kept"
        assert "sekret" not in str(document) and "c2VrcmV0" not in str(document)
    assert "sekret" not in repr(found) and "c2VrcmV0" not in str(found.document)


def test_a_secret_of_another_form_is_withheld_too() -> None:
    found = _objects.decode(custom(kind="Secret", data="c2VrcmV0", stringData=["sekret"]))
    assert found.document and (found.document["data"], found.document["stringData"]) == ("(8 bytes)", "(0 bytes)")


# Bad input


def read_all(raw: bytes) -> None:
    found = _objects.decode(raw)
    assert isinstance(_objects.document(found, clean=True), dict)
    json.dumps([_objects.document(found), _objects.kubelet_version(raw), _objects.os_image(raw), _objects.renewed(raw)])
    str(found).encode()


@given(st.binary(max_size=200), st.sampled_from([b"", b"k8s\0", b"k8s:enc:", b"{", kubernetes(b"Node", b"")[:-8]]))
def test_no_bytes_raise(data: bytes, prefix: bytes) -> None:
    read_all(prefix + data)
    _keys.place(data)
    with contextlib.suppress(_bbolt.BadFile):
        assert _keys.key_of(data) == _keys.keyvalue(data).key


SAMPLES = [
    "/registry/namespaces/kube-system",
    "/registry/minions/r1",
    "/registry/leases/kube-node-lease/r1",
    "/registry/kubevirt.io/virtualmachines/vms/web-1",
]


@given(st.data(), st.sampled_from(SAMPLES))
def test_real_values_that_are_cut_off_or_changed_do_not_raise(data: st.DataObject, key: str) -> None:
    raw = bytearray(value(key)[: data.draw(st.integers(0, len(value(key))))])
    for _flip in range(data.draw(st.integers(0, 3)) if raw else 0):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    read_all(bytes(raw))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["metadata", "data", "spec", "status", "labels", "annotations"]),
    st.sampled_from(["Secret", "Node", "Lease"]),
)
def test_json_of_any_form_does_not_raise(part: object, name: str, kind: str) -> None:
    inside = {"metadata": {name: part}} if name in ("labels", "annotations") else {name: part}
    read_all(custom(kind=kind, **inside))
