# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A datastore as this project's readers give it, in the figures of the tools.

The sums are no feature of the product: they prove that the walk hands over every byte of every key and value, in order.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore, _keys, _structure
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile

_TOMBSTONE = 18
Leaf = list[tuple[bytes, bytes]]


def _table() -> list[int]:
    """CRC32C (Castagnoli), reflected."""
    table = []
    for byte in range(256):
        for _bit in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC32C = _table()


def crc32c(data: bytes, crc: int = 0) -> int:
    """Go's crc32.Update with the Castagnoli table."""
    table = CRC32C
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@dataclass
class Reading:
    """Everything that a walk gave."""

    structure: _structure.Structure
    leaves: list[tuple[bytes, Leaf]] = field(repr=False)

    @functools.cached_property
    def revisions(self) -> Leaf:
        """The bucket `key`."""
        return [item for bucket, leaf in self.leaves if bucket == b"key" for item in leaf]

    @functools.cached_property
    def live(self) -> dict[bytes, bytes]:
        """Live key -> its revision."""
        found: dict[bytes, bytes] = {}
        for revision, raw in self.revisions:
            key = _keys.key_of(raw)
            if len(revision) == _TOMBSTONE:
                found.pop(key, None)
            else:
                found[key] = revision
        return found

    @property
    def entries(self) -> int:
        """Of all buckets."""
        return sum(self.structure.keys.values())

    def status_hash(self) -> int:
        """`etcdutl snapshot status`: names of all buckets, empty ones too, each before its keys and values."""
        crc = 0
        for bucket in sorted(self.structure.keys):
            name = bucket.encode()
            parts = [name, *(part for found, leaf in self.leaves if found == name for item in leaf for part in item)]
            crc = crc32c(b"".join(parts), crc)
        return crc

    def hashkv(self, compacted: int) -> int:
        """`etcdutl hashkv` (etcd's mvcc/hash.go): of what is compacted away only each key's newest revision counts.

        `keep` is empty where nothing lives, and then everything counts; a key whose deletion is the last revision of
        all is not kept.
        """
        keep = set(self.live.values())
        parts = [b"key"]
        for revision, raw in self.revisions:
            main = int.from_bytes(revision[:8], "big")
            if main <= compacted and keep and revision not in keep:
                continue
            if main == compacted and len(revision) == _TOMBSTONE:
                continue
            parts += (revision, raw)
        return crc32c(b"".join(parts))


def read(path: Path) -> Reading:
    """Walk a file with or without trailer; BadFile when it is not sound."""
    leaves: list[tuple[bytes, Leaf]] = []
    with path.open("rb") as file:
        size = path.stat().st_size // 512 * 512
        structure = _structure.check(lambda offset, length: os.pread(file.fileno(), length, offset), size,
                                     lambda bucket, leaf: leaves.append((bucket, list(leaf))))
    return Reading(structure, leaves)


def summary(path: Path) -> _datastore.Datastore:
    """What is read through a node: a few pages."""
    with path.open("rb") as file:
        answers = _bbolt.local(lambda offset, length: os.pread(file.fileno(), length, offset))
        return _bbolt.drive(_datastore.summary(path.stat().st_size // 512 * 512), answers)


def fault(path: Path) -> str:
    """What our walk has against a file; empty when nothing."""
    try:
        read(path)
    except BadFile as error:
        return str(error)
    return ""
