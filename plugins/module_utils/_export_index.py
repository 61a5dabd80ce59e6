# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Where the disks of virtual machines lie: machine, disk, claim, Longhorn volume, replicas and their nodes.

Of each object only a few words are kept, so that the objects themselves can come and go one after the other.
"""

from __future__ import annotations

import csv
import io
import json
import typing as t
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

JSON = dict[str, t.Any]
TEMPLATES = "harvesterhci.io/volumeClaimTemplates"
IMAGE = "harvesterhci.io/imageId"
_OTHERS = {
    "cloudInitNoCloud": "cloud-init",
    "cloudInitConfigDrive": "cloud-init",
    "containerDisk": "container image",
    "configMap": "ConfigMap",
    "secret": "Secret",
    "sysprep": "Sysprep",
    "hostDisk": "disk of the host",
    "emptyDisk": "empty disk",
    "serviceAccount": "service account",
    "downwardAPI": "downward API",
}


@dataclass(frozen=True)
class Row:
    """One disk of a virtual machine; a machine without disks has one row too."""

    namespace: str
    vm: str
    wanted: str
    """Its run strategy."""
    state: str
    """As KubeVirt printed it; empty when it was not read."""
    disk: str = ""
    kind: str = ""
    claim: str = ""
    size: str = ""
    storage_class: str = ""
    image: str = ""
    volume: str = ""
    health: str = ""
    replicas: str = ""
    """`node-1, node-2 (failed)`."""


HEADER = tuple(field.name for field in fields(Row))


class Index:
    """Give it every object, in any order; the rows hold afterwards."""

    def __init__(self) -> None:
        self._machines: dict[tuple[str, str], tuple[str, str, list[tuple[str, str, str]], dict[str, JSON]]] = {}
        self._claims: dict[tuple[str, str], tuple[str, str, str, str]] = {}
        self._handles: dict[str, str] = {}
        self._volumes: dict[str, str] = {}
        self._replicas: dict[str, dict[str, str]] = {}

    def take(self, kind: str, document: JSON) -> None:
        """An object as it was read, its status with it."""
        metadata, spec, status = (_map(document, part) for part in ("metadata", "spec", "status"))
        place = (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
        if kind == "virtualmachines.kubevirt.io":
            strategy = str(spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted"))
            disks = list(_disks(_map(spec, "template", "spec").get("volumes")))
            self._machines[place] = (strategy, str(status.get("printableStatus") or ""), disks, _templates(metadata))
        elif kind == "persistentvolumeclaims":
            image = str(_map(metadata, "annotations").get(IMAGE) or "")
            self._claims[place] = (_size(spec), str(spec.get("storageClassName") or ""), image,
                                   str(spec.get("volumeName") or ""))  # fmt: skip
        elif kind == "persistentvolumes":
            self._handles[place[1]] = str(_map(spec, "csi").get("volumeHandle") or "")
        elif kind == "volumes.longhorn.io":
            wanted, health = spec.get("numberOfReplicas"), status.get("robustness")
            words = (status.get("state"), health if status.get("state") != "detached" else "", f"{wanted} replicas")
            self._volumes[place[1]] = ", ".join(str(word) for word in words if word)
        elif kind == "replicas.longhorn.io":
            sound = bool(spec.get("healthyAt")) and not spec.get("failedAt")
            where = str(spec.get("nodeID") or "no node")
            self._replicas.setdefault(str(spec.get("volumeName") or ""), {})[place[1]] = (
                where if sound else f"{where} (failed)" if spec.get("failedAt") else f"{where} (not complete)"
            )

    def rows(self) -> t.Iterator[Row]:
        """By namespace and name, disks in the machine's order."""
        for (namespace, name), (strategy, state, disks, templates) in sorted(self._machines.items()):
            if not disks:
                yield Row(namespace, name, strategy, state)
            for disk, kind, claim in disks:
                row = Row(namespace, name, strategy, state, disk, kind, claim)
                yield self._with_volume(row, templates.get(claim)) if kind == "claim" else row

    def _with_volume(self, row: Row, template: JSON | None) -> Row:
        found = self._claims.get((row.namespace, row.claim))
        if found is None:
            spec = _map(template or {}, "spec")
            image = str(_map(template or {}, "metadata", "annotations").get(IMAGE) or "")
            size, storage_class, volume = _size(spec), str(spec.get("storageClassName") or ""), ""
        else:
            size, storage_class, image, bound = found
            volume = self._handles.get(bound) or bound
        health = self._volumes.get(volume, "") if volume else "no such claim" if found is None else "not bound"
        return Row(
            **{
                **asdict(row),
                "size": size,
                "storage_class": storage_class,
                "image": image,
                "volume": volume,
                "health": health,
                "replicas": ", ".join(sorted(self._replicas.get(volume, {}).values())),
            }
        )


def as_csv(rows: t.Iterable[Row]) -> str:
    """One line per disk. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for row in rows:
        writer.writerow("'" + cell if cell[:1] in ("=", "+", "-", "@", "\t") else cell for cell in astuple(row))
    return out.getvalue()


def as_html(rows: t.Iterable[Row], manifest: JSON) -> str:
    """One page without scripts and without requests."""
    from jinja2 import ChainableUndefined, Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("export.html.j2").render(rows=rows, m=manifest)


def _disks(volumes: t.Any) -> t.Iterator[tuple[str, str, str]]:
    """(disk, what it is, claim)."""
    for volume in volumes if isinstance(volumes, list) else ():
        if not isinstance(volume, dict):
            continue
        claim = (
            _map(volume, "persistentVolumeClaim").get("claimName")
            or _map(volume, "ephemeral", "persistentVolumeClaim").get("claimName")
            or _map(volume, "dataVolume").get("name")
            or _map(volume, "memoryDump").get("claimName")
        )
        kind = "claim" if claim else next((_OTHERS[key] for key in volume if key in _OTHERS), "unknown")
        yield str(volume.get("name") or ""), kind, str(claim or "")


def _templates(metadata: JSON) -> dict[str, JSON]:
    """Claims that Harvester makes for the machine, by name."""
    try:
        found = json.loads(_map(metadata, "annotations").get(TEMPLATES) or "[]")
        return {str(claim["metadata"]["name"]): claim for claim in found}
    except (ValueError, TypeError, KeyError):
        return {}


def _size(spec: JSON) -> str:
    return str(_map(spec, "resources", "requests").get("storage") or "")


def _map(document: JSON, *path: str) -> JSON:
    """A map in a map; empty where there is none."""
    found: t.Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
