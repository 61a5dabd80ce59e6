# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The structure of a bbolt file: sound ones are counted as bbolt counts them, and every kind of fault is told."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile, ReadAt
from ansible_collections.requorum.cluster.plugins.module_utils._structure import Structure, Visit, check
from tests.unit.datastores import (
    NO_FREELIST,
    PAGE,
    branch,
    build,
    database,
    freelist,
    leaf,
    meta,
    snapshot,
    unpacked,
)

Entries = list[tuple[bytes, bytes, bool]]


def over(data: bytes) -> ReadAt:
    return lambda offset, size: data[offset : offset + size]


def checked(data: bytes, visit: Visit | None = None) -> Structure:
    return check(over(data), len(data), visit)


def fault(data: bytes) -> str:
    with pytest.raises(BadFile) as error:
        checked(data)
    return str(error.value)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[ReadAt, int]]:
    with open(path, "rb") as file:
        yield lambda offset, size: os.pread(file.fileno(), size, offset), path.stat().st_size


def to(page: int) -> bytes:
    """Header of a bucket with pages of its own."""
    return struct.pack("<QQ", page, 0)


def inline(*entries: tuple[bytes, bytes, bool]) -> bytes:
    return to(0) + leaf(0, list(entries))


def put(page: bytes, offset: int, layout: str, *values: int) -> bytes:
    """A page with something else in one place."""
    made = struct.pack("<" + layout, *values)
    return page[:offset] + made + page[offset + len(made) :]


def one(number: int, *keys: bytes) -> bytes:
    return leaf(number, [(key, b"value", False) for key in keys])


ROOT = leaf(2, [(b"key", to(3), True), (b"lease", inline((b"l", b"", False)), True)])
TREE = branch(3, [4, 5], [b"a", b"m"])
LEFT, RIGHT = one(4, b"a", b"b"), one(5, b"m", b"z")
GOOD = database(ROOT, TREE, LEFT, RIGHT)


# Known answers: bbolt 1.4.3, `pages` by type and `stats` (which leaves the root page out) and `keys` of each bucket.
@pytest.mark.parametrize(
    ("name", "pages", "leaves", "overflow", "free", "key", "lease", "txid"),
    [
        ("snapshot.db", 1515, 618, 779, 109, 2483, 18, 617),
        ("r1/etcd/member/snap/db", 1515, 624, 780, 102, 2507, 19, 630),
        ("r3/etcd/member/snap/db", 1518, 625, 777, 107, 2496, 19, 580),
    ],
)
def test_real_datastores_are_counted_as_bbolt_counts_them(
    name: str, pages: int, leaves: int, overflow: int, free: int, key: int, lease: int, txid: int
) -> None:
    with reading(unpacked() / name) as (read_at, size):
        found = check(read_at, size)
    small = {"alarm": 0, "auth": 1, "authRoles": 0, "authUsers": 0, "cluster": 1, "members": 3, "members_removed": 0}
    assert found == Structure(
        PAGE, pages, 7, leaves, overflow, 0, free, txid, {**small, "key": key, "lease": lease, "meta": 4}, depth=3
    )
    assert found.bytes == pages * PAGE


def test_leaves_are_visited_in_order_with_all_their_keys() -> None:
    seen: dict[bytes, list[tuple[bytes, bytes]]] = {}
    found = checked(GOOD, lambda name, items: seen.setdefault(name, []).extend(items))
    assert seen == {b"key": [(key, b"value") for key in (b"a", b"b", b"m", b"z")], b"lease": [(b"l", b"")]}
    assert (found.keys, found.branch, found.leaf, found.depth) == ({"key": 4, "lease": 1}, 1, 3, 2)


def test_names_and_keys_need_not_be_text() -> None:
    found = checked(database(leaf(2, [(b"\xff\xfe", inline((b"\x80", b"\xff", False)), True)])))
    assert found.keys == {"\\xff\\xfe": 1}


def test_nested_buckets_are_checked_and_not_visited() -> None:
    nested = leaf(3, [(b"a", b"", False), (b"in", inline((b"x", b"", False)), True), (b"sub", to(4), True)])
    deeper = leaf(4, [(b"sub", to(5), True)])
    seen: list[bytes] = []
    pages = [leaf(2, [(b"key", to(3), True)]), nested, deeper]
    found = checked(database(*pages, one(5, b"q")), lambda _name, items: seen.extend(key for key, _value in items))
    assert (found.keys, seen, found.leaf) == ({"key": 1}, [b"a"], 4)
    assert fault(database(*pages, one(5, b"q", b"p"))) == "the keys of page 5 are not in order"
    circle = leaf(4, [(b"sub", to(4), True)])
    assert fault(database(pages[0], nested, circle)) == "page 4 is reached twice"


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("count", [0, 1, 2000])
def test_built_databases_of_every_page_size_are_sound(tmp_path: Path, page_size: int, count: int) -> None:
    entries = {
        b"key": [(b"%09d" % index, b"v" * (index % 300)) for index in range(count)],
        b"large": [(b"a", b"x" * 200_000), (b"b", b""), (b"c", b"y" * 3 * page_size)],
        b"meta": [(b"term", b"\0" * 8)],
    }
    build(tmp_path / "db", entries, page_size)
    seen: dict[bytes, list[tuple[bytes, bytes]]] = {name: [] for name in entries}
    with reading(tmp_path / "db") as (read_at, size):
        found = check(read_at, size, lambda name, items: seen[name].extend(items))
    assert seen == entries
    assert found.keys == {"key": count, "large": 3, "meta": 1}
    assert 2 + found.branch + found.leaf + found.overflow + found.freelist + found.free == found.pages
    assert (found.page_size, found.bytes) == (page_size, size)


FREE = freelist(6, [7, 8]) + b"\0" * 2 * PAGE


def test_the_free_list_names_what_is_not_used() -> None:
    found = checked(database(ROOT, TREE, LEFT, RIGHT, FREE, freelist=6))
    assert (found.pages, found.freelist, found.free) == (9, 1, 2)
    found = checked(database(ROOT, TREE, LEFT, RIGHT, b"\0" * 2 * PAGE))
    assert (found.pages, found.freelist, found.free) == (8, 0, 2)


@pytest.mark.parametrize("count", [0xFFFE, 0xFFFF, 0x10005])
def test_a_free_list_above_16_bits_has_its_length_in_front(count: int) -> None:
    pages = -(-(16 + 8 * (count + 1)) // PAGE)
    listed = freelist(3, list(range(3 + pages, 3 + pages + count)))
    head = database(leaf(2, []), listed, freelist=3)
    high_water = 3 + pages + count
    metas = meta(2, high_water, txid=2, freelist=3) + meta(2, high_water, txid=3, freelist=3)
    found = check(over(metas + head[2 * PAGE :]), high_water * PAGE)
    assert (found.freelist, found.free) == (pages, count)


def test_the_newer_valid_meta_page_counts() -> None:
    old, new = one(3, b"x"), leaf(2, [(b"key", inline((b"a", b"", False)), True)])
    assert checked(meta(3, 4, txid=2) + meta(2, 4, txid=3) + new + old).txid == 3
    torn = bytearray(meta(3, 4, txid=5))
    torn[40] ^= 1
    assert checked(meta(2, 4, txid=2) + bytes(torn) + new + old).txid == 2
    assert "neither meta page is valid" in fault(bytes(torn) * 2 + new + old)


def tree(*pages: bytes, top: bytes = ROOT, freelist: int = NO_FREELIST) -> bytes:
    return database(top, *pages, freelist=freelist)


def long_value(number: int, size: int) -> bytes:
    return leaf(number, [(b"m", b"v" * size, False)])


def chain(length: int) -> Iterator[bytes]:
    """Branch pages that name one page each, and a leaf."""
    yield from (branch(number, [number + 1], [b"a"]) for number in range(3, 3 + length))
    yield one(3 + length, b"a")


FAULTS = {
    "no file": (b"", "at least two pages"),
    "zeros": (b"\0" * 4 * PAGE, "neither meta page is valid"),
    "cut off": (GOOD[:-1], "its meta page says 6 pages of 4096"),
    "no pages at all": (meta(2, 0, txid=2) + meta(2, 0, txid=3) + GOOD[2 * PAGE :], "page 2 is outside the file"),
    "number of a meta page": (put(GOOD, PAGE, "Q", 7), "page 1 is not what it should be (it says page 7, flags 0x4)"),
    "kind of a meta page": (put(GOOD, 8, "H", 2), "page 0 is not what it should be (it says page 0, flags 0x2)"),
    "root outside": (database(ROOT, TREE, LEFT, RIGHT, root=77), "page 77 is outside the file, which has 6 pages"),
    "root is a meta page": (database(ROOT, TREE, LEFT, RIGHT, root=1), "page 1 is outside the file"),
    "root is a free list": (tree(freelist(3, [])), "page 3 is not what it should be (it says page 3, flags 0x10)"),
    "two kinds at once": (tree(put(TREE, 8, "H", 3), LEFT, RIGHT), "page 3 is not what it should be"),
    "wrong number": (tree(TREE, put(LEFT, 0, "Q", 5), RIGHT), "page 4 is not what it should be (it says page 5"),
    "no child": (tree(branch(3, [])), "page 3 is a branch that cannot have 0 entries"),
    "too many children": (tree(put(TREE, 10, "H", 999), LEFT, RIGHT), "branch that cannot have 999 entries"),
    "too many entries": (tree(TREE, LEFT, put(RIGHT, 10, "H", 999)), "page 5 is too short for its 999 entries"),
    "an entry less": (tree(TREE, LEFT, put(RIGHT, 10, "H", 1)), "entry 0 of page 5 is misplaced"),
    "key elsewhere": (tree(put(TREE, 16, "I", 40), LEFT, RIGHT), "entry 0 of page 3 is misplaced"),
    "value elsewhere": (tree(TREE, LEFT, put(RIGHT, 32 + 4, "I", 23)), "entry 1 of page 5 is misplaced"),
    "kind of an entry": (tree(TREE, LEFT, put(RIGHT, 16, "I", 2)), "entry 0 of page 5 is misplaced or of an unknown"),
    "value too long": (tree(TREE, LEFT, put(RIGHT, 32 + 12, "I", 1 << 31)), "an entry of page 5 reaches beyond it"),
    "key too long": (tree(put(TREE, 32 + 4, "I", 1 << 31), LEFT, RIGHT), "an entry of page 3 reaches beyond it"),
    "leaf out of order": (tree(TREE, one(4, b"b", b"a"), RIGHT), "the keys of page 4 are not in order"),
    "key twice": (tree(TREE, one(4, b"a", b"a"), RIGHT), "the keys of page 4 are not in order"),
    "branch out of order": (tree(branch(3, [4, 5], [b"m", b"a"]), LEFT, RIGHT), "the keys of page 3 are not in order"),
    "empty key": (tree(one(3, b"")), "the keys of page 3 are outside the range"),
    "below its range": (tree(TREE, LEFT, one(5, b"l")), "the keys of page 5 are outside the range"),
    "at the end of its range": (tree(TREE, one(4, b"a", b"m"), RIGHT), "the keys of page 4 are outside the range"),
    "deep below its range": (tree(branch(3, [4], [b"b"]), branch(4, [5], [b"a"]), one(5, b"a")), "the keys of page 4"),
    "deep above its range": (
        tree(branch(3, [4, 6], [b"a", b"m"]), branch(4, [5], [b"a"]), one(5, b"a", b"n"), one(6, b"m")),
        "the keys of page 5 are outside the range",
    ),
    "empty page": (tree(TREE, LEFT, leaf(5, [])), "page 5 is empty"),
    "empty bucket": (tree(leaf(3, [])), "page 3 is empty"),
    "cycle of one": (tree(branch(3, [3], [b"a"])), "page 3 is reached twice"),
    "cycle of two": (tree(branch(3, [4], [b"a"]), branch(4, [3], [b"a"])), "page 3 is reached twice"),
    "child twice": (tree(branch(3, [4, 4], [b"a", b"b"]), LEFT), "page 4 is reached twice"),
    "bucket within itself": (tree(leaf(3, [(b"sub", to(3), True)])), "page 3 is reached twice"),
    "two buckets on one page": (tree(one(3, b"a"), top=leaf(2, [(b"a", to(3), True), (b"b", to(3), True)])), "page 3"),
    "child outside": (tree(branch(3, [1 << 63], [b"a"])), "page 9223372036854775808 is outside the file"),
    "child is a meta page": (tree(branch(3, [0], [b"a"])), "page 0 is outside the file"),
    "too deep": (tree(*chain(40)), "page 35 lies deeper than those of any real tree"),
    "overflow into a page": (tree(TREE, long_value(4, PAGE), RIGHT), "page 5 is reached twice"),
    "overflow beyond the file": (tree(TREE, LEFT, put(RIGHT, 12, "I", 1)), "page 5 overflows beyond the file"),
    "overflow far beyond": (tree(TREE, LEFT, put(RIGHT, 12, "I", 0xFFFFFFFF)), "page 5 has 4294967295 overflow pages"),
    "overflow of a branch": (tree(put(TREE, 12, "I", 256), LEFT, RIGHT), "page 3 has 256 overflow pages"),
    "overflow not needed": (
        tree(TREE, LEFT, put(long_value(5, PAGE), 12, "I", 2), b"\0" * PAGE),
        "page 5 has more overflow pages than it needs",
    ),
    "no bucket at the top": (tree(top=leaf(2, [(b"k", b"v", False)])), "the top level holds 'k', which is no bucket"),
    "many buckets": (
        tree(top=leaf(2, [(b"%06d" % index, inline(), True) for index in range(1001)])),
        "more than 1000 buckets",
    ),
    "large bucket": (tree(top=leaf(2, [(b"k", inline((b"a", b"v" * 65536, False)), True)])), "no real one is so large"),
    "header cut off": (tree(top=leaf(2, [(b"k", to(0)[:9], True)])), "the header of bucket 'k' has 9 bytes"),
    "header with a tail": (tree(top=leaf(2, [(b"k", to(3) + b"x", True)])), "the header of bucket 'k' has 17 bytes"),
    "inline cut off": (tree(top=leaf(2, [(b"k", inline()[:-1], True)])), "inline bucket 'k' is cut off"),
    "inline branch": (tree(top=leaf(2, [(b"k", put(inline(), 24, "H", 1), True)])), "inline bucket 'k' is no leaf"),
    "inline with a tail": (tree(top=leaf(2, [(b"k", inline() + b"x", True)])), "goes on after its last entry"),
    "inline with a bucket": (
        tree(top=leaf(2, [(b"k", inline((b"a", inline(), True)), True)])),
        "inline bucket 'k' holds a bucket",
    ),
    "inline out of order": (
        tree(top=leaf(2, [(b"k", inline((b"b", b"", False), (b"a", b"", False)), True)])),
        "the keys of inline bucket 'k' are not in order",
    ),
    "inline too short": (
        tree(top=leaf(2, [(b"k", put(inline((b"a", b"v", False)), 44, "I", 2), True)])),
        "an entry of inline bucket 'k' reaches beyond it",
    ),
    "no UTF-8": (tree(top=leaf(2, [(b"\xff", b"v", False)])), "the top level holds '\\xff', which is no bucket"),
    "free list outside": (tree(TREE, LEFT, RIGHT, freelist=6), "page 6 is outside the file"),
    "free list in the tree": (tree(TREE, LEFT, RIGHT, freelist=5), "page 5 is reached twice"),
    "free list is a leaf": (tree(TREE, LEFT, RIGHT, one(6), freelist=6), "page 6 is not what it should be"),
    "free list too long": (
        tree(TREE, LEFT, RIGHT, put(FREE, 10, "H", 600), freelist=6),
        "page 6 is too short for its 600 free pages",
    ),
    "free list much too long": (
        tree(TREE, LEFT, RIGHT, put(FREE, 10, "HIQ", 0xFFFF, 0, 1 << 63), freelist=6),
        "page 6 is too short for its 9223372036854775808 free pages",
    ),
    "free list overflows": (
        tree(TREE, LEFT, RIGHT, put(FREE, 12, "I", 3), freelist=6),
        "page 6 overflows beyond the file",
    ),
    "free out of order": (tree(TREE, LEFT, RIGHT, put(FREE, 16, "QQ", 8, 7), freelist=6), "is not in order or reaches"),
    "free twice": (tree(TREE, LEFT, RIGHT, put(FREE, 16, "QQ", 7, 7), freelist=6), "is not in order or reaches"),
    "free outside": (tree(TREE, LEFT, RIGHT, put(FREE, 16, "QQ", 7, 9), freelist=6), "is not in order or reaches"),
    "free and used": (tree(TREE, LEFT, RIGHT, put(FREE, 16, "QQ", 5, 8), freelist=6), "page 5 is in use and"),
    "free meta page": (tree(TREE, LEFT, RIGHT, put(FREE, 16, "QQ", 1, 8), freelist=6), "page 1 is in use and"),
    "lost page": (
        tree(TREE, LEFT, RIGHT, put(FREE, 10, "H", 1), freelist=6),
        "page 8 is neither in use nor in the free list",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told(name: str) -> None:
    data, text = FAULTS[name]
    assert text in fault(data)


def test_what_the_faults_were_made_from_is_sound() -> None:
    for pages in (chain(20), (TREE, LEFT, RIGHT), (TREE, LEFT, long_value(5, PAGE))):
        checked(tree(*pages))


SMALL = database(
    leaf(2, [(b"key", to(3), True), (b"lease", inline((b"l", b"", False)), True), (b"meta", to(9), True)]),
    TREE, LEFT, leaf(5, [(b"m", b"v" * PAGE, False)]), freelist(7, [8]), b"\0" * PAGE,
    leaf(9, [(b"sub", inline((b"q", b"r", False)), True), (b"term", b"1", False)]), freelist=7,
)  # fmt: skip


def test_a_file_cut_at_any_page_is_refused() -> None:
    whole = snapshot()
    for data, step in ((SMALL, PAGE), (SMALL, 512), (whole[: 1515 * PAGE], 97 * PAGE)):
        checked(data)
        for end in range(0, len(data), step):
            fault(data[:end])


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    for end in range(2 * PAGE, len(SMALL), 512):
        with pytest.raises(BadFile):
            check(over(SMALL[:end]), len(SMALL))


def in_order(data: bytes) -> None:
    """Whatever the file, a check ends soon, and what it has visited is in order."""
    last: dict[bytes, bytes] = {}

    def visit(name: bytes, items: list[tuple[bytes, bytes]]) -> None:
        keys = [last.get(name, b""), *(key for key, _value in items)]
        assert all(before < after for before, after in itertools.pairwise(keys))
        last[name] = keys[-1]

    start = time.process_time()
    with contextlib.suppress(BadFile):
        checked(data, visit)
    assert time.process_time() - start < 1


@settings(max_examples=500)
@given(st.lists(st.integers(0, 8 * len(SMALL) - 1), min_size=1, max_size=4))
def test_flipped_bits_anywhere_give_sound_order_or_bad_file(places: list[int]) -> None:
    data = bytearray(SMALL)
    for place in places:
        data[place // 8] ^= 1 << place % 8
    in_order(bytes(data))


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(2, 9), st.integers(0, 127), st.binary(min_size=1, max_size=8)), max_size=3))
def test_other_headers_and_tables_give_sound_order_or_bad_file(changes: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(SMALL)
    for page, offset, change in changes:
        data[page * PAGE + offset : page * PAGE + offset + len(change)] = change
    in_order(bytes(data))


UNSEEN = {4: range(40, 48), 5: range(24, 32), 9: [16, *range(40, 48)]}
"""Per page: the sizes of its last entry, after which anything may stand, and what makes a nested bucket of an entry."""


@pytest.mark.parametrize(("page", "entries"), [(2, 3), (3, 2), (4, 2), (5, 1), (7, 0.5), (9, 2)])
def test_no_flipped_bit_in_a_header_or_table_passes(page: int, entries: float) -> None:
    passed = []
    for bit in range(int(8 * 16 * (1 + entries))):
        data = bytearray(SMALL)
        data[page * PAGE + bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(BadFile):
            checked(bytes(data))
            passed.append(bit // 8)
    assert set(passed) <= set(UNSEEN.get(page, ()))


def spent(run: Callable[[], object]) -> tuple[float, int]:
    """(seconds of CPU, bytes at most)."""
    tracemalloc.start()
    try:
        start = time.process_time()
        run()
        return time.process_time() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HIGH_WATER = (2 << 30) // PAGE
METAS = meta(2, HIGH_WATER, txid=2) + meta(2, HIGH_WATER, txid=3)


@pytest.mark.parametrize("head", [b"", METAS, METAS + put(ROOT, 12, "I", 16383), METAS + put(ROOT, 12, "I", 500_000)])
def test_a_sparse_file_of_2_gib_is_refused_at_once(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "db"
    path.write_bytes(head)
    os.truncate(path, 2 << 30)

    def refuse() -> None:
        with reading(path) as (read_at, size), pytest.raises(BadFile):
            check(read_at, size)

    seconds, memory = spent(refuse)
    assert seconds < 1 and memory < 80 << 20


def test_memory_does_not_depend_on_the_number_of_keys(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        path = tmp_path / str(count)
        build(path, {b"key": ((b"%017d" % index, b"v" * 100) for index in range(count))})
        with reading(path) as (read_at, size):
            return spent(lambda: check(read_at, size, lambda _name, _items: None))[1]

    few, many = peak(2000), peak(40_000)
    assert many < few + (200 << 10)
