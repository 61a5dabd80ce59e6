# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""When a line of a log was written, as ISO time in UTC, whichever program wrote it.

RFC 3339 at the beginning (container runtimes, journalctl -o short-iso), in `"ts":"..."` (etcd) or `time="..."` (K3s,
RKE2, Rancher); `W0901 10:11:12.123456` (Kubernetes); `Sep 01 10:11:12` (journalctl), both without a year, by UTC.
"""

from __future__ import annotations

import collections
import re
from datetime import UTC, datetime, timedelta

WINDOW = 8 << 10
"""Bytes before a line without a time in which another line may have one."""
HEAD = 400
"""Bytes of a line in which its time stands."""
_STAMP = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ANY = re.compile(
    rb'(?m)^(?:[^\n]{0,200}?(?:"ts": ?"|time="|)(' + _STAMP + rb")"
    rb"|[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)"
    rb"|(" + "|".join(_MONTHS).encode() + rb") +(\d+) (\d\d:\d\d:\d\d))"
)


class Clock:
    """Times of the lines of one log. end: ISO time of the end of what was seen."""

    def __init__(self, end: str | None) -> None:
        try:
            self._end = datetime.fromisoformat(end).astimezone(UTC) if end else datetime.now(UTC)
        except ValueError:
            self._end = datetime.now(UTC)

    def of(self, block: bytes, start: int) -> str | None:
        """Of the line that begins there; else of the one before it."""
        stop = block.find(b"\n", start)
        found = _ANY.match(block, start, min(start + HEAD, stop if stop >= 0 else len(block)))
        return self._read(found) if found else self.last(block[max(0, start - WINDOW) : start])

    def first(self, block: bytes) -> str | None:
        """Of the first line that has one, near the beginning."""
        found = _ANY.search(block, 0, WINDOW)
        return self._read(found) if found else None

    def last(self, block: bytes) -> str | None:
        """Of the last line that has one, near the end."""
        found = collections.deque(_ANY.finditer(block, max(0, len(block) - WINDOW)), maxlen=1)
        return self._read(found[0]) if found else None

    def _read(self, found: re.Match[bytes]) -> str | None:
        stamp, month, day, time, name, date, clock = (word.decode() if word else "" for word in found.groups())
        try:
            if stamp:
                at = datetime.fromisoformat(stamp.replace(",", "."))
                return _iso(at if at.tzinfo else at.replace(tzinfo=UTC))
            if month:
                return self._dated(int(month), int(day), time)
            return self._dated(_MONTHS.index(name) + 1, int(date), clock)
        except (ValueError, OverflowError):
            return None

    def _dated(self, month: int, day: int, time: str) -> str:
        """In the year in which it is not later than the end."""
        at = datetime.fromisoformat(f"{self._end.year}-{month:02}-{day:02}T{time}+00:00")
        return _iso(at if at <= self._end + timedelta(days=1) else at.replace(year=at.year - 1))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


