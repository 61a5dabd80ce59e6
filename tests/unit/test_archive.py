# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are good, and all the ways in which they are not: the rest is read, and why not all of it is said."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import archive, archive_parts

FILES = {"top/a.txt": b"alpha\n" * 1000, "top/logs/b.log": os.urandom(5000), "top/empty": b""}


def zipped(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
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
    for _level in range(6):
        data = zipped({"b.zip": data})
    found, unread = walked(write(tmp_path / "x", data))
    assert found == {} and "deeper than 4" in next(iter(unread.values()))


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
    assert found == {"good": b"x", "dos/name": b"x"}
    assert {path: why.split(" 10")[0].split(":")[0] for path, why in unread.items()} == {
        "../out": "its name leads out of the archive",
        "/etc/passwd": "its name leads out of the archive",
        "a/../../b": "its name leads out of the archive",
        "good": "another file has its name",
        "link": "it is a symbolic link",
        "bomb": "it would grow",
    }


def test_archives_within_archives_of_other_kinds(tmp_path: Path) -> None:
    """As people put those of several nodes together, or send one again as they got it."""
    one = {"n1/date": b"now"}
    mixed = zipped({"n1.tar.gz": tarred(one), "n2.zip": zipped({"n2/date": b"then"}), "scc_n1.txz": b"not looked into"})
    wanted = {"a/n1/n1/date": b"now", "a/n2/n2/date": b"then", "a/scc_n1.txz": b"not looked into"}
    assert walked(write(tmp_path / "x", tarred({"a.zip": mixed}))) == (wanted, {})
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "a.zip", mixed)
    assert walked(tmp_path / "folder") == (wanted, {})


def test_a_stored_zip_is_read_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", None)
    inner = zipped({"n1/a": b"a" * 5000, "n1/b.zip": zipped({"c": b"c"}, method=zipfile.ZIP_STORED)},
                   method=zipfile.ZIP_STORED)  # fmt: skip
    path = write(tmp_path / "x", zipped({"first": b"1", "n1.zip": inner, "last": b"2"}, method=zipfile.ZIP_STORED))
    wanted = {"first": b"1", "n1/n1/a": b"a" * 5000, "n1/n1/b/c": b"c", "last": b"2"}
    assert walked(path) == (wanted, {})


def test_a_zip_within_that_is_too_large_for_a_temporary_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({"n1.zip": zipped({"a": os.urandom(3 << 20)}), "good": b"x"}))
    found, unread = walked(path, archive.Limits(spooled=1 << 20))
    assert found == {"good": b"x"} and unread == {"n1.zip": "it is larger than 1 MiB"}


def test_parts_by_letters_of_which_one_is_missing(tmp_path: Path) -> None:
    data = tarred(FILES)
    for number, letters in enumerate(("aa", "ab", "ac")):
        write(tmp_path / f"x.tgz.{letters}", data[number * len(data) // 3 : (number + 1) * len(data) // 3])
    assert walked(tmp_path / "x.tgz.aa") == (FILES, {})
    (tmp_path / "x.tgz.ab").unlink()
    found, unread = walked(tmp_path / "x.tgz.aa")
    assert set(found) < set(FILES) and unread["x.tgz.ab"] == "this part is not there" and "the archive" in unread


@pytest.mark.parametrize("given", ["x.zip", "x.z01"])
def test_parts_of_a_spanned_zip(given: str, tmp_path: Path) -> None:
    """Its directory counts from the begin of each part, so it is read by the headers before each file."""
    whole = b"PK\x07\x08" + zipped(FILES)
    for number, name in enumerate(("x.z01", "x.z02", "x.zip")):
        write(tmp_path / name, whole[number * 2000 :][: 2000 if number < 2 else None])
    assert walked(tmp_path / given) == (FILES, {})


def test_all_parts_that_a_pattern_of_the_shell_names(tmp_path: Path) -> None:
    for name in ("x.zip.001", "x.zip.002", "y.z01", "y.zip", "z.zip"):
        write(tmp_path / name, b"")
    named = sorted(tmp_path.iterdir())
    assert [path.name for path in archive_parts.firsts(named)] == ["x.zip.001", "y.z01", "z.zip"]


def test_files_that_a_desktop_has_added(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({"a": b"x", "__MACOSX/._a": b"junk", "top/.DS_Store": b"junk"}))
    assert walked(path) == ({"a": b"x"}, {})


def test_a_zip_that_lists_more_than_anybody_has(tmp_path: Path) -> None:
    data = bytearray(zipped({f"f{number}": b"x" for number in range(10)}))
    at = data.rfind(b"PK\x05\x06") + 10
    data[at : at + 2] = b"\xff\xff"
    found, unread = walked(write(tmp_path / "x", bytes(data)), archive.Limits(members=5))
    assert len(found) == 5 and "lists more than 5 files" in unread["the archive"]


def test_a_tar_that_would_take_the_night(tmp_path: Path) -> None:
    def made(info: tarfile.TarInfo, data: bytes) -> Path:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as file:
            file.addfile(info, io.BytesIO(data))
        return write(tmp_path / "x", buffer.getvalue())

    large = tarfile.TarInfo("zeros")
    large.size = 8 << 20
    found, unread = walked(made(large, bytes(8 << 20)), archive.Limits(large=1 << 20))
    assert sum(map(len, found.values())) < 8 << 20 and "zip bomb" in unread["the archive"]
    long = tarfile.TarInfo("n" * (4 << 20))
    assert "a header of" in walked(made(long, b""))[1]["the archive"]


def test_a_tar_with_what_is_no_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x", "w") as made:
        for name, kind in (("a", tarfile.REGTYPE), ("a", tarfile.REGTYPE), ("fifo", tarfile.FIFOTYPE),
                           ("disk", tarfile.BLKTYPE), ("hard", tarfile.LNKTYPE), ("/x", tarfile.REGTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a"
            made.addfile(info)
    found, unread = walked(tmp_path / "x")
    assert found == {"a": b""} and set(unread) == {"a", "fifo", "disk", "hard", "/x"}


def test_a_folder_with_what_is_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("/etc/passwd")
    write(folder / "broken.zip", b"PK\x03\x04")
    write(folder / "a", b"x")
    found, unread = walked(folder)
    assert found == {"a": b"x"} and set(unread) == {"fifo", "link", "broken.zip"}


def test_a_log_that_was_compressed_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({"syslog.2.gz": gzip.compress(b"line\n"), "messages.xz": b"broken"}))
    notes = archive.Notes()
    found = {member.path: b"".join(member.unpacked().chunks()) for member in archive.walk(path, notes)}
    assert found == {"syslog.2.gz": b"line\n", "messages.xz": b""} and set(notes.unread) == {"messages.xz"}


def test_lines_of_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({"a": b"one\ntwo\n\nend" + b"x" * (3 << 20)}))
    member = next(walk := archive.walk(path, archive.Notes()))
    assert list(member.lines()) == [b"one", b"two", b"", b"end" + b"x" * (3 << 20)]
    assert next(walk, None) is None


def test_what_could_not_be_read_is_named_up_to_a_thousand(tmp_path: Path) -> None:
    path = write(tmp_path / "x", zipped({f"../{number}": b"" for number in range(1500)}))
    notes = archive.Notes()
    assert list(archive.walk(path, notes)) == [] and len(notes.unread) == 1000 and notes.more == 500


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
    assert sum(map(len, found.values())) == 1000
    assert "it holds more than" in unread["the archive"] and "read up to here" in unread["f10"] and len(unread) == 2


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"<html>", "web page"), (b'{"type":"error"}', "download has failed"), (b"7z\xbc\xaf'", "7z"), (b"", "neither")],
)
def test_what_is_no_archive_is_named(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match=why):
        walked(write(tmp_path / "x.zip", data))


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
