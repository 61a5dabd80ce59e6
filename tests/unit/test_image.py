# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a datastore: db, snapshot, zip, directory; and what is none."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _image
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from tests.unit.datastores import snapshot, unpacked

SIZE = 6_205_440


def zipped(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def reason(path: Path) -> str:
    with pytest.raises(BadFile) as caught, _image.opened(str(path)) as image:
        image.digests()
    return str(caught.value)


def test_snapshot_and_zip_of_it_are_the_same_image(tmp_path: Path) -> None:
    plain = unpacked() / "snapshot.db"
    packed = zipped(tmp_path / "snapshot.zip", ("snapshot.db", snapshot()))
    digests = set()
    for path, kind in ((plain, "db"), (packed, "zip")):
        with _image.opened(str(path)) as image:
            assert (image.kind, image.size, image.total) == (kind, SIZE, SIZE + 32)
            inner, whole = image.digests()
            assert image.trailer is not None and inner == image.trailer.hex()
            digests.add(whole)
    assert digests == {hashlib.sha256(snapshot()).hexdigest()}


@pytest.mark.parametrize("below", ["r1/etcd", "r1/etcd/member", "r1"])
def test_a_datastore_directory_has_no_trailer_and_its_wal(below: str) -> None:
    with _image.opened(str(unpacked() / below)) as image:
        assert (image.kind, image.trailer) == ("directory", None)
        assert image.wal == str(unpacked() / "r1/etcd/member/wal")


def test_it_is_written_again_as_it_was(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "snapshot.zip", ("snapshot.db", snapshot()))
    with _image.opened(str(packed)) as image:
        image.save(str(tmp_path / "raw"))
    assert (tmp_path / "raw").read_bytes() == snapshot()
    assert (tmp_path / "raw").stat().st_mode & 0o777 == 0o600


def test_what_is_no_datastore_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"x")
    assert "did not end" in reason(tmp_path / "a.part")
    assert "No such file" in reason(tmp_path / "none") or "is no file" in reason(tmp_path / "none")
    assert "without member/snap/db" in reason(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is no file" in reason(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((), "holds 0 entries"),
        ((("a", b"1"), ("b", b"2")), "holds 2 entries"),
        ((("../snapshot.db", b"1"),), "one snapshot and nothing else"),
        ((("folder/snapshot.db", b"1"),), "one snapshot and nothing else"),
        ((("folder/", b""),), "one snapshot and nothing else"),
    ],
)
def test_a_zip_with_anything_else_is_refused(
        members: tuple[tuple[str, bytes], ...], words: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", *members)
    if not members:
        path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    assert words in reason(path) or "zip" in reason(path)


def test_a_zip_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "bomb.zip", ("snapshot.db", bytes(1 << 20)))
    monkeypatch.setattr(_image, "LIMIT", 1 << 19)
    assert "unpacks to 1048576 bytes" in reason(path)
    monkeypatch.setattr(_image, "LIMIT", 1 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 30, 1 << 30, 1000))
    assert "has 1000 bytes free" in reason(path)


def test_a_zip_that_lies_about_its_size_ends_at_what_it_said(tmp_path: Path) -> None:
    path = zipped(tmp_path / "lie.zip", ("snapshot.db", bytes(1 << 20)))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24  # its announced size in the directory
    data[at : at + 4] = (4096).to_bytes(4, "little")
    path.write_bytes(data)
    assert "damaged" in reason(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_zip_never_raises_anything_else(places: list[tuple[int, int]], tmp_path: Path) -> None:
    data = bytearray(zipped(tmp_path / "a.zip", ("snapshot.db", os.urandom(1500) + bytes(1500))).read_bytes())
    for place, byte in places:
        data[place % len(data)] = byte
    (tmp_path / "b.zip").write_bytes(data)
    try:
        with _image.opened(str(tmp_path / "b.zip")) as image:
            image.digests()
    except BadFile:
        pass


def test_a_file_that_a_bbolt_has_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(snapshot()[:-32])
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "open in a running etcd" in reason(path)
    with _image.opened(str(path)) as image:
        assert image.trailer is None


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(snapshot())
    opened = _image.opened(str(path))
    opened.__enter__().digests()
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadFile, match="has changed"):
        opened.__exit__(None, None, None)
