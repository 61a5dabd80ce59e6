# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum recover`, `backup`, `rollback` and `cleanup`: the recovery, the backup alone, the way back, its end."""

from __future__ import annotations

import argparse
import os
from typing import Any

from . import inputs, turns
from .output import Result


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    text = "bring back a cluster that lost etcd quorum: plan, proved backup, reset, rejoin, verified"
    made: argparse.ArgumentParser = commands.add_parser("recover", help=text, description=text, allow_abbrev=False)
    turns.add_common(made)
    made.add_argument("--plan-id", metavar="ID", help="go on only if the plan is still the one that was seen")
    made.add_argument("--powered-off", metavar="HOST", action="append", default=[],
                      help="its power was cut, as you have seen; may be repeated")
    made.add_argument("--survivor", metavar="HOST", help="the server whose datastore shall win")
    made.add_argument("--method", choices=("auto", "restore", "plain"), help="restore a snapshot, or reset in place")
    made.add_argument("--snapshot", metavar="NAME", help="restore this one; `newest`, or a name of `snapshot list`")
    made.add_argument("--token-file", metavar="FILE", help="the token of that snapshot, or HOST:/path")
    made.set_defaults(run=recover)

    text = "save the datastore, prove the snapshot, copy it off the node; on healthy clusters too"
    made = commands.add_parser("backup", help=text, description=text, allow_abbrev=False)
    turns.add_reading(made)
    made.set_defaults(run=lambda arguments: turns.run("backup", arguments, {}))

    text = "put back what a run has moved aside, as far as that can be right"
    made = commands.add_parser("rollback", help=text, description=text, allow_abbrev=False)
    turns.add_common(made)
    made.add_argument("--undo", metavar="STAMP", help="the run: name of its folder; else the last that changed a node")
    made.add_argument("--accept-loss", metavar="REVISION", type=inputs.count,
                      help="behind the point of no return: the number that the refusal shows")
    made.add_argument("--powered-off", metavar="HOST", action="append", default=[],
                      help="its power was cut, as you have seen; may be repeated")
    made.set_defaults(run=rollback)

    text = "remove for good what runs have moved aside; only with a healthy cluster and a proved backup off its nodes"
    made = commands.add_parser("cleanup", help=text, description=text, allow_abbrev=False)
    turns.add_options(made)
    made.add_argument("--of", metavar="STAMP", help="only what this run has moved aside: name of its folder")
    made.set_defaults(run=cleanup)


def recover(arguments: argparse.Namespace) -> Result:
    """0 recovered, healthy or planned; 3 refused or not confirmed; 1 not finished."""
    names = ("plan_id", "powered_off", "survivor", "method", "snapshot", "token_file")
    options = {name: value for name in names if (value := getattr(arguments, name))}
    for name in ("snapshot", "token_file"):  # paths are those of the user's folder
        if name in options and os.path.exists(options[name]):
            options[name] = os.path.abspath(options[name])
    return turns.run("recover", arguments, options)


def rollback(arguments: argparse.Namespace) -> Result:
    """0 done or nothing to undo; 3 refused or not confirmed; 1 not finished."""
    number = str(arguments.accept_loss) if arguments.accept_loss else ""
    options = {"run": arguments.undo, "accept_loss": number, "powered_off": arguments.powered_off}
    return turns.run("rollback", arguments, {name: value for name, value in options.items() if value})


def cleanup(arguments: argparse.Namespace) -> Result:
    """0 done or nothing to remove; 3 refused or not confirmed; 1 not finished."""
    return turns.run("cleanup", arguments, {"run": arguments.of} if arguments.of else {})
