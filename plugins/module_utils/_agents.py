# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Agents: what is wrong with how each holds on to its cluster, and the plan that repairs it.

Only what was seen counts: an address is dead when the API has no such endpoint and no server that answers has it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _turns
from ._classify import Case, Refusal
from ._distro import Distro
from ._link import Link, host_of, stale
from ._plan import Plan
from ._step import Todo

JSON = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Servers:
    """What agents are measured by; empty is unknown."""

    endpoints: frozenset[str]
    """Where the API is served now, as the API says."""
    living: frozenset[str]
    """Endpoints and addresses of servers that answer."""
    all: frozenset[str]
    """With those that do not answer now."""
    served: frozenset[str]
    pins: frozenset[str]
    tokens: frozenset[str]
    ready: frozenset[str] = frozenset()
    """Nodes that the API counts as Ready."""


@dataclass(frozen=True)
class Need:
    """What one agent needs: steps in their order, in words, and why some of it cannot be done here."""

    steps: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def servers(case: Case, entries: t.Iterable[JSON]) -> Servers:
    """The servers of a case, with what each says of the API and of the tokens."""
    names = {server.name for server in case.servers}
    mine = [entry for entry in entries if entry["name"] in names and entry["reachable"]]
    ends = frozenset(word for entry in mine for word in (entry.get("api") or {}).get("endpoints") or ())

    def tokens(*keys: str) -> frozenset[str]:
        return frozenset(filter(None, ((entry.get("token") or {}).get(key) for entry in mine for key in keys)))

    return Servers(
        endpoints=ends,
        living=ends | {server.address for server in case.servers if server.reachable},
        all=ends | {server.address for server in case.servers},
        served=tokens("served"),
        pins=tokens("pin"),
        tokens=tokens("in-force", "server", "agents"),
        ready=frozenset(n["name"] for e in mine for n in (e.get("api") or {}).get("nodes") or () if n["ready"]),
    )


def need(name: str, at: Link, known: Servers, refused: bool = False) -> Need:
    """What an agent needs, judged from one look at it. refused: the stored hash is not that of its node password."""
    found: list[tuple[str, str]] = []
    # Where its own connection gave no answer in time, the API says whether it reports.
    silent = not at.reports and not (at.unit == "active" and at.age is None and at.node in known.ready)
    if at.refused and silent:
        found.append(("admit", "its node password is refused"))
    elif refused:
        found.append(("admit", "its node password is not the stored one: its next start would be refused"))
    if wrong := _address(at, known, silent):
        found.append(("point", wrong))
    if at.pin and len(known.pins) == 1 and at.pin not in known.pins:
        found.append(("pin", f"its token holds CA hash {at.pin[:8]}, the cluster's is {min(known.pins)[:8]}"))
    if gone := stale(at.lists, known.living):
        found.append(("unlist", f"its load balancer lists {', '.join(gone)}"))
    elif wrong and at.lists:
        found.append(("unlist", "its load balancer's files are of the old address"))
    if silent:
        found.append(("restart", f"it does not report ({at.seen})"))
    if not found:
        return Need()
    # Where only the stored password is wrong, it is written anew at the agent's next start.
    steps = dict.fromkeys(step for step, _why in found)
    if set(steps) != {"admit"}:
        steps |= {"restart": None}
    return Need(
        tuple(f"agent {step}" for step in steps),
        tuple(why for _step, why in found),
        _refusals(name, at, known, steps, silent),
    )


def _address(at: Link, known: Servers, silent: bool) -> str:
    """Why the configured address is wrong; a server of the cluster may be down for a while as long as others do."""
    if not at.server:
        return "it has no registration address"
    if not at.ping and (silent or host_of(at.server) not in known.all):
        return f"{at.server} does not answer"
    if at.ping and at.served and known.served and at.served not in known.served:
        return f"{at.server} serves another CA"
    return ""


def _refusals(name: str, at: Link, known: Servers, steps: t.Container[str], silent: bool) -> tuple[Refusal, ...]:
    leave = "or leave it out with requorum_only."
    found = []
    if at.kill != "process":
        found.append(
            (f"KillMode of its unit is {at.kill or 'unknown'}: a restart would stop its pods.", "Set KillMode=process")
        )
    if at.server_from == "flag" and "point" in steps:
        found.append((f"{at.server} stands on its unit's command line.", "Change it there"))
    if at.token_from == "flag" and "pin" in steps:
        found.append(("its token stands on its unit's command line.", "Put the full token of a server there"))
    if silent and at.token and known.tokens and at.token not in known.tokens:
        found.append(("its token is not one of this cluster.", "Write the cluster's token into its configuration"))
    return tuple(Refusal(f"{name}: {what}", name, f"{what_next}, {leave}") for what, what_next in found)


def needs(case: Case, ask: _turns.Ask) -> dict[str, Need]:
    """Agent -> what it needs, for those that answer and need anything."""
    known, entries = servers(case, ask.entries), {entry["name"]: entry for entry in ask.entries}
    looked = {name: entries[name].get("link") for name in ask.wanted(ask.agents)}
    refused = ask.tokens.get("refused") or ()
    judged = {name: need(name, Link(**at), known, name in refused) for name, at in looked.items() if at}
    return {name: found for name, found in judged.items() if found.steps}


def todo(case: Case, found: t.Mapping[str, Need]) -> list[Todo]:
    """Turns of agents, for a plan of its own or at the end of another one."""
    return [
        Todo("drop password", _turns.anchor_for(case, name), name) if step == "agent admit" else Todo(step, name, name)
        for name, one in found.items()
        for step in one.steps
    ]


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Every agent that answers holds on to living servers afterwards; those that do so already are left alone."""
    found = needs(case, ask)
    refusals = tuple(refusal for one in found.values() for refusal in one.refusals)
    if ask.wanted(ask.agents) and not servers(case, ask.entries).endpoints:
        refusals = (Refusal("No API server answers.", "servers", "Agents need one; recover.yml brings it back."),)
    said = "; ".join(f"{name}: {', '.join(one.why)}" for name, one in found.items())
    aim = f"Agents report to living servers ({len(found)} of {len(ask.agents)} needed it). Before: {said}."
    made = _turns.make(case, distro, ask, work="AGENTS", todo=todo(case, found), aim=aim, refusals=refusals)
    nodes: dict[str, tuple[str, ...]] = {
        str(entry["name"]): (str(entry["link"]["node"]),) for entry in ask.entries if entry["name"] in found
    }
    return replace(made, nodes=nodes)
