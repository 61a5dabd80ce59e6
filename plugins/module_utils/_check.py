# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A named check: what was wanted, what was observed, and what to type where it is wrong.

What could not be read is `unknown`, which is never healthy. A part that a cluster does not have is `absent`: said, not
wrong.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

JSON = dict[str, t.Any]
State = t.Literal["holds", "wrong", "unknown", "absent"]
SHOWN = 3
"""So many of a long list are named; the objects themselves tell the rest."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    wanted: str
    observed: str
    state: State
    next: str = ""
    """What to type; empty where it holds."""

    @property
    def ok(self) -> bool:
        return self.state in ("holds", "absent")


class Fault(t.NamedTuple):
    """One thing that is not as it should be."""

    what: str
    next: str


class Verdict(t.NamedTuple):
    """What a topic says: `said` where nothing is wrong."""

    said: str
    faults: t.Sequence[Fault] = ()


@dataclass(frozen=True)
class Seen:
    """What was read: objects by name of kind, and what the hosts themselves say."""

    objects: t.Mapping[str, t.Sequence[JSON]]
    releases: t.Mapping[str, t.Mapping[str, str]] = field(default_factory=dict)
    """Node -> its /etc/harvester-release.yaml."""
    running: t.Mapping[str, t.Collection[str]] = field(default_factory=dict)
    """Node -> virtual machines whose process is there; a node whose processes were not read is missing."""
    before: t.Mapping[str, str] = field(default_factory=dict)
    """Virtual machine -> node on which the last recovery found it."""

    def __getitem__(self, name: str) -> t.Sequence[JSON]:
        return self.objects.get(name, ())


@dataclass(frozen=True)
class Topic:
    """One check: which objects it needs, and who judges them."""

    name: str
    wanted: str
    judge: t.Callable[[Seen], Verdict]
    needs: tuple[str, ...]
    """A cluster without these kinds has no such part."""
    uses: tuple[str, ...] = ()
    """None of these is none at all."""


Read = t.Mapping[str, "t.Sequence[JSON] | str | None"]
"""Objects by name of kind; None where the cluster has no such kind, a text where it could not be read: why."""


def judged(topic: Topic, read: Read, seen: Seen) -> Check:
    """The check of one topic."""
    asked = (*topic.needs, *topic.uses)
    unread = [why for name in asked if isinstance(why := read[name], str)]
    if unread:
        return unknown(topic.name, topic.wanted, unread[0])
    missing = [name for name in topic.needs if read[name] is None]
    if missing:
        return Check(topic.name, topic.wanted, f"this cluster has no {', '.join(missing)}", "absent")
    try:
        said, faults = topic.judge(seen)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:  # an object of a form that is not known
        return unknown(topic.name, topic.wanted, f"an object has an unknown form: {fault!r}")
    if not faults:
        return Check(topic.name, topic.wanted, said, "holds")
    steps = list(dict.fromkeys(fault.next for fault in faults if fault.next))
    return Check(topic.name, topic.wanted, few([fault.what for fault in faults]), "wrong", " ".join(steps[:SHOWN]))


def unknown(name: str, wanted: str, why: str) -> Check:
    """It could not be looked at."""
    return Check(name, wanted, why, "unknown", "See why it does not answer, then run it again.")


def holds(name: str, wanted: str, observed: str, ok: bool, more: str = "") -> Check:
    """more: what to type where it does not."""
    return Check(name, wanted, observed, "holds" if ok else "wrong", "" if ok else more)


def same(name: str, wanted: t.Collection[str], observed: t.Collection[str] | None, more: str = "", *,
         why: str = "it could not be read") -> Check:  # fmt: skip
    """Two sets of words; None was not read."""
    text = ", ".join(sorted(wanted)) or "none"
    if observed is None:
        return unknown(name, text, why)
    return holds(name, text, ", ".join(sorted(observed)) or "none", set(wanted) == set(observed), more)


def few(words: t.Sequence[str]) -> str:
    """The first of a list, and how many more there are."""
    return "; ".join(words[:SHOWN]) + (f"; and {len(words) - SHOWN} more" if len(words) > SHOWN else "")
