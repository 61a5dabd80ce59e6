# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What stands in etcd's bucket `key`: revisions, and the names of Kubernetes objects in their keys.

Sources: etcd's kv.proto (mvccpb.KeyValue), Kubernetes' storage factory (names below /registry/).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import _datastore
from ._bbolt import BadFile

_PLURALS = {
    "controllers": "replicationcontrollers",
    "ingress": "ingresses",
    "minions": "nodes",
    "podsecuritypolicy": "podsecuritypolicies",
    "services/endpoints": "endpoints",
    "services/specs": "services",
}


@dataclass(frozen=True)
class KeyValue:
    """One revision of a key; one that deletes it has nothing but the key."""

    key: bytes
    create: int
    mod: int
    version: int
    value: bytes = field(repr=False)
    lease: int


class Place(t.NamedTuple):
    """What a key says about its object; outside /registry/ the first word is the resource and the rest the name."""

    resource: str
    """As in the key: `pods`, `minions`, `services/specs`, `kubevirt.io/virtualmachines`."""
    namespace: str
    """Empty for what has none."""
    name: str


def key_of(raw: bytes) -> bytes:
    """The key alone of a KeyValue: etcd writes it first, so a slice does for all keys of less than 128 bytes."""
    if raw[:1] == b"\x0a" and len(raw) > 2:
        end = raw[1] + 2
        if 2 < end < 130 and end <= len(raw):
            return raw[2:end]
    return keyvalue(raw).key


def keyvalue(raw: bytes) -> KeyValue:
    """A whole KeyValue; BadFile when it is none. `etcdutl snapshot restore --bump-revision` adds an empty one."""
    if not raw:
        return KeyValue(b"", 0, 0, 0, b"", 0)
    fields = dict(_datastore.protobuf(raw))
    key, value = fields.get(1), fields.get(5, b"")
    create, mod, version, lease = (fields.get(number, 0) for number in (2, 3, 4, 6))
    if not key or not isinstance(key, bytes) or not isinstance(value, bytes):
        raise BadFile("a revision has no key")
    return KeyValue(key, signed(create), signed(mod), signed(version), value, signed(lease))


def resource(key: bytes) -> str:
    """The resource of a key, as `place` has it."""
    parts = key.split(b"/", 4)
    if len(parts) < 3 or parts[1] != b"registry":
        return place(key).resource
    # Groups of custom resources have a dot, those of built-in ones are not in the key.
    if len(parts) > 3 and (b"." in parts[2] or parts[2] == b"services"):
        return (parts[2] + b"/" + parts[3]).decode("utf-8", "replace")
    return parts[2].decode("utf-8", "replace")


def place(key: bytes) -> Place:
    """Resource, namespace and name in a key: `/registry/[group/]resource/[namespace/]name`."""
    text = key.decode("utf-8", "replace")
    if not text.startswith("/registry/"):
        first, _slash, rest = text.lstrip("/").partition("/")
        return Place(first, "", rest)
    kind = resource(key)
    namespace, _slash, name = text[len("/registry/") + len(kind) + 1 :].partition("/")
    return Place(kind, namespace, name) if name else Place(kind, "", namespace)


def names(resource: str) -> tuple[str, ...]:
    """How users may call a resource: its plural first, then as kubectl and as the keys have it."""
    plural = _PLURALS.get(resource)
    if plural:
        return (plural, resource)
    group, _slash, word = resource.rpartition("/")
    return (word, f"{word}.{group}", resource) if group else (resource,)


def signed(content: int | bytes) -> int:
    """An int64, which protobuf writes as its two's complement."""
    if isinstance(content, bytes):
        raise BadFile("a message stands where a number should")
    return (content + (1 << 63)) % (1 << 64) - (1 << 63)
