# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab host's file system: Debian minbase with systemd, made by mmdebstrap and imported into podman."""

from __future__ import annotations

import shlex
from pathlib import Path

from lab.cache import cached, digest, locked, state_dir, tree_digest
from lab.podman import podman
from lab.progress import run, say

SUITE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "iproute2", "iptables", "procps", "curl",
            "ca-certificates", "sudo", "kmod", "util-linux", "unzip")
_SCRIPTS = Path(__file__).parent / "image"


def recipe(strict: bool) -> list[str]:
    """Command line of mmdebstrap without its output file."""
    hooks = ["customize.sh", *(["strict.sh"] if strict else [])]
    return ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}",
            '--dpkgopt=path-exclude=/usr/share/doc/*', '--dpkgopt=path-exclude=/usr/share/man/*',
            '--dpkgopt=path-exclude=/usr/share/locale/*',
            *(f"--customize-hook=chroot \"$1\" sh -s < {shlex.quote(str(_SCRIPTS / hook))}" for hook in hooks), SUITE]


def key(strict: bool) -> str:
    """Digest of everything that goes into the image, wherever the checkout lies."""
    return digest(*(part.replace(str(_SCRIPTS), "") for part in recipe(strict)), tree_digest(_SCRIPTS))


def _make(target: Path, strict: bool) -> None:
    say(f"image: making Debian {SUITE} with {len(PACKAGES)} packages (about a minute)")
    argv = recipe(strict)
    run([*argv, str(target / "rootfs.tar")], timeout=900).ok("mmdebstrap")


def image(strict: bool = True) -> str:
    """Make the image where it is missing; return its name in podman."""
    mark = key(strict)
    folder = cached(f"image-{mark}", lambda target: _make(target, strict))
    tag = f"localhost/requorum-lab:{mark}"
    with locked(state_dir() / ".image.lock", "the image"):
        if podman("image", "exists", tag, timeout=30).rc != 0:
            say(f"image: importing {tag} into podman")
            podman("import", "--quiet", str(folder / "rootfs.tar"), tag, timeout=300).ok("podman import")
    return tag
