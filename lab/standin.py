# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executable of the supervisor stand-in with its own Python, built once for each state of its sources."""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
from pathlib import Path

from lab.cache import cached, digest, tree_digest
from lab.image import SUITE
from lab.progress import run, say

PYTHON = "3.11"
"""Python of SUITE: the controller's would ask for the controller's glibc, which may be newer than that of the hosts."""
_REQUIREMENTS = ("pyinstaller>=6.12", "cryptography>=42", "pyyaml>=6")
_GLIBC = ("_2_36", "_2_34", "_2_28", "2014")
"""What SUITE has, and the older ones that wheels are made for."""
_SOURCES = Path(__file__).parent / "supervisor"
_BUILD = f"""\
cd /build
echo 'from lab.supervisor.__main__ import run; run()' >entry.py
PYTHONPATH=/build:/build/packages python{PYTHON} -m PyInstaller --onedir --noconfirm --log-level=WARN --name=standin \
    --paths=/build --exclude-module=tkinter --collect-submodules=lab.supervisor entry.py
ln dist/standin/standin dist/standin/runc"""


def wheels(packages: Path) -> list[str]:
    """Command line that brings what SUITE's Python needs, by this machine's pip with its settings."""
    platforms = [f"--platform=manylinux{glibc}_{platform.machine()}" for glibc in _GLIBC]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(packages),
            "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", *platforms, *_REQUIREMENTS]


def recipe(packages: Path, target: Path) -> list[str]:
    """Command line of mmdebstrap: a root with Python, which is thrown away once the executable is built in it."""
    sources, found, result = (shlex.quote(str(path)) for path in (_SOURCES, packages, target))
    hooks = (f'mkdir -p "$1/build/lab" && cp -a {sources} "$1/build/lab/" && cp -a {found} "$1/build/packages"',
             f'chroot "$1" sh -ec {shlex.quote(_BUILD)}', f'cp -a "$1/build/dist/standin/." {result}')
    return ["mmdebstrap", "--variant=apt", "--mode=root", f"--include=python3,libpython{PYTHON},binutils",
            *(f"--customize-hook={hook}" for hook in hooks), SUITE, "/dev/null"]


def key() -> str:
    """Digest of everything that decides what comes out."""
    return digest(*(part.replace(str(_SOURCES), "") for part in recipe(Path("packages"), Path("target"))),
                  *_REQUIREMENTS, tree_digest(_SOURCES))


def _make(target: Path) -> None:
    say("stand-in: building the executable (about a minute)")
    with tempfile.TemporaryDirectory(prefix="standin-") as work:
        packages = Path(work) / "packages"
        run(wheels(packages), timeout=600).ok("pip install for the stand-in")
        run(recipe(packages, target), timeout=900).ok("mmdebstrap for the stand-in")


def standin() -> Path:
    """Folder that becomes /opt/lab/standin on the hosts."""
    return cached(f"standin-{key()}", _make)
