# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The lock of a cluster: one run that changes it at a time, held as a file on every node that it reaches.

Its heartbeat is the file's time by the node's own clock, so that clocks of controllers do not matter.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._classify import Refusal

JSON = dict[str, t.Any]
FILE = "lock.json"
"""In the folder of a run: the id of its lock, the nodes that it holds, and all on which it tried."""
SILENT_S = 600.0
"""Seconds without a sign of life after which another run takes over: `requorum_timeouts.lock`."""
MARK = "(locked)"
"""By this the command tells a refusal by a lock from any other one."""
PATH = "/var/lib/rancher/requorum/lock"


@dataclass(frozen=True)
class Held:
    """A lock as it was found."""

    id: str
    node: str
    """Where it was heard last."""
    age: float
    """Seconds since then; negative where that node's clock was put back."""
    owner: str = "somebody"
    host: str = "a machine that is not named"
    started: str = "a moment that is not told"
    run: str = "?"
    pid: str = ""
    began: str = ""
    place: str = ""

    @property
    def words(self) -> str:
        """Who holds it."""
        heard = f"heard {abs(self.age):.0f} s ago on {self.node}"
        return f"{self.owner} on {self.host} since {self.started}, {heard}: {self.run}"


@dataclass(frozen=True)
class Verdict:
    """What locks of others mean for a run that is to begin."""

    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    """Of those that it would take over."""
    dead: tuple[str, ...] = ()
    """Ids of runs of this machine that have ended."""


def held(node: str, pairs: t.Mapping[str, str]) -> Held:
    """A lock of a node out of its `key=value` lines and its age; what a torn one does not tell is not known."""
    told = {key: value for key in Held.__dataclass_fields__ if key not in ("node", "age") and (value := pairs.get(key))}
    age = pairs.get("age", "")
    return Held(**{"id": "", **told}, node=node, age=float(age) if age.lstrip("-").isdigit() else 0.0)


def latest(found: t.Iterable[Held]) -> list[Held]:
    """Each lock once, as the node has it that heard it last: a run is not heard on nodes where it has nothing to do."""
    best: dict[str, Held] = {}
    for one in found:
        if one.id not in best or abs(one.age) < abs(best[one.id].age):
            best[one.id] = one
    return list(best.values())


def judge(entries: t.Iterable[JSON], ended: t.Callable[[Held], bool], limit: float) -> Verdict:
    """ended: whether its holder worked on this machine and is no more. limit: seconds."""
    refusals, notes, dead = list[Refusal](), list[str](), list[str]()
    for one in latest(held(entry["name"], entry["lock"]) for entry in entries if entry.get("lock")):
        if ended(one):
            dead.append(one.id)
            notes.append(taken_over(one, dead=True))
        elif abs(one.age) >= limit:
            notes.append(taken_over(one, dead=False))
        else:
            refusals.append(refusal(one, limit))
    return Verdict(tuple(refusals), tuple(notes), tuple(dead))


def refusal(one: Held, limit: float) -> Refusal:
    """Of a lock that is held."""
    return Refusal(
        f"Another run works on this cluster: {one.words} {MARK}.",
        f"{one.node}, {PATH}",
        f"Wait for it, or end it on {one.host}. {limit:.0f} s after its last sign of life a run takes it over; at once "
        """with -e '{"requorum_timeouts": {"lock": 0}}', if you know that it is dead.""",
    )


def taken_over(one: Held, *, dead: bool) -> str:
    """Of a lock that hinders nobody any more."""
    why = "its process has ended" if dead else "it gives no sign of life any more"
    return f"The lock of another run is taken over, because {why}: {one.words}."
