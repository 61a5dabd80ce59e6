# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The one exception of the collection, which every entry point turns into a failed result once; and a refusal."""

from __future__ import annotations

from dataclasses import dataclass


class RequorumError(Exception):
    """What is wrong and where, then what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")


@dataclass(frozen=True)
class Refusal:
    """A thing that is not done now: what is wrong, where, what would allow it."""

    what: str
    where: str
    next: str

    def __str__(self) -> str:
        return f"{self.what} {self.next}"
