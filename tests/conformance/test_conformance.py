# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of situations holds: in rke2.py and k3s.py stands what is done and what must be seen then."""

from __future__ import annotations

from collections import Counter

from tests.conformance import k3s, rke2
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.play import Play

_IDS = [f"{distro}:{situation.id}/{check.id}" for distro, table in (("rke2", rke2.SITUATIONS), ("k3s", k3s.SITUATIONS))
        for situation in table for check in situation.see]


def test_every_check_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(_IDS).items() if count > 1] == []


def test_every_deviation_names_a_check() -> None:
    assert [row.check for row in DEVIATIONS if row.check and f"{row.distro}:{row.check}" not in _IDS] == []


def test_seen(plays: dict[str, Play], row: tuple[str, str, str]) -> None:
    distro, situation, check = row
    plays[distro].answers[situation, check].result()
