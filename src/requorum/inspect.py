# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum inspect`: what is wrong with a cluster as it is now; once, again and again, or as a check on a schedule."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnosis_changes

from . import diagnose, inputs, output, remote
from .output import Result, Table

JSON = dict[str, Any]
FAILED = 1
UPKEEP = {
    "certificates": "days until each ends",
    "etcd": "health, size, fragmentation, slow fsync, leader changes",
    "backups": "age of the newest proved one",
}
"""Part of `_upkeep` -> what it is about."""


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "say what is wrong, what caused it and what to type next; change nothing"
    made: argparse.ArgumentParser = commands.add_parser("inspect", help=text, description=text, allow_abbrev=False)
    inputs.add_cluster(made)
    diagnose.add_faces(made)
    made.add_argument("--watch", metavar="SECONDS", type=inputs.count, help="look again and again: what has changed")
    made.add_argument("--bundle-out", metavar="FILE", help="write what was read, without secrets, for `diagnose`")
    about = "each may stand alone; exit codes are for monitoring"
    upkeep = made.add_argument_group("on a schedule (docs/monitoring)", about)
    for part, told in UPKEEP.items():
        upkeep.add_argument(f"--{part}", action="append_const", dest="upkeep", const=part, default=[], help=told)
    upkeep.add_argument("--prometheus", metavar="FILE", help="write it for the textfile collector of the node exporter")
    made.set_defaults(run=inspect)


def inspect(arguments: argparse.Namespace) -> Result:
    """As `diagnose`; on a schedule 0, 4 or 1 as docs/monitoring says. A watch ends when it is interrupted."""
    if not arguments.watch:
        return _result(look(arguments), arguments)
    before = None
    while True:
        outcome = look(arguments)
        after = _diagnosis(outcome)
        result = _changed(before, after) if before and after else _result(outcome, arguments)
        output.write(result, as_json=arguments.json)
        sys.stdout.flush()
        before = after or before
        time.sleep(arguments.watch)


def look(arguments: argparse.Namespace) -> remote.Outcome:
    """Play inspect.yml."""
    variables: JSON = dict(arguments.extra_var)
    if arguments.watch:
        variables["requorum_record"] = False
    if arguments.rules:
        variables["requorum_rules"] = [os.path.abspath(folder) for folder in arguments.rules]
    if arguments.upkeep or arguments.prometheus:
        variables["requorum_upkeep"] = arguments.upkeep or list(UPKEEP)
    for name, path in (("prometheus", arguments.prometheus), ("bundle", arguments.bundle_out)):
        if path:
            variables[f"requorum_{name}"] = os.path.abspath(path)
    return remote.play("inspect", arguments, variables)


def _diagnosis(outcome: remote.Outcome) -> JSON | None:
    return outcome.results.get("cluster_diagnose", {}).get("diagnosis")


def _result(outcome: remote.Outcome, arguments: argparse.Namespace) -> Result:
    document = _diagnosis(outcome)
    if document is None:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    made = diagnose.result(document, arguments)
    if not arguments.upkeep:
        return made
    upkeep: JSON = outcome.results["cluster_diagnose"]["upkeep"]
    return Result([upkeep["text"]], upkeep["document"], [], upkeep["code"])


def _changed(before: JSON, after: JSON) -> Result:
    found = _diagnosis_changes.changes(before, after)
    at = f"{after['time']}: "
    rows = [(each.what, each.node or "cluster", each.text) for each in found]
    document = {"schema": 1, "time": after["time"], "changes": [asdict(each) for each in found]}
    if not rows:
        return Result([f"{at}no change"], document)
    return Result([f"{at}{len(rows)} changes", Table(("", "NODE", ""), rows)], document)
