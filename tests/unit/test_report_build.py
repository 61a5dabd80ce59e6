# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.json out of the files of a run: every ending is valid by the schema and says what is true."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._report import Record, build
from ansible_collections.requorum.cluster.plugins.module_utils._report_html import render
from ansible_collections.requorum.cluster.plugins.module_utils._report_text import summary
from tests.unit.runs import HEALTHY, JSON, dead, done, entry, plan, state
from tests.unit.test_report import SCHEMA, problems

ENDED = "2026-11-24T20:17:30.500Z"
TWO = state(entry("healthy"), entry("healthy", "r2"), dead("r3"))
SPLIT = copy.deepcopy(TWO)
SPLIT["nodes"][1]["etcd"]["status"]["cluster_id"] = "ab"
OFF = state(entry("quorum-lost"), dead("r2"), dead("r3"))
BACK = state(entry("quorum-lost"), entry("wiped", "r2"), entry("wiped", "r3"))
MADE = plan(BACK)
BACKUP = {
    "path": "/root/recoveries/prod/x/backup/r1/snapshot.db",
    "node_path": "/var/lib/rancher/requorum/x/snapshot.db",
    "sha256": "ab" * 32,
    "bytes": 16818208,
    "revision": 1473,
    "checks": [{"name": "token", "wanted": "e2e2", "observed": "e2e2", "ok": True}],
}
CHECKS = [{"name": "workloads", "wanted": "1 processes go on", "observed": "1 processes go on", "ok": True}]


def record(made: JSON, before: JSON, **files: Any) -> Record:
    return Record(plan=made, before=before, **{"ended": ENDED, **files})


RUNS = {
    "healthy": record(plan(HEALTHY), HEALTHY),
    "planned": record(MADE, BACK, mode="check"),
    "gate": record(MADE, BACK),
    "recovered": record(
        MADE,
        BACK,
        after=HEALTHY,
        actions=done(MADE),
        backup=BACKUP,
        checks=CHECKS,
        reset={"node": "r1", "moved": ["/var/lib/rancher/rke2/server/db/etcd-old-1795511600"]},
    ),
    "not_redundant": record(
        plan(OFF, powered_off=("r2", "r3")), OFF, after=OFF, actions=done(plan(OFF, powered_off=("r2", "r3")))
    ),
    "failed in RESET": record(MADE, BACK, actions=done(MADE, until="reset", fails=True), backup=BACKUP, final=True),
    "failed in REJOIN": record(MADE, BACK, actions=done(MADE, until="rejoin", fails=True), backup=BACKUP, final=True),
    "stopped": record(MADE, BACK, actions=done(MADE, until="fence"), final=True),
    "still running": record(MADE, BACK, actions=done(MADE, until="fence"), ended=None),
    "refused": record(plan(OFF), OFF),
    "split brain": record(plan(SPLIT), SPLIT),
    "unknown": record(plan(state(dead("r1"), dead("r2"), dead("r3"))), state(dead("r1"), dead("r2"), dead("r3"))),
    "no way": record(plan(TWO), TWO),
    "nothing due": record({**plan(TWO), "refusals": []}, TWO),
}
OUTCOMES = {
    "healthy": "healthy",
    "planned": "planned",
    "gate": "planned",
    "recovered": "recovered",
    "not_redundant": "not_redundant",
    "failed in RESET": "failed",
    "failed in REJOIN": "failed",
    "stopped": "failed",
    "still running": "planned",
    "refused": "refused",
    "split brain": "refused",
    "unknown": "refused",
    "no way": "refused",
    "nothing due": "idle",
}


@pytest.mark.parametrize("name", RUNS)
def test_every_ending(name: str) -> None:
    report = build(RUNS[name])
    assert problems(report) == []
    assert report["verdict"]["outcome"] == OUTCOMES[name]
    assert report["verdict"]["sentence"]
    assert json.loads(json.dumps(report)) == report
    assert "<html" in render(report)
    assert summary(report)


def test_schema_is_the_published_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_to_type_next() -> None:
    made = RUNS["planned"].plan
    assert build(RUNS["planned"])["verdict"]["next"] == (
        f"ansible-playbook recover.yml -i inventory -e requorum_confirm=prod -e requorum_plan_id={made['plan_id']}"
    )
    again = "ansible-playbook recover.yml -i inventory -e requorum_confirm=prod"
    assert build(RUNS["failed in RESET"])["verdict"]["next"] == again
    assert build(RUNS["not_redundant"])["verdict"]["next"] == again
    assert "requorum_powered_off" in build(RUNS["refused"])["refusals"][0]["next"]
    assert build(RUNS["recovered"])["verdict"]["next"] is None
    assert build(RUNS["healthy"])["verdict"]["next"] is None


def test_a_harvester_is_told_its_way_back_to_an_upgrade() -> None:
    run = RUNS["not_redundant"]
    nodes = [{**node, "harvester": {"harvester": "v1.3.1"}} for node in run.before["nodes"]]
    report = build(replace(run, before={**run.before, "nodes": nodes}))
    then = report["verdict"]["then"]
    assert [words.split()[1] for words in then] == [
        *("purge-orphans", "join-config", "await-join", "force-sync", "verify", "upgrade"),
    ]
    assert "--dead r3 --leftovers --check" in then[0]
    assert then[-1] == "requorum upgrade -i inventory --to VERSION --plan"
    assert problems(report) == []
    for text in (render(report), " ".join(summary(report).split())):
        assert "requorum upgrade -i inventory --to VERSION --plan" in text
    assert not build(run)["verdict"]["then"] and not build(RUNS["planned"])["verdict"]["then"]


def test_verdicts_name_the_servers() -> None:
    assert (
        build(RUNS["recovered"])["verdict"]["sentence"] == "Recovered: 3 of 3 servers are voters and the API answers."
    )
    assert build(RUNS["not_redundant"])["verdict"]["sentence"] == "Recovered, not yet redundant: r2, r3 must come back."
    assert build(RUNS["failed in RESET"])["verdict"]["sentence"].startswith("Not finished: r1: it did not work.")


def test_point_of_no_return_is_passed_by_the_start() -> None:
    for name, passed in {
        "failed in RESET": False,
        "failed in REJOIN": True,
        "recovered": True,
        "planned": False,
        "healthy": False,
    }.items():
        point = build(RUNS[name])["point_of_no_return"]
        assert (point["passed"], point["at"] is not None) == (passed, passed), name


def test_members_before_and_after() -> None:
    members = build(RUNS["recovered"])["members"]
    assert [(m["node"], m["role"], m["note"]) for m in members["before"]] == [
        ("r1", "voter", "no leader"),
        ("r2", "absent", "no datastore"),
        ("r3", "absent", "no datastore"),
    ]
    assert [(m["node"], m["role"], m["leader"]) for m in members["after"]] == [
        ("r1", "voter", True),
        ("r2", "voter", False),
        ("r3", "voter", False),
    ]
    assert build(RUNS["planned"])["members"]["after"] == []
    assert [m["role"] for m in build(RUNS["refused"])["members"]["before"]] == ["voter", "unreachable", "unreachable"]


def test_survivor_and_its_distance_to_the_others() -> None:
    survivor = build(RUNS["recovered"])["survivor"]
    assert survivor["node"] == "r1"
    assert [(rank["node"], rank["note"]) for rank in survivor["ranking"]] == [
        ("r1", None),
        ("r2", "datastore absent"),
        ("r3", "datastore absent"),
    ]
    assert build(RUNS["healthy"])["survivor"] is None
    assert build(RUNS["unknown"])["survivor"] is None


def test_distance_is_to_the_one_that_got_furthest_whoever_acts() -> None:
    """While the quorum stands, servers stand by name, and the first one may be a write behind."""
    ahead = copy.deepcopy(TWO)
    ahead["nodes"][1]["etcd"]["status"]["revision"] += 3
    report = build(record(plan(ahead), ahead))
    assert [rank["distance"] for rank in report["survivor"]["ranking"]][:2] == [3, 0]
    assert report["survivor"]["reason"] == "it is a voter of the quorum that stands"
    assert problems(report) == []


def test_what_lies_aside_is_listed_with_its_size_and_what_removes_it() -> None:
    """By the journals at the end: what this run has moved, and what earlier runs have."""
    after = copy.deepcopy(HEALTHY)
    mine = RUNS["recovered"].reset["moved"][0]
    older = "/var/lib/rancher/rke2/server/db/etcd-requorum-20261101T000000Z"
    origin = "/var/lib/rancher/rke2/server/db/etcd"
    after["nodes"][0]["aside"] = [{"path": mine, "origin": origin, "bytes": 4096, "run": "20261124T201500Z"}]
    after["nodes"][1]["aside"] = [{"path": older, "origin": origin, "bytes": 8192, "run": "20261101T000000Z"}]
    run = replace(RUNS["recovered"], after=after)
    report = build(run)
    [first, second] = [kept for kept in report["kept"] if kept["remove"]]
    assert first == {
        "node": "r1",
        "path": mine,
        "bytes": 4096,
        "what": "moved aside by the reset",
        "origin": origin,
        "run": "20261124T201500Z",
        "cleanup": "ansible-playbook playbooks/cleanup.yml -i inventory -e requorum_run=20261124T201500Z "
        "-e requorum_confirm=prod",
        "remove": f"rm -rf {mine}",
    }
    assert (second["node"], second["path"], second["what"]) == ("r2", older, "moved aside by run 20261101T000000Z")
    assert problems(report) == []
    html, text = render(report), summary(report)
    for path in (mine, older):
        assert f"rm -rf {path}" in html and path in text.replace("\n", "")
    assert html.count("playbooks/cleanup.yml -i inventory -e requorum_run=20261101T000000Z") == 1
    assert "requorum_run=20261101T000000Z" in text


def test_kept_backup_and_workloads() -> None:
    report = build(RUNS["recovered"])
    assert [(kept["node"], kept["what"]) for kept in report["kept"]] == [
        ("r1", "moved aside by the reset"),
        ("r1", "snapshot"),
        ("controller", "the same snapshot, proved"),
    ]
    assert {kept["remove"] for kept in report["kept"]} == {None}  # no journal of a node tells of any of it
    assert report["backup"]["checks"] == [{"name": "token", "ok": True, "observed": "e2e2"}]
    assert report["workloads"] == {"before": 1, "after": 1, "stopped": []}
    assert build(RUNS["planned"])["backup"] is None and build(RUNS["planned"])["workloads"] is None


def test_datastores_that_a_rejoin_moved_aside_are_listed() -> None:
    actions = copy.deepcopy(RUNS["recovered"].actions)
    next(a for a in actions if a["verb"] == "rejoin")["result"] = (
        "joins; kept: /var/lib/x/etcd-requorum-1, /var/lib/x/tls-requorum-1"
    )
    kept = build(record(MADE, BACK, actions=actions))["kept"]
    assert [(k["node"], k["path"]) for k in kept] == [
        ("r2", "/var/lib/x/etcd-requorum-1"),
        ("r2", "/var/lib/x/tls-requorum-1"),
    ]


def test_time_of_the_run() -> None:
    run = build(RUNS["recovered"])["run"]
    assert (run["seconds"], run["id"], run["mode"]) == (150.5, "20261124T201500Z", "run")
    assert build(record(MADE, BACK, ended=None))["run"]["seconds"] is None
    assert build(RUNS["healthy"])["run"]["plan_id"] is None


@pytest.mark.parametrize(
    ("newest", "ended", "age", "words"),
    [
        (None, ENDED, None, "none"),
        ({"time": 1795540350, "revision": 2484}, ENDED, 11100, "3 h 5 min old, revision 2484"),
        ({"time": 1795540350, "revision": None}, ENDED, 11100, "3 h 5 min old"),
        ({"time": 1795540350, "revision": None}, None, None, "age not known"),
        ({"time": 1795551450 + 600, "revision": 1}, ENDED, 0, "0 s old, revision 1"),
    ],
)
def test_age_of_the_newest_proved_backup(newest: JSON | None, ended: str, age: int | None, words: str) -> None:
    name = "s3://backups/prod/20261124T171230Z-r1.db"
    report = build(record(MADE, BACK, newest=newest and {"name": name, **newest}, ended=ended))
    assert problems(report) == []
    if newest:
        assert report["newest_backup"]["age_s"] == age
    assert f"NEWEST PROVED BACKUP OFF THE NODE: {words}\n" in summary(report)
    page = render(report)
    assert f"Newest proved backup off the node</dt><dd>{words}" in page
    assert (name in page) is (newest is not None)
    del report["newest_backup"]
    assert "NEWEST PROVED" not in summary(report) and "Newest proved" not in render(report)


def test_secrets_do_not_leave() -> None:
    token = "K10" + "0123456789abcdef" * 4 + "::server:sekret123"
    actions = copy.deepcopy(RUNS["recovered"].actions)
    actions[0]["result"] = f"failed: r1: token: {token} was refused"
    before = copy.deepcopy(BACK)
    before["nodes"][0]["logs"] = [f"joining with {token}", "--token sekret123"]
    text = json.dumps(build(record(MADE, before, actions=actions)))
    assert "sekret" not in text and "K10" not in text


def test_an_even_number_of_servers_is_warned_of_before_anything_is_done() -> None:
    pair = state(entry("quorum-lost"), dead("r2"))
    pair["nodes"][0]["etcd"]["members"] = pair["nodes"][0]["etcd"]["members"][:2]
    made = plan(pair, powered_off=("r2",))
    assert made["case"] == "quorum_lost" and made["actions"]
    for servers, before, words in ((2, pair, "The cluster has 2 voters: an even number bears"), (3, BACK, "")):
        report = build(record(plan(before, powered_off=("r2",) if servers == 2 else ()), before, mode="check"))
        found = [f for f in report["findings"] if f["id"] == "members_even"]
        assert [(f["severity"], f["summary"][: len(words)]) for f in found] == ([("warning", words)] if words else [])
        assert ("an even number bears" in " ".join(summary(report).split())) == bool(words)
