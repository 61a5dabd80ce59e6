# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Kubernetes objects in the values of etcd, of which only what is asked for is decoded.

Sources: the generated.proto of Kubernetes' runtime (Unknown), meta/v1 (ObjectMeta), core/v1 (NodeSystemInfo) and
coordination/v1 (LeaseSpec).
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t
from dataclasses import dataclass, field

from . import _datastore, _keys
from ._bbolt import BadFile

JSON = dict[str, t.Any]

PROTOBUF = b"k8s\0"
ENCRYPTED = re.compile(rb"k8s:enc:([a-z0-9]+):v\d+:")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SERVER_SET = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
"""Metadata that another cluster sets anew. Owners in it have other UIDs, so its garbage collector would delete what
still names the old ones; finalizers are put back by the controllers that honour them and block a deletion elsewhere."""

_FOREVER = 253402300800
"""The year 10000, in which no datetime lies."""


@dataclass(frozen=True)
class Object:
    """A value of etcd as far as it can be read; what it does not say is empty."""

    encoding: t.Literal["json", "protobuf", "encrypted", "other"]
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    created: int | None = None
    """Unix seconds, as `deleted`: since when it waits for its finalizers."""
    deleted: int | None = None
    labels: t.Mapping[str, str] = field(default_factory=dict)
    provider: str = ""
    """Of the encryption at rest: aescbc, secretbox, kms."""
    document: JSON | None = field(default=None, repr=False)
    """The whole of a JSON value, without what a Secret keeps."""


def decode(value: bytes) -> Object:
    """Any value of etcd; what cannot be read is `other`."""
    try:
        if value.startswith(PROTOBUF):
            return _from_protobuf(value)
        if value.startswith(b"{"):
            return _from_json(value)
        if found := ENCRYPTED.match(value):
            return Object("encrypted", provider=found[1].decode("ascii"))
    except (ValueError, RecursionError):
        pass
    return Object("other")


def kubelet_version(value: bytes) -> str:
    """status.nodeInfo.kubeletVersion of a Node."""
    return _text(_inner(value, "Node", {"status": 3, "nodeInfo": 7, "kubeletVersion": 7}))


def os_image(value: bytes) -> str:
    """status.nodeInfo.osImage of a Node, which names Harvester and its version."""
    return _text(_inner(value, "Node", {"status": 3, "nodeInfo": 7, "osImage": 5}))


def renewed(value: bytes) -> int | None:
    """spec.renewTime of a Lease, Unix seconds."""
    return _moment(_inner(value, "Lease", {"spec": 2, "renewTime": 4}))


def document(found: Object, *, clean: bool = False) -> JSON:
    """What `extract` writes of an object.

    JSON values (custom resources) are given whole; what such a one holds of passwords is in it. Of others the metadata
    are given, with a key `requorum` that says why: it is no field of any kind, so that kubectl refuses to apply it.
    clean: for another cluster, without status, SERVER_SET and kubectl's copy of the object.
    """
    whole = _metadata_only(found) if found.document is None else found.document
    return cleaned(whole) if clean else whole


def cleaned(whole: JSON) -> JSON:
    """An object for another cluster: without status, SERVER_SET and kubectl's copy of it."""
    kept = {name: value for name, value in whole.items() if name != "status"}
    if "metadata" in kept:
        metadata = {name: value for name, value in kept["metadata"].items() if name not in SERVER_SET}
        if isinstance(annotations := metadata.get("annotations"), dict):
            metadata["annotations"] = {name: text for name, text in annotations.items() if name != LAST_APPLIED}
        kept["metadata"] = _filled(metadata)
    return kept


def _metadata_only(found: Object) -> JSON:
    metadata: JSON = {"name": found.name, "namespace": found.namespace, "uid": found.uid, "labels": dict(found.labels)}
    if found.created is not None:
        moment = datetime.datetime.fromtimestamp(found.created, datetime.UTC)
        metadata["creationTimestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = {
        "protobuf": "only metadata: the rest is protobuf, which is not decoded",
        "encrypted": f"unreadable: encrypted at rest by {found.provider}",
    }.get(found.encoding, "unreadable: no object of Kubernetes")
    entries = {"apiVersion": found.api_version, "kind": found.kind, "metadata": _filled(metadata)}
    return {**_filled(entries), "requorum": reason}


def _filled(entries: JSON) -> JSON:
    return {name: value for name, value in entries.items() if value not in ("", {}, None)}


def _from_json(value: bytes) -> Object:
    content = json.loads(value)
    metadata = content.get("metadata")
    if not (isinstance(metadata, dict) and content.get("kind") and content.get("apiVersion")):
        return Object("other")
    if content["kind"] == "Secret":
        _withhold(content)
    labels = metadata.get("labels")
    return Object(
        "json",
        api_version=_text(content["apiVersion"]),
        kind=_text(content["kind"]),
        namespace=_text(metadata.get("namespace")),
        name=_text(metadata.get("name")),
        uid=_text(metadata.get("uid")),
        created=_moment(metadata.get("creationTimestamp")),
        deleted=_moment(metadata.get("deletionTimestamp")),
        labels={_text(name): _text(label) for name, label in labels.items()} if isinstance(labels, dict) else {},
        document=content,
    )


def _withhold(secret: JSON) -> None:
    """Put sizes in the place of what a Secret keeps; kubectl leaves a copy of it in an annotation."""
    annotations = secret["metadata"].get("annotations")
    if isinstance(annotations, dict) and LAST_APPLIED in annotations:
        annotations[LAST_APPLIED] = _size(annotations[LAST_APPLIED])
    for part in ("data", "stringData"):
        entries = secret.get(part)
        if isinstance(entries, dict):
            secret[part] = {name: _size(text, encoded=part == "data") for name, text in entries.items()}
        elif entries is not None:
            secret[part] = _size(entries)


def _size(kept: object, *, encoded: bool = False) -> str:
    text = _text(kept)
    size = len(text) * 3 // 4 - text[-2:].count("=") if encoded else len(text.encode())
    return f"({max(size, 0)} bytes)"


def _from_protobuf(value: bytes) -> Object:
    envelope = value[len(PROTOBUF) :]
    metadata: dict[int, int | bytes] = {}
    labels: dict[str, str] = {}
    for number, content in _datastore.protobuf(_message(_field(envelope, 2, 1))):
        if number == 11:
            labels[_text(_field(content, 1))] = _text(_field(content, 2))
        else:
            metadata[number] = content
    kind = _text(_field(envelope, 1, 2))
    if not kind:
        return Object("other")
    return Object(
        "protobuf",
        api_version=_text(_field(envelope, 1, 1)),
        kind=kind,
        namespace=_text(metadata.get(3)),
        name=_text(metadata.get(1)),
        uid=_text(metadata.get(5)),
        created=_moment(metadata.get(8)),
        deleted=_moment(metadata.get(9)),
        labels=labels,
    )


def _inner(value: bytes, kind: str, path: dict[str, int]) -> object:
    """A field of an object of this kind by its names (JSON) or numbers (protobuf); None where it is absent."""
    found = decode(value)
    if found.kind != kind:
        return None
    if found.document is None:
        try:
            return _field(value[len(PROTOBUF) :], 2, *path.values())
        except BadFile:
            return None
    inner: object = found.document
    for name in path:
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner


def _field(message: int | bytes | None, *path: int) -> int | bytes | None:
    """A field of a message in a message; its first occurrence, so that nothing after it is read."""
    for number in path:
        fields = _datastore.protobuf(_message(message))
        message = next((content for found, content in fields if found == number), None)
    return message


def _message(content: int | bytes | None) -> bytes:
    if isinstance(content, int):
        raise BadFile("a number stands where a message should")
    return content or b""


def _text(content: object) -> str:
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else ""


def _moment(content: object) -> int | None:
    """Unix seconds of a Time or MicroTime: RFC 3339 in JSON, a message of seconds and nanoseconds in protobuf."""
    try:
        if isinstance(content, str):
            moment = datetime.datetime.fromisoformat(content)
            seconds = int(moment.timestamp()) if moment.tzinfo else 0
        elif isinstance(content, bytes):
            seconds = _keys.signed(_field(content, 1) or 0)
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < _FOREVER else None
