# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The time of a line of a log, in every form that the programs of a node write it."""

from __future__ import annotations

import re
import typing as t
from datetime import UTC, datetime, timedelta

_WITHIN = 512
"""Bytes of a line in which its time is looked for."""
_CLOCK = rb"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_FULL = rb"(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(Z|[+-]\d\d:?\d\d)?"
# CRI, journalctl -o short-iso, RFC 3339, Go's log, etcd 3.4
_START = re.compile(_FULL)
# logrus, zap and go-kit, also behind a journal's prefix; not etcd's "start time":"..."
_FIELD = re.compile(rb"(?:\b(?:time|ts)=\"?|\"(?:ts|time)\": ?\")" + _FULL)
_EPOCH = re.compile(rb"\"ts\": ?(\d{9,10}(?:\.\d{1,9})?)")
_KLOG = re.compile(rb"[IWEF](\d\d)(\d\d) " + _CLOCK)
_SYSLOG = re.compile(rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) " + _CLOCK)
_MONTHS = {name: n for n, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_LEAP_YEARS = 8
_ANY = re.compile(rb"\d(?::\d\d:\d\d|\d{8})")
"""In every line that tells its time."""


def moment(line: bytes, limit: datetime | None = None) -> datetime | None:
    """When a line was written, in UTC; None where it does not say.

    klog and the journal's short form tell no year: it is the last one in which the line is not later than `limit`.
    Without a limit it cannot be said. A line without a zone is in UTC.
    """
    try:
        if found := _START.match(line):
            return _full(*found.groups())
        if not _ANY.search(line, 0, _WITHIN):
            return None
        if found := _FIELD.search(line, 0, _WITHIN):
            return _full(*found.groups())
        if found := _KLOG.match(line):
            month, day, *clock = found.groups()
            return _latest(int(month), int(day), clock, limit)
        if found := _SYSLOG.match(line):
            month, day, *clock = found.groups()
            return _latest(_MONTHS[month], int(day), clock, limit)
        if found := _EPOCH.search(line, 0, _WITHIN):
            return datetime.fromtimestamp(float(found[1]), UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    return None


def candidates(block: bytes) -> t.Iterator[bytes]:
    """Those lines of a block that may tell a time, in order."""
    end = -1
    for found in _ANY.finditer(block):
        if found.start() > end:
            end = block.find(b"\n", found.start())
            end = len(block) if end < 0 else end
            yield block[block.rfind(b"\n", 0, found.start()) + 1 : end]


def stamp(at: datetime) -> str:
    """ISO with milliseconds, always: such texts sort as their times do."""
    return at.isoformat(timespec="milliseconds") + "Z"


def parsed(text: str | None) -> datetime | None:
    """An ISO time in UTC; None where it is none."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return at.astimezone(UTC).replace(tzinfo=None) if at and at.tzinfo else at


def _full(text: bytes, zone: bytes | None) -> datetime:
    at = datetime.fromisoformat(text.replace(b"/", b"-").decode())
    if zone in (None, b"Z"):
        return at
    away = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return at - away if zone[:1] == b"+" else at + away


def _latest(month: int, day: int, clock: t.Sequence[bytes], limit: datetime | None) -> datetime | None:
    if limit is None:
        return None
    hour, minute, second, part = clock
    micro = int(part[:6].ljust(6, b"0")) if part else 0
    for year in range(limit.year, limit.year - _LEAP_YEARS - 1, -1):
        try:
            at = datetime(year, month, day, int(hour), int(minute), int(second), micro)
        except ValueError:  # 29 February
            continue
        if at <= limit:
            return at
    return None
