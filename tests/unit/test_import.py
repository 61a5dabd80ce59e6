# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an import would do: what is needed, in which order, what is refused, what differs; and the export it reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _import
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._import import (
    ATTACHMENTS,
    CLAIMS,
    CLASSES,
    CONFIGS,
    IMAGES,
    KEYS,
    LONGHORN,
    MACHINES,
    NAMESPACES,
    NETWORKS,
    SECRETS,
    TEMPLATES,
    VLANS,
    VOLUMES,
    Ref,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _importer
from tests.unit.test_export import serving, thing

JSON = dict[str, Any]
Objects = dict[Ref, JSON]
VM, PVC, IMAGE = Ref(MACHINES, "vms", "web"), Ref(CLAIMS, "vms", "disk"), Ref(IMAGES, "default", "image")


class Source:
    """An export in memory; a text is an object that cannot be read."""

    def __init__(self, objects: dict[Ref, JSON | str]) -> None:
        self.objects = objects

    def names(self, kind: str) -> list[Ref]:
        return [ref for ref in self.objects if ref.kind == kind]

    def get(self, ref: Ref) -> JSON | str | None:
        return self.objects.get(ref)


def put(ref: Ref, **body: Any) -> dict[Ref, JSON]:
    return {ref: thing(ref.name, ref.namespace, **body)}


def whole() -> dict[Ref, Any]:
    """A machine with one of everything."""
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "disk"}},
        {"name": "b", "cloudInitNoCloud": {"secretRef": {"name": "init"}, "networkDataSecretRef": {"name": "net"}}},
        {"name": "c", "sysprep": {"configMap": {"name": "sysprep"}}},
        {"name": "d", "containerDisk": {"image": "x"}},
    ]
    access = [{"userPassword": {"source": {"secret": {"secretName": "password"}}}}]
    spec = {"volumes": volumes, "networks": [{"multus": {"networkName": "default/vlan10"}}, {"pod": {}}],
            "accessCredentials": access}
    imported = {"harvesterhci.io/imageId": "default/image"}
    return {
        **put(Ref(NAMESPACES, "", "vms")),
        **put(Ref(NAMESPACES, "", "default")),
        **put(Ref(CLASSES, "", "longhorn-image")),
        **put(Ref(NETWORKS, "", "vlan")),
        **put(Ref(NETWORKS, "", "other")),
        **put(Ref(VLANS, "", "vlan-1"), spec={"clusterNetwork": "vlan"}),
        **put(Ref(VLANS, "", "other-1"), spec={"clusterNetwork": "other"}),
        **put(Ref(ATTACHMENTS, "default", "vlan10"),
              meta={"labels": {"network.harvesterhci.io/clusternetwork": "vlan"}}),
        **{ref: body for name in ("init", "net", "password", "unrelated")
           for ref, body in put(Ref(SECRETS, "vms", name), data={}).items()},
        **put(Ref(CONFIGS, "vms", "sysprep")),
        **put(Ref(KEYS, "default", "key")),
        **put(IMAGE, spec={"sourceType": "download"}),
        **put(Ref(VOLUMES, "", "pvc-1"), spec={"csi": {"volumeHandle": "pvc-1"}, "claimRef": {"name": "disk"}}),
        **put(PVC, meta={"annotations": imported}, spec={"storageClassName": "longhorn-image", "volumeName": "pvc-1",
                                                         "dataSource": {"name": "s"}}),
        **put(VM, meta={"annotations": {"harvesterhci.io/sshNames": '["default/key", "default/lost"]'}},
              spec={"running": True, "template": {"spec": spec}}),
    }  # fmt: skip


def plan(stored: dict[Ref, Any] | None = None, live: Objects | None = None, *names: str) -> _import.Plan:
    source, there = Source(whole() if stored is None else stored), live or {}
    return _import.make(_import.chosen(names or ["vms/web"], source), source, there.get, seconds=60)


def steps(made: _import.Plan) -> list[str]:
    return [f"{a['verb']} {a['kind'].partition('.')[0]} {a['name']}" for a in made.actions]


def why(made: _import.Plan, ref: Ref) -> str:
    return next(str(a["why"]) for a in made.actions if Ref(a["kind"], a["namespace"], a["name"]) == ref)


def test_all_that_a_machine_needs_in_the_order_of_the_facts() -> None:
    made = plan()
    assert steps(made) == [
        "create namespaces default", "create namespaces vms", "create clusternetworks vlan",
        "create vlanconfigs vlan-1", "create network-attachment-definitions vlan10", "create secrets init",
        "create secrets net", "create secrets password", "create configmaps sysprep", "create keypairs key",
        "create virtualmachineimages image", "wait virtualmachineimages image",
        "create persistentvolumeclaims disk", "create virtualmachines web",
    ]  # fmt: skip
    assert made.refusals == made.differences == made.notes == []


def test_a_machine_comes_back_halted_and_its_file_is_left_as_it_is() -> None:
    stored = whole()
    before = copy.deepcopy(stored)
    made = plan(stored)
    assert made.bodies[VM]["spec"]["runStrategy"] == "Halted" and "running" not in made.bodies[VM]["spec"]
    assert made.actions[-1]["what"] == "create it halted; its run strategy was Always"
    assert stored == before


PV, LH = Ref(VOLUMES, "", "pvc-1"), Ref(LONGHORN, "longhorn-system", "pvc-1")


@pytest.mark.parametrize(
    ("live", "created", "said"),
    [
        ({}, [], "pvc-1 is gone: it gets a fresh copy of the image default/image"),
        (put(LH), ["persistentvolumes", "storageclasses"], "its Longhorn volume"),
        (put(PV, status={"phase": "Available"}), ["storageclasses"], "takes its volume pvc-1 again"),
    ],
)
def test_a_claim_takes_its_volume_where_it_is_still_there(live: Objects, created: list[str], said: str) -> None:
    made = plan(live=live)
    spec = made.bodies[PVC]["spec"]
    assert said in why(made, PVC)
    assert ("volumeName" in spec) is ("dataSource" in spec) is bool(live)
    of = [a["kind"].partition(".")[0] for a in made.actions if a["kind"] in (VOLUMES, CLASSES)]
    assert sorted(of) == created
    assert ("wait virtualmachineimages image" in steps(made)) is not live


def test_a_volume_that_is_released_is_not_taken() -> None:
    made = plan(live=put(PV, status={"phase": "Released"}))
    assert "kubectl patch pv pvc-1" in made.refusals[0]


@pytest.mark.parametrize(
    ("ref", "becomes", "said"),
    [
        (Ref(SECRETS, "vms", "init"), None, "which virtualmachines.kubevirt.io vms/web needs, is neither in"),
        (Ref(SECRETS, "vms", "init"), "it is encrypted.", "cannot be read: it is encrypted."),
        (IMAGE, thing(spec={"sourceType": "upload"}), "made by upload"),
        (VM, None, "neither in the export nor in the cluster"),
        (Ref(NETWORKS, "", "vlan"), None, "clusternetworks.network.harvesterhci.io vlan, which"),
    ],
)
def test_what_is_refused(ref: Ref, becomes: Any, said: str) -> None:
    stored = whole() | {ref: becomes}
    made = plan({key: value for key, value in stored.items() if value is not None})
    assert [said in text for text in made.refusals] == [True]
    there = put(ref)
    assert ref == VM or not plan({k: v for k, v in stored.items() if v is not None}, there).refusals, "it is there"


def test_a_machine_that_the_export_does_not_know_is_said() -> None:
    assert "is not in the export" in plan({}, put(VM)).refusals[0]
    made = plan({VM: "it is encrypted."}, put(VM))
    assert made.refusals == [] and "cannot be compared: it is encrypted." in made.notes[0]


def test_what_is_there_is_left_alone_and_what_differs_is_shown() -> None:
    live: Objects = copy.deepcopy(whole())
    for document in live.values():
        document["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    live[VM]["spec"] = live[VM]["spec"] | {"runStrategy": "Halted"}
    live[VM]["metadata"]["annotations"]["of-a-controller"] = "x"
    made = plan(live=live)
    assert made.actions == made.differences == []
    live[VM]["spec"]["template"]["spec"]["networks"][0]["multus"]["networkName"] = "other"
    live[Ref(CONFIGS, "vms", "sysprep")]["data"] = {"a": "b"}
    live[Ref(NAMESPACES, "", "vms")]["metadata"]["annotations"] = {"a": "b"}
    shown = {d["name"]: d["paths"] for d in plan(live=live).differences}
    assert shown == {"web": ["spec.template.spec.networks[0].multus.networkName"], "sysprep": ["data"]}


def test_a_machine_that_is_there_gets_what_it_lacks() -> None:
    live = {ref: body for ref, body in whole().items() if ref != Ref(SECRETS, "vms", "init")}
    assert steps(plan(live=live)) == ["create secrets init"]


def test_an_image_that_is_still_fetched_is_waited_for() -> None:
    live = {ref: body for ref, body in whole().items() if ref not in (PVC, VM, PV)}
    assert steps(plan(live=live))[0] == "wait virtualmachineimages image"
    live[IMAGE] = live[IMAGE] | {"status": {"conditions": [{"type": "Imported", "status": "True"}]}}
    assert steps(plan(live=live)) == ["create persistentvolumeclaims disk", "create virtualmachines web"]


def test_all_takes_what_no_upgrade_owns() -> None:
    owned = {"labels": {_import.OF_UPGRADE: "hvst-upgrade-x"}}
    more: dict[Ref, Any] = {
        **put(Ref(MACHINES, "harvester-system", "upgrade-repo"), meta=owned, spec={}),
        **put(Ref(IMAGES, "default", "uploaded"), spec={"sourceType": "upload"}),
        **put(Ref(TEMPLATES, "default", "template")),
    }
    made = plan(whole() | more, None, "all")
    assert not any("upgrade-repo" in step or "unrelated" in step or "other" in step for step in steps(made))
    assert "create virtualmachinetemplates template" in steps(made) and made.refusals == []
    assert "made by upload" in made.notes[0], "nobody needs it, so it stops nothing"


@pytest.mark.parametrize(
    ("conditions", "imported", "failed"),
    [
        ([], False, ""),
        ([("Imported", "True", "")], True, ""),
        ([("Imported", "False", "404"), ("RetryLimitExceeded", "False", "")], False, ""),
        ([("Imported", "False", "404"), ("RetryLimitExceeded", "True", "")], False, "404"),
        ([("RetryLimitExceeded", "True", "")], False, "its download failed too often"),
    ],
)
def test_images(conditions: list[tuple[str, str, str]], imported: bool, failed: str) -> None:
    image = thing(status={"conditions": [dict(zip(("type", "status", "message"), c, strict=True)) for c in conditions]})
    assert (_import.imported(image), _import.failed(image)) == (imported, failed)


def test_a_claim_gets_the_class_that_its_image_has_here() -> None:
    claim = thing(spec={"storageClassName": "longhorn-old"})
    image = thing(status={"storageClassName": "lh-new"})
    assert _import.from_image(claim, image)["spec"] == {"storageClassName": "lh-new"}
    assert _import.from_image(claim, None) is claim


# What lies on the controller


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export with a passphrase: a machine and a secret."""
    (tmp_path / "p").write_text("of the test")
    lists = {"secrets": [thing("init", "vms", data={"a": "Z2VoZWlt"})], MACHINES: [thing("web", "vms", spec={})]}
    _exporter.run(str(tmp_path / "e"), cluster="c", api=serving(lists), passphrase_file=str(tmp_path / "p"))
    return tmp_path / "e"


SECRET = Ref(SECRETS, "vms", "init")


def test_an_export_is_read_again(folder: Path) -> None:
    source = _importer.Stored(str(folder), _exporter.locked_by(str(folder.parent / "p")))
    assert source.names(MACHINES) == [VM] and source.names(SECRETS) == [SECRET] and source.names(KEYS) == []
    assert source.get(SECRET) == thing("init", "vms", data={"a": "Z2VoZWlt"})
    assert source.get(Ref(SECRETS, "vms", "other")) is None


@pytest.mark.parametrize(("passphrase", "said"), [("", "it is encrypted: name"), ("other", "does not open it")])
def test_a_secret_needs_its_passphrase(folder: Path, passphrase: str, said: str) -> None:
    (folder.parent / "q").write_text(passphrase or "x")
    source = _importer.Stored(str(folder), _exporter.locked_by(str(folder.parent / "q")) if passphrase else None)
    assert said in str(source.get(SECRET)) and source.names(SECRETS) == [SECRET]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "expected"),
        ("- a\n", "no object of Kubernetes"),
        ("kind: X\nmetadata: {}\n", "has no name"),
        ("kind: X\nmetadata: {name: other}\n", "another object"),
    ],
)
def test_files_that_somebody_has_changed(folder: Path, text: str, said: str) -> None:
    (folder / "vms" / MACHINES / "web.yaml").write_text(text)
    assert said in str(_importer.Stored(str(folder), None).get(VM))


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="is no export"):
        _importer.Stored(str(tmp_path), None)
    (tmp_path / "export.json").write_text(json.dumps({"schema": 1}))
    with pytest.raises(RequorumError, match="is no export"):
        _importer.Stored(str(tmp_path), None)


def test_what_an_export_without_a_passphrase_has_left_out_is_said(tmp_path: Path) -> None:
    _exporter.run(str(tmp_path / "e"), cluster="c", api=serving({"secrets": [thing("init", "vms", data={})]}))
    source = _importer.Stored(str(tmp_path / "e"), None)
    assert "without a passphrase" in str(source.get(SECRET)) and source.get(VM) is None


def test_the_cluster_is_asked_for_each_list_once() -> None:
    asked: list[str] = []

    def answer(request: _api.Request) -> _api.Answer:
        asked.append(request.url)
        if request.kind.version == "v1" and request.kind.plural == "virtualmachines":
            return _api.Answer("NotFound")
        if request.name:
            return _api.Answer("", "", thing(request.name))
        return _api.Answer("", "", {"items": [thing("web", "vms")], "metadata": {}})

    living = _importer.Living(_api.Api(answer, where="r1"))
    assert living.get(VM) and living.get(VM._replace(name="other")) is None and living.get(SECRET)
    assert living.kind(MACHINES).version == "v1alpha3", "an old KubeVirt"
    assert living.served(MACHINES) and living.kind(SECRETS).version == "v1"
    assert len(asked) == 3
