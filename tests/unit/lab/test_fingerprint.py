# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a change on a host."""

from __future__ import annotations

import pytest

from lab import fingerprint


@pytest.mark.parametrize("login", ["sshd", "sshd-session"])
def test_log_ins_and_the_one_who_looks_are_left_out(login: str) -> None:
    table = [(1, "systemd", 0), (20, "sshd", 1), (30, login, 20), (31, login, 30), (32, "sh", 31), (40, "sh", 0)]
    lines = "\n".join(f"{pid} ({name}) S {parent}" + " 0" * 17 + f" {pid}00 0" for pid, name, parent in table)
    text = f"@mode\n@sha256\n@process\n{lines}\n@enabled\n@unit\nId=a\n@listener\n"
    assert {what for what in fingerprint.parse(text) if what.startswith("process")} == {
        "process 1 systemd", "process 20 sshd"}
