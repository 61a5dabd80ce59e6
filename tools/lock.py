# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what follows from the dependencies in pyproject.toml: `make lock`, after each change there.

requirements.lock pins everything, for all Pythons at once; meta/requirements.txt is what ansible-builder reads.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK, META = ROOT / "requirements.lock", ROOT / "meta" / "requirements.txt"
HEAD = "# Written by `make lock` from pyproject.toml; change it there.\n"
EXTRA, GROUP = "s3", "bundle"


def wanted(pyproject: dict[str, Any]) -> list[str]:
    """What an execution environment must have besides the collection."""
    project = pyproject["project"]
    return [*project["dependencies"], *project["optional-dependencies"][EXTRA]]


def main() -> int:
    """Newest versions that fit."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    META.write_text(HEAD + "".join(f"{line}\n" for line in wanted(pyproject)), "utf-8")
    uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--universal", "--generate-hashes",
          "--custom-compile-command", "make lock", "--extra", EXTRA, "--group", GROUP]
    python = pyproject["project"]["requires-python"].removeprefix(">=")
    return subprocess.run([*uv, "--python-version", python, "-o", str(LOCK), "pyproject.toml"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
