# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Hosts that are lost while they join: what a wait for voters need not wait for."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

GONE_S = 60.0
"""A host without any sign of life for so long is not waited for."""


@dataclass
class Silence:
    """Since when hosts give no sign of life."""

    since: dict[str, float] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    """Those that gave one: where nobody was ever heard, the address may be wrong, not the host."""

    def gone(self, now: float, asked: t.Collection[str], silent: t.Collection[str]) -> list[str]:
        """Those that were heard, and have been silent for GONE_S without a break."""
        self.heard |= set(asked) - set(silent)
        self.since = {name: self.since.get(name, now) for name in silent if name in self.heard}
        return [name for name, begun in self.since.items() if now - begun >= GONE_S]


def ended(
    *, led: bool, voters: t.Collection[str], missing: t.Collection[str], gone: t.Collection[str]
) -> tuple[str, str] | None:
    """(what, next) where no wait helps any more. voters: servers that are, or were when they were last listed."""
    dead = [name for name in voters if name in gone]
    if not led and dead and len(voters) - len(dead) <= len(voters) // 2:
        off = json.dumps({"requorum_powered_off": dead})
        return (
            f"The quorum is lost again: {', '.join(dead)} of the voters {', '.join(voters)} gives no sign of life.",
            f"Switch {', '.join(dead)} on again, then run the same command: its members are started, nothing is reset. "
            f"If it is gone for good, cut its power and say so: -e '{off}'; the survivor is then reset once more.",
        )
    if led and missing and set(missing) <= set(gone):
        return (
            f"{', '.join(missing)} gives no sign of life any more; the other servers are voters.",
            "Switch it on again, then run the same command: it goes on with what is missing.",
        )
    return None
