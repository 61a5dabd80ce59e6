# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a rule answers: something that is wrong, or something that it could not look at."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

JSON = dict[str, t.Any]


@dataclass(frozen=True)
class Found:
    """What a rule has found: `item` is what its texts speak of."""

    node: str | None
    item: JSON = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """What could not be looked at, and why."""

    node: str | None
    why: str


def why_not(read: JSON, part: str, otherwise: str = "") -> str:
    """Why a part of a node, or of the state, was not read."""
    told = read.get("unread") or {}
    return str(told.get(part) or told.get("*") or otherwise or f"{part} is not known")


def first(lines: t.Sequence[str], most: int) -> tuple[str, ...]:
    """So many of them, and how many more there are."""
    return (*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else []))


Answer = t.Iterator[Found | Unknown]
Predicate = t.Callable[[JSON], Answer]
