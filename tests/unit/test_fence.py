# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the survivor must see of its peers before a reset."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _fence

PEERS = [{"name": "r2", "address": "10.0.0.12"}, {"name": "r3", "address": "10.0.0.13"}]
ASKED = _fence.targets(PEERS, "rke2")


def answers(**said: str) -> str:
    """All ports refused, but those that are given: r2_2379="open"."""
    addresses = {"10.0.0.12": "r2", "10.0.0.13": "r3"}
    return "\n".join(
        f"{place} {port} {said.get(f'{addresses[place]}_{port}', said.get(addresses[place], 'refused'))}"
        for place, port in ASKED
    )


def test_targets() -> None:
    assert [port for place, port in ASKED if place == "10.0.0.12"] == [2379, 2380, 9345, 6443, 22]
    assert [port for _place, port in _fence.targets(PEERS[:1], "k3s")] == [2379, 2380, 6443, 22]


@pytest.mark.parametrize(
    ("powered_off", "out", "fault"),
    [
        ((), answers(), ""),
        ((), answers(r2_22="open", r3_22="open"), ""),
        ((), answers(r2="silent", r3="silent"), ""),
        (("r2", "r3"), answers(r2="silent", r3="silent"), ""),
        (("r3",), answers(r2_22="open", r3="silent"), ""),
        ((), answers(r2_2380="open"), "r2 (10.0.0.12) still answers on port 2380."),
        ((), answers(r3_9345="open", r3_2379="open"), "r3 (10.0.0.13) still answers on port 2379, 9345."),
        (("r3",), answers(r3="silent", r3_6443="open"), "r3 (10.0.0.13) still answers on port 6443."),
        (("r3",), answers(), "r3 is named in requorum_powered_off, but the host at 10.0.0.13 answers."),
        (
            ("r3",),
            answers(r3="silent", r3_22="open"),
            "r3 is named in requorum_powered_off, but the host at 10.0.0.13 answers.",
        ),
        ((), answers(r2_2380="unknown"), "Port 2380 of r2 could not be looked at."),
        (("r3",), answers(r3="silent", r3_22="unknown"), "Port 22 of r3 could not be looked at."),
        (
            (),
            "\n".join(line for line in answers().split("\n") if "13 2379" not in line),
            "Port 2379 of r3 could not be looked at.",
        ),
    ],
)
def test_judge(powered_off: tuple[str, ...], out: str, fault: str) -> None:
    assert _fence.judge(PEERS, powered_off, ASKED, out) == ([fault] if fault else [])


@pytest.mark.parametrize("out", ["", "sh: curl: not found", "10.0.0.12 2379"])
def test_no_answer_is_no_proof(out: str) -> None:
    assert len(_fence.judge(PEERS, (), ASKED, out)) == 2
