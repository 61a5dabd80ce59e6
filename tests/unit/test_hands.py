# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the comparison of a recovery by hand with recover.yml says, without a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from bench import hands
from bench.hands import Measured, Turn
from lab.progress import LabError

HAND = [Turn(200.0, 40.0, 190.0, 199.0, 2.0, {"reset": 9.0, "r2 is active": 60.0}) for _ in range(3)]
STEPS = {"RESET": 9.0, "REJOIN": 20.0}
PLAY = [Turn(whole, 38.0, 50.0, 80.0, 2.5, STEPS, whole - 78) for whole in (90.0, 85.0, 99.0)]


def test_steps_by_hand_are_as_long_as_the_time_since_the_step_before() -> None:
    assert hands.durations("1.500 stopped\n9.500 reset\n40.000 API answers\n") == {
        "stopped": 1.5, "reset": 8.0, "API answers": 30.5}  # fmt: skip


def test_the_table_has_medians_ratios_and_what_was_wanted() -> None:
    text = hands.table("rke2", True, Measured({"by hand": HAND, "recover.yml": PLAY}))
    assert "| whole recovery | <= 0.5 x | 200.0 s | 90.0 s | 0.45 | yes |" in text
    assert "| API back | no later | 40.0 s | 38.0 s | 0.95 | yes |" in text
    assert "Medians of 3 and 3 turns; load 2.0 and 2.5." in text
    assert "recover.yml without its waits: 12.0 s (wanted: at most 15 s)." in text
    assert f"by hand      {'#' * 12}{'=' * 45}{'-' * 3} 200 s" in text
    assert "| all units active |  | 199.0 s | 80.0 s | 0.40 |  |" in text
    assert "- recover.yml: RESET 9.0, REJOIN 20.0" in text


def test_a_goal_that_is_missed_is_said() -> None:
    late = [Turn(120.0, 41.0, 50.0, 90.0)]
    text = hands.table("rke2", True, Measured({"by hand": HAND, "recover.yml": late}))
    assert "| whole recovery | <= 0.5 x | 200.0 s | 120.0 s | 0.60 | NO |" in text
    assert "| API back | no later | 40.0 s | 41.0 s | 1.02 | NO |" in text
    text = hands.table("rke2", False, Measured({"by hand": HAND, "recover.yml": [Turn(210.0, 40.0, 50.0, 90.0)]}))
    assert "| whole recovery | <= 10 s more | 200.0 s | 210.0 s | 1.05 | yes |" in text


class FakeLab:
    """Takes note of what is asked of it."""

    servers = ("r1", "r2", "r3")

    def __init__(self, *_args: Any, **_more: Any) -> None:
        self.made = self.ended = 0
        FakeLab.last = self

    def up(self) -> None:
        self.made += 1

    def down(self) -> None:
        self.ended += 1


def test_after_a_turn_that_fails_the_lab_is_made_anew_and_the_table_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def one(_lab: FakeLab, way: str) -> Turn:
        asked.append(way)
        if len(asked) == 2:
            raise LabError("recover.yml: exit code 2")
        return Turn(10.0, 5.0, 8.0, 9.0)

    monkeypatch.setattr(hands, "Lab", FakeLab)
    monkeypatch.setattr(hands.objects, "write_objects", lambda _lab: None)
    monkeypatch.setattr(hands, "one", one)
    measured = hands.measure("k3s", True, 2)
    assert asked == ["by hand", "recover.yml"] * 2
    assert [len(turns) for turns in measured.turns.values()] == [2, 1]
    assert (FakeLab.last.made, FakeLab.last.ended) == (2, 2)
    assert "k3s, turn 1, recover.yml: recover.yml: exit code 2" in hands.table("k3s", True, measured)
    assert hands.table("k3s", True, Measured({"by hand": [], "recover.yml": HAND}, ["why"])) == (
        "K3s, real pace: no figures\nwhy")  # fmt: skip


def test_a_script_that_fails_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Spec:
        distro = "rke2"

        def host(self, _name: str) -> Any:
            return type("Host", (), {"ip": "10.0.0.1"})()

    class Lab(FakeLab):
        spec = Spec()

        def ssh_command(self, _host: str) -> list[str]:
            return ["ssh", "rancher@10.0.0.1"]

    @contextlib.contextmanager
    def watched(_lab: Any) -> Iterator[Turn]:
        yield Turn()

    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/by_hand.sh").write_text("echo 1.0 stopped; echo oops >&2; exit 3")
    monkeypatch.setattr(hands, "ROOT", tmp_path)
    monkeypatch.setattr(hands, "watched", watched)
    with pytest.raises(LabError, match=r"exit code 3\n1\.0 stopped\noops"):
        hands.by_hand(Lab())


def test_a_recovery_that_nobody_has_seen_from_outside_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(FakeLab):
        spec = type("Spec", (), {"unit": lambda _self, _host: "k3s"})()

        def kubectl(self, *_args: str, **_more: Any) -> Any:
            return type("Done", (), {"out": ""})()

    monkeypatch.setattr(hands, "EVERY_S", 0.01)
    monkeypatch.setattr(hands, "LATER_S", 0.05)
    with pytest.raises(LabError, match="nobody has seen the API answer"), hands.watched(Blind()):
        pass


def test_what_is_seen_from_outside_may_come_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(FakeLab):
        spec = type("Spec", (), {"unit": lambda _self, _host: "k3s"})()
        looks = 0

        def kubectl(self, *_args: str, **_more: Any) -> Any:
            return type("Done", (), {"out": "ok"})()

        def members(self, _host: str, **_more: Any) -> dict[str, str]:
            return dict.fromkeys(self.servers, "voter")

        def sh(self, _host: str, _script: str) -> Any:
            self.looks += 1
            return type("Done", (), {"rc": 3 if self.looks < 3 else 0})()

    monkeypatch.setattr(hands, "EVERY_S", 0.05)
    with hands.watched(Late()) as turn:
        pass
    assert turn.whole < turn.api < turn.voters < turn.active
