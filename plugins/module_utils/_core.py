# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Objects of built-in kinds as etcd keeps them, in protobuf: the few kinds that an export needs, whole.

Fields of the generated.proto of Kubernetes 1.34 (core/v1, storage/v1, meta/v1). A field that is not in the table makes
the object unreadable, for half of an object must not be taken for the whole.
"""

from __future__ import annotations

import base64
import typing as t

from . import _datastore, _objects
from ._bbolt import BadFile

JSON = dict[str, t.Any]
KINDS = ("ConfigMap", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "Secret", "StorageClass",
         "VolumeAttachment")  # fmt: skip
SKIPPED = ""
"""Status, and metadata that another cluster sets anew."""

# str: left out when empty, as JSON does it. str?: a pointer, or always written. [..]: repeated. {..}: a map of text.
# |X: the fields of X, in this message. Any other word: a message of the table.
_META: t.Final = {
    1: ("name", "str"), 2: ("generateName", "str"), 3: ("namespace", "str"), 11: ("labels", "{str}"),
    12: ("annotations", "{str}"), **dict.fromkeys((4, 5, 6, 7, 8, 9, 10, 13, 14, 17), ("", SKIPPED)),
}  # fmt: skip
_REFERENCE: t.Final = {1: ("apiGroup", "str?"), 2: ("kind", "str?"), 3: ("name", "str?"), 4: ("namespace", "str?")}
_SELECTED: t.Final = {1: ("key", "str?"), 2: ("operator", "str?"), 3: ("values", "[str]")}
_MESSAGES: t.Final[dict[str, dict[int, tuple[str, str]]]] = {
    "Meta": _META,
    "Namespace": {1: ("metadata", "Meta"), 2: ("spec", "NamespaceSpec"), 3: ("", SKIPPED)},
    "NamespaceSpec": {1: ("finalizers", "[str]")},
    "Secret": {1: ("metadata", "Meta"), 2: ("data", "{bytes}"), 3: ("type", "str"), 4: ("stringData", "{str}"),
               5: ("immutable", "bool?")},
    "ConfigMap": {1: ("metadata", "Meta"), 2: ("data", "{str}"), 3: ("binaryData", "{bytes}"),
                  4: ("immutable", "bool?")},
    "PersistentVolumeClaim": {1: ("metadata", "Meta"), 2: ("spec", "ClaimSpec"), 3: ("", SKIPPED)},
    "ClaimSpec": {1: ("accessModes", "[str]"), 2: ("resources", "Resources"), 3: ("volumeName", "str"),
                  4: ("selector", "LabelSelector"), 5: ("storageClassName", "str?"), 6: ("volumeMode", "str?"),
                  7: ("dataSource", "Reference"), 8: ("dataSourceRef", "Reference"),
                  9: ("volumeAttributesClassName", "str?")},
    "Resources": {1: ("limits", "{quantity}"), 2: ("requests", "{quantity}")},
    "LabelSelector": {1: ("matchLabels", "{str}"), 2: ("matchExpressions", "[Selected]")},
    "Selected": _SELECTED,
    "Reference": _REFERENCE,
    "PersistentVolume": {1: ("metadata", "Meta"), 2: ("spec", "VolumeSpec"), 3: ("", SKIPPED)},
    "VolumeSpec": {1: ("capacity", "{quantity}"), 2: ("", "|VolumeSource"), 3: ("accessModes", "[str]"),
                   4: ("claimRef", "Claim"), 5: ("persistentVolumeReclaimPolicy", "str"),
                   6: ("storageClassName", "str"), 7: ("mountOptions", "[str]"), 8: ("volumeMode", "str?"),
                   9: ("nodeAffinity", "Affinity"), 10: ("volumeAttributesClassName", "str?")},
    "VolumeSource": {3: ("hostPath", "HostPath"), 5: ("nfs", "Nfs"), 20: ("local", "Local"), 22: ("csi", "Csi")},
    "HostPath": {1: ("path", "str?"), 2: ("type", "str?")},
    "Nfs": {1: ("server", "str?"), 2: ("path", "str?"), 3: ("readOnly", "bool")},
    "Local": {1: ("path", "str?"), 2: ("fsType", "str?")},
    "Csi": {1: ("driver", "str?"), 2: ("volumeHandle", "str?"), 3: ("readOnly", "bool"), 4: ("fsType", "str"),
            5: ("volumeAttributes", "{str}"), 6: ("controllerPublishSecretRef", "Named"),
            7: ("nodeStageSecretRef", "Named"), 8: ("nodePublishSecretRef", "Named"),
            9: ("controllerExpandSecretRef", "Named"), 10: ("nodeExpandSecretRef", "Named")},
    "Named": {1: ("name", "str"), 2: ("namespace", "str")},
    "Claim": {1: ("kind", "str"), 2: ("namespace", "str"), 3: ("name", "str"), 4: ("uid", "str"),
              5: ("apiVersion", "str"), 6: ("resourceVersion", "str"), 7: ("fieldPath", "str")},
    "Affinity": {1: ("required", "Terms")},
    "Terms": {1: ("nodeSelectorTerms", "[Term]")},
    "Term": {1: ("matchExpressions", "[Selected]"), 2: ("matchFields", "[Selected]")},
    "StorageClass": {1: ("metadata", "Meta"), 2: ("provisioner", "str?"), 3: ("parameters", "{str}"),
                     4: ("reclaimPolicy", "str?"), 5: ("mountOptions", "[str]"), 6: ("allowVolumeExpansion", "bool?"),
                     7: ("volumeBindingMode", "str?"), 8: ("allowedTopologies", "[Topology]")},
    "Topology": {1: ("matchLabelExpressions", "[Labelled]")},
    "Labelled": {1: ("key", "str?"), 2: ("values", "[str]")},
    "VolumeAttachment": {1: ("metadata", "Meta"), 2: ("spec", "AttachmentSpec"), 3: ("", SKIPPED)},
    "AttachmentSpec": {1: ("attacher", "str?"), 2: ("source", "AttachmentSource"), 3: ("nodeName", "str?")},
    "AttachmentSource": {1: ("persistentVolumeName", "str?"), 2: ("inlineVolumeSpec", "VolumeSpec")},
}  # fmt: skip


def document(value: bytes) -> JSON:
    """The object without status and server's metadata; BadFile where it cannot be read whole. Secrets are in it."""
    if not value.startswith(_objects.PROTOBUF):
        raise BadFile("it is not protobuf")
    envelope = dict(_datastore.protobuf(value[len(_objects.PROTOBUF) :]))
    named = dict(_datastore.protobuf(_bytes(envelope.get(1, b""))))
    kind = _str(named.get(2, b""))
    if kind not in KINDS:
        raise BadFile(f"{kind or 'its kind'} is not decoded")
    return {"apiVersion": _str(named.get(1, b"")), "kind": kind, **_message(kind, _bytes(envelope.get(2, b"")))}


def _message(name: str, data: bytes) -> JSON:
    fields, found = _MESSAGES[name], JSON()
    for number, content in _datastore.protobuf(data):
        if number not in fields:
            raise BadFile(f"field {number} of {name} is not known here")
        key, kind = fields[number]
        if kind == SKIPPED:
            continue
        if kind.startswith("|"):
            found.update(_message(kind[1:], _bytes(content)))
        elif kind.startswith("["):
            found.setdefault(key, []).append(_single(kind[1:-1], content))
        elif kind.startswith("{"):
            entry = dict(_datastore.protobuf(_bytes(content)))
            found.setdefault(key, {})[_str(entry.get(1, b""))] = _single(kind[1:-1], entry.get(2, b""))
        elif (plain := _single(kind.removesuffix("?"), content)) or kind.endswith("?") or isinstance(plain, dict):
            found[key] = plain
    return found


def _single(kind: str, content: int | bytes) -> t.Any:
    if kind == "str":
        return _str(content)
    if kind == "bool":
        return bool(content)
    if kind == "bytes":
        return base64.b64encode(_bytes(content)).decode()
    if kind == "quantity":
        return _str(dict(_datastore.protobuf(_bytes(content))).get(1, b""))
    return _message(kind, _bytes(content))


def _bytes(content: int | bytes) -> bytes:
    if isinstance(content, int):
        raise BadFile("a number stands where a message should")
    return content


def _str(content: int | bytes) -> str:
    return _bytes(content).decode("utf-8", "replace")
