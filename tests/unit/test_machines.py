# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual machines would stop although nobody has accepted it."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _machines

TWO = ["default/web", "prod/db"]


@pytest.mark.parametrize(
    ("accepted", "left"),
    [
        (None, TWO),
        ("", TWO),
        ([], TWO),
        (False, TWO),
        (0, TWO),
        ({"default/web": True}, TWO),
        (["default/web"], ["prod/db"]),
        (["default/web", "prod/db", "prod/other"], []),
        ("prod/db", ["default/web"]),
        ("default/*", TWO),
        (["web", "db"], TWO),
        (["all"], TWO),
        ("all", []),
        (True, []),
        ("True", []),
        (("prod/db", "default/web"), []),
    ],
)
def test_only_what_is_named_is_accepted(accepted: object, left: list[str]) -> None:
    assert _machines.stopped(["prod/db", "default/web", "prod/db"], accepted) == left


def test_nothing_stops() -> None:
    assert _machines.stopped([], None) == []
