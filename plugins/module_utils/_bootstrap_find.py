# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Bootstrap data in a datastore that lies on a node, read by two small reads, whether its etcd runs or not.

The node says where in the file the name of such a key stands (sh/tls.sh), or that of Rancher's Secret (sh/tokens.sh).
A revision is a KeyValue in one piece, also where it spans pages; pages that bbolt has freed hold older ones, so the
greatest revision counts. What is being written just now does not open: the data are sealed with AES-GCM.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from . import _bbolt, _keys, _secret

HEAD = 96
"""Bytes: a key, three numbers and the length of the value."""
MAX_VALUE = 1 << 20
_KEY = re.compile(rb"\x0a\x17/bootstrap/([0-9a-f]{12})|\x0a\x2d(" + _secret.STATE.encode() + b")")


@dataclass(frozen=True)
class Found:
    """A revision of a bootstrap key."""

    key: str
    """Its name: 12 hex digits, or that of Rancher's Secret."""
    revision: int
    value: bytes


def newest(offsets: t.Iterable[int], names: t.Collection[str]) -> _bbolt.Reader[Found | None]:
    """The newest revision of one of these keys. offsets: where their names stand in the file."""
    starts = sorted({offset - 2 for offset in offsets if offset >= 2})
    heads = yield [_bbolt.Range(start, HEAD) for start in starts]
    found = [
        (start, head) for start, raw in zip(starts, heads, strict=True) if (head := _head(raw)) and head[0] in names
    ]
    if not found:
        return None
    start, (key, revision, size) = max(found, key=lambda item: item[1][1])
    (raw,) = yield [_bbolt.Range(start, size)]
    return Found(key, revision, _keys.keyvalue(raw).value)


def _head(raw: bytes) -> tuple[str, int, int] | None:
    """(key, revision, bytes of the KeyValue without its lease); None for anything else, and for one without a value."""
    match = _KEY.match(raw)
    if not match:
        return None
    position, numbers = match.end(), dict[int, int]()
    while position < len(raw) and raw[position] in (0x10, 0x18, 0x20, 0x2A):
        field, shift, value = raw[position] >> 3, 0, 0
        position += 1
        while position < len(raw) and shift < 64:
            byte = raw[position]
            value |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                break
        numbers[field] = value
        if field == 5:
            break
    if 3 not in numbers or not 0 < numbers.get(5, 0) <= MAX_VALUE:
        return None
    return (match[1] or match[2]).decode(), numbers[3], position + numbers[5]
