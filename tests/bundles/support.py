# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A support bundle of Harvester in the layout that its collector writes (facts/harvester.md 6), quirks among it."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

JSON = dict[str, Any]
Key = tuple[str, str, str]
"""`plural.group`, namespace, name."""
TOP = "supportbundle_1f0c9a52-7a3b-4a5e-9f1d-0c2b7d2f4e11_2024-09-10T08-30-00Z"
NOT_COLLECTED = {"cluster-fleet-local-local-1a3d67d0a899", "kube-node-lease"}
"""Namespaces that are not in the collector's list."""


@dataclass(frozen=True)
class Bundle:
    """What goes into one."""

    objects: Mapping[Key, JSON]
    logs: Mapping[str, str] = field(default_factory=dict)
    """`namespace/pod/container` -> text."""
    hosts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Node -> path below its folder -> text; one that is missing was not reached."""
    created: str = "2024-09-10T08:30:00Z"
    errors: tuple[str, ...] = ()


def write(bundle: Bundle, path: Path, *, top: str = TOP, quirks: bool = True) -> Path:
    """The archive; its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        about = {"bundleName": "bundle-x7k2p", "projectNamespaceUUID": "1f0c9a52", "issueDescription": "stuck",
                 "kubernetesVersion": "v1.28.12+rke2r1", "bundleCreatedAt": bundle.created, "issueURL": ""}  # fmt: skip
        made.writestr(f"{top}/metadata.yaml", yaml.safe_dump(about))
        if bundle.errors:
            made.writestr(f"{top}/bundleGenerationError.log", "\n".join(bundle.errors) + "\n")
        for place, items in _files(bundle.objects).items():
            document = {"apiVersion": "v1", "kind": "List", "items": items}
            made.writestr(f"{top}/yamls/{place}.yaml", yaml.safe_dump(replaced(document) if quirks else document))
        for name, text in bundle.logs.items():
            made.writestr(f"{top}/logs/{name}.log", text)
        for node, files in bundle.hosts.items():
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as host:
                for name, text in files.items():
                    host.writestr(f"{node}/{name}", text)
            made.writestr(f"{top}/nodes/{node}.zip", inner.getvalue())
    return path


def replaced(document: JSON) -> JSON:
    """What the collector's blind replacement makes of a document."""
    text = json.dumps(document, separators=(",", ":")).replace('""', '"null"')
    return dict(json.loads(re.sub(r'("\w+":)null', r'\1"null"', text)))


def _files(objects: Mapping[Key, JSON]) -> dict[str, list[JSON]]:
    """Objects by the file that they stand in; of Secrets those of plans alone."""
    found: dict[str, list[JSON]] = {}
    for (resource, namespace, _name), item in objects.items():
        plural, _dot, group = resource.partition(".")
        if namespace in NOT_COLLECTED or (resource == "secrets" and item.get("type") != "rke.cattle.io/machine-plan"):
            continue
        version = item["apiVersion"].rpartition("/")[2]
        scope = f"namespaced/{namespace}" if namespace else "cluster"
        found.setdefault("/".join(filter(None, (scope, group, version, plural))), []).append(item)
    return found
