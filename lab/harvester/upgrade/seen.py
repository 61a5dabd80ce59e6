# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the controllers of an upgrade look at: they change a copy of it, and the difference is written.

The names of the kinds are those of `objects` in the state that rules are asked of.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.fleet import difference

JSON = dict[str, Any]
SUC = "cattle-system"
SINCE = "lab.requorum/since"
"""Since when an object is there, in seconds: the API's own stamps are whole ones."""
OF, COMPONENT = "harvesterhci.io/upgrade", "harvesterhci.io/upgradeComponent"
LATEST, STATE = "harvesterhci.io/latestUpgrade", "harvesterhci.io/upgradeState"
MACHINE_NAME, MACHINE = "rke.cattle.io/machine-name", "cluster.x-k8s.io/machine"
MANAGED = "harvesterhci.io/managed"
LOG = "lab.requorum/log"
"""On a pod of a job: the lines that it has said."""
_HARVESTER, _KUBEVIRT, _LONGHORN = "harvesterhci.io/v1beta1", "kubevirt.io/v1", "longhorn.io/v1beta2"
WORDS: dict[str, tuple[str, str, str]] = {
    "upgrades": (_HARVESTER, "Upgrade", objects.SYSTEM),
    "versions": (_HARVESTER, "Version", objects.SYSTEM),
    "upgradelogs": (_HARVESTER, "UpgradeLog", objects.SYSTEM),
    "images": (_HARVESTER, "VirtualMachineImage", objects.SYSTEM),
    "config": (_HARVESTER, "Setting", ""),
    "plans": ("upgrade.cattle.io/v1", "Plan", SUC),
    "preparing": ("batch/v1", "Job", SUC),
    "jobs": ("batch/v1", "Job", objects.SYSTEM),
    "pods": ("v1", "Pod", ""),
    "nodes": ("v1", "Node", ""),
    "secrets": ("v1", "Secret", objects.FLEET),
    "clusters": ("cluster.x-k8s.io/v1beta1", "Cluster", objects.FLEET),
    "capi": ("cluster.x-k8s.io/v1beta1", "Machine", objects.FLEET),
    "provisioning": ("provisioning.cattle.io/v1", "Cluster", objects.FLEET),
    "charts": ("management.cattle.io/v3", "ManagedChart", objects.FLEET),
    "bundles": ("fleet.cattle.io/v1alpha1", "Bundle", objects.FLEET),
    "vms": (_KUBEVIRT, "VirtualMachine", ""),
    "guests": (_KUBEVIRT, "VirtualMachineInstance", ""),
    "volumes": (_LONGHORN, "Volume", objects.LONGHORN),
    "engines": (_LONGHORN, "Engine", objects.LONGHORN),
    "replicas": (_LONGHORN, "Replica", objects.LONGHORN),
    "settings": (_LONGHORN, "Setting", objects.LONGHORN),
    "budgets": ("policy/v1", "PodDisruptionBudget", ""),
}
"""Name -> apiVersion, kind, namespace in which they are looked for; empty for all."""


def kind_of(name: str) -> _api.Kind:
    """How the API serves a kind of `WORDS`."""
    version, word, _where = WORDS[name]
    if word == "PodDisruptionBudget":
        return _api.Kind("policy", "v1", "poddisruptionbudgets")
    return objects.kind_of({"apiVersion": version, "kind": word})


@dataclass
class World:
    """The objects, a clock and what is spoilt; whoever changes an object changes it here."""

    objects: dict[str, list[JSON]]
    now: float = 0.0
    faults: Mapping[str, str] = field(default_factory=dict)
    """Name of a stall -> what it is about; also `pace`."""
    said: list[str] = field(default_factory=list)
    """Errors of Harvester's handlers, which stand in its log only."""
    hosts: frozenset[str] = frozenset()
    """Nodes that are hosts: their kubelet writes what they are, so they must become it."""
    wishes: list[tuple[str, str, str]] = field(default_factory=list)
    """What they shall become: host, field of nodeInfo, value."""
    uids: dict[tuple[str, str], str] = field(default_factory=dict)
    """Of what was made in this look, by kind and name."""

    def __getitem__(self, name: str) -> list[JSON]:
        return self.objects.setdefault(name, [])

    def one(self, kind: str, name: str, namespace: str = "") -> JSON | None:
        """The object of this name."""
        for item in self[kind]:
            if name_of(item) == name and namespace in ("", item["metadata"].get("namespace", "")):
                return item
        return None

    def add(self, kind: str, item: JSON) -> JSON:
        """Make an object, unless there is one of its name."""
        meta = item["metadata"]
        if found := self.one(kind, meta["name"], meta.get("namespace", "")):
            return found
        version, word, _where = WORDS[kind]
        notes(item)[SINCE] = f"{self.now:.3f}"
        meta.setdefault("creationTimestamp", self.stamp)
        made = {"apiVersion": version, "kind": word, **item}
        self[kind].append(made)
        return made

    def drop(self, kind: str, item: JSON) -> None:
        """Delete an object."""
        self[kind].remove(item)

    def old(self, item: JSON, steps: float = 1) -> bool:
        """Whether an object has been there for so many steps."""
        return self.now - float(notes(item).get(SINCE) or 0) >= steps * self.pace

    @property
    def pace(self) -> float:
        """Seconds of a step."""
        return float(self.faults.get("pace") or 1)

    @property
    def stamp(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now))

    def stalls(self, name: str, about: str = "") -> bool:
        """Whether this stall is asked for, about this thing or about any."""
        return name in self.faults and (not about or self.faults[name] in ("", about))

    def acknowledges(self, node: str, hook: str) -> bool:
        """Whether Harvester gets to answer a hook."""
        return not self.stalls(f"{hook.rpartition('/')[2]}-unanswered", node)

    def node(self, machine: str) -> str:
        """Name of the Node of a Machine; or empty."""
        found = self.one("capi", machine) or {}
        return str(((found.get("status") or {}).get("nodeRef") or {}).get("name") or "")


def name_of(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["name"])


def labels(item: JSON) -> dict[str, str]:
    """Those of an object, to read and to write."""
    return _part(item["metadata"], "labels")


def notes(item: JSON) -> dict[str, str]:
    """Annotations of an object, to read and to write."""
    return _part(item["metadata"], "annotations")


def status(item: JSON) -> JSON:
    """Status of an object, to read and to write."""
    return _part(item, "status")


def _part(item: JSON, name: str) -> JSON:
    if not isinstance(item.get(name), dict):
        item[name] = {}
    part: JSON = item[name]
    return part


def condition(item: Mapping[str, Any], kind: str) -> str:
    """Status of a condition; empty where there is none."""
    found = (item.get("status") or {}).get("conditions") or ()
    return next((str(each.get("status")) for each in found if each["type"] == kind), "")


def changes(before: Mapping[str, list[JSON]], after: World) -> Iterator[_api.Request]:
    """Requests that make what the API has into what the controllers want.

    Pods come behind those that own them, and an Upgrade tells of all at last: a look that is broken off is made again.
    """
    last = ("pods", "upgrades")
    for name, items in sorted(after.objects.items(), key=lambda e: last.index(e[0]) + 1 if e[0] in last else 0):
        kind = kind_of(name)
        old = {_key(item): item for item in before.get(name, ())}
        for item in items:
            have = old.pop(_key(item), None)
            space = item["metadata"].get("namespace", "")
            if have is None:
                yield _api.Request("create", kind, space, body=copy.deepcopy(item))
            elif changed := difference(_filled(have), _filled(item)):
                yield from _patches(kind, item, changed)
        for item in old.values():
            yield _api.Request("delete", kind, item["metadata"].get("namespace", ""), name_of(item))


def _patches(kind: _api.Kind, item: JSON, changed: JSON) -> Iterator[_api.Request]:
    space, name = item["metadata"].get("namespace", ""), name_of(item)
    parted = changed.pop("status", None) if objects.parted(item) else None
    if changed:
        yield _api.Request("patch", kind, space, name, changed)
    if parted is not None:
        yield _api.Request("patch", kind, space, name, {"status": parted}, subresource="status")


def _filled(item: JSON) -> JSON:
    """Without what is empty because somebody has only looked at it."""
    meta = {key: value for key, value in item["metadata"].items() if value or key not in ("labels", "annotations")}
    return {key: value for key, value in item.items() if value or key != "status"} | {"metadata": meta}


def _key(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item["metadata"].get("namespace") or ""), name_of(item)


def safe(*words: str) -> str:
    """A name out of words, cut as wrangler cuts it."""
    whole = "-".join(words)
    if len(whole) < 64:
        return whole
    digest, last = hashlib.sha256(whole.encode()).hexdigest(), whole[56]
    return f"{whole[:57]}-{digest[:5]}" if (last.isalnum() and last.islower()) or last.isdigit() else (
        f"{whole[:56]}-{digest[:6]}")


def digest(value: object, length: int = 5) -> str:
    """A short word that stands for a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:length]
