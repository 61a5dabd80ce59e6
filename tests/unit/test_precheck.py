# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pre-check of an upgrade: which rules are its items, its verdict, the release to go to, and all of its faces."""

from __future__ import annotations

import argparse
import copy
import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_diagnose, cluster_precheck
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnose,
    _diagnosis_html,
    _diagnosis_junit,
    _diagnosis_text,
    _harvester_checks,
    _node,
    _precheck,
    _predicates_storage,
    _predicates_target,
    _rules,
    _seen,
    _target,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._found import Found, Unknown
from ansible_collections.requorum.cluster.plugins.plugin_utils import _release_server
from requorum import cli, precheck, remote
from tests.unit import runs
from tests.unit.harvesters import VERSIONS, Harvester
from tests.unit.test_diagnosis import problems
from tests.unit.test_state_schema import problems as state_problems

JSON = dict[str, Any]
RULES = _rules.load()
ITEMS = [rule for rule in RULES if _precheck.is_item(rule)]
NOW = "2026-11-24T20:15:00Z"
SUM = "ab" * 64
SOURCES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "rke2-server", "kubelet", "kernel",
           "rancher", "rancher-system-agent")  # fmt: skip
RELEASE = (
    "apiVersion: harvesterhci.io/v1beta1\nkind: Version\nmetadata:\n  name: v1.4.1\n  namespace: harvester-system\n"
    f"spec:\n  isoChecksum: '{SUM}'\n  isoURL: https://releases.example/v1.4.1/harvester.iso\n"
    "  releaseDate: '20250124'\n"
)
SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]


# --- items


def test_each_number_of_the_official_pre_check_has_a_rule() -> None:
    assert {number for rule in ITEMS for number in _precheck.numbers(rule)} == set(range(1, 18))


def test_every_file_of_rules_has_a_topic() -> None:
    assert {PurePath(rule.file).stem for rule in RULES} <= set(_precheck.TOPICS)


def test_every_item_says_what_to_do() -> None:
    assert [rule.id for rule in ITEMS if not rule.action or not rule.cause] == []
    assert [rule.id for rule in ITEMS if not (rule.evidence or rule.logs or rule.predicate)] == []


def test_the_table_in_the_documents_names_each_of_them() -> None:
    text = (Path(__file__).parents[2] / "docs" / "precheck.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    for rule in ITEMS:
        for number in _precheck.numbers(rule):
            assert f"`{rule.id}`" in rows[str(number)], f"{number}: {rule.id}"
    refused = {rule.id for rule in ITEMS if any("resources/upgrade/validator.go" in each for each in rule.references)}
    about_target = {rule.id for rule in ITEMS if rule.file.endswith("target.yaml")}
    assert [ident for ident in sorted(refused | about_target) if f"`{ident}`" not in text] == []


# --- versions


def state(harvester: Harvester, target: JSON | None = None) -> JSON:
    """As the action has it, with a fresh backup and all logs."""
    objects: dict[str, Any] = {}
    for name, asked in _harvester_checks.KINDS.items():
        lists = [harvester.api.items(kind, asked.namespace, selector=asked.selector) for kind in asked.kinds]
        items = next((items for items in lists if items is not None), None)
        objects[name] = items if items is None else [asked.keep(i) if asked.keep else i for i in items]
    entries = copy.deepcopy(runs.HEALTHY["nodes"])
    for number, entry in enumerate(entries, 1):
        more = {"system_agent": "active", "custom": "there", "network": "there", "cos_state": "16106127360"}
        entry |= {"harvester": harvester.release | more, "hostname": f"n{number}"}
    made = _seen.live("prod", entries, [entry["name"] for entry in entries], objects, NOW)
    kept = [{"name": "/b/snapshot.db", "time": 1795550000, "proved": True, "off_node": True}]
    made |= {"backups": {"complete": True, "kept": kept}, "target": target}
    logs = [(entry["name"], source, f"{source}.log", [b"nothing\n"]) for entry in entries for source in SOURCES]
    return _seen.with_logs(made, logs, [])


def checked(made: JSON) -> JSON:
    return _precheck.document(_diagnose.diagnose(made, RULES), RULES, made.get("target"))


def states(document: JSON) -> dict[str, str]:
    """Of the items that did not simply pass."""
    items = document["precheck"]["items"]
    return {item["id"]: item["state"] for item in items if item["state"] not in ("passed", "not asked")}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_that_is_as_it_should_be_is_ready(version: str) -> None:
    document = checked(state(Harvester(version)))
    assert (states(document), document["precheck"]["verdict"]) == ({}, "ready")
    assert problems(document) == [] and document["precheck"]["target"] is None
    items = {item["id"]: item for item in document["precheck"]["items"]}
    assert items["target_hop"] | {"why": ""} == {
        "id": "target_hop", "topic": "Release to go to", "official": [], "state": "not asked", "why": "",
    }  # fmt: skip
    asked = items["precheck_network_config"]["state"] == "passed"
    assert asked == (version in ("1.6", "1.7")) and items["image_no_copies"]["official"] == [11]


FAULTS: dict[str, tuple[str, str, str, JSON]] = {
    "node_cordoned": ("1.2", "nodes", "n2", {"spec": {"unschedulable": True}}),
    "chart_paused": ("1.3", "managedcharts.management.cattle.io", "harvester", {"spec": {"paused": True}}),
    "capi_paused": ("1.4", "clusters.cluster.x-k8s.io", "local", {"spec": {"paused": True}}),
    "capi_not_provisioned": ("1.5", "clusters.cluster.x-k8s.io", "local", {"status": {"phase": "Provisioning"}}),
    "node_unmanaged": ("1.6", "nodes", "n1", {"metadata": {"labels": {"harvesterhci.io/managed": None}}}),
    "upgrade_cleanup_pending": ("1.7", "upgrades.harvesterhci.io", "hvst-upgrade-done",
                                {"metadata": {"labels": {"harvesterhci.io/upgradeCleanup": "Pending"}}}),
    "node_maintenance": ("1.8", "nodes", "n3",
                         {"metadata": {"annotations": {"harvesterhci.io/maintain-status": "completed"}}}),
}  # fmt: skip


@pytest.mark.parametrize("item", FAULTS)
def test_a_fault_forbids_it(item: str) -> None:
    version, kind, name, what = FAULTS[item]
    harvester = Harvester(version)
    harvester.change(kind, name, what)
    document = checked(state(harvester))
    assert states(document)[item] == "failed" and document["precheck"]["verdict"] == "failed"
    found = next(finding for finding in document["findings"] if finding["id"] == item)
    assert found["action"] and found["cause"] and found["severity"] in ("error", "blocker")
    assert document["verdict"]["next"] and document["refused"][0]["operation"] == "upgrade"


def test_devices_of_a_host_are_seen_unlike_by_the_official_script() -> None:
    harvester = Harvester("1.4")
    devices = {"domain": {"devices": {"hostDevices": [{"name": "gpu", "deviceName": "nvidia.com/A2"}]}}}
    what = {"spec": {"template": {"spec": devices}}, "status": {"printableStatus": "Running"}}
    name = next(key[2] for key in harvester.objects if key[0] == "virtualmachines.kubevirt.io")
    harvester.change("virtualmachines.kubevirt.io", name, what)
    assert states(checked(state(harvester)))["machine_not_movable"] == "failed"


def network(**more: Any) -> list[JSON]:
    told = [{"metadata": {"name": name}, "value": json.dumps(value)} for name, value in more.items()]
    return [each | {"metadata": {"name": each["metadata"]["name"].replace("_", "-")}} for each in told]


@pytest.mark.parametrize(
    ("config", "settings", "found"),
    [
        ([], [], []),
        (network(storage_network={"range": "10.9.0.0/28"}), [], []),
        (network(storage_network={"range": "10.9.0.0/29"}), [], [("storage-network", 2, 4)]),
        (network(storage_network={"range": "10.9.0.0/28", "exclude": ["10.9.0.0/29"]}), [],
         [("storage-network", 3, 4)]),
        (network(storage_network={"range": "10.9.0.0/29"}, rwx_network={"share-storage-network": True}), [],
         [("storage-network", 2, 5)]),
        (network(rwx_network={"share-storage-network": False, "network": {"range": "10.9.1.0/30"}}), [],
         [("rwx-network", 0, 1)]),
        (network(storage_network={"range": "10.9.0.0/29"}),
         [{"metadata": {"name": "storage-network-for-rwx-volume-enabled"}, "value": "true"}],
         [("storage-network", 2, 5)]),
    ],
)  # fmt: skip
def test_free_addresses(config: list[JSON], settings: list[JSON], found: list[tuple[str, int, int]]) -> None:
    taken: JSON = {"10.9.0.0/28": range(4), "10.9.0.0/29": range(4), "10.9.1.0/30": range(2)}
    pools = [{"metadata": {"name": name.replace("/", "-")},
              "spec": {"range": name, "allocations": {str(n): {} for n in numbers}}}
             for name, numbers in taken.items()]  # fmt: skip
    managers = {"instances": [{}, {}], "image_managers": [{}, {}]}
    state = {"objects": {"pools": pools, "config": config, "settings": settings, **managers}}
    answers = [each.item for each in _predicates_storage.addresses(state) if isinstance(each, Found)]
    assert [(item["name"], item["free"], item["needed"]) for item in answers] == found


def test_a_network_without_its_pool_is_not_checked() -> None:
    objects = {"pools": [], "config": network(storage_network={"range": "10.9.0.0/28"}), "settings": [],
               "instances": [], "image_managers": []}  # fmt: skip
    (answer,) = _predicates_storage.addresses({"objects": objects})
    assert isinstance(answer, Unknown) and "10.9.0.0/28" in answer.why


# --- verdict


@pytest.mark.parametrize(
    ("blind", "item"),
    [
        (lambda s: s["unread"].update({"objects.volumes": "forbidden"}) or s["objects"].update(volumes=None),
         "volume_one_replica"),
        (lambda s: s["nodes"][1].update(certificates=None, unread={"certificates": "no"}), "certificates_wrong"),
        (lambda s: s.update(backups=None), "snapshots_unproved"),
        (lambda s: s.update(logs=[]), "etcd_inconsistent"),
        (lambda s: s["nodes"][0].update(disk=None, unread={"disk": "df hangs"}), "precheck_disk"),
    ],
)  # fmt: skip
def test_what_could_not_be_checked_is_never_ready(blind: Any, item: str) -> None:
    made = state(Harvester("1.4"))
    blind(made)
    document = checked(made)
    assert states(document)[item] == "not checked" and document["precheck"]["verdict"] == "unknown"
    assert document["verdict"]["severity"] == "warning" and "could not be checked" in document["verdict"]["sentence"]


def test_a_warning_forbids_nothing() -> None:
    made = state(Harvester("1.4"))
    made["nodes"][0]["harvester"]["left"] = "/usr/local/upgrade_tmp "
    document = checked(made)
    assert states(document) == {"left_on_host": "warning"} and document["precheck"]["verdict"] == "ready"
    assert "with 1 warning." in document["verdict"]["sentence"]


def test_a_warning_on_one_node_hides_no_other_node_that_was_not_looked_at() -> None:
    made = state(Harvester("1.4"))
    made["nodes"][0]["harvester"]["left"] = "/usr/local/upgrade_tmp "
    del made["nodes"][1]["harvester"]["system_agent"]
    document = checked(made)
    assert states(document) == {"left_on_host": "not checked"} and document["precheck"]["verdict"] == "unknown"
    assert [finding["id"] for finding in document["findings"]] == ["left_on_host"]
    suite = ElementTree.fromstring(_diagnosis_junit.render(document).encode())
    (case,) = [case for case in suite.iter("testcase") if case.get("name") == "left_on_host"]
    assert case.find("skipped") is not None and case.find("system-out") is not None


def test_a_host_that_was_not_read_fails() -> None:
    made = state(Harvester("1.3"))
    made["nodes"][2] = runs.dead("r3") | {"role": "server"}
    document = checked(made)
    assert states(document)["host_unread"] == "failed" and document["precheck"]["verdict"] == "failed"


@pytest.mark.parametrize(
    ("version", "item"),
    [("1.4", "precheck_disk"), ("1.6", "precheck_network_form"), ("1.6", "precheck_network_config"),
     ("1.8", "precheck_cos_state"), ("1.8", "certificates_refused"), ("1.2", "left_on_host")],
)  # fmt: skip
def test_no_item_of_such_a_host_has_passed(version: str, item: str) -> None:
    made = state(Harvester(version))
    made["nodes"][2] = runs.dead("r3") | {"role": "server"}
    assert states(checked(made))[item] == "not checked"


def test_a_partition_whose_size_nobody_knows() -> None:
    made = state(Harvester("1.7"))
    del made["nodes"][1]["harvester"]["cos_state"]
    assert states(checked(made)) == {"precheck_cos_state": "not checked"}


def test_the_verdict_is_that_of_the_diagnosis() -> None:
    made = state(Harvester("1.4"))
    diagnosis = _diagnose.diagnose(made, RULES)
    diagnosis["refused"] = [{"operation": "upgrade", "what": "It is not asked for.", "where": "cluster", "next": ""}]
    items = _precheck.items(diagnosis, RULES, None)
    assert _precheck.verdict(diagnosis, items) == "failed"
    diagnosis["verdict"]["case"] = "unknown"
    assert _precheck.verdict(diagnosis, items) == "unknown"


# --- release to go to


def target(version: str = "v1.4.1", **more: Any) -> JSON:
    release = {"url": "https://h/version.yaml", "reachable": True, "why": None, "name": version, "isoChecksum": SUM,
               "isoURL": "https://h/a.iso", "releaseDate": None, "minUpgradableVersion": None}  # fmt: skip
    iso = {"url": "https://h/a.iso", "reachable": True, "why": None, "bytes": 6 << 30, "hash": False, "sha512": None}
    return {"version": version, "node": "r1", "wanted": None, "checksum": SUM, "release": release, "iso": iso} | more


@pytest.mark.parametrize(
    ("wish", "failed"),
    [
        (target("v1.4.2"), []),
        (target("v1.6.0"), ["target_hop"]),
        (target("v1.4.1"), ["target_not_newer"]),
        (target("v1.3.2"), ["target_not_newer"]),
        (target("v1.4.77"), ["target_unknown"]),
        (target("v1.4.2-rc1"), ["target_unknown"]),
        (target("v1.4.2", checksum="abc"), ["target_checksum_missing"]),
        (target("v1.4.2", wanted="cd" * 64, checksum="cd" * 64), ["target_checksum_told"]),
        (target("v1.4.2", iso=target()["iso"] | {"hash": True, "sha512": "cd" * 64}), ["target_checksum"]),
        (target("v1.4.2", iso=target()["iso"] | {"hash": True, "sha512": SUM}), []),
        (target("v1.4.2", iso=target()["iso"] | {"reachable": False, "why": "404", "bytes": None}), ["target_iso"]),
        (target("v1.4.2", iso=target()["iso"] | {"bytes": 5120}), ["target_iso_small"]),
        (target("v1.4.2", release={"url": "u", "reachable": False, "why": "404"}), ["target_release"]),
        (target("v1.4.2", release={"url": "u", "reachable": False, "why": "404"}, wanted=SUM), []),
        (target("v1.4.2", release=target("v1.4.3")["release"]), ["target_other"]),
        (target("v1.4.2", release=target("v1.4.2")["release"] | {"minUpgradableVersion": "v1.4.3"}),
         ["target_minimum"]),
    ],
)  # fmt: skip
def test_the_release_to_go_to(wish: JSON, failed: list[str]) -> None:
    made = state(Harvester("1.4"), wish)  # 1.4.1
    document = checked(made)
    assert state_problems({key: value for key, value in made.items() if key == "target"} | _bare()) == []
    assert states(document) == dict.fromkeys(failed, "failed")
    assert document["precheck"]["target"] == wish["version"]


def _bare() -> JSON:
    return {"schema": 1, "cluster": "x", "nodes": [], "kubernetes": None, "harvester": None}


def test_a_hop_names_the_next_one_and_the_whole_way() -> None:
    document = checked(state(Harvester("1.3"), target("v1.5.0")))  # 1.3.2
    found = next(finding for finding in document["findings"] if finding["id"] == "target_hop")
    assert "--to v1.4.0; the whole way is v1.4.0, v1.4.1, v1.4.3, v1.5.0" in found["action"]


def test_a_release_that_nobody_could_ask_for_is_not_ready() -> None:
    made = state(Harvester("1.4"), target("v1.4.2", node=None, release=None, iso=None, checksum=None))
    made["unread"] |= {"target.release": "no server could", "target.iso": "no server could"}
    document = checked(made)
    assert states(document) == dict.fromkeys(("target_release", "target_iso", "target_checksum_missing"), "not checked")
    assert document["precheck"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("given", "url", "iso"),
    [
        (("1.4.1",), "https://b/v1.4.1/version.yaml", "https://b/v1.4.1/harvester-v1.4.1-amd64.iso"),
        (("v1.4.1", "http://m/x/y.iso"), "http://m/x/version.yaml", "http://m/x/y.iso"),
    ],
)
def test_where_the_files_stand(given: tuple[str, ...], url: str, iso: str) -> None:
    wish = _target.Wish.of(*given)
    assert (wish.version, _target.release_url(wish, "https://b/", "amd64")) == ("v1.4.1", url)
    assert _target.iso_url(wish, "https://b/", "amd64", None) == iso
    if len(given) == 1:
        assert _target.release_url(wish, "https://b", "arm64").endswith("/version-arm64.yaml")
        assert _target.iso_url(wish, "https://b", "amd64", "http://t/z.iso") == "http://t/z.iso"


@pytest.mark.parametrize(
    "given",
    [("newest",), ("",), ("1.4",), ("v1.4.1", "file:///a.iso"), ("v1.4.1", "https://u:p@h/a.iso"), ("v1.4.1", "x")],
)
def test_a_wish_that_is_none(given: tuple[str, ...]) -> None:
    with pytest.raises(RequorumError):
        _target.Wish.of(*given)


def test_version_yaml() -> None:
    assert _target.release(RELEASE) == {
        "name": "v1.4.1", "isoURL": "https://releases.example/v1.4.1/harvester.iso", "isoChecksum": SUM,
        "releaseDate": "20250124", "minUpgradableVersion": None,
    }  # fmt: skip
    for text in ("<html>log in</html>", "", "a: [", "kind: Version", "[]"):
        assert _target.release(text) is None


def test_a_version_that_the_cluster_has_already_is_taken(url: str) -> None:
    spec = {"isoURL": f"{url}/a.iso", "isoChecksum": SUM, "minUpgradableVersion": "v1.4.0"}
    objects = {"versions": [{"metadata": {"name": "v1.4.1"}, "spec": spec}]}
    found, _unread = _release_server.ask(Asking(), {"objects": objects}, _target.Wish.of("v1.4.1"))
    assert found["release"]["minUpgradableVersion"] == "v1.4.0" and found["iso"]["bytes"] == 3000
    assert found["checksum"] == SUM and state_problems(_bare() | {"target": found}) == []
    assert _target.stored(objects["versions"], _target.Wish.of("v1.4.1", f"{url}/b.iso")) is None
    assert _target.stored([{"metadata": {"name": "v1.4.1"}}], _target.Wish.of("v1.4.1")) is None


def test_of_a_cluster_whose_release_nobody_knows_no_step_is_allowed() -> None:
    made = _seen.live("prod", [runs.dead("r1")], ["r1"], {}, NOW) | {"target": target("v1.4.2"), "backups": None}
    said = states(checked(made))
    assert {said[item] for item in ("target_hop", "target_not_newer", "target_unknown")} == {"not checked"}
    assert said["host_unread"] == "failed"


def test_a_list_of_releases_of_ones_own(tmp_path: Path) -> None:
    own = "- {version: v1.4.9, rke2: v1.31.9, rancher: v2.10.1, longhorn: v1.7.3, kubevirt: v1.3.1, oldest: v1.4.1}\n"
    (tmp_path / "releases.yaml").write_text(own)
    wish = target("v1.4.9", releases=str(tmp_path / "releases.yaml"))
    assert states(checked(state(Harvester("1.4"), wish))) == {}
    assert states(checked(state(Harvester("1.4"), target("v1.4.9")))) == {"target_unknown": "failed"}


def test_settings_of_harvester() -> None:
    def setting(name: str, value: str) -> list[JSON]:
        return [{"metadata": {"name": name}, "value": value, "default": "{}"}]

    proxies = json.dumps({"httpProxy": "http://p:1", "noProxy": "10.0.0.0/8"})
    assert _target.proxies(setting("http-proxy", proxies)) == ("http://p:1", "", "10.0.0.0/8")
    assert _target.proxies(setting("http-proxy", "no JSON")) == _target.proxies([]) == ("", "", "")
    assert _target.base(setting("release-download-url", "https://m")) == "https://m"
    assert _target.base([]) == _target.OFFICIAL
    assert _target.arch([{"status": {"nodeInfo": {"architecture": "arm64"}}}]) == "arm64"
    assert _target.arch([{"metadata": {}}]) == "amd64"


# --- asked from a node


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A web server with an ISO and its version.yaml."""
    (tmp_path / "version.yaml").write_text(RELEASE)
    (tmp_path / "a.iso").write_bytes(b"iso" * 1000)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Asking:
    """An action whose node is this machine."""

    host = "r1"
    objects: ClassVar[JSON] = {}

    def __init__(self, shell: str = "sh", host: str = "r1") -> None:
        self.shell, self.host = shell, host
        self.vars = {"groups": {"servers": ["r1"]}}
        self.said: list[str] = []

    def script(self, name: str, *, stdin: bytes, timeout: int, **variables: str) -> _node.Done:
        done = subprocess.run([*self.shell.split(), "-c", _node.script(name, DISTRO="", DATA="", **variables)],
                              input=stdin, capture_output=True, timeout=timeout, check=False)  # fmt: skip
        return _node.Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def timeout(self, _name: str, default: float) -> float:
        return default

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_node_reads_it(shell: str, url: str) -> None:
    found, unread = _release_server.ask(
        Asking(shell), {"objects": {}}, _target.Wish.of("v1.4.1", f"{url}/a.iso", hash=True)
    )
    assert unread == {} and found["release"]["name"] == "v1.4.1" and found["checksum"] == SUM
    assert found["iso"] == {
        "url": f"{url}/a.iso", "reachable": True, "why": None, "bytes": 3000, "hash": True,
        "sha512": hashlib.sha512(b"iso" * 1000).hexdigest(),
    }  # fmt: skip
    assert state_problems(_bare() | {"target": found}) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_node_cannot_read(shell: str, url: str) -> None:
    wish = _target.Wish.of("v1.4.1", f"{url}/nothing/a.iso", "CD" * 64, hash=True)
    found, unread = _release_server.ask(Asking(shell), {"objects": {}}, wish)
    assert not found["release"]["reachable"] and "404" in found["release"]["why"]
    assert not found["iso"]["reachable"] and "404" in found["iso"]["why"] and found["checksum"] == "cd" * 64
    assert "target.iso.sha512" in unread
    found, _unread = _release_server.ask(Asking(shell), {}, _target.Wish.of("v1.4.1", "http://127.0.0.1:9/a.iso"))
    assert "onnect" in found["iso"]["why"] and state_problems(_bare() | {"target": found}) == []


def test_the_controller_is_not_asked() -> None:
    found, unread = _release_server.ask(Asking(host="localhost"), {}, _target.Wish.of("v1.4.1"))
    assert (found["release"], found["iso"]) == (None, None) and set(unread) == {"target.release", "target.iso"}


def test_a_proxy_with_its_password_goes_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    asking, given = Asking(), list[tuple[bytes, JSON]]()

    def script(_name: str, *, stdin: bytes, **more: Any) -> _node.Done:
        given.append((stdin, more))
        return _node.Done(1, "", "no way")

    monkeypatch.setattr(asking, "script", script)
    setting = {"metadata": {"name": "http-proxy"}, "value": '{"httpsProxy": "http://u:secret@p:1"}'}
    _release_server.ask(asking, {"objects": {"config": [setting]}}, _target.Wish.of("v1.4.1"))
    assert given[0][0] == b"\nhttp://u:secret@p:1\n\n" and "secret" not in str([more for _stdin, more in given])


def test_pairs_of_the_script(url: str) -> None:
    done = Asking().script("fetch", stdin=b"\n\n\n", timeout=9, URL=f"{url}/a.iso", HOW="size", WITHIN="5")
    assert _node.pairs(done.out) == {"bytes": "3000"}


# --- action


class Acting(cluster_precheck.ActionModule):  # type: ignore[misc]
    """On r1, whose API nobody asks."""

    settings: ClassVar[JSON] = {}

    def __init__(self, state: JSON, folder: Path, **args: Any) -> None:
        self.host = "localhost"
        hosts = {e["name"]: {"requorum_read": {"requorum_node": e}} for e in state["nodes"]}
        self.vars = {"hostvars": hosts, "ansible_inventory_sources": ["inv.yml"], "groups": {"servers": list(hosts)}}
        given = {"cluster": "prod", "servers": list(hosts), "api": False, "output": str(folder), **args}
        self._task = SimpleNamespace(args=given, check_mode=False)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(cluster_diagnose, "now", lambda: NOW)
    monkeypatch.setattr(cluster_precheck.display, "display", said.append)
    return said


def test_the_action_keeps_what_it_saw(tmp_path: Path, shown: list[str]) -> None:
    made = copy.deepcopy(runs.HEALTHY)
    for entry in made["nodes"]:
        entry["harvester"] = {"harvester": "v1.4.1", "system_agent": "active"}
    result = Acting(made, tmp_path, to="1.4.2").act()
    document, folder = result["precheck"], Path(result["requorum_run_dir"])
    assert not result["ready"] and not result["changed"] and problems(document) == []
    assert json.loads((folder / "diagnosis.json").read_text()) == document
    assert state_problems(json.loads((folder / "state.json").read_text())) == []
    assert "READY" in shown[0] and document["precheck"]["target"] == "v1.4.2" and "-i INV" not in shown[0]


@pytest.mark.usefixtures("shown")
def test_another_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match=r"prod is no Harvester.*requorum inspect"):
        Acting(copy.deepcopy(runs.HEALTHY), tmp_path).act()
    assert list(tmp_path.iterdir()) == []


# --- faces and command


def broken() -> JSON:
    harvester = Harvester("1.6")
    harvester.change("nodes", "n2", {"spec": {"unschedulable": True}})
    made = state(harvester)
    made["nodes"][0]["harvester"]["left"] = "/usr/local/upgrade_tmp "
    made["unread"]["objects.volumes"] = "forbidden"
    made["objects"]["volumes"] = None
    return checked(made)


MADE = {
    "ready": checked(state(Harvester("1.8"))),
    "failed": broken(),
    "unknown": checked(state(Harvester("1.4")) | {"backups": None}),
}


@pytest.mark.parametrize("name", MADE)
def test_text_of_80_columns(name: str) -> None:
    text = _diagnosis_text.summary(MADE[name])
    assert max(len(line) for line in text.splitlines() if "http" not in line and "kubectl" not in line) <= 80
    heads = {"ready": "READY TO UPGRADE", "failed": "NOT READY TO UPGRADE", "unknown": "NOT KNOWN TO BE READY"}
    assert text.startswith(heads[name]) and "Certificates" in text
    everything = _diagnosis_text.summary(MADE[name], everything=True)
    assert "not asked: target_hop, no release to go to was named" in " ".join(everything.split())


def test_the_text_of_a_failed_item_has_evidence_reason_and_command() -> None:
    text = " ".join(_diagnosis_text.summary(MADE["failed"]).split())
    assert "n2 is cordoned" in text and "cause: A person cordoned it" in text and "next: kubectl uncordon n2" in text
    assert text.index("n2 is cordoned") < text.index("upgrade_tmp")


@pytest.mark.parametrize("name", MADE)
def test_junit_has_one_case_for_each_item(name: str) -> None:
    suite = ElementTree.fromstring(_diagnosis_junit.render(MADE[name]).encode())
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    items = {item["id"]: item["state"] for item in MADE[name]["precheck"]["items"]}
    assert set(cases) == set(items)
    for ident, said in items.items():
        assert (cases[ident].find("failure") is not None) == (said == "failed"), ident
        assert (cases[ident].find("skipped") is not None) == (said in ("not checked", "not asked")), ident


@pytest.mark.parametrize("name", MADE)
def test_page(name: str) -> None:
    page = _diagnosis_html.render(MADE[name])
    assert "All items" in page and "Release to go to" in page and "<script" not in page


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> JSON:
    seen: JSON = {"made": MADE["ready"], "failures": []}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        seen.update(name=name, inventory=arguments.inventory, variables=variables)
        seen["check"] = getattr(arguments, "check", False)
        results = {"cluster_precheck": {"precheck": seen["made"]}} if seen["made"] else {}
        return remote.Outcome(results, list(seen["failures"]))

    monkeypatch.setattr(precheck.remote, "play", play)
    return seen


@pytest.mark.parametrize(("name", "code"), [("ready", 0), ("failed", 4), ("unknown", 3)])
def test_command(name: str, code: int, played: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played["made"] = MADE[name]
    words = ["--to", "1.9.0", "--html", f"{tmp_path}/p.html", "--junit", f"{tmp_path}/p.xml"]
    assert cli.main(["precheck", "-i", "h.yml", *words, "-e", "requorum_iso_url=http://m/a.iso"]) == code
    assert (played["name"], played["variables"]) == (
        "precheck", {"requorum_to": "1.9.0", "requorum_iso_url": "http://m/a.iso"})  # fmt: skip
    assert "UPGRADE" in capsys.readouterr().out.splitlines()[0] or name == "unknown"
    assert (tmp_path / "p.html").exists() and (tmp_path / "p.xml").exists()
    assert cli.main(["precheck", "-i", "h.yml", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == MADE[name]


def test_a_run_that_failed(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played.update(made=None, failures=["prod is no Harvester."])
    assert cli.main(["precheck", "-i", "h.yml"]) == 1
    assert "prod is no Harvester." in capsys.readouterr().err


def test_what_runs_is_the_oldest_of_version_and_nodes() -> None:
    """An upgrade that was stopped in phase 3 has written the new server-version; the same release is the next step."""
    nodes = [{"metadata": {"name": "n1"}, "status": {"nodeInfo": {"osImage": "Harvester v1.3.2"}}}]
    state = {"harvester": {"version": "v1.4.0"}, "target": {"version": "v1.4.0"}, "objects": {"nodes": nodes}}
    assert not list(_predicates_target.not_newer(state)) and not list(_predicates_target.hop(state))
    assert list(_predicates_target.not_newer({**state, "objects": {}}))
    assert list(_predicates_target.hop({**state, "target": {"version": "v1.4.1"}}))
