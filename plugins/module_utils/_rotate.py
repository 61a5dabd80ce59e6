# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Plans that make leaf certificates anew, one host after another, and that never replace an authority.

What a server's authorities should be is decided by the datastore: here by the one on the servers' disks, and once more
by the proved snapshot, before a server is stopped (verb match).
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, replace

from . import _clocks, _tls, _tls_files, _turns
from ._classify import UNLED, Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._step import Todo
from ._tls import Judgement

JSON = t.Mapping[str, t.Any]
DAYS = 30
ALL = "all"
"""In the place of services: every leaf."""
RENEW, RESTORE, RESTART = "renew", "restore", "restart"


@dataclass(frozen=True)
class Work:
    """What the certificates of one host need."""

    services: tuple[str, ...] = ()
    """For `certificate rotate --service`."""
    files: tuple[str, ...] = ()
    """The leaves behind them, and those that no service has: moved aside where the program cannot rotate them."""
    restore: bool = False
    """Authorities, service.key or files in cred/ are not the cluster's."""
    restart: bool = False
    """A start writes something anew that is due."""
    secret: bool = False
    """So is the Secret in the cluster with which every server starts; older versions would put it back into use."""

    def __bool__(self) -> bool:
        return bool(self.files or self.restore or self.restart or self.secret)

    @property
    def words(self) -> str:
        """For the plan."""
        bare = [path for path in self.files if not self.services]
        return ", ".join(self.services or bare)


def judgements(ask: _turns.Ask, days: int) -> tuple[Judgement, ...]:
    """Every file of every host that was read, measured by the authorities of the datastore.

    What lies in the cluster is the same on all servers: the first one that has read it stands for it.
    """
    known = _tls.common(ask.tls.values())
    found: dict[tuple[str, str], Judgement] = {}
    for node in ask.tls.values():
        for judgement in _tls.judge(node, known, now=ask.now, days=days):
            common = judgement.path.startswith(_tls_files.CLUSTER)
            found.setdefault(("" if common else judgement.node, judgement.path), judgement)
    return tuple(found.values())


def work(found: t.Iterable[Judgement], name: str, *, everything: bool = False) -> Work:
    """What one host needs; everything: each leaf, due or not."""
    mine = [judgement for judgement in found if judgement.node == name]
    due = [j for j in mine if j.remedy == RENEW or (everything and j.kind == "leaf" and j.state != "missing")]
    ours = [j for j in due if j.path.startswith(_tls_files.TLS)]
    return Work(
        services=(ALL,) if everything and ours else tuple(sorted({j.service for j in due if j.service})),
        files=tuple(sorted(j.path for j in ours)),
        restore=any(j.remedy == RESTORE for j in mine),
        restart=any(j.remedy == RESTART for j in mine) or bool(due),
        secret=any(j.remedy == RENEW and j.path.startswith(_tls_files.SECRET) for j in mine),
    )


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Renew what is due (or everything), servers first, then agents."""
    days, everything = (
        int(ask.options.get("cert_days") or DAYS),
        str(ask.options.get("cert_all")).lower() in ("true", "yes", "1"),
    )
    found = judgements(ask, days)
    needs = {name: work(found, name, everything=everything) for name in ask.tls}
    todo = list(turns(case, ask, needs))
    for name in ask.wanted(ask.agents):
        if needs.get(name):
            todo += [Todo(key, name, name) for key in ("refresh", "agent", "fresh")]
    return framed(
        case, distro, ask, found, todo, needs, "Every leaf certificate chains and is in date; the CAs are the same."
    )


def plan_remove(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Empty server/tls of the servers that are named, the authorities put back at once."""
    found = judgements(ask, DAYS)
    todo = [step for name in order(case, ask) for step in turn(name, Work(), match="match to empty", empty=True)]
    return framed(case, distro, ask, found, todo, {}, "server/tls is made anew under the same CAs.")


def hindering(ask: _turns.Ask) -> tuple[Judgement, ...]:
    """What keeps a server from a right first start in a recovery, unless a clock says so wrongly.

    Leaves that have ended: older versions stop at them. CAs, keys and files in cred/ that are missing or not the
    datastore's: a start would refuse them, or make new ones.
    """
    if _tls.cause(ask.tls.values()):
        return ()
    return tuple(
        found
        for found in judgements(ask, 0)
        if found.path.startswith("server/")
        and ((found.state == "expired" and found.kind == "leaf") or found.remedy == RESTORE)
    )


def needed(found: t.Iterable[Judgement]) -> dict[str, Work]:
    """Server -> what is done about these while it is stopped."""
    found = tuple(found)
    return {name: work(found, name) for name in dict.fromkeys(judgement.node for judgement in found)}


def explained(case: Case, needs: t.Mapping[str, Work]) -> Case:
    """The case when its certificates explain why members that run do not reach each other."""
    if not needs or case.kind != "quorum_recoverable":
        return case
    return replace(case, refusals=tuple(refusal for refusal in case.refusals if refusal.what != UNLED))


def worded(made: Plan, needs: t.Mapping[str, Work], found: t.Iterable[Judgement]) -> Plan:
    """The plan with what is renewed where: in the words of its actions, for those that do it, for the report."""
    acting = {action.node for action in made.actions if action.verb == RENEW}
    return replace(
        made,
        actions=tuple(
            replace(action, what=f"{action.what}: {needs[action.node].words}") if action.verb == RENEW else action
            for action in made.actions
        ),
        renew={name: asdict(need) for name, need in needs.items() if name in acting},
        certificates=tuple(asdict(judgement) for judgement in found),
    )


def refusals(ask: _turns.Ask, found: t.Iterable[Judgement]) -> t.Iterator[Refusal]:
    """What forbids a rotation, the clocks first: a wrong one looks like everything else."""
    cause = _tls.cause(ask.tls.values())
    if cause:
        why = "Certificates then look expired or not yet valid."
        yield Refusal(f"{cause} {why}", ", ".join(ask.tls), _clocks.HINT)
        return
    ended = {(j.path, j.subject) for j in found if j.kind == "ca" and j.state == "expired" and j.remedy == "rotate_ca"}
    for path, subject in sorted(ended):
        yield Refusal(
            f"The CA {subject} ({path}) has expired: no certificate under it is valid, however new.",
            path,
            "Nothing that the programs have makes a new one now, `certificate rotate-ca --force` neither: it trusts no "
            "server under that CA. The way back is in docs/certificates.md, A CA has ended; it takes the cluster down.",
        )
    lost = sorted({f"{j.node}: {j.path}" for j in found if j.remedy == "lost"})
    if lost:
        yield Refusal(
            f"{', '.join(lost)}: the datastore does not hold it, and no server does.",
            ", ".join(lost),
            "Bring it back from a backup; a start would make a new one and the cluster would fall apart.",
        )


def _unread(case: Case, ask: _turns.Ask) -> t.Iterator[Refusal]:
    """What was not read is not in order."""
    asked = [*(server.name for server in case.servers if server.reachable), *ask.agents]
    for name in asked:
        node = ask.tls.get(name) or {}
        if not node.get("files"):
            why = node.get("error") or "no file was found"
            yield Refusal(
                f"The certificates of {name} could not be read: {why}.",
                name,
                "Look at the host (requorum_data_dir, sudo, its load), then run this again.",
            )


def turns(case: Case, ask: _turns.Ask, needs: t.Mapping[str, Work], *, alone: bool = False) -> t.Iterator[Todo]:
    """The servers that need something; those too that a killed run left stopped, or off at the next boot."""
    idle, left = case.having("start"), {entry["name"] for entry in ask.entries if _left_off(entry)}
    for name in order(case, ask):
        if needs.get(name) or name in idle:
            yield from turn(name, needs.get(name) or Work(), alone=alone)
        elif name in left:
            yield Todo("enable", name, name)


def _left_off(entry: JSON) -> bool:
    """Its journal is open: a run has disabled the unit and did not come to its end."""
    return any(line.startswith("enabled=") for line in entry.get("journal") or ())


def turn(
    name: str,
    need: Work,
    *,
    match: str = "match",
    stop: str = "stop to renew",
    empty: bool = False,
    alone: bool = False,
) -> t.Iterator[Todo]:
    """One server's turn.

    match: how its CAs are compared before it is stopped; empty where they are to change. alone: it asks no other one.
    """
    steps = ("margin", "yield", match, "drop serving" if need.secret else "", stop)
    yield from (Todo(key, name, name) for key in steps if key)
    if empty:
        yield Todo("empty", name, name)
    if need.restore:
        yield Todo("put back", name, name)
    if need.files or need.secret:
        yield Todo("renew", name, name)
    start = "start alone again" if need.restore or alone else "start again"
    yield from (Todo(key, name, name) for key in (start, "serve", "renewed", "enable"))


def order(case: Case, ask: _turns.Ask) -> list[str]:
    """Servers that are stopped already, then those with etcd alone, the leader last."""
    alone = {entry["name"] for entry in ask.entries if _etcd_alone(entry)}
    idle = case.having("start")
    names = ask.wanted(server.name for server in case.servers if server.reachable)
    leader = {server.name for server in case.servers if server.leader}
    return sorted(names, key=lambda name: (name not in idle, name not in alone, name in leader))


def _etcd_alone(entry: JSON) -> bool:
    return str((entry.get("config") or {}).get("disable-apiserver", "")).lower() == "true"


def framed(
    case: Case,
    distro: Distro,
    ask: _turns.Ask,
    found: tuple[Judgement, ...],
    todo: list[Todo],
    needs: t.Mapping[str, Work],
    aim: str,
    more: t.Iterable[Refusal] = (),
    words: t.Mapping[str, str] | None = None,
) -> Plan:
    """The plan around these turns. more: refusals besides those of every rotation."""
    forbidden = (*_unread(case, ask), *refusals(ask, found), *more)
    # Members that work are alike: a ranking by revision would make another plan every second.
    case = replace(case, base=tuple(sorted(case.base, key=lambda server: (server.etcd != "voting", server.name))))
    made = _turns.make(case, distro, ask, work="ROTATE", todo=todo, aim=aim, refusals=forbidden, words=words)
    return worded(made, needs, found)
