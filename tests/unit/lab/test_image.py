# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab's hosts are made from."""

from __future__ import annotations

import os

import pytest

from lab import image


@pytest.mark.parametrize(("libc", "suite"), [
    ("glibc 2.36", "bookworm"), ("glibc 2.38", "trixie"), ("glibc 2.41", "trixie"), (None, "bookworm")])
def test_hosts_run_what_this_machine_links(monkeypatch: pytest.MonkeyPatch, libc: str | None, suite: str) -> None:
    monkeypatch.setattr(os, "confstr", lambda name: libc)
    assert (image.suite(), image.recipe(strict=True)[-1]) == (suite, suite)
