# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the stand-in is known not to behave like the real programs: the one list, each row with its reason.

A row that names a check makes it an expected failure against the stand-in; against a real program it must pass.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One known difference."""

    distro: str
    check: str
    """`situation/check` of the table; empty where no transcript shows what the real program does."""
    reason: str


DEVIATIONS: tuple[Deviation, ...] = (
)
