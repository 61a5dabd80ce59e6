# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which backups stay, and how old the newest good one is. Pure; the entries are those of one cluster.

Slots are those that have a proved backup, not those of the calendar: a pause in the backups removes nothing.
"""

from __future__ import annotations

import typing as t

from ._errors import RequorumError

HOUR, DAY = 3600, 86400
SKEW = 300
"""Seconds by which two clocks may differ."""


class Entry(t.Protocol):
    """A backup. `proved`: verified, so that it counts."""

    @property
    def name(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def proved(self) -> bool: ...


class Dated(Entry, t.Protocol):
    """One of which the revision may be known."""

    @property
    def revision(self) -> int | None: ...


AnyEntry = t.TypeVar("AnyEntry", bound=Entry)


def keep(
    entries: t.Iterable[AnyEntry],
    *,
    hours: int = 0,
    days: int = 0,
    weeks: int = 0,
    last: int = 0,
    unproved: bool = False,
) -> tuple[list[AnyEntry], list[AnyEntry]]:
    """(kept, removed), newest first: the newest proved of each of the last hours, days and ISO weeks (UTC), and `last`.

    The newest proved one always stays. An unproved one fills no slot; it goes when a newer one is proved, with
    `unproved` also when it is newer itself. Without any proved one everything stays.
    """
    if min(hours, days, weeks, last) < 0:
        raise RequorumError("A number of backups to keep is negative.", "It is 0 or more.")
    ordered = sorted(entries, key=lambda entry: (entry.time, entry.name), reverse=True)
    proved = [entry for entry in ordered if entry.proved]
    if not proved:
        return ordered, []
    staying = {id(entry) for entry in proved[: max(1, last)]}
    for number, slot in ((hours, _hour), (days, _day), (weeks, _week)):
        newest: dict[int, AnyEntry] = {}
        for entry in proved:
            newest.setdefault(slot(entry.time), entry)
        staying |= {id(entry) for entry in list(newest.values())[:number]}
    if not unproved:
        staying |= {id(entry) for entry in ordered if not entry.proved and entry.time >= proved[0].time}
    return [e for e in ordered if id(e) in staying], [e for e in ordered if id(e) not in staying]


def monitor(entries: t.Iterable[Dated], now: float, max_age_s: float) -> tuple[bool, str]:
    """(whether the newest proved backup is young enough, the line for monitoring). max_age_s: 0 is no limit."""
    every = list(entries)
    proved = sorted((entry for entry in every if entry.proved), key=lambda entry: (entry.time, entry.name))
    limit = f"limit {duration(max_age_s)}" if max_age_s else "no limit"
    if not proved:
        return False, f"no proved backup off the node ({len(every)} unproved; {limit})"
    newest = proved[-1]
    revision = "" if newest.revision is None else f", revision {newest.revision}"
    age = now - newest.time
    if age < -SKEW:
        text = f"{duration(-age)} in the future: compare the clocks"
        return False, f"newest proved backup off the node: {text} ({newest.name}{revision})"
    good = not max_age_s or age <= max_age_s
    line = f"newest proved backup off the node: {duration(age)} old ({newest.name}{revision})"
    return good, line if good else f"{line}: too old, {limit}"


def duration(seconds: float) -> str:
    """The two largest units: `3 h 12 min`."""
    left, parts = max(0, int(seconds)), list[str]()
    for size, unit in ((DAY, "d"), (HOUR, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def _hour(time: int) -> int:
    return time // HOUR


def _day(time: int) -> int:
    return time // DAY


def _week(time: int) -> int:
    return (time // DAY + 3) // 7  # 1970-01-01 was a Thursday
