# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The keys that are alive in a datastore, and what differs between two of them.

A datastore holds every revision of a key until it is compacted; the last one decides. The keys are kept in SQLite's
private database, which moves to disk as it grows: memory does not depend on their number.
"""

from __future__ import annotations

import sqlite3
import typing as t
from dataclasses import dataclass

from . import _keys
from ._bbolt import BadFile

BATCH = 20_000
TOMBSTONE = 18
"""Length of a revision that deletes its key: 8 bytes, `_`, 8 bytes, `t`."""


@dataclass(frozen=True)
class Resource:
    """Live keys of one resource."""

    name: str
    count: int
    bytes: int
    """Of keys and values."""


@dataclass(frozen=True)
class Change:
    """What happened to one key between two datastores."""

    key: bytes
    resource: str
    what: t.Literal["added", "changed", "removed"]
    """From the old one to the new one."""


class Live:
    """The live keys of one datastore; `visit` is for `_structure.check`, `flush` for its end."""

    def __init__(self, name: str = "here", beside: Live | None = None) -> None:
        """beside: another one that it shall be compared with; both are then in one database."""
        self.name = name
        self._sql: sqlite3.Connection = beside._sql if beside else sqlite3.connect("")
        self._sql.executescript(
            "pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-32768;"
            f"create table {name}(key blob primary key, resource text, mod int, size int) without rowid"
        )
        self._pending: dict[bytes, tuple[bytes, str, int, int] | None] = {}

    def close(self) -> None:
        """Give the database's memory and file back."""
        self._sql.close()

    def visit(self, bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        """Take the revisions of one leaf in."""
        if bucket != b"key":
            return
        for revision, value in items:
            if len(revision) not in (TOMBSTONE - 1, TOMBSTONE) or revision[0] > 127:
                raise BadFile(f"{revision.hex()} is no revision")
            key = _keys.key_of(value)
            self._pending[key] = (
                None
                if len(revision) == TOMBSTONE
                else (key, _keys.resource(key), int.from_bytes(revision[:8], "big"), len(value))
            )
        if len(self._pending) > BATCH:
            self.flush()

    def flush(self) -> None:
        """Bring what is pending into the database."""
        rows = [row for row in self._pending.values() if row]
        gone = [(key,) for key, row in self._pending.items() if row is None]
        self._sql.executemany(f"insert or replace into {self.name} values (?, ?, ?, ?)", rows)
        self._sql.executemany(f"delete from {self.name} where key = ?", gone)
        self._pending.clear()

    def total(self) -> tuple[int, int]:
        """(live keys, their bytes)."""
        count, size = self._sql.execute(f"select count(*), ifnull(sum(size), 0) from {self.name}").fetchone()
        return count, size

    def resources(self) -> list[Resource]:
        """Live keys per resource, the largest first."""
        rows = self._sql.execute(f"select resource, count(*), sum(size) from {self.name} group by 1 order by 3 desc, 1")
        return [Resource(*row) for row in rows]

    def since(self, old: Live) -> t.Iterator[Change]:
        """What happened to keys between an older datastore and this one, by key and mod revision, in order of keys."""
        new, before = self.name, old.name
        rows = self._sql.execute(
            f"select key, resource, 'added' from {new} where key not in (select key from {before})"
            f" union all select key, resource, 'removed' from {before} where key not in (select key from {new})"
            f" union all select key, {new}.resource, 'changed' from {new} join {before} using (key)"
            f" where {new}.mod <> {before}.mod order by 1"
        )
        return (Change(*row) for row in rows)
