# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Single servers while the quorum stands: come back, join for the first time, take another's place, leave for good.

Order: what only has to start or to be promoted, dead members that leave, servers that join, living ones that leave. So
the cluster has at each moment the most working voters that it can have.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _look, _turns, _verify
from ._classify import Case, Refusal, strangers
from ._distro import Distro
from ._margin import Margin
from ._plan import Plan
from ._server import Member, Server
from ._step import Todo

JSON = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Turn:
    """One server and what is done with it."""

    name: str
    kind: t.Literal["start", "promote", "leave", "join", "release"]
    members: tuple[Member, ...] = ()
    """Members that are listed for it."""
    nodes: tuple[str, ...] = ()
    """Nodes that go with it."""
    server: Server | None = None
    """None where the inventory does not have it."""
    refused: bool = False
    """The stored node password is not the host's."""

    @property
    def runs(self) -> bool:
        """It answers, and something of a server is on it."""
        seen = self.server
        return bool(seen and seen.reachable and (seen.store != "absent" or seen.etcd != "stopped" or seen.unit))

    @property
    def votes(self) -> bool:
        return bool(self.server and self.server.etcd == "voting")


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """What lacks to full strength, or what was asked for by name: options `replace` {old: new} and `remove`."""
    refused = ask.tokens.get("refused") or ()
    turns = tuple(replace(turn, refused=turn.name in refused) for turn in _order(case, ask))
    refusals = (*_mistakes(case, ask, turns), *_forbidden(case, turns), *_short(case, turns))
    stay = [server for server in case.base if server.name not in {turn.name for turn in turns if turn.kind == "leave"}]
    again = {turn.name for turn in turns if turn.kind == "join"}
    # Who acts for others is neither leaving nor joining; in a cluster whose only voter leaves, the new one closes.
    new = [turn.server for turn in turns if turn.kind == "join" and turn.server] if not stay else []
    base = (*sorted(stay, key=lambda s: s.name in again), *new, *(s for s in case.base if s not in stay))
    ordered = replace(case, base=base)
    made = _turns.make(
        ordered,
        distro,
        ask,
        work="REJOIN",
        todo=[step for turn in turns for step in _steps(turn, _anchor(ordered, turn.name, new))],
        aim=_aim(case, ask, turns),
        refusals=refusals,
    )
    acted = {turn.name: "leaves" if turn.kind == "leave" else turn.kind for turn in turns}
    needs = {
        name: {"join": "rejoin", "release": "nothing"}.get(acted.get(name, ""), acted.get(name, "stays_off"))
        for name, need in case.needs
        if name in acted or need != "nothing"
    }
    return replace(made, needs=needs, nodes={turn.name: turn.nodes for turn in turns if turn.nodes})


def _anchor(case: Case, turn: str, new: t.Sequence[Server]) -> str:
    voter = _turns.anchor_for(case, turn)
    return new[0].name if new and voter == turn else voter


def listed(case: Case, name: str) -> tuple[Member, ...]:
    """The members that are listed for a server, or for a name that the inventory does not have."""
    return tuple(_look.members_of(case.members, _identities(case), name))


def _identities(case: Case) -> list[JSON]:
    return [{"name": s.name, "node": s.node or s.name, "address": s.address} for s in case.servers]


def _order(case: Case, ask: _turns.Ask) -> tuple[Turn, ...]:
    swaps, gone = _options(ask)
    hosts, nodes, needs = {s.name: s for s in case.servers}, _nodes(ask.entries), dict(case.needs)
    leaving = [_leave(case, nodes, name, hosts.get(name)) for name in gone]
    leaving = [turn for turn in leaving if turn.members or turn.nodes or turn.runs]
    # Who asks for something by name gets that alone; what else lacks is for a run that names nothing.
    named = {*swaps.values(), *ask.only}
    ready = [name for name in hosts if name not in gone and (name in named or not (named or gone))]
    # In its own place: it leaves as a member and joins again with nothing.
    again = [name for name in ready if swaps.get(name) == name and hosts[name].reachable]
    joins = [name for name in ready if needs.get(name) == "rejoin" or name in again]
    ready = [name for name in ready if name not in joins]
    marked = {e["name"] for e in ask.entries if e["reachable"] and (_verify.leftovers(e) or _turns.cut_off(e))}
    return (
        *(Turn(name, "start", listed(case, name), (), hosts[name]) for name in ready if needs.get(name) == "start"),
        *(Turn(name, "promote", listed(case, name), (), hosts[name]) for name in ready if needs.get(name) == "promote"),
        *(turn for turn in leaving if not turn.votes),
        *(_join(case, nodes, hosts[name]) for name in joins),
        *(turn for turn in leaving if turn.votes),
        *(
            Turn(name, "release", (), (), hosts[name])
            for name in ready
            if name in marked and needs.get(name) == "nothing"
        ),
    )


def _options(ask: _turns.Ask) -> tuple[dict[str, str], list[str]]:
    """(old -> new, names that leave)."""
    swaps = dict(ask.options.get("replace") or {})
    return swaps, [*(ask.options.get("remove") or ()), *(old for old, new in swaps.items() if old != new)]


def _nodes(entries: t.Iterable[JSON]) -> dict[str, list[str]]:
    """Node -> its addresses, as the first API server that answers has them."""
    found = [(entry.get("api") or {}).get("nodes") for entry in entries if entry["reachable"]]
    return {node["name"]: node["addresses"] for node in next((nodes for nodes in found if nodes), ())}


def _leave(case: Case, nodes: t.Mapping[str, t.Any], name: str, server: Server | None) -> Turn:
    members = listed(case, name)
    names = {(server.node if server else "") or name, *(member.node for member in members)}
    return Turn(name, "leave", members, tuple(sorted(names & set(nodes))), server)


def _join(case: Case, nodes: t.Mapping[str, list[str]], server: Server) -> Turn:
    """A host with a new name leaves the Node of the old one behind."""
    members, mine = listed(case, server.name), server.node or server.name
    others = {other.node or other.name for other in case.servers if other.name != server.name}
    names = {member.node for member in members} | {n for n, places in nodes.items() if server.address in places}
    return Turn(server.name, "join", members, tuple(sorted((names & set(nodes)) - others - {mine})), server)


def _steps(turn: Turn, anchor: str) -> t.Iterator[Todo]:
    """The steps of one turn, in order; they stand in the role `turn` in the same one."""
    keys: dict[str, str] = {}  # step -> who does it; a dictionary keeps their order
    if turn.kind == "join":
        keys |= {"margin": turn.name, "room to join": turn.name}
    if turn.kind == "leave":
        keys |= {"room to leave": turn.name}
    if turn.votes and turn.kind in ("join", "leave"):
        keys |= {"yield": turn.name}
    if turn.kind == "join":
        keys |= {"fence": turn.name, "take out": anchor}
    if turn.kind == "leave" and turn.members and turn.runs:
        keys |= {"take out": anchor}
    if turn.kind == "leave" and turn.runs:
        keys |= {"retire": turn.name}
    if turn.nodes or (turn.kind == "leave" and not turn.runs):
        keys |= {"forget": anchor}
    if turn.refused and turn.kind in ("start", "join", "promote"):
        keys |= {"drop password": anchor}
    if turn.kind in ("start", "join"):
        keys |= {"start" if turn.kind == "start" else "join": turn.name}
    if turn.kind in ("start", "join", "promote"):
        keys |= {"let in": anchor, "serve": turn.name, "report": anchor}
    if turn.kind != "leave":
        keys |= {"release now": turn.name}
    return (Todo(key, node, turn.name) for key, node in keys.items())


def _mistakes(case: Case, ask: _turns.Ask, turns: t.Sequence[Turn]) -> t.Iterator[Refusal]:
    """What was asked for and does not go together with what is there."""
    swaps, gone = _options(ask)
    hosts, needs, acted = {s.name: s for s in case.servers}, dict(case.needs), {turn.name for turn in turns}
    install = "Add it to the group servers; its program must be installed there, and its unit not started."
    for old, new in swaps.items():
        if new not in hosts:
            yield Refusal(f"{new} is not in the inventory.", new, install)
        elif not hosts[new].reachable:
            yield Refusal(f"{new} cannot be reached.", new, "Bring the host up, then run this again.")
        elif new in gone:
            yield Refusal(f"{new} is to leave and to come.", new, "Leave one of them out.")
        elif old == new and needs.get(new) == "nothing" and len(_working(case)) < 3:
            yield Refusal(
                f"{new} works, and fewer than three voters do: while it joins again, no other one may fail.",
                new,
                "Bring the other servers back first, or let one more join.",
            )
    for name in gone:
        if name not in hosts and name not in acted:
            what = f"{name} is neither in the inventory, nor a member, nor a Node."
            yield Refusal(what, name, "It is gone already, or has another name; leave it out, or correct it.")
    for name in ask.only:
        if name in hosts and not hosts[name].reachable and name not in acted:
            yield Refusal(f"{name} cannot be reached.", name, "Bring the host up, then run this again.")
    if not turns and not (ask.only or swaps or gone):
        yield from case.refusals


def _forbidden(case: Case, turns: t.Sequence[Turn]) -> t.Iterator[Refusal]:
    """A server whose etcd was not read is not stopped, and no member is unknown."""
    joins = {turn.name for turn in turns if turn.kind == "join"}
    going = {member.id for turn in turns if turn.kind in ("leave", "join") for member in turn.members}
    if turns:
        yield from (refusal for refusal in case.refusals if refusal.where in joins)
        for refusal in strangers(case.servers, [member for member in case.members if member.id not in going]):
            yield replace(refusal, next=f'{refusal.next} Or let it go: -e \'{{"requorum_remove": ["NODE"]}}\'.')


def _working(case: Case) -> frozenset[str]:
    return frozenset(str(server.member_id) for server in case.base if server.etcd == "voting")


def _short(case: Case, turns: t.Sequence[Turn]) -> t.Iterator[Refusal]:
    """The first turn after which no quorum would be left; each is asked for again when it is its turn."""
    voters = {member.id for member in case.members if not member.learner}
    seen = Margin(case.members, _working(case) & voters, None)
    for turn in turns:
        if turn.kind in ("start", "promote"):
            seen = seen.works(turn.name, [member.id for member in turn.members])
        if turn.kind not in ("leave", "join"):
            continue
        seen, why = seen.change([member.id for member in turn.members], turn.name if turn.kind == "join" else "")
        if why:
            what = f"{turn.name} cannot {turn.kind} now: {why}."
            yield Refusal(what, turn.name, "Bring the servers back that do not work, then run this again.")
            return


def _aim(case: Case, ask: _turns.Ask, turns: t.Sequence[Turn]) -> str:
    """What is true afterwards, and what the user has to do then."""
    back = [turn.name for turn in turns if turn.kind not in ("leave", "release")]
    left = {turn.name: turn for turn in turns if turn.kind == "leave"}
    words = [f"{', '.join(back)}: voter with a working API, Node Ready."] if back else []
    if left:
        words.append(f"{', '.join(left)}: left for good.")
    kept = [name for name in left if any(server.name == name for server in case.servers)]
    if kept:
        words.append(f"Take {', '.join(kept)} out of the inventory, or the next run brings it back.")
    places = {word for turn in left.values() for word in (turn.name, turn.server.address if turn.server else "")} - {""}
    pointing = [
        entry["name"]
        for entry in ask.entries
        if entry["name"] not in left
        and places & set(str((entry.get("config") or {}).get("server") or "").replace("/", ":").split(":"))
    ]
    if pointing:
        words.append(f"Write another server into server: of {', '.join(pointing)}, which name one that has left.")
    return " ".join(words) or "Nothing of an earlier run is left."
