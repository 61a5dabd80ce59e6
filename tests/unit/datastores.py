# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores of a real RKE2 cluster (data/README.md), unpacked once for all tests; databases made by hand or in bulk.

`build` writes a sound database of any size; `bbolt check` accepts it.
"""

from __future__ import annotations

import functools
import struct
import tarfile
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt

DATA = Path(__file__).parent / "data"
PAGE = 4096
NO_FREELIST = 0xFFFFFFFFFFFFFFFF


@functools.cache
def unpacked() -> Path:
    """Folder with snapshot.db, r1/etcd and r3/etcd."""
    keep.append(tempfile.TemporaryDirectory(prefix="requorum-test-"))
    folder = Path(keep[0].name)
    with tarfile.open(DATA / "rke2-datastores.tar.xz") as archive:
        # Python before 3.11.4 has no filters.
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder


keep: list[tempfile.TemporaryDirectory[str]] = []


def snapshot() -> bytes:
    return (unpacked() / "snapshot.db").read_bytes()


def meta(root: int, pages: int, *, txid: int = 2, page_size: int = PAGE, freelist: int = NO_FREELIST) -> bytes:
    body = struct.pack("<IIIIQQQQQ", _bbolt.MAGIC, 2, page_size, 0, root, 0, freelist, pages, txid)
    head = struct.pack("<QHHI", txid % 2, 4, 0, 0)
    return (head + body + struct.pack("<Q", _bbolt.fnv1a(body))).ljust(page_size, b"\0")


def leaf(number: int, items: list[tuple[bytes, bytes, bool]], *, page_size: int = PAGE) -> bytes:
    """With its overflow pages; number 0 is that of a page that lies inline and ends with its last value."""
    page = _packed([(key, value, int(bucket)) for key, value, bucket in items], number, page_size)
    return _filled(page, page_size) if number else page


def branch(number: int, below: list[int], keys: t.Sequence[bytes] = (), *, page_size: int = PAGE) -> bytes:
    """Without keys a reader that does not look at them can still walk the tree."""
    entries = [(key, b"", page) for key, page in zip(keys or [b""] * len(below), below, strict=True)]
    return _filled(_packed(entries, number, page_size, branch=True), page_size)


def freelist(number: int, free: list[int], *, page_size: int = PAGE) -> bytes:
    count = len(free)
    head = struct.pack("<QHHI", number, 0x10, min(count, 0xFFFF), (16 + 8 * count) // page_size)
    many = struct.pack("<Q", count) if count >= 0xFFFF else b""
    return _filled(head + many + struct.pack(f"<{count}Q", *free), page_size)


def _filled(page: bytes, page_size: int) -> bytes:
    return page.ljust(-len(page) // page_size * -page_size, b"\0")


def _packed(entries: list[tuple[bytes, bytes, int]], number: int, page_size: int, *, branch: bool = False) -> bytes:
    """Entries: key, value, and flags of a leaf's or page number of a branch's."""
    place, table = 16 * len(entries), []
    for key, value, more in entries:
        head = ("<IIQ", place, len(key), more) if branch else ("<IIII", more, place, len(key), len(value))
        table.append(struct.pack(*head))
        place += len(key) + len(value) - 16
    body = b"".join(table) + b"".join(part for key, value, _more in entries for part in (key, value))
    return struct.pack("<QHHI", number, 1 if branch else 2, len(entries), (15 + len(body)) // page_size) + body


def database(*pages: bytes, root: int = 2, page_size: int = PAGE, freelist: int = NO_FREELIST) -> bytes:
    """Two meta pages, then the given ones."""
    body = b"".join(pages)
    count = 2 + len(body) // page_size
    head = b"".join(meta(root, count, txid=txid, page_size=page_size, freelist=freelist) for txid in (2, 3))
    return head + body


Entries = t.Iterable[tuple[bytes, bytes]]


def build(path: Path | str, buckets: t.Mapping[bytes, Entries], page_size: int = PAGE) -> None:
    """Write a sound database, whatever its size, in little memory; the entries must come in order of their keys.

    As bbolt would: a small bucket lies inline, a value that does not fit gets overflow pages, the free list is empty.
    """
    with open(path, "wb") as file:
        file.truncate(2 * page_size)
        file.seek(2 * page_size)
        made = ((name, _Loader(file, page_size).bucket(entries)) for name, entries in sorted(buckets.items()))
        root = _Loader(file, page_size).tree(made, 1)
        last = file.tell() // page_size
        file.write(freelist(last, [], page_size=page_size))
        file.seek(0)
        for txid in (2, 3):
            file.write(meta(root, last + 1, txid=txid, page_size=page_size, freelist=last))


class _Loader:
    """Loads one tree from its leaves upwards: every level has one page that is being filled."""

    def __init__(self, file: t.IO[bytes], page_size: int) -> None:
        self.file, self.page_size = file, page_size
        self.levels: list[list[tuple[bytes, bytes, int]]] = [[]]
        """Per level: key, value, and flags of a leaf or page number below a branch."""
        self.room = [page_size - 16]

    def bucket(self, entries: Entries) -> bytes:
        """The value that stands for a bucket in its parent."""
        root = self.tree(entries, 0, inline=True)
        return struct.pack("<QQ", root, 0) + (b"" if root else _packed(self.levels[0], 0, self.page_size))

    def tree(self, entries: Entries, flags: int, *, inline: bool = False) -> int:
        """Page number of the root; 0 when the entries are few and may stay inline."""
        for key, value in entries:
            self._add(0, key, value, flags)
        if inline and len(self.levels) == 1 and self.room[0] >= self.page_size * 3 // 4:
            return 0
        level = 0
        while level < len(self.levels) - 1:
            self._close(level)
            level += 1
        return self._write(level)

    def _add(self, level: int, key: bytes, value: bytes, more: int) -> None:
        size = 16 + len(key) + len(value)
        if size > self.room[level] and self.levels[level]:
            self._close(level)
        self.levels[level].append((key, value, more))
        self.room[level] -= size

    def _close(self, level: int) -> None:
        """Write the page of a level and enter it in the level above."""
        if level + 1 == len(self.levels):
            self.levels.append([])
            self.room.append(self.page_size - 16)
        first = self.levels[level][0][0]
        self._add(level + 1, first, b"", self._write(level))
        self.levels[level], self.room[level] = [], self.page_size - 16

    def _write(self, level: int) -> int:
        number = self.file.tell() // self.page_size
        self.file.write(_filled(_packed(self.levels[level], number, self.page_size, branch=level > 0), self.page_size))
        return number
