# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schemas of the lab's own kinds: objects of the lab and of all versions suit them, a wrong type does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from lab.harvester import crds, fleet, objects
from tests.unit.harvesters import VERSIONS, Harvester

JSON = dict[str, Any]
OURS = {(kind.group, kind.kind): kind for kind in crds.KINDS if kind.group != "cluster.x-k8s.io"}
EMPTY = {("harvesterhci.io", "UpgradeLog"), ("harvesterhci.io", "Preference"), ("longhorn.io", "BackupVolume"),
         ("longhorn.io", "Backup"), ("longhorn.io", "RecurringJob")}  # fmt: skip
"""Kinds that are exported, and of which no field is ever asked for."""


def schema(group: str, kind: str) -> JSON:
    """As a validator of JSON takes it: `nullable` is OpenAPI's word."""
    [version] = OURS[group, kind].manifest()["spec"]["versions"]
    return dict(_plain(version["schema"]["openAPIV3Schema"]))


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _plain(value) for key, value in node.items()}
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


def every() -> Iterator[JSON]:
    """Objects of the lab's clusters and stories, and of the fixtures of each version."""
    nodes = {"n1": "10.0.0.1", "n2": "10.0.0.2", "n3": "10.0.0.3"}
    yield from objects.cluster(nodes, living=["n1"])
    yield from objects.stuck_upgrade(dict.fromkeys(nodes, "Images preloaded"))
    yield fleet.chart("harvester", version="1.3.1")
    for version in VERSIONS:
        yield from Harvester(version).objects.values()


def test_every_kind_has_the_fields_that_are_used() -> None:
    known = {(group, kind) for group, kinds in crds.FIELDS.items() for kind in kinds}
    assert known | EMPTY == set(OURS)


def test_objects_that_are_used_suit_them() -> None:
    seen = set()
    for item in every():
        key = (item["apiVersion"].rpartition("/")[0], item["kind"])
        if key in OURS:
            seen.add(key)
            jsonschema.validate(item, schema(*key))
    assert len(seen) > 15


@pytest.mark.parametrize(
    ("group", "kind", "item"),
    [
        ("fleet.cattle.io", "Bundle", {"spec": {"forceSyncGeneration": "2"}}),
        ("fleet.cattle.io", "BundleDeployment", {"status": {"syncGeneration": "2"}}),
        ("management.cattle.io", "ManagedChart", {"spec": {"paused": "true"}}),
        ("provisioning.cattle.io", "Cluster", {"spec": {"rkeConfig": {"provisionGeneration": 1.5}}}),
        ("harvesterhci.io", "Upgrade", {"status": {"nodeStatuses": {"n1": "Succeeded"}}}),
        ("longhorn.io", "Volume", {"spec": {"numberOfReplicas": "3"}}),
        ("longhorn.io", "Node", {"spec": {"disks": {"d": {"allowScheduling": "no"}}}}),
        ("kubevirt.io", "VirtualMachine", {"status": {"conditions": [{"type": 5}]}}),
        ("upgrade.cattle.io", "Plan", {"spec": {"concurrency": "1"}}),
    ],
)
def test_a_wrong_type_is_refused(group: str, kind: str, item: JSON) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(item, schema(group, kind))


def test_null_where_it_may_be() -> None:
    jsonschema.validate({"status": {"syncGeneration": None}}, schema("fleet.cattle.io", "BundleDeployment"))
    jsonschema.validate({"spec": {"anything": {"that": "is not known"}}}, schema("fleet.cattle.io", "Bundle"))
