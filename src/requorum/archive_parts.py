# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of archives that a library cannot open by itself: in several files, or in the middle of another one, or a zip
without its directory (APPNOTE 6.3.10).
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 20
_NUMBERED = re.compile(r"(.+)\.(0*1|aa+)$", re.I)
_SPANNED = re.compile(r"(.+)\.(?:zip|z\d+)$", re.I)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_MARKS = (b"PK\x07\x08", b"PK00")
"""Before the first member of a zip that was written in parts."""


@dataclass(frozen=True)
class Parts:
    """The files that make one archive."""

    paths: tuple[Path, ...]
    spanned: bool = False
    """Parts of `zip -s`, whose directory counts from the begin of each part."""
    missing: str = ""
    """The first part that is not there; those before it are read."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for path in self.paths)

    def opened(self) -> IO[bytes]:
        """All in a row."""
        if len(self.paths) == 1:
            return self.paths[0].open("rb")
        return io.BufferedReader(_Row(self.paths), BUFFER)


def of(path: Path) -> Parts:
    """Those of `x.zip.001` or `x.tgz.aa` (cut anywhere), of `x.z01` with `x.zip`; any other file is one."""
    beside = {other.name.lower(): other for other in path.parent.iterdir()} if path.parent.is_dir() else {}
    if found := _NUMBERED.match(path.name):
        first = found[2].lower()
        name, number, row = found[1].lower(), 0, list[Path]()
        while other := beside.get(f"{name}.{_suffix(first, number)}"):
            row.append(other)
            number += 1
        later = [key for key in beside if re.fullmatch(re.escape(name) + r"\.(?:\d+|[a-z]{2,})", key)]
        cut = len([key for key in later if len(key) == len(name) + 1 + len(first)]) > len(row)
        return Parts(tuple(row) or (path,), missing=f"{found[1]}.{_suffix(first, number)}" if cut else "")
    if (found := _SPANNED.match(path.name)) and f"{found[1]}.z01".lower() in beside:
        name, row = found[1].lower(), []
        while other := beside.get(f"{name}.z{len(row) + 1:02}"):
            row.append(other)
        last = beside.get(f"{name}.zip")
        return Parts((*row, *([last] if last else [])), True, "" if last else f"{found[1]}.zip")
    return Parts((path,))


def firsts(paths: Sequence[Path]) -> list[Path]:
    """One path for each archive, where a pattern of the shell has named all parts of it."""
    found = {of(path).paths: path for path in reversed(paths)}
    parts = {part for row in found if len(row) > 1 for part in row}
    return [path for row, path in reversed(found.items()) if len(row) > 1 or path not in parts]


def _suffix(first: str, number: int) -> str:
    """`001` and 1 -> `002`; `aa` and 26 -> `ba`."""
    if first.isdigit():
        return str(number + 1).rjust(len(first), "0")
    letters = ""
    for _place in first:
        number, rest = divmod(number, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def entries(file: IO[bytes]) -> int:
    """How many files a zip says that it has; 0 where it does not say."""
    size = file.seek(0, io.SEEK_END)
    begin = max(0, size - (1 << 16) - 22 - 20)
    file.seek(begin)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        return 0
    count = int(struct.unpack_from("<H", tail, at + 10)[0])
    if tail[max(0, at - 20) : max(0, at - 20) + 4] == _LOCATOR:
        file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
        head = file.read(40)
        count = int(struct.unpack_from("<Q", head, 32)[0]) if head[:4] == _END64 and len(head) == 40 else count
    file.seek(0)
    return count


def stored(file: IO[bytes], info: zipfile.ZipInfo) -> IO[bytes]:
    """A member that is not compressed, as it lies in its zip."""
    file.seek(info.header_offset)
    head = _LOCAL.unpack(file.read(_LOCAL.size))
    if head[0] != b"PK\x03\x04":
        raise zipfile.BadZipFile("there is no file where the directory says")
    return io.BufferedReader(_Window(file, info.header_offset + _LOCAL.size + head[9] + head[10], info.file_size))


def salvaged(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Members of a zip whose directory is gone or of no use, by the headers before each of them."""
    file.seek(0)
    at: int | None = 4 if file.read(4) in _MARKS else 0
    while at is not None:
        file.seek(at)
        head = file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\x03\x04":
            return
        flags, method, _time, _date, _crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)[2:]
        name = file.read(name_length).decode("utf-8", "replace")
        if packed == 0xFFFFFFFF:
            packed = _large(file.read(extra_length), size == 0xFFFFFFFF)
        begin, behind = at + _LOCAL.size + name_length + extra_length, bool(flags & 8)
        if method == zipfile.ZIP_STORED and not behind:
            stream: _Window | _Inflated = _Window(file, begin, packed)
        elif method == zipfile.ZIP_DEFLATED:
            stream = _Inflated(file, begin)
        else:
            stream = _Unreadable(file, begin, packed)
        if flags & 1:
            stream = _Unreadable(file, begin, packed, "it is encrypted")
        if not name.endswith("/"):
            yield name, cast(IO[bytes], stream)
        at = _next(file, stream.end()) if behind else begin + packed


def _next(file: IO[bytes], end: int | None) -> int | None:
    """Where the next header is: sizes come behind the data, with or without a mark, of 4 or of 8 bytes each."""
    if end is None:
        return None
    file.seek(end)
    near = file.read(28).find(b"PK\x03\x04")
    return end + near if near >= 0 else None


def _large(extra: bytes, both: bool) -> int:
    """The packed size of more than 4 GiB, in the extra field of ZIP64."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            return int(struct.unpack_from("<Q", extra, 12 if both else 4)[0])
        extra = extra[4 + length :]
    return 0xFFFFFFFF


class _Row(io.RawIOBase):
    """Files in a row."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        sizes = [path.stat().st_size for path in paths]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._starts[-1]}[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
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


class _Window(io.RawIOBase):
    """A part of a file; the file itself may be read in between."""

    def __init__(self, file: IO[bytes], begin: int, size: int) -> None:
        self._file, self._begin, self._size, self._at = file, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {0: 0, 1: self._at, 2: self._size}[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        self._file.seek(self._begin + self._at)
        data = self._file.read(max(0, min(len(view), self._size - self._at)))
        if not data and self._at < self._size and len(view):
            raise EOFError("the archive ends within it")
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def end(self) -> int | None:
        return self._begin + self._size


class _Unreadable(_Window):
    """A member that cannot be unpacked."""

    def __init__(self, file: IO[bytes], begin: int, size: int, why: str = "its compression is not known") -> None:
        super().__init__(file, begin, size)
        self._why = why

    def readinto(self, buffer: WriteableBuffer) -> int:
        raise zipfile.BadZipFile(self._why)

    def end(self) -> int | None:
        return None


class _Inflated(io.RawIOBase):
    """A compressed member of unknown size."""

    def __init__(self, file: IO[bytes], begin: int) -> None:
        self._file, self._at, self._engine, self._ready = file, begin, zlib.decompressobj(-15), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        while not self._ready and not self._engine.eof:
            data = self._engine.unconsumed_tail
            if not data:
                self._file.seek(self._at)
                data = self._file.read(BUFFER)
                self._at += len(data)
            if not data:
                raise EOFError("the archive ends within it")
            self._ready = self._engine.decompress(data, BUFFER)
        count = min(len(view), len(self._ready))
        view[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def end(self) -> int | None:
        """Where the member ends in the file; None where it does not."""
        try:
            while not self._engine.eof:
                self._ready = b""
                self.readinto(bytearray(BUFFER))
        except (EOFError, OSError, zlib.error):
            return None
        return self._at - len(self._engine.unused_data)
