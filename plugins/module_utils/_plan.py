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
from dataclasses import asdict, dataclass

from ._classify import Case, Refusal
from ._distro import Distro
from ._server import Member, Server

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


def make_plan(case: Case, distro: Distro, *, cluster: str, agents: t.Sequence[str], method: str = "auto") -> Plan:
    """The plan for a case. method: auto or restore (snapshot of the survivor, then restore it) or plain (reset in place)."""
    survivor = case.survivor
    method = "plain" if method == "plain" else "restore"
    builder = _Builder()
    if survivor and case.kind in ("member_lost", "quorum_recoverable", "quorum_lost"):
        reset = case.kind == "quorum_lost"
        _backup(builder, case, survivor, distro)
        _fence(builder, case, survivor, distro, reset)
        if reset:
            _reset(builder, survivor, distro, method)
        _start(builder, case, survivor, distro, reset)
        _rejoin(builder, case, survivor, distro)
        _resync(builder, case, distro, agents, survivor)
        _verify(builder, case, survivor)
    return Plan(
        cluster,
        case.kind,
        case.reason,
        survivor.name if survivor else "",
        method if case.kind == "quorum_lost" else "none",
        tuple(builder.actions) if _does_anything(builder.actions) else (),
        case.refusals,
        _loss(case),
        bool(survivor and offline(case, survivor, distro)),
    )


def backup_plan(case: Case, distro: Distro, *, cluster: str) -> Plan:
    """Only save and prove: of a running etcd through its gateway, of a stopped one from disk. Nothing is stopped for it."""
    builder, best = _Builder(), case.survivor
    if best is None:
        return Plan(cluster, case.kind, case.reason, "", "none", (), case.refusals, "Nothing is lost.")
    refusals: tuple[Refusal, ...] = ()
    if not best.gateway and best.etcd != "stopped":
        refusals = (
            Refusal(
                f"etcd on {best.name} runs, but gives no answer: its file cannot be copied while it runs.",
                best.name,
                "recover.yml stops it before it copies; or stop the unit yourself and run this again.",
            ),
        )
    _save(builder, best.name, not best.gateway)
    return Plan(
        cluster,
        case.kind,
        case.reason,
        best.name,
        "none",
        tuple(builder.actions),
        refusals,
        "Nothing is lost.",
        not best.gateway,
    )


def _does_anything(actions: t.Sequence[Action]) -> bool:
    return any(action.verb in ("reset", "start", "rejoin", "promote") for action in actions)


def offline(case: Case, survivor: Server, distro: Distro) -> bool:
    """Whether the snapshot is copied from disk after etcd has stopped instead of asked from the running etcd.

    K3s without quorum restarts again and again, so what answers now may not answer in a second.
    """
    return case.kind != "member_lost" and (not survivor.gateway or not distro.static_pods)


def _backup(b: _Builder, case: Case, survivor: Server, distro: Distro) -> None:
    from_disk = offline(case, survivor, distro)
    if from_disk and case.kind == "quorum_lost":
        _stop(b, 3, survivor.name, distro, "its datastore is copied while nothing writes to it")
    _save(b, survivor.name, from_disk)


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


def _fence(b: _Builder, case: Case, survivor: Server, distro: Distro, reset: bool) -> None:
    for name in case.having("rejoin"):
        _stop(b, 4, name, distro, "its old datastore must not run beside the new one")
    if reset:
        if not offline(case, survivor, distro):
            _stop(b, 4, survivor.name, distro, "the reset needs its ports and its datastore")
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
        undo = "before START: mv server/db/etcd-old-* back to server/db/etcd, tls-* back to tls, remove reset-flag; paths stand in the report"
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
    for member in stale_members(case):
        b.add(
            7,
            survivor.name,
            "remove",
            f"Remove the old member {member.name or member.id} at {member.address} from the member list",
            why="its name would be refused as a duplicate",
            undo="nothing to undo: its host joins as a new member",
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


def stale_members(case: Case) -> tuple[Member, ...]:
    """Members of a standing cluster whose hosts will join again under a new member ID."""
    if case.kind == "quorum_lost" or not case.survivor:
        return ()
    joiners = case.having("rejoin")
    addresses = {server.address for server in case.servers if server.name in joiners}
    return tuple(member for member in case.members if member.node in joiners or member.address in addresses)


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
    b.add(
        8,
        survivor.name,
        "settle",
        "Wait until every living Node is Ready and the API has its endpoints; remove a node password only where it is refused",
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


def _loss(case: Case) -> str:
    if case.kind != "quorum_lost" or not case.survivor:
        return "Nothing is lost."
    others = [server for server in case.base[1:] if server.position > case.survivor.position]
    if others:
        apart = others[0].revision - case.survivor.revision
        return f"{case.survivor.name} was chosen although {others[0].name} is {apart} revisions ahead: these are lost."
    return f"Nothing that {case.survivor.name} holds is lost (revision {case.survivor.revision}). Writes that only dead servers acknowledged cannot be known."
