# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a folder with our wheel and every wheel that requirements.lock pins, each checked by its hashes.

    python -m tools.wheels FOLDER

The execution environment and the air-gap tarball install from such a folder, with no index.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
SUMS = "SHA256SUMS"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# glibc of RHEL 8, Debian 10 and everything later; pip does not conclude the older ones from the newest.
PLATFORMS = tuple(f"manylinux_2_{minor}_{platform.machine()}" for minor in range(28, 16, -1))


@dataclass(frozen=True)
class Pin:
    """One version that the lock allows, and for which Pythons."""

    requirement: Requirement
    hashes: tuple[str, ...]

    def fits(self, python: str) -> bool:
        """Whether this Python (`3.12`) gets it."""
        version = {"python_version": python, "python_full_version": f"{python}.0"}
        return self.requirement.marker is None or self.requirement.marker.evaluate(version)

    @property
    def line(self) -> str:
        """As pip wants it; the marker is left out, since pip would judge it by the Python that it runs on."""
        bare = f"{self.requirement.name}{self.requirement.specifier}"
        return " ".join([bare, *(f"--hash={each}" for each in self.hashes)])


def pins(text: str) -> list[Pin]:
    """What a lock written by uv says."""
    lines = [" ".join(line.split()) for line in text.replace("\\\n", "").splitlines()]
    parts = (line.split(" --hash=") for line in lines if line and not line.startswith("#"))
    return [Pin(Requirement(head), tuple(hashes)) for head, *hashes in parts]


def sums(folder: Path) -> str:
    """Content of SHA256SUMS for all other files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in paths)


def fill(folder: Path) -> None:
    """Put the wheels for all PYTHONS there; those of an earlier call go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.whl"), folder / SUMS):
        old.unlink(missing_ok=True)
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    locked = pins(LOCK.read_text("utf-8"))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        for python in PYTHONS:
            wanted.seek(0)
            wanted.truncate()
            wanted.write("".join(f"{pin.line}\n" for pin in locked if pin.fits(python)))
            wanted.flush()
            _run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}",
                 *(f"--platform={name}" for name in PLATFORMS), "-d", str(folder), "-r", wanted.name)
    (folder / SUMS).write_text(sums(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def main() -> int:
    """Say what was made."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    fill(folder)
    wheels = list(folder.glob("*.whl"))
    size = sum(path.stat().st_size for path in wheels) >> 20
    print(f"{folder}: {len(wheels)} wheels for Python {', '.join(PYTHONS)}, {size} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
