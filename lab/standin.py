# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executable of the supervisor stand-in, built once for each state of its sources."""

from __future__ import annotations

from pathlib import Path

from lab.cache import cached, tree_digest
from lab.progress import say

_SOURCES = Path(__file__).parent / "supervisor"


def standin() -> Path:
    """Folder that becomes /opt/lab/standin on the hosts."""
    def make(target: Path) -> None:
        from lab.supervisor.build import build
        say("stand-in: building the executable (about 20 seconds)")
        build(target)

    return cached(f"standin-{tree_digest(_SOURCES)}", make)
