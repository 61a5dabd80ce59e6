# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Read a bbolt file (etcd's member/snap/db) without etcd, from a disk or through a node.

Nothing here does I/O: a reader is a generator that yields the ranges it needs and is sent their bytes. `drive` runs one
over any `read_many`, so that one round trip to a node serves a whole level of the tree.
Layout: bbolt's page.go and bucket.go.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

Range = tuple[int, int]
T = t.TypeVar("T")
Reader = t.Generator[list[Range], list[bytes], T]

MAGIC, VERSION = 0xED0CDAED, 2
BRANCH, LEAF = 0x01, 0x02
HEADER = 16
MAX_DEPTH = 32


class BadFile(ValueError):
    """The file is no sound bbolt database; the text says what is wrong and where."""


@dataclass(frozen=True)
class Meta:
    """The newer of the two valid meta pages."""

    page_size: int
    root: int
    high_water: int
    """Number of pages in use; the file has at least as many."""
    txid: int


@dataclass(frozen=True)
class Item:
    """One key of a leaf page; a nested bucket has `bucket` set and its header as value."""

    key: bytes
    value: bytes
    bucket: bool


def fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bit: the checksum of a meta page."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return digest


def _meta(raw: bytes) -> Meta | None:
    if len(raw) < HEADER + 64:
        return None
    body = raw[HEADER : HEADER + 64]
    magic, version, page_size, _flags, root, _seq, _free, high_water, txid, checksum = struct.unpack(
        "<IIIIQQQQQQ", body
    )
    if magic != MAGIC or version != VERSION or checksum != fnv1a(body[:56]):
        return None
    if not 512 <= page_size <= 1 << 16 or page_size & (page_size - 1):
        return None
    return Meta(page_size, root, high_water, txid)


def metas(size: int) -> Reader[Meta]:
    """Both meta pages; the second one lies one page (4 KiB to 64 KiB) after the first."""
    if size < 2 * 4096:
        raise BadFile(f"a datastore has at least two pages, this file has {size} bytes")
    head = (yield [(0, 8192)])[0]
    found = [_meta(head), _meta(head[4096:])]
    if found[0] and found[0].page_size != 4096:
        found[1] = _meta((yield [(found[0].page_size, 256)])[0])
    if not any(found):
        for page_size in (8192, 16384, 32768, 65536):
            if page_size + 256 <= size:
                found.append(_meta((yield [(page_size, 256)])[0]))
    valid = [meta for meta in found if meta]
    if not valid:
        raise BadFile("neither meta page is valid (magic, version or checksum)")
    newest = max(valid, key=lambda meta: meta.txid)
    if newest.high_water * newest.page_size > size:
        raise BadFile(f"the file has {size} bytes, its meta page says {newest.high_water} pages of {newest.page_size}")
    return newest


def _page(raw: bytes, number: int) -> tuple[int, int, int]:
    """(flags, count, overflow) of a page header, checked against the page's own number."""
    if len(raw) < HEADER:
        raise BadFile(f"page {number} is cut off")
    ident, flags, count, overflow = struct.unpack_from("<QHHI", raw)
    if ident != number or flags not in (BRANCH, LEAF):
        raise BadFile(f"page {number} is not what it should be (it says page {ident}, flags {flags:#x})")
    return flags, count, overflow


def _branches(raw: bytes, count: int) -> list[int]:
    end = HEADER + 16 * count
    if end > len(raw):
        raise BadFile("a branch page is cut off")
    return [struct.unpack_from("<IIQ", raw, offset)[2] for offset in range(HEADER, end, 16)]


def _items(raw: bytes, count: int) -> list[Item]:
    items: list[Item] = []
    for offset in range(HEADER, HEADER + 16 * count, 16):
        if offset + 16 > len(raw):
            raise BadFile("a leaf page is cut off")
        flags, pos, ksize, vsize = struct.unpack_from("<IIII", raw, offset)
        start = offset + pos
        if start + ksize + vsize > len(raw):
            raise BadFile("an entry reaches beyond its page")
        items.append(Item(raw[start : start + ksize], raw[start + ksize : start + ksize + vsize], bool(flags & 1)))
    return items


def _load(meta: Meta, numbers: t.Sequence[int]) -> Reader[list[bytes]]:
    """Whole pages, overflow pages included: one round trip, a second one where pages overflow."""
    size = meta.page_size
    for number in numbers:
        if not 2 <= number < meta.high_water:
            raise BadFile(f"page {number} is outside the file")
    raws = yield [(number * size, size) for number in numbers]
    more = {index: _page(raw, numbers[index])[2] for index, raw in enumerate(raws)}
    long = [index for index, overflow in more.items() if overflow]
    for index in long:
        if numbers[index] + more[index] >= meta.high_water:
            raise BadFile(f"page {numbers[index]} overflows beyond the file")
    if long:
        rest = yield [((numbers[index] + 1) * size, more[index] * size) for index in long]
        for index, tail in zip(long, rest, strict=True):
            raws[index] += tail
    return raws


def children(item: Item, meta: Meta) -> Reader[list[Item]]:
    """All items of a small bucket (inline or with its own pages)."""
    return (yield from _walk(item, meta, lambda pages: pages))


def last(item: Item, meta: Meta) -> Reader[list[Item]]:
    """Items of the rightmost leaf of a bucket: one page per level is read."""
    return (yield from _walk(item, meta, lambda pages: pages[-1:]))


def _walk(item: Item, meta: Meta, choose: t.Callable[[list[int]], list[int]]) -> Reader[list[Item]]:
    root = struct.unpack_from("<Q", item.value)[0] if len(item.value) >= HEADER else 0
    if root == 0:
        raw = item.value[HEADER:]
        return _items(raw, struct.unpack_from("<H", raw, 10)[0]) if len(raw) >= HEADER else []
    items: list[Item] = []
    level, seen = [root], 0
    for _depth in range(MAX_DEPTH):
        below: list[int] = []
        seen += len(level)
        if seen > meta.high_water:
            raise BadFile("the tree has more pages than the file: its pages form a cycle")
        raws = yield from _load(meta, level)
        for number, raw in zip(level, raws, strict=True):
            flags, count, _overflow = _page(raw, number)
            if flags == BRANCH:
                below += _branches(raw, count)
            else:
                items += _items(raw, count)
        if not below:
            return items
        level = choose(below)
    raise BadFile("the tree is deeper than any real one: its pages form a cycle")


def buckets(meta: Meta) -> Reader[dict[str, Item]]:
    """The top level buckets by name."""
    root = Item(b"", struct.pack("<QQ", meta.root, 0), True)
    found = yield from children(root, meta)
    return {item.key.decode("utf-8", "replace"): item for item in found if item.bucket}


def drive(reader: Reader[T], read_many: t.Callable[[list[Range]], list[bytes]]) -> T:
    """Run a reader over `read_many(ranges) -> bytes of each`."""
    try:
        ranges = next(reader)
        while True:
            ranges = reader.send(read_many(ranges))
    except StopIteration as stop:
        return t.cast(T, stop.value)


def scan(item: Item, meta: Meta, read_many: t.Callable[[list[Range]], list[bytes]]) -> t.Iterator[Item]:
    """All items of a bucket of any size, leaf by leaf; every page's number is checked, none is read twice."""
    root = struct.unpack_from("<Q", item.value)[0] if len(item.value) >= HEADER else 0
    if root == 0:
        raw = item.value[HEADER:]
        yield from _items(raw, struct.unpack_from("<H", raw, 10)[0]) if len(raw) >= HEADER else ()
        return
    seen: set[int] = set()
    pending = [root]
    while pending:
        number = pending.pop()
        if number in seen:
            raise BadFile(f"page {number} is reached twice: the tree is damaged")
        seen.add(number)
        raw = drive(_load(meta, [number]), read_many)[0]
        flags, count, _overflow = _page(raw, number)
        if flags == BRANCH:
            pending += reversed(_branches(raw, count))
        else:
            yield from _items(raw, count)
