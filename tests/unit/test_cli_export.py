# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum export`: from a file alone, or by the playbook with its variables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from requorum import cli, remote
from tests.unit.datastores import unpacked

SNAPSHOT = str(unpacked() / "snapshot.db")


def test_a_snapshot_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("token", "sekret123\n"), ("passphrase", "of the test")):
        (tmp_path / name).write_text(text)
    words = ["export", "--snapshot", SNAPSHOT, "--output", str(tmp_path / "out")]
    words += ["--token-file", str(tmp_path / "token"), "--passphrase-file", str(tmp_path / "passphrase")]
    assert cli.main([*words, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["encrypted"]["secrets"] == 5 and (tmp_path / "out/index.csv").exists()
    assert cli.main(words) == cli.FAILED
    assert "is there already" in capsys.readouterr().err


def test_what_is_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "--snapshot", SNAPSHOT, "--output", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 virtual machines" in said and "left out: 5 secrets" in said and "requorum_token_file" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Give -i INVENTORY"),
        (("--snapshot", SNAPSHOT), "with --output DIR"),
        (("-i", "x", "--output", "y"), "requorum_output=DIR"),
        (("-i", "/nowhere"), "no such file"),
    ],
)
def test_usage(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *words]) == cli.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("fails", [False, True])
def test_by_the_playbook(fails: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                         capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    seen: list[Any] = []
    made = {"objects": 1, "machines": 0, "counts": {"secrets": 1}, "encrypted": {"secrets": 1}, "left_out": [],
            "not_installed": ["x"], "warnings": ["it is damaged"], "source": "the API (s1)"}  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(made))
    del made["warnings"]  # as Ansible does

    def play(name: str, arguments: argparse.Namespace, variables: dict[str, Any], **_options: bool) -> remote.Outcome:
        seen.append((name, arguments.inventory, variables))
        result = {**made, "folder": str(tmp_path)}
        return remote.Outcome(failures=["s1: no"]) if fails else remote.Outcome({"cluster_export": result})

    monkeypatch.setattr(remote, "play", play)
    monkeypatch.chdir(tmp_path)
    code = cli.main(["export", "-i", "inv", "--snapshot", "s.db", "--passphrase-file", "p", "-e", "requorum_x=1"])
    assert code == (cli.FAILED if fails else 0)
    assert seen == [("export", "inv", {"requorum_x": "1", "requorum_snapshot": str(tmp_path / "s.db"),
                                       "requorum_export_passphrase_file": str(tmp_path / "p")})]  # fmt: skip
    out = capsys.readouterr()
    assert "s1: no" in out.err if fails else "1 kinds are not installed" in out.out
    assert fails or "it is damaged" in out.out
