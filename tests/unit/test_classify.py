# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which case a cluster is in: a table of states, then what holds in every state."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _distro
from ansible_collections.requorum.cluster.plugins.module_utils._classify import Case, classify, rank, strangers
from ansible_collections.requorum.cluster.plugins.module_utils._plan import make_plan
from ansible_collections.requorum.cluster.plugins.module_utils._server import Member, Server
from tests.unit.cases import (
    SERVERS,
    damaged,
    leaderless,
    learning,
    of,
    off,
    server,
    silent,
    stopped,
    unread,
    voting,
    wiped,
)

ONE, TWO, FOUR, FIVE = of("r1"), of("r1 r2"), of("r1 r2 r3 r4"), of("r1 r2 r3 r4 r5")
LEARNER = of("r1 r2 r3", learners="r3")
AFTER_PLAIN = {"members": ONE, "term": 4, "index": 110, "revision": 100}
"""A reset in place keeps the cluster ID and leaves one member."""
NEW = {"cluster_id": "B", "members": ONE, "term": 2, "index": 9, "revision": 100}
"""A reset with restore makes a new cluster ID."""
EMPTY = {
    "cluster_id": "E",
    "member_id": "e1",
    "members": (Member("e1", "r1-eeeeeeee", "10.0.0.11", False),),
    "revision": 9,
}
"""A normal start without a datastore makes an empty cluster."""
ANEW = {"members": (Member("m1", "r1-00000000", "10.0.0.11", False),), "term": 3, "index": 78, "revision": 168}
"""A reset of the server on which the cluster was begun has its old ID, and a new name."""
BEHIND = {"index": 90, "revision": 90}


@dataclass(frozen=True)
class State:
    title: str
    servers: tuple[Server, ...]
    kind: str
    survivor: str = ""
    needs: str = ""
    """Of r1, r2, ... in this order."""
    refused: bool = False
    named: str = ""
    """requorum_survivor."""


STATES = (
    # --- a quorum stands
    State("all healthy", (voting("r1"), voting("r2"), voting("r3")), "healthy", "r1", "nothing nothing nothing"),
    State("the API answers on one server only", (voting("r1"), voting("r2", api=False), voting("r3", api=False)),
          "api_down", "r1", "nothing nothing nothing", refused=True),
    State("etcd is complete, no API answers", tuple(voting(r, api=False) for r in ("r1", "r2", "r3")),
          "api_down", "r1", "nothing nothing nothing", refused=True),
    State("one sees no leader",
          (voting("r1"), voting("r2"), leaderless("r3")), "member_lost", "r1", "nothing nothing start"),
    State("the leader's side is seen by the last one only", (leaderless("r1"), leaderless("r2"), voting("r3")),
          "member_lost", "r3", "start start nothing"),
    State("one is silent",
          (voting("r1"), voting("r2"), silent("r3")), "member_lost", "r1", "nothing nothing stays_off", refused=True),
    State("one is off",
          (voting("r1"), voting("r2"), off("r3")), "member_lost", "r1", "nothing nothing stays_off", refused=True),
    State("one is stopped", (voting("r1"), stopped("r2"), voting("r3")), "member_lost", "r1", "nothing start nothing"),
    State("the unit is stopped, its etcd pod goes on", (voting("r1"), voting("r2"), voting("r3", unit=False)),
          "member_lost", "r1", "nothing nothing start"),
    State("one has a new disk",
          (voting("r1"), voting("r2"), wiped("r3")), "member_lost", "r1", "nothing nothing rejoin"),
    State("one is damaged", (voting("r1"), damaged("r2"), voting("r3")), "member_lost", "r1", "nothing rejoin nothing"),
    State("one was removed from the member list",
          (*tuple(voting(r, members=of("r1 r2")) for r in ("r1", "r2")), stopped("r3")),
          "member_lost", "r1", "nothing nothing rejoin"),
    State("a learner runs", (*tuple(voting(r, members=LEARNER) for r in ("r1", "r2")), learning("r3", members=LEARNER)),
          "member_lost", "r1", "nothing nothing promote"),
    State("a learner is stopped", (*tuple(voting(r, members=LEARNER) for r in ("r1", "r2")), stopped("r3")),
          "member_lost", "r1", "nothing nothing start"),
    State("a learner sees no leader", (*tuple(voting(r, members=LEARNER) for r in ("r1", "r2")), leaderless("r3")),
          "member_lost", "r1", "nothing nothing start"),
    State("one cannot be read: it is not moved aside", (voting("r1"), voting("r2"), unread("r3")),
          "member_lost", "r1", "nothing nothing rejoin", refused=True),
    State("the second vote is one that nobody could read", (voting("r1"), damaged("r2", etcd="unknown"), off("r3")),
          "member_lost", "r1", "nothing rejoin stays_off", refused=True),
    State("a broken etcd restarts beside a full quorum", (voting("r1"), damaged("r2", etcd="unknown"), voting("r3")),
          "member_lost", "r1", "nothing rejoin nothing"),
    State("the first one did not tell its member list", (voting("r1", members=()), voting("r2"), voting("r3")),
          "healthy", "r1", "nothing nothing nothing"),
    State("no one told a member list",
          tuple(voting(r, members=()) for r in ("r1", "r2", "r3")), "unknown", refused=True),
    State("a member outside the inventory", (*tuple(voting(r, members=FOUR) for r in ("r1", "r2")), wiped("r3")),
          "member_lost", "r1", "nothing nothing rejoin", refused=True),
    State("a host answers although it is named as off", (voting("r1"), voting("r2"), voting("r3", powered_off=True)),
          "healthy", "r1", "nothing nothing nothing"),
    State("three of five stand", (*tuple(voting(r, members=FIVE) for r in ("r1", "r2", "r3")), wiped("r4"), off("r5")),
          "member_lost", "r1", "nothing nothing nothing rejoin stays_off"),
    State("a single server", (voting("r1", members=ONE),), "healthy", "r1", "nothing"),
    # --- a quorum can stand again
    State("all stopped",
          (stopped("r1"), stopped("r2"), stopped("r3")), "quorum_recoverable", "r1", "start start start"),
    State("all stopped, one at another address", (stopped("r1"), stopped("r2"), stopped("r3", moved=True)),
          "quorum_recoverable", "r1", "start start rejoin"),
    State("all addresses are new: members that would not find each other",
          tuple(stopped(r, moved=True) for r in ("r1", "r2", "r3")), "quorum_lost", "r1", "nothing rejoin rejoin"),
    State("a single server at another address", (stopped("r1", members=ONE, moved=True),),
          "quorum_lost", "r1", "nothing"),
    State("two of three intact, one new disk: never reset", (stopped("r1"), stopped("r2"), wiped("r3")),
          "quorum_recoverable", "r1", "start start rejoin"),
    State("one waits for the stopped one", (leaderless("r1"), stopped("r2"), off("r3")),
          "quorum_recoverable", "r1", "start start stays_off"),
    State("the same, the third may still run", (leaderless("r1"), stopped("r2"), silent("r3")),
          "quorum_recoverable", "r1", "start start stays_off"),
    State("two wait for each other", (leaderless("r1"), leaderless("r2"), silent("r3")),
          "quorum_recoverable", "r1", "start start stays_off", refused=True),
    State("three wait for each other", (leaderless("r1"), leaderless("r2"), leaderless("r3")),
          "quorum_recoverable", "r1", "start start start", refused=True),
    State("processes of all are unread", tuple(stopped(r, etcd="unknown") for r in ("r1", "r2", "r3")),
          "quorum_recoverable", "r1", "start start start", refused=True),
    State("two intact, the third unread: it is not moved aside", (stopped("r1"), stopped("r2"), unread("r3")),
          "quorum_recoverable", "r1", "start start rejoin", refused=True),
    State("two voters and their learner are stopped", tuple(stopped(r, members=LEARNER) for r in ("r1", "r2", "r3")),
          "quorum_recoverable", "r1", "start start start"),
    State("a voter of two and a new disk, the learner does not count",
          (stopped("r1", members=LEARNER), wiped("r2"), stopped("r3", members=LEARNER)),
          "quorum_lost", "r1", "nothing rejoin rejoin"),
    State("the best one did not tell its member list", (leaderless("r1", members=()), stopped("r2"), off("r3")),
          "quorum_recoverable", "r1", "start start stays_off"),
    State("three of five intact",
          (*tuple(stopped(r, members=FIVE) for r in ("r1", "r2", "r3")), wiped("r4"), off("r5")),
          "quorum_recoverable", "r1", "start start start rejoin stays_off"),
    State("three of four intact", (*tuple(stopped(r, members=FOUR) for r in ("r1", "r2", "r3")), off("r4")),
          "quorum_recoverable", "r1", "start start start stays_off"),
    State("both of two stopped",
          (stopped("r1", members=TWO), stopped("r2", members=TWO)), "quorum_recoverable", "r1", "start start"),
    State("a single server, stopped", (stopped("r1", members=ONE),), "quorum_recoverable", "r1", "start"),
    State("a single server sees no leader",
          (leaderless("r1", members=ONE),), "quorum_recoverable", "r1", "start", refused=True),
    State("reset in place, killed before the start", (stopped("r1", **AFTER_PLAIN), damaged("r2"), stopped("r3")),
          "quorum_recoverable", "r1", "start rejoin rejoin"),
    State("reset with restore, killed before the start",
          (stopped("r1", **NEW, replaced=frozenset("A")), stopped("r2"), wiped("r3")),
          "quorum_recoverable", "r1", "start rejoin rejoin"),
    # --- quorum lost
    State("the drill: one new disk, one damaged", (leaderless("r1"), wiped("r2"), damaged("r3")),
          "quorum_lost", "r1", "nothing rejoin rejoin"),
    State("two are silent", (leaderless("r1"), silent("r2"), silent("r3")),
          "quorum_lost", "r1", "nothing stays_off stays_off", refused=True),
    State("two are off", (leaderless("r1"), off("r2"), off("r3")), "quorum_lost", "r1", "nothing stays_off stays_off"),
    State("one is off, one is silent", (leaderless("r1"), off("r2"), silent("r3")),
          "quorum_lost", "r1", "nothing stays_off stays_off", refused=True),
    State("one is off, one has a new disk",
          (stopped("r1"), off("r2"), wiped("r3")), "quorum_lost", "r1", "nothing stays_off rejoin"),
    State("one is named as off, but answers", (leaderless("r1"), wiped("r2", powered_off=True), off("r3")),
          "quorum_lost", "r1", "nothing rejoin stays_off", refused=True),
    State("one cannot be read",
          (leaderless("r1"), unread("r2"), wiped("r3")), "quorum_lost", "r1", "nothing rejoin rejoin", refused=True),
    State("the survivor's processes are unread", (stopped("r1", etcd="unknown"), wiped("r2"), damaged("r3")),
          "quorum_lost", "r1", "nothing rejoin rejoin"),
    State("the survivor is the last one",
          (off("r1"), damaged("r2"), leaderless("r3")), "quorum_lost", "r3", "stays_off rejoin nothing"),
    State("a member outside the inventory may still vote", (leaderless("r1", members=FOUR), wiped("r2"), damaged("r3")),
          "quorum_lost", "r1", "nothing rejoin rejoin", refused=True),
    State("two of four intact", (*tuple(stopped(r, members=FOUR) for r in ("r1", "r2")), wiped("r3"), off("r4")),
          "quorum_lost", "r1", "nothing rejoin rejoin stays_off"),
    State("two of five intact",
          (*tuple(stopped(r, members=FIVE) for r in ("r1", "r2")), wiped("r3"), wiped("r4"), off("r5")),
          "quorum_lost", "r1", "nothing rejoin rejoin rejoin stays_off"),
    State("one of two is off", (leaderless("r1", members=TWO), off("r2")), "quorum_lost", "r1", "nothing stays_off"),
    State("one of two has a new disk",
          (wiped("r1"), stopped("r2", members=TWO)), "quorum_lost", "r2", "rejoin nothing"),
    # --- after the reset
    State("the new cluster leads, the old one is stopped",
          (voting("r1", **NEW, replaced=frozenset("A")), stopped("r2"), off("r3")),
          "member_lost", "r1", "nothing rejoin stays_off"),
    State("the old one runs and sees no leader",
          (voting("r1", **NEW, replaced=frozenset("A")), leaderless("r2"), wiped("r3")),
          "member_lost", "r1", "nothing rejoin rejoin"),
    State("the old one is back after a reset in place", (voting("r1", **AFTER_PLAIN), stopped("r2"), leaderless("r3")),
          "member_lost", "r1", "nothing rejoin rejoin"),
    State("old peers run again and have brought the new cluster of the same ID down",
          (stopped("r1", **ANEW, replaced=frozenset("A")), voting("r2"), voting("r3")), "split_brain", refused=True),
    State("old peers run again under the same ID, and both lead yet",
          (voting("r1", **ANEW, replaced=frozenset("A")), voting("r2"), voting("r3")),
          "member_lost", "r1", "nothing rejoin rejoin"),
    State("the same, reset by hand and both lead", (voting("r1", **ANEW), voting("r2"), voting("r3")),
          "split_brain", refused=True),
    State("the same, they are stopped",
          (stopped("r1", **ANEW, replaced=frozenset("A")), stopped("r2"), stopped("r3")),
          "quorum_recoverable", "r1", "start rejoin rejoin"),
    State("the same, reset by hand",
          (stopped("r1", **ANEW), stopped("r2"), stopped("r3")), "split_brain", refused=True),
    State("the same, it leads", (voting("r1", **ANEW), stopped("r2"), leaderless("r3")),
          "member_lost", "r1", "nothing rejoin rejoin"),
    State("the journal names one of two other clusters",
          (voting("r1", **NEW, replaced=frozenset("A")), stopped("r2"), stopped("r3", cluster_id="C")),
          "split_brain", refused=True),
    State("a stale peer, no journal", (voting("r1", **NEW), stopped("r2"), off("r3")), "split_brain", refused=True),
    State("a stale peer, no journal, the user's choice", (voting("r1", **NEW), stopped("r2"), off("r3")),
          "member_lost", "r1", "nothing rejoin stays_off", named="r1"),
    State("the user names the old side while the new one leads", (voting("r1", **NEW), stopped("r2"), off("r3")),
          "split_brain", refused=True, named="r2"),
    State("the user overrules a journal", (stopped("r1", **NEW, replaced=frozenset("A")), stopped("r2"), stopped("r3")),
          "quorum_recoverable", "r2", "rejoin start start", named="r2"),
    State("two journals that name each other",
          (stopped("r1", **NEW, replaced=frozenset("A")), stopped("r2", replaced=frozenset("B")), off("r3")),
          "split_brain", refused=True),
    State("interrupted while a peer joins",
          (voting("r1", **{**NEW, "members": of("r1 r2", learners="r2")}, replaced=frozenset("A")),
          learning("r2", cluster_id="B", members=of("r1 r2", learners="r2")), stopped("r3")),
          "member_lost", "r1", "nothing promote rejoin"),
    # --- two clusters
    State("two clusters lead", (voting("r1"), voting("r2", cluster_id="B"), voting("r3")), "split_brain", refused=True),
    State("two lead, one journal knows", (voting("r1", **NEW, replaced=frozenset("A")), voting("r2"), voting("r3")),
          "member_lost", "r1", "nothing rejoin rejoin"),
    State("two lead, the user's choice", (voting("r1", **NEW), voting("r2"), voting("r3")),
          "member_lost", "r2", "rejoin nothing nothing", named="r2"),
    State("a new disk made an empty cluster, the old one is stopped",
          (voting("r1", **EMPTY), stopped("r2"), stopped("r3")),
          "split_brain", refused=True),
    State("the same, the user names the old one", (voting("r1", **EMPTY), stopped("r2"), stopped("r3")),
          "split_brain", refused=True, named="r2"),
    State("the same after the empty one was stopped", (stopped("r1", **EMPTY), stopped("r2"), stopped("r3")),
          "quorum_recoverable", "r2", "rejoin start start", named="r2"),
    State("three clusters",
          (stopped("r1"), stopped("r2", cluster_id="B"), stopped("r3", cluster_id="C")), "split_brain", refused=True),
    State("two servers hold the same member: a copied disk", (stopped("r1"), stopped("r2", member_id="m1"), off("r3")),
          "unknown", refused=True),
    # --- a reset that goes on, or has failed half-way
    State("a reset goes on", (voting("r1", members=ONE, resetting=True), wiped("r2"), off("r3")),
          "unknown", refused=True),
    State("a reset has made an empty cluster", (damaged("r1", **{**EMPTY, "fault": "a reset"}), wiped("r2"), off("r3")),
          "datastore_lost", refused=True),
    # --- nothing to go on with
    State("nobody answers", (silent("r1"), silent("r2"), silent("r3")), "unknown", refused=True),
    State("all are off", (off("r1"), off("r2"), off("r3")), "unknown", refused=True),
    State("nothing can be read", (unread("r1"), unread("r2"), unread("r3")), "unknown", refused=True),
    State("no datastore here, one is off", (wiped("r1"), damaged("r2"), off("r3")), "datastore_lost", refused=True),
    State("no datastore here, one cannot be read", (wiped("r1"), damaged("r2"), unread("r3")), "unknown", refused=True),
    State("every datastore is gone", (wiped("r1"), damaged("r2"), wiped("r3")), "datastore_lost", refused=True),
    State("a single server, damaged", (damaged("r1"),), "datastore_lost", refused=True),
    State("a single server, silent", (silent("r1"),), "unknown", refused=True),
    # --- the choice of the survivor
    State("the user prefers one that is behind", (leaderless("r1", members=FIVE), stopped("r2", members=FIVE, **BEHIND),
          off("r3"), off("r4"), off("r5")),
          "quorum_lost", "r2", "rejoin nothing stays_off stays_off stays_off", named="r2"),
    State("the user names a server that is damaged", (leaderless("r1"), damaged("r2"), off("r3")),
          "quorum_lost", "r1", "nothing rejoin stays_off", named="r2", refused=True),
    State("the user names a server that is off", (leaderless("r1"), wiped("r2"), off("r3")),
          "quorum_lost", "r1", "nothing rejoin stays_off", named="r3", refused=True),
    State("the only datastore has a tombstone", (stopped("r1", removed=True), wiped("r2"), damaged("r3")),
          "quorum_lost", "r1", "nothing rejoin rejoin", refused=True),
    State("the same, and the user names it", (stopped("r1", removed=True), wiped("r2"), damaged("r3")),
          "quorum_lost", "r1", "nothing rejoin rejoin", named="r1"),
    State("one that was removed got no further than the others",
          (stopped("r1", removed=True), stopped("r2", members=FIVE), wiped("r3"), off("r4"), off("r5")),
          "quorum_lost", "r2", "rejoin nothing rejoin stays_off stays_off"),
    State("one of three has a tombstone: it would not start as a member",
          (stopped("r1"), stopped("r2"), stopped("r3", removed=True)), "quorum_recoverable", "r1",
          "start start rejoin"),
)  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.title)
def test_state(state: State) -> None:
    case = classify(state.servers, survivor=state.named)
    assert (case.kind, case.survivor.name if case.survivor else "") == (state.kind, state.survivor), case.reason
    assert [need for _name, need in case.needs] == state.needs.split()
    assert bool(case.refusals) == state.refused, case.refusals
    assert all(refusal.what and refusal.where and refusal.next for refusal in case.refusals)
    assert case.reason.endswith(".")


def test_table_is_large() -> None:
    assert len(STATES) >= 45
    assert len({state.title for state in STATES}) == len(STATES)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"term": 4, "index": 1, "revision": 1}, {"term": 3, "index": 100, "revision": 100}),
        ({"index": 101, "revision": 1}, {"index": 100, "revision": 100}),
        ({"revision": 101}, {"revision": 100}),
        ({"index": 101, "committed": 101}, {"index": 100, "committed": 110}),
        ({"committed": 101}, {"committed": 100, "leader": True}),
        ({"leader": True}, {}),
        ({"gateway": True}, {"free": 500 << 30}),
        ({"free": 20 << 30, "skew": 9.0}, {"free": 2 << 30}),
        ({"free": (2 << 30) + 1, "skew": 0.1}, {"free": (2 << 30) + 999, "skew": -5.0}),
    ],
    ids=["term", "index", "revision", "db before log", "log", "leader", "gateway", "disk", "clock"],
)  # fmt: skip
def test_rank_decides_by(better: dict[str, float], worse: dict[str, float]) -> None:
    """The better one has the later name, by which equals are told apart."""
    assert [s.name for s in rank([stopped("r1", **worse), stopped("r2", **better)])] == ["r2", "r1"]


def test_rank_of_equals_is_by_name_and_the_user_overrules() -> None:
    equals = [stopped("r2"), stopped("r1"), stopped("r3", **BEHIND)]
    assert [s.name for s in rank(equals)] == ["r1", "r2", "r3"]
    assert [s.name for s in rank(equals, prefer="r3")] == ["r3", "r1", "r2"]


def test_loss_of_a_survivor_that_is_behind_is_said() -> None:
    state = next(state for state in STATES if state.title == "the user prefers one that is behind")
    plan = make_plan(classify(state.servers, survivor="r2"), _distro.DISTROS["rke2"], cluster="prod", agents=())
    assert plan.loss == "r2 was chosen although r1 is 10 revisions ahead: these are lost."


@pytest.mark.parametrize(
    ("servers", "named"),
    [
        ((voting("r1"), voting("r2", skew=900), voting("r3")), ""),  # nothing is to be done
        ((voting("r1"), unread("r2", store="intact", skew=-900), voting("r3")), "r2 is 900 s behind"),
        ((stopped("r1"), stopped("r2", skew=900), wiped("r3")), "r2 is 900 s ahead"),
        ((leaderless("r1", skew=900), wiped("r2"), wiped("r3")), "r1 is 900 s ahead"),
        ((leaderless("r1", skew=900), wiped("r2", skew=880), wiped("r3", skew=930)), ""),  # it is the controller's
        ((leaderless("r1", skew=30), wiped("r2"), wiped("r3")), ""),
        ((leaderless("r1"), off("r2"), off("r3")), ""),
    ],
)
def test_wrong_clocks_come_before_all_that_would_be_done(servers: tuple[Server, ...], named: str) -> None:
    found = classify(servers)
    said = [refusal for refusal in found.refusals if "clocks" in refusal.what]
    assert bool(said) == bool(named)
    assert not named or (said == [found.refusals[0]] and named in said[0].what and "Set the clocks" in said[0].next)


def test_refusal_says_what_to_type() -> None:
    case = classify([leaderless("r1"), silent("r2"), off("r3")])
    assert "requorum_powered_off" in str(case.refusals[0]) and '["r2"]' in str(case.refusals[0])


@pytest.mark.parametrize(
    ("server", "known"),
    [
        (Server("node1"), False),
        (Server("node100"), False),
        (Server("node1", address="10.0.0.1", node="node1"), False),
        (Server("node10"), True),  # a dead server is known by its name, if that is its Node's
        (Server("x", node="node10"), True),
        (Server("x", address="10.0.0.10"), True),
        (Server("x", address="10.0.0.1"), False),
    ],
)
def test_a_member_is_known_by_its_whole_name_or_address(server: Server, known: bool) -> None:
    members = (Member("m1", "node10-0a1b2c3d", "10.0.0.10", False),)
    assert [refusal.what for refusal in strangers([server], members)] == (
        [] if known else ["Member node10-0a1b2c3d at 10.0.0.10 is not in the inventory."]
    )


# --- what holds in every state

IDS = st.sampled_from(["m1", "m2", "m3", "m4", "m5"])


@st.composite
def clusters(draw: st.DrawFn, *, down: bool = False) -> list[Server]:
    """Up to five servers in any mixture of states, most of them of one cluster. down: states near a reset."""
    count = draw(st.integers(1, 5))
    names = SERVERS[:count]
    full = of(" ".join(names))
    lists = st.sampled_from([full, full, full, of(" ".join(names), learners=names[-1]), of(names[0]), FIVE, ()])
    found = []
    for name in names:
        reach = draw(st.sampled_from(["yes", "yes", "yes", "off", *(() if down else ("no", "named"))]))
        if reach in ("no", "off"):
            found.append(server(name, reachable=False, powered_off=reach == "off"))
            continue
        stores = (
            ["intact", "damaged", "absent"] if down else ["intact", "intact", "intact", "damaged", "absent", "unknown"]
        )
        store = draw(st.sampled_from(stores))
        running = ["voting", "learning"] if store == "intact" and not down else []
        facts = {
            "store": store,
            "etcd": draw(st.sampled_from([*running, "leaderless", "stopped", "stopped", "unknown"])),
            "powered_off": reach == "named",
            "unit": draw(st.booleans()),
            "api": draw(st.booleans()),
        }
        if store == "intact":
            facts |= {
                "cluster_id": "A" if down else draw(st.sampled_from(["A", "A", "A", "A", "B"])),
                "member_id": draw(st.one_of(st.just(f"m{name[1:]}"), st.just(f"m{name[1:]}"), IDS)),
                "members": draw(lists),
                "term": draw(st.integers(2, 3)),
                "index": draw(st.integers(90, 110)),
                "replaced": frozenset(draw(st.sampled_from(["", "", "A", "B"]))),
            }
        found.append(server(name, **facts))
    return found


MANY = settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
STATES_OF_FIVE = st.one_of(clusters(), clusters(down=True))
NAMED = st.sampled_from(["", "", "r1", "r2", "r9"])
DISTROS = st.sampled_from(sorted(_distro.DISTROS.values(), key=lambda distro: distro.name))


def resets(case: Case) -> bool:
    return case.kind == "quorum_lost" and not case.refusals


@MANY
@given(clusters(down=True), NAMED)
def test_no_reset_while_a_quorum_is_at_hand(servers: list[Server], named: str) -> None:
    case = classify(servers, survivor=named)
    assume(resets(case) and case.survivor)
    voters = {member.id for member in case.members if not member.learner}
    at_hand = {
        s.member_id for s in servers if s.reachable and s.store == "intact" and s.cluster_id == case.base[0].cluster_id
    }
    assert case.members
    assert len(at_hand & voters) < len(voters) // 2 + 1


@MANY
@given(STATES_OF_FIVE, NAMED)
def test_no_reset_while_anybody_may_still_vote(servers: list[Server], named: str) -> None:
    case = classify(servers, survivor=named)
    assume(resets(case))
    assert all(s.powered_off != s.reachable for s in servers)
    assert not any(s.etcd in ("voting", "learning") and s.cluster_id == case.base[0].cluster_id for s in servers)
    assert not any(s.reachable and s.store == "unknown" for s in servers)
    known = {s.name for s in servers} | {s.address for s in servers}
    assert all(member.node in known or member.address in known for member in case.members)


@MANY
@given(STATES_OF_FIVE, NAMED, DISTROS)
def test_what_is_not_understood_is_not_touched(servers: list[Server], named: str, distro: _distro.Distro) -> None:
    case = classify(servers, survivor=named)
    plan = make_plan(case, distro, cluster="prod", agents=["a1"])
    if case.kind in ("unknown", "split_brain", "datastore_lost", "api_down", "healthy"):
        assert plan.actions == ()
    if case.kind in ("unknown", "split_brain", "datastore_lost", "api_down"):
        assert case.refusals
    if case.kind != "quorum_lost":
        assert not any(action.verb == "reset" for action in plan.actions)


@MANY
@given(STATES_OF_FIVE, NAMED, st.randoms(use_true_random=False))
def test_order_of_the_servers_does_not_matter(servers: list[Server], named: str, chance: random.Random) -> None:
    mixed = servers[:]
    chance.shuffle(mixed)
    one, other = classify(servers, survivor=named), classify(mixed, survivor=named)
    assert (one.kind, one.base, one.members) == (other.kind, other.base, other.members)
    assert dict(one.needs) == dict(other.needs)
    assert [name for name, _need in other.needs] == ([s.name for s in mixed] if other.needs else [])
    assert sorted(r.what.split()[-1] for r in one.refusals) == sorted(r.what.split()[-1] for r in other.refusals)


@MANY
@given(STATES_OF_FIVE, NAMED)
def test_healthy_means_all_of_them(servers: list[Server], named: str) -> None:
    if classify(servers, survivor=named).kind == "healthy":
        assert all(s.reachable and s.etcd == "voting" and s.store == "intact" and s.api for s in servers)
        assert len({s.cluster_id for s in servers}) == 1


@MANY
@given(STATES_OF_FIVE, NAMED)
def test_no_voter_of_the_cluster_is_moved_aside_while_it_stands(servers: list[Server], named: str) -> None:
    case = classify(servers, survivor=named)
    assume(case.kind in ("member_lost", "quorum_recoverable") and not case.refusals)
    voters = {member.id for member in case.members if not member.learner}
    joiners = [s for s in servers if s.name in case.having("rejoin")]
    assert not any(s.cluster_id == case.base[0].cluster_id and s.member_id in voters for s in joiners)
    assert not any(s.store == "unknown" for s in joiners)


@MANY
@given(STATES_OF_FIVE, st.sampled_from(["r1", "r2", "r3"]))
def test_a_restored_view_of_less_never_allows_more(servers: list[Server], name: str) -> None:
    """Losing sight of a server (nobody says that it is off) never turns a refusal into a reset."""
    assume(not resets(classify(servers)))
    less = [replace(server(s.name), reachable=False) if s.name == name else s for s in servers]
    assume(any(s.name == name for s in servers))
    assert not resets(classify(less))


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("r2", "names r2, which has no datastore that can be restored: it has a damaged one (no meta page). Leave"),
        ("r3", "names r3, which has no datastore that can be restored: it has none. Leave"),
        ("r4", "r4 does not answer. Name a server that does."),
        ("r9", "requorum_survivor names r9, which is no server of the inventory. Correct it"),
    ],
)
def test_a_survivor_that_cannot_be_one(named: str, words: str) -> None:
    servers = (leaderless("r1", members=FIVE), damaged("r2"), wiped("r3"), off("r4"), off("r5"))
    assert classify(servers).refusals == ()
    (refusal,) = classify(servers, survivor=named).refusals
    assert words in str(refusal)


@pytest.mark.parametrize(("peer", "refused"), [(off("r2"), False), (off("r2", powered_off=False), True)])
def test_a_cluster_that_was_made_anew_is_not_started_beside_one_that_may_vote(peer: Server, refused: bool) -> None:
    """A run was killed between RESET and START, and the next one does not name the servers that are off."""
    alone = stopped("r1", members=of("r1"), replaced=frozenset({"A"}), cluster_id="B")
    case = classify((alone, peer, off("r3")))
    assert case.kind == "quorum_recoverable"
    assert [refusal.where for refusal in case.refusals] == (["r2"] if refused else [])


def test_a_member_that_is_alone_and_does_not_lead_yet_is_looked_at_again() -> None:
    (refusal,) = classify([leaderless("r1", members=ONE), wiped("r2"), wiped("r3")]).refusals
    assert "run the same command again" in refusal.next and "network" not in refusal.next
    (refusal,) = classify([leaderless(name) for name in ("r1", "r2", "r3")]).refusals
    assert "the network between them" in refusal.next
