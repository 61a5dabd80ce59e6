# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A datastore at hand on the controller: a db, a snapshot (db and its sha256), a zip with one of them, a directory.

Whatever it is, it is read through `read_at` at any offset and never as a whole. A zip is unpacked into a nameless file.
Containers: facts/rke2.md 7.1.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import typing as t
import zipfile
from dataclasses import dataclass

from ._bbolt import BadFile

TRAILER = 32
LIMIT = 16 << 30
"""No datastore is larger: etcd warns above a quota of 8 GiB."""
BLOCK = 1 << 20
ReadAt = t.Callable[[int, int], bytes]


@dataclass(frozen=True)
class Image:
    """An open db image. `size` leaves the trailer out."""

    path: str
    kind: t.Literal["db", "zip", "directory"]
    size: int
    trailer: bytes | None
    """The sha256 that follows the image; None where there is none, as in a datastore directory."""
    read_at: ReadAt
    wal: str | None = None
    """Folder with the WAL that belongs to it."""

    @property
    def total(self) -> int:
        """Size with the trailer."""
        return self.size + len(self.trailer or b"")

    def blocks(self) -> t.Iterator[bytes]:
        """The image, block by block."""
        return (self.read_at(at, min(BLOCK, self.size - at)) for at in range(0, self.size, BLOCK))

    def save(self, path: str) -> None:
        """Write it with its trailer into a file that only its owner reads."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(self.blocks())
            file.write(self.trailer or b"")

    def digests(self) -> tuple[str, str]:
        """Hexadecimal sha256 of (image, image and trailer); one pass in constant memory."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        whole = digest.copy()
        whole.update(self.trailer or b"")
        return digest.hexdigest(), whole.hexdigest()


@contextlib.contextmanager
def opened(path: str) -> t.Iterator[Image]:
    """Open a datastore for reading; BadFile when it is none, is in use, or has changed when the block ends."""
    if path.endswith(".part"):
        raise BadFile(f"{path} is a transfer that did not end; look for the file without .part")
    try:
        yield from _opened(path)
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror or error}") from error


def _opened(path: str) -> t.Iterator[Image]:
    kind: t.Literal["db", "zip", "directory"] = "db"
    wal = None
    if os.path.isdir(path):
        member = next((m for m in _members(path) if os.path.isfile(os.path.join(m, "snap", "db"))), None)
        if member is None:
            raise BadFile(f"{path} is a directory without member/snap/db")
        kind, path, wal = "directory", os.path.join(member, "snap", "db"), os.path.join(member, "wal")
    if not os.path.isfile(path):
        raise BadFile(f"{path} is no file")
    with open(path, "rb") as source, tempfile.TemporaryFile() as unpacked:
        _unused(path, source)
        before = os.fstat(source.fileno())
        file: t.IO[bytes] = source
        if source.read(4) == b"PK\x03\x04":
            kind, file = "zip", unpacked
            _unzip(path, source, unpacked)
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        trailer = os.pread(descriptor, TRAILER, size - TRAILER) if size % 512 == TRAILER else None
        yield Image(
            path,
            kind,
            size - len(trailer or b""),
            trailer,
            lambda offset, length: os.pread(descriptor, length, offset),
            wal if wal and os.path.isdir(wal) else None,
        )
        after = os.fstat(source.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise BadFile(f"{path} has changed while it was read")


def _members(path: str) -> tuple[str, ...]:
    return (path, os.path.join(path, "member"), os.path.join(path, "etcd", "member"))


def _unused(path: str, file: t.IO[bytes]) -> None:
    """A bbolt that writes holds an exclusive lock on its file for as long as it has it open."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadFile(f"{path} is open in a running etcd: stop it first, or save a snapshot of it") from error


def _unzip(path: str, file: t.IO[bytes], target: t.IO[bytes]) -> None:
    """Unpack the only member of a zip; refused before it fills the disk."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].is_dir() or os.path.basename(members[0].filename) != members[0].filename:
                raise BadFile(f"{path} must hold one snapshot and nothing else, it holds {len(members)} entries")
            size = members[0].file_size
            room = shutil.disk_usage(tempfile.gettempdir()).free
            if size > LIMIT or size > room:
                raise BadFile(f"{path} unpacks to {size} bytes; {tempfile.gettempdir()} has {room} bytes free")
            with archive.open(members[0]) as packed:
                # zipfile ends at the announced size and checks the CRC there, so a bomb is no larger than announced
                shutil.copyfileobj(packed, target, BLOCK)
    except (BadFile, OSError):
        raise
    except Exception as error:  # those of zipfile and of each compression have no common parent
        raise BadFile(f"{path} is a damaged or encrypted zip: {error}") from error
