# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line: errors that a person can act on, and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import __main__ as cli
from lab.drill import drill
from lab.faults import FAULTS
from lab.labs import Lab
from lab.progress import LabError
from lab.spec import Spec


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a lab named `drill` whose hosts are nowhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "requorum/labs/drill"
    folder.mkdir(parents=True)
    (folder / "lab.json").write_text(Spec("drill").to_json())
    return folder


@pytest.mark.parametrize(("line", "code", "said"), [
    ("status --name other", 1, "error: there is no lab 'other'"),
    ("break --name drill kill r1", 1, "error: kill: missing a required argument: 'process'"),
    ("break --name drill power_off r9", 1, "error: lab drill has no host 'r9'; it has r1 r2 r3 a1"),
    ("break --name drill fill_disk r1", 1, "make the lab with --disk"),
    ("break --name drill put_datastore r1", 1, "nothing saved"),
    ("load --name drill", 1, "nothing is saved as 'saved'; python -m lab save --name drill saved"),
    ("save --name drill ../r1", 1, "'../r1': a name of letters, digits, _ and -"),
    ("ssh --name drill r9", 1, "has no host 'r9'"),
    ("break --name drill meteor r1", 2, "invalid choice: 'meteor'"),
    ("up --binary /does/not/exist", 2, "/does/not/exist does not exist"),
    ("up --name UPPER", 1, "error: lab name 'UPPER'"),
    ("", 2, "required: COMMAND")])
def test_errors_say_what_is_wrong(lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                  line: str, code: int, said: str) -> None:
    monkeypatch.setattr("sys.argv", ["lab", *line.split()])
    try:
        got: int | str | None = cli.main()
    except SystemExit as usage:
        got = usage.code
    assert (got, said in capsys.readouterr().err) == (code, True)


@pytest.mark.parametrize("start", ["lab.up()", "drill"])
def test_packages_come_before_podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: str) -> None:
    def nothing_there() -> None:
        raise LabError("install podman")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("lab.labs.ensure_packages", nothing_there)
    with pytest.raises(LabError, match="install podman"):
        Lab("bare").up() if start == "lab.up()" else drill("rke2", keep=False, name="bare")


def test_a_drill_leaves_a_lab_of_its_name_alone(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.labs.ensure_packages", lambda: None)
    with pytest.raises(LabError, match="exists; take it down first"):
        drill("rke2", keep=False, name="drill")
    assert (lab / "lab.json").exists()


def test_help_names_every_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["lab", "break", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    out = capsys.readouterr().out
    assert [name for name in FAULTS if f"  {name} " not in out] == []
