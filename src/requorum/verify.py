# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum verify`: a cluster as it is now, by named checks; nothing is changed."""

from __future__ import annotations

import argparse
from typing import Any

from . import inputs, remote
from .output import Result, Table

JSON = dict[str, Any]
FAILED, FOUND = 1, 4
MARKS = {"holds": "ok", "wrong": "WRONG", "unknown": "not checked", "absent": "not installed"}


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "look at nodes, etcd and API, and at all parts of a Harvester; change nothing"
    made: argparse.ArgumentParser = commands.add_parser("verify", help=text, description=text, allow_abbrev=False)
    inputs.add_cluster(made)
    made.add_argument("--json", action="store_true", help="the checks as JSON")
    made.set_defaults(run=verify)


def verify(arguments: argparse.Namespace) -> Result:
    """0 when all checks hold, 4 when one does not or could not be made."""
    outcome = remote.play("verify", arguments, dict(arguments.extra_var))
    made = outcome.results.get("cluster_check")
    if made is None or "checks" not in made:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    checks: list[JSON] = made["checks"]
    rows = [row for check in checks for row in _rows(check)]
    fields = ("holds", "harvester", "asked", "compared_with", "checks")
    blocks: list[str | Table] = [Table(("STATE", "CHECK", ""), rows), _summary(checks)]
    return Result(blocks, {"schema": 1, **{name: made[name] for name in fields}}, [], 0 if made["holds"] else FOUND)


def _rows(check: JSON) -> list[tuple[str, str, str]]:
    """What is as it should be takes one row."""
    rows = [check["observed"]]
    if check["state"] == "wrong":
        rows.append(f"wanted: {check['wanted']}")
    if check["next"]:
        rows.append(f"next: {check['next']}")
    marks = (MARKS[check["state"]], check["name"])
    return [(*(marks if not number else ("", "")), row) for number, row in enumerate(rows)]


def _summary(checks: list[JSON]) -> str:
    count = {state: len([check for check in checks if check["state"] == state]) for state in MARKS}
    words = [
        f"{count[state]} {word}" for state, word in (("wrong", "wrong"), ("unknown", "not checked")) if count[state]
    ]
    return f"{len(checks)} checks: {', '.join(words) or 'all hold'}.\n"
