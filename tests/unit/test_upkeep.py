# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upkeep: what is known, what is not, what is said of it, and with which exit code."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _rules, _upkeep, _upkeep_judge, _upkeep_text
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._upkeep import Backups, Kept
from ansible_collections.requorum.cluster.plugins.module_utils._upkeep_judge import Thresholds
from ansible_collections.requorum.cluster.plugins.module_utils._upkeep_logs import WATCHED, Searched
from ansible_collections.requorum.cluster.plugins.plugin_utils import _upkept
from tests.unit.runs import HEALTHY, dead, entry

JSON = dict[str, Any]
TIME = "2026-11-24T12:00:00Z"
NOW = int(datetime.fromisoformat(TIME).timestamp())
HOUR, DAY = 3600, 86400
GOOD = Backups((Kept("/b/20261124T090000Z/backup/r1/snapshot.db", NOW - 3 * HOUR, True, 1400),))
LEAF, CA = "server/tls/serving-kube-apiserver.crt", "server/tls/server-ca.crt"


def state(*entries: JSON, hits: list[JSON] | None = None) -> JSON:
    """A healthy cluster, or one of these nodes, whose logs were read since 06:00."""
    nodes = copy.deepcopy(list(entries) or HEALTHY["nodes"])
    logs = [
        {"node": node["name"], "source": "etcd", "file": "etcd.log", "lines": 9, "bytes": 900,
         "first": "2026-11-24T06:00:00Z", "last": TIME}
        for node in nodes
    ]  # fmt: skip
    return {**HEALTHY, "time": TIME, "nodes": nodes, "logs": logs, "hits": hits or []}


def hit(pattern: str, *times: str, count: int = 0, node: str = "r1") -> JSON:
    last = max(times, default=None)
    return {"pattern": pattern, "node": node, "source": "etcd", "file": "etcd.log", "count": count or len(times),
            "first": min(times, default=None), "last": last, "times": list(times), "lines": []}  # fmt: skip


def look(given: JSON, backups: Backups | None = GOOD, **more: Any) -> JSON:
    found = _upkeep.upkeep(given, backups, **{"searched": WATCHED, **more})
    return dict(json.loads(json.dumps(found)))


def said(document: JSON) -> list[tuple[str, str, str | None]]:
    return [(each["id"], each["severity"], each["node"]) for each in document["findings"]]


def missed(document: JSON) -> list[tuple[str, str | None, bool]]:
    return [(each["what"], each["node"], each["optional"]) for each in document["unknown"]]


def test_a_healthy_cluster() -> None:
    found = look(state())
    assert (found["cluster"], found["time"], found["parts"]) == ("prod", TIME, list(_upkeep.PARTS))
    assert (found["unknown"], found["findings"], _upkeep_judge.code(found)) == ([], [], 0)
    assert [row["name"] for row in found["certificates"][:2]] == [CA, LEAF]
    assert [row["authority"] for row in found["certificates"][:2]] == [True, False]
    assert found["certificates"][1] | {"days": 0} == {
        "node": "r1", "name": LEAF, "authority": False, "ends": 1827090055, "days": 0,
    }  # fmt: skip
    assert found["certificates"][1]["days"] == pytest.approx(365.4, abs=0.1)
    assert found["etcd"][0] == {
        "node": "r1", "healthy": True, "problem": None, "leader": True, "bytes": 1986560, "in_use": 1986560,
        "quota": 2147483648, "fragmented": False, "alarms": [], "slow_fsync": 0, "leader_changes": 0,
        "logs_from": "2026-11-24T06:00:00Z",
    }  # fmt: skip
    assert [row["leader"] for row in found["etcd"]] == [True, False, False]
    best = found["backups"]["newest_proved"]
    assert (best["age_s"], best["revision"], best["off_node"]) == (3 * HOUR, 1400, True)
    assert (found["backups"]["count"], found["backups"]["unproved"], found["backups"]["complete"]) == (1, 0, True)
    assert [row["node"] for row in found["backups"]["on_nodes"]] == ["r1", "r2", "r3"]
    assert found["backups"]["on_nodes"][0]["age_s"] == NOW - 1795511546


def test_only_the_parts_that_were_asked_for() -> None:
    found = look(state(dead("r1")), None, parts=["backups"])
    assert (found["parts"], found["certificates"], found["etcd"]) == (["backups"], None, None)
    assert missed(found) == [("backups", None, False), ("snapshots", "r1", True)]


@pytest.mark.parametrize(
    ("path", "days", "finding"),
    [
        (LEAF, -3.0, ("certificates_ended", "error")),
        (LEAF, 6.9, ("certificates_due", "error")),
        (LEAF, 29.9, ("certificates_due", "warning")),
        (LEAF, 30.1, None),
        (CA, 364.0, ("certificates_due", "warning")),
        (CA, 366.0, None),
        (CA, 6.0, ("certificates_due", "error")),
    ],
)
def test_ends_of_certificates(path: str, days: float, finding: tuple[str, str] | None) -> None:
    given = state()
    next(row for row in given["nodes"][1]["certificates"] if row["path"].endswith(path))["ends"] = NOW + days * DAY
    found = look(given)
    assert said(found) == ([(*finding, "r2")] if finding else [])
    assert _upkeep_judge.code(found) == (4 if finding and finding[1] == "error" else 0)
    if finding:
        playbook = "rotate_ca.yml" if path == CA else "rotate_certs.yml"
        assert playbook in found["findings"][0]["action"] and path in found["findings"][0]["evidence"][0]


def test_ended_and_ending_certificates_of_a_node_are_told_apart() -> None:
    given = state()
    for row, days in zip(given["nodes"][0]["certificates"], (900, -2, 20), strict=True):
        row["ends"] = NOW + days * DAY
    found = look(given)
    assert said(found) == [("certificates_ended", "error", "r1"), ("certificates_due", "warning", "r1")]
    assert found["findings"][0]["summary"] == f"Certificates of r1: 1 ended. The first: {LEAF} ended 2 d ago."


def test_clocks_come_first() -> None:
    given = state()
    given["nodes"][0]["clock_skew"] = 4000.0
    given["nodes"][0]["certificates"][1]["ends"] = NOW - DAY
    found = look(given)
    assert said(found) == [("clock_skew", "error", None), ("certificates_ended", "error", "r1")]
    assert found["findings"][0]["summary"] == "The clocks differ: by the controller's r1 is 4000 s ahead."
    assert found["nodes"][0] == {"name": "r1", "server": True, "reachable": True, "clock_skew": 4000.0}


def without_certificates(node: JSON) -> None:
    node["certificates"] = []


def broken_certificate(node: JSON) -> None:
    node["certificates"][0]["ends"] = None


def silent(node: JSON) -> None:
    node.clear()
    node.update(dead("r2"))


def old_etcd(node: JSON) -> None:
    node["etcd"]["status"] |= {"version": "3.5.26", "quota": None}


def no_gateway(node: JSON) -> None:
    node["etcd"] |= {"status": None, "alarms": None}
    node["unread"]["gateway"] = "no answer before the deadline"


def no_health(node: JSON) -> None:
    node["etcd"]["health"] = None


def no_snapshots(node: JSON) -> None:
    node["snapshots"] = None


@pytest.mark.parametrize(
    ("change", "what", "code"),
    [
        (without_certificates, [("certificates", False)], 1),
        (broken_certificate, [("certificates", False)], 1),
        (silent, [("certificates", False), ("etcd.health", False), ("etcd.size", False), ("etcd.quota", True),
                  ("snapshots", True)], 1),
        (old_etcd, [("etcd.quota", True)], 0),
        (no_gateway, [("etcd.size", False), ("etcd.quota", True)], 1),
        (no_health, [("etcd.health", False)], 1),
        (no_snapshots, [("snapshots", True)], 0),
    ],
)  # fmt: skip
def test_what_was_not_read_is_null_and_named(
    change: Callable[[JSON], None], what: list[tuple[str, bool]], code: int
) -> None:
    given = state()
    change(given["nodes"][1])
    found = look(given)
    assert missed(found) == [(word, "r2", optional) for word, optional in what]
    assert (found["findings"], _upkeep_judge.code(found)) == ([], code)
    assert all(each["why"] for each in found["unknown"])
    assert len([row for row in found["certificates"] if row["node"] == "r1"]) == 3


def test_an_old_etcd_does_not_tell_its_quota() -> None:
    given = state()
    old_etcd(given["nodes"][1])
    found = look(given)
    assert found["etcd"][1]["quota"] is None
    assert found["unknown"][0]["why"] == "etcd 3.5.26 does not tell it"


def test_a_server_that_is_off_says_why_nothing_is_known() -> None:
    found = look(state(*HEALTHY["nodes"][:2], dead("r3")))
    assert {each["why"] for each in found["unknown"]} == {"Connection timed out"}
    row = next(row for row in found["etcd"] if row["node"] == "r3")
    assert {key for key, value in row.items() if value is not None} == {"node", "slow_fsync", "leader_changes",
                                                                        "logs_from"}  # fmt: skip


def test_nobody_looked_at_is_not_all_well() -> None:
    found = look({"cluster": "prod", "time": TIME, "nodes": []}, GOOD)
    assert (missed(found), _upkeep_judge.code(found)) == ([("*", None, False)], 1)
    found = _upkeep.failed("prod", "ssh: no route to host")
    assert (_upkeep_judge.code(found), found["certificates"], found["etcd"]) == (1, None, None)
    assert _upkeep_text.headline(found) == "NOT READ: prod: 1 not read. ssh: no route to host"


def test_a_state_without_a_time_is_refused() -> None:
    with pytest.raises(RequorumError, match="no time"):
        _upkeep.upkeep({**state(), "time": None}, GOOD)


def test_an_agent_needs_neither_certificates_nor_etcd() -> None:
    agent = entry("healthy", "r3") | {"role": "agent", "certificates": [], "etcd": None, "snapshots": None}
    found = look(state(*HEALTHY["nodes"][:2], agent))
    assert (found["unknown"], [row["node"] for row in found["etcd"]]) == ([], ["r1", "r2"])


@pytest.mark.parametrize(
    ("size", "used", "quota", "finding"),
    [
        (1_500_000_000, 1_490_000_000, 2_000_000_000, []),
        (1_600_000_000, 1_590_000_000, 2_000_000_000, [("etcd_space", "warning")]),
        (1_900_000_000, 1_890_000_000, 2_000_000_000, [("etcd_space", "error")]),
        (1_900_000_000, 1_890_000_000, None, []),
        (300_000_000, 190_000_000, 2_000_000_000, [("etcd_fragmented", "info")]),
        (300_000_000, 290_000_000, 2_000_000_000, []),
    ],
)
def test_room(size: int, used: int, quota: int | None, finding: list[tuple[str, str]]) -> None:
    given = state()
    given["nodes"][2]["etcd"]["status"] |= {"bytes": size, "in_use": used, "quota": quota}
    found = look(given)
    assert said(found) == [(*each, "r3") for each in finding]
    assert found["etcd"][2]["fragmented"] == (finding == [("etcd_fragmented", "info")])


def test_an_alarm_is_the_clusters() -> None:
    given = state()
    for node in given["nodes"]:
        node["etcd"] |= {"alarms": ["NOSPACE"], "health": {"ok": False, "reason": "ALARM NOSPACE"}}
    found = look(given)
    assert said(found) == [("etcd_alarm", "error", None)]
    assert "--tags nospace" in found["findings"][0]["action"]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("quorum-lost", "etcd on r1 runs and sees no leader."), ("wiped", "etcd on r1 does not run.")],
)
def test_an_etcd_that_is_not_well(kind: str, problem: str) -> None:
    found = look(state(entry(kind)), parts=["etcd"])
    assert said(found) == [("etcd_unhealthy", "error", "r1")]
    assert (found["findings"][0]["summary"], found["etcd"][0]["healthy"]) == (problem, False)
    assert _upkeep_judge.code(found) == 4


SLOW, LEADER = "etcd_slow_fsync", "etcd_leader_changes"
TODAY, BEFORE = "2026-11-24T08:00:00Z", "2026-11-23T11:00:00Z"


@pytest.mark.parametrize(
    ("hits", "counts", "finding"),
    [
        ([hit(SLOW, *[TODAY] * 4)], (4, 0), []),
        ([hit(SLOW, *[TODAY] * 3), hit(SLOW, *[TODAY] * 2)], (5, 0), [SLOW]),
        ([hit(SLOW, *[BEFORE] * 9)], (0, 0), []),
        ([hit(SLOW, count=7)], (7, 0), [SLOW]),
        ([hit(SLOW, *[BEFORE] * 1000, count=1005)], (0, 0), []),
        ([hit(SLOW, *[TODAY] * 1000, count=1005)], (1005, 0), [SLOW]),
        ([hit(SLOW, *[BEFORE] * 999, TODAY, count=1005)], (1, 0), []),
        ([hit(SLOW, BEFORE, TODAY, count=3)], (2, 0), []),
        ([hit(LEADER, *[TODAY] * 4), hit("etcd_lost_leader", *[TODAY] * 9)], (0, 4), [LEADER]),
        ([hit(LEADER, *[TODAY] * 4, node="r9")], (0, 0), []),
    ],
)
def test_what_logs_say_in_the_last_day(hits: list[JSON], counts: tuple[int, int], finding: list[str]) -> None:
    found = look(state(hits=hits))
    assert (found["etcd"][0]["slow_fsync"], found["etcd"][0]["leader_changes"]) == counts
    assert said(found) == [(each, "warning", "r1") for each in finding]
    assert _upkeep_judge.code(found) == 0


def test_logs_that_nobody_searched_say_nothing() -> None:
    found = look(state(hits=[hit(SLOW, *[TODAY] * 9)]), searched=Searched())
    assert found["etcd"][0]["slow_fsync"] is None
    assert missed(found) == [("etcd.logs", None, False)]
    given = state()
    given["logs"] = [log for log in given["logs"] if log["node"] != "r2"] + [{**given["logs"][1], "source": "kubelet"}]
    found = look(given)
    assert (found["etcd"][1]["slow_fsync"], found["etcd"][1]["logs_from"]) == (None, None)
    assert missed(found) == [("etcd.logs", "r2", False)]


def test_the_window_is_a_day() -> None:
    given = state()
    given["logs"][0]["first"] = "2026-11-20T00:00:00Z"
    assert look(given)["etcd"][0]["logs_from"] == "2026-11-23T12:00:00Z"


def test_there_are_rules_for_what_is_watched() -> None:
    rules = {rule.id: rule for rule in _rules.load()}
    limits = Thresholds()
    for ident, count in ((WATCHED.slow_fsync, limits.slow_fsync), (WATCHED.leader_changes, limits.leader_changes)):
        logs = rules[ident[0]].logs
        assert logs and (logs.count, logs.within) == (count, limits.log_hours * 60)


def kept(age: float, *, proved: bool = True, off: bool = True) -> Kept:
    return Kept(f"/b/{age}/snapshot.db", int(NOW - age), proved, 9, off)


@pytest.mark.parametrize(
    ("backups", "finding", "age"),
    [
        (Backups((kept(HOUR), kept(9 * DAY))), [], HOUR),
        (Backups((kept(DAY + 1),)), ["backup_old"], DAY + 1),
        (Backups(), ["backup_none"], None),
        (Backups((kept(HOUR, proved=False),)), ["backup_none"], None),
        (Backups((kept(HOUR, proved=False), kept(2 * DAY))), ["backup_old"], 2 * DAY),
        (Backups((kept(HOUR, off=False),)), ["backup_none"], HOUR),
        (Backups((kept(HOUR, off=False), kept(2 * HOUR))), [], 2 * HOUR),
        (Backups((kept(-HOUR),)), ["backup_future"], -HOUR),
        (Backups((kept(2 * DAY),), {"s3": "no answer"}), [], 2 * DAY),
    ],
)
def test_the_newest_proved_backup_off_the_nodes(backups: Backups, finding: list[str], age: int | None) -> None:
    found = look(state(), backups)
    assert said(found) == [(each, "error", None) for each in finding]
    assert (found["backups"]["newest_proved"] or {"age_s": None})["age_s"] == age
    unread = [(f"backups.{place}", None, False) for place in backups.unread]
    assert (missed(found), _upkeep_judge.code(found)) == (unread, 4 if finding else 1 if unread else 0)


def test_no_limit_of_the_age() -> None:
    assert said(look(state(), Backups((kept(99 * DAY),)), thresholds=Thresholds(backup_max_age=0))) == []


def test_the_text_for_people() -> None:
    given = state(*HEALTHY["nodes"][:2], dead("r3"))
    given["nodes"][0]["certificates"][1]["ends"] = NOW - 3 * DAY
    old_etcd(given["nodes"][1])
    shown = _upkeep_text.text(look(given, Backups((kept(2 * DAY), kept(HOUR, proved=False)))))
    assert shown == (Path(__file__).parent / "data" / "upkeep.txt").read_text()
    assert max(map(len, shown.split("\n"))) <= 80


def test_long_names_leave_room_for_the_columns() -> None:
    given = state()
    given["nodes"][0]["name"] = "control-plane-1.kubernetes.example.org"
    given["nodes"][0]["certificates"][1]["path"] = (
        "/var/lib/rancher/rke2/server/tls/kube-controller-manager/kube-controller-manager.crt"
    )
    shown = _upkeep_text.text(look(given))
    assert max(map(len, shown.split("\n"))) <= 80
    assert "\n  control-plane-1.kubernetes.example.org\n" in shown


def test_what_nodes_say_does_not_reach_the_terminal_as_it_is() -> None:
    shown = _upkeep_text.text(look(state(dead("r1") | {"unread": {"*": "\x1b[2Jgone\nfor good"}})))
    assert "\x1b" not in shown and "\\x1b[2Jgone" in shown


def run(shelf: Path, stamp: str, *, cluster: str = "prod", right: bool = True) -> None:
    """A run that has made a backup."""
    folder = shelf / stamp / "backup" / "r1"
    folder.mkdir(parents=True)
    (folder / "snapshot.db").write_bytes(b"12345")
    (shelf / stamp / "plan.json").write_text(
        json.dumps({"saver": "r1", "stamp": stamp, "cluster": cluster, "purpose": "backup"})
    )
    checks = [{"name": "token", "ok": right}]
    (shelf / stamp / "backup.json").write_text(json.dumps({"bytes": 5, "revision": 7, "checks": checks}))


def test_backups_on_the_controller(tmp_path: Path) -> None:
    shelf = tmp_path / "prod"
    run(shelf, "20261124T090000Z")
    run(shelf, "20261124T100000Z", right=False)
    (shelf / "20261124T110000Z").mkdir()  # a run that has none yet
    found = _upkept.backups(state(), str(shelf))
    assert [(kept.time, kept.proved, kept.revision, kept.off_node) for kept in found.found] == [
        (NOW - 3 * HOUR, True, 7, True),
        (NOW - 2 * HOUR, False, 7, True),
    ]
    assert found.unread == {}
    assert _upkept.backups(state(), str(tmp_path / "none")) == Backups()


def test_backups_in_a_state_for_rules(tmp_path: Path) -> None:
    shelf = tmp_path / "prod"
    run(shelf, "20261124T090000Z")
    given = {**state(), "unread": {}}
    seen = _upkept.known(given, _upkept.backups(given, str(shelf)))
    (kept,) = seen["backups"]["kept"]
    assert seen["backups"]["complete"] and (kept["proved"], kept["off_node"]) == (True, True) and seen["unread"] == {}
    seen = _upkept.known(given, Backups((), {"controller": "denied"}), "bucket b")
    assert seen["backups"] == {"complete": False, "kept": []}
    assert seen["unread"] == {"backups": "controller: denied; s3: bucket b was not looked at"}


def test_what_cannot_be_listed_is_no_missing_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise RequorumError("The bucket does not answer.", "Try again.")

    def denied(_path: str) -> list[str]:
        raise PermissionError(13, "Permission denied")

    found = _upkept.backups(state(), str(tmp_path), refused)
    assert found == Backups((), {"s3": "The bucket does not answer. Try again."})
    monkeypatch.setattr(os, "listdir", denied)
    unread = _upkept.backups(state(), str(tmp_path)).unread
    assert unread["controller"].startswith(f"{tmp_path} cannot be read: Permission denied.") and len(unread) == 1


def test_a_run_that_this_user_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "20261124T090000Z")
    monkeypatch.setattr(os, "access", lambda *_given: False)  # root may read everything
    assert "may not be read" in _upkept.backups(state(), str(tmp_path)).unread["controller"]


def test_a_controller_that_is_a_node_holds_nothing_off_the_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "prod", "20261124T090000Z")
    given = state()
    given["nodes"][1] |= {
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "hostname": "another",  # a container on this machine
    }
    assert _upkept.backups(given, str(tmp_path / "prod")).found[0].off_node
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert not _upkept.backups(given, str(tmp_path / "prod")).found[0].off_node


def test_the_whole_look_on_the_controller(tmp_path: Path) -> None:
    run(tmp_path / "prod", "20261122T090000Z")
    file = tmp_path / "requorum.prom"
    given = {"requorum_backup_max_age": "360000", "requorum_cert_days": 400, "requorum_ca_days": ""}
    found = _upkept.look(state(), given, shelf=str(tmp_path / "prod"), prometheus=str(file))
    assert (found["code"], found["document"]["thresholds"]["backup_max_age"]) == (0, 360000)
    assert said(found["document"]) == [("certificates_due", "warning", name) for name in ("r1", "r2", "r3")]
    assert found["text"].startswith("OK: prod: 3 warnings. Certificates of r1: 2 due.")
    assert 'requorum_backup_revision{cluster="prod"} 7\n' in file.read_text()


@pytest.mark.parametrize("given", ["many", -1, "nan", [3]])
def test_a_threshold_is_a_number(given: Any) -> None:
    with pytest.raises(RequorumError, match="requorum_cert_days is"):
        _upkept.thresholds({"requorum_cert_days": given})
