# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules asked of states: what is not known is said node by node, what has no time is not old."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnose,
    _evaluate,
    _jmes,
    _predicates_certificates,
    _predicates_servers,
    _rule_tests,
    _rules,
)
from tests.unit import runs
from tests.unit.diagnoses import state

JSON = dict[str, Any]
RULES = {rule.id: rule for rule in _rules.load()}


def rule(**fields: Any) -> _rules.Rule:
    test: JSON = {"fires": {}, "misses": {}}
    return _rules.made(
        {"id": "x", "title": "x.", "severity": "error", "cause": "", "action": "", "test": test, **fields}
    )


def ask(asked: _rules.Rule, given: JSON) -> tuple[list[str | None], list[tuple[str | None, str]]]:
    outcome = _evaluate.ask(asked, _rule_tests.filled(asked, given))
    return [found.node for found in outcome.found], [(each.node, each.why) for each in outcome.unknown]


SERVERS = [
    {"name": "r1", "version": "v1.34.3+rke2r1", "server": {"etcd": "voting"}},
    {"name": "r2", "version": "v1.33.1+rke2r1", "server": {"etcd": "voting"}},
    {"name": "r3", "reachable": False, "unread": {"*": "cut off"}, "server": {"etcd": None}},
]


def test_a_need_of_each_node_names_those_that_are_not_known_and_asks_the_others() -> None:
    differ = rule(needs=["nodes[?server].version"], when="length(distinct(nodes[?server && version].version)) > `1`")
    assert ask(differ, {"nodes": SERVERS}) == ([None], [("r3", "cut off")])
    assert ask(differ, {"nodes": SERVERS[:1]}) == ([], [])
    assert ask(differ, {"nodes": SERVERS[2:]}) == ([], [("r3", "cut off")])


def test_a_need_of_any_node_says_what_no_node_tells() -> None:
    any_of = rule(needs=["nodes[*].etcd.alarms | [0]"], when="`true`")
    assert ask(any_of, {"nodes": SERVERS}) == ([], [(None, "no node tells etcd.alarms")])


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({}, ([], [(None, "nobody looked")])),
        ({"backups": {"complete": False, "kept": []}}, ([], [(None, "nobody looked")])),
        ({"backups": {"complete": False, "kept": [{"proved": True, "off_node": True}]}}, ([], [])),
        ({"backups": {"complete": True, "kept": [{"proved": True, "off_node": False}]}}, ([None], [])),
        ({"backups": {"complete": True, "kept": []}}, ([None], [])),
    ],
)
def test_a_place_that_was_not_looked_at_may_hold_a_backup(given: JSON, answer: Any) -> None:
    assert ask(RULES["snapshots_unproved"], {"unread": {"backups": "nobody looked"}, **given}) == answer


def test_a_rule_about_the_whole_may_name_a_node() -> None:
    one = rule(needs=["nodes[?server].version"], when="`true`", node="nodes[?version].name | [0]")
    assert ask(one, {"nodes": SERVERS[:1]})[0] == ["r1"]


LOST = '{"ts":"2026-01-01T09:00:00.000000Z","msg":"lost"}'


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([LOST], []),
        ([LOST, "lost"], []),  # it follows that line
        (["lost", LOST], ["r1"]),
        (["lost"], ["r1"]),
        ([LOST.replace("T09", "T11")], ["r1"]),
    ],
)
def test_of_a_line_without_a_time_nobody_knows_that_it_is_old(lines: list[str], found: list[str]) -> None:
    young = rule(logs={"source": ["etcd"], "pattern": "lost", "within": 120})
    assert ask(young, {"logs": {"r1": {"etcd": lines}}}) == (found, [])


def test_a_log_that_each_such_host_has_and_that_was_not_read() -> None:
    nodes = [*SERVERS[:2], {"name": "a1"}]
    logs = {"r1": {"etcd": ["ok"]}, "r2": {"kubelet": ["ok"]}}
    of_servers = rule(logs={"source": ["etcd", "k3s"], "pattern": "lost"})
    assert ask(of_servers, {"nodes": nodes, "logs": logs}) == ([], [("r2", "no log of etcd or k3s was read")])
    of_all = rule(logs={"source": ["kubelet"], "pattern": "lost"})
    assert [node for node, _why in ask(of_all, {"nodes": nodes, "logs": logs})[1]] == ["r1", "a1"]
    of_pods = rule(logs={"source": ["rancher"], "pattern": "lost"})
    assert ask(of_pods, {"nodes": nodes, "logs": {"r1": {"rancher": ["ok"]}}}) == ([], [])


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("{size(`12345678`)}", "12.3 MB"),
        ("{size(`2147483648`)}", "2.1 GB"),
        ("{size(nothing)}", "unknown"),
        ("{span(`86400`)}", "24 hours"),
        ("{span(`-300000`)}", "3 days"),
        ("{span(`5`)}", "5 seconds"),
        ("{day(`1767268800`)}", "2026-01-01"),
        ("{ratio(`1`, `4`) < `0.5`}", "yes"),
        ("{ratio(`1`, `0`)}", "unknown"),
    ],
)
def test_words_for_numbers(expression: str, text: str) -> None:
    assert _jmes.filled(expression, {}, {"time": None}) == text


def test_a_cluster_that_is_well_has_no_findings_but_information() -> None:
    found = _diagnose.diagnose(state(*runs.HEALTHY["nodes"]), tuple(RULES.values()))["findings"]
    assert [each["id"] for each in found if each["severity"] != "info"] == []


def test_a_drill_has_its_causes_first_and_their_consequences_below() -> None:
    found = _diagnose.diagnose(state(*runs.DRILL["nodes"]), tuple(RULES.values()))["findings"]
    folded = {(each["id"], each["node"]): each["explained_by"] for each in found}
    assert found[0]["id"] == "quorum_lost"
    assert folded["no_leader", "r1"] == folded["api_down", "r1"] == "quorum_lost"
    assert folded["datastore_absent", "r2"] is None and folded["server_unreachable", "r3"] is None


@pytest.mark.parametrize("ident", ["no_leader", "api_down", "datastore_absent", "server_unreachable"])
def test_the_findings_of_a_recovery_are_among_them(ident: str) -> None:
    found = _diagnose.diagnose(state(*runs.DRILL["nodes"]), tuple(RULES.values()))["findings"]
    assert ident in [each["id"] for each in found]


@pytest.mark.parametrize("name", sorted(_predicates_certificates.NAMED | _predicates_servers.NAMED))
def test_a_predicate_says_which_node_it_could_not_look_at(name: str) -> None:
    given = {"nodes": [{"name": "r3", "host": "10.0.0.3", "reachable": False, "unread": {"*": "cut off"},
                        "server": {"name": "r3", "etcd": None, "members": []}}]}  # fmt: skip
    asked = next(each for each in RULES.values() if each.predicate == name)
    found, unknown = ask(asked, given)
    assert found == [] and unknown and all(node in ("r3", None) for node, _why in unknown)


def _well() -> list[JSON]:
    entries: list[JSON] = copy.deepcopy(runs.HEALTHY["nodes"])
    for entry in entries:
        entry["datastore"]["member_id"] = entry["etcd"]["status"]["member_id"]
    return entries


KEYS = sorted(set(runs.HEALTHY["nodes"][0]) - {"name", "host", "reachable", "error", "unread"})


@pytest.mark.parametrize("key", [*KEYS, "etcd.status", "etcd.health", "etcd.members", "etcd.alarms", "api.ready"])
@pytest.mark.parametrize("where", [(0,), (0, 1, 2)], ids=["one", "all"])
def test_what_is_not_known_of_a_cluster_that_is_well_makes_no_certainty(key: str, where: tuple[int, ...]) -> None:
    entries = _well()
    for index in where:
        above, _dot, last = key.rpartition(".")
        (entries[index][above] if above else entries[index])[last] = None
    document = _diagnose.diagnose(state(*entries), tuple(RULES.values()))
    found = {each["id"] for each in document["findings"] if each["severity"] != "info"}
    assert found <= {"etcd_unread", "datastore_unknown"}
    assert not [each for each in document["not_checked"] if "has a form" in each["why"]]


@pytest.mark.parametrize("ident", ["leaf_expired", "certificate_early", "certificates_wrong", "certificates_due",
                                   "ca_due", "snapshots_old"])  # fmt: skip
def test_without_a_time_nothing_is_old_or_young_or_well(ident: str) -> None:
    given = {**state(*_well()), "time": None, "unread": {"time": "no clock was read"}}
    document = _diagnose.diagnose(given, (RULES[ident],))
    assert (document["findings"], document["passed"]) == ([], [])
    assert {"rule": ident, "severity": RULES[ident].severity, "node": None, "why": "no clock was read"} in (
        document["not_checked"]
    )
    assert {each["state"] for node in document["nodes"] for each in node["certificates"]} == {"unknown"}


def test_another_authority_is_one_at_any_time() -> None:
    entries = _well()
    entries[0]["certificates"][0]["sha256"] = "another"
    document = _diagnose.diagnose({**state(*entries), "time": None}, (RULES["ca_differs"],))
    assert [each["node"] for each in document["findings"]] == [entries[0]["name"]] and document["not_checked"] == []
