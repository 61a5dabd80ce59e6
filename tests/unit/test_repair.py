# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs by name: what is due, in which order it is done, and what is refused."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _classify,
    _diagnose,
    _distro,
    _plan,
    _repair,
    _server,
    _turns,
)
from tests.unit.runs import DRILL, HEALTHY, JSON, dead, entry
from tests.unit.runs import plan as recovery

DROPIN = "/etc/rancher/rke2/config.yaml.d/zz-requorum.yaml"
TOMBSTONE = "/var/lib/rancher/rke2/server/db/etcd/tombstone"
FILE = {"bytes": 0, "mtime": 0, "directory": False}


def healthy() -> list[JSON]:
    return copy.deepcopy(HEALTHY["nodes"])


def alarmed(kind: str = "NOSPACE") -> list[JSON]:
    entries = healthy()
    for one in entries:
        one["etcd"] |= {"alarms": [kind], "alarmed": {"ffbbfb231af65097": kind}}
        if kind == "CORRUPT":
            one["etcd"]["health"] = {"ok": False, "reason": "ALARM CORRUPT"}
    return entries


def large(*names: str, size: int = 900_000_000, used: int = 100_000_000) -> list[JSON]:
    entries = healthy()
    for one in entries:
        if one["name"] in names:
            one["etcd"]["status"] |= {"bytes": size, "in_use": used}
    return entries


def stopped(name: str) -> JSON:
    one = entry("rebooted", name)
    one["etcd"]["health"], one["processes"], one["listeners"] = None, [], []
    one["unit"]["ActiveState"] = "inactive"
    one["datastore"] |= {"cluster_id": HEALTHY["nodes"][0]["etcd"]["status"]["cluster_id"]}
    one["datastore"] |= {"member_id": {"r2": "ffbbfb231af65097", "r3": "77c97c7d5f0ed9c"}.get(name, "234c43afee9063f9")}
    members = HEALTHY["nodes"][0]["etcd"]["members"]
    one["datastore"]["summary"] = {"revision": 5, "term": 2, "index": 5, "members": members}
    return one


def judged(entries: list[JSON]) -> _classify.Case:
    return _classify.classify([_server.view(one) for one in entries])


def plan(entries: list[JSON], *repairs: str, only: tuple[str, ...] = (), **options: object) -> _plan.Plan:
    ask = _turns.Ask("prod", entries, (), only, {"repairs": repairs, **options})
    return _repair.plan(judged(entries), _distro.DISTROS["rke2"], ask)


def work(made: _plan.Plan) -> list[str]:
    return [f"{action.node} {action.verb}" for action in made.actions if action.phase == 4]


def due(entries: list[JSON]) -> list[str]:
    return [f"{item.node} {item.name}" for item in _repair.due(judged(entries), entries)]


def leader(entries: list[JSON]) -> str:
    return next(server.name for server in judged(entries).servers if server.leader)


def test_a_healthy_cluster_needs_nothing() -> None:
    assert due(healthy()) == []
    for names in ((), ("nospace",), _repair.NAMES[:3], ("crashed",)):
        made = plan(healthy(), *names)
        assert (made.actions, made.refusals) == ((), ())
        assert ("No repair is due" if not names else f"Not needed: {names[0]}") in made.reason


def test_without_a_tag_nothing_is_done_and_everything_is_offered() -> None:
    made = plan(alarmed())
    assert made.actions == ()
    assert "Due, and done when named by --tags: nospace." in made.reason


def test_an_unknown_repair_is_refused() -> None:
    assert plan(healthy(), "defrag").refusals[0].what == "There is no repair defrag."


def test_a_full_datastore_is_compacted_then_defragmented_then_disarmed() -> None:
    entries = alarmed()
    last = leader(entries)
    followers = [one["name"] for one in entries if one["name"] != last]
    made = plan(entries, "nospace")
    assert made.case == "api_down" and not made.refusals
    assert work(made) == [
        f"{followers[0]} compact",
        *(f"{name} defragment" for name in (*followers, last)),
        f"{last} disarm",
        f"{last} settle",
    ]
    assert [action.verb for action in made.actions][:1] == ["snapshot"]
    assert made.actions[-1].verb == "verify"


def test_a_full_datastore_is_repaired_while_a_member_is_lost() -> None:
    entries = [*alarmed()[:2], dead("r3")]
    assert judged(entries).kind == "member_lost"
    assert "playbooks/repair.yml --tags nospace" in judged(entries).refusals[0].next
    assert [line.split()[1] for line in work(plan(entries, "nospace"))] == [
        *("compact", "defragment", "defragment", "disarm", "settle")
    ]


def test_a_corrupt_member_forbids_every_repair() -> None:
    case = judged(alarmed("CORRUPT"))
    assert case.kind == "unknown" and case.survivor
    for names in (("nospace",), ("defragment",), ("leftovers",), ("crashed",)):
        made = plan(alarmed("CORRUPT"), *names)
        assert made.actions == () and "CORRUPT" in made.refusals[0].what


def test_defragmentation_takes_the_leader_last_and_only_what_is_worth_it() -> None:
    entries = large("r1", "r2", "r3")
    last = leader(entries)
    made = plan(entries, "defragment")
    turns = list(dict.fromkeys(action.turn for action in made.actions if action.turn))
    assert turns[-1] == last and sorted(turns) == ["r1", "r2", "r3"]
    assert work(made)[:3] == [f"{turns[0]} {verb}" for verb in ("margin", "yield", "defragment")]
    assert {line.split()[0] for line in work(plan(large("r2"), "defragment"))} == {"r2"}
    assert {line.split()[0] for line in work(plan(entries, "defragment", only=("r3",)))} == {"r3"}


@pytest.mark.parametrize(
    ("size", "used", "free_mb", "worth"),
    [
        (900_000_000, 100_000_000, 100, True),
        (900_000_000, 800_000_000, 100, False),  # 100 MB of 900: not a quarter
        (90_000_000, 10_000_000, 100, False),
        (90_000_000, 10_000_000, 50, True),
        (900_000_000, 0, 100, False),  # an old etcd that does not say it
    ],
)
def test_what_is_worth_a_defragmentation(size: int, used: int, free_mb: int, worth: bool) -> None:
    made = plan(large("r2", size=size, used=used), "defragment", defragment_mb=free_mb)
    assert bool(made.actions) == worth


def test_leftovers_of_a_voter_are_moved_and_the_unit_is_released() -> None:
    entries = healthy()
    entries[1]["files"] |= {DROPIN: FILE, TOMBSTONE: FILE}
    made = plan(entries, "leftovers")
    assert work(made) == ["r2 clear"]
    assert "r2 release" in [f"{action.node} {action.verb}" for action in made.actions]
    [item] = _repair.due(judged(entries), entries)
    assert item.files == (DROPIN, TOMBSTONE)


def test_a_unit_that_a_killed_run_has_disabled_is_released() -> None:
    entries = healthy()
    entries[1]["journal"] = ["enabled=enabled"]
    assert due(entries) == []
    entries[1]["unit"]["UnitFileState"] = "disabled"
    made = plan(entries, "leftovers")
    assert work(made) == [] and "r2 release" in [f"{action.node} {action.verb}" for action in made.actions]


def test_leftovers_of_a_server_that_is_no_voter_belong_to_its_rejoin() -> None:
    gone = entry("wiped", "r3")
    gone["files"] |= {TOMBSTONE: FILE}
    assert due([*healthy()[:2], gone]) == []


def test_a_load_balancer_file_that_names_a_stranger_is_a_leftover() -> None:
    entries = healthy()
    path = "/var/lib/rancher/rke2/agent/etc/rke2-agent-load-balancer.json"
    entries[0]["balancers"] = {path: [one["host"] for one in entries]}
    assert due(entries) == []
    entries[0]["balancers"][path].append("10.9.9.9")
    [item] = _repair.due(judged(entries), entries)
    assert item.files == (path,) and item.evidence == (f"{path} names 10.9.9.9",)


def test_a_stale_etcd_is_taken_away_and_the_server_is_started() -> None:
    stale = stopped("r3")
    stale["processes"] = [{"pid": 9, "parent": 1, "state": "S", "start": 1, "name": "etcd", "args": ""}]
    entries = [*healthy()[:2], stale]
    assert due(entries) == ["r3 leftovers"]
    assert work(plan(entries, "leftovers"))[0] == "r3 fence"


def test_crashed_servers_are_started_together_and_nothing_is_reset() -> None:
    entries = [stopped("r1"), stopped("r2"), dead("r3")]
    assert judged(entries).kind == "quorum_recoverable"
    assert due(entries) == [f"{judged(entries).base[0].name} crashed"]
    made = plan(entries, "crashed")
    assert [line for line in work(made) if line.endswith("start")] == ["r1 start", "r2 start"]
    assert not {action.verb for action in made.actions} & {"reset", "fence", "rejoin", "remove"}
    assert {action.turn for action in made.actions} == {""}
    refused = plan(copy.deepcopy(DRILL["nodes"]), "crashed")
    assert refused.actions == () and "recover.yml" in refused.refusals[-1].next


def test_findings_have_the_command() -> None:
    entries = alarmed()
    before = {**HEALTHY, "nodes": entries}
    found = _diagnose.of_run(recovery(before), before)
    assert [(one["id"], one["severity"]) for one in found][:1] == [("repair_nospace", "blocker")]
    assert found[0]["action"] == "ansible-playbook playbooks/repair.yml -i inventory --tags nospace --check"


def test_a_planner_that_a_run_has_left_paused_goes_on() -> None:
    entries = healthy()
    for one in entries:
        one["api"]["capi"] = {"paused": True, "braked": "20261128T120000Z"}
    assert due(entries) == ["r1 leftovers"]
    made = plan(entries, "leftovers")
    assert [f"{a.node} {a.verb}" for a in made.actions if a.phase > 3] == [
        *("r1 unbrake", "r1 release", "r1 save", "r1 verify")
    ]
    for one in entries:
        one["api"]["capi"] = {"paused": True, "braked": None}  # by somebody else
    assert due(entries) == []
