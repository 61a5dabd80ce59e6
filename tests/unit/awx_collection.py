# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx out of the package ansible 12.3.0, once per machine: 1 MB of its 256 MB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lab.cache import cached

PACKAGE = "ansible==12.3.0"
FOLDER = "ansible_collections/awx/awx/"


def folder() -> Path:
    """What belongs into ANSIBLE_COLLECTIONS_PATH."""
    return cached("awx-12.3.0", _fetch)


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, PACKAGE], check=True
        )
        [wheel] = Path(work).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(target, [name for name in packed.namelist() if name.startswith(FOLDER)])
