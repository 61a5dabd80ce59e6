# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a Harvester are exported from its API and from a snapshot, and a lost machine comes back."""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

import requorum
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export
from lab import drill
from lab.harvester import crds, play
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

SLOW = ("*without_a_passphrase*", "*volume_is_gone*", "*api_down*", "*comes_back_halted*")

JSON = dict[str, Any]
PASSPHRASE = "a passphrase of the lab"
CLOUD = "#cloud-config\npassword: in-cloud-init-4711\n"
SECRETS = ["in-cloud-init-4711", base64.b64encode(CLOUD.encode()).decode(), "inline-4712", "of-the-bucket-4713"]
HALTED = {"runStrategy": "Halted"}


def kind(name: str) -> _api.Kind:
    return _export.NAMED[name].kinds[0]


VM, SECRET, IMAGE = kind("virtualmachines.kubevirt.io"), kind("secrets"), kind("virtualmachineimages.harvesterhci.io")
CLAIM, VOLUME = kind("persistentvolumeclaims"), kind("persistentvolumes")
ATTACHMENT = kind("network-attachment-definitions.k8s.cni.cncf.io")


def make(api: _api.Api, of: _api.Kind, name: str, namespace: str = "", labels: JSON | None = None,
         annotations: JSON | None = None, status: JSON | None = None, **body: Any) -> None:
    meta = {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}}
    kinds = {defined.name: defined.kind for defined in crds.KINDS} | {
        "namespaces": "Namespace", "secrets": "Secret", "persistentvolumeclaims": "PersistentVolumeClaim",
        "persistentvolumes": "PersistentVolume", "storageclasses.storage.k8s.io": "StorageClass"}
    version = f"{of.group}/{of.version}".lstrip("/")
    api.create(of, {"apiVersion": version, "kind": kinds[of.name], "metadata": meta, **body})
    if status:
        api.patch(of, name, {"status": status}, namespace, subresource="status")


def machine(api: _api.Api, name: str, volumes: list[JSON], **annotations: str) -> None:
    spec = {"domain": {"cpu": {"cores": 2}}, "volumes": volumes,
            "networks": [{"name": "default", "multus": {"networkName": "default/vlan10"}}]}
    make(api, VM, name, "vms", annotations={f"harvesterhci.io/{key}": text for key, text in annotations.items()},
         status={"printableStatus": "Running"}, spec={"runStrategy": "RerunOnFailure", "template": {"spec": spec}})


def write(api: _api.Api) -> None:
    """Two machines and all that they stand on."""
    make(api, kind("namespaces"), "vms")
    for name, parameters in (("longhorn", {"numberOfReplicas": "3"}), ("longhorn-image-abcde", {"backingImage": "x"})):
        make(api, kind("storageclasses.storage.k8s.io"), name, provisioner="driver.longhorn.io",
             parameters=parameters, allowVolumeExpansion=True)
    make(api, kind("clusternetworks.network.harvesterhci.io"), "vlan")
    make(api, kind("vlanconfigs.network.harvesterhci.io"), "vlan-1", spec={"clusterNetwork": "vlan"})
    make(api, ATTACHMENT, "vlan10", "default", labels={"network.harvesterhci.io/clusternetwork": "vlan"},
         spec={"config": '{"type": "bridge", "vlan": 10}'})
    make(api, kind("keypairs.harvesterhci.io"), "key", "default", spec={"publicKey": "ssh-ed25519 AAAA"})
    make(api, IMAGE, "image-abcde", "default", spec={"sourceType": "download", "url": "https://x/y.qcow2"},
         status={"conditions": [{"type": "Imported", "status": "True"}], "storageClassName": "longhorn-image-abcde"})
    make(api, SECRET, "web-1-init", "vms", stringData={"userdata": CLOUD})
    handle = {"driver": "driver.longhorn.io", "volumeHandle": "pvc-1", "fsType": "ext4"}
    make(api, VOLUME, "pvc-1", spec={
        "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteMany"], "csi": handle, "volumeMode": "Block",
        "claimRef": {"namespace": "vms", "name": "web-1-disk-0"}, "storageClassName": "longhorn-image-abcde"})
    for number, volume in ((1, {"volumeName": "pvc-1"}), (2, {})):
        make(api, CLAIM, f"web-{number}-disk-0", "vms", annotations={"harvesterhci.io/imageId": "default/image-abcde"},
             spec={"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}},
                   "volumeMode": "Block", "storageClassName": "longhorn-image-abcde", **volume})
    make(api, kind("volumes.longhorn.io"), "pvc-1", "longhorn-system", spec={"numberOfReplicas": 2},
         status={"state": "attached", "robustness": "degraded"})
    for name, node, failed in (("r-1", "node-1", ""), ("r-2", "node-2", "2026-01-01T00:00:00Z")):
        make(api, kind("replicas.longhorn.io"), f"pvc-1-{name}", "longhorn-system",
             spec={"volumeName": "pvc-1", "nodeID": node, "healthyAt": "2026-01-01T00:00:00Z", "failedAt": failed})
    disk = {"name": "disk-0", "persistentVolumeClaim": {"claimName": "web-1-disk-0"}}
    machine(api, "web-1", [disk, {"name": "init", "cloudInitNoCloud": {"secretRef": {"name": "web-1-init"}}}],
            sshNames='["default/key"]')
    machine(api, "web-2", [{"name": "init", "cloudInitNoCloud": {"userData": "password: inline-4712"}}])
    make(api, kind("settings.harvesterhci.io"), "backup-target",
         value=json.dumps({"type": "s3", "secretAccessKey": "of-the-bucket-4713"}))


def importing(api: _api.Api) -> None:
    """Harvester's controller of images, as far as an import waits for it."""
    for image in api.items(IMAGE) or ():
        if not image.get("status"):
            name = image["metadata"]["name"]
            status = {"conditions": [{"type": "Imported", "status": "True"}], "storageClassName": f"longhorn-{name}"}
            api.patch(IMAGE, name, {"status": status}, image["metadata"]["namespace"], subresource="status")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One RKE2 server that serves the kinds of Harvester."""
    lab = Lab(f"test-export-{os.getpid()}", "rke2", 1, 0)
    lab.up()
    crds.define(lab)
    write(play.client(lab))
    yield lab
    lab.down()


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text(f"{PASSPHRASE}\n")
    return path


def run(name: str, lab: Lab, output: Path, *, check: bool = False, **variables: Any) -> requorum.Result:
    given = {f"requorum_{key}": value for key, value in variables.items()}
    return requorum.run(name, lab.inventory, {"requorum_output": str(output), **given}, check=check)


def exported(lab: Lab, output: Path, **variables: Any) -> JSON:
    outcome = run("export", lab, output, **variables)
    assert not outcome.failures, outcome.failures
    return outcome.results["cluster_export"]


def tree(folder: str | Path) -> dict[str, Any]:
    """Every object of an export by its path, decrypted."""
    vault, found = VaultLib([("default", VaultSecret(PASSPHRASE.encode()))]), {}
    for path in sorted(Path(folder).rglob("*.yaml")):
        data = path.read_bytes()
        found[str(path.relative_to(folder))] = yaml.safe_load(vault.decrypt(data) if b"$ANSIBLE" in data[:9] else data)
    return found


def snapshot(lab: Lab, folder: Path) -> Path:
    """A snapshot of the lab on this machine."""
    first = lab.servers[0]
    lab.sh(first, f"{lab.spec.supervisor.binary} etcd-snapshot save --name export", 120).ok("snapshot")
    words = [str(Path(sys.executable).parent / "requorum"), "snapshot", "get", first, "--json",
             "-i", str(lab.inventory), "-e", f"requorum_output={folder}"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=True)
    return Path(json.loads(done.stdout)["path"])


def test_the_api_and_a_snapshot_give_the_same_tree(lab: Lab, tmp_path: Path, passphrase: Path) -> None:
    by_api = exported(lab, tmp_path, export_passphrase_file=str(passphrase))
    assert by_api["source"] == f"the API ({lab.servers[0]})" and by_api["machines"] == 2
    folder = Path(by_api["folder"])
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert by_api["encrypted"]["virtualmachines.kubevirt.io"] == 1, "the one with cloud-init of its own"
    assert {"settings.harvesterhci.io", "secrets"} < set(by_api["encrypted"])
    assert story.places_of(SECRETS, tmp_path) == []

    first = next(csv.DictReader((folder / "index.csv").open()))
    assert (first["vm"], first["claim"], first["volume"]) == ("web-1", "web-1-disk-0", "pvc-1")
    assert (first["health"], first["replicas"]) == ("attached, degraded, 2 replicas", "node-1, node-2 (failed)")
    assert "node-2 (failed)" in (folder / "index.html").read_text()

    token = tmp_path / "token"
    token.write_text(lab.spec.token)
    program, file = Path(sys.executable).parent / "requorum", snapshot(lab, tmp_path)
    words = [str(program), "export", "--json", "--snapshot", str(file), "--token-file", str(token),
             "--passphrase-file", str(passphrase), "--output", str(tmp_path / "from-file")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    by_file = json.loads(done.stdout)
    one, other = tree(folder), tree(by_file["folder"])
    assert sorted(one) == sorted(other)
    assert {path: (one[path], other[path]) for path in one if one[path] != other[path]} == {}
    assert set(by_file["not_installed"]) == set(by_api["not_installed"]) and not by_file["warnings"]
    assert (Path(by_file["folder"]) / "index.csv").read_text() == (folder / "index.csv").read_text()
    assert one["vms/secrets/web-1-init.yaml"]["data"]["userdata"] == SECRETS[1]


def test_without_a_passphrase_secrets_are_counted_and_nowhere(lab: Lab, tmp_path: Path) -> None:
    done = exported(lab, tmp_path)
    assert done["encrypted"] == {} and "secrets" not in done["counts"]
    left = {entry["kind"]: entry["count"] for entry in done["left_out"] if "passphrase" in entry["why"]}
    assert left["virtualmachines.kubevirt.io"] == 1 and left["secrets"] >= 1 and left["settings.harvesterhci.io"] == 1
    assert story.places_of([*SECRETS, *story.every_secret(lab)], Path(done["folder"])) == []


def test_a_lost_machine_comes_back_halted(lab: Lab, tmp_path: Path, passphrase: Path) -> None:
    done = exported(lab, tmp_path, export_passphrase_file=str(passphrase))
    variables = {"export": done["folder"], "export_passphrase_file": str(passphrase), "vms": ["vms/web-1"]}
    api = play.client(lab)
    whole = tree(done["folder"])["vms/virtualmachines.kubevirt.io/web-1.yaml"]

    idle = run("import", lab, tmp_path, **variables)
    assert not idle.failures and idle.results["cluster_import"]["requorum_actions"] == []

    for of, name, namespace in ((VM, "web-1", "vms"), (SECRET, "web-1-init", "vms"), (ATTACHMENT, "vlan10", "default"),
                                (kind("clusternetworks.network.harvesterhci.io"), "vlan", ""),
                                (IMAGE, "image-abcde", "default")):
        assert api.delete(of, name, namespace)
    for of, name, namespace in ((CLAIM, "web-1-disk-0", "vms"), (VOLUME, "pvc-1", "")):
        api.delete(of, name, namespace)
        api.patch(of, name, {"metadata": {"finalizers": None}}, namespace)  # nobody honours them here
    api.patch(kind("vlanconfigs.network.harvesterhci.io"), "vlan-1", {"spec": {"uplink": "changed"}})

    planned = run("import", lab, tmp_path, check=True, **variables)
    assert not planned.failures, planned.failures
    shown = planned.results["cluster_import"]
    assert [(a["verb"], a["kind"].partition(".")[0], a["name"]) for a in shown["requorum_actions"]] == [
        ("create", "clusternetworks", "vlan"),
        ("create", "network-attachment-definitions", "vlan10"),
        ("create", "secrets", "web-1-init"),
        ("create", "persistentvolumes", "pvc-1"),
        ("create", "persistentvolumeclaims", "web-1-disk-0"),
        ("create", "virtualmachines", "web-1"),
    ]
    assert [(d["name"], d["paths"]) for d in shown["differences"]] == [("vlan-1", ["spec.uplink"])]
    assert api.get(VM, "web-1", "vms") is None and api.get(SECRET, "web-1-init", "vms") is None

    refused = run("import", lab, tmp_path, **variables)
    assert any("requorum_confirm" in text for text in refused.failures)
    assert api.get(VM, "web-1", "vms") is None
    given = json.dumps({f"requorum_{key}": value for key, value in {**variables, "confirm": lab.name}.items()})
    cut = drill.started(lab, "playbooks/import.yml", "-e", given, alone=True)
    first = kind("clusternetworks.network.harvesterhci.io")
    wait_for("its first object", lambda: (api.get(first, "vlan") is not None, ""), 60, poll=0)
    drill.kill_family(cut.pid)
    cut.wait()
    wet = run("import", lab, tmp_path, **variables, confirm=lab.name)
    assert not wet.failures, wet.failures
    left = wet.results["cluster_import"]["requorum_actions"]
    assert 0 < len(left) < len(shown["requorum_actions"]) and left == shown["requorum_actions"][-len(left) :]

    back = _export.strip(VM.name, api.get(VM, "web-1", "vms") or {})
    assert back == {**whole, "spec": {**whole["spec"], **HALTED}}
    claim = api.get(CLAIM, "web-1-disk-0", "vms") or {}
    assert claim["spec"]["volumeName"] == "pvc-1", "its Longhorn volume was still there"
    assert (api.get(SECRET, "web-1-init", "vms") or {})["data"]["userdata"] == SECRETS[1]
    again = run("import", lab, tmp_path, **variables)
    assert not again.failures and again.results["cluster_import"]["requorum_actions"] == []


def test_a_machine_whose_volume_is_gone_gets_a_new_one_from_its_image(
    lab: Lab, tmp_path: Path, passphrase: Path
) -> None:
    api = play.client(lab)
    if api.get(IMAGE, "image-abcde", "default") is None:
        make(api, IMAGE, "image-abcde", "default", spec={"sourceType": "download", "url": "https://x/y.qcow2"})
    machine(api, "web-3", [{"name": "disk-0", "persistentVolumeClaim": {"claimName": "web-3-disk-0"}}])
    make(api, CLAIM, "web-3-disk-0", "vms", annotations={"harvesterhci.io/imageId": "default/image-abcde"},
         spec={"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}},
               "storageClassName": "longhorn-of-old", "volumeName": "pvc-gone"})
    done = exported(lab, tmp_path, export_passphrase_file=str(passphrase))
    for of, name, namespace in ((VM, "web-3", "vms"), (IMAGE, "image-abcde", "default")):
        assert api.delete(of, name, namespace)
    api.delete(CLAIM, "web-3-disk-0", "vms")
    api.patch(CLAIM, "web-3-disk-0", {"metadata": {"finalizers": None}}, "vms")

    variables = {"export": done["folder"], "vms": ["vms/web-3"], "confirm": lab.name}
    late = run("import", lab, tmp_path, **variables, timeouts={"image": 3})
    assert any("is imported: not within 3 s" in text for text in late.failures), late.failures
    made = [(a["verb"], a["name"]) for a in late.results["cluster_import"]["requorum_actions"]]
    assert made == [("create", "image-abcde")], "what was done before the deadline is told"
    assert api.get(VM, "web-3", "vms") is None

    with play.playing(lab, [importing]):
        wet = run("import", lab, tmp_path, **variables)
    assert not wet.failures, wet.failures
    why = {a["kind"]: a["why"] for a in wet.results["cluster_import"]["requorum_actions"]}
    assert "pvc-gone is gone: it gets a fresh copy of the image default/image-abcde" in why["persistentvolumeclaims"]
    claim = (api.get(CLAIM, "web-3-disk-0", "vms") or {})["spec"]
    assert "volumeName" not in claim and claim["storageClassName"] == "longhorn-image-abcde"


def test_with_the_api_down_the_snapshot_is_exported(lab: Lab, tmp_path: Path, passphrase: Path) -> None:
    token = tmp_path / "token"
    token.write_text(lab.spec.token)
    file = snapshot(lab, tmp_path)
    story.stop(lab, lab.servers[0])
    given: JSON = {"export_passphrase_file": str(passphrase), "token_file": str(token)}
    nothing = run("export", lab, tmp_path, **given)
    assert any("requorum_snapshot" in text for text in nothing.failures)
    done = exported(lab, tmp_path, **given, snapshot=str(file))
    assert done["source"] == f"the snapshot {file}" and done["machines"] >= 2 and done["counts"]["secrets"] >= 1
    assert story.places_of(SECRETS, Path(done["folder"])) == []
