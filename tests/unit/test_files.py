# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller survive a writer that is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _files
from ansible_collections.requorum.cluster.plugins.plugin_utils import _run_folder


@pytest.mark.parametrize(("given", "mode"), [((), 0o600), ((0o644,), 0o644)])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, given: tuple[int, ...], mode: int) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    kept = path.open()
    _files.put(str(path), "new", *given)
    assert (path.read_text(), path.stat().st_mode & 0o777, kept.read()) == ("new", mode, "old")
    assert os.listdir(tmp_path) == ["plan.json"]


def test_what_was_there_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "plan.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        _files.put(str(path), "new")
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["plan.json"])


def test_a_record_that_was_cut_off_is_none(tmp_path: Path) -> None:
    path = str(tmp_path / "actions.jsonl")
    _run_folder.append(path, {"verb": "fence", "result": "done"})
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"verb": "rese')
    assert _run_folder.recorded(str(tmp_path)) == [{"verb": "fence", "result": "done"}]
