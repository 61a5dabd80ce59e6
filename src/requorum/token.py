# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum token`: which token opens the datastore, and the repair of servers and agents that have another one."""

from __future__ import annotations

import argparse
from typing import Any

from . import inputs, remote, turns
from .output import Result

ERRORS, FAILED = 4, 1


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    text = "tokens of a cluster and its node passwords"
    made: argparse.ArgumentParser = commands.add_parser("token", help=text, description=text, allow_abbrev=False)
    kinds = made.add_subparsers(metavar="COMMAND", required=True)
    text = "which token at hand opens the datastore, and which host has another one; only hashes are printed"
    look = kinds.add_parser("check", help=text, description=text, allow_abbrev=False)
    inputs.add_cluster(look)
    look.add_argument(
        "--token-file",
        metavar="FILE",
        help="a token that may be the right one; files.tar of a backup too, or HOST:/path on a host",
    )
    look.add_argument("--json", action="store_true", help="the result as JSON")
    look.set_defaults(run=check)
    text = "give the token that opens the datastore to servers with another one; remove wrong stored node passwords"
    mend = kinds.add_parser("repair", help=text, description=text, allow_abbrev=False)
    turns.add_options(mend)
    mend.add_argument("--token-file", metavar="FILE", help="the token that opens the datastore; or HOST:/path")
    mend.set_defaults(run=repair)


def check(arguments: argparse.Namespace) -> Result:
    """Nothing is changed. 4 when something is wrong, 1 when no datastore could be read."""
    outcome = remote.play("tokens", arguments, dict(arguments.extra_var) | _file(arguments), check=True)
    tokens = ((outcome.results.get("recovery_plan") or {}).get("plan") or {}).get("tokens")
    if not tokens:
        notes = outcome.failures or ["No token was read."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    table = list(tokens.pop("table"))
    code = ERRORS if tokens["problems"] else 0 if tokens["keys"] else FAILED
    return Result(table, {"schema": 1, **tokens}, [], code)


def repair(arguments: argparse.Namespace) -> Result:
    """What playbooks/tokens.yml does."""
    return turns.run("tokens", arguments, {name.removeprefix("requorum_"): v for name, v in _file(arguments).items()})


def _file(arguments: argparse.Namespace) -> dict[str, str]:
    return {"requorum_token_file": arguments.token_file} if arguments.token_file else {}
