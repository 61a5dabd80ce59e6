# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real programs, where there is Internet: a pinned release of K3s or RKE2 with its air-gap images.

Each file is checked against the list of checksums that the release itself brings. Names of files: docs.k3s.io and
docs.rke2.io, "Air-Gap Install".
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from urllib.parse import quote

from lab.binaries import download, text, unpack
from lab.cache import cached
from lab.progress import LabError, say

OFFICIAL = "official"
"""What stands for them where a program is named."""
VERSIONS = {"k3s": "v1.34.3+k3s1", "rke2": "v1.34.3+rke2r1"}
"""Those that the stand-in plays."""
BASES = {
    "k3s": "https://github.com/k3s-io/k3s/releases/download",
    "rke2": "https://github.com/rancher/rke2/releases/download",
}
SUMS = "sha256sum-amd64.txt"
PROGRAMS = {"k3s": "k3s", "rke2": "rke2.linux-amd64.tar.gz"}
IMAGES = {"k3s": "k3s-airgap-images-amd64.tar.zst", "rke2": "rke2-images.linux-amd64.tar.zst"}


def release(distro: str, base: str = "", root: Path | None = None) -> tuple[Path, Path]:
    """(program, folder with its images): from the cache, else downloaded; LabError when they cannot be had."""
    url = f"{base or BASES[distro]}/{quote(VERSIONS[distro], safe='')}"
    try:
        folder = cached(f"{distro}-{VERSIONS[distro]}-official", lambda target: _fill(distro, url, target), root)
    except (OSError, tarfile.TarError) as error:
        raise LabError(
            f"{url}: {getattr(error, 'reason', error)}. Without Internet, give the program and its images yourself: "
            "--binary FILE --images DIR"
        ) from error
    return folder / distro, folder / "images"


def _fill(distro: str, url: str, target: Path) -> None:
    say(f"{distro} {VERSIONS[distro]}: downloading the official release, which may be 1 GiB with its images")
    lines = [line.split() for line in text(f"{url}/{SUMS}").splitlines()]
    sums = {line[1].lstrip("*"): line[0] for line in lines if len(line) == 2}
    for name in (PROGRAMS[distro], IMAGES[distro]):
        if name not in sums:
            raise LabError(f"{url}/{SUMS}: no checksum of {name}; refused")
    program, images = target / PROGRAMS[distro], target / "images"
    images.mkdir()
    for file in (program, images / IMAGES[distro]):
        with file.open("w+b") as body:
            download(f"{url}/{file.name}", sums[file.name], body)
            if file.suffix == ".gz":
                unpack(body, f"{url}/{file.name}", (distro,), target)
    if program.name != distro:
        program.unlink()
    (target / distro).chmod(0o755)
