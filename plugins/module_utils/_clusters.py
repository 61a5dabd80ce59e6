# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which clusters an inventory holds, and which of them cannot be looked at as it stands; the others go on.

A cluster is a child group of `clusters`, with its servers and agents, or a host of `clusters` that carries its members
as a variable: that form may be cut into slices by AWX, which hands out hosts, since a host is then a whole cluster.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass

ALL, MEMBERS, REFUSAL = "clusters", "requorum_members", "requorum_refused"
AWX = ("awx_job_id", "tower_job_id")
"""Variables of a job of AWX; it may be one of several slices, and is not told so."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a cluster: it names a folder."""
JSON = dict[str, t.Any]


@dataclass(frozen=True)
class Group:
    """A child group of `clusters` as the inventory has it."""

    name: str
    hosts: t.Mapping[str, t.Collection[str]]
    """Host -> all groups that it is in."""
    declared: t.Collection[str] = ()
    """requorum_cluster of its hosts."""


@dataclass(frozen=True)
class Carrier:
    """A host of `clusters` with the members of its cluster."""

    host: str
    declared: str
    members: t.Any
    inventory: str = ""
    refusal: str = ""
    """What was already wrong with it where it was made."""


@dataclass(frozen=True)
class Cluster:
    """One that can be looked at."""

    name: str
    servers: tuple[str, ...]
    agents: tuple[str, ...] = ()
    group: str = ""
    host: str = ""
    """In whose turn it is looked at: its first server, or the host that carries it."""
    inventory: str = ""
    """Of this cluster alone, for what is to be typed next."""


@dataclass(frozen=True)
class Refused:
    """One that cannot: what is wrong, and what to do."""

    name: str
    why: str


def of(
    groups: t.Sequence[Group], carriers: t.Sequence[Carrier] = (), *, sliced: bool = False
) -> list[Cluster | Refused]:
    """All of them, by name. sliced: hosts may be missing without a word, so that no group is known to be whole."""
    made = [_of_group(group, groups, sliced) for group in groups] + [_of_carrier(each) for each in carriers]
    times = Counter(each.name for each in made if isinstance(each, Cluster))
    unique = (
        each
        if isinstance(each, Refused) or times[each.name] == 1
        else Refused(each.group or each.host, f"{times[each.name]} clusters are called {each.name}. {_RENAME}")
        for each in made
    )
    return sorted(unique, key=lambda each: each.name)


_RENAME = "Give each a requorum_cluster of its own."


def _of_group(group: Group, groups: t.Sequence[Group], sliced: bool) -> Cluster | Refused:
    servers = tuple(host for host, member in group.hosts.items() if _is(member, "servers"))
    agents = tuple(host for host, member in group.hosts.items() if _is(member, "agents"))
    neither = [host for host in group.hosts if host not in servers + agents]
    name = next(iter(group.declared), "") or group.name
    shared = [(host, g.name) for host in group.hosts for g in groups if g is not group and host in g.hosts]
    if sliced:
        why = "AWX may have cut its servers away. Give AWX a host for each cluster: docs/fleets.md."
    elif not group.hosts:
        why = "It has no hosts. Put its servers into it."
    elif shared:
        why = f"{shared[0][0]} is also in the cluster {shared[0][1]}. Two hosts need two names in the inventory."
    elif len(group.declared) > 1:
        why = f"Its hosts say requorum_cluster {' and '.join(sorted(group.declared))}. Set it once, for the group."
    elif both := [host for host in servers if host in agents]:
        why = f"{both[0]} is among servers and among agents. It is one of them."
    elif neither:
        why = f"{neither[0]} is neither among servers nor among agents. Put it into {group.name}_servers or _agents."
    else:
        why = _named(name) or ("" if servers else f"It has no servers. Put them into {group.name}_servers.")
    return Refused(group.name, why) if why else Cluster(name, servers, agents, group.name, servers[0])


def _is(groups: t.Collection[str], role: str) -> bool:
    """By a group of that name, or by one that ends in it, such as prod_servers."""
    return any(group == role or group.endswith(f"_{role}") for group in groups)


def _of_carrier(each: Carrier) -> Cluster | Refused:
    found = each.members if isinstance(each.members, dict) else {}
    sides = [found.get(side) or {} for side in ("servers", "agents")]
    name = each.declared or each.host
    if each.refusal:
        why = each.refusal
    elif not all(isinstance(side, dict) and all(isinstance(v or {}, dict) for v in side.values()) for side in sides):
        why = f"Its {MEMBERS} is not of the form servers: {{name: {{variables}}}}."
    elif not sides[0]:
        why = f"It has no servers. Name them in {MEMBERS}.servers."
    elif both := set(sides[0]) & set(sides[1]):
        why = f"{sorted(both)[0]} is among servers and among agents. It is one of them."
    else:
        why = _named(name)
    if why:
        return Refused(each.host, why)
    return Cluster(name, tuple(sides[0]), tuple(sides[1]), host=each.host, inventory=each.inventory)


def _named(name: str) -> str:
    hint = "Set requorum_cluster: letters, digits, dots, hyphens."
    return "" if NAME.fullmatch(name) else f"Its name {name!r} cannot name a folder. {hint}"
