# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders built once; programs with a time limit; waiting with a deadline."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from lab import cache
from lab.progress import LabError, minutes, run, wait_for


def test_a_folder_is_built_once_however_many_ask(tmp_path: Path) -> None:
    built: list[int] = []

    def build(target: Path) -> None:
        built.append(1)
        time.sleep(0.1)
        (target / "file").write_text("whole")

    threads = [threading.Thread(target=cache.cached, args=("thing", build, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
    assert (tmp_path / "thing" / "file").read_text() == "whole"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        (target / "half").write_text("")
        raise LabError("no")

    with pytest.raises(LabError, match="no"):
        cache.cached("thing", fail, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".thing.lock"]


def test_directories_follow_xdg_and_ignore_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert cache.cache_dir() == tmp_path / "c" / "requorum"
    assert cache.state_dir() == tmp_path / "home/.local/state/requorum"


def test_digests_see_borders_names_and_contents(tmp_path: Path) -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")
    (tmp_path / "a.py").write_text("1")
    first = cache.tree_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("compiled")
    assert cache.tree_digest(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert cache.tree_digest(tmp_path) != first


def test_run_returns_what_was_said_and_never_hangs() -> None:
    done = run([sys.executable, "-c", "import sys; print(sys.stdin.read()); sys.exit(3)"], timeout=20, stdin="in")
    assert (done.rc, done.out) == (3, "in\n")
    late = run(["sh", "-c", "echo early; exec sleep 60"], timeout=0.3)
    assert (late.rc, late.out) == (124, "early\n")
    assert "no end after" in late.err
    assert run(["/does/not/exist"], timeout=1).rc == 127
    with pytest.raises(LabError, match=r"the thing failed \(exit code 3\)"):
        done.ok("the thing")


def test_waiting_tells_what_is_seen_and_explains_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabError, match=r"(?s)r1 to boot: not within 0 s; last seen: starting\nthe log"):
        wait_for("r1 to boot", lambda: (False, "starting"), 0.3, poll=0.05, tell=0, explain=lambda: "the log")
    assert "waiting for r1 to boot (0 s of 0 s): starting" in capsys.readouterr().err


def test_minutes() -> None:
    assert (minutes(59.9), minutes(60), minutes(425)) == ("59 s", "1 min 00 s", "7 min 05 s")
