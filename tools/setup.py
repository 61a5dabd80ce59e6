# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare this machine for the targets of the Makefile: Debian packages, then `.venv`. Ready machines cost 0.1 s.

    python3 tools/setup.py [dev|test]

Runs with any Python >= 3.8 and the standard library.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "requorum-setup"

# What shows that a package is there -> its name. The packages of lab hosts are lab/packages.py's business.
TEST = {"git": "git", "shellcheck": "shellcheck", "groff": "groff-base", "zsh": "zsh", "fish": "fish"}
if "ID=ubuntu" not in Path("/etc/os-release").read_text().splitlines():  # there it is a snap: bring your own browser
    TEST["chromium"] = "chromium"
NEEDS = {"dev": {}, "test": TEST}

PROBE = """
import importlib.util, sys
if not importlib.util.find_spec("ensurepip"):
    print("python3-venv")
sys.exit(sys.version_info < (3, 11))
"""


def main() -> int:
    """Install what is missing; say what to type where that needs root."""
    if VENV.is_symlink():  # it is another checkout's, and would be emptied
        print(f"{VENV} is a link. Remove it: this checkout makes its own.")
        return 1
    needs = NEEDS[sys.argv[1] if len(sys.argv) > 1 else "dev"]
    # The Makefile puts .venv first on the PATH; an interpreter in there cannot make it anew.
    own = str(VENV / "bin")
    os.environ["PATH"] = os.pathsep.join(path for path in os.environ["PATH"].split(os.pathsep) if path != own)
    key = venv_key()
    ready = STAMP.exists() and STAMP.read_text() == key and (VENV / "bin" / "python").exists()
    python, lacking = ("", []) if ready else find_python()
    packages = sorted(package for sign, package in needs.items() if not found(sign)) + lacking
    if packages and not install_packages(packages):
        return 1
    return 0 if ready else make_venv(python, key)


def found(sign: str) -> bool:
    """Whether a program (also in the system's folders) or a file is there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return os.path.exists(sign) if sign.startswith("/") else shutil.which(sign, path=path) is not None


def find_python() -> tuple[str, list[str]]:
    """The interpreter for `.venv` and the package that it lacks for that."""
    usable = []
    for name in ("python3", "/usr/bin/python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        if found(name):
            probe = subprocess.run([name, "-c", PROBE], capture_output=True, text=True)
            if probe.returncode == 0:
                usable.append((name, probe.stdout.split()))
    if not usable:
        sys.exit("No Python >= 3.11 is on the PATH. Debian 12 and Ubuntu 24.04 are the first releases that bring one.")
    return min(usable, key=lambda found: len(found[1]))


def install_packages(packages: list[str]) -> bool:
    """By apt when root; else print the line to type."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not found("apt-get"):
        print("Missing here: " + " ".join(packages) + " (names of Debian packages). Install them, then run this again.")
        return False
    if os.geteuid():
        print(f"Packages are missing. Type this, then run the same command again:\n\n    sudo {shlex.join(command)}\n")
        return False
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    return follow("apt-get update", ["apt-get", "update"]) and follow(f"apt-get install {' '.join(packages)}", command)


def venv_key() -> str:
    """Changes when `.venv` has to be brought in line."""
    inputs = [ROOT / "pyproject.toml", ROOT / "hatch_build.py", ROOT / "galaxy.yml"]
    return f"{ROOT}\n" + hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()


def make_venv(python: str, key: str) -> int:
    """Make `.venv`, anew if the checkout was moved; else pip keeps what still fits."""
    moved = not (STAMP.exists() and STAMP.read_text().startswith(f"{ROOT}\n"))
    venv = [python, "-m", "venv", *(["--clear"] if moved else []), str(VENV)]
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
           "--progress-bar", "off"]
    done = follow("python -m venv .venv", venv) \
        and follow("pip install -e .[dev] (about a minute the first time)", [*pip, "-e", f"{ROOT}[dev]"])
    if done:
        STAMP.write_text(key)
    return 0 if done else 1


def follow(title: str, command: list[str]) -> bool:
    """Run a long command; every 5 s show its last line; show all of it if it fails."""
    print(f"[set-up] {title}", flush=True)
    start = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, errors="replace", cwd=ROOT) as process:
        assert process.stdout
        reader = threading.Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        while reader.is_alive():
            reader.join(5)
            last = lines[-1].strip()[:66] if reader.is_alive() and lines else "ended"
            print(f"[set-up] {time.monotonic() - start:4.0f} s  {last}", flush=True)
    if process.returncode:
        sys.stdout.writelines(lines)
        print(f"[set-up] failed with exit code {process.returncode}: {shlex.join(command)}")
    return process.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
