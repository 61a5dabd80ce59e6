# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which case is this, what does each server need, what is forbidden and what would allow it.

The order of questions: does a quorum stand? could one stand if intact members were started? may a peer still run? Only
when all three are answered with no is a reset considered.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _clocks, _messages, _root
from ._errors import Refusal as Refusal
from ._server import Member, Server

Kind = t.Literal[
    "healthy",
    "member_lost",
    "quorum_recoverable",
    "quorum_lost",
    "datastore_lost",
    "split_brain",
    "api_down",
    "unknown",
]
RESETS = ("quorum_lost", "datastore_lost")
"""Cases in which the cluster is made anew from one server."""
ABOVE = "The fault is above etcd; no recovery of members would help."
UNLED = "All intact members run and still see no leader: they do not reach each other."
Need = t.Literal["nothing", "start", "promote", "rejoin", "stays_off"]


@dataclass(frozen=True)
class Case:
    """The judgement on a cluster."""

    kind: Kind
    reason: str
    base: tuple[Server, ...] = ()
    """Servers that hold the cluster's datastore, best first; the first one is the survivor (or anchor)."""
    needs: tuple[tuple[str, Need], ...] = ()
    members: tuple[Member, ...] = ()
    """The member list of this cluster."""
    refusals: tuple[Refusal, ...] = ()
    servers: tuple[Server, ...] = ()

    @property
    def survivor(self) -> Server | None:
        return self.base[0] if self.base else None

    def having(self, *needs: Need) -> tuple[str, ...]:
        """Names of the servers with one of these needs, in inventory order."""
        return tuple(name for name, need in self.needs if need in needs)


def classify(servers: t.Sequence[Server], *, survivor: str = "") -> Case:
    """Judge a cluster by its servers.

    survivor: the user's own choice; it decides between two clusters and comes first in the ranking.
    """
    case = _classify([_of_its_own(server, servers) for server in servers], survivor)
    odd = _clocks.odd({server.name: server.skew for server in servers if server.reachable})
    if odd and case.kind != "healthy":
        wrong = _messages.refusal("clocks-differ", clocks=_clocks.differ(odd), hosts=_list(list(odd)))
        case = replace(case, refusals=(wrong, *case.refusals))
    return replace(case, servers=tuple(servers))


def _classify(servers: t.Sequence[Server], survivor: str) -> Case:
    if not any(server.reachable for server in servers):
        return Case(
            "unknown",
            "No server answers.",
            refusals=_barred(servers) or (_messages.refusal("servers-silent"),),
        )
    if resetting := [server.name for server in servers if server.resetting]:
        return _resetting(resetting)
    holders = [server for server in servers if server.store == "intact" and server.cluster_id]
    clusters = {server.cluster_id for server in holders}
    leading = {server.cluster_id for server in holders if server.etcd in ("voting", "learning")}
    if len(clusters) > 1:
        chosen = _choose(holders, leading, survivor)
        if chosen is None:
            return _split(holders)
        clusters, leading = {chosen}, leading & {chosen}
    if not clusters:
        return _nothing_holds(servers)
    base = rank([server for server in holders if server.cluster_id in clusters], prefer=survivor)
    members = _members(base)
    clones = [server.name for server in base if sum(other.member_id == server.member_id for other in base) > 1]
    if not members or clones:
        return _contradiction(base, clones)
    refusals = strangers(servers, members)
    if any("CORRUPT" in server.alarms for server in base):
        return _corrupt(servers, base, members)
    if leading:
        case = _standing(servers, _steady(base, survivor), members, refusals)
        return _full(case) if any("NOSPACE" in server.alarms for server in base) else case
    return _fallen(servers, base, members, refusals, named=survivor)


def _resetting(names: t.Sequence[str]) -> Case:
    """What lies on the disk meanwhile is no state to judge by."""
    what = f"The reset that an earlier run began on {_list(names)} still goes on."
    hint = "It ends by itself (requorum_timeouts.reset, 900 s). Run the same command again then: it goes on from there."
    return Case("unknown", what, refusals=(Refusal(what, _list(names), hint),))


def _of_its_own(server: Server, servers: t.Sequence[Server]) -> Server:
    """A cluster that was made anew on the first server of the old one has the old ID: etcd makes IDs of peer URLs. It
    is known by its list: only itself, while others list it under the name that it had before. Where they run, they
    bring its etcd down, since their term is higher, and their quorum is the old one's. While it leads and they do not,
    nobody takes them for it.
    """
    alone = len(server.members) == 1 and server.members[0].id == server.member_id
    old = [o for o in servers if len(o.members) > 1 and any(m.id == server.member_id for m in o.members)]
    known = {m.name for other in old for m in other.members if m.id == server.member_id}
    if not alone or not known - {"", server.members[0].name}:
        return server
    if server.etcd == "voting" and not any(other.etcd == "voting" for other in old):
        return server
    return replace(server, cluster_id=f"{server.cluster_id}, made anew as {server.members[0].name},")


def rank(servers: t.Sequence[Server], *, prefer: str = "") -> tuple[Server, ...]:
    """Best survivor first: how far the datastore got, then a running etcd that answers, free disk, a right clock."""
    return tuple(
        sorted(
            servers,
            key=lambda s: (
                s.name != prefer,
                s.removed,
                [-n for n in s.position],
                not s.leader,
                not s.gateway,
                # Coarse, so that two looks at one state rank alike.
                -s.free.bit_length(),
                abs(s.skew) // 5,
                s.name,
            ),
        )
    )


def _steady(base: t.Sequence[Server], prefer: str) -> tuple[Server, ...]:
    """By name, the one that the user named first. While a quorum stands, servers overtake each other between two looks,
    and nothing is decided by who got furthest: the same cluster must have the same plan a minute later.
    """
    return tuple(sorted(base, key=lambda server: (server.name != prefer, server.name)))


def _choose(holders: t.Sequence[Server], leading: set[str | None], survivor: str) -> str | None:
    """The cluster that is meant when two are seen: the user's choice, or the one whose journal names the rest."""
    seen = {holder.cluster_id for holder in holders}
    named = {holder.cluster_id for holder in holders if holder.name == survivor}
    claimed = named or {holder.cluster_id for holder in holders if seen - {holder.cluster_id} <= holder.replaced}
    # A cluster that has no leader never wins over one that has: its data may be the older ones.
    return claimed.pop() if len(claimed) == 1 and (leading <= claimed or claimed <= leading) else None


def _barred(servers: t.Iterable[Server]) -> tuple[Refusal, ...]:
    return tuple(_root.refusal(server.name, server.barred) for server in servers if server.barred)


def _split(holders: t.Sequence[Server]) -> Case:
    seen = "; ".join(f"{s.name} has cluster {s.cluster_id} at revision {s.revision}" for s in holders)
    return Case(
        "split_brain",
        f"Two clusters are alive under one name: {seen}.",
        refusals=(
            Refusal(
                "More than one cluster ID is found, so nothing is changed.",
                ", ".join(s.name for s in holders),
                "Stop the servers of the cluster that is not meant; or name one that is: -e requorum_survivor=NAME.",
            ),
        ),
    )


def _nothing_holds(servers: t.Sequence[Server]) -> Case:
    unread = [s.name for s in servers if s.store == "unknown" and not (s.powered_off and not s.reachable)]
    if unread:
        return Case(
            "unknown",
            "No server with a datastore that can be read was found.",
            refusals=_barred(servers) or (_messages.refusal("datastore-unread", host=_list(unread)),),
        )
    away = [server.name for server in servers if not server.reachable]
    hope = f" {_list(away)} may still hold one." if away else ""
    return Case(
        "datastore_lost",
        f"No server that answers has a datastore any more.{hope}",
        refusals=(
            Refusal(
                "Only a snapshot can help.",
                _list([s.name for s in servers]),
                "See what there is by playbooks/snapshots.yml, then restore the best one: "
                "-e requorum_method=restore -e requorum_snapshot=newest.",
            ),
        ),
    )


def _members(base: t.Sequence[Server]) -> tuple[Member, ...]:
    """The member list as the best server knows it; one that sees a leader knows best."""
    sighted = [server for server in base if server.etcd in ("voting", "learning")]
    return next((server.members for server in (*sighted, *base) if server.members), ())


def _contradiction(base: t.Sequence[Server], clones: t.Sequence[str]) -> Case:
    """Without a member list nobody can say what a quorum is, and two servers are never one member."""
    refusal = (
        _messages.refusal("member-twice", hosts=_list(clones))
        if clones
        else _messages.refusal("members-unread", hosts=_list([server.name for server in base]))
    )
    return Case("unknown", refusal.what, refusals=(refusal,))


def strangers(servers: t.Sequence[Server], members: t.Sequence[Member]) -> tuple[Refusal, ...]:
    """Members that no inventory name stands for could be a live majority that nobody looked at."""
    known = {word for server in servers for word in (server.address, server.name, server.node)}
    return tuple(
        _messages.refusal("member-unlisted", member=member.name or member.id, address=member.address)
        for member in members
        if member.address not in known and member.node not in known
    )


def _standing(
    servers: t.Sequence[Server], base: tuple[Server, ...], members: tuple[Member, ...], refusals: tuple[Refusal, ...]
) -> Case:
    """A leader is seen: what is missing to full strength?"""
    sighted = [server for server in base if server.etcd == "voting"]
    if not sighted:
        what = f"{_list([server.name for server in base])} see a leader, but no voter could be read."
        return Case("unknown", what, refusals=(Refusal(what, "inventory", "Add the voters, or make them reachable."),))
    base = (*sighted, *(server for server in base if server not in sighted))
    needs = tuple((server.name, _need(server, base[0], members)) for server in servers)
    missing = [name for name, need in needs if need != "nothing"]
    if missing:
        text = f"Quorum stands with {len(sighted)} of {len(servers)} servers; {_list(missing)} must come back."
        voters = {member.id for member in members if not member.learner}
        stands = len(voters & {server.member_id for server in sighted}) > len(voters) // 2
        dead = [name for name, need in needs if need == "stays_off"]
        if dead == missing:
            gone = _messages.refusal("hosts-gone", hosts=_list(dead))
            return Case("member_lost", text, base, needs, members, _barred(servers) or (gone,))
        refusals += _must_not_be_fenced(servers, needs, stands)
        return Case("member_lost", text, base, needs, members, refusals)
    if refusals:
        text = f"Quorum stands, with a member more than the inventory has: {' '.join(r.what for r in refusals)}"
        return Case("member_lost", text, base, needs, members, refusals)
    silent = [server.name for server in servers if not server.api]
    if silent:
        return Case(
            "api_down",
            f"etcd is complete, but the API does not answer on {_list(silent)}.",
            base,
            needs,
            members,
            (
                Refusal(
                    ABOVE,
                    _list([s.name for s in servers]),
                    "Read the log of kube-apiserver.",
                ),
            ),
        )
    return Case("healthy", f"All {len(servers)} servers are voters and see one leader.", base, needs, members)


def _full(case: Case) -> Case:
    """A full datastore takes no writes, so nobody could join or start; reads go on."""
    kind: Kind = "api_down" if case.kind == "healthy" else case.kind
    refusal = Refusal(
        "The datastore is full: alarm NOSPACE, and nothing can be written.",
        _list([server.name for server in case.base]),
        "playbooks/repair.yml --tags nospace makes room and disarms it.",
    )
    reason = f"{case.reason} The datastore is full (alarm NOSPACE)."
    return replace(case, kind=kind, reason=reason, refusals=(refusal, *case.refusals))


def _corrupt(servers: t.Sequence[Server], base: tuple[Server, ...], members: tuple[Member, ...]) -> Case:
    """Members differ in their data. Which one is right, no program can say."""
    needs: tuple[tuple[str, Need], ...] = tuple((s.name, "nothing" if s.reachable else "stays_off") for s in servers)
    what = "Alarm CORRUPT: the data of the members differ, and etcd serves none of them."
    hint = (
        "Requorum never disarms it: nobody but a person can say whose data are right. What to do stands in "
        "docs/repair.md, under CORRUPT."
    )
    return Case("unknown", what, base, needs, members, (Refusal(what, _list([s.name for s in base]), hint),))


def _fallen(
    servers: t.Sequence[Server],
    base: tuple[Server, ...],
    members: tuple[Member, ...],
    refusals: tuple[Refusal, ...],
    *,
    named: str,
) -> Case:
    """No leader is seen: can enough intact members be started, and if not, can anybody else still make a quorum?"""
    voters = {member.id for member in members if not member.learner}
    quorum = len(voters) // 2 + 1
    intact = [server for server in base if server.member_id in voters and not server.moved | server.removed]
    if len(intact) >= quorum:
        idle = [server.name for server in intact if server.etcd == "stopped"]
        needs = tuple((s.name, "start" if s in intact else _need(s, base[0], members)) for s in servers)
        text = f"{len(intact)} of {len(voters)} members are intact, {quorum} make a quorum: start them, reset nothing."
        if not idle:
            refusals += (
                Refusal(
                    UNLED,
                    _list([s.name for s in intact]),
                    "Look at the network between them (ports 2379 and 2380), certificates and clocks."
                    if len(intact) > 1
                    else "A member that is alone leads seconds after its start: run the same command again. If it "
                    "never leads, look at etcd's log and its certificates.",
                ),
            )
        refusals += _must_not_be_fenced(servers, needs, True)
        if len(voters) == 1 and base[0].replaced:  # made anew, not started yet: the others may vote where nobody looks
            refusals += tuple(r for s in servers if s not in intact for r in may_still_run(s))
        return Case("quorum_recoverable", text, base, needs, members, refusals)
    for server in servers:
        refusals += tuple(may_still_run(server))
    if (base[0].member_id not in voters or base[0].removed) and base[0].name != named:
        refusals += (_messages.refusal("survivor-removed", host=base[0].name),)
    refusals += tuple(_misnamed(servers, base[0], named))
    needs = tuple((s.name, "nothing" if s == base[0] else "rejoin" if s.reachable else "stays_off") for s in servers)
    moved = [server.name for server in base if server.moved]
    text = f"Quorum is lost: {len(intact)} of {len(voters)} members intact, {quorum} needed. Survivor: {base[0].name}."
    text += f" {_list(moved)} has another address than its member." if moved else ""
    return Case("quorum_lost", text, base, needs, members, refusals)


def _misnamed(servers: t.Sequence[Server], best: Server, named: str) -> t.Iterator[Refusal]:
    """The user's choice, where it cannot be followed."""
    if named in ("", best.name):
        return
    server = next((server for server in servers if server.name == named), None)
    if server is None:
        yield _messages.refusal("survivor-unknown", host=named, best=best.name)
    elif not server.reachable:
        yield _messages.refusal("survivor-silent", host=named)
    else:
        fault = f"a damaged one ({server.fault})" if server.store == "damaged" else "none"
        yield _messages.refusal("survivor-without", host=named, fault=fault, best=best.name)


def may_still_run(server: Server) -> t.Iterator[Refusal]:
    """What forbids a reset: nobody knows whether this server still votes somewhere."""
    if server.barred:
        yield _root.refusal(server.name, server.barred)
    elif not server.reachable and not server.powered_off:
        yield _messages.refusal("host-silent", host=server.name)
    elif server.healthy:
        yield _messages.refusal("quorum-elsewhere", host=server.name)
    elif server.reachable and server.powered_off:
        yield _messages.refusal("off-but-answers", host=server.name)
    elif server.reachable and server.store == "unknown":
        yield _messages.refusal("datastore-unread", host=server.name)


def _must_not_be_fenced(
    servers: t.Sequence[Server], needs: t.Sequence[tuple[str, Need]], stands: bool
) -> tuple[Refusal, ...]:
    """A rejoin stops a server: never one that was not read, nor one that may be the vote by which the quorum stands."""
    joiners = [server for server in servers if (server.name, "rejoin") in needs]
    return tuple(
        _messages.refusal("datastore-unread", host=server.name)
        if server.store == "unknown"
        else _messages.refusal("etcd-may-vote", host=server.name)
        for server in joiners
        if server.store == "unknown" or (server.etcd == "unknown" and not stands)
    )


def _need(server: Server, anchor: Server, members: t.Sequence[Member]) -> Need:
    """What a server needs to be a voter of the anchor's cluster."""
    if not server.reachable:
        return "stays_off"
    listed = {member.id: member for member in members}
    mine = listed.get(server.member_id or "")
    whole = server.cluster_id == anchor.cluster_id and server.store == "intact"
    if whole and mine and not server.moved | server.removed:
        if mine.learner and server.etcd == "learning":
            return "promote"
        return "nothing" if server.etcd == "voting" and server.unit else "start"
    return "rejoin"


def _list(names: t.Sequence[str]) -> str:
    return ", ".join(names) or "-"
