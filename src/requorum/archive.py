# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in an archive, one after the other: zip, tar, zips within, folders, parts of a split zip, truncated ones.

Nothing is unpacked to a place that a name in the archive could choose, and no link is followed. What cannot be read is
noted, and the rest is read. A zip within a zip of more than 32 MiB goes through an anonymous temporary file.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

CHUNK, IN_MEMORY = 1 << 20, 32 << 20
FAULTS = (OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zlib.error, struct.error,
          zipfile.BadZipFile, tarfile.TarError)  # fmt: skip
"""What a broken archive raises, encrypted ones and unknown compressions among it."""
_SPLIT = re.compile(r"(.*\.zip)\.0*1$", re.I)
_NESTED = re.compile(r"\.zip$", re.I)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")


@dataclass(frozen=True)
class Limits:
    """What is too much; a zip bomb must not take the night."""

    members: int = 500_000
    total: int = 64 << 30
    """Bytes in all, unpacked."""
    ratio: int = 400
    """Unpacked to packed, of a member above `large`. Deflate makes 1032 of nothing but zeros."""
    large: int = 256 << 20
    depth: int = 3


@dataclass
class Notes:
    """What could not be read, and how much was; shared by all that come out of one archive."""

    limits: Limits = field(default_factory=Limits)
    unread: dict[str, str] = field(default_factory=dict)
    """Path within the archive -> why."""
    members: int = 0
    bytes: int = 0

    def add(self, path: str, why: object) -> None:
        """The first reason counts."""
        self.unread.setdefault(path, str(why) or type(why).__name__)


@dataclass(frozen=True)
class Member:
    """A file: its path in the archive, `/` between parts, and its bytes, once."""

    path: str
    notes: Notes
    opened: Callable[[], IO[bytes]]

    def chunks(self) -> Iterator[bytes]:
        """Its bytes as far as they can be read; why not all of them is noted."""
        try:
            with self.opened() as stream:
                while block := stream.read(CHUNK):
                    self.notes.bytes += len(block)
                    if self.notes.bytes > self.notes.limits.total:
                        raise ValueError(f"the archive holds more than {self.notes.limits.total >> 30} GiB")
                    yield block
        except FAULTS as fault:
            self.notes.add(self.path, fault)

    def bytes(self, most: int) -> bytes | None:
        """All of it; None where it is larger, which is noted."""
        found = bytearray()
        for block in self.chunks():
            found += block
            if len(found) > most:
                self.notes.add(self.path, f"it is larger than {most >> 20} MiB")
                return None
        return bytes(found)


def walk(path: Path, notes: Notes) -> Iterator[Member]:
    """Every file of an archive or a folder; RequorumError where it is neither.

    A member of a tar must be read before the next one is asked for.
    """
    if path.is_dir():
        yield from _folder(path, notes)
        return
    try:
        with _whole(path) as file:
            magic = file.read(4)
            file.seek(0)
            if magic[:2] == b"PK":
                yield from _zip(file, "", notes, 1)
            elif _is_tar(file):
                yield from _tar(file, notes)
            else:
                raise RequorumError(f"{path} is no archive: neither zip nor tar.",
                                    "Give the file as it was downloaded.")  # fmt: skip
    except OSError as error:
        raise RequorumError(f"{path} cannot be read: {error.strerror or error}.", "Look at the file.") from error


def _whole(path: Path) -> IO[bytes]:
    """The file; of a zip in parts (`x.zip.001`, ...) all of them in a row."""
    split = _SPLIT.match(path.name)
    if not split:
        return path.open("rb")
    parts = sorted(p for p in path.parent.iterdir() if re.fullmatch(re.escape(split[1]) + r"\.\d+", p.name))
    return io.BufferedReader(_Parts(parts), CHUNK)


def _folder(top: Path, notes: Notes) -> Iterator[Member]:
    for folder, folders, names in os.walk(top):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            inner = path.relative_to(top).as_posix()
            if _counts(inner, notes) and not path.is_symlink() and path.is_file():
                with path.open("rb") as file:
                    nested = bool(_NESTED.search(name)) and file.read(2) == b"PK"
                    if nested:
                        yield from _zip(file, _NESTED.sub("", inner) + "/", notes, 2)
                if not nested:
                    yield Member(inner, notes, lambda path=path: path.open("rb"))  # type: ignore[misc]


def _zip(file: IO[bytes], above: str, notes: Notes, depth: int) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(file)
    except FAULTS as fault:
        notes.add(above or "the archive", f"its end is missing, so it was read up to there ({fault})")
        for name, opened in _salvaged(file):
            if _counts(above + name, notes):
                yield from _nested(Member(above + name, notes, opened), notes, depth)
        return
    seen = set[str]()
    for info in archive.infolist():
        path = above + info.filename
        if info.is_dir() or not _counts(path, notes):
            continue
        if why := _refused(info, seen, notes.limits):
            notes.add(path, why)
            continue
        seen.add(info.filename)
        member = Member(path, notes, lambda info=info: archive.open(info))  # type: ignore[misc]
        yield from _nested(member, notes, depth)


def _refused(info: zipfile.ZipInfo, seen: set[str], limits: Limits) -> str:
    """Why a member of a zip is not read; empty for good ones."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a symbolic link"
    if info.flag_bits & 1:
        return "it is encrypted"
    if info.filename in seen:
        return "another file has its name"
    if info.file_size > limits.large and info.file_size > limits.ratio * max(info.compress_size, 1):
        return f"it would grow {info.file_size // max(info.compress_size, 1)} times: a zip bomb"
    return ""


def _nested(member: Member, notes: Notes, depth: int) -> Iterator[Member]:
    """The files of a zip within, else the file itself."""
    if not _NESTED.search(member.path):
        yield member
        return
    if depth >= notes.limits.depth:
        notes.add(member.path, f"archives are nested deeper than {depth}")
        return
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        for block in member.chunks():
            spool.write(block)
        spool.seek(0)
        yield from _zip(spool, _NESTED.sub("", member.path) + "/", notes, depth + 1)


def _is_tar(file: IO[bytes]) -> bool:
    try:
        return tarfile.is_tarfile(file)
    except FAULTS:
        return False
    finally:
        file.seek(0)


def _tar(file: IO[bytes], notes: Notes) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            for info in archive:
                path = info.name.removeprefix("./")
                if info.isdir() or not _counts(path, notes):
                    continue
                if not info.isfile():
                    notes.add(path, "it is a link or a device")
                    continue
                stream = archive.extractfile(info)
                assert stream
                yield Member(path, notes, lambda stream=stream: stream)  # type: ignore[misc]
    except FAULTS as fault:
        notes.add("the archive", f"it was read up to here: {fault}")


def _counts(path: str, notes: Notes) -> bool:
    """Whether this name is one to read; nothing is ever written under it."""
    notes.members += 1
    if notes.members > notes.limits.members:
        notes.add("the archive", f"more than {notes.limits.members} files; those after them were not read")
        return False
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in path.split("/"):
        notes.add(path.replace("\0", "?"), "its name leads out of the archive")
        return False
    return True


class _Parts(io.RawIOBase):
    """Files in a row."""

    def __init__(self, paths: list[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._starts[-1]}[whence]
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        for file, start, end in zip(self._files, self._starts, self._starts[1:], strict=False):
            if start <= self._at < end:
                file.seek(self._at - start)
                count = file.readinto(view[: end - self._at])
                self._at += count
                return count
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def _salvaged(file: IO[bytes]) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Members of a zip whose directory is gone, by the headers before each of them."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            return
        _magic, _version, flags, method, _t, _d, _crc, packed, _size, name_length, extra = _LOCAL.unpack(head)
        name = file.read(name_length).decode("utf-8", "replace")
        begin = at + _LOCAL.size + name_length + extra
        stream = _Stored(file, begin, packed) if method == 0 else _Inflated(file, begin)
        if flags & 1 or method not in (0, 8) or (method == 0 and flags & 8):
            return
        if not name.endswith("/"):
            yield name, lambda stream=stream: stream  # type: ignore[misc]
        end = stream.end()
        if end is None:
            return
        file.seek(end)
        at = end
        if flags & 8:  # sizes come behind the data, with or without a mark
            at += 16 if file.read(4) == b"PK\x07\x08" else 12


class _Stored(io.RawIOBase):
    """A member that is not compressed."""

    def __init__(self, file: IO[bytes], begin: int, size: int) -> None:
        self._file, self._at, self._end = file, begin, begin + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        self._file.seek(self._at)
        data = self._file.read(min(len(view), self._end - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def end(self) -> int | None:
        return self._end


class _Inflated(io.RawIOBase):
    """A compressed member of unknown size."""

    def __init__(self, file: IO[bytes], begin: int) -> None:
        self._file, self._at, self._engine, self._ready = file, begin, zlib.decompressobj(-15), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        while not self._ready and not self._engine.eof:
            self._file.seek(self._at)
            data = self._engine.unconsumed_tail or self._file.read(CHUNK)
            if not data:
                raise EOFError("the archive ends within it")
            if not self._engine.unconsumed_tail:
                self._at += len(data)
            self._ready = self._engine.decompress(data, CHUNK)
        count = min(len(view), len(self._ready))
        view[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def end(self) -> int | None:
        """Where the member ends in the file; None where it does not."""
        try:
            while not self._engine.eof:
                self._ready = b""
                if not self.readinto(bytearray(CHUNK)) and not self._engine.eof:
                    return None
        except FAULTS:
            return None
        return self._at - len(self._engine.unused_data)
