# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Check every page of a bbolt file: what `bbolt check` reports, and what bbolt never writes (_pages).

Every page is claimed by the one that names it before it is read: so there is no cycle, and no list outgrows the file.
Sources: bbolt's tx_check.go, bucket.go, freelist/shared.go.
"""

from __future__ import annotations

import array
import operator
import sys
import typing as t
from dataclasses import dataclass

from . import _bbolt, _pages
from ._bbolt import BRANCH, FREELIST, HEADER, LEAF, META, NO_FREELIST, BadFile, ReadAt

Visit = t.Callable[[bytes, list[_pages.Pair]], None]
Leaf = tuple[list[_pages.Pair], list[_pages.Pair]]
"""(keys with values, nested buckets with their headers)."""
Pending = list[tuple[int, bytes, bytes | None, int]]
"""Pages still to be walked, the next one last: number, least key, key that is too large, level."""

WINDOW = 128 << 10
"""Pages that follow one another are read together up to this size."""
LONGEST = {BRANCH: 1 << 20, LEAF: 64 << 20}
"""Bytes of a page with its overflow pages; bbolt splits every page that has more than four entries (node.go)."""
MOST_BUCKETS, LARGEST_BUCKET = 1000, 1 << 16
"""At the top level (etcd has a dozen); bytes of a name (at most 32 KiB) and an inline page (a quarter of a page)."""


@dataclass(frozen=True)
class Structure:
    """A sound file. 2 + branch + leaf + overflow + freelist + free == pages."""

    page_size: int
    pages: int
    """High water mark; the file may be longer."""
    branch: int
    leaf: int
    overflow: int
    """Pages that continue a branch or a leaf."""
    freelist: int
    """Pages that hold the free list; 0 where it is not stored, as with etcd: what is not reached is free."""
    free: int
    txid: int
    keys: dict[str, int]
    """Per top level bucket."""
    depth: int
    """Levels of the deepest tree."""

    @property
    def bytes(self) -> int:
        """Of the image up to its high water mark."""
        return self.pages * self.page_size


def check(read_at: ReadAt, size: int, visit: Visit | None = None) -> Structure:
    """Walk every page that can be reached; the first fault is raised as BadFile.

    visit gets the keys and values of every leaf of the top level buckets, in order.
    """
    meta = _bbolt.drive(_bbolt.metas(size), _bbolt.local(read_at))
    return _Walk(read_at, meta).structure(visit)


class _Walk:
    def __init__(self, read_at: ReadAt, meta: _bbolt.Meta) -> None:
        self.read_at, self.meta, self.size = read_at, meta, meta.page_size
        self.used = bytearray(meta.high_water)
        self.branch = self.leaf = self.overflow = 0
        self.depth = 1
        self.nested: list[int] = []
        """Roots of buckets within buckets, still to be walked."""

    def structure(self, visit: Visit | None) -> Structure:
        for number in (0, 1):
            self.header(number, META)
        self.used[:2] = b"\1\1"
        self.claim(self.meta.root)
        keys: dict[str, int] = {}
        for name, value in self.top().items():
            count = 0
            for items, below in self.bucket(name, value):
                count += len(items)
                if visit and items:
                    visit(name, items)
                self.nest(below)
            keys[name.decode("utf-8", "backslashreplace")] = count
        while self.nested:
            for _items, below in self.leaves(self.nested.pop()):
                self.nest(below)
        freelist, free = self.free()
        return Structure(
            page_size=self.size, pages=self.meta.high_water, branch=self.branch, leaf=self.leaf, overflow=self.overflow,
            freelist=freelist, free=free, txid=self.meta.txid, keys=keys, depth=self.depth,
        )  # fmt: skip

    def top(self) -> dict[bytes, bytes]:
        """Top level buckets and their headers."""
        found: dict[bytes, bytes] = {}
        for items, buckets in self.leaves(self.meta.root):
            if items:
                raise BadFile(f"the top level holds {_quoted(items[0][0])}, which is no bucket")
            for name, value in buckets:
                if len(name) + len(value) > LARGEST_BUCKET:
                    raise BadFile(f"bucket {_quoted(name)} has a header of {len(value)} bytes: no real one is so large")
            found.update(buckets)
            if len(found) > MOST_BUCKETS:
                raise BadFile(f"there are more than {MOST_BUCKETS} buckets at the top level")
        return found

    def bucket(self, name: bytes, value: bytes) -> t.Iterable[Leaf]:
        """Leaves of a bucket, given its header."""
        root = self.root(name, value)
        return self.leaves(root) if root else [(_pages.inline(value, f"inline bucket {_quoted(name)}"), [])]

    def nest(self, buckets: list[_pages.Pair]) -> None:
        for name, value in buckets:
            if root := self.root(name, value):
                self.nested.append(root)
            else:
                _pages.inline(value, f"inline bucket {_quoted(name)}")

    def root(self, name: bytes, value: bytes) -> int:
        """Page number of a bucket's root; 0 when the bucket lies inline."""
        root = int.from_bytes(value[:8], "little")
        if len(value) < HEADER or (root and len(value) > HEADER):
            raise BadFile(f"the header of bucket {_quoted(name)} has {len(value)} bytes")
        if root:
            self.claim(root)
        return root

    def leaves(self, root: int) -> t.Iterator[Leaf]:
        """Walk one tree in the order of its keys."""
        size = self.size
        window, first = b"", 0
        pending: Pending = [(root, _pages.LEAST, None, 1)]
        while pending:
            start = (pending[-1][0] - first) * size
            if not 0 <= start < len(window):
                first, start, window = pending[-1][0], 0, self.read(pending[-1][0], _adjacent(pending, WINDOW // size))
            number, lower, upper, level = pending.pop()
            ident, flags, count, overflow = _pages.HEAD.unpack_from(window, start)
            if ident != number or flags not in LONGEST:
                raise _strange(number, ident, flags)
            raw, stop = window, start + size
            if overflow:
                raw, start, stop = self.whole(number, flags, overflow)
            if flags == LEAF:
                keys, items, buckets, end = _pages.leaf(raw, start, stop, number, count)
                if not keys and number != self.meta.root:
                    raise BadFile(f"page {number} is empty: bbolt keeps no such page")
                _pages.ordered(keys, lower, upper, number)
                self.leaf += 1
                yield items, buckets
            else:
                keys, below, end = _pages.branch(raw, start, stop, number, count)
                _pages.ordered(keys, lower, upper, number)
                self.branch += 1
                self.claim_below(below, level + 1)
                uppers = [upper, *keys[:0:-1]]
                pending.extend(zip(reversed(below), reversed(keys), uppers, [level + 1] * len(below), strict=True))
            if end - start < overflow * size:
                raise BadFile(f"page {number} has more overflow pages than it needs")

    def claim_below(self, below: list[int], level: int) -> None:
        """The pages that a branch page names."""
        if level > _bbolt.MAX_DEPTH:
            raise BadFile(f"page {below[0]} lies deeper than those of any real tree")
        self.depth = max(self.depth, level)
        for child in below:
            self.claim(child)

    def whole(self, number: int, flags: int, overflow: int) -> tuple[bytes, int, int]:
        """(bytes, start, stop) of a page with its overflow pages."""
        length = (1 + overflow) * self.size
        if length > LONGEST[flags]:
            raise BadFile(f"page {number} has {overflow} overflow pages: no entry is that large")
        self.overflows(number, overflow)
        self.overflow += overflow
        return self.read(number, 1 + overflow), 0, length

    def free(self) -> tuple[int, int]:
        """(pages of the free list, free pages); the list must name exactly the pages that were not reached."""
        number, size, high_water = self.meta.freelist, self.size, self.meta.high_water
        if number == NO_FREELIST:
            return 0, self.used.count(0)
        self.claim(number)
        count, overflow = self.header(number, FREELIST)
        self.overflows(number, overflow)
        start = number * size + HEADER
        if count == 0xFFFF:
            count = int.from_bytes(self.read_at(start, 8), "little")
            start += 8
        if start + 8 * count > (number + 1 + overflow) * size:
            raise BadFile(f"page {number} is too short for its {count} free pages")
        free = array.array("Q", self.exactly(start, 8 * count))
        if sys.byteorder == "big":
            free.byteswap()
        if free and (free[-1] >= high_water or not all(map(operator.lt, free, free[1:]))):
            raise BadFile(f"the free list on page {number} is not in order or reaches beyond the file")
        if any(map(self.used.__getitem__, free)):
            raise BadFile(f"page {next(page for page in free if self.used[page])} is in use and in the free list")
        for page in free:
            self.used[page] = 1
        if 0 in self.used:
            raise BadFile(f"page {self.used.index(0)} is neither in use nor in the free list")
        return 1 + overflow, count

    def claim(self, number: int) -> None:
        """Each page belongs to one place."""
        if not 2 <= number < self.meta.high_water:
            raise BadFile(f"page {number} is outside the file, which has {self.meta.high_water} pages")
        if self.used[number]:
            raise BadFile(f"page {number} is reached twice")
        self.used[number] = 1

    def overflows(self, number: int, overflow: int) -> None:
        if number + overflow >= self.meta.high_water:
            raise BadFile(f"page {number} overflows beyond the file")
        for page in range(number + 1, number + 1 + overflow):
            self.claim(page)

    def read(self, number: int, count: int) -> bytes:
        return self.exactly(number * self.size, count * self.size)

    def exactly(self, offset: int, length: int) -> bytes:
        raw = self.read_at(offset, length)
        if len(raw) != length:
            raise BadFile(f"the file ends in page {(offset + len(raw)) // self.size}: it was cut while it was read")
        return raw

    def header(self, number: int, wanted: int) -> tuple[int, int]:
        """(count, overflow) of a page that is of the wanted kind."""
        ident, flags, count, overflow = _pages.HEAD.unpack_from(self.read(number, 1))
        if ident != number or flags != wanted:
            raise _strange(number, ident, flags)
        return count, overflow


def _strange(number: int, ident: int, flags: int) -> BadFile:
    return BadFile(f"page {number} is not what it should be (it says page {ident}, flags {flags:#x})")


def _adjacent(pending: Pending, most: int) -> int:
    """How many of the next pages follow one another in the file."""
    number, most = pending[-1][0], min(most, len(pending))
    return next((run for run in range(1, most) if pending[-1 - run][0] != number + run), most)


def _quoted(name: bytes) -> str:
    return repr(name[:40])[1:]
