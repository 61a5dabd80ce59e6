# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TAB: what can stand where, by the parser; and that bash, zsh and fish really show it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from requorum import cli, completion

ROOT = Path(__file__).resolve().parents[2]


def offered(line: str) -> list[str]:
    """The words that can take the place of the last one."""
    return [word for word, _text in completion.complete(cli.parser(), line.split(" "))]


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("re", ["rejoin", "reinstall"]),
        ("--ver", ["--version"]),
        ("snapshot ", ["info", "verify", "get"]),
        ("snapshot i", ["info"]),
        ("snapshot diff ", [":file"]),
        ("snapshot diff old ", [":file"]),
        ("diagnose a.zip b.zip ", [":file"]),
        ("rejoin --re", ["--replace", "--remove"]),
        ("rejoin ", ["--inventory", "--check", "--only"]),
        ("rejoin -i ", [":file"]),
        ("rejoin --inventory = ", [":file"]),
        ("rejoin --replace old new --on", ["--only"]),
        ("rejoin -e requorum_powered", ["requorum_powered_off="]),
        ("rejoin --extra-var requorum_s3_access", ["requorum_s3_access_key_file="]),
        ("inspect --rules ", [":dir"]),
        ("completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_what_can_stand_there(line: str, among: list[str]) -> None:
    assert set(among) <= set(offered(line))


@pytest.mark.parametrize(
    "line",
    ["nonsense ", "rejoin --only ", "rejoin --replace old ", "rejoin -e requorum_plan=", "rejoin -e requorum_run_dir",
     "snapshot info a.db -", "snapshot x", "rejoin --check=x"],
)  # fmt: skip
def test_nothing_that_cannot_stand_there(line: str) -> None:
    assert not {":file", ":dir"} & set(offered(line))
    assert all(word.startswith("--") or word == "-h" for word in offered(line))


def test_every_variable_of_the_table_and_none_of_the_roles() -> None:
    found = completion.variables((ROOT / "docs/variables.md").read_text("utf-8"))
    assert {"requorum_confirm", "requorum_s3_secret_key_file", "requorum_keep_weeks"} <= set(found)
    assert not {"requorum_purpose", "requorum_run_dir", "requorum_tls_read"} & set(found)
    assert len(found) > 50 and all(found.values())


BASH = "bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'; source $PART"
ZSH = "autoload -U compinit; compinit -u -D; setopt no_beep; source $PART"
LINES = [
    ("rotate", ["rotate-certs"]),
    ("snapshot ex", ["extract"]),
    ("rejoin --re", ["--remove", "--replace"]),
    ("rejoin -e requorum_powered", ["requorum_powered_off="]),
    ("snapshot info only-h", ["only-here.db"]),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a shell that stands beside one file and has never seen a configuration."""
    (tmp_path / "only-here.db").touch()
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb",
        "PYTHONPATH": os.pathsep.join([str(ROOT / ".collections"), str(ROOT / "src")]), "PART": str(tmp_path / "part"),
        "LC_ALL": "C.UTF-8",
    }  # fmt: skip


@pytest.mark.parametrize(("typed", "shown"), LINES)
@pytest.mark.parametrize(
    ("shell", "argv", "begin"),
    [("bash", ["--norc", "--noprofile", "-i"], BASH), ("zsh", ["-f", "-i"], ZSH)],
    ids=["bash", "zsh"],
)
def test_in_a_terminal(
    shell: str, argv: list[str], begin: str, typed: str, shown: list[str], environment: dict[str, str]
) -> None:
    Path(environment["PART"]).write_text(completion.SHELLS[shell])
    run = pexpect.spawn(shell, argv, env=environment, cwd=environment["HOME"], encoding="utf-8", dimensions=(50, 200))
    try:
        run.sendline(f"{begin}; echo be''gun")
        run.expect("begun", timeout=30)
        run.send(f"requorum {typed}\t")
        lacking = set(shown)
        while lacking:  # each shell has an order of its own
            run.expect_exact(sorted(lacking), timeout=30)
            lacking.discard(str(run.match))
    finally:
        run.close(force=True)


@pytest.mark.parametrize(("typed", "shown"), LINES)
def test_in_fish(typed: str, shown: list[str], environment: dict[str, str]) -> None:
    """By the word that makes fish complete a line without a terminal."""
    Path(environment["PART"]).write_text(completion.FISH)
    argv = ["fish", "--no-config", "-c", f"source $PART; complete -C 'requorum {typed}'"]
    done = subprocess.run(argv, env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=True)
    assert sorted(line.split("\t")[0] for line in done.stdout.splitlines()) == sorted(shown)


def test_the_command_prints_what_is_sourced(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, text in completion.SHELLS.items():
        assert cli.main(["completion", shell]) == 0
        assert capsys.readouterr().out == text
    done = subprocess.run(["bash", "-n"], input=completion.BASH, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert cli.main(["completion", "tcsh"]) == 2
