# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what is done in which order, and what its id stands for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _turns
from ansible_collections.requorum.cluster.plugins.module_utils._catalog import Row, Stored
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._plan import UNFINISHED, Plan, make_plan
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from tests.unit.cases import damaged, leaderless, learning, of, off, silent, stopped, voting, wiped

LEARNER = of("r1 r2 r3", learners="r3")
CASES = {
    "drill": (leaderless("r1"), wiped("r2"), damaged("r3")),
    "drill, survivor rebooted": (stopped("r1", etcd="unknown"), wiped("r2"), damaged("r3")),
    "two off": (leaderless("r1"), off("r2"), off("r3")),
    "one new disk": (voting("r1"), voting("r2"), wiped("r3")),
    "one stopped": (voting("r1"), voting("r2"), stopped("r3")),
    "one learner": (voting("r1", members=LEARNER), voting("r2", members=LEARNER), learning("r3", members=LEARNER)),
    "two intact": (stopped("r1"), stopped("r2"), wiped("r3")),
}
ALL = [(name, distro) for name in CASES for distro in sorted(DISTROS)]


def plan(name: str, distro: str = "rke2", *, agents: tuple[str, ...] = ("a1",), method: str = "auto") -> Plan:
    return make_plan(classify(CASES[name]), DISTROS[distro], cluster="prod", agents=agents, method=method)


def short(made: Plan) -> list[str]:
    return [f"{action.id} {action.node} {action.verb}" for action in made.actions]


def test_whole_recovery_of_rke2() -> None:
    assert short(plan("drill")) == [
        "3.1 r1 snapshot",
        "3.2 r1 keep",
        "3.3 r2 keep",
        "3.4 r3 keep",
        "4.1 r2 fence",
        "4.2 r3 fence",
        "4.3 r1 fence",
        "4.4 r1 prove",
        "5.1 r1 reset",
        "6.1 r1 start",
        "7.1 r2 rejoin",
        "7.2 r3 rejoin",
        "7.3 r1 promote",
        "8.1 a1 agent",
        "8.2 r2 serve",
        "8.3 r3 serve",
        "8.4 r1 settle",
        "9.1 r1 release",
        "9.2 r2 release",
        "9.3 r3 release",
        "9.4 r1 save",
        "9.5 r1 verify",
    ]


def test_k3s_is_stopped_before_its_datastore_is_copied() -> None:
    """Without quorum it restarts again and again: its gateway may be gone in a second."""
    assert short(plan("drill", "k3s"))[:8] == [
        "3.1 r1 fence",
        "3.2 r1 snapshot",
        "3.3 r1 keep",
        "3.4 r2 keep",
        "3.5 r3 keep",
        "4.1 r2 fence",
        "4.2 r3 fence",
        "4.3 r1 prove",
    ]


def test_a_hung_gateway_is_not_asked_for_a_snapshot() -> None:
    made = plan("drill, survivor rebooted")
    assert short(made)[:3] == ["3.1 r1 fence", "3.2 r1 snapshot", "3.3 r1 keep"]
    assert "member/snap/db" in made.actions[1].what


def test_lost_member_is_removed_before_its_host_joins() -> None:
    assert short(plan("one new disk"))[:8] == [
        "3.1 r1 snapshot",
        "3.2 r1 keep",
        "3.3 r2 keep",
        "3.4 r3 keep",
        "4.1 r3 fence",
        "7.1 r1 remove",
        "7.2 r3 rejoin",
        "7.3 r1 promote",
    ]


def test_intact_members_are_started_and_nothing_is_reset() -> None:
    made = plan("two intact")
    assert [step for step in short(made) if step[0] in "56"] == ["6.1 r1 start", "6.2 r2 start"]


def test_stopped_member_is_only_started() -> None:
    assert {action.verb for action in plan("one stopped").actions if 4 <= action.phase <= 7} == {"start", "promote"}


def test_learner_is_only_promoted() -> None:
    assert {action.verb for action in plan("one learner").actions if 4 <= action.phase <= 7} == {"promote"}


@pytest.mark.parametrize(
    "servers",
    [
        (voting("r1"), voting("r2"), voting("r3")),
        (voting("r1"), voting("r2"), off("r3")),
        (voting("r1"), voting("r2", cluster_id="B"), off("r3")),
        (silent("r1"), silent("r2"), silent("r3")),
        (wiped("r1"), wiped("r2"), wiped("r3")),
    ],
    ids=["healthy", "nothing can be done", "split brain", "nobody answers", "no datastore"],
)
def test_nothing_to_do_is_no_action(servers: tuple[Server, ...]) -> None:
    made = make_plan(classify(servers), DISTROS["rke2"], cluster="prod", agents=["a1"])
    assert made.actions == ()
    assert made.expect_s == 0
    assert made.document()["point_of_no_return"] is None


CLOSED = ["9.1 r1 release", "9.2 r2 release", "9.3 r3 release", "9.4 r1 save", "9.5 r1 verify"]


@pytest.mark.parametrize(
    ("last", "actions"),
    [
        (voting("r3"), ["8.1 a1 agent", "8.2 r1 settle", *CLOSED]),
        (voting("r3", api=False), ["8.1 a1 agent", "8.2 r3 serve", "8.3 r1 settle", *CLOSED]),
        (voting("r3", alarms=frozenset(["NOSPACE"])), []),
    ],
    ids=["all is well", "an API comes up", "full"],
)
def test_what_a_killed_run_has_left_is_brought_to_its_end(last: Server, actions: list[str]) -> None:
    case = classify((voting("r1"), voting("r2"), last))
    made = make_plan(case, DISTROS["rke2"], cluster="prod", agents=("a1",), unfinished=True)
    assert short(made) == actions
    assert bool(made.refusals) == (not actions)
    assert (UNFINISHED in made.reason, made.saver) == (bool(actions), "")
    assert not make_plan(case, DISTROS["rke2"], cluster="prod", agents=("a1",)).actions
    row = Row(Stored("controller", "", "/kept.db", 1 << 20, 1_764_000_000, 90), "usable", "the token opens it")
    needless = make_plan(case, DISTROS["rke2"], cluster="prod", agents=("a1",), unfinished=True, chosen=row)
    assert needless == made


def test_a_killed_run_is_ended_without_a_server_that_is_dead() -> None:
    """The living ones would not start at boot else."""
    two = of("r1 r2")
    case = classify((voting("r1", members=two), voting("r2", members=two, api=False), off("r3")))
    assert not make_plan(case, DISTROS["rke2"], cluster="prod", agents=()).actions
    made = make_plan(case, DISTROS["rke2"], cluster="prod", agents=(), unfinished=True)
    assert short(made) == [
        *("8.1 r2 serve", "8.2 r1 settle"),
        *("9.1 r1 release", "9.2 r2 release", "9.3 r1 save", "9.4 r1 verify"),
    ]
    assert not made.refusals


@pytest.mark.parametrize(
    ("left", "unfinished"),
    [
        ({}, False),
        ({"journal": ["moved=/a|/b", "replaced=A"], "files": ["/d/server/db/reset-flag"]}, False),
        ({"journal": ["moved=/a|/b", "enabled=disabled"]}, True),
        ({"files": ["/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml"]}, True),
        ({"files": ["/etc/systemd/system/k3s.service.d/zz-requorum.conf"]}, True),
        ({"reachable": False, "files": None}, False),
    ],
)
def test_what_tells_of_a_run_that_was_stopped(left: dict[str, object], unfinished: bool) -> None:
    assert _turns.unfinished({"name": "r1", "reachable": True, **left}) is unfinished


@pytest.mark.parametrize(("name", "distro"), ALL)
def test_order(name: str, distro: str) -> None:
    actions = plan(name, distro).actions
    phases = [action.phase for action in actions]
    verbs = [action.verb for action in actions]
    assert phases == sorted(phases)
    assert set(phases) <= set(range(3, 10))
    assert len({action.id for action in actions}) == len(actions)
    assert all(action.id.startswith(f"{action.phase}.") for action in actions)
    assert {"snapshot", "keep"} <= {action.verb for action in actions if action.phase == 3}
    assert verbs.count("reset") == ("reset" in verbs) == (plan(name, distro).case == "quorum_lost")
    assert verbs[-1] == "verify"
    assert not any(action.destructive for action in actions)
    assert all(action.what and action.why and action.undo and action.expect_s > 0 for action in actions)


@pytest.mark.parametrize(("name", "distro"), ALL)
def test_who_joins_was_fenced_and_is_released(name: str, distro: str) -> None:
    actions = plan(name, distro).actions
    for joiner in (action for action in actions if action.verb == "rejoin"):
        mine = [action.verb for action in actions if action.node == joiner.node]
        assert mine.index("fence") < mine.index("rejoin") < mine.index("release")
    fenced = {action.node for action in actions if action.verb == "fence"}
    assert fenced <= {action.node for action in actions if action.verb == "release"}
    assert fenced <= {action.node for action in actions if action.verb in ("rejoin", "start")}


@pytest.mark.parametrize(("name", "distro"), ALL)
def test_hosts_that_do_not_answer_have_no_actions(name: str, distro: str) -> None:
    dead = {server.name for server in CASES[name] if not server.reachable}
    assert not dead & {action.node for action in plan(name, distro).actions}


@pytest.mark.parametrize(("name", "distro"), ALL)
def test_document_is_json(name: str, distro: str) -> None:
    made = plan(name, distro)
    document = json.loads(json.dumps(made.document()))
    assert document["plan_id"] == made.plan_id
    assert len(document["actions"]) == len(made.actions)
    assert document["point_of_no_return"]


def test_plan_id_stands_for_the_actions_and_not_for_their_time() -> None:
    made = plan("drill")
    assert len(made.plan_id) == 12 and int(made.plan_id, 16)
    assert made.plan_id == plan("drill").plan_id
    slower = replace(made, actions=tuple(replace(action, expect_s=action.expect_s + 7) for action in made.actions))
    assert slower.plan_id == made.plan_id
    assert slower.expect_s > made.expect_s
    others = [
        replace(made, actions=made.actions[:-1]),
        replace(made, actions=tuple(reversed(made.actions))),
        replace(made, actions=(replace(made.actions[0], node="r2"), *made.actions[1:])),
        replace(made, survivor="r2"),
        replace(made, cluster="other"),
        plan("drill", method="plain"),
        plan("drill", agents=()),
        plan("drill", "k3s"),
    ]
    assert len({made.plan_id, *(other.plan_id for other in others)}) == len(others) + 1


def test_plan_id_does_not_follow_what_is_only_observed() -> None:
    """A cluster that stands still has the same plan a minute later: revisions and free disk may differ."""
    later = tuple(replace(server, free=5 << 30, skew=0.3) for server in CASES["drill"])
    assert make_plan(classify(later), DISTROS["rke2"], cluster="prod", agents=("a1",)).plan_id == plan("drill").plan_id


@pytest.mark.parametrize("name", ["one new disk", "one stopped", "one learner"])
@pytest.mark.parametrize("ahead", [0, 1])
def test_plan_id_stays_while_the_voters_of_a_standing_quorum_overtake_each_other(name: str, ahead: int) -> None:
    """A write, or another leader, between --check and the run is no other plan."""
    later = [replace(server, index=server.index + 1, revision=server.revision + 1) for server in CASES[name]]
    later[ahead] = replace(later[ahead], index=later[ahead].index + 7, revision=later[ahead].revision + 7, leader=True)
    made = make_plan(classify(later), DISTROS["rke2"], cluster="prod", agents=("a1",))
    assert (made.survivor, made.plan_id) == (plan(name).survivor, plan(name).plan_id)


def test_expected_time_adds_phases_and_not_nodes() -> None:
    made = plan("drill")
    longest = dict.fromkeys(range(3, 10), 0)
    for phase in longest:
        nodes = {action.node for action in made.actions if action.phase == phase}
        times = [sum(a.expect_s for a in made.actions if a.node == node and a.phase == phase) for node in nodes]
        longest[phase] = max(times)
    assert made.expect_s == sum(longest.values())


def test_old_peers_that_run_are_fenced_before_anything_is_saved() -> None:
    """Under the same cluster ID they would bring the etcd down of which the snapshot is taken."""
    new = {"members": of("r1"), "replaced": frozenset("A")}
    case = classify((voting("r1", **new), leaderless("r2"), stopped("r3")))
    made = make_plan(case, DISTROS["rke2"], cluster="prod", agents=[])
    fences = [(action.phase, action.node) for action in made.actions if action.verb == "fence"]
    assert case.kind == "member_lost" and fences == [(3, "r2"), (4, "r3")]
    assert made.actions[0].node == "r2"
    assert not [a for a in plan("drill").actions if a.verb == "fence" and a.phase == 3 and a.node != "r1"]


def test_way_back_and_loss_are_said() -> None:
    restore, plain = plan("drill"), plan("drill", method="plain")
    assert (restore.method, plain.method, plan("one stopped").method) == ("restore", "plain", "none")
    for made in (restore, plain):
        reset = next(action for action in made.actions if action.verb == "reset")
        assert "before START" in reset.undo
        assert "revision 100" in made.loss
    assert plan("one stopped").loss == "Nothing is lost."


def test_entries_that_only_the_write_ahead_log_holds_are_a_possible_loss() -> None:
    case = classify((stopped("r1", newer=3), wiped("r2"), damaged("r3")))
    made = make_plan(case, DISTROS["rke2"], cluster="prod", agents=[])
    assert "Up to 3 entries of its write-ahead log are not in its file yet" in made.loss
    assert "write-ahead log" not in plan("drill").loss
