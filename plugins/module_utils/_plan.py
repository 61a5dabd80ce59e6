# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The plan: every action with its node, reason, way back and time, in the one right order.

The same list is shown by --check, gated by requorum_confirm, executed node by node and written into the report: actions
are never invented while it runs.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace

from . import _messages
from ._catalog import OPENS, Row
from ._classify import ABOVE, RESETS, Case, Refusal
from ._distro import Distro
from ._recovery_steps import Recovery, Source, end
from ._step import Todo
from ._steps import STEPS
from ._timeline import PHASES
from ._token_need import Need

NOTHING_ENDS = "There is none: the quorum stands all the time, and what is replaced is kept."
UNFINISHED = "A run that was stopped has not put everything back."
NO_RETURN = "The first write by the API server that START brings up. Until then everything can be put back as it was."


@dataclass(frozen=True)
class Action:
    """One step on one node."""

    id: str
    phase: int
    node: str
    verb: str
    what: str
    why: str
    destructive: bool
    undo: str
    expect_s: int
    turn: str = ""
    """Server or agent whose turn it is, where hosts are worked on one after another; else all act side by side."""


@dataclass(frozen=True)
class Plan:
    """What will be done, or why nothing may be done."""

    cluster: str
    case: str
    reason: str
    survivor: str
    method: str
    actions: tuple[Action, ...]
    refusals: tuple[Refusal, ...]
    loss: str
    lost: int | None = 0
    """Revisions that this plan gives up, as far as they are known."""
    saver: str = ""
    """Server whose datastore is saved first."""
    offline: bool = False
    """The snapshot is copied from disk while etcd is stopped, not asked from a running etcd."""
    snapshot: dict[str, t.Any] | None = None
    """The one that is restored, where the user chose one: its row of the table of snapshots."""
    phases: tuple[str, ...] = PHASES
    """Names of the phases, as the plays have them; the first one is number 1."""
    anchors: dict[str, str] = field(default_factory=dict)
    """Whose turn -> the voter that acts for it: its quorum stands without that server."""
    aim: str = ""
    """What is true when all of it is done, where that is not the recovery of the cluster."""
    no_return: str = ""
    """The point of no return, where a plan that is not a recovery has one."""
    needs: dict[str, str] = field(default_factory=dict)
    """Server -> what this plan does about it, where the case alone does not say so: `leaves`, or left alone."""
    nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Whose turn -> the Nodes that go with it."""
    renew: dict[str, dict[str, t.Any]] = field(default_factory=dict)
    """Host -> `_rotate.Work`: which leaf certificates are made anew."""
    certificates: tuple[dict[str, t.Any], ...] = ()
    """`_tls.Judgement` of every file, where the plan is about certificates."""
    successors: tuple[dict[str, t.Any], ...] = ()
    """`_cas.Successor` of every CA that is replaced."""
    tokens: dict[str, t.Any] = field(default_factory=dict)
    """The key of the datastore, tokens at hand as hashes, and what is wrong with them, where the plan is for that."""

    @property
    def plan_id(self) -> str:
        """First 12 hex digits of the sha256 of what identifies the plan; times are left out."""
        actions = [
            {key: value for key, value in asdict(action).items() if key != "expect_s"} for action in self.actions
        ]
        text = json.dumps(
            [self.cluster, self.case, self.survivor, self.method, actions], sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def expect_s(self) -> int:
        """Expected seconds: nodes work side by side, phases and turns one after the other."""
        longest: dict[tuple[int, str], int] = {}
        for action in self.actions:
            key = (action.phase, "" if action.turn else action.node)
            longest[key] = longest.get(key, 0) + action.expect_s
        return sum(
            max(seconds for (number, _node), seconds in longest.items() if number == phase)
            for phase in {p for p, _n in longest}
        )

    def document(self) -> dict[str, t.Any]:
        """plan.json."""
        return {
            **asdict(self),
            "plan_id": self.plan_id,
            "expect_s": self.expect_s,
            "point_of_no_return": self.no_return or (NOTHING_ENDS if self.aim else NO_RETURN) if self.actions else None,
        }


def find_source(case: Case, distro: Distro) -> Source | None:
    """The best server that can give a snapshot now; None when every etcd runs and none answers.

    K3s without quorum restarts again and again: what answers now may not answer in a second, so it is copied from disk.
    """
    steady = [server for server in case.base if server.gateway and (distro.static_pods or server.etcd == "voting")]
    if case.kind == "datastore_lost":
        return None
    if case.kind == "quorum_lost":
        survivor = case.base[0]
        return Source(survivor.name, False) if survivor in steady else Source(survivor.name, True, stop=True)
    idle = [server for server in case.base if server.etcd == "stopped"]
    return Source(steady[0].name, False) if steady else Source(idle[0].name, True) if idle else None


def make_plan(
    case: Case,
    distro: Distro,
    *,
    cluster: str,
    agents: t.Sequence[str],
    method: str = "auto",
    chosen: Row | None = None,
    bare: t.Collection[str] = (),
    renew: t.Collection[str] = (),
    restore: t.Collection[str] = (),
    tokens: Need | None = None,
    refused: t.Sequence[str] = (),
    rancher: bool = False,
    machines: t.Sequence[str] = (),
    unfinished: bool = False,
) -> Plan:
    """The plan for a case.

    method: auto or restore (snapshot of the survivor, then restore it) or plain (reset in place).
    chosen: the snapshot that is restored instead of the survivor's own.
    bare: servers without configuration, of which it was kept beside that snapshot.
    renew: servers whose leaf certificates have ended: older versions do not start with them.
    restore: servers whose CAs are missing or not the datastore's: a start would refuse them or make new ones. A reset
    and a rejoin bring their own.
    tokens: what the recovery needs of them. refused: hosts whose node password is not the stored one.
    rancher: Rancher manages the servers, and its planner must stand still meanwhile; its objects are exported first.
    machines: hosts on which virtual machines run.
    unfinished: a run that was stopped has not put back all that it had changed on the nodes.
    """
    tokens = tokens or Need()
    if unfinished and _stands(case):
        return _closing(case, distro, cluster, agents, tokens, rancher)
    if not case.survivor or case.kind not in ("member_lost", "quorum_recoverable", *RESETS):
        return empty(case, cluster)
    reset = "plain" if method == "plain" else "restore"
    source = find_source(case, distro)
    if source is None and renew and case.kind == "quorum_recoverable":  # all are stopped anyway: copy one first
        source = Source(case.base[0].name, True, stop=True)
    refused = [name for name in case.having("rejoin") if name in refused]
    recovery = Recovery(case, source, agents, reset, chosen, bare, renew, restore, tokens, refused, rancher, machines)
    words = {**tokens.words, "refused": ", ".join(refused)}
    actions = number(recovery.steps, case, distro, source, chosen, more=words)
    if not any(action.verb in ("reset", "start", "rejoin", "promote") for action in actions):
        return empty(case, cluster)
    return replace(
        _made(case, cluster, actions, chosen, tokens, refused),
        method=reset if case.kind in RESETS else "none",
        saver=source.node if source else "",
        offline=bool(source and source.offline),
    )


def _stands(case: Case) -> bool:
    """Whether all servers that are on are voters, and nothing is wrong with them."""
    whole = case.kind in ("healthy", "api_down") or (
        case.kind == "member_lost" and {need for _name, need in case.needs} == {"nothing", "stays_off"}
    )
    return whole and not any(server.alarms for server in case.servers)


def _closing(case: Case, distro: Distro, cluster: str, agents: t.Sequence[str], tokens: Need, rancher: bool) -> Plan:
    """Only the end of a recovery: nobody can join any more; an API that is not there yet is one that comes up."""
    ours = (ABOVE, _messages.refusal("hosts-gone", hosts=", ".join(case.having("stays_off"))).what)
    others = tuple(refusal for refusal in case.refusals if refusal.what not in ours)
    case = replace(case, reason=f"{case.reason} {UNFINISHED}", refusals=others)
    late = [server.name for server in case.servers if server.reachable and not server.api]
    return _made(case, cluster, number(end(case, agents, late, rancher), case, distro, None), None, tokens, [])


def _made(
    case: Case, cluster: str, actions: tuple[Action, ...], chosen: Row | None, tokens: Need, refused: list[str]
) -> Plan:
    lost, loss = _loss(case, chosen)
    return replace(
        empty(case, cluster),
        actions=actions,
        loss=loss,
        lost=lost,
        tokens={**tokens.document, "refused": refused},
        snapshot={**asdict(chosen.stored), "name": chosen.stored.name, "why": chosen.why} if chosen else None,
    )


def backup_plan(case: Case, distro: Distro, *, cluster: str, rancher: bool = False) -> Plan:
    """Only save and prove, and export where Rancher manages the servers. Nothing is stopped for it."""
    if not case.survivor:
        return empty(case, cluster)
    source = find_source(case, distro)
    if source is None or source.stop:
        name = case.survivor.name
        refusal = Refusal(
            f"etcd on {name} runs, but gives no steady answer: its file cannot be copied while it runs.",
            name,
            "recover.yml stops it before it copies; or stop the unit yourself and run this again.",
        )
        return replace(empty(case, cluster), refusals=(refusal,))
    todo = [*saving(case, source), *([Todo("export", source.node)] if rancher else [])]
    actions = number(todo, case, distro, source)
    return replace(empty(case, cluster), actions=actions, refusals=(), saver=source.node, offline=source.offline)


def empty(case: Case, cluster: str) -> Plan:
    """Nothing is done; with the refusals of the case."""
    survivor = case.survivor.name if case.survivor else ""
    return Plan(cluster, case.kind, case.reason, survivor, "none", (), case.refusals, "Nothing is lost.")


def saving(case: Case, source: Source) -> t.Iterator[Todo]:
    """BACKUP without a stop: the datastore and what every server needs beside it."""
    yield Todo("snapshot", source.node)
    yield from (Todo("keep", server.name) for server in case.servers if server.reachable)


def number(
    todo: t.Iterable[Todo],
    case: Case,
    distro: Distro,
    source: Source | None,
    chosen: Row | None = None,
    phases: tuple[str, ...] = PHASES,
    more: t.Mapping[str, str] | None = None,
) -> tuple[Action, ...]:
    """Steps with the names of this case in their words, numbered within their phase.

    Where there are fewer phases than in a recovery, all work between BACKUP and VERIFY is one phase.
    """
    survivor = case.base[0].name
    words = {
        "unit": distro.server_unit,
        "agent_unit": distro.agent_unit,
        "program": distro.name,
        "survivor": survivor,
        "joiners": ", ".join(case.having("rejoin")),
        "peers": ", ".join(name for name, _need in case.needs if name != survivor) or "another server",
        "voters": ", ".join(name for name, need in case.needs if need != "stays_off"),
        "snapshot": chosen.stored.name if chosen else "",
        "source": "the file member/snap/db, with its sha256 appended"
        if source and source.offline
        else "the running etcd through its gateway",
        **(more or {}),
    }
    made: list[Action] = []
    for key, node, turn in todo:
        step = STEPS[key]
        phase = step.phase if len(phases) == len(PHASES) or step.phase < 4 else 4 if step.phase < 9 else len(phases)
        what, why, undo = (text.format(node=node, turn=turn, **words) for text in (step.what, step.why, step.undo))
        ident = f"{phase}.{sum(action.phase == phase for action in made) + 1}"
        made.append(Action(ident, phase, node, step.verb, what, why, False, undo, step.expect_s, turn))
    return tuple(made)


def _loss(case: Case, chosen: Row | None) -> tuple[int | None, str]:
    """(revisions that are given up, sentence)."""
    survivor = case.base[0]
    if chosen:
        written = datetime.datetime.fromtimestamp(chosen.stored.time, datetime.UTC).strftime("%F %T")
        apart = (survivor.revision or 0) - (chosen.stored.revision or 0)
        held = f" ({survivor.name} holds {apart} revisions more, which are kept aside)" if survivor.revision else ""
        seen = "" if chosen.why == OPENS else f" Of {chosen.stored.name}: {chosen.why}."
        return apart if survivor.revision else None, f"Everything written after {written} UTC is lost{held}.{seen}"
    stale = [s for s in case.servers if s.store == "intact" and s.cluster_id not in (None, survivor.cluster_id)]
    if stale:
        names = ", ".join(f"{server.name} (revision {server.revision})" for server in stale)
        return None, f"What another cluster wrote on {names} is not taken over; its datastores are kept aside."
    if case.kind != "quorum_lost":
        return 0, "Nothing is lost."
    ahead = [server for server in case.base[1:] if server.position > survivor.position]
    if ahead:
        apart = ahead[0].revision - survivor.revision
        return apart, f"{survivor.name} was chosen although {ahead[0].name} is {apart} revisions ahead: these are lost."
    log = (
        f" Up to {survivor.newer} entries of its write-ahead log are not in its file yet and may be lost."
        if survivor.newer
        else ""
    )
    return 0, (
        f"Nothing that {survivor.name} holds is lost (revision {survivor.revision}).{log} "
        "Writes that only dead servers acknowledged cannot be known."
    )
