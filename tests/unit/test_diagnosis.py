# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces of a diagnosis: its schema, the picture, the text, the page, the same page in a browser, and JUnit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnose,
    _diagnosis_html,
    _diagnosis_junit,
    _diagnosis_text,
    _picture,
    _rules,
)
from ansible_collections.requorum.cluster.plugins.module_utils import _diagnosis_words as words
from ansible_collections.requorum.cluster.plugins.module_utils._diagnosis_chart import CLOSE, axis
from tests.unit import diagnoses, pages, runs
from tests.unit.diagnoses import MADE

JSON = dict[str, Any]
SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "diagnosis.schema.json").read_text())
FIXED = ("severity", "case", "kind", "state", "role", "operation", "time", "created", "ends", "distro", "schema",
         "version", "command")  # fmt: skip
TOKEN = "K10" + "0123456789abcdef" * 4 + "::server:sekret123"
NAMES = sorted(MADE)


def problems(document: JSON) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


# --- schema


def test_schema_is_a_schema_and_describes_every_top_field() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [name for name, entry in SCHEMA["properties"].items() if "description" not in entry] == []
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) - {"precheck"}
    assert set(SCHEMA["$defs"]["operation"]["enum"]) == set(_rules.OPERATIONS)
    assert set(SCHEMA["$defs"]["severity"]["enum"]) == set(_rules.SEVERITIES)
    assert set(SCHEMA["properties"]["verdict"]["properties"]["case"]["enum"]) == set(_diagnose.ALLOWED)
    parts = SCHEMA["properties"]["nodes"]["items"]["properties"]["components"]["properties"]
    assert tuple(parts) == _picture.COMPONENTS == tuple(words.COMPONENTS)


@pytest.mark.parametrize("name", NAMES)
def test_documents_are_valid(name: str) -> None:
    assert problems(MADE[name]) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d.update(token=TOKEN), "$"),
        (lambda d: d["findings"][0].update(severity="bad"), "$.findings[0].severity"),
        (lambda d: d["verdict"].update(sentence=""), "$.verdict.sentence"),
        (lambda d: d["nodes"][0]["components"]["etcd"].update(state="dead"), "$.nodes[0].components.etcd.state"),
        (lambda d: d["nodes"][0]["components"].pop("etcd"), "$.nodes[0].components"),
        (lambda d: d["nodes"][0]["member"].update(role="follower"), "$.nodes[0].member.role"),
        (lambda d: d["not_checked"][0].pop("why"), "$.not_checked[0]"),
    ],
)
def test_schema_refuses(change: Callable[[JSON], Any], where: str) -> None:
    document = copy.deepcopy(MADE["lost"])
    change(document)
    assert [problem for problem in problems(document) if problem.startswith(f"{where}:")]


def test_the_three_are_what_they_are_called() -> None:
    seen = {name: (made["verdict"]["case"], made["verdict"]["severity"]) for name, made in MADE.items()}
    assert seen.pop("healthy") == ("healthy", "ok")
    assert seen == {"lost": ("quorum_lost", "blocker"), "stuck": ("member_lost", "blocker")}
    assert [finding["explained_by"] for finding in MADE["stuck"]["findings"]] == [
        None, "upgrade_restarted", "upgrade_restarted", "upgrade_restarted", None,
    ]  # fmt: skip


# --- picture


def drawn(entry: JSON, **more: Any) -> JSON:
    """One node; `more` is the cluster's."""
    seen, _case = _diagnose.viewed(diagnoses.state(entry) | more)
    return _picture.nodes(seen)[0]


def entry(**more: Any) -> JSON:
    return copy.deepcopy(runs.entry("healthy")) | more


FAILED = {"harvester": "v1.3.2", "system_agent": "failed"}


@pytest.mark.parametrize(
    ("component", "given", "state", "said"),
    [
        ("host", entry(), "ok", "answers"),
        ("host", runs.dead("r1"), "wrong", "does not answer: Connection timed out"),
        ("clock", entry(clock_skew=-90.2), "wrong", "90 s behind"),
        ("clock", entry(clock_skew=None), "unknown", "not read"),
        ("unit", entry(), "ok", "active (running)"),
        ("unit", entry(unit={"ActiveState": "activating", "NRestarts": "41"}), "wrong", "activating, 41 restarts"),
        ("unit", entry(unit={"ActiveState": "inactive", "LoadState": "masked"}), "wrong", "masked"),
        ("unit", entry(unit={"ActiveState": "inactive", "LoadState": "not-found"}), "absent", "not installed"),
        ("unit", entry(unit=None, unread={"unit": "no answer before the deadline"}), "unknown", "deadline"),
        ("system_agent", entry(), "absent", "not installed"),
        ("system_agent", entry(system_agent=None), "absent", "not a Harvester"),
        ("system_agent", entry(system_agent=None, harvester=FAILED), "wrong", "failed"),
        ("system_agent", entry(system_agent={"ActiveState": "active"}), "ok", "active"),
        ("etcd", entry(), "ok", "voter"),
        ("etcd", runs.entry("quorum-lost"), "wrong", "no leader"),
        ("etcd", entry(etcd=None, listeners=None, unread={"gateway": "hung"}), "unknown", "hung"),
        ("datastore", runs.entry("wiped"), "wrong", "there is none"),
        ("datastore", entry(etcd=None, datastore=None), "unknown", "not read"),
        ("api", entry(api={"ready": False}, unread={"readyz": "connection refused"}), "wrong", "connection refused"),
        ("api", entry(api={"ready": False}, unread={"readyz": "no answer before the deadline"}), "unknown", "deadline"),
        ("api", entry(api=None, unread={"*": "cut off"}), "unknown", "cut off"),
        ("kubelet", entry(), "ok", "Ready, v1."),
        ("kubelet", entry(api=None), "unknown", "no API was read"),
        ("kubelet", entry(hostname="other"), "ok", "Ready"),
        ("certificates", entry(certificates=[]), "unknown", "none was read"),
        ("certificates", entry(certificates=[{"path": "a", "ends": 1.0, "sha256": "x"}]), "wrong", "1 of 1: expired"),
        ("certificates", entry(certificates=[{"path": "a", "ends": 1795600000, "sha256": "x"}]), "wrong", "ends soon"),
        ("snapshots", entry(snapshots={}), "wrong", "none on this node"),
        ("snapshots", entry(snapshots=None), "unknown", "not read"),
        ("snapshots", entry(snapshots={"/s": {"mtime": 1795000000, "directory": False}}), "wrong", "old"),
        ("disk", entry(disk={"bytes": 100, "free": 9}), "wrong", "9% free"),
        ("disk", entry(disk=None, unread={"disk": "hung"}), "unknown", "hung"),
        ("memory", entry(memory={"bytes": 8 << 30, "available": 64 << 20}), "wrong", "0.1 GB"),
        ("memory", entry(memory=None), "unknown", "not read"),
    ],
)  # fmt: skip
def test_component(component: str, given: JSON, state: str, said: str) -> None:
    part = drawn(given)["components"][component]
    assert part["state"] == state and said in part["words"], part


def test_an_alarm_makes_a_voter_wrong() -> None:
    given = entry()
    given["etcd"]["alarms"] = ["NOSPACE"]
    assert drawn(given)["components"]["etcd"] == {"state": "wrong", "words": "voter, leader, alarm NOSPACE"}


def test_what_a_bundle_does_not_hold_is_unknown_and_not_dead() -> None:
    node = MADE["stuck"]["nodes"][2]
    states = {name: part["state"] for name, part in node["components"].items()}
    told = {"kubelet": "ok", "upgrade": "absent", "longhorn": "absent"}  # of which the API of r1 tells
    assert states == {**dict.fromkeys(states, "unknown"), **told}
    assert node["components"]["host"]["words"] == "nodes/r3.zip is not in the bundle: the collector did not reach it"
    assert node["components"]["unit"]["words"] == "not read"
    assert node["member"] is None and node["certificates"] == []


def test_nothing_that_was_read_is_left_out_of_a_blind_node() -> None:
    """Whatever else is taken away, no component is ok that was not read."""
    blind = {**runs.dead("r1"), "reachable": True, "unread": {"*": "the answer of the node ends in the middle"}}
    states = {name: part["state"] for name, part in drawn(blind)["components"].items()}
    assert {name for name, state in states.items() if state == "ok"} == {"host"}
    assert {name for name, state in states.items() if state == "wrong"} == set()


def test_members_have_term_and_index() -> None:
    assert MADE["lost"]["nodes"][0]["member"] == {
        "id": runs.IDS["r1"], "role": "voter", "term": 2, "index": 1651, "revision": 1473, "leader": False,
    }  # fmt: skip
    stopped = entry(etcd={"health": None, "status": None, "members": None, "alarms": None}, listeners=[], processes=[])
    assert (drawn(stopped)["member"] or {"leader": None})["leader"] is None


def test_agents_have_no_member() -> None:
    seen = diagnoses.state(entry())
    seen["nodes"][0]["role"] = "agent"
    node = _picture.nodes(_diagnose.viewed(seen)[0])[0]
    absent = {name for name, part in node["components"].items() if part["state"] == "absent"}
    assert node["role"] == "agent" and node["member"] is None
    assert absent == {"etcd", "datastore", "api", "snapshots", "system_agent", "upgrade", "longhorn"}


def objects(**found: Any) -> JSON:
    return {"objects": found}


def pod(name: str, ready: str) -> JSON:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def longhorn(schedulable: str) -> JSON:
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Schedulable", "status": schedulable}]
    return {"metadata": {"name": "r1"}, "spec": {}, "status": {"conditions": conditions}}


def upgrade(completed: str, **states: str) -> JSON:
    about = {"conditions": [{"type": "Completed", "status": completed}]}
    return {"metadata": {"name": "hvst-upgrade-a", "labels": {"harvesterhci.io/latestUpgrade": "true"}},
            "status": about | {"nodeStatuses": {name: {"state": state} for name, state in states.items()}}}  # fmt: skip


BLIND = {"etcd": None, "listeners": None, "unread": {"*": "not in a bundle"}}
READY = {"kubernetes": {"nodes": [{"name": "r1", "ready": True}]}}
GONE = {"kubernetes": {"nodes": [{"name": "r1", "ready": False}]}}


@pytest.mark.parametrize(
    ("component", "given", "more", "state", "said"),
    [
        ("etcd", BLIND, READY | objects(pods=[pod("etcd-r1", "True")]), "ok", "calls its pod Ready"),
        ("etcd", BLIND, READY | objects(pods=[pod("etcd-r1", "False")]), "wrong", "its pod is not Ready"),
        ("etcd", BLIND, GONE | objects(pods=[pod("etcd-r1", "True")]), "unknown", "not in a bundle"),
        ("etcd", BLIND, READY | objects(pods=[pod("etcd-r2", "True")]), "unknown", "not in a bundle"),
        ("api", BLIND | {"api": None}, READY | objects(pods=[pod("kube-apiserver-r1", "True")]), "ok", "pod Ready"),
        ("upgrade", {}, {}, "absent", "this cluster has none"),
        ("upgrade", {}, objects(upgrades=[]), "absent", "none is under way"),
        ("upgrade", {}, {"unread": {"objects.upgrades": "cut off"}}, "unknown", "cut off"),
        ("upgrade", {}, objects(upgrades=[upgrade("True", r1="Succeeded")]), "absent", "none is under way"),
        ("upgrade", {}, objects(upgrades=[upgrade("Unknown", r1="Succeeded")]), "ok", "Succeeded"),
        ("upgrade", {}, objects(upgrades=[upgrade("Unknown", r1="Pre-draining")]), "wrong", "Pre-draining"),
        ("upgrade", {}, objects(upgrades=[upgrade("False", r1="Failed")]), "wrong", "Failed"),
        ("upgrade", {}, objects(upgrades=[upgrade("Unknown", r2="Failed")]), "absent", "not named by it"),
        ("longhorn", {}, objects(storage=[]), "wrong", "it has none"),
        ("longhorn", {}, objects(storage=[longhorn("True")]), "ok", "Ready, Schedulable"),
        ("longhorn", {}, objects(storage=[longhorn("Unknown")]), "unknown", "not read"),
        ("longhorn", {}, objects(storage=[longhorn("False")]), "wrong", "not Schedulable"),
        ("longhorn", {}, objects(storage=[pod("r1", "False")]), "wrong", "not Ready"),
        ("longhorn", {}, {}, "absent", "this cluster has none"),
    ],
)  # fmt: skip
def test_what_the_api_says_of_a_node(component: str, given: JSON, more: JSON, state: str, said: str) -> None:
    part = drawn(entry(**given), **more)["components"][component]
    assert part["state"] == state and said in part["words"], part


# --- groups and words


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        ([("a", None), ("b", "a"), ("c", "b"), ("d", None)], [("a", 0, "bc"), ("d", 0, "")]),
        ([("a", None), ("b", "z")], [("a", 0, ""), ("b", 0, "")]),
        ([("b", "a"), ("a", "b")], [("b", 0, "a")]),
        ([("a", None), ("b", "a"), ("a", None), ("b", "a"), ("a", None)], [("a", 2, "bb")]),
        ([], []),
    ],
)
def test_groups(chain: list[tuple[str, str | None]], wanted: list[tuple[str, int, str]]) -> None:
    made = words.groups([{"id": ident, "explained_by": by, "node": None} for ident, by in chain])
    assert [(g.cause["id"], len(g.also), "".join(each["id"] for each in g.follow)) for g in made] == wanted


def test_the_same_on_other_nodes_is_said_once() -> None:
    document = copy.deepcopy(MADE["lost"])
    silent = next(finding for finding in document["findings"] if finding["id"] == "server_unreachable")
    document["findings"] += [{**silent, "node": f"r{n}", "summary": f"r{n} does not answer."} for n in range(4, 51)]
    text = _diagnosis_text.summary(document)
    assert "the same on r4, r5, r6" in text and "r7 does not answer" not in text and len(text.splitlines()) < 50
    assert "r50 does not answer." in _diagnosis_text.summary(document, everything=True)
    assert "r10, r11 and 39 more" in text
    assert "r50 does not answer." in pages.Page(_diagnosis_html.render(document)).text


@pytest.mark.parametrize(
    ("text", "command", "remark"),
    [
        ("ansible-playbook recover.yml -i INV --check", "ansible-playbook recover.yml -i INV --check", ""),
        ("requorum force-sync -i INV --check; it unpauses", "requorum force-sync -i INV --check", "it unpauses"),
        ("kubectl uncordon n1, then look again", "kubectl uncordon n1", "then look again"),
        ("""ansible-playbook recover.yml -e '{"requorum_powered_off": ["r2", "r3"]}'""",
         """ansible-playbook recover.yml -e '{"requorum_powered_off": ["r2", "r3"]}'""", ""),
        ("requorum purge-orphans -i INV --leftovers --check takes them away. Start no other.",
         "requorum purge-orphans -i INV --leftovers --check", "takes them away. Start no other."),
        ("kubectl get nodes -o yaml: its conditions say why.", "kubectl get nodes -o yaml", "its conditions say why."),
        ("kubectl uncordon n1 (or all)", "kubectl uncordon n1", "(or all)"),
        ("timedatectl set-ntp true on r1", "timedatectl set-ntp true", "on r1"),
        ("kubectl uncordon n1.", "kubectl uncordon n1", ""),
        ("/usr/bin/x -y", "/usr/bin/x -y", ""),
        ("Look at its power.", "", "Look at its power."),
        ("recover.yml counts it as dead.", "", "recover.yml counts it as dead."),
    ],
)  # fmt: skip
def test_a_command_and_what_is_said_of_it(text: str, command: str, remark: str) -> None:
    assert words.typed(text) == (command, remark)


@pytest.mark.parametrize(
    ("change", "word"),
    [({}, "Nothing is wrong"), ({"passed": []}, "Not known"), ({"case": "unknown"}, "Not known"),
     ({"case": "unknown", "severity": "blocker"}, "Blocker"), ({"severity": "warning"}, "Warning")],
)  # fmt: skip
def test_no_good_news_of_what_is_not_known(change: JSON, word: str) -> None:
    document = copy.deepcopy(MADE["healthy"])
    document["passed"] = change.pop("passed", document["passed"])
    document["verdict"].update(change)
    assert words.outcome(document).word == word


# --- text


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_text_fits_80_columns(name: str, everything: bool) -> None:
    text = _diagnosis_text.summary(MADE[name], everything=everything)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_text_of_a_stuck_upgrade() -> None:
    text = _diagnosis_text.summary(MADE["stuck"])
    order = ["BLOCKER: prod (Harvester v1.3.2)\nbundle.zip, seen until 2026-11-24T20:15:00Z\n",
             "The upgrade was restarted while n2 was Pre-draining.", "cause: Somebody pressed Upgrade twice.",
             "next: requorum force-sync -i INV --check", "explains 3 others:", "- error, cluster: mcc-harvester",
             "- warning, r1, r2: The kubelet of r1", "info", "CANNOT BOTH BE TRUE", "NOT NOW", "upgrade, reset"[:7],
             "nodes/r3.zip", "it is not in the bundle", "--all lists them", "NEXT\n  requorum force-sync"]  # fmt: skip
    at = [text.find(part) for part in order]
    assert -1 not in at and at[:8] == sorted(at[:8]), list(zip(order, at, strict=True))
    assert "line 8" not in text and "tls_expired" not in text


def test_text_with_everything() -> None:
    text = _diagnosis_text.summary(MADE["stuck"], everything=True)
    for part in ("line 8", "not tls_expired: An expired", "see: harvester#7392", "volumes_faulted", "_behind (r3)"):
        assert part in text, part
    assert "--all" not in text


def test_a_rule_counts_once_for_each_reason() -> None:
    given = (("a", "r1", "cut"), ("b", None, "held"), ("a", "r2", "cut"), ("c", "r1", "cut"))
    made = words.unchecked({"not_checked": [{"rule": rule, "node": node, "why": why} for rule, node, why in given]})
    assert made == [("cut", ["a (r1, r2)", "c (r1)"]), ("held", ["b"])]


def test_many_consequences_are_counted() -> None:
    document = copy.deepcopy(MADE["stuck"])
    cause = document["findings"][0]
    document["findings"] = [cause, *({**cause, "id": f"follows_{n}", "explained_by": cause["id"]} for n in range(14))]
    text = _diagnosis_text.summary(document)
    assert "explains 14 others:" in text and "- and 6 more" in text


def test_long_lines_are_cut_unless_all_is_asked_for() -> None:
    document = copy.deepcopy(MADE["lost"])
    document["findings"][0]["evidence"] = ["word " * 100 + "end"]
    assert "end" not in _diagnosis_text.summary(document).split("\n\n")[2]
    assert "end" in _diagnosis_text.summary(document, everything=True).split("\n\n")[2]


def test_things_of_the_cluster_are_named_each() -> None:
    document = copy.deepcopy(MADE["lost"])
    first = {**document["findings"][0], "node": None}
    document["findings"] = [{**first, "summary": f"vol-{n} is faulted."} for n in range(12)]
    text = _diagnosis_text.summary(document)
    assert "11 more of the same:" in text and "- vol-8 is faulted." in text and "- and 3 more" in text


# --- page


@pytest.mark.parametrize("name", NAMES)
def test_page_says_everything_and_fetches_nothing(name: str) -> None:
    document = MADE[name]
    page = pages.Page(_diagnosis_html.render(document))
    following = document["verdict"]["next"]
    for text in (document["verdict"]["sentence"], document["cluster"], following and following["command"],
                 *(finding["summary"] for finding in document["findings"]),
                 *(line for finding in document["findings"] for line in finding["evidence"]),
                 *(each["text"] for each in document["contradictions"]),
                 *(each["what"] for each in document["refused"]), *(each["why"] for each in document["not_checked"]),
                 *(part["words"] for node in document["nodes"] for part in node["components"].values()
                   if part["state"] != "absent"),
                 *(each["why"] for each in document["source"]["unread"])):  # fmt: skip
        assert text is None or text in page.text, text
    assert page.requests() == []
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & set(page.tags)


def test_every_state_has_a_shape_and_a_word_of_its_own() -> None:
    page = pages.Page(_diagnosis_html.render(MADE["stuck"]))
    labels = {value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"}
    assert {"ok", "wrong", "unknown", "absent", "expired"} <= labels
    html = _diagnosis_html.render(MADE["stuck"])
    shapes = {state: html.partition(f'aria-label="{state}">')[2].partition("</svg>")[0].strip() for state in
              ("ok", "wrong", "unknown", "absent")}  # fmt: skip
    assert len(set(shapes.values())) == 4 and all(shapes.values())


def test_verdict_comes_first_and_identifiers_last() -> None:
    html = _diagnosis_html.render(MADE["stuck"])
    places = [html.index(text) for text in ("<h1>", 'class="command"', 'id="refused"', 'id="wrong"',
                                            "explains 3 others", 'id="contradictions"', 'id="picture"', 'id="members"',
                                            'id="certificates"', 'id="unchecked"', 'id="identifiers"')]  # fmt: skip
    assert places == sorted(places)


@pytest.mark.parametrize("poison", ["<script>alert(1)</script>", '"><img src=http://x.invalid onerror=alert(1)>',
                                    "'><svg onload=alert(1)>", "{{ 7 * 7 }}", "</style><b>", "</title><b>"])
@pytest.mark.parametrize("name", NAMES)
def test_page_escapes_every_text(name: str, poison: str) -> None:
    bad = pages.poisoned(MADE[name], poison, FIXED)
    clean, page = pages.Page(_diagnosis_html.render(MADE[name])), pages.Page(_diagnosis_html.render(bad))
    assert set(page.tags) <= set(clean.tags) | {"title"}
    assert not [name for _tag, name, _value in page.attributes if name.startswith("on")]
    assert page.requests() == []
    assert " ".join(poison.split()) in page.text


def test_no_face_shows_a_token() -> None:
    document = copy.deepcopy(MADE["lost"])
    document["findings"][0]["evidence"] += [TOKEN, "token: sekret123", "client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRF"]
    document["nodes"][0]["components"]["api"]["words"] = "Bearer sekret123"
    faces = (_diagnosis_html.render, _diagnosis_junit.render, _diagnosis_text.summary)
    for text in [face(document) for face in faces] + [_diagnosis_text.summary(document, everything=True)]:
        assert "sekret123" not in text and "0123456789abcdef" not in text and "LS0tLS1" not in text


def test_page_of_what_could_not_be_read_brings_no_good_news() -> None:
    document = _diagnose.diagnose(diagnoses.state(), diagnoses.RULES[:1])
    document |= {"passed": [], "cluster": None, "time": None}
    assert problems(document) == []
    text = pages.Page(_diagnosis_html.render(document)).text
    assert "Not known" in text and "nothing that you have to do" not in text and "Nothing was found wrong" not in text


# --- axis


def test_the_axis_has_now_between_what_ended_and_what_ends() -> None:
    drawn = axis(MADE["stuck"])
    assert drawn is not None
    rows = {row["label"]: row["marks"] for row in drawn["rows"]}
    assert rows["r3"] == []
    expired, *good = rows["r2"]
    assert expired["state"] == "expired" and expired["x"] < drawn["now"] < good[0]["x"]
    assert all(3 <= mark["x"] <= 97 for marks in rows.values() for mark in marks)
    assert [tick["x"] for tick in drawn["ticks"]] == sorted(tick["x"] for tick in drawn["ticks"])


def test_marks_that_lie_on_each_other_are_one_of_the_worst_state() -> None:
    document = copy.deepcopy(MADE["healthy"])
    same = [{"name": state, "ends": "2027-11-24T21:00:55Z", "state": state} for state in ("ok", "foreign")]
    document["nodes"][0]["certificates"] = [*same, {"name": "ca", "ends": "2036-11-21T00:00:00Z", "state": "ok"}]
    drawn = axis(document)
    assert drawn is not None
    first, second = drawn["rows"][0]["marks"]
    assert (first["count"], first["state"], second["count"]) == (2, "foreign", 1)
    assert second["x"] - first["x"] > CLOSE


@pytest.mark.parametrize("change", [{"time": None}, {"nodes": []}])
def test_no_axis_without_a_time_or_a_certificate(change: JSON) -> None:
    assert axis({**MADE["healthy"], **change}) is None


# --- JUnit

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "testcase": {"classname", "name", "time"},
    "failure": {"type", "message"}, "skipped": {"message"}, "property": {"name", "value"},
}  # fmt: skip
CHILDREN = {"testsuites": ["testsuite"], "testsuite": ["properties", "testcase"], "properties": ["property"],
            "testcase": ["skipped", "failure", "system-out", "system-err"]}  # fmt: skip
"""The part of Jenkins' junit-10.xsd, in its order, that we use; GitLab and GitHub read the same."""


@pytest.mark.parametrize("name", NAMES)
def test_junit_is_what_ci_systems_read(name: str) -> None:
    top = ElementTree.fromstring(_diagnosis_junit.render(MADE[name]))
    assert top.tag == "testsuites"
    for element in top.iter():
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set())
        order = [CHILDREN[element.tag].index(child.tag) for child in element]
        assert order == sorted(order)
    (suite,) = top
    cases = suite.findall("testcase")
    assert int(suite.attrib["tests"]) == len(cases) == MADE[name]["checked"]
    assert len({case.attrib["name"] for case in cases}) == len(cases)
    for kind in ("failure", "skipped"):
        assert int(suite.attrib["failures" if kind == "failure" else kind]) == len(suite.findall(f"testcase/{kind}"))
    red = MADE[name]["verdict"]["severity"] in ("blocker", "error")
    assert bool(suite.findall("testcase/failure")) is red


def test_junit_tells_failed_skipped_and_passed_apart() -> None:
    top = ElementTree.fromstring(_diagnosis_junit.render(MADE["stuck"]))
    cases = {case.attrib["name"]: case for case in top.iter("testcase")}
    assert {name: [child.tag for child in case] for name, case in cases.items()} == {
        "upgrade_restarted": ["failure"], "chart_failed": ["failure"], "endpoint_silent": ["system-out"],
        "kubelet_behind": ["system-out", "system-err"], "volumes_faulted": ["skipped"], "disk_full": ["skipped"],
    }  # fmt: skip
    failure = cases["upgrade_restarted"].find("failure")
    assert failure is not None and "kubelet v1.34.3" in (failure.text or "")


def test_junit_holds_no_character_that_xml_forbids() -> None:
    document = copy.deepcopy(MADE["lost"])
    document["findings"][0]["evidence"].append("a\x00b\x1b[31mc\ufffe\ud800 <&>")
    text = _diagnosis_junit.render(document)
    assert "a?b?[31mc?? <&>" in str(ElementTree.fromstring(text).findtext(".//failure"))


# --- browser


class TestBrowser:
    """The page as a browser sees it."""

    pytestmark = pages.browser

    @pytest.mark.parametrize("name", NAMES)
    def test_opens_without_errors_and_without_requests(self, name: str, tmp_path: Path) -> None:
        visit = pages.Visit(_diagnosis_html.render(MADE[name]), tmp_path / "visit")
        page = pages.Page(visit.dom)
        assert MADE[name]["verdict"]["sentence"] in page.text
        assert "Identifiers" in page.text
        assert visit.console == []
        assert visit.asked == []
        assert visit.shot.read_bytes().startswith(b"\x89PNG")
