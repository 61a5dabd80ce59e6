# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that RKE2 and K3s unpack below their data directory; here links to the stand-in and the lab's binaries."""

from __future__ import annotations

import sys
from pathlib import Path

from . import log
from .context import bin_dir
from .distro import LAB_BIN, Distro

_OWN = ("containerd", "containerd-shim-runc-v2", "crictl", "ctr", "kubelet", "runc")


def link(path: Path, target: Path) -> None:
    """A symbolic link, replaced when it points elsewhere."""
    if path.is_symlink() and path.readlink() == target:
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def extract(distro: Distro, data_dir: Path) -> None:
    """Make D/data/<version>/bin and the link to it."""
    directory = bin_dir(distro, data_dir)
    image = f"index.docker.io/rancher/rke2-runtime:{distro.version.replace('+', '-')}"
    if distro.static_pods and directory.is_dir():
        log.info(f"Runtime image {image} bin and charts directories already exist; skipping extract")
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    (directory.parent / "charts").mkdir(exist_ok=True)
    for program in _OWN:
        link(directory / program, Path(sys.executable))
    link(directory / "kubectl", LAB_BIN / "kubectl")
    if distro.static_pods:
        link(data_dir / "bin", directory)
    else:
        link(data_dir / "data" / "current", directory.parent)
    (data_dir / "agent" / "images").mkdir(mode=0o755, parents=True, exist_ok=True)
