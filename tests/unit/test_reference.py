# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/cli.md and the man page are what the parser says, and --help needs nothing heavy for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from requorum import cli, reference

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("ansible.", "ansible_runner", "rich", "jinja2", "cryptography", "paramiko", "boto3")


@pytest.mark.parametrize("path", reference.pages(cli.parser()))
def test_what_is_committed_is_what_the_parser_says(path: str) -> None:
    made = reference.pages(cli.parser())[path]
    assert (ROOT / path).read_text("utf-8") == made, "type: python -m requorum.reference"


def test_every_command_is_there_with_all_its_options() -> None:
    found = {command.name: command for command in reference.commands(cli.parser())}
    assert {"requorum inspect", "requorum snapshot get", "requorum rules test", "requorum completion"} <= set(found)
    assert found["requorum snapshot diff"].synopsis == "requorum snapshot diff [OPTIONS] OLD NEW"
    assert found["requorum await-join"].synopsis == "requorum await-join -i INV [OPTIONS] [NODE ...]"
    assert dict(found["requorum rejoin"].rows)["-i, --inventory INV"].endswith("(needed)")
    assert "--replace OLD NEW" in dict(found["requorum rejoin"].rows)
    assert all(text for command in found.values() for _name, text in command.rows)
    assert all(command.text for command in found.values())


def test_man_takes_the_page_without_a_warning() -> None:
    argv = ["groff", "-man", "-Tascii", "-P-c", "-ww", str(ROOT / "docs/requorum.1")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    plain = re.sub(".\b", "", done.stdout)  # bold is printed twice
    assert "EXIT STATUS" in plain and "requorum snapshot info [OPTIONS] FILE" in plain


def test_help_imports_nothing_heavy() -> None:
    """A second is long for somebody who looks up an option; the figure stands in docs/performance.md."""
    show = "import sys; from requorum import cli; cli.main(['--help']); print(*sys.modules, file=sys.stderr, sep='\\n')"
    paths = os.pathsep.join([str(ROOT / ".collections"), str(ROOT / "src")])
    done = subprocess.run([sys.executable, "-c", show], env={**os.environ, "PYTHONPATH": paths}, capture_output=True,
                          text=True, check=True)  # fmt: skip
    modules = done.stderr.split()
    assert "requorum.cli" in modules and "usage: requorum" in done.stdout
    assert [name for name in modules if f"{name}.".startswith(tuple(f"{heavy.rstrip('.')}." for heavy in HEAVY))] == []
