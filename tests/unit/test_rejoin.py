# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single servers while the quorum stands: who has a turn, in which order, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _margin, _rejoin, _turns
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._plan import Plan
from ansible_collections.requorum.cluster.plugins.module_utils._server import Member, Server
from tests.unit.cases import SERVERS, damaged, learning, of, off, silent, stopped, unread, voting, wiped

ONE, TWO, FIVE = of("r1"), of("r1 r2"), of("r1 r2 r3 r4 r5")
LEARNER = of("r1 r2 r3", learners="r3")


def voters(*names: str, **facts: Any) -> tuple[Server, ...]:
    return tuple(voting(name, node=name, **{"members": of(" ".join(names))} | facts) for name in names)


def plan(
    servers: Sequence[Server],
    *,
    only: Sequence[str] = (),
    marked: str = "",
    nodes: dict[str, str] | None = None,
    **options: Any,
) -> Plan:
    """The plan, with a Node of every server whose name was seen."""
    names = {s.node or s.name for s in servers} | {m.node for s in servers for m in s.members}
    places = nodes or dict.fromkeys(sorted(names), "")
    seen = [{"name": name, "addresses": [place]} for name, place in places.items()]
    entries = [
        {
            "name": s.name,
            "reachable": s.reachable,
            "api": {"nodes": seen} if s.api else None,
            "config": options.get("config", {}).get(s.name, {}),
            "files": ["/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml"] if s.name == marked else [],
            "journal": [],
        }
        for s in servers
    ]
    ask = _turns.Ask("prod", entries, ["a1"], only, options)
    return _rejoin.plan(classify(servers), DISTROS["rke2"], ask)


def turns(made: Plan) -> dict[str, str]:
    """Whose turn -> `verb@node` of its steps; the node where it is another one."""
    found: dict[str, list[str]] = {}
    for action in made.actions:
        if action.turn:
            place = "" if action.node == action.turn else f"@{action.node}"
            found.setdefault(action.turn, []).append(action.verb + place)
    return {turn: " ".join(verbs) for turn, verbs in found.items()}


def join(anchor: str = "r1", more: str = "") -> str:
    return f"margin room fence remove@{anchor} {more}rejoin promote@{anchor} serve settle@{anchor} release"


@dataclass(frozen=True)
class Row:
    title: str
    servers: tuple[Server, ...]
    turns: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    refused: str = ""


THIRD = "margin room fence remove@r1 rejoin promote@r1 serve settle@r1 release"
GONE = "room remove@r1 retire forget@r1"
LEADER_GONE = "room yield remove@r1 retire forget@r1"
ROWS = (
    Row("all healthy: nothing to do", voters("r1", "r2", "r3"), {}),
    Row("wiped", (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r3", node="r3")), {"r3": THIRD}),
    Row("corrupt", (*voters("r1", "r2", members=of("r1 r2 r3")), damaged("r3", node="r3")), {"r3": THIRD}),
    Row("removed by annotation", (*voters("r1", "r2"), stopped("r3", node="r3")), {"r3": THIRD}),
    Row("the first one is wiped", (wiped("r1", node="r1"), *voters("r2", "r3", members=of("r1 r2 r3"))),
        {"r1": join("r2")}),
    Row("of another cluster, and one of this one is named",
        (*voters("r1", "r2", members=of("r1 r2 r3")), stopped("r3", node="r3", cluster_id="B")), {},
        refused="More than one cluster ID"),
    Row("renamed: the Node of the old name goes",
        (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r3", node="new")),
        {"r3": join(more="forget@r1 ")}),
    Row("re-addressed", (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r3", node="r3", address="10.9.9.9")),
        {"r3": THIRD}),
    Row("re-addressed with its datastore",
        (*voters("r1", "r2", members=of("r1 r2 r3")), stopped("r3", node="r3", address="10.9.9.9", moved=True)),
        {"r3": THIRD}),
    Row("stopped", (*voters("r1", "r2", members=of("r1 r2 r3")), stopped("r3", node="r3")),
        {"r3": "start promote@r1 serve settle@r1 release"}),
    Row("a learner", (*voters("r1", "r2", members=LEARNER), learning("r3", node="r3", members=LEARNER)),
        {"r3": "promote@r1 serve settle@r1 release"}),
    Row("off, nothing else is asked for", (*voters("r1", "r2", members=of("r1 r2 r3")), off("r3")), {},
        refused="r3 cannot be reached"),
    Row("several, one after another", (*voters("r1", "r2", "r3", members=FIVE), wiped("r4"), wiped("r5")),
        {"r4": THIRD, "r5": THIRD}),
    Row("only one of several", (*voters("r1", "r2", "r3", members=FIVE), wiped("r4"), wiped("r5")),
        {"r5": THIRD}, only=("r5",)),
    Row("only one that is off", (*voters("r1", "r2", "r3", members=FIVE), wiped("r4"), off("r5")),
        {}, only=("r5",), refused="r5 cannot be reached"),
    Row("who only has to start goes first",
        (*voters("r1", "r2", "r3", members=FIVE), wiped("r4"), stopped("r5", members=FIVE)),
        {"r5": "start promote@r1 serve settle@r1 release", "r4": THIRD}),
    Row("datastore unread", (*voters("r1", "r2", members=of("r1 r2 r3")), unread("r3")), {},
        refused="The datastore of r3 could not be read"),
    Row("quorum lost", (stopped("r1"), wiped("r2"), wiped("r3")), {}, refused="The quorum does not stand"),
    Row("grow 1 -> 3", (*voters("r1"), wiped("r2"), wiped("r3")), {"r2": THIRD, "r3": THIRD}),
    Row("a dead one of three is replaced", (*voters("r1", "r2", members=of("r1 r2 r3")), off("r3"), wiped("r4")),
        {"r3": "room forget@r1", "r4": THIRD}, {"replace": {"r3": "r4"}}),
    Row("a living one is replaced: the new one joins first",
        (*voters("r1", "r2", "r3"), wiped("r4")), {"r4": THIRD, "r3": LEADER_GONE}, {"replace": {"r3": "r4"}}),
    Row("a dead one that is not in the inventory is replaced",
        (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r4")),
        {"r3": "room forget@r1", "r4": THIRD}, {"replace": {"r3": "r4"}}),
    Row("a member that nobody knows", (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r4")), {},
        refused="is not in the inventory. Add it"),
    Row("the new one is unknown", voters("r1", "r2", "r3"), {}, {"replace": {"r3": "r9"}},
        refused="r9 is not in the inventory"),
    Row("the old one is unknown", (*voters("r1", "r2"), wiped("r3")), {}, {"replace": {"x": "r3"}},
        refused="x is neither in the inventory, nor a member, nor a Node"),
    Row("the last voter is replaced", (*voters("r1"), wiped("r2")),
        {"r2": THIRD, "r1": "room yield remove@r2 retire forget@r2"}, {"replace": {"r1": "r2"}}),
    Row("in its own place with three voters", voters("r1", "r2", "r3"),
        {"r1": "margin room yield fence remove@r2 rejoin promote@r2 serve settle@r2 release"},
        {"replace": {"r1": "r1"}}),
    Row("in its own place with two of three", (*voters("r1", "r2", members=of("r1 r2 r3")), off("r3")), {},
        {"replace": {"r1": "r1"}}, refused="fewer than three voters"),
    Row("shrink 5 -> 3", voters(*SERVERS), {"r4": LEADER_GONE, "r5": LEADER_GONE}, {"remove": ["r4", "r5"]}),
    Row("shrink 3 -> 1", voters("r1", "r2", "r3"), {"r2": LEADER_GONE, "r3": LEADER_GONE}, {"remove": ["r2", "r3"]}),
    Row("a working one of two that are left of three",
        (*voters("r1", "r2", members=of("r1 r2 r3")), off("r3")), {}, {"remove": ["r2"]},
        refused="r2 cannot leave now: when it is removed, 1 of 2 voters work, and 2 are needed"),
    Row("the dead one of three leaves", (*voters("r1", "r2", members=of("r1 r2 r3")), off("r3")),
        {"r3": "room forget@r1"}, {"remove": ["r3"]}),
    Row("what is asked for by name is done alone", (*voters("r1", "r2", "r3"), wiped("r4"), wiped("r5")),
        {"r4": THIRD, "r3": LEADER_GONE}, {"replace": {"r3": "r4"}}),
    Row("all are to leave", voters("r1", "r2", "r3"), {}, {"remove": ["r1", "r2", "r3"]}, refused="only voter"),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
def test_turns(row: Row) -> None:
    made = plan(row.servers, only=row.only, **row.options)
    words = " ".join(map(str, made.refusals))
    assert bool(made.refusals) == bool(row.refused), words
    assert row.refused in words
    assert turns(made) == row.turns
    assert list(turns(made)) == list(row.turns)
    assert not made.refusals or not made.actions


def test_of_another_cluster_when_one_of_this_cluster_is_named() -> None:
    servers = (*voters("r1", "r2", members=of("r1 r2 r3")), stopped("r3", node="r3", cluster_id="B"))
    made = _rejoin.plan(
        classify(servers, survivor="r1"), DISTROS["k3s"], _turns.Ask("prod", [{"name": "r1", "reachable": False}], [])
    )
    assert turns(made) == {"r3": THIRD}


@pytest.mark.parametrize(
    ("last", "steps"),
    [
        (wiped("r3", node="r3"), "margin room fence remove@r1 password@r1 rejoin promote@r1 serve settle@r1 release"),
        (stopped("r3", node="r3"), "password@r1 start promote@r1 serve settle@r1 release"),
    ],
)
def test_a_stored_password_that_is_not_its_own_goes_before_the_join(last: Server, steps: str) -> None:
    servers = (*voters("r1", "r2", members=of("r1 r2 r3")), last)
    entries = [{"name": name, "reachable": False} for name in SERVERS[:3]]
    ask = _turns.Ask("prod", entries, [], tokens={"refused": ["r3", "r1"]})  # r1 works: tokens.yml is for that
    made = _rejoin.plan(classify(servers), DISTROS["k3s"], ask)
    assert turns(made) == {"r3": steps}


def test_frame_of_the_turns() -> None:
    made = plan((*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r3", node="r3")))
    assert made.phases == ("INSPECT", "PLAN", "BACKUP", "REJOIN", "VERIFY")
    assert [f"{a.id} {a.node} {a.verb}" for a in made.actions if not a.turn] == [
        "3.1 r1 snapshot", "3.2 r1 keep", "3.3 r2 keep", "3.4 r3 keep", "5.1 r1 save", "5.2 r1 verify",
    ]  # fmt: skip
    assert made.anchors == {"r3": "r1"}
    assert made.aim == "r3: voter with a working API, Node Ready."
    assert all(
        action.what and action.undo and "{" not in action.what + action.why + action.undo for action in made.actions
    )


def test_what_is_left_alone_is_not_asked_for_at_the_end() -> None:
    servers = (*voters("r1", "r2", "r3", members=FIVE), wiped("r4"), wiped("r5"))
    assert plan(servers, only=["r5"]).needs == {"r4": "stays_off", "r5": "rejoin"}
    left = plan(voters("r1", "r2", "r3"), remove=["r3"], config={"r2": {"server": "https://10.0.0.13:9345"}})
    assert left.needs == {"r3": "leaves"}
    assert left.nodes == {"r3": ("r3",)}
    assert left.aim == (
        "r3: left for good. Take r3 out of the inventory, or the next run brings it back. "
        "Write another server into server: of r2, which name one that has left."
    )


def test_the_node_of_a_renamed_host_goes_although_its_member_is_removed_already() -> None:
    """A run that was cut off between the two."""
    servers = (*voters("r1", "r2"), wiped("r3", node="new"))
    made = plan(servers, nodes={"r1": "10.0.0.11", "r2": "10.0.0.12", "old": "10.0.0.13", "new": "10.0.0.13"})
    assert made.nodes == {"r3": ("old",)}
    assert turns(made) == {"r3": join(more="forget@r1 ")}


def test_who_has_left_is_left_alone() -> None:
    servers = (*voters("r1", "r2"), wiped("r3", node="r3"))
    assert turns(plan(servers, remove=["r3"], nodes={"r1": "10.0.0.11", "r2": "10.0.0.12"})) == {}
    assert turns(plan(servers, remove=["r3"])) == {"r3": "room forget@r1"}  # cut off before its Node was deleted


def test_drop_in_that_a_run_has_left_is_taken_away() -> None:
    made = plan(voters("r1", "r2", "r3"), marked="r2")
    assert turns(made) == {"r2": "release"}


def test_no_server_is_touched_for_one_that_has_its_name_in_the_inventory() -> None:
    """Inventory names may be crossed: r2 is the host whose Node is called r3."""
    servers = [
        {"name": "r2", "node": "r3", "address": "10.0.0.13"},
        {"name": "x", "node": "r2", "address": "10.0.0.12"},
    ]
    assert [member.node for member in _look.members_of(of("r1 r2 r3"), servers, "r2")] == ["r3"]
    assert [member.node for member in _look.members_of(of("r1 r2 r3"), servers, "x")] == ["r2"]
    assert [member.node for member in _look.members_of(of("r1 r2 r3"), servers, "r1")] == ["r1"]
    nameless = (Member("m9", "", "10.0.0.19", True),)
    assert _look.members_of(nameless, [{"name": "r9", "node": "", "address": "10.0.0.9"}], "r9") == []


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(1, 5), max_size=5), st.data())
def test_the_quorum_stands_after_every_turn(size: int, working: int, leave: list[int], data: st.DataObject) -> None:
    """Whatever leaves and joins: nothing is planned that leaves fewer working voters than a quorum at any moment."""
    names = SERVERS[:size]
    members = of(" ".join(names))
    living = names[: min(working, size)]
    dead = [data.draw(st.sampled_from((wiped, off, silent)))(name) for name in names if name not in living]
    servers = (*(voting(name, node=name, members=members) for name in living), *dead)
    if len(living) <= size // 2:
        return
    gone = [f"r{number}" for number in leave if number <= size]
    made = plan(servers, remove=gone)
    seen = _margin.Margin(members, frozenset(member.id for member in members if member.node in living), None)
    for turn, verbs in turns(made).items():
        ids = [member.id for member in seen.members if member.node == turn]
        if "rejoin" in verbs or "forget" in verbs:
            seen, why = seen.change(ids, turn if "rejoin" in verbs else "")
            assert why == ""
        assert len(seen.working & {voter.id for voter in seen.voters}) > len(seen.voters) // 2


def test_the_same_cluster_has_the_same_plan() -> None:
    servers = (*voters("r1", "r2", members=of("r1 r2 r3")), wiped("r3", node="r3"))
    later = (replace(servers[0], index=109), replace(servers[1], index=110, leader=True), servers[2])
    assert plan(servers).plan_id == plan(later).plan_id
