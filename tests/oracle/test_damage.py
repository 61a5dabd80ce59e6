# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `bbolt check` complains about a damaged copy, we complain too."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BRANCH, FREELIST, HEADER, LEAF, META
from tests.oracle import programs
from tests.oracle.conftest import Made
from tests.oracle.reading import fault

PAGE = 4096
FLIPS = 300
# Beyond the file, but not further than bbolt can count: at 1 << 40 its check panics, and whoever waits for complaints
# takes their end for "OK" and, one time in many, exits with 0 before the panic ends it. A fault ends it at once.
OUTSIDE = 1 << 20


class Image:
    """A db image in memory whose pages can be found by their kind."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.free: list[int] = []
        (self.list,) = self.pages(FREELIST)
        count = self.count(self.list)
        self.free = list(struct.unpack_from(f"<{count}Q", self.data, self.list * PAGE + HEADER))

    def flags(self, number: int) -> int:
        return int(struct.unpack_from("<QH", self.data, number * PAGE)[1])

    def count(self, number: int) -> int:
        return int(struct.unpack_from("<QHH", self.data, number * PAGE)[2])

    def pages(self, kind: int) -> list[int]:
        """Pages of a kind that are in use: one whose number does not stand in it is the middle of another one."""
        found, number = [], 0
        while number < len(self.data) // PAGE:
            ident, flags, _count, overflow = struct.unpack_from("<QHHI", self.data, number * PAGE)
            in_use = ident == number and number not in self.free
            if in_use and flags == kind:
                found.append(number)
            number += 1 + (overflow if in_use and flags in (LEAF, BRANCH, FREELIST) else 0)
        return found

    def leaf(self) -> int:
        """A leaf of the bucket `key` with several entries, its parent another page than the top level's."""
        return self.pages(LEAF)[20]

    def branch(self) -> int:
        """The lowest branch page with many children."""
        return max(self.pages(BRANCH), key=self.count)

    def pack(self, layout: str, number: int, offset: int, *values: int) -> None:
        struct.pack_into(layout, self.data, number * PAGE + offset, *values)

    def child(self, place: int) -> int:
        return int(struct.unpack_from("<Q", self.data, self.branch() * PAGE + HEADER + 16 * place + 8)[0])

    def set_child(self, place: int, number: int) -> None:
        self.pack("<Q", self.branch(), HEADER + 16 * place + 8, number)

    def set_free(self, free: list[int]) -> None:
        self.pack("<H", self.list, 10, len(free))
        self.pack(f"<{len(free)}Q", self.list, HEADER, *free)

    def key(self, number: int, place: int) -> slice:
        """Where a key of a leaf lies."""
        entry = number * PAGE + HEADER + 16 * place
        _flags, pos, size, _value = struct.unpack_from("<IIII", self.data, entry)
        return slice(entry + pos, entry + pos + size)

    def set_meta(self, offset: int, value: int) -> None:
        """A field of both metas, with the right checksum."""
        for number in self.pages(META):
            start = number * PAGE + HEADER
            self.pack("<Q", number, HEADER + offset, value)
            self.pack("<Q", number, HEADER + 56, _bbolt.fnv1a(bytes(self.data[start : start + 56])))


def swap_keys(image: Image) -> None:
    one, other = image.key(image.leaf(), 0), image.key(image.leaf(), 1)
    image.data[one], image.data[other] = image.data[other], image.data[one]


def raise_last_key(image: Image) -> None:
    image.data[image.key(image.leaf(), image.count(image.leaf()) - 1).start] = 0xFF


DAMAGE: dict[str, Callable[[Image], None]] = {
    "a leaf says another number": lambda i: i.pack("<Q", i.leaf(), 0, i.leaf() + 1),
    "a leaf is of no kind": lambda i: i.pack("<H", i.leaf(), 8, 0),
    "a leaf says that it is a branch": lambda i: i.pack("<H", i.leaf(), 8, BRANCH),
    "a leaf says that it is a free list": lambda i: i.pack("<H", i.leaf(), 8, FREELIST),
    "a leaf runs over into the next page": lambda i: i.pack("<I", i.leaf(), 12, 1),
    "a leaf runs over beyond the file": lambda i: i.pack("<I", i.leaf(), 12, 1 << 12),
    "a child is reached twice": lambda i: i.set_child(3, i.child(4)),
    "a child is free": lambda i: i.set_child(3, i.free[0]),
    "a child is outside the file": lambda i: i.set_child(3, OUTSIDE),
    "a child is the page itself": lambda i: i.set_child(3, i.branch()),
    "a child is a meta page": lambda i: i.set_child(3, 1),
    "two children are swapped": lambda i: (lambda a, b: (i.set_child(3, b), i.set_child(4, a)))(i.child(3), i.child(4)),
    "two keys are swapped": swap_keys,
    "a key is beyond its page's range": raise_last_key,
    "the free list has a page in use": lambda i: i.set_free(sorted([*i.free[1:], i.leaf()])),
    "the free list has a page twice": lambda i: i.set_free(sorted([*i.free[1:], i.free[1]])),
    "the free list lacks a page": lambda i: i.set_free(i.free[1:]),
    "the free list has a page outside": lambda i: i.set_free([*i.free[1:], OUTSIDE]),
    "the free list is of another kind": lambda i: i.pack("<H", i.list, 8, LEAF),
    "the root is outside the file": lambda i: i.set_meta(16, OUTSIDE),
    "the root is a page of the bucket key": lambda i: i.set_meta(16, i.leaf()),
    "the free list is outside the file": lambda i: i.set_meta(32, OUTSIDE),
    "the high water mark is beyond the file": lambda i: i.set_meta(40, 1 << 12),
    "the end of the file is missing": lambda i: i.data.__delitem__(slice(i.leaf() * PAGE + 100, None)),
}


@pytest.fixture(scope="module")
def sound(made: Made, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A compacted datastore with its free list on disk."""
    path = programs.with_freelist(made("compacted-3.6").path, tmp_path_factory.mktemp("sound"))
    assert programs.bbolt_check(path) == "" and fault(path) == ""
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_bbolt_complains_about_we_complain_about(sound: bytes, tmp_path: Path, damage: str) -> None:
    image, path = Image(sound), tmp_path / "db"
    DAMAGE[damage](image)
    path.write_bytes(image.data)
    assert programs.bbolt_check(path)
    assert fault(path)


def test_a_flipped_bit_that_bbolt_finds_we_find(sound: bytes, tmp_path: Path) -> None:
    """Where no sum protects anything: heads and tables of pages, and what follows them."""
    image, path, dice = Image(sound), tmp_path / "db", random.Random(5)
    pages = [*image.pages(LEAF), *image.pages(BRANCH) * 10, *image.pages(FREELIST) * 10]
    theirs, missed = 0, []
    for _turn in range(FLIPS):
        number, offset, bit = dice.choice(pages), int(dice.triangular(0, 400, 0)), dice.randrange(8)
        data = bytearray(sound)
        data[number * PAGE + offset] ^= 1 << bit
        path.write_bytes(data)
        if complaint := programs.bbolt_check(path):
            theirs += 1
            if not fault(path):
                missed.append(f"page {number} byte {offset} bit {bit}: {complaint[:200]}")
    assert theirs > FLIPS // 10
    assert not missed
