# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A support bundle of Harvester in the layout that its collector writes (facts/harvester.md 6), quirks among it.

What is masked and replaced is so by rancher/support-bundle-kit, pkg/manager/collectors and hack/collector-harvester.
The same content makes the same bytes.
"""

from __future__ import annotations

import fnmatch
import io
import json
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

JSON = dict[str, Any]
Key = tuple[str, str, str]
"""`plural.group`, namespace, name."""
TOP = "supportbundle_1f0c9a52-7a3b-4a5e-9f1d-0c2b7d2f4e11_2024-09-10T08-30-00Z"
SPACES = {
    *("default", "kube-system", "cattle-system", "cattle-dashboards", "cattle-fleet-local-system", "fleet-local"),
    *("cattle-fleet-system", "cattle-fleet-clusters-system", "cattle-monitoring-system", "harvester-system", "local"),
    *("longhorn-system", "cattle-logging-system", "cattle-provisioning-capi-system"),
}
"""Namespaces that the collector of v1.3.2 reads: none of BundleDeployments, of Leases or of people."""
PLAN = "rke.cattle.io/machine-plan"
PLAN_DATA = {
    *("applied-checksum", "applied-output", "applied-periodic-output", "failed-checksum", "failed-output"),
    *("failure-count", "failure-threshold", "last-apply-time", "max-failures", "probe-statuses", "success-count"),
}
"""What is left of the data of a Secret."""
_SETTINGS = ("cluster-registration-url", "containerd-registry", "additional-ca", "ssl-certificates")
_KINDS = ("users.management.cattle.io", "tokens.management.cattle.io", "authconfigs.management.cattle.io")
_MASKED = ("passwd", "password", "secret", "token", "agent-token")
_HEAD = "# Note: this file is re-formatted by support-bundle-kit collector.\n"


@dataclass(frozen=True)
class Bundle:
    """What goes into one."""

    objects: Mapping[Key, JSON]
    """All of the cluster; those that the collector does not read are left out when it is written."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """`namespace/pod/container` -> text; with `.log.1` behind it that of the container before."""
    hosts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Node -> path below its folder -> text; one that is missing was not reached."""
    created: str = "2024-09-10T08:30:00Z"
    errors: tuple[str, ...] = ()
    name: str = "bundle-x7k2p"
    raw: Mapping[str, bytes] = field(default_factory=dict)
    """Path below the top folder -> bytes that stand there whatever else would."""


def keyed(items: Iterable[JSON]) -> dict[Key, JSON]:
    """Objects of the API by what tells them apart."""
    return {key(item): item for item in items}


def key(item: JSON) -> Key:
    """Of one object; its plural is the regular one."""
    group, word = item["apiVersion"].rpartition("/")[0], item["kind"].lower()
    plural = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("s") else "s")
    meta = item["metadata"]
    return f"{plural}.{group}" if group else plural, meta.get("namespace", ""), meta["name"]


def write(bundle: Bundle, path: Path, *, top: str = TOP, quirks: bool = True, without: Collection[str] = ()) -> Path:
    """The archive; its path. without: patterns of paths below the top folder, `nodes/n3.zip` or `yamls/*`."""
    found = {**dict(files(bundle, quirks=quirks)), **bundle.raw}
    left = {
        place: data
        for place, data in sorted(found.items())
        if not any(fnmatch.fnmatchcase(place, pattern) for pattern in without)
    }
    path.write_bytes(zipped({f"{top}/{place}": data for place, data in left.items()}))
    return path


def files(bundle: Bundle, *, quirks: bool = True) -> Iterator[tuple[str, bytes]]:
    """Paths below the top folder, and what stands there."""
    about = {"bundlename": bundle.name, "bundleversion": "0.1.0", "kubernetesversion": "v1.28.12+rke2r1",
             "projectnamespaceuuid": "1f0c9a52-7a3b-4a5e-9f1d-0c2b7d2f4e11", "bundlecreatedat": bundle.created,
             "issueurl": "", "issuedescription": "stuck"}  # fmt: skip
    yield "metadata.yaml", yaml.safe_dump(about).encode()
    yield "bundleGenerationError.log", "".join(f"{line}\n" for line in bundle.errors).encode()
    for place, items in _lists(bundle.objects).items():
        document = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "48151623"}, "items": items}
        yield f"yamls/{place}.yaml", dumped(replaced(document)) if quirks else yaml.safe_dump(document).encode()
    for name, text in bundle.logs.items():
        yield f"logs/{name}" if name.endswith(".log.1") else f"logs/{name}.log", text.encode()
    for node, texts in bundle.hosts.items():
        yield f"nodes/{node}.zip", zipped({f"{node}/{name}": text.encode() for name, text in sorted(texts.items())})


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip as `zip -r` makes it, with its folders; always of the same day."""
    buffer, seen = io.BytesIO(), set[str]()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, data in members.items():
            for folder in [f"{parent}/" for parent in reversed(PurePosixPath(name).parents) if parent.name]:
                if folder not in seen:
                    made.writestr(member(folder), b"")
                seen.add(folder)
            made.writestr(member(name), data)
    return buffer.getvalue()


def member(name: str, *, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    """Of a zip, of a day that is always the same."""
    made = zipfile.ZipInfo(name, (2024, 9, 10, 8, 30, 0))
    folder = name.endswith("/")
    made.compress_type = zipfile.ZIP_STORED if folder else method
    made.external_attr = (0o40755 << 16 | 0x10) if folder else 0o100644 << 16
    return made


def replaced(document: JSON) -> JSON:
    """What the collector's blind replacements make of a document.

    Null is replaced where a comma follows, and in texts that hold JSON too; a text that ends in a quote grows.
    """
    text = json.dumps(document, separators=(",", ":"))
    text = re.sub(r'("[a-zA-Z]+":)null,', r'\1"null",', text)
    text = re.sub(r'(\\"[a-zA-Z]+\\":)null,', r'\1\\"null\\",', text)
    return dict(json.loads(text.replace('""', '"null"')))


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Numbers are Go's float64: from a million on they get an exponent, `1e+06` and `1.5e+06`."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def number(self, value: float) -> yaml.ScalarNode:
        _sign, digits, power = Decimal(repr(float(value))).normalize().as_tuple()
        exponent = len(digits) + int(power) - 1
        text = f"{value:.0f}" if value == int(value) else repr(value)
        if exponent >= 6:
            first, rest = str(digits[0]), "".join(map(str, digits[1:]))
            text = f"{'-' * _sign}{first}{'.' * bool(rest)}{rest}e+{exponent:02}"
        found: yaml.ScalarNode = self.represent_scalar(self.resolve(yaml.ScalarNode, text, (True, False)), text)
        return found


_Dumper.add_representer(int, _Dumper.number)
_Dumper.add_representer(float, _Dumper.number)


def dumped(document: JSON) -> bytes:
    """A document as the collector writes it."""
    return str(yaml.dump(document, Dumper=_Dumper)).encode()


def masked(text: str) -> str:
    """A YAML file of a host after the collector's masking: what stands within a text of it stays."""
    return _HEAD + yaml.safe_dump(_mask(yaml.safe_load(text)))


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "***" if name in _MASKED else _mask(each) for name, each in value.items()}
    return [_mask(each) for each in value] if isinstance(value, list) else value


def _lists(objects: Mapping[Key, JSON]) -> dict[str, list[JSON]]:
    """Objects by the file that they stand in; of Secrets those of plans alone."""
    found: dict[str, list[JSON]] = {}
    for (resource, namespace, name), item in objects.items():
        plural, _dot, group = resource.partition(".")
        if (namespace and namespace not in SPACES) or resource in _KINDS:
            continue
        if resource == "secrets" and (namespace != "fleet-local" or item.get("type") != PLAN):
            continue
        if resource == "settings.harvesterhci.io" and name in _SETTINGS:
            continue
        version = item["apiVersion"].rpartition("/")[2]
        scope = f"namespaced/{namespace}" if namespace else "cluster"
        found.setdefault("/".join(filter(None, (scope, group, version, plural))), []).append(item)
    return found
