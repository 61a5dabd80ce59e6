# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a chosen snapshot makes of a case, and the plan that follows."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._catalog import Row, Stored
from ansible_collections.requorum.cluster.plugins.module_utils._classify import Case, Refusal, classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._plan import Plan, make_plan
from ansible_collections.requorum.cluster.plugins.module_utils._restore import with_snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from tests.unit.cases import damaged, leaderless, off, silent, unread, voting, wiped

KEPT = Row(Stored("controller", "", "/kept.db", 100, 1_764_000_000, 90), "usable", "the token opens it")
ON_R2 = Row(Stored("node", "r2", "/snap", 100, 1_764_000_000, 90), "usable", "the token opens it")
IN_S3 = Row(Stored("s3", "backups", "prod/snap", 100, 1_764_000_000, 90), "usable", "the token opens it")
EMPTY = (wiped("r1"), damaged("r2"), wiped("r3"))


def made(servers: tuple[Server, ...], row: Row = KEPT, survivor: str = "", distro: str = "rke2") -> Plan:
    case = with_snapshot(classify(servers), row, survivor=survivor)
    return make_plan(case, DISTROS[distro], cluster="prod", agents=["a1"], chosen=row)


def short(plan: Plan) -> list[str]:
    return [f"{action.id} {action.node} {action.verb}" for action in plan.actions]


@pytest.mark.parametrize("distro", sorted(DISTROS))
def test_three_empty_servers_are_made_anew_from_a_snapshot(distro: str) -> None:
    assert short(made(EMPTY, distro=distro)) == [
        "3.1 r1 keep", "3.2 r2 keep", "3.3 r3 keep", "3.4 r1 deliver",
        "4.1 r2 fence", "4.2 r3 fence", "4.3 r1 fence", "4.4 r1 prove",
        "5.1 r1 reset", "6.1 r1 start", "7.1 r2 rejoin", "7.2 r3 rejoin", "7.3 r1 promote",
        "8.1 a1 agent", "8.2 r2 serve", "8.3 r3 serve", "8.4 r1 settle",
        "9.1 r1 release", "9.2 r2 release", "9.3 r3 release", "9.4 r1 save", "9.5 r1 verify",
    ]  # fmt: skip


def test_a_server_that_is_alone_has_no_names_of_peers() -> None:
    (prove,) = (action for action in made((wiped("r1"),)).actions if action.verb == "prove")
    assert prove.what == "See from r1 that no etcd and no supervisor of another server answers"


def test_the_server_that_holds_it_restores_it_unless_another_one_is_named() -> None:
    assert made(EMPTY, ON_R2).survivor == "r2"
    assert short(made(EMPTY, ON_R2))[0] == "3.1 r2 fetch"
    other = made(EMPTY, ON_R2, survivor="r3")
    assert other.survivor == "r3"
    assert short(other)[:5] == ["3.1 r2 fetch", "3.2 r1 keep", "3.3 r2 keep", "3.4 r3 keep", "3.5 r3 deliver"]


@pytest.mark.parametrize(("row", "node"), [(ON_R2, "r2"), (IN_S3, "r1")])
def test_one_that_is_not_here_is_proved_before_anything_is_stopped_or_written(row: Row, node: str) -> None:
    plan = made((leaderless("r1"), wiped("r2"), damaged("r3")), row, survivor="r1", distro="k3s")
    assert short(plan)[:3] == [f"3.1 {node} fetch", "3.2 r1 fence", "3.3 r1 snapshot"]


def test_a_server_without_configuration_gets_the_one_that_was_kept_before_anything_is_reset() -> None:
    case = with_snapshot(classify(EMPTY), KEPT)
    plan = make_plan(case, DISTROS["rke2"], cluster="prod", agents=[], chosen=KEPT, bare=["r1", "r3"])
    assert [step for step in short(plan) if step[0] == "4"] == [
        "4.1 r2 fence", "4.2 r3 fence", "4.3 r3 furnish", "4.4 r1 furnish", "4.5 r1 fence", "4.6 r1 prove",
    ]  # fmt: skip


def test_what_is_lost_is_said() -> None:
    assert made(EMPTY).loss == "Everything written after 2025-11-24 16:00:00 UTC is lost."
    assert made(EMPTY).lost is None
    instead = made((leaderless("r1"), wiped("r2"), damaged("r3")))
    assert instead.lost == 10
    assert "r1 holds 10 revisions more, which are kept aside" in instead.loss


def test_after_quorum_was_lost_the_survivor_is_saved_before_another_snapshot_is_restored() -> None:
    plan = made((leaderless("r1"), wiped("r2"), damaged("r3")))
    assert short(plan)[:5] == ["3.1 r1 snapshot", "3.2 r1 keep", "3.3 r2 keep", "3.4 r3 keep", "3.5 r1 deliver"]
    assert plan.snapshot is not None and plan.snapshot["name"] == "/kept.db"


def refused(servers: tuple[Server, ...], choice: Row | Refusal = KEPT, survivor: str = "") -> Case:
    case = with_snapshot(classify(servers), choice, survivor=survivor)
    assert case.refusals, "nothing refuses it"
    return case


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ((voting("r1"), voting("r2"), voting("r3")), "The case is healthy"),
        ((voting("r1"), voting("r2"), wiped("r3")), "The case is member_lost"),
        ((wiped("r1"), wiped("r2"), silent("r3")), "r3"),
        ((wiped("r1"), wiped("r2"), unread("r3")), "r3"),
    ],
)
def test_it_is_refused_while_a_datastore_may_still_be_there(servers: tuple[Server, ...], words: str) -> None:
    assert words in " ".join(refusal.what for refusal in refused(servers).refusals)


def test_a_server_whose_power_was_cut_stays_off_and_is_named() -> None:
    case = with_snapshot(classify((wiped("r1"), wiped("r2"), off("r3"))), KEPT)
    assert not case.refusals
    assert dict(case.needs) == {"r1": "nothing", "r2": "rejoin", "r3": "stays_off"}


def test_without_a_usable_snapshot_the_reason_is_the_refusal() -> None:
    reason = Refusal("No snapshot can be used.", "snapshots", "Name one.")
    assert refused(EMPTY, reason).refusals == (reason,)


def test_a_survivor_that_does_not_answer_is_refused() -> None:
    case = refused((wiped("r1"), wiped("r2"), off("r3")), survivor="r3")
    assert "r3 does not answer" in case.refusals[0].what
