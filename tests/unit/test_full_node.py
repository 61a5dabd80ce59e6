# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk of a node is full: it is said which one, and nothing of ours keeps it full."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
shells = pytest.mark.parametrize("shell", SHELLS)
FULL = "; /var is full (12 kB are free): make room there"


class Host:
    """A folder in which scripts find a distribution, and a df that says what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.store, self.programs = folder / "db" / "etcd", folder / "programs"
        for path in (self.home / "s", self.store / "member" / "snap", self.programs):
            path.mkdir(parents=True)
        (self.store / "member" / "snap" / "db").write_bytes(b"x" * 70_000)

    def df(self, free: int) -> None:
        """Of every path."""
        lines = f"Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/a 9 9 {free} 9% /var"
        (self.programs / "df").write_text(f"#!/bin/sh\necho '{lines}'\n")
        (self.programs / "df").chmod(0o755)

    def run(self, shell: str, text: str) -> subprocess.CompletedProcess[str]:
        """Behind the common head."""
        head = (_node.SCRIPTS / "common.sh").read_text()
        here = shlex.quote(str(self.folder))
        places = (
            f"HOME_DIR={here}/home\nSTAMP=s\nfind_distro() {{ DISTRO=rke2 DATA={here} SERVER={here} DB={here}/db "
            f"TLS={here}/tls CONFIG={here}/config.yaml UNIT=none OWN=none; }}\n"
            "etcd_runs() { false; }\nopened_by() { :; }\ntoken_value() { echo t; }\n"
        )
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        argv = [*shell.split(), "-c", f"{head}\n{places}{text}"]
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)

    def script(self, shell: str, name: str, **given: str) -> subprocess.CompletedProcess[str]:
        given_to = "".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items())
        return self.run(shell, given_to + (_node.SCRIPTS / f"{name}.sh").read_text())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@shells
@pytest.mark.parametrize(("free", "said"), [(12, f"x{FULL}"), (1024, "x")])
def test_what_ends_a_script_comes_with_the_disks_that_are_full(host: Host, shell: str, free: int, said: str) -> None:
    host.df(free)
    done = host.run(shell, "find_distro\ndie x")
    assert (done.returncode, done.stderr) == (1, f"{said}\n")


@shells
@pytest.mark.parametrize(
    ("script", "given", "part", "said"),
    [
        ("snapshot", {"SOURCE": "disk"}, "snapshot.part", "member/snap/db cannot be copied"),
        ("keep", {"NAMED": "", "SIDE": "server"}, "files.part", "tar could not pack everything"),
    ],
)
def test_what_did_not_become_whole_makes_room(
    host: Host, shell: str, script: str, given: dict[str, str], part: str, said: str
) -> None:
    host.df(12)
    (host.home / "s" / part).symlink_to("/dev/full")
    done = host.script(shell, script, **given)
    assert done.returncode == 1 and done.stderr.endswith(f"{said}{FULL}\n"), done.stderr
    assert part not in os.listdir(host.home / "s")


@shells
def test_what_did_not_arrive_makes_room(host: Host, shell: str) -> None:
    host.df(12)
    (host.home / "restore.db").write_bytes(b"half")
    done = host.script(shell, "room", PART=str(host.home / "restore.db"))
    assert (done.returncode, done.stdout) == (0, FULL)
    assert not (host.home / "restore.db").exists()


@shells
def test_a_server_without_room_for_an_etcd_is_not_made_to_join(host: Host, shell: str) -> None:
    host.df(131071)
    done = host.script(shell, "start", ROLE="join", URL="https://a", TLS_ASIDE="no", REPLACED="")
    assert done.returncode == 1
    assert done.stderr == (
        "/var has only 131071 kB free, and a new etcd takes 131072 for its log alone: make room there\n"
    )
    assert host.store.exists() and not (host.home / "journal").exists()


def test_a_push_that_fails_says_which_disk_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    class Acting(_node_action.NodeAction):
        def __init__(self) -> None:
            self.host, self._connection = "r1", None

        def script(self, name: str, **given: Any) -> _node.Done:
            asked.append((name, given["PART"]))
            return _node.Done(0, FULL, "")

    def cut(*_words: Any) -> None:
        raise OSError("/to could not be written to its end")

    monkeypatch.setattr(_node_action._stream, "write", cut)
    with pytest.raises(RequorumError) as error:
        Acting().push(str(tmp_path / "from"), "/to")
    assert str(error.value).startswith(f"r1: /to could not be written to its end{FULL}. Look at the disk of the node")
    assert asked == [("room", "/to")]
