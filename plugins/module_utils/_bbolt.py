# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Read a bbolt file (etcd's member/snap/db) without etcd, from a disk or through a node.

Nothing here does I/O: a reader is a generator that yields requests and is sent an answer to each. `drive` runs one over
`local` (a file at hand) or over `_node.read_many`, where all requests of one step are one round trip; a whole way
down a tree is one request, so that no level of a tree costs a trip of its own.
Layout: bbolt's page.go and bucket.go.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

ReadAt = t.Callable[[int, int], bytes]
T = t.TypeVar("T")
U = t.TypeVar("U")


class Range(t.NamedTuple):
    """These bytes; fewer only at the end of the file."""

    offset: int
    size: int


class Tree(t.NamedTuple):
    """The pages below one, level by level, each with its overflow pages; with `last` only the way to the last leaf."""

    page: int
    page_size: int
    last: bool


class Tail(t.NamedTuple):
    """Of another file: where its data end, and what precedes that place."""

    path: str
    window: int


Request = Range | Tree | Tail
Answers = t.Callable[[t.Sequence[Request]], list[bytes]]
Reader = t.Generator[t.Sequence[Request], list[bytes], T]

MAGIC, VERSION = 0xED0CDAED, 2
BRANCH, LEAF, META, FREELIST = 0x01, 0x02, 0x04, 0x10
HEADER = 16
NO_FREELIST = 0xFFFFFFFFFFFFFFFF
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
MAX_DEPTH = 32
MAX_PAGES = 16
"""Pages of one Tree, without overflow pages: more than any way down has, or any of the small buckets."""
MAX_OVERFLOW = 8 << 20
"""Bytes: a leaf holds up to four of the largest entries, 1.5 MiB each, before bbolt splits it."""


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
    freelist: int = NO_FREELIST


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
    magic, version, page_size, _flags, root, _seq, freelist, high_water, txid, checksum = struct.unpack(
        "<IIIIQQQQQQ", body
    )
    if magic != MAGIC or version != VERSION or checksum != fnv1a(body[:56]):
        return None
    if page_size not in PAGE_SIZES:
        return None
    return Meta(page_size, root, high_water, txid, freelist)


def metas(size: int) -> Reader[Meta]:
    """Both meta pages; the second one lies one page after the first."""
    if size < 2 * PAGE_SIZES[0]:
        raise BadFile(f"a datastore has at least two pages, this file has {size} bytes")
    places = [0, *(place for place in PAGE_SIZES if place + HEADER + 64 <= size)]
    answers = yield [Range(place, HEADER + 64) for place in places]
    found = {place: meta for place, raw in zip(places, answers, strict=True) if (meta := _meta(raw))}
    first = found.pop(0, None)
    second = next((meta for place, meta in found.items() if place == (first or meta).page_size), None)
    valid = [meta for meta in (first, second) if meta]
    if not valid:
        raise BadFile("neither meta page is valid (magic, version or checksum)")
    newest = max(valid, key=lambda meta: meta.txid)
    if newest.high_water * newest.page_size > size:
        raise BadFile(f"the file has {size} bytes, its meta page says {newest.high_water} pages of {newest.page_size}")
    return newest


def page(raw: bytes, number: int) -> tuple[int, int, int]:
    """(flags, count, overflow) of a page header, checked against the page's own number."""
    if len(raw) < HEADER:
        raise BadFile(f"page {number} is cut off")
    ident, flags, count, overflow = struct.unpack_from("<QHHI", raw)
    if ident != number or flags not in (BRANCH, LEAF):
        raise BadFile(f"page {number} is not what it should be (it says page {ident}, flags {flags:#x})")
    return flags, count, overflow


def branches(raw: bytes, count: int) -> list[int]:
    end = HEADER + 16 * count
    if end > len(raw):
        raise BadFile("a branch page is cut off")
    return [struct.unpack_from("<IIQ", raw, offset)[2] for offset in range(HEADER, end, 16)]


def items(raw: bytes, count: int) -> list[Item]:
    found: list[Item] = []
    for offset in range(HEADER, HEADER + 16 * count, 16):
        if offset + 16 > len(raw):
            raise BadFile("a leaf page is cut off")
        flags, pos, ksize, vsize = struct.unpack_from("<IIII", raw, offset)
        start = offset + pos
        if start + ksize + vsize > len(raw):
            raise BadFile("an entry reaches beyond its page")
        found.append(Item(raw[start : start + ksize], raw[start + ksize : start + ksize + vsize], bool(flags & 1)))
    return found


def _visit(tree: Tree, take: ReadAt, high_water: int) -> t.Iterator[tuple[int, int, bytes]]:
    """(flags, count, whole page) of each page of a Tree, in order; what `sh/pages.sh` does on a node."""
    pending, size = [tree.page], tree.page_size
    for _page in range(MAX_PAGES):
        if not pending:
            return
        number = pending.pop(0)
        if not 2 <= number < high_water:
            raise BadFile(f"page {number} is outside the file")
        raw = take(number * size, size)
        flags, count, overflow = page(raw, number)
        if number + overflow >= high_water or overflow * size > MAX_OVERFLOW:
            raise BadFile(f"page {number} overflows beyond the file, or more than any entry needs")
        raw += take((number + 1) * size, overflow * size) if overflow else b""
        if len(raw) < (1 + overflow) * size:
            raise BadFile(f"page {number} is cut off")
        yield flags, count, raw
        if flags == BRANCH:
            below = branches(raw, count)
            pending += below[-1:] if tree.last else below
    if pending:
        raise BadFile(f"the tree below page {tree.page} has more pages than any real one: its pages form a cycle")


class Part(t.NamedTuple):
    """Items of a bucket: all of them, or those of its last leaf."""

    items: list[Item]
    whole: bool


def parts(meta: Meta, wanted: t.Sequence[tuple[Item | None, bool]]) -> Reader[list[Part]]:
    """Small buckets, and the last leaf of those asked for with True, in one round trip; a missing bucket is empty."""
    roots = [_root(item) for item, _last in wanted]
    trees = [Tree(root, meta.page_size, last) for root, (_item, last) in zip(roots, wanted, strict=True) if root]
    for tree in trees:
        if not 2 <= tree.page < meta.high_water:
            raise BadFile(f"page {tree.page} is outside the file")
    answers = iter((yield trees) if trees else [])
    asked = iter(trees)
    return [
        _part(next(asked), next(answers), meta) if root else Part(_inline(item), True)
        for root, (item, _last) in zip(roots, wanted, strict=True)
    ]


def _root(item: Item | None) -> int:
    return int(struct.unpack_from("<Q", item.value)[0]) if item and len(item.value) >= HEADER else 0


def _inline(item: Item | None) -> list[Item]:
    """A bucket without pages of its own lies within its header."""
    raw = item.value[HEADER:] if item else b""
    return items(raw, page(raw, 0)[1]) if raw else []


def _part(tree: Tree, raw: bytes, meta: Meta) -> Part:
    place = 0

    def take(_offset: int, size: int) -> bytes:
        nonlocal place
        place += size
        return raw[place - size : place]

    pages = list(_visit(tree, take, meta.high_water))
    leaves = [items(body, count) for flags, count, body in pages if flags == LEAF]
    return Part([item for leaf in leaves for item in leaf], not tree.last or len(pages) == 1)


def buckets(meta: Meta) -> Reader[dict[str, Item]]:
    """The top level buckets by name."""
    root = Item(b"", struct.pack("<QQ", meta.root, 0), True)
    found = (yield from parts(meta, [(root, False)]))[0]
    return {item.key.decode("utf-8", "replace"): item for item in found.items if item.bucket}


def drive(reader: Reader[T], answers: Answers) -> T:
    """Run a reader; each step is one call of `answers`."""
    try:
        requests = next(reader)
        while True:
            requests = reader.send(answers(requests))
    except StopIteration as stop:
        return t.cast(T, stop.value)


def local(read_at: ReadAt) -> Answers:
    """The answers of a file at hand."""

    def answer(request: Request) -> bytes:
        if isinstance(request, Range):
            return read_at(*request)
        if isinstance(request, Tree):
            return b"".join(raw for _flags, _count, raw in _visit(request, read_at, 1 << 48))
        raise TypeError("a log at hand is read as a whole, by _wal.read")

    return lambda requests: [answer(request) for request in requests]


def both(first: Reader[T], second: Reader[U]) -> Reader[tuple[T | BadFile, U | BadFile]]:
    """Two readers in the same round trips; the fault of one does not end the other."""
    results: list[t.Any] = [None, None]
    pending: dict[int, tuple[Reader[t.Any], list[bytes] | None]] = {0: (first, None), 1: (second, None)}
    while pending:
        asked: dict[int, t.Sequence[Request]] = {}
        for index, (reader, answer) in pending.items():
            try:
                asked[index] = next(reader) if answer is None else reader.send(answer)
            except StopIteration as stop:
                results[index] = stop.value
            except BadFile as error:
                results[index] = error
        if not asked:
            break
        answers = iter((yield [request for requests in asked.values() for request in requests]))
        pending = {i: ((first, second)[i], [next(answers) for _one in requests]) for i, requests in asked.items()}
    return results[0], results[1]
