# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong, in the words of the report."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose
from tests.unit.runs import DRILL, HEALTHY, JSON, dead, entry, plan, state


def found(before: JSON, *, agents: tuple[str, ...] = ()) -> list[str]:
    items = _diagnose.of_run(plan(before, agents=agents), before)
    for item in items:
        assert item["summary"].endswith(".") and "{" not in item["summary"]
        assert all(isinstance(line, str) and line for line in item["evidence"])
    return [f"{item['severity']} {item['node']} {item['id']}" for item in items]


def test_healthy() -> None:
    assert found(HEALTHY) == []


def test_drill_worst_first() -> None:
    assert found(DRILL) == [
        "blocker None quorum_lost",
        "blocker r1 no_leader",
        "error r1 api_down",
        "error r2 api_down",
        "error r2 datastore_absent",
        "error r3 server_unreachable",
    ]


def test_worst_first_whatever_the_order_of_the_inventory() -> None:
    assert found(state(dead("r3"), entry("wiped", "r2"), entry("quorum-lost")))[1] == "blocker r1 no_leader"


def test_api_that_was_asked_says_how_it_failed() -> None:
    items = {(i["node"], i["id"]): i["evidence"] for i in _diagnose.of_run(plan(DRILL), DRILL)}
    assert items["r1", "api_down"] == ["no answer before the deadline"]
    assert items["r2", "api_down"] == ["was not asked"]
    assert items["r3", "server_unreachable"] == ["Connection timed out"]


def test_agent_that_does_not_answer() -> None:
    before = state(*HEALTHY["nodes"], dead("r4") | {"name": "a1"})
    assert found(before, agents=("a1",)) == ["warning a1 agent_unreachable"]


def stale() -> JSON:
    old = entry("rebooted", "r3")
    old["etcd"]["health"] = None
    old["processes"], old["listeners"] = [], []
    old["datastore"]["summary"] = {"revision": 5, "term": 2, "index": 5, "members": []}
    return old


@pytest.mark.parametrize(("cluster", "finding"), [("f488dde7dff9e2ce", "member_stale"), ("abc", "member_stale")])
def test_stale_member(cluster: str, finding: str) -> None:
    """Of another cluster, or of this one and no member any more."""
    old, anchor = stale(), entry("healthy")
    old["datastore"] |= {"cluster_id": cluster, "member_id": "dead"}
    anchor["journal"] = ["replaced=abc"]
    assert f"error r3 {finding}" in found(state(anchor, entry("healthy", "r2"), old))


def test_peer_that_must_join_again_after_a_reset_is_not_called_stale() -> None:
    """Two of five are intact: the second one joins the first one, and holds the same cluster until then."""
    entries = [entry("quorum-lost"), entry("quorum-lost", "r2"), dead("r3")]
    five = [
        {"id": f"{n}", "name": f"r{n}-0000000{n}", "peer_urls": [f"https://10.89.0.2{n}:2380"], "learner": False}
        for n in (4, 5)
    ]
    for one in entries[:2]:
        one["etcd"]["members"] += five
    before = state(*entries)
    assert [i["id"] for i in _diagnose.of_run(plan(before), before) if i["node"] == "r2"] == ["no_leader", "api_down"]


def test_damaged_and_unread_datastores() -> None:
    damaged, hidden = stale(), stale() | {"name": "r2"}
    damaged["datastore"]["fault"] = "neither meta page is valid"
    hidden["datastore"]["summary"] = None
    hidden["unread"] = {"datastore": "db cannot be read"}
    before = state(entry("quorum-lost"), hidden, damaged)
    items = {i["node"]: i for i in _diagnose.of_run(plan(before), before) if i["id"].startswith("datastore")}
    assert items["r3"]["summary"] == "The datastore of r3 is damaged: neither meta page is valid."
    assert items["r2"]["id"] == "datastore_unknown"
    assert items["r2"]["evidence"][0] == "datastore: db cannot be read"


def with_certificates(now: int, **ends: int) -> JSON:
    """Three servers; days from now in which the certificates of each end."""
    before = copy.deepcopy(HEALTHY)
    for node in before["nodes"]:
        for row in node["certificates"]:
            row["ends"] = now + ends.get(node["name"], 300) * 86400
    return before


STARTED = 1795550100  # of the plans here: 2026-11-24T19:15Z and 45 minutes


def test_certificates_that_end_and_that_have_ended() -> None:
    before = with_certificates(STARTED + 3600, r1=-3, r2=20)
    said = found(before)
    assert said[0] == "blocker r1 ca_expired"
    assert {"error r1 certificates_wrong", "warning r2 certificates_due"} <= {*said}
    item = next(item for item in _diagnose.of_run(plan(before), before) if item["id"] == "certificates_wrong")
    assert item["summary"] == "r1 has 3 certificates or keys: expired."
    assert item["evidence"][0] == "server/tls/server-ca.crt: it ended 3 days ago"


@pytest.mark.parametrize(("servers", "blamed"), [(["r3"], ["r3"]), (["r2", "r3"], ["r1", "r2", "r3"])])
def test_authorities_that_differ(servers: list[str], blamed: list[str]) -> None:
    """Where no one of them is held by most servers, none is believed."""
    before = copy.deepcopy(HEALTHY)
    for node in before["nodes"]:
        if node["name"] in servers:
            next(row for row in node["certificates"] if "server-ca" in row["path"])["sha256"] = node["name"]
    said = [line for line in found(before) if "certificates_wrong" in line]
    assert said == [f"error {name} certificates_wrong" for name in blamed]


def test_a_wrong_clock_is_named() -> None:
    before = copy.deepcopy(HEALTHY)
    before["nodes"][1]["clock_skew"] = -7200.0
    assert found(before) == ["error r2 clock_skew"]


def test_what_the_plan_has_judged_counts_for_more() -> None:
    made = plan(HEALTHY)
    judged = {"node": "r1", "path": "server/tls/service.key", "state": "missing", "why": "it is not there"}
    made["certificates"] = [{**judged, "path": f"{n}"} for n in range(9)] + [{**judged, "state": "names"}]
    items = _diagnose.of_run(made, HEALTHY)
    assert [item["summary"] for item in items] == ["r1 has 10 certificates or keys: missing, wrong names."]
    assert len(items[0]["evidence"]) == 9 and items[0]["evidence"][-1] == "and 2 more"


def test_the_last_lines_of_a_unit_say_why_it_does_not_start() -> None:
    before = copy.deepcopy(state(entry("wiped"), *HEALTHY["nodes"][1:]))
    said = "etcd cluster join failed: duplicate node name found, please use a unique name for this node"
    before["nodes"][0]["logs"] = [f'time="2026-11-24T20:14:50Z" level=fatal msg="Error: {said}"']
    items = {item["id"]: item for item in _diagnose.of_run(plan(before), before) if item["node"] == "r1"}
    assert "rejoin.yml" in items["join_duplicate"]["action"]
    assert items["join_duplicate"]["evidence"][0].startswith("r1 journal:1 2026-11-24T20:14:50")
