# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum diagnose`: what a bundle says is wrong, by the same rules as of a live cluster.

Rules take longer to import than other commands to run, so it is done where they are asked.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnosis_junit,
    _diagnosis_text,
    _diagnosis_words,
    _files,
)

from . import rules
from .output import Line, Result, Table

if TYPE_CHECKING:
    from ansible_collections.requorum.cluster.plugins.module_utils import _seen

JSON = dict[str, Any]
UNREAD, FOUND = 1, 4
"""Exit codes: no rule could be asked; something is of severity error or worse."""


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "say what is wrong by a support bundle, by archives of a log collector, or by a bundle of inspect"
    made: argparse.ArgumentParser = commands.add_parser("diagnose", help=text, description=text, allow_abbrev=False)
    made.add_argument("file", metavar="FILE", type=Path, nargs="+",
                      help="bundle; of a log collector, one archive for each node")  # fmt: skip
    made.add_argument("--cluster", metavar="NAME", default="", help="its name, where the bundle does not tell it")
    add_faces(made)
    made.set_defaults(run=diagnose)


def add_faces(command: argparse.ArgumentParser) -> None:
    """Rules, and what is written of a diagnosis."""
    rules.add_folders(command)
    command.add_argument("--all", action="store_true", help="all evidence, and which rules could not be checked")
    command.add_argument("--json", action="store_true", help="the diagnosis as JSON (docs/diagnosis.schema.json)")
    command.add_argument("--html", metavar="FILE", help="write a page for a browser too")
    command.add_argument("--junit", metavar="FILE", help="write JUnit XML for a CI system too")


def diagnose(arguments: argparse.Namespace) -> Result:
    """0, 4 or 1 by `code`."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules

    from . import bundles

    asked = _rules.load(*arguments.rules)
    line = Line()
    line.say(f"{arguments.file[0]} ...")
    try:
        source = bundles.read(arguments.file, arguments.cluster)
        state = bundles.state(replace(source, logs=lambda: _told(source.logs(), line)), asked)
    finally:
        line.end()
    return result(_diagnose.diagnose(state, asked), arguments)


def _told(logs: Iterable[_seen.Log], line: Line) -> Iterator[_seen.Log]:
    """The same logs, each named while it is read."""
    for log in logs:
        line.say(log[2])
        yield log


def result(document: JSON, arguments: argparse.Namespace) -> Result:
    """A diagnosis in the forms that were asked for."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _diagnosis_html  # jinja2 takes long

    for path, render in ((arguments.html, _diagnosis_html.render), (arguments.junit, _diagnosis_junit.render)):
        if path:
            _files.put(path, render(document))
    blocks = [
        block if isinstance(block, str) else Table(*block)
        for block in _diagnosis_text.blocks(document, everything=arguments.all)
    ]
    return Result(blocks, document, [], code(document))


def code(document: JSON) -> int:
    """4: an error or a blocker was found. 1: no rule could be asked. Else 0."""
    if document["verdict"]["severity"] in ("blocker", "error"):
        return FOUND
    return 0 if _diagnosis_words.read(document) else UNREAD
