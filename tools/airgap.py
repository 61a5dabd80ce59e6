# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack everything that a controller without a network needs into one archive: `make airgap`.

    python -m tools.airgap [FOLDER]
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

from tools import wheels

ROOT = Path(__file__).resolve().parents[1]
INSTALL = ROOT / "tools" / "airgap.sh"
DOCUMENTS = ("LICENSE", "README.md", "docs", "inventories/example")


def lay_out(folder: Path) -> None:
    """The content of the archive, SHA256SUMS last."""
    wheels.fill(folder / "wheels")
    (folder / "wheels" / wheels.SUMS).unlink()  # one list for all
    listed = subprocess.check_output(["git", "ls-files", "-z", "--", *DOCUMENTS], cwd=ROOT, text=True)
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "ansible.cfg").write_text(config((ROOT / "ansible.cfg").read_text("utf-8")), "utf-8")
    script = INSTALL.read_text("utf-8").replace("@PYTHONS@", " ".join(wheels.PYTHONS))
    (folder / "install.sh").write_text(script.replace("@MACHINE@", platform.machine()), "utf-8")
    (folder / "install.sh").chmod(0o755)
    (folder / wheels.SUMS).write_text(wheels.sums(folder), "utf-8")


def config(text: str) -> str:
    """ansible.cfg of the checkout, without the link that only a checkout has."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if not line.startswith(("# A link", "collections_path")))


def pack(folder: Path, archive: Path) -> None:
    """The same content gives the same archive, whoever packs it and when."""
    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w") as tar:  # wheels are compressed already
        tar.add(folder, folder.name, filter=plain)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_name(f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")


def make(folder: Path) -> Path:
    """Write the archive and its sum into a folder."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text("utf-8"))["version"]
    name = f"requorum-{version}-airgap-{platform.machine()}"
    with tempfile.TemporaryDirectory() as work:
        lay_out(Path(work) / name)
        pack(Path(work) / name, folder / f"{name}.tar")
    return folder / f"{name}.tar"


def main() -> int:
    """Say what was made."""
    archive = make(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve())
    print(f"{archive}: {archive.stat().st_size >> 20} MiB; its SHA-256 is in {archive.name}.sha256 beside it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
