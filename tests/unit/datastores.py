# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores of a real RKE2 cluster (data/README.md), unpacked once for all tests, and databases made by hand."""

from __future__ import annotations

import functools
import struct
import tarfile
import tempfile
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt

DATA = Path(__file__).parent / "data"
PAGE = 4096


@functools.cache
def unpacked() -> Path:
    """Folder with snapshot.db, r1/etcd and r3/etcd; the WALs end after their first KiB."""
    keep.append(tempfile.TemporaryDirectory(prefix="requorum-test-"))
    folder = Path(keep[0].name)
    with tarfile.open(DATA / "rke2-datastores.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


keep: list[tempfile.TemporaryDirectory[str]] = []


def snapshot() -> bytes:
    return (unpacked() / "snapshot.db").read_bytes()


def meta(root: int, pages: int, *, txid: int = 2, page_size: int = PAGE) -> bytes:
    body = struct.pack("<IIIIQQQQQ", _bbolt.MAGIC, 2, page_size, 0, root, 0, 0, pages, txid)
    head = struct.pack("<QHHI", txid % 2, 4, 0, 0)
    return (head + body + struct.pack("<Q", _bbolt.fnv1a(body))).ljust(page_size, b"\0")


def leaf(number: int, items: list[tuple[bytes, bytes, bool]], *, page_size: int = PAGE) -> bytes:
    table, body, start = b"", b"", 16 + 16 * len(items)
    for index, (key, value, bucket) in enumerate(items):
        place = start + len(body) - (16 + 16 * index)
        table += struct.pack("<IIII", int(bucket), place, len(key), len(value))
        body += key + value
    return (struct.pack("<QHHI", number, 2, len(items), 0) + table + body).ljust(page_size, b"\0")


def branch(number: int, below: list[int]) -> bytes:
    table = b"".join(struct.pack("<IIQ", 0, 0, page) for page in below)
    return (struct.pack("<QHHI", number, 1, len(below), 0) + table).ljust(PAGE, b"\0")


def database(*pages: bytes, root: int = 2, page_size: int = PAGE) -> bytes:
    """Two meta pages, then the given ones."""
    count = 2 + len(pages)
    return (
        meta(root, count, txid=2, page_size=page_size)
        + meta(root, count, txid=3, page_size=page_size)
        + b"".join(pages)
    )
