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


Answer = t.Iterator[Found | Unknown]
Predicate = t.Callable[[JSON], Answer]
