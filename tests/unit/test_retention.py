# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention: a backup that is not proved does not count, and the newest proved one never goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _retention
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError


@dataclass(frozen=True)
class Backup:
    name: str
    time: int
    proved: bool = True
    revision: int | None = None


def at(text: str, *, proved: bool = True, revision: int | None = None) -> Backup:
    """A backup named by its time in 2026."""
    when = datetime.strptime(f"2026-{text} +0000", "%Y-%m-%d %H:%M %z")
    return Backup(text, int(when.timestamp()), proved, revision)


ALL = [
    at("11-01 23:59"),  # Sunday: the ISO week before
    at("11-02 00:00"),  # Monday
    at("11-02 12:00"),
    at("11-03 09:10"),
    at("11-03 10:00"),
    at("11-03 10:59"),
    at("11-03 11:00"),
]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({}, ["11-03 11:00"]),
        ({"last": 3}, ["11-03 11:00", "11-03 10:59", "11-03 10:00"]),
        ({"hours": 2}, ["11-03 11:00", "11-03 10:59"]),
        ({"hours": 3}, ["11-03 11:00", "11-03 10:59", "11-03 09:10"]),
        ({"days": 3}, ["11-03 11:00", "11-02 12:00", "11-01 23:59"]),
        ({"weeks": 1}, ["11-03 11:00"]),
        ({"weeks": 2}, ["11-03 11:00", "11-01 23:59"]),
        ({"hours": 2, "days": 2, "weeks": 2}, ["11-03 11:00", "11-03 10:59", "11-02 12:00", "11-01 23:59"]),
        ({"last": 99}, [entry.name for entry in reversed(ALL)]),
    ],
)
def test_newest_of_each_slot_stays(policy: dict[str, int], kept: list[str]) -> None:
    stays, goes = _retention.keep(ALL, **policy)
    assert [entry.name for entry in stays] == kept
    assert [entry.name for entry in goes] == [entry.name for entry in reversed(ALL) if entry.name not in kept]


def test_an_unproved_backup_fills_no_slot() -> None:
    entries = [at("11-02 08:00"), at("11-02 20:00", proved=False), at("11-03 08:00"), at("11-03 20:00", proved=False)]
    stays, goes = _retention.keep(entries, days=2, last=1)
    assert [entry.name for entry in stays] == ["11-03 20:00", "11-03 08:00", "11-02 08:00"]
    assert [entry.name for entry in goes] == ["11-02 20:00"]


def test_newer_unproved_backups_go_only_when_asked_for() -> None:
    entries = [at("11-03 08:00"), at("11-03 20:00", proved=False)]
    assert _retention.keep(entries, last=1)[1] == []
    assert _retention.keep(entries, last=1, unproved=True)[1] == [entries[1]]


def test_nothing_goes_while_nothing_is_proved() -> None:
    entries = [at("11-03 08:00", proved=False), at("11-02 08:00", proved=False)]
    assert _retention.keep(entries, last=1, unproved=True) == (entries, [])


def test_a_pause_in_the_backups_removes_none() -> None:
    entries = [at("01-05 08:00"), at("01-06 08:00"), at("11-03 08:00")]
    assert _retention.keep(entries, days=3)[1] == []


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(RequorumError, match="negative"):
        _retention.keep(ALL, days=-1)


SOME = st.lists(
    st.builds(Backup, st.text("ab", max_size=2), st.integers(0, 40 * 86400), st.booleans()), max_size=40, unique=True
)
POLICY = st.fixed_dictionaries(
    {name: st.integers(0, 9) for name in ("hours", "days", "weeks", "last")} | {"unproved": st.booleans()}
)


@given(SOME, POLICY)
def test_any_policy_keeps_the_newest_proved_and_doing_it_twice_changes_nothing(entries, policy) -> None:
    stays, goes = _retention.keep(entries, **policy)
    assert sorted(stays + goes, key=repr) == sorted(entries, key=repr)
    assert bool(stays) == bool(entries)
    assert _retention.keep(stays, **policy) == (stays, [])
    if proved := [entry for entry in entries if entry.proved]:
        newest = max(proved, key=lambda entry: (entry.time, entry.name))
        assert newest in stays
        assert all(entry.time < newest.time or policy["unproved"] for entry in goes if not entry.proved)
        for count, slot in (("hours", "%Y %j %H"), ("days", "%Y %j"), ("weeks", "%G %V")):
            slots = {datetime.fromtimestamp(entry.time, UTC).strftime(slot) for entry in proved}
            there = {datetime.fromtimestamp(entry.time, UTC).strftime(slot) for entry in stays if entry.proved}
            assert set(sorted(slots)[-policy[count] :] if policy[count] else ()) <= there


@pytest.mark.parametrize(
    ("entries", "hours", "good", "line"),
    [
        (
            [at("11-03 08:48", revision=2484), at("11-03 11:00", proved=False), at("11-01 08:00")],
            26,
            True,
            "newest proved backup off the node: 3 h 12 min old (11-03 08:48, revision 2484)",
        ),
        ([at("11-03 08:00")], 4, True, "newest proved backup off the node: 4 h old (11-03 08:00)"),
        (
            [at("11-01 07:59")],
            26,
            False,
            "newest proved backup off the node: 2 d 4 h old (11-01 07:59): too old, limit 1 d 2 h",
        ),
        ([at("11-03 12:04")], 26, True, "newest proved backup off the node: 0 s old (11-03 12:04)"),
        (
            [at("11-03 13:30")],
            26,
            False,
            "newest proved backup off the node: 1 h 30 min in the future: compare the clocks (11-03 13:30)",
        ),
        ([at("11-03 11:00", proved=False)], 26, False, "no proved backup off the node (1 unproved; limit 1 d 2 h)"),
        ([], 26, False, "no proved backup off the node (0 unproved; limit 1 d 2 h)"),
    ],
)
def test_line_for_monitoring(entries: list[Backup], hours: int, good: bool, line: str) -> None:
    assert _retention.monitor(entries, at("11-03 12:00").time, hours * 3600) == (good, line)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (3630, "1 h"), (90061, "1 d 1 h"), (86459, "1 d")],
)
def test_duration(seconds: float, text: str) -> None:
    assert _retention.duration(seconds) == text
