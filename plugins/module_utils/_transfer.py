# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""How long a datastore is on its way to the controller, by how fast its node gave bytes a moment ago."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._plan import Plan

LARGE = 64 << 20
"""Bytes of a datastore from which on the line is tried: what is smaller is there in seconds on any line."""
TRIES = (1 << 18, 1 << 23)
"""Bytes that are asked for: more of them where the first ones came too fast to tell."""
ENOUGH_S = 0.3


def command(size: int) -> str:
    """Shell text that answers so many bytes, which no line can compress."""
    return f"head -c {size * 3 // 4} /dev/urandom | base64 -w 0"


def rate(took: t.Callable[[int], float | None]) -> int | None:
    """Bytes a second. took: seconds of a call that answers so many bytes, None where it failed."""
    base, found = took(0), None
    for size in TRIES:
        whole = took(size)
        if base is None or whole is None:
            return None
        found = int(size / max(whole - base, 0.01))
        if whole - base >= ENOUGH_S:
            break
    return found


def expected(plan: Plan, entries: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[Plan, dict[str, t.Any] | None]:
    """The plan with the time that its copies take; node, bytes and bytes a second of the first one, if it is large."""
    lines = {e["name"]: (e["datastore"]["bytes"], e["line"]) for e in entries if e.get("line") and e.get("datastore")}
    actions = tuple(
        replace(a, expect_s=a.expect_s + lines[a.node][0] // lines[a.node][1])
        if a.verb in ("snapshot", "save") and a.node in lines
        else a
        for a in plan.actions
    )
    size, speed = lines.get(plan.saver, (0, 0))
    told = {"node": plan.saver, "bytes": size, "bytes_per_s": speed} if size else None
    return replace(plan, actions=actions), told
