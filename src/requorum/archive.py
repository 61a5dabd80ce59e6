# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in an archive, one after the other: zip, tar, archives within, folders, parts of a split one, truncated ones.

Nothing is unpacked to a place that a name in the archive could choose, and no link is followed. What cannot be read is
noted, and the rest is read. A zip within is read where it lies when it is stored, as `zip` does with a zip; one that is
compressed goes through an anonymous temporary file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import archive_parts

CHUNK, IN_MEMORY = 1 << 20, 32 << 20
FAULTS = (OSError, EOFError, LookupError, RuntimeError, ValueError, OverflowError, zlib.error, lzma.LZMAError,
          struct.error, zipfile.BadZipFile, tarfile.TarError)  # fmt: skip
"""What a broken archive raises, encrypted ones and unknown compressions among it."""
NOTES = 1000
"""Parts of which each is named that could not be read; the others are counted."""
WHOLE = "the archive"
_ZIP = re.compile(r"\.zip$", re.I)
_TAR = re.compile(r"\.(?:tar|tar\.(?:gz|bz2|xz)|tgz|tbz2?|txz)$", re.I)
_OTHERS = re.compile(r"(?:^|/)scc_[^/]*$")
"""Archives of supportconfig, in which nothing is looked for."""
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\.DS_Store$)")
_HEADERS = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK}  # fmt: skip
_LARGEST_HEADER = 1 << 20
_ALONE: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_STRANGERS = (
    (b"7z\xbc\xaf", "it is a 7z archive. Unpack it and give the folder."),
    (b"Rar!", "it is a RAR archive. Unpack it and give the folder."),
    (b"\x28\xb5\x2f\xfd", "it is compressed by zstd. Unpack it (`zstd -d`) and give what comes out."),
    (b"<", "it is a web page. The download has failed: log in and download it again."),
    (b"{", "it is JSON, perhaps an error message. The download has failed: log in and download it again."),
)


@dataclass(frozen=True)
class Limits:
    """What is too much; a zip bomb must not take the night."""

    members: int = 500_000
    total: int = 64 << 30
    """Bytes in all, unpacked."""
    ratio: int = 400
    """Unpacked to packed, of what is above `large`. Deflate makes 1032 of nothing but zeros."""
    large: int = 256 << 20
    depth: int = 4
    spooled: int = 4 << 30
    """Bytes of a zip within that is compressed: they are put into a temporary file."""


@dataclass
class Notes:
    """What could not be read, and how much was; shared by all that come out of one walk, and of later ones."""

    limits: Limits = field(default_factory=Limits)
    unread: dict[str, str] = field(default_factory=dict)
    """Path within the archive -> why."""
    more: int = 0
    """Parts that could not be read and are not named."""
    members: int = 0
    bytes: int = 0
    packed: float = math.inf
    """Bytes of the archive itself."""
    ended: bool = False

    def begin(self, packed: float) -> None:
        """A walk begins."""
        self.members, self.bytes, self.packed, self.ended = 0, 0, packed, False

    def add(self, path: str, why: object) -> None:
        """The first reason counts."""
        path = path.replace("\0", "?")
        if path in self.unread:
            return
        if len(self.unread) >= NOTES and path != WHOLE:
            self.more += 1
            return
        self.unread[path] = " ".join(str(why).split()) or type(why).__name__

    def count(self, size: int) -> None:
        """So many bytes were unpacked; ValueError where that is too much."""
        self.bytes += size
        self.check(self.bytes)

    def check(self, size: int) -> None:
        """The same, of bytes in all: then nothing more is read."""
        limits = self.limits
        if size > limits.total:
            why = f"it holds more than {limits.total / (1 << 30):.3g} GiB"
        elif size > limits.large and size > limits.ratio * self.packed:
            why = f"it grows more than {limits.ratio} times: a zip bomb"
        else:
            return
        self.ended = True
        self.add(WHOLE, f"{why}; what comes after that was not read")
        raise ValueError(f"it was read up to here: {why}")


@dataclass(frozen=True)
class Member:
    """A file: its path in the archive, `/` between parts, and its bytes, once."""

    path: str
    notes: Notes
    opened: Callable[[], IO[bytes]]
    changed: float | None = None
    """When it was written (Unix seconds), where the archive says it without a doubt: in a tar, or in a folder."""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes as far as they can be read; why not all of them is noted."""
        if self.notes.ended:
            return
        try:
            with self.opened() as stream:
                while block := stream.read(CHUNK):
                    self.notes.count(len(block))
                    yield block
        except FAULTS as fault:
            self.notes.add(self.path, fault)

    def lines(self) -> Iterator[bytes]:
        """The same line by line, without line feeds; a line that does not end is cut at `IN_MEMORY`."""
        rest = b""
        for block in self.chunks():
            *whole, rest = (rest + block).split(b"\n")
            yield from whole
            if len(rest) > IN_MEMORY:
                self.notes.add(self.path, f"a line of it is longer than {IN_MEMORY >> 20} MiB")
                return
        if rest:
            yield rest

    def bytes(self, most: int) -> bytes | None:
        """All of it; None where it is larger, which is noted."""
        found = bytearray()
        for block in self.chunks():
            found += block
            if len(found) > most:
                self.notes.add(self.path, f"it is larger than {most >> 20} MiB")
                return None
        return bytes(found)

    def unpacked(self) -> Member:
        """The same, of a log that was compressed alone: `syslog.2.gz`."""
        opener = _ALONE.get(os.path.splitext(self.path)[1])
        return replace(self, opened=lambda: opener(self.opened())) if opener else self


def walk(path: Path, notes: Notes) -> Iterator[Member]:
    """Every file of an archive or a folder; RequorumError where it is neither.

    A member must be read before the next one is asked for.
    """
    try:
        if path.is_dir():
            notes.begin(math.inf)
            yield from _folder(path, notes)
            return
        parts = archive_parts.of(path)
        if parts.missing:
            notes.add(parts.missing, "this part is not there")
        with parts.opened() as file:
            notes.begin(parts.size)
            if parts.spanned:
                yield from _salvaged(file, "", notes, 1)
            else:
                yield from _archive(file, path, notes)
    except OSError as error:
        raise RequorumError(f"{path} cannot be read: {error.strerror or error}.", "Look at the file.") from error


def _archive(file: IO[bytes], path: Path, notes: Notes) -> Iterator[Member]:
    head = file.read(4)
    if head[:2] == b"PK" or zipfile.is_zipfile(file):
        yield from _zip(file, "", WHOLE, notes, 1)
    elif _is_tar(file):
        yield from _tar(file, "", WHOLE, notes, 1)
    else:
        why = next((why for magic, why in _STRANGERS if head.startswith(magic)), "neither zip nor tar.")
        raise RequorumError(f"{path} is no archive: {why}", "Give the file as it was downloaded.")


def _folder(top: Path, notes: Notes) -> Iterator[Member]:
    def refused(error: OSError) -> None:
        notes.add(str(error.filename or top), error.strerror or error)

    for folder, folders, names in os.walk(top, onerror=refused):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            inner = path.relative_to(top).as_posix()
            if not _counts(inner, notes):
                continue
            about = path.lstat()
            if stat.S_ISREG(about.st_mode):
                member = Member(inner, notes, partial(_file, path), about.st_mtime)
                yield from _within(member, notes, 1, member.opened)
            else:
                notes.add(inner, "it is a link or a device")


def _zip(file: IO[bytes], above: str, place: str, notes: Notes, depth: int) -> Iterator[Member]:
    """The files of a zip; of one without its end, or with more files than can be, those that stand before it."""
    try:
        if archive_parts.entries(file) > notes.limits.members:
            raise zipfile.BadZipFile(f"it lists more than {notes.limits.members} files")
        archive = zipfile.ZipFile(file)
    except FAULTS as fault:
        notes.add(place, f"its end is missing, so it was read up to there ({fault})")
        yield from _salvaged(file, above, notes, depth)
        return
    seen = set[str]()
    for info in archive.infolist():
        path = above + info.filename.replace("\\", "/")
        if info.filename.endswith(("/", "\\")) or not _counts(path, notes):
            continue
        if why := _refused(info, path in seen, notes.limits):
            notes.add(path, why)
            continue
        seen.add(path)
        member = Member(path, notes, partial(archive.open, info))
        stored = info.compress_type == zipfile.ZIP_STORED
        yield from _within(member, notes, depth, partial(archive_parts.stored, file, info) if stored else None)


def _refused(info: zipfile.ZipInfo, again: bool, limits: Limits) -> str:
    """Why a member of a zip is not read; empty for good ones."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a symbolic link"
    if info.flag_bits & 1:
        return "it is encrypted"
    if again:
        return "another file has its name"
    if info.file_size > limits.large and info.file_size > limits.ratio * max(info.compress_size, 1):
        return f"it would grow {info.file_size // max(info.compress_size, 1)} times: a zip bomb"
    return ""


def _salvaged(file: IO[bytes], above: str, notes: Notes, depth: int) -> Iterator[Member]:
    for name, stream in archive_parts.salvaged(file):
        path = above + name.replace("\\", "/")
        if _counts(path, notes):
            yield from _within(Member(path, notes, _given(stream)), notes, depth, None)
        if notes.ended:
            return


def _file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _given(stream: IO[bytes]) -> Callable[[], IO[bytes]]:
    return lambda: stream


def _within(member: Member, notes: Notes, depth: int, seekable: Callable[[], IO[bytes]] | None) -> Iterator[Member]:
    """The files of an archive within, else the file itself. seekable: of a zip, where it can be read as it lies."""
    kind = _ZIP if _ZIP.search(member.path) else _TAR
    if not kind.search(member.path) or _OTHERS.search(member.path):
        yield member
        return
    if depth >= notes.limits.depth:
        notes.add(member.path, f"archives are nested deeper than {depth}")
        return
    above = kind.sub("", member.path) + "/"
    try:
        if kind is _TAR:
            with member.opened() as stream:
                yield from _tar(stream, above, member.path, notes, depth + 1)
        elif seekable:
            with seekable() as file:
                yield from _zip(file, above, member.path, notes, depth + 1)
        else:
            with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
                for block in member.chunks():
                    spool.write(block)
                    if spool.tell() > notes.limits.spooled:
                        notes.add(member.path, f"it is larger than {notes.limits.spooled >> 20} MiB")
                        return
                spool.seek(0)
                yield from _zip(spool, above, member.path, notes, depth + 1)
    except FAULTS as fault:
        notes.add(member.path, fault)


def _is_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    try:
        return tarfile.is_tarfile(file)
    except FAULTS:
        return False
    finally:
        file.seek(0)


class _Entry(tarfile.TarInfo):
    """Its long names and attributes are read as a whole, so they must not be large."""

    def _proc_member(self, archive: Any) -> Any:
        if self.type in _HEADERS and self.size > _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar(file: IO[bytes], above: str, place: str, notes: Notes, depth: int) -> Iterator[Member]:
    seen = set[str]()
    try:
        with tarfile.open(fileobj=file, mode="r|*", tarinfo=_Entry) as archive:
            while (info := archive.next()) and not notes.ended:
                vars(archive)["members"] = []  # it would keep them all
                path = above + info.name.removeprefix("./")
                notes.check(archive.offset)
                if info.isdir() or not _counts(path, notes):
                    continue
                if not info.isreg() or info.issparse():
                    notes.add(path, "it is a link or a device" if not info.isreg() else "it has holes")
                    continue
                if path in seen:
                    notes.add(path, "another file has its name")
                    continue
                seen.add(path)
                stream = archive.extractfile(info)
                assert stream
                member = Member(path, notes, _given(stream), float(info.mtime))
                yield from _within(member, notes, depth, None)
    except FAULTS as fault:
        notes.add(place, f"it was read up to here: {fault}")


def _counts(path: str, notes: Notes) -> bool:
    """Whether this name is one to read; nothing is ever written under it."""
    if notes.ended or _JUNK.search(path):
        return False
    notes.members += 1
    if notes.members > notes.limits.members:
        notes.ended = True
        notes.add(WHOLE, f"more than {notes.limits.members} files; those after them were not read")
        return False
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        notes.add(path or "?", "its name leads out of the archive" if path else "it has no name")
        return False
    return True
