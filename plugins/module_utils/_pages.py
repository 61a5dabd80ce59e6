# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Take single pages of a bbolt file apart and doubt everything that they say.

bbolt packs the entries of a page without gaps, in the order of its table (inode.go), so a flipped bit in a table is
found even where the keys stay in order. `where` is a page number, or words for a page inline in its bucket's header.
"""

from __future__ import annotations

import operator
import struct

from ._bbolt import HEADER, LEAF, BadFile

Pair = tuple[bytes, bytes]

LEAST = b"\0"
"""No key is empty."""

HEAD = struct.Struct("<QHHI")
"""Number, flags, count, overflow pages."""
_LEAF, _BRANCH = struct.Struct("<IIII"), struct.Struct("<IIQ")


def leaf(
    raw: bytes, start: int, stop: int, where: int | str, count: int
) -> tuple[list[bytes], list[Pair], list[Pair], int]:
    """(all keys, keys with values, nested buckets with headers, end) of the leaf page at raw[start:stop]."""
    keys: list[bytes] = []
    items: list[Pair] = []
    buckets: list[Pair] = []
    entry, place = start + HEADER, start + HEADER + 16 * count
    if place > stop:
        raise BadFile(f"{named(where)} is too short for its {count} entries")
    for flags, pos, ksize, vsize in _LEAF.iter_unpack(raw[entry:place]):
        if entry + pos != place or flags > 1:
            raise BadFile(f"entry {len(keys)} of {named(where)} is misplaced or of an unknown kind")
        value = place + ksize
        key = raw[place:value]
        place = value + vsize
        keys.append(key)
        (buckets if flags else items).append((key, raw[value:place]))
        entry += 16
    if place > stop:
        raise BadFile(f"an entry of {named(where)} reaches beyond it")
    return keys, items, buckets, place


def branch(raw: bytes, start: int, stop: int, where: int, count: int) -> tuple[list[bytes], list[int], int]:
    """(keys, child pages, end) of the branch page at raw[start:stop]."""
    keys: list[bytes] = []
    below: list[int] = []
    entry, place = start + HEADER, start + HEADER + 16 * count
    if place > stop or not count:
        raise BadFile(f"{named(where)} is a branch that cannot have {count} entries")
    for pos, ksize, child in _BRANCH.iter_unpack(raw[entry:place]):
        if entry + pos != place:
            raise BadFile(f"entry {len(keys)} of {named(where)} is misplaced")
        keys.append(raw[place : place + ksize])
        below.append(child)
        place += ksize
        entry += 16
    if place > stop:
        raise BadFile(f"an entry of {named(where)} reaches beyond it")
    return keys, below, place


def inline(value: bytes, where: str) -> list[Pair]:
    """Keys with values of the page that follows a bucket's header; it never holds buckets."""
    if len(value) < 2 * HEADER:
        raise BadFile(f"{where} is cut off")
    number, flags, count, overflow = HEAD.unpack_from(value, HEADER)
    if (number, flags, overflow) != (0, LEAF, 0):
        raise BadFile(f"{where} is no leaf (it says page {number}, flags {flags:#x})")
    keys, items, buckets, end = leaf(value, HEADER, len(value), where, count)
    if buckets or end < len(value):
        raise BadFile(f"{where} holds a bucket or goes on after its last entry")
    ordered(keys, LEAST, None, where)
    return items


def ordered(keys: list[bytes], lower: bytes, upper: bytes | None, where: int | str) -> None:
    """Keys rise, none is below lower (which the page above gives) and all are below upper."""
    if not all(map(operator.lt, keys, keys[1:])):
        raise BadFile(f"the keys of {named(where)} are not in order")
    if keys and (keys[0] < lower or (upper is not None and keys[-1] >= upper)):
        raise BadFile(f"the keys of {named(where)} are outside the range that the page above gives it")


def named(where: int | str) -> str:
    """For a fault's text."""
    return where if isinstance(where, str) else f"page {where}"
