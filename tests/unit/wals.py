# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write-ahead logs made by hand, as etcd's encoder.go writes them."""

from __future__ import annotations

import struct

from ansible_collections.requorum.cluster.plugins.module_utils._crc32c import crc32c

SEGMENT = 1 << 17
FIRST = "0000000000000000-0000000000000000.wal"


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(*fields: int | bytes) -> bytes:
    """The first field is number 1, and so on; None leaves one out."""
    found = b""
    for number, value in enumerate(fields, 1):
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            found += varint(number << 3 | 2) + varint(len(value)) + value
    return found


def metadata(member: int = 0xA1, cluster: int = 0xC1) -> tuple[int, bytes]:
    return 1, message(member, cluster)


def entry(index: int, term: int = 3, data: bytes = b"\x0a\x03put") -> tuple[int, bytes]:
    return 2, message(0, term, index, data)


def state(commit: int, term: int = 3, vote: int = 0xA1) -> tuple[int, bytes]:
    return 3, message(term, vote, commit)


def snapshot(index: int, term: int = 1) -> tuple[int, bytes]:
    return 5, message(index, term, b"")


class Writer:
    """A log that grows record by record; `cut` begins the next segment."""

    def __init__(self) -> None:
        self.crc = 0
        self.segments: list[bytes] = []
        self.cut()

    def cut(self) -> None:
        self.segments.append(b"")
        self.frame(message(4, self.crc))
        self.add(metadata())

    def add(self, *records: tuple[int, bytes]) -> Writer:
        for kind, data in records:
            self.crc = crc32c(data, self.crc)
            self.frame(message(kind, self.crc, data))
        return self

    def frame(self, record: bytes) -> None:
        padding = -len(record) % 8
        field = len(record) | ((0x80 | padding) << 56 if padding else 0)
        self.segments[-1] += struct.pack("<Q", field) + record + bytes(padding)


def log(*indexes: int, data: bytes = b"\x0a\x03put") -> Writer:
    """Each entry is followed by the state that commits the one before it."""
    writer = Writer().add(snapshot(0, 0))
    for index in indexes:
        writer.add(entry(index, data=data), state(max(1, index - 1)))
    return writer


def filled(segment: bytes, size: int = SEGMENT) -> bytes:
    return segment.ljust(size, b"\0")
