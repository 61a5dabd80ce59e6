# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The official release: everything up to the hosts, against a server on this machine."""

from __future__ import annotations

import hashlib
import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from lab import __main__ as cli
from lab import labs, official
from lab.labs import Lab
from lab.progress import LabError
from lab.spec import Spec
from tests.unit.lab.test_binaries import cache, site

__all__ = ["cache", "site"]  # fixtures


@pytest.fixture(params=["k3s", "rke2"])
def distro(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def released(site: tuple[Path, str], distro: str) -> Path:
    """The folder of the release, with a list of checksums that is right."""
    folder = site[0] / official.VERSIONS[distro]
    folder.mkdir()
    (folder / official.IMAGES[distro]).write_bytes(b"images")
    program = folder / official.PROGRAMS[distro]
    if program.suffix == ".gz":
        with tarfile.open(program, "w:gz") as tar:
            entry = tarfile.TarInfo(f"bin/{distro}")
            entry.size = len(b"program")
            tar.addfile(entry, BytesIO(b"program"))
    else:
        program.write_bytes(b"program")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.iterdir()]
    (folder / official.SUMS).write_text("".join(lines))
    return folder


def test_program_and_images_come_and_are_kept(
    released: Path, distro: str, site: tuple[Path, str], cache: Path
) -> None:
    program, images = official.release(distro, site[1], cache)
    assert (program.name, program.read_bytes(), os.access(program, os.X_OK)) == (distro, b"program", True)
    assert [(path.name, path.read_bytes()) for path in images.iterdir()] == [(official.IMAGES[distro], b"images")]
    assert {path.name for path in program.parent.iterdir()} == {distro, "images"}
    for path in released.iterdir():
        path.unlink()
    assert official.release(distro, site[1], cache) == (program, images)


@pytest.mark.parametrize("damaged", ["program", "images"])
def test_a_file_that_is_not_the_listed_one_is_refused(
    released: Path, distro: str, site: tuple[Path, str], cache: Path, damaged: str
) -> None:
    name = {"program": official.PROGRAMS, "images": official.IMAGES}[damaged][distro]
    with (released / name).open("ab") as file:
        file.write(b"!")
    with pytest.raises(LabError, match=rf"{name}: sha256 .* refused"):
        official.release(distro, site[1], cache)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_file_without_a_checksum_is_refused(
    released: Path, distro: str, site: tuple[Path, str], cache: Path
) -> None:
    (released / official.SUMS).write_text("<html>busy</html>\n")
    with pytest.raises(LabError, match="no checksum of"):
        official.release(distro, site[1], cache)


def test_without_internet_the_other_way_is_named(distro: str, site: tuple[Path, str], cache: Path) -> None:
    with pytest.raises(LabError, match=r"File not found.*--binary FILE --images DIR"):
        official.release(distro, site[1], cache)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Spec]:
    """What labs were asked for, as far as the hosts."""
    seen: list[Spec] = []

    def prepare(spec: Spec) -> None:
        seen.append(spec)
        raise LabError("no hosts in this test")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(labs, "prepare", prepare)
    monkeypatch.setattr(Lab, "check_free", lambda self: None)
    monkeypatch.setattr(official, "release", lambda distro: (Path(f"/cache/{distro}"), Path("/cache/images")))
    return seen


@pytest.mark.parametrize(
    ("words", "given", "wanted"),
    [
        (["--binary", "official"], {}, ("/cache/k3s", "/cache/images")),
        ([], {"REQUORUM_LAB_BINARY": "official"}, ("/cache/k3s", "/cache/images")),
        (["--binary", "official", "--images", "/tmp"], {}, ("/cache/k3s", "/tmp")),
        (["--binary", "/bin/sh", "--images", "/tmp"], {"REQUORUM_LAB_BINARY": "official"}, ("/bin/sh", "/tmp")),
        ([], {}, ("", "")),
    ],
)
def test_up_takes_the_program_that_was_named(
    prepared: list[Spec],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    given: dict[str, str],
    wanted: tuple[str, str],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["lab", "up", "--distro", "k3s", *words])
    cli.main()
    assert (prepared[0].binary, prepared[0].images) == tuple(each and str(Path(each).resolve()) for each in wanted)
