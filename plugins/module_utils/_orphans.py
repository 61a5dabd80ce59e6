# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What the API still holds of servers that a person has declared dead: in which order it goes, and when it may not.

Who is who (`_orphan_maps`), what forbids it (`_orphan_gates`), what is done (`_orphan_steps`), over plain objects
(`_orphan_parts`).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _orphan_gates as gates
from ._classify import Refusal
from ._orphan_gates import answering, foreign, healthy_copies
from ._orphan_maps import Dead, Maps, trace, who
from ._orphan_parts import (
    EASE,
    FLEET,
    FORCE,
    FRESH_S,
    HELD,
    JSON,
    KINDS,
    LONGHORN,
    MACHINE_ID,
    MACHINE_NAME,
    MACHINE_OF_NODE,
    PASSWORDS,
    PAUSED,
    PINNED,
    Seen,
    condition,
    inner,
    labels,
    meta,
    name_of,
    notes,
    spec,
    status,
)
from ._orphan_steps import Step, delete, in_order, line, patch, unpin

__all__ = [
    "EASE", "FLEET", "FORCE", "FRESH_S", "HELD", "JSON", "KINDS", "LONGHORN", "MACHINE_ID", "MACHINE_NAME",
    "MACHINE_OF_NODE", "PASSWORDS", "PAUSED", "PINNED", "Dead", "Purge", "Refusal", "Seen", "Step", "answering",
    "condition", "delete", "foreign", "healthy_copies", "inner", "labels", "line", "meta", "name_of", "notes",
    "patch", "purge", "spec", "status", "unpin",
]  # fmt: skip


@dataclass(frozen=True)
class Purge:
    """What goes, in this order; nothing of it while there is a refusal."""

    dead: tuple[Dead, ...]
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...] = ()


def purge(
    seen: Seen,
    names: t.Iterable[str],
    *,
    addresses: t.Mapping[str, str] | None = None,
    before: t.Iterable[Dead] = (),
    accept: t.Collection[str] = (),
    later: t.Sequence[JSON] = (),
    clock: float = 0,
    stopped: bool = False,
) -> Purge:
    """names: of Nodes, of hosts of the inventory (addresses: host -> address), or of single Machines.

    before: what earlier runs have begun. accept: volumes and images that are given up. later: the Leases, looked at
    once more after a kubelet would have renewed its own; clock: the controller's. stopped: nobody asks whether they
    live, because whoever calls stops them itself.
    """
    maps = Maps(seen)
    known = {each.name: each for each in before}
    dead = tuple(who(maps, name, addresses or {}, known) for name in dict.fromkeys(names))
    nodes, machines = {d.node for d in dead if d.node}, {m for d in dead for m in d.machines}
    refusals = [
        *(refusal for d in dead for refusal in maps.doubts(d, dead, nodes)),
        *(gates.unknown(d) for d in dead if not trace(seen, d) and d.name not in known),
        *(refusal for d in dead if not stopped and (refusal := gates.alive(seen, d, later, clock))),
        *gates.none_left(seen, nodes),
        *gates.last_copies(seen, nodes, accept),
    ]
    steps = () if refusals else tuple(in_order(seen, nodes, machines, maps))
    gone = [d.name for d in dead if not trace(seen, d) and d.name in known]
    said = [f"{name}: an earlier run has purged it; nothing of it is left." for name in gone]
    missing = sorted({kind.name for name, (kind, _where) in KINDS.items() if name not in seen})
    said += [f"{name}: the cluster has no such kind; this part is skipped." for name in missing]
    return Purge(dead, steps, tuple(refusals), tuple(said))
