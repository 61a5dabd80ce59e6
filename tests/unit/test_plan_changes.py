# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that was seen and is not the plan any more: what has changed since is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _distro, _plan_changes
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._plan import make_plan
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from tests.unit.cases import damaged, leaderless, off, stopped, voting, wiped

JSON = dict[str, Any]


def planned(*servers: Server, agents: tuple[str, ...] = (), method: str = "auto", **more: Any) -> JSON:
    """plan.json as the action writes it, as far as it is compared."""
    case = classify(servers)
    plan = make_plan(case, _distro.DISTROS["rke2"], cluster="prod", agents=agents, method=method)
    needs = dict(case.needs)
    rows = [
        {"name": s.name, "need": needs.get(s.name, "unknown"), "reachable": s.reachable, "etcd": s.etcd,
         "store": s.store, "cluster_id": s.cluster_id}
        for s in case.servers
    ]  # fmt: skip
    told = {"purpose": "recover", "started": "2026-11-29T09:00:00.000Z", "powered_off": [], "servers": rows}
    return dict(json.loads(json.dumps({**plan.document(), **told, **more})))


DRILL = planned(leaderless("r1"), wiped("r2"), damaged("r3"))


@pytest.mark.parametrize(
    ("now", "first"),
    [
        (DRILL, []),
        (planned(leaderless("r1", revision=120), wiped("r2"), damaged("r3")), []),
        (planned(leaderless("r1"), wiped("r2"), off("r3"), powered_off=["r3"]),
         ["requorum_powered_off names r3 too", "r3 does not answer any more", "fence on r3 is no more planned"]),
        (planned(leaderless("r1"), stopped("r2"), damaged("r3")),
         ["the case was quorum_lost, now quorum_recoverable", "the method was restore, now none",
          "datastore of r2 was absent, now intact"]),
        (planned(wiped("r1"), leaderless("r2"), damaged("r3")),
         ["the survivor was r1, now r2", "etcd of r1 was leaderless, now stopped",
          "datastore of r1 was intact, now absent"]),
        (planned(leaderless("r1"), wiped("r2"), damaged("r3"), method="plain"),
         ["the method was restore, now plain",
          "reset on r1 was 'rke2 server --cluster-reset from the proved snapshot, as a transient unit', now "
          "'rke2 server --cluster-reset in place, as a transient unit'"]),
        (planned(leaderless("r1"), wiped("r2"), damaged("r3"), agents=("a1",)), ["agent on a1 is planned too"]),
        (planned(leaderless("r1"), wiped("r2")),
         ["no more among the servers: r3", "fence on r3 is no more planned"]),
        (planned(leaderless("r1", cluster_id="B"), wiped("r2"), damaged("r3")), ["r1 held cluster A, now B"]),
        (planned(voting("r1"), voting("r2"), voting("r3")),
         ["the case was quorum_lost, now healthy", "etcd of r1 was leaderless, now voting"]),
        ({**DRILL, "purpose": "repair"}, ["the plan was for recover, now repair"]),
        ({**DRILL, "snapshot": {"name": "r1:/x"}}, ["the snapshot that is restored was none, now r1:/x"]),
    ],
)  # fmt: skip
def test_the_causes_come_first(now: JSON, first: list[str]) -> None:
    found = _plan_changes.changes(DRILL, now)
    if not first:
        assert found == []
    for part in first:
        assert part in found, found
    assert [found.index(part) for part in first] == sorted(found.index(part) for part in first)


def test_what_was_seen_first_is_never_told_as_new() -> None:
    back = _plan_changes.changes(planned(leaderless("r1"), wiped("r2"), off("r3"), powered_off=["r3"]), DRILL)
    assert back[:2] == ["requorum_powered_off names r3 no more", "r3 answers now"]


def test_words_and_order_of_actions() -> None:
    other = json.loads(json.dumps(DRILL))
    other["actions"][0]["what"] = "something else"
    assert _plan_changes.changes(DRILL, other) == [
        f"snapshot on r1 was '{DRILL['actions'][0]['what']}', now 'something else'"
    ]
    assert DRILL["actions"][0]["verb"] == "snapshot"


def test_the_sentence() -> None:
    now = planned(leaderless("r1"), wiped("r2"), off("r3"), powered_off=["r3"])
    said = _plan_changes.refusal(DRILL, now)
    assert said.what.startswith(
        f"requorum_plan_id is {DRILL['plan_id']}, but the plan is now {now['plan_id']}: since "
        "2026-11-29T09:00:00.000Z requorum_powered_off names r3 too; r3 does not answer any more; "
    )
    assert said.what.endswith(" more.") and said.what.count(";") == _plan_changes.SHOWN
    assert _plan_changes.refusal(DRILL, {**DRILL, "plan_id": "0"}).what.endswith(f"{_plan_changes.NO_CAUSE}.")
