# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The plan: every action with its node, reason, way back and time, in the one right order.

The same list is shown by --check, gated by requorum_confirm, executed node by node and written into the report: actions
are never invented while it runs.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, replace

from ._classify import Case, Refusal
from ._distro import Distro
from ._server import Server

PHASES = ("INSPECT", "PLAN", "BACKUP", "FENCE", "RESET", "START", "REJOIN", "RESYNC", "VERIFY")
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
        """Expected seconds: nodes work side by side, phases one after the other."""
        longest: dict[tuple[int, str], int] = {}
        for action in self.actions:
            key = (action.phase, action.node)
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
            "point_of_no_return": NO_RETURN if self.actions else None,
        }


class _Builder:
    """Collects actions and numbers them."""

    def __init__(self) -> None:
        self.actions: list[Action] = []

    def add(self, phase: int, node: str, verb: str, what: str, *, why: str, undo: str, expect_s: int) -> None:
        ident = f"{phase}.{sum(action.phase == phase for action in self.actions) + 1}"
        self.actions.append(Action(ident, phase, node, verb, what, why, False, undo, expect_s))


@dataclass(frozen=True)
class Source:
    """Where the snapshot comes from before anything is touched."""

    node: str
    offline: bool
    """Copied from disk, not asked from a running etcd."""
    stop: bool = False
    """etcd has to be stopped first, because it runs and does not answer."""


def find_source(case: Case, distro: Distro) -> Source | None:
    """The best server that can give a snapshot now; None when every etcd runs and none answers.

    K3s without quorum restarts again and again: what answers now may not answer in a second, so it is copied from disk.
    """
    steady = [server for server in case.base if server.gateway and (distro.static_pods or server.etcd == "voting")]
    if case.kind == "quorum_lost":
        survivor = case.base[0]
        return Source(survivor.name, False) if survivor in steady else Source(survivor.name, True, stop=True)
    idle = [server for server in case.base if server.etcd == "stopped"]
    return Source(steady[0].name, False) if steady else Source(idle[0].name, True) if idle else None


def make_plan(case: Case, distro: Distro, *, cluster: str, agents: t.Sequence[str], method: str = "auto") -> Plan:
    """The plan for a case.

    method: auto or restore (snapshot of the survivor, then restore it) or plain (reset in place).
    """
    survivor = case.survivor
    method = "plain" if method == "plain" else "restore"
    if not survivor or case.kind not in ("member_lost", "quorum_recoverable", "quorum_lost"):
        return _empty(case, cluster)
    reset = case.kind == "quorum_lost"
    source = find_source(case, distro)
    builder = _Builder()
    _backup(builder, source, survivor, distro)
    _fence(builder, case, survivor, distro, reset and not (source and source.stop))
    if reset:
        _reset(builder, survivor, distro, method)
    _start(builder, case, survivor, distro, reset)
    _rejoin(builder, case, survivor, distro)
    _resync(builder, case, distro, agents, survivor)
    _verify(builder, case, survivor)
    if not any(action.verb in ("reset", "start", "rejoin", "promote") for action in builder.actions):
        return _empty(case, cluster)
    lost, loss = _loss(case)
    return Plan(
        cluster=cluster,
        case=case.kind,
        reason=case.reason,
        survivor=survivor.name,
        method=method if reset else "none",
        actions=tuple(builder.actions),
        refusals=case.refusals,
        loss=loss,
        lost=lost,
        saver=source.node if source else "",
        offline=bool(source and source.offline),
    )


def backup_plan(case: Case, distro: Distro, *, cluster: str) -> Plan:
    """Only save and prove. Nothing is stopped for it."""
    if not case.survivor:
        return _empty(case, cluster)
    source, builder = find_source(case, distro), _Builder()
    if source is None or source.stop:
        name = case.survivor.name
        refusal = Refusal(
            f"etcd on {name} runs, but gives no steady answer: its file cannot be copied while it runs.",
            name,
            "recover.yml stops it before it copies; or stop the unit yourself and run this again.",
        )
        return replace(_empty(case, cluster), refusals=(refusal,))
    _save(builder, source.node, source.offline)
    actions = tuple(builder.actions)
    return replace(_empty(case, cluster), actions=actions, refusals=(), saver=source.node, offline=source.offline)


def _empty(case: Case, cluster: str) -> Plan:
    survivor = case.survivor.name if case.survivor else ""
    return Plan(cluster, case.kind, case.reason, survivor, "none", (), case.refusals, "Nothing is lost.")


def _backup(b: _Builder, source: Source | None, survivor: Server, distro: Distro) -> None:
    if source is None:  # intact members that run without a leader: nothing on disk is changed by starting the others
        _keep(b, survivor.name)
        return
    if source.stop:
        _stop(b, 3, source.node, distro, "its datastore is copied while nothing writes to it")
    _save(b, source.node, source.offline)


def _save(b: _Builder, node: str, from_disk: bool) -> None:
    source = (
        "the file member/snap/db, with its sha256 appended" if from_disk else "the running etcd through its gateway"
    )
    b.add(
        3,
        node,
        "snapshot",
        f"Save a snapshot from {source}; copy it to the controller and prove it there",
        why="nothing is touched before it is proved",
        undo="nothing to undo",
        expect_s=3,
    )
    _keep(b, node)


def _keep(b: _Builder, node: str) -> None:
    b.add(
        3,
        node,
        "keep",
        "Copy tls/, cred/, token, configuration and node password to the controller",
        why="a snapshot is worth nothing without its token",
        undo="nothing to undo",
        expect_s=2,
    )


def _stop(b: _Builder, phase: int, node: str, distro: Distro, why: str) -> None:
    what = (
        f"Stop and disable {distro.server_unit}; take away etcd and kube-apiserver only"
        if distro.static_pods
        else f"Stop and disable {distro.server_unit}"
    )
    b.add(
        phase,
        node,
        "fence",
        what,
        why=why,
        undo=f"systemctl enable --now {distro.server_unit} on {node}",
        expect_s=3 if distro.static_pods else 8,
    )


def _fence(b: _Builder, case: Case, survivor: Server, distro: Distro, stop_survivor: bool) -> None:
    for name in case.having("rejoin"):
        _stop(b, 4, name, distro, "its old datastore must not run beside the new one")
    if stop_survivor:
        _stop(b, 4, survivor.name, distro, "the reset needs its ports and its datastore")
    if case.kind == "quorum_lost":
        peers = ", ".join(name for name, _need in case.needs if name != survivor.name)
        b.add(
            4,
            survivor.name,
            "prove",
            f"See from {survivor.name} that no etcd and no supervisor of {peers} answers",
            why="two clusters must never run at once",
            undo="nothing to undo",
            expect_s=3,
        )


def _reset(b: _Builder, survivor: Server, distro: Distro, method: str) -> None:
    if method == "restore":
        what = f"{distro.name} server --cluster-reset from the proved snapshot, as a transient unit"
        undo = (
            "before START: mv server/db/etcd-old-* back to server/db/etcd, tls-* back to tls, remove reset-flag; "
            "paths stand in the report"
        )
    else:
        what = f"{distro.name} server --cluster-reset in place, as a transient unit"
        undo = (
            "before START: put the copy of db/etcd back that was made before the reset; its path stands in the report"
        )
    b.add(
        5,
        survivor.name,
        "reset",
        what,
        why="it makes the survivor the only member of a new cluster with the old data",
        undo=undo,
        expect_s=12,
    )


def _start(b: _Builder, case: Case, survivor: Server, distro: Distro, reset: bool) -> None:
    names = (survivor.name,) if reset else case.having("start")
    for name in names:
        why = (
            "one member, one leader: POINT OF NO RETURN is its first write"
            if reset
            else "its datastore is intact and belongs to this cluster"
        )
        b.add(
            6,
            name,
            "start",
            f"Start {distro.server_unit}",
            why=why,
            undo=f"systemctl stop {distro.server_unit} on {name}",
            expect_s=25 if reset else 15,
        )


def _rejoin(b: _Builder, case: Case, survivor: Server, distro: Distro) -> None:
    joiners = case.having("rejoin")
    if joiners and case.kind != "quorum_lost":
        b.add(
            7,
            survivor.name,
            "remove",
            f"Remove the old members of {', '.join(joiners)} from the member list, as far as they are listed",
            why="their names would be refused as duplicates",
            undo="nothing to undo: the hosts join as new members",
            expect_s=1,
        )
    for name in joiners:
        b.add(
            7,
            name,
            "rejoin",
            f"Move the old datastore aside (if any), point {name} at {survivor.name}, start {distro.server_unit}",
            why=f"{name} holds no datastore of this cluster",
            undo=f"stop {name}, mv server/db/etcd-requorum-* back to server/db/etcd",
            expect_s=30,
        )
    if joiners or case.having("promote", "start"):
        voters = ", ".join(name for name, need in case.needs if need != "stays_off")
        b.add(
            7,
            survivor.name,
            "promote",
            f"Promote each learner as soon as it is in sync, until {voters} are voters",
            why="waiting for the program's own 15 s ticker is slower",
            undo="nothing to undo",
            expect_s=20,
        )


def _resync(b: _Builder, case: Case, distro: Distro, agents: t.Sequence[str], survivor: Server) -> None:
    for name in agents:
        b.add(
            8,
            name,
            "agent",
            f"Wait until its Node reports again; restart {distro.agent_unit} only if it does not",
            why="agents find the cluster again by themselves",
            undo="nothing to undo",
            expect_s=5,
        )
    for name in case.having("rejoin", "start", "promote"):
        b.add(
            8,
            name,
            "serve",
            "Wait until its own etcd sees the leader and its own API server answers",
            why="a voter whose API does not come up is only half recovered",
            undo="nothing to undo",
            expect_s=20,
        )
    b.add(
        8,
        survivor.name,
        "settle",
        "Wait until every living Node is Ready and the API has its endpoints; remove only a refused node password",
        why="the cluster must work, not only its members",
        undo="the secret is written again by itself",
        expect_s=15,
    )


def _verify(b: _Builder, case: Case, survivor: Server) -> None:
    for name, need in case.needs:
        if need != "stays_off":
            b.add(
                9,
                name,
                "release",
                "Take our drop-in away, let the unit start at boot again, close the journal",
                why="the host must come back by itself",
                undo="nothing to undo",
                expect_s=1,
            )
    b.add(
        9,
        survivor.name,
        "save",
        "Save a fresh snapshot with the distribution's own program",
        why="the next fault starts from here",
        undo="nothing to undo",
        expect_s=3,
    )
    b.add(
        9,
        survivor.name,
        "verify",
        "Check members, leader, alarms, API, endpoints, Nodes, workloads and leftovers",
        why="no success is taken from an exit code",
        undo="nothing to undo",
        expect_s=3,
    )


def _loss(case: Case) -> tuple[int | None, str]:
    """(revisions that are given up, sentence)."""
    survivor = case.base[0]
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
    return 0, (
        f"Nothing that {survivor.name} holds is lost (revision {survivor.revision}). "
        "Writes that only dead servers acknowledged cannot be known."
    )
