# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the stand-in as a directory with its own interpreter, for hosts that have no Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

REQUIREMENTS = ("pyinstaller>=6.12", "cryptography>=42", "pyyaml>=6")
_SOURCES = Path(__file__).resolve().parent
_PROBE = "import sysconfig; print(sysconfig.get_config_var('Py_ENABLE_SHARED') or 0)"


class BuildError(Exception):
    """The stand-in could not be built; the text says what to do."""


def _shared(python: str) -> bool:
    done = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == "1"


def interpreter(work: Path) -> str:
    """A Python that PyInstaller can use: this one, else a virtual environment on the system's."""
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return sys.executable
    print(f"{sys.executable} was built without a shared library, which PyInstaller needs; looking for another Python",
          flush=True)
    for candidate in ("/usr/bin/python3", "/usr/bin/python3.12", "/usr/bin/python3.11"):
        if not _shared(candidate):
            continue
        print(f"using {candidate} in a virtual environment", flush=True)
        python = work / "venv/bin/python"
        for command in ([candidate, "-m", "venv", str(work / "venv")],
                        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BuildError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-800:]}\n"
                                 "On Debian and Ubuntu: apt-get install python3-venv libpython3-dev")
        return str(python)
    raise BuildError("no Python with a shared library was found; on Debian and Ubuntu: "
                     "apt-get install python3 python3-venv libpython3-dev")


def build(target: Path) -> None:
    """Make the directory `target`; its executable is `target`/standin. Raises BuildError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="standin-", dir=target.parent) as name:
        work = Path(name)
        entry = work / "entry.py"
        entry.write_text("from lab.supervisor.__main__ import run\nrun()\n")
        command = [interpreter(work), "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level=WARN",
                   "--name=standin", f"--paths={_SOURCES.parent.parent}", f"--distpath={work / 'dist'}",
                   f"--workpath={work / 'build'}", f"--specpath={work}", "--exclude-module=tkinter",
                   "--collect-submodules=lab.supervisor", str(entry)]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONPATH": str(_SOURCES.parent.parent)})
        if done.returncode:
            raise BuildError(f"PyInstaller failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
        shutil.rmtree(target, ignore_errors=True)
        (work / "dist/standin").rename(target)
