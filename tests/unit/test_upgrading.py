# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The watching of an upgrade, over upgrades that the lab plays and a clock that a test turns."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _hops,
    _jmes,
    _progress,
    _stall,
    _upgrade_html,
    _upgrade_plan,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside, _survey, _upgrades, _upgrading
from lab.harvester.upgrade import films
from lab.harvester.upgrade.films import NAME
from tests.unit import upgrades
from tests.unit.test_progress import NAMED

PACE = 10.0
SERVERS = ("n1", "n2", "n3")


class Acting:
    """An action on a host, as far as the watching uses it."""

    def __init__(self, played: Played, host: str) -> None:
        self.played, self.host = played, host
        self._task = SimpleNamespace(args={"cluster": "prod", "pace": played.pace})
        self.orphaned = False
        self.vars = {"groups": {"servers": SERVERS}, "hostvars": {name: {} for name in SERVERS}}

    def timeout(self, _name: str, default: float) -> float:
        return default

    def typed(self, value: Any) -> Any:
        return value

    def say(self, text: str) -> None:
        self.played.said.append(text)

    def script(self, name: str, **_words: Any) -> Any:
        assert name == "upgrade_log"
        if self.host in self.played.away:
            raise AnsibleConnectionFailure("No route to host")
        lines = upgrades.log(self.played.shown, self.played.now)
        return SimpleNamespace(rc=0, out="\n".join(["/var/log/pods/x/0.log", *lines]) if lines else "")


class Played:
    """An upgrade that goes on by one look each time that somebody sleeps; the last look stays."""

    def __init__(self, film: Sequence[upgrades.Shown], monkeypatch: pytest.MonkeyPatch) -> None:
        self.film, self.at, self.said = list(film), 0, list[str]()
        self.asked = list[tuple[str, tuple[str, ...]]]()
        self.away: set[str] = set()
        self.silent: range = range(0)
        self.slept, self.pace = 0.0, PACE
        first = next((at for each in film if (at := _progress.look(each, NAME, now=0))), None)
        self.begun = (first and first.since) or 0.0
        monkeypatch.setattr(_survey, "Reader", self.reader)
        monkeypatch.setattr(_beside, "beside", lambda _action, host: Acting(self, host))

    @property
    def shown(self) -> upgrades.Shown:
        return self.film[min(self.at, len(self.film) - 1)]

    @property
    def now(self) -> float:
        return self.begun + self.slept

    def reader(self, action: Acting, _deadline: str, *, api: bool) -> Any:
        assert api

        def of(names: Sequence[str]) -> dict[str, Any]:
            self.asked.append((action.host, tuple(names)))
            if self.at in self.silent:
                return dict.fromkeys(names, f"{action.host}: get upgrades: connection refused.")
            if action.host in self.away:
                raise AnsibleConnectionFailure("No route to host")
            return {name: self.shown.get(name, []) for name in names}

        return SimpleNamespace(of=of)

    def sleep(self, seconds: float) -> None:
        self.at += 1
        self.slept += seconds

    def watch(self, folder: Path) -> _upgrading.Watch:
        timeline = str(Path(_upgrading.folder_of(str(folder), NAME)) / "timeline.jsonl")
        return _upgrading.Watch(
            Acting(self, "n1"), NAME, timeline, SERVERS, clock=lambda: self.now, sleep=self.sleep  # type: ignore[arg-type]
        )


def told(folder: Path) -> list[dict[str, Any]]:
    """The timeline."""
    path = folder / "upgrades" / NAME / "timeline.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def begun(film: list[upgrades.Shown]) -> list[upgrades.Shown]:
    """From where its controller has seen it."""
    return film[next(i for i, each in enumerate(film) if _progress.latest(each)) :]


FILM = begun(upgrades.film())


def test_it_is_watched_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(FILM, monkeypatch)
    watch = played.watch(tmp_path)
    assert watch.to_the_end().ended == "succeeded"
    entries = told(tmp_path)
    assert [entry["phase"] for entry in entries] == sorted(entry["phase"] for entry in entries)
    assert {entry["phase"] for entry in entries} == {0, 1, 2, 3, 4, 5}
    assert any("[harvester-system/hvst-upgrade-x7k2p-pre-drain-n2: " in line for line in played.said)
    assert len(played.asked) == watch.looks <= len(FILM)


def test_it_asks_less_than_two_requests_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(FILM, monkeypatch)
    played.watch(tmp_path).to_the_end()
    asked = sum(len(names) + 1 for _host, names in played.asked)  # and kube-system, to know the cluster
    assert asked / (played.slept + PACE) <= 2


def test_an_api_that_is_away_for_two_minutes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = [*FILM[:30], *[FILM[29]] * 12, *FILM[30:]]
    played = Played(film, monkeypatch)
    played.silent = range(30, 42)
    assert played.watch(tmp_path).to_the_end().ended == "succeeded"
    assert any("no API answers (n" in line and "seen last: hvst-upgrade" in line for line in played.said)


def test_the_next_server_answers_where_one_reboots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(FILM, monkeypatch)
    played.away = {"n1"}
    assert played.watch(tmp_path).to_the_end().ended == "succeeded"
    hosts = [host for host, _names in played.asked]
    assert hosts[:3] == ["n1", "n2", "n2"] and set(hosts[1:]) == {"n2"}  # the one that answered last is asked first


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(FILM, monkeypatch)
    played.silent = range(20, 10_000)
    with pytest.raises(RequorumError, match=r"No API server has answered for 30 minutes: n\d: get.*seen last: hvst"):
        played.watch(tmp_path).to_the_end()
    assert played.slept <= 20 * PACE + _upgrading.SILENT_S + 2 * PACE


def test_one_that_somebody_deletes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played([*FILM[:20], {**FILM[20], "upgrades": []}], monkeypatch)
    with pytest.raises(RequorumError, match=f"The Upgrade {NAME} is gone: somebody has deleted it. seen last"):
        played.watch(tmp_path).to_the_end()


@pytest.mark.parametrize("at", range(0, len(FILM), 10))
def test_one_that_begins_to_watch_anywhere_sees_on(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher that was killed there, and run again."""
    first = Played(FILM[: at + 1], monkeypatch).watch(tmp_path)
    seen, _why = first._read()
    if not first._step(seen):
        first._sleep(0)
    played = Played(FILM[at:], monkeypatch)
    assert played.watch(tmp_path).to_the_end().ended == "succeeded"
    rows = {row["name"]: row["bars"] for row in _upgrade_html.rows(told(tmp_path))}
    assert rows["cluster"][-1]["word"] == "5 cleanup"


@pytest.mark.parametrize("stall", NAMED)
def test_a_stall_ends_it_within_one_look_behind_its_threshold(
    stall: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, quiet, rule = NAMED[stall]
    film = begun(upgrades.film(**{stall.replace("-", "_"): about}))
    played = Played(film, monkeypatch)
    played.pace = 60.0
    with pytest.raises(_upgrading.Stalled) as error:
        played.watch(tmp_path).to_the_end()
    assert error.value.stall.rule == rule and error.value.stall.next in str(error.value)
    changed = played.begun + (len(film) - 1) * played.pace
    assert played.now <= changed + quiet + 2 * played.pace, (played.now - changed, quiet)


def test_one_that_stood_still_before_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = [upgrades.film(pre_hook_unanswered="n2")[-1]]
    played = Played(film, monkeypatch)
    played.slept = 2 * _stall.STALL_S
    with pytest.raises(_upgrading.Stalled, match=r"--nudge pre-drain n2"):
        played.watch(tmp_path).to_the_end()
    assert len(played.asked) == 1


def test_the_chart_has_a_bar_for_each_state_of_each_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Played(FILM, monkeypatch).watch(tmp_path).to_the_end()
    entries = told(tmp_path)
    rows = {row["name"]: [bar["word"] for bar in row["bars"]] for row in _upgrade_html.rows(entries)}
    states = ["Images preloading", "Images preloaded", "Pre-draining", "Pre-drained", "Post-draining",
              "Waiting Reboot", "Succeeded"]  # fmt: skip
    assert {name: rows[name] for name in SERVERS} == dict.fromkeys(SERVERS, states)
    for row in _upgrade_html.rows(entries):
        assert abs(sum(bar["width"] for bar in row["bars"]) + row["bars"][0]["x"] - 100) < 1
    page = _upgrade_html.render(NAME, entries)
    assert "succeeded" in page and "Waiting Reboot" in page and _jmes.seconds(entries[0]["time"])
    assert _upgrade_html.render(NAME, [])


def test_a_watcher_that_nobody_hears_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of an ansible-playbook that was killed would watch on, and hold the lock."""
    played = Played(FILM, monkeypatch)
    watch = played.watch(tmp_path)
    monkeypatch.setattr(watch._action, "orphaned", True)
    with pytest.raises(RequorumError, match="ansible-playbook has ended"):
        watch.to_the_end()
    assert not played.asked


def test_an_iso_with_another_checksum_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = films.start("v1.3.2", SERVERS, {"pace": "10"})
    world["versions"].append(films.version("v1.4.0", checksum="0" * 128))
    world["upgrades"].append(films.upgrade("v1.4.0"))
    played = Played(begun(list(films.run(world))), monkeypatch)
    with pytest.raises(_upgrading.Stalled, match=r"has failed: .*expected checksum 0+ doesn't match the file") as error:
        played.watch(tmp_path).to_the_end()
    assert error.value.stall.rule == "upgrade_failed"
    assert _upgrade_plan.plan("prod", "v1.4.0", _hops.load(), played.shown, "v1.3.2", [])["do"] == "start"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "n1: this cluster is no Harvester: it has no upgrades of one. Clusters of RKE2 and K3s"),
        ("n1: get upgrades: forbidden: you cannot list.", "n1: get upgrades: forbidden: you cannot list. Nothing was"),
    ],
)
def test_no_harvester_and_no_permission(answer: str | None, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(FILM, monkeypatch)
    reader = SimpleNamespace(of=lambda names: dict.fromkeys(names, answer))
    monkeypatch.setattr(_survey, "Reader", lambda *_words, **_given: reader)
    with pytest.raises(RequorumError) as error:
        _upgrades.read(Acting(played, "n1"))  # type: ignore[arg-type]
    assert str(error.value).startswith(why)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("[Thu Nov 28 23:10:01 UTC 2026] Running x errors, will retry after 10 minutes (3 retries)...",
         "[Thu Nov 28 23:20:02 UTC 2026] Running x errors, will retry after 10 minutes (4 retries)...", True),
        ("time=2026-11-28T23:10:01Z level=error msg=full", "time=2026-11-28T23:20:01Z level=error msg=full", True),
        ("Waiting for VM shutdown...(count: 3)", "Waiting for VM shutdown...(count: 2)", False),
        ("Waiting for volume pvc-1 to be healthy...", "Waiting for volume pvc-2 to be healthy...", False),
    ],
)  # fmt: skip
def test_what_is_new_in_a_log(one: str, other: str, same: bool) -> None:
    def said(text: str) -> str:
        return _upgrading._same(f"2026-11-28T23:00:00.1Z stdout F {text}")

    assert (said(one) == said(other)) is same


def test_since_when_a_log_repeats_itself() -> None:
    begun = 1_780_000_000.0
    lines = [f"{upgrades.iso(begun + 10 * i)} stdout F waiting (count: {5 - i // 20})" for i in range(60)]
    assert _upgrading._newest(lines) == begun + 400  # the count fell for the last time
    assert _upgrading._newest([f"{upgrades.iso(begun + i)} stdout F waiting" for i in range(60)]) == 0
    assert _upgrading._newest([]) == 0


def test_a_run_that_begins_anew_in_a_slow_drain_watches_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects have not changed for an hour, but the count of machines falls."""
    shown = upgrades.film(predrain_vms="n2")[-1]
    played = Played([shown], monkeypatch)
    played.slept = 2 * _stall.UNKNOWN_S

    def falling(_shown: upgrades.Shown, end: float) -> list[str]:
        said = [f"stderr F Waiting for VM shutdown...(count: {90 - i // 6})" for i in range(60)]
        return [f"{upgrades.iso(end - 10 * (60 - i))} {text}" for i, text in enumerate(said)]

    monkeypatch.setattr(upgrades, "log", falling)
    watch = played.watch(tmp_path)
    seen, _why = watch._read()
    assert not watch._step(seen)


def test_nodes_that_a_person_has_paused_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = upgrades.film(planner_silent="")[-1]
    for entry in shown["upgrades"][0]["status"]["nodeStatuses"].values():
        entry["state"] = _progress.PAUSED
    played = Played([shown], monkeypatch)
    played.slept = 2 * _stall.UNKNOWN_S
    watch = played.watch(tmp_path)
    seen, _why = watch._read()
    assert not watch._step(seen)
    assert "waits for a person to let n1 or n2 or n3 go on" in played.said[-1]
    played.slept = _stall.PERSON_S + played.slept
    with pytest.raises(_upgrading.Stalled, match="set its nodes to unpause"):
        watch._step(seen)


def test_pods_of_long_names_are_found_as_kubernetes_cuts_them() -> None:
    name = "apply-hvst-upgrade-x7k2p-prepare-on-n1-with-ac6a0e1b5533b-d8a2f"
    job = {"metadata": {"namespace": "cattle-system", "name": name}}
    assert _upgrading._pods(job) == "cattle-system_apply-hvst-upgrade-x7k2p-prepare-on-n1-with-ac6a0e1b5533b-"
    assert _upgrading._pods({"metadata": {"namespace": "ns", "name": "short"}}) == "ns_short-"


def test_behind_its_end_the_clean_up_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"plans": [{"metadata": {"name": f"{NAME}-cleanup"}}], "images": [], "vms": [], "volumes": []}
    broken = [{"metadata": {"name": "pvc-1"}, "status": {"robustness": "degraded"}}]
    played = Played([left, {**left, "plans": [], "volumes": broken}, {**left, "plans": []}], monkeypatch)
    watch = played.watch(tmp_path)
    watch.until_clean()
    assert played.at == 2 and f"plans {NAME}-cleanup" in played.said[0] and "1 volumes" in played.said[1]
    played = Played([left], monkeypatch)
    played.watch(tmp_path).until_clean()
    assert played.slept >= _upgrading.CLEAN_S and "still there after 60 minutes" in played.said[-1]


def test_a_torn_line_of_a_timeline_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"time": "2026-01-01T00:00:00Z"}\n{"time": "20')
    assert _upgrading.entries(str(path)) == [{"time": "2026-01-01T00:00:00Z"}]
    assert _upgrading.entries(str(tmp_path / "none")) == []


def test_an_answer_that_never_comes_is_an_answer_that_does_not_come() -> None:
    with pytest.raises(AnsibleConnectionFailure, match="no answer within 1 s"), _upgrading._within(1):
        time.sleep(5)
