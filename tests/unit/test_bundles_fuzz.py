# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever bytes an archive has and whatever stands in its objects: a report, or one sentence, never a traceback."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import bundles
from tests.unit.test_state_schema import problems

JSON = dict[str, Any]
NODE = {"metadata": {"name": "n1"}, "status": {"nodeInfo": {"kubeletVersion": "v1.30.2+rke2r1"}}}


def files() -> dict[str, bytes]:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("n1/logs/rke2-server.log", "line\n" * 50)
        made.writestr("n1/configs/etc/os-release", 'PRETTY_NAME="x"\n')
    return {
        "top/metadata.yaml": b'bundlecreatedat: "2024-09-10T08:30:00Z"\n',
        "top/yamls/cluster/v1/nodes.yaml": json.dumps({"items": [NODE]}).encode(),
        "top/logs/kube-system/etcd-n1/etcd.log": b"text\n" * 100,
        "top/nodes/n1.zip": inner.getvalue(),
        "systeminfo/hostname": b"n1\n",
        "rke2/version": b"x",
    }


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files().items():
            archive.writestr(name, data)
    return made.getvalue()


def tarred(mode: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


WHOLE = [zipped(), tarred("w"), tarred("w:gz"), tarred("w:xz"), tarred("w:bz2")]


def asked(path: Path) -> JSON | None:
    """All of it is read; None where it is refused."""
    try:
        source = bundles.read([path])
    except RequorumError:
        return None
    state = bundles.state(source, [])
    json.dumps(state)
    assert problems(state) == []
    return state


@settings(max_examples=150, deadline=None)
@given(
    number=st.integers(0, len(WHOLE) - 1),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
def test_bytes_that_were_changed_or_are_missing(number: int, cut: float, changes: list[tuple[float, int]]) -> None:
    data = bytearray(WHOLE[number])
    for place, value in changes:
        data[int(place * len(data))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(data[: int(cut * len(data)) if changes == [] else len(data)])
        asked(path)


KEYS = [
    "name", "labels", "annotations", "conditions", "type", "status", "addresses", "items", "kind", "data",
    "containerStatuses", "state", "waiting", "endpoints", "metadata",
]  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("null")
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(KEYS), inner, max_size=4), max_leaves=12)  # fmt: skip
KINDS = st.sampled_from([
    "cluster/v1/nodes", "cluster/v1/namespaces", "namespaced/x/v1/pods", "namespaced/fleet-local/v1/secrets",
    "namespaced/fleet-local/cluster.x-k8s.io/v1beta1/clusters", "namespaced/default/discovery.k8s.io/v1/endpointslices",
    "namespaced/x/kubevirt.io/v1/virtualmachines", "cluster/harvesterhci.io/v1beta1/settings",
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(kind=KINDS, about=ANY, more=st.dictionaries(
    st.sampled_from(["spec", "status", "data", "value", "endpoints", "kind"]), ANY, max_size=4))  # fmt: skip
def test_objects_of_any_form(kind: str, about: Any, more: JSON) -> None:
    named = {**(about if isinstance(about, dict) else {"labels": about}), "name": "local", "namespace": "fleet-local"}
    document = {"items": [{**more, "metadata": named}, {**more, "metadata": about}, more]}
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(Path(folder, "x.zip"), "w") as made:
            for name, data in {**files(), f"top/yamls/{kind}.yaml": json.dumps(document).encode()}.items():
                made.writestr(name, data)
        assert asked(Path(folder, "x.zip"))


OUTPUTS = [
    "rke2/kubectl/nodes.json", "rke2/kubectl/nodes", "rke2/kubectl/pods", "rke2/config.yaml",
    "rke2/certs/server/x.crt", "etcd/memberlist", "etcd/memberlist.json", "etcd/endpointstatus",
    "etcd/endpointhealth", "etcd/alarmlist", "etcd/etcd-metrics-127.0.0.1:2381.txt", "etcd/findserverdbetcd",
    "etcd/findserverdbsnapshots", "systeminfo/date", "systeminfo/ps", "systeminfo/dfh", "systeminfo/dfi",
    "systeminfo/freeh", "systeminfo/systemd-units", "networking/sstunlp4",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(OUTPUTS),
    ANY.map(json.dumps) | st.text(max_size=60) | st.sampled_from([
        "NAME STATUS ROLES\n1 2 3 4 5 6\n", "|a|b|\n|1|2|\n", "|endpoint|id|\n||x|\n", "Mem: 1 2\navailable",
        "-rw 1 a b 99999999999999999999 Feb 30 25:61 /x/y\n", "Not After : Feb 30 00:00:00 2026 GMT",
        "Sat Nov 28 20:20:18 UTC 2026", "Sat Nov 28 20:20:18 UTC 0000", 'etcd_server_id{server_id="x"} 1e999\n',
        "etcd_server_has_leader -.e+\n", "memberID:1 alarm:X\n", '{"members":[7],"header":7}',
        '{"items":[{"metadata":7}]}', '{"items":[{"metadata":{"name":"n1"},"status":7}]}',
        "x 1.2.3G 1 1.2.3G 1 /\ny 1..2G 1 ..G 1 /\n"]), min_size=1))  # fmt: skip
def test_outputs_of_any_form(outputs: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(Path(folder, "x.zip"), "w") as made:
            for name, text in {"systeminfo/hostname": "n1\n", "rke2/version": "x", **outputs}.items():
                made.writestr(name, text.encode("utf-8", "replace"))
        assert asked(Path(folder, "x.zip"))
