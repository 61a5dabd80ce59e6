# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rejoin`: servers come back, join, take another's place or leave while the quorum stands."""

from __future__ import annotations

import argparse
from typing import Any

from . import turns
from .inputs import Usage
from .output import Result


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "bring single servers back, replace or remove them, one after another, while the quorum stands"
    made: argparse.ArgumentParser = commands.add_parser("rejoin", help=text, description=text, allow_abbrev=False)
    turns.add_options(made)
    made.add_argument("--replace", metavar=("OLD", "NEW"), nargs=2, action="append", default=[],
                      help="NEW joins and OLD leaves for good; the same name twice: it joins again in its own place")
    made.add_argument("--remove", metavar="HOST", action="append", default=[], help="this server leaves for good")
    made.set_defaults(run=rejoin)


def rejoin(arguments: argparse.Namespace) -> Result:
    """What lacks to full strength, or what was asked for by name."""
    replace = dict(arguments.replace)
    if len(replace) < len(arguments.replace) or len(set(replace.values())) < len(replace):
        raise Usage("--replace: every server is named once as OLD and once as NEW.")
    options = {"replace": replace, "remove": arguments.remove}
    return turns.run("rejoin", arguments, {name: value for name, value in options.items() if value})
