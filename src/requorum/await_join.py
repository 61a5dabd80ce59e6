# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum await-join`: hosts that join a Harvester are watched, one after another."""

from __future__ import annotations

import argparse
from typing import Any

from . import inputs, remote
from .output import Result, Table

JSON = dict[str, Any]
FAILED = 1


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "wait until hosts have joined a Harvester, one after another, and say why one does not get on"
    made: argparse.ArgumentParser = commands.add_parser("await-join", help=text, description=text, allow_abbrev=False)
    made.add_argument("nodes", metavar="NODE", nargs="*", help="its hostname; without any those of requorum_join")
    inputs.add_cluster(made)
    made.add_argument("--check", action="store_true", help="look once, wait for nothing")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=await_join)


def await_join(arguments: argparse.Namespace) -> Result:
    """1 when a stage that is due did not come in time."""
    given: JSON = dict(arguments.extra_var)
    if arguments.nodes:
        given["requorum_join_nodes"] = arguments.nodes
    outcome = remote.play("await_join", arguments, given)
    hosts = (outcome.results.get("join_wait") or {}).get("hosts")
    if hosts is None:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    document = {"schema": 1, "check": arguments.check, "hosts": hosts, "errors": outcome.failures}
    return Result(list(map(_table, hosts)), document, outcome.failures, FAILED if outcome.failures else 0)


def _table(host: JSON) -> Table:
    rows = [
        (host["host"], stage["stage"], stage["state"], _seconds(stage["seconds"]), _told(stage))
        for stage in host["stages"]
    ]
    return Table(("HOST", "STAGE", "STATE", "SECONDS", ""), rows, frozenset((3,)))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _told(stage: JSON) -> str:
    """What was seen, and why it is not done."""
    return ". ".join(str(stage[key]).rstrip(".") for key in ("seen", "why", "next") if stage[key])
