# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support bundles in the bytes that the collector writes: what is read of them, and why the rest is not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _server, _state
from requorum import archive, bundles
from requorum.bundles import lists, sources, support
from tests.unit.test_state_schema import problems

JSON = dict[str, Any]
TOP = "supportbundle_1f0c9a52_2024-09-10T08-30-00Z"
META = 'bundlename: bundle-x\nbundleversion: 0.1.0\nbundlecreatedat: "2024-09-10T08:30:00Z"\nissueurl: ""\n'
"""The collector's names for its fields are not used: its YAML library does not know them."""
RELEASE = 'harvester: v1.3.1\nos: Harvester v1.3.1\nkubernetes: v1.27.13+rke2r1\nrancher: "v2.8.3"\n'


def listed(*items: str, rest: str = 'kind: List\nmetadata:\n  resourceVersion: "null"\n') -> str:
    """As the collector's encoder writes a list: no indentation below `items`, keys in order."""
    lines = [f"- {'  '.join(item.strip().splitlines(keepends=True))}\n" for item in items]
    return "apiVersion: v1\nitems:\n" + "".join(lines) + rest


def node(
    name: str, *, ready: str = "True", roles: tuple[str, ...] = ("control-plane", "etcd"), os: str = "1.3.1"
) -> str:
    labels = "".join(f'    node-role.kubernetes.io/{role}: "true"\n' for role in roles) or "    a: b\n"
    return f"""
apiVersion: v1
kind: Node
metadata:
  labels:
{labels}  managedFields:
  - apiVersion: v1
    manager: kubelet
  name: {name}
spec:
  providerID: "null"
status:
  addresses:
  - address: 10.0.0.{name[-1]}
    type: InternalIP
  conditions:
  - lastHeartbeatTime: "2024-09-10T08:29:00Z"
    status: "{ready}"
    type: Ready
  nodeInfo:
    kubeletVersion: v1.27.13+rke2r1
    osImage: Harvester v{os}
"""


def named(kind: str, name: str, space: str, more: str = "") -> str:
    return f"\napiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {space}\n{more}"


def host(name: str, files: dict[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, text in files.items():
            zipped.writestr(f"{name}/{path}", text)
    return made.getvalue()


def read(path: Path, files: dict[str, str | bytes], top: str = TOP) -> bundles.Source:
    """A bundle of these files, as `zip -r` makes it: what is a zip already is stored."""
    with zipfile.ZipFile(path / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            method = zipfile.ZIP_STORED if name.endswith(".zip") else zipfile.ZIP_DEFLATED
            made.writestr(f"{top}/{name}", text, method)
    return bundles.read([path / "bundle.zip"])


CLUSTER: dict[str, str | bytes] = {
    "metadata.yaml": META,
    "yamls/cluster/v1/nodes.yaml": listed(node("n1"), node("n2", ready="Unknown"), node("w3", roles=())),
    "yamls/cluster/v1/namespaces.yaml": listed(named("Namespace", "kube-system", "x", "  uid: abc\n")),
    "yamls/namespaced/harvester-system/v1/pods.yaml": listed(
        named("Pod", "hvst-upgrade-a-pre-drain-n2-x", "harvester-system", "spec:\n  nodeName: n2\n"),
    ),
    "yamls/namespaced/kube-system/v1/pods.yaml": listed(
        named("Pod", "etcd-n1", "kube-system", "spec:\n  nodeName: n1\n  containers: []\nstatus:\n  phase: Running\n"),
    ),
    "yamls/namespaced/default/discovery.k8s.io/v1/endpointslices.yaml": listed(
        named("EndpointSlice", "kubernetes", "default", "endpoints:\n- addresses:\n  - 10.0.0.1\n"),
        named("EndpointSlice", "other", "default", "endpoints:\n- addresses:\n  - 10.9.9.9\n"),
    ),
    "nodes/n1.zip": host("n1", {
        "configs/etc/harvester-release.yaml": RELEASE,
        "configs/etc/os-release": 'PRETTY_NAME="Harvester v1.3.1"\n',
        "configs/etc/rancher/rke2/config.yaml.d/50-rancher.yaml": "token: '***'\nserver: https://10.0.0.9:9345\n",
        "configs/oem/99_custom.yaml": "x: y\n",
        "logs/rke2-server.log": "one\n",
        "logs/kernel.log.1": "two\n",
        "logs/NetworkManager.log": "three\n",
        "logs/containerd-images.log": "no log\n",
        "scc/scc_supportconfig_n1.txz": b"not looked into",
    }),
}  # fmt: skip


@pytest.fixture
def whole(tmp_path: Path) -> JSON:
    return read(tmp_path, CLUSTER).state


def test_what_is_said_of_the_bundle_and_its_cluster(whole: JSON) -> None:
    assert (whole["time"], whole["distro"]) == ("2024-09-10T08:30:00Z", "rke2")
    assert whole["source"] == {
        "kind": "support_bundle",
        "name": "bundle-x",
        "created": "2024-09-10T08:30:00Z",
        "unread": [],
    }
    api = whole["kubernetes"]
    assert (api["ready"], api["endpoints"], api["system_uid"]) == (None, ["10.0.0.1"], "abc")
    assert [(n["name"], n["ready"], n["control_plane"]) for n in api["nodes"]] == [
        ("n1", True, True), ("n2", False, True), ("w3", True, False)]  # fmt: skip
    assert whole["harvester"]["releases"]["n1"]["harvester"] == "v1.3.1"


def test_it_is_a_state(whole: JSON) -> None:
    assert problems(whole) == []


def test_nodes(whole: JSON) -> None:
    one, two, three = whole["nodes"]
    assert (one["reachable"], one["role"], one["host"], one["node_ready"]) == (True, "server", "10.0.0.1", "True")
    assert one["config"] == {"token": "hidden", "server": "https://10.0.0.9:9345"}
    assert one["harvester"] == {"harvester": "v1.3.1", "os": "Harvester v1.3.1", "kubernetes": "v1.27.13+rke2r1",
                                "rancher": "v2.8.3", "custom": "missing"}  # fmt: skip
    assert all(one[name] is None for name in ("etcd", "datastore", "processes", "listeners", "certificates"))
    assert one["unread"] == {"*": support.NOT_HELD}
    assert not two["reachable"] and "n2.zip is not in the bundle" in two["error"] and two["node_ready"] == "Unknown"
    assert three["role"] == "agent"
    assert [_server.view(entry).etcd for entry in whole["nodes"]] == ["unknown"] * 3
    assert _state.cluster("x", whole["nodes"])["schema"] == 1


def test_objects_that_are_there_are_missing_or_were_not_read(whole: JSON) -> None:
    assert [pod["metadata"]["name"] for pod in whole["objects"]["pods"]] == ["hvst-upgrade-a-pre-drain-n2-x", "etcd-n1"]
    assert set(whole["objects"]["pods"][1]["spec"]) == {"nodeName"}  # as live reading keeps them
    assert "managedFields" not in whole["objects"]["nodes"][0]["metadata"]
    assert whole["objects"]["upgrades"] == [] and whole["objects"]["vms"] == [] and whole["objects"]["config"] == []
    for name, why in (("volumes", "namespace longhorn-system"), ("leases", "namespace kube-node-lease"),
                      ("deployed", "BundleDeployments"), ("releases", "no Secrets")):  # fmt: skip
        assert whole["objects"][name] is None and why in whole["unread"][f"objects.{name}"]


ERRORS = (
    ("volumes", "Failed to get /apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes: the server timed out"),
    ("clusters", "Failed to parse objects received from /apis/cluster.x-k8s.io/v1/namespaces/fleet-local/clusters: x"),
    ("nodes", "Failed to get /api/v1/nodes: Unauthorized"),
    ("upgrades", "Support Bundle: failed to generate /tmp/support-bundle-kit/bundle/yamls/namespaced/harvester-system/"
                 "harvesterhci.io/v1beta1/upgrades.yaml: no space left on device"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "line"), ERRORS)
def test_a_kind_that_the_collector_could_not_read(name: str, line: str, tmp_path: Path) -> None:
    files = {path: text for path, text in CLUSTER.items() if not path.endswith("/nodes.yaml")}
    spaces = {f"yamls/namespaced/{space}/v1/configmaps.yaml": listed(named("ConfigMap", "x", space))
              for space in ("longhorn-system", "fleet-local", "harvester-system")}  # fmt: skip
    state = read(tmp_path, {**files, **spaces, "bundleGenerationError.log": f"{line}\n"}).state
    assert state["objects"][name] is None and line[:40] in state["unread"][f"objects.{name}"]
    others = {"volumes", "clusters", "nodes", "upgrades", "fleets", "storage", "provisioning"} - {name}
    assert all(state["objects"][other] == [] for other in others)
    assert state["source"]["unread"] == [{"what": "bundleGenerationError.log", "why": line[:300]}]


def test_a_kind_in_two_versions_counts_once(tmp_path: Path) -> None:
    path = "yamls/namespaced/fleet-local/cluster.x-k8s.io"
    both = {f"{path}/{version}/clusters.yaml": listed(named("Cluster", version, "fleet-local"))
            for version in ("v1beta1", "v1beta2")}  # fmt: skip
    state = read(tmp_path, {**CLUSTER, **both}).state
    assert [item["metadata"]["name"] for item in state["objects"]["clusters"]] == ["v1beta2"]


def test_a_zip_of_a_node_that_is_broken(tmp_path: Path) -> None:
    state = read(tmp_path, {**CLUSTER, "nodes/n2.zip": b"PK\x03\x04", "nodes/w3.zip": b""}).state
    assert "n2.zip cannot be read: " in state["nodes"][1]["error"] and "w3.zip cannot" in state["nodes"][2]["error"]


def test_logs_know_their_program_and_their_node(tmp_path: Path) -> None:
    logs = {
        "logs/kube-system/etcd-n1/etcd.log": "etcd", "logs/kube-system/etcd-n2/etcd.log": "lost",
        "logs/kube-system/etcd-n2/etcd.log.1": "before",
        "logs/harvester-system/hvst-upgrade-a-pre-drain-n2-x/apply.log": "drain",
        "logs/cattle-system/rancher-7d9c5d8f6b-abcde/rancher.log": "nobody knows where",
    }  # fmt: skip
    source = read(tmp_path, {**CLUSTER, **logs})
    found = [(node, word, file) for node, word, file, _chunks in source.logs()]
    assert found == [
        ("n1", "rke2-server", "nodes/n1/n1/logs/rke2-server.log"),
        ("n1", "kernel", "nodes/n1/n1/logs/kernel.log.1"),
        ("n1", "network", "nodes/n1/n1/logs/NetworkManager.log"),
        ("n1", "etcd", "logs/kube-system/etcd-n1/etcd.log"),
        ("n2", "etcd", "logs/kube-system/etcd-n2/etcd.log"),
        ("n2", "etcd", "logs/kube-system/etcd-n2/etcd.log.1"),
        ("n2", "upgrade-job", "logs/harvester-system/hvst-upgrade-a-pre-drain-n2-x/apply.log"),
        (None, "rancher", "logs/cattle-system/rancher-7d9c5d8f6b-abcde/rancher.log"),
    ]
    assert (
        b"".join(next(chunks for _node, _word, file, chunks in source.logs() if file.endswith("etcd.log.1")))
        == b"before"
    )


def test_zips_of_nodes_alone(tmp_path: Path) -> None:
    """The API is down: the collector was run by hand on each node."""
    for name in ("n1", "n2"):
        (tmp_path / f"{name}.zip").write_bytes(host(name, {
            "configs/etc/harvester-release.yaml": RELEASE, "logs/rke2-server.log": "x\n"}))  # fmt: skip
    source = bundles.read([tmp_path / "n1.zip", tmp_path / "n2.zip"])
    assert [(entry["name"], entry["reachable"], entry["role"]) for entry in source.state["nodes"]] == [
        ("n1", True, None), ("n2", True, None)]  # fmt: skip
    assert source.state["kubernetes"] is None and source.state["time"] is None
    assert "nothing" in source.state["unread"]["objects.pods"] and source.state["harvester"]
    assert [(node, word) for node, word, _file, _chunks in source.logs()] == [
        ("n1", "rke2-server"),
        ("n2", "rke2-server"),
    ]


def test_a_bundle_without_its_metadata_has_the_time_of_its_name(tmp_path: Path) -> None:
    files = {path: text for path, text in CLUSTER.items() if path != "metadata.yaml"}
    assert read(tmp_path, files).state["time"] == "2024-09-10T08:30:00Z"
    assert read(tmp_path, files, top="renamed").state["time"] is None


def test_the_bundle_of_a_cluster_without_harvester(tmp_path: Path) -> None:
    """Longhorn makes bundles with the same collector."""
    nodes = str(CLUSTER["yamls/cluster/v1/nodes.yaml"])
    files: dict[str, str | bytes] = {
        "metadata.yaml": META,
        "yamls/cluster/v1/nodes.yaml": nodes.replace("+rke2r1", "+k3s1").replace("Harvester ", "SLES "),
    }
    state = read(tmp_path, files).state
    assert (state["distro"], state["harvester"]) == ("k3s", None)


# Lists, item by item.
def parsed(text: str | bytes) -> tuple[list[JSON], dict[str, str]]:
    notes = archive.Notes()
    data = text.encode() if isinstance(text, str) else text
    return list(lists.objects(archive.Member("x.yaml", notes, lambda: io.BytesIO(data)))), notes.unread


QUIRKS = (
    ('"null"', ""),
    ('"said \\"no\\"null"', 'said "no"'),
    ("null", None),
    ("1.048576e+06", 1048576),
    ("1e+11", 100_000_000_000),
    ("0.5", 0.5),
    ("7", 7),
    ('"7"', "7"),
    ("1e+999", "1e+999"),
    ("2024-09-10T08:30:00Z", "2024-09-10T08:30:00Z"),
    ("true", True),
    ("yes", "yes"),
    ("=", "="),
    ("|-\n    - no item\n    - either", "- no item\n- either"),
)


@pytest.mark.parametrize(("written", "meant"), QUIRKS)
def test_values_as_the_collector_writes_them(written: str, meant: object) -> None:
    found, unread = parsed(listed(named("X", "a", "b", f"  v: {written}\n"), named("X", "c", "d")))
    assert [item["metadata"]["name"] for item in found] == ["a", "c"] and not unread
    assert found[0]["metadata"]["v"] == meant


INDENTED = "items:\n  - metadata: {name: a}\n  - metadata:\n      name: b\n      l:\n        - c\nkind: List\n"
FORMS: tuple[tuple[str, list[str]], ...] = (
    (INDENTED, ["a", "b"]),
    ('{"items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}', ["a", "b"]),
    ("---\nkind: Node\nmetadata:\n  name: a\n", ["a"]),
    ("items: []\n", []),
    ("", []),
)


@pytest.mark.parametrize(("text", "names"), FORMS)
def test_forms_of_a_list(text: str, names: list[str]) -> None:
    found, unread = parsed(text)
    assert [item["metadata"]["name"] for item in found] == names and not unread


LAUGHS = "items:\n- metadata: {name: a}\n  v: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"  v{n}: &a{n} [{','.join([f'*a{n - 1 or str()}'] * 9)}]\n" for n in range(1, 9)
)
BROKEN: tuple[tuple[str, list[str], str], ...] = (
    (listed(named("X", "a", "b"), "x: [\n", named("X", "c", "d")), ["a", "c"], "object 2"),
    (listed(named("X", "a\0\x01", "b")), ["a"], ""),
    (listed(named("X", "a", "b"), "- 7\n", "metadata: {}\n"), ["a"], "no object of Kubernetes"),
    (listed(named("X", "a", "b"))[:60], [], "object 1"),
    ("a: " + "[" * 5000, [], "nesting"),
    (LAUGHS, [], "more than 1000000 values"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "names", "why"), BROKEN)
def test_what_is_broken_in_a_list(text: str, names: list[str], why: str) -> None:
    found, unread = parsed(text)
    assert [item["metadata"]["name"] for item in found] == names
    assert (why in unread["x.yaml"]) if why else not unread


def test_an_object_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "LARGEST", 1000)
    large = named("X", "large", "b", "  v: |\n" + "    line\n" * 500)
    found, unread = parsed(listed(named("X", "a", "b"), large, named("X", "c", "d")))
    assert [item["metadata"]["name"] for item in found] == ["a", "c"] and "an object of it is larger" in unread[
        "x.yaml"
    ]
    assert parsed("a: b\n" * 1000)[0] == []


PODS = (
    ("kube-system", "etcd-n1", "etcd"),
    ("kube-system", "kube-controller-manager-n1", "kube-controller-manager"),
    ("kube-system", "kube-proxy-n1", "other"),
    ("cattle-provisioning-capi-system", "capi-controller-manager-6f87d8c7c-x2v9k", "capi"),
    ("cattle-system", "rancher-7d9c5d8f6b-abcde", "rancher"),
    ("cattle-system", "rancher-webhook-7d9c5d8f6b-abcde", "other"),
    ("cattle-system", "apply-hvst-upgrade-x-prepare-on-n1-with-0a1b2c3d-4e5f6", "upgrade-job"),
    ("cattle-system", "apply-system-agent-upgrader-on-n1-with-0a1b2c3d-4e5f6", "suc"),
    ("cattle-system", "system-upgrade-controller-6f87d8c7c-x2v9k", "suc"),
    ("cattle-fleet-local-system", "fleet-agent-0", "fleet-agent"),
    ("cattle-fleet-system", "fleet-controller-6f87d8c7c-x2v9k", "fleet-controller"),
    ("harvester-system", "harvester-6f87d8c7c-x2v9k", "harvester"),
    ("harvester-system", "harvester-webhook-6f87d8c7c-x2v9k", "harvester-webhook"),
    ("harvester-system", "harvester-load-balancer-6f87d8c7c-x2v9k", "other"),
    ("harvester-system", "hvst-upgrade-x-apply-manifests-abcde", "upgrade-job"),
    ("harvester-system", "hvst-upgrade-x-post-drain-n2-abcde", "upgrade-job"),
    ("harvester-system", "virt-handler-abcde", "virt"),
    ("default", "virt-launcher-web-abcde", "virt"),
    ("longhorn-system", "longhorn-manager-abcde", "longhorn-manager"),
)


@pytest.mark.parametrize(("space", "pod", "word"), PODS)
def test_programs_of_pods(space: str, pod: str, word: str) -> None:
    assert sources.of_pod(space, pod) == word


def test_programs_of_units_and_nodes_of_static_pods() -> None:
    units = ("rke2-agent", "wicked", "NetworkManager", "systemd-networkd", "iscsid", "kubelet", "docker")
    assert [sources.of_unit(unit) for unit in units] == ["rke2-agent", *["network"] * 3, "iscsid", "kubelet", "other"]
    assert sources.static("etcd-my-n1", ["n1", "my-n1"]) == "my-n1" and sources.static("etcd-n1x", ["n1"]) is None
