# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are good, and all the ways in which they are not: the rest is read, and why not all of it is said."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import archive

FILES = {"top/a.txt": b"alpha\n" * 1000, "top/logs/b.log": os.urandom(5000), "top/empty": b""}


def zipped(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return buffer.getvalue()


def walked(path: Path, limits: archive.Limits | None = None) -> tuple[dict[str, bytes], dict[str, str]]:
    """What was read, and what could not be."""
    notes = archive.Notes(limits or archive.Limits())
    found = {member.path: b"".join(member.chunks()) for member in archive.walk(path, notes)}
    return found, notes.unread


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip(method: int, tmp_path: Path) -> None:
    assert walked(write(tmp_path / "x", zipped(FILES, method=method))) == (FILES, {})


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar(mode: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", mode) as made:  # type: ignore[call-overload]
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("top/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        made.addfile(link)
    assert walked(tmp_path / "x") == (FILES, {"top/link": "it is a link or a device"})


def test_a_folder_and_zips_within(tmp_path: Path) -> None:
    inner = zipped({"n1/logs/c.log": b"within"})
    outer = {**FILES, "top/nodes/n1.zip": inner}
    wanted = {**FILES, "top/nodes/n1/n1/logs/c.log": b"within"}
    assert walked(write(tmp_path / "x", zipped(outer, method=zipfile.ZIP_STORED))) == (wanted, {})
    folder = tmp_path / "folder"
    for name, data in outer.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "link").symlink_to("/etc/passwd")
    assert walked(folder)[0] == wanted


def test_archives_that_are_nested_too_deep(tmp_path: Path) -> None:
    data = zipped({"a.txt": b"x"})
    for _level in range(5):
        data = zipped({"b.zip": data})
    found, unread = walked(write(tmp_path / "x", data))
    assert found == {} and "deeper than 3" in next(iter(unread.values()))


def test_parts_of_a_split_zip(tmp_path: Path) -> None:
    data = zipped(FILES)
    for number in range(3):
        write(tmp_path / f"x.zip.{number + 1:03}", data[number * len(data) // 3 : (number + 1) * len(data) // 3])
    assert walked(tmp_path / "x.zip.001") == (FILES, {})


@pytest.mark.parametrize("streamed", [False, True])
def test_a_truncated_zip_is_read_up_to_its_end(streamed: bool, tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        """zipfile writes sizes behind the data where it cannot go back."""

        def seekable(self) -> bool:
            return not streamed

        def seek(self, *_arguments: int) -> int:
            raise io.UnsupportedOperation

    buffer = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in FILES.items():
            made.writestr(name, data)
    whole = buffer.getvalue()
    found, unread = walked(write(tmp_path / "x", whole[:4000]))
    assert found["top/a.txt"] == FILES["top/a.txt"]
    assert FILES["top/logs/b.log"].startswith(found["top/logs/b.log"]) and 0 < len(found["top/logs/b.log"]) < 4000
    assert "up to there" in unread["the archive"]


def test_members_that_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("../out", "/etc/passwd", "a/../../b", "good", "dos\\name"):
            made.writestr(name, b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("good", b"other")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, b"/etc/shadow")
        made.writestr("bomb", b"\0" * (64 << 20))
    found, unread = walked(write(tmp_path / "x", buffer.getvalue()), archive.Limits(large=1 << 20))
    assert found == {"good": b"x"}
    assert {path: why.split(" 10")[0].split(":")[0] for path, why in unread.items()} == {
        "../out": "its name leads out of the archive",
        "/etc/passwd": "its name leads out of the archive",
        "a/../../b": "its name leads out of the archive",
        "dos\\name": "its name leads out of the archive",
        "good": "another file has its name",
        "link": "it is a symbolic link",
        "bomb": "it would grow",
    }


def test_an_encrypted_member_and_damaged_bytes(tmp_path: Path) -> None:
    data = bytearray(zipped({"locked": b"x" * 100, "broken": os.urandom(1000), "good": b"y"}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(magic) + offset] |= 1
    at = data.find(b"broken") + 200
    data[at : at + 20] = bytes(20)
    found, unread = walked(write(tmp_path / "x", bytes(data)))
    assert found["good"] == b"y" and unread["locked"] == "it is encrypted" and "CRC" in unread["broken"]


def test_more_bytes_or_more_files_than_anybody_has(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({f"f{number}": b"x" * 100 for number in range(50)}))
    found, unread = walked(path, archive.Limits(members=20))
    assert len(found) == 20 and "more than 20 files" in unread["the archive"]
    found, unread = walked(path, archive.Limits(total=1000))
    assert sum(map(len, found.values())) == 1000 and len(unread) == 40


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"\x1f\x8b\x08broken", os.urandom(3000)])
def test_what_is_no_archive(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="no archive"):
        walked(write(tmp_path / "x", data))
    with pytest.raises(RequorumError, match="cannot be read"):
        walked(tmp_path / "nothing")


def test_a_file_that_is_too_large_to_be_held(tmp_path: Path) -> None:
    notes = archive.Notes()
    path = write(tmp_path / "x", zipped({"a": b"x" * 5000}))
    assert [member.bytes(4000) for member in archive.walk(path, notes)] == [None] and "larger" in notes.unread["a"]
