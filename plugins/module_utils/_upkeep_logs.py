# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""How often the logs of etcd say something, in the last hours, as far as they were read.

etcd warns `slow fdatasync` when one took longer than a second (server/storage/wal/wal.go); raft says `elected leader`
and `changed leader` each time (raft/v3 node.go). RKE2 has them in the log of the pod, K3s in that of its unit.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime

from . import _jmes, _scan

JSON = dict[str, t.Any]
SOURCES = frozenset({"etcd", "k3s"})


@dataclass(frozen=True)
class Searched:
    """IDs of the rules by which logs were searched; what was not searched for was not seen, and is unknown."""

    slow_fsync: tuple[str, ...] = ()
    leader_changes: tuple[str, ...] = ()


WATCHED = Searched(("etcd_slow_fsync",), ("etcd_leader_changes",))
"""Of rules/upkeep.yaml. With them `upkeep` is asked by whoever has searched by all rules."""


class Window:
    """The end of one node's logs."""

    def __init__(self, state: JSON, node: str, seconds: float) -> None:
        self.start = (_jmes.seconds(state["time"]) or 0.0) - seconds
        self.logs = [log for log in state.get("logs") or () if log["node"] == node and log["source"] in SOURCES]
        self.hits = [hit for hit in state.get("hits") or () if hit["node"] == node and hit["source"] in SOURCES]

    @property
    def begin(self) -> str | None:
        """Since when they were read: the start of the window, or of the logs where these are shorter. ISO, UTC."""
        firsts = [at for log in self.logs if (at := _jmes.seconds(log["first"])) is not None]
        if not firsts:
            return None
        return datetime.fromtimestamp(max(self.start, min(firsts)), UTC).isoformat(timespec="seconds")[:19] + "Z"

    def counts(self, searched: Searched) -> dict[str, int | None]:
        """Null where no log was read, or not searched."""
        wanted = {"slow_fsync": searched.slow_fsync, "leader_changes": searched.leader_changes}
        return {key: self._count(ids) if self.logs and ids else None for key, ids in wanted.items()}

    def _count(self, ids: t.Collection[str]) -> int:
        return sum(_scan.young(hit, self.start) for hit in self.hits if hit["pattern"] in ids)
