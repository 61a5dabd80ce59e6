# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host by what the log collector's commands have printed on it: df, free, ps, ss, ip, systemctl, ls, openssl, date.

None wherever a command has printed something else than it does when it succeeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _state, _timeline

JSON = dict[str, Any]
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_DATE = re.compile(r"(\w{3}) +(\d+) ([\d:]{8})(?: ([AP]M))? ([A-Z]{1,5}|[+-]\d+) (\d{4})")
_QUARTER = 900
"""Time zones are so many seconds apart."""
_LISTED = re.compile(r"(?m)^-\S+ +\d+ +\S+ +\S+ +(\d+) (\w{3}) +(\d+) +(\d\d:\d\d|\d{4}) (/.*)$")


@dataclass(frozen=True)
class Clock:
    """When an archive was made."""

    time: str | None
    """ISO, UTC; None where the host's time zone cannot be told."""
    zone: int | None
    """Seconds by which its zone is ahead of UTC."""


def clock(text: str, changed: float | None) -> Clock:
    """Of `date`, and of when its output was written by the archive's word (Unix seconds), which tells the zone."""
    found = _DATE.search(text)
    if not found:
        return Clock(None, None)
    month, day, at, half, zone, year = found.groups()
    written, form = f"{month} {day} {year} {at}", "%b %d %Y %H:%M:%S"
    if half:
        written, form = f"{written} {half}", "%b %d %Y %I:%M:%S %p"
    try:
        local = datetime.strptime(written, form).replace(tzinfo=UTC)
    except ValueError:
        return Clock(None, None)
    ahead = 0 if zone in ("UTC", "GMT", "Z") else None
    if ahead is None and changed is not None:
        off = local.timestamp() - changed
        near = round(off / _QUARTER) * _QUARTER
        ahead = near if abs(off - near) < 60 and abs(near) <= 14 * 3600 else None
    if ahead is None:
        return Clock(None, None)
    return Clock((local - timedelta(seconds=ahead)).isoformat().replace("+00:00", "Z"), ahead)


def unit(files: Mapping[str, str], name: str) -> JSON | None:
    """What `systemctl list-units --all` has said of it: UNIT LOAD ACTIVE SUB; units that failed have a dot before."""
    listed = files.get("systeminfo/systemd-units", "")
    found = re.search(rf"(?m)^\W*{re.escape(name)}\.service +(\S+) +(\S+) +(\S+)", listed)
    return {"LoadState": found[1], "ActiveState": found[2], "SubState": found[3]} if found else None


def processes(text: str | None) -> list[JSON] | None:
    """Of `ps auxfww`: USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND."""
    if not text or not text.startswith("USER"):
        return None
    rows = [line.split(None, 10) for line in text.splitlines()[1:]]
    return [
        {"pid": int(row[1]), "parent": None, "state": row[7][:1], "start": None, "name": _name(row[10]),
         "args": _timeline.mask(row[10].strip(" \\_|"))[:300]}
        for row in rows
        if len(row) == 11 and row[1].isdigit()
    ]  # fmt: skip


def _name(command: str) -> str:
    return command.strip(" \\_|").split(" ")[0].strip("[]").rpartition("/")[2]


def listeners(files: Mapping[str, str]) -> list[int] | None:
    """TCP ports of `ss -tunlp4` and `-tunlp6` together, else of `ss -anp`."""
    texts = [files.get(f"networking/sstunlp{family}", "") for family in (4, 6)]
    if not all(text.startswith("Netid") for text in texts):
        texts = [files.get("networking/ssanp", "")]
    if not all(text.startswith("Netid") for text in texts):
        return None
    ports = re.findall(r"(?m)^tcp +LISTEN +\d+ +\d+ +\S*:(\d+)\s", "\n".join(texts))
    return sorted({int(port) for port in ports} & _state.PORTS)


def addresses(text: str | None) -> list[str] | None:
    """Of `ip addr show`, without those that every host has."""
    found = re.findall(r"(?m)^ +inet6? ([0-9a-f.:]+)/\d+ .*?scope (?:global|site)", text or "")
    return list(dict.fromkeys(found)) or None


def _row(text: str, place: str) -> list[str] | None:
    """Of `df -P`: the file system that holds a place."""
    rows = [row for line in text.splitlines()[1:] if len(row := line.split()) == 6 and row[5].startswith("/")]
    mine = [row for row in rows if row[5] == "/" or place == row[5] or place.startswith(f"{row[5]}/")]
    return max(mine, key=lambda row: len(row[5]), default=None)


def disk(text: str, place: str) -> JSON | None:
    """Of `df -Ph`: three digits of the size and of what is free."""
    row = _row(text, place)
    sizes = [_size(word) for word in (row[1], row[3])] if row else []
    return {"bytes": sizes[0], "free": sizes[1]} if sizes and None not in sizes else None


def inodes(text: str, place: str) -> JSON | None:
    """Of `df -Pi`; None where the file system counts none."""
    row = _row(text, place)
    counted = row and row[1].isdigit() and row[3].isdigit() and int(row[1])
    return {"total": int(row[1]), "free": int(row[3])} if row and counted else None


def memory(text: str) -> JSON | None:
    """Of `free -h`, or of `free -m` by older collectors: Mem: total used free shared buff/cache available."""
    found = re.search(r"(?m)^Mem: +(\S+) .* (\S+)$", text)
    if not found or "available" not in text:
        return None
    plain = found[1].isdigit()
    total, free = (int(word) << 20 if plain and word.isdigit() else _size(word) for word in found.groups())
    return {"bytes": total, "available": free} if total and free is not None else None


def _size(word: str) -> int | None:
    """`1.5G`, `15Gi`, `512B`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGTP]?)i?B?", word)
    return round(float(found[1]) * _UNITS[found[2]]) if found else None


def datastore(listing: str | None) -> JSON | None:
    """Whether files of a datastore lie there; no more is known of them."""
    if listing is None or re.search(r"(?m)^(?:find|ls): ", listing):
        return None
    files = {path: int(size) for size, _month, _day, _at, path in _LISTED.findall(listing)}
    db = next((path for path in files if path.endswith("/member/snap/db")), None)
    wals = [path for path, size in files.items() if path.endswith(".wal") and size]
    fault = "the WAL is missing" if db and not wals else "member/snap/db is missing" if wals and not db else None
    empty = dict.fromkeys(("name", "member_id", "cluster_id", "summary", "wal"))
    return {"present": bool(db and wals), "path": db, "bytes": files[db] if db else None, **empty, "fault": fault}


def listing(text: str | None, at: Clock) -> JSON | None:
    """Files of `ls -la` by path, with their time in the host's zone; without a year it is the last one that can be."""
    if text is None or at.time is None or at.zone is None:
        return None
    now = datetime.fromisoformat(at.time) + timedelta(seconds=at.zone)
    found: JSON = {}
    for size, month, day, when, path in _LISTED.findall(text):
        try:
            moment = _moment(month, day, when, now)
        except ValueError:
            continue
        mtime = int(moment.timestamp()) - at.zone
        found[path] = {"bytes": int(size), "mtime": mtime, "directory": False}
    return found


def _moment(month: str, day: str, when: str, now: datetime) -> datetime:
    if ":" not in when:
        return datetime.strptime(f"{month} {day} {when}", "%b %d %Y").replace(tzinfo=UTC)
    moment = datetime.strptime(f"{month} {day} {now.year} {when}", "%b %d %Y %H:%M").replace(tzinfo=UTC)
    return moment if moment <= now + timedelta(days=1) else moment.replace(year=now.year - 1)


def certificates(files: Mapping[str, str]) -> Iterator[JSON]:
    """`openssl x509 -text` of each leaf."""
    for path, text in files.items():
        place = re.search(r"/certs/(agent|server)/([^/]+)$", path)
        if not place:
            continue
        subject, issuer = (re.search(rf"(?m)^ +{word}: *(.*)$", text) for word in ("Subject", "Issuer"))
        names = re.findall(r"(?:DNS|IP Address):([^,\s]+)", text)
        yield {
            "path": f"{place[1]}/{'tls/' if place[1] == 'server' else ''}{place[2]}",
            "subject": subject[1].replace(" = ", "=") if subject else None,
            "issuer": issuer[1].replace(" = ", "=") if issuer else None,
            "starts": _end(text, "Before"),
            "ends": _end(text, "After"),
            "names": sorted(names) if "Version:" in text else None,
            "sha256": None,
        }


def _end(text: str, word: str) -> int | None:
    found = re.search(rf"Not {word} *: *(\w{{3}}) +(\d+) ([\d:]+) (\d{{4}}) GMT", text)
    try:
        at = datetime.strptime(" ".join(found.groups()), "%b %d %H:%M:%S %Y") if found else None
    except ValueError:
        return None
    return int(at.replace(tzinfo=UTC).timestamp()) if at else None
