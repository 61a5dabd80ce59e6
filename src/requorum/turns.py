# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands share that follow a plan: options, and the report as their result."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _report_text

from . import inputs, remote
from .output import LOCKED, Result

JSON = dict[str, Any]
FAILED, REFUSED = 1, 3
CODES = {**dict.fromkeys(("done", "healthy", "idle", "planned", "recovered", "not_redundant"), 0), "refused": REFUSED}


def add_options(command: argparse.ArgumentParser) -> None:
    """Inventory, dry run, the word that says yes, and a restriction to some hosts."""
    add_common(command)
    command.add_argument("--only", metavar="HOST", action="append", help="work on this host alone; may be repeated")


def add_common(command: argparse.ArgumentParser) -> None:
    """Inventory, dry run and the word that says yes."""
    add_reading(command)
    command.add_argument("--confirm", metavar="CLUSTER", help="the name of the cluster: do what the plan says")


def add_reading(command: argparse.ArgumentParser) -> None:
    """Inventory and dry run."""
    inputs.add_cluster(command)
    command.add_argument("--check", action="store_true", help="show the plan, change nothing")
    command.add_argument("--json", action="store_true", help="the report as JSON; events, a line each, go to stderr")


def run(playbook: str, arguments: argparse.Namespace, options: JSON) -> Result:
    """Run a playbook; its report is the result. 3 when a gate refuses it, 5 when the lock does, 1 when it fails."""
    given = {name: value for name in ("confirm", "only") if (value := getattr(arguments, name, None))} | options
    variables: JSON = {**dict(arguments.extra_var), **{f"requorum_{name}": value for name, value in given.items()}}
    outcome = remote.play(playbook, arguments, variables)
    made = outcome.results.get("recovery_plan")
    folder = str((made or {}).get("requorum_run_dir") or "")
    path = os.path.join(folder, "report.json")
    if not folder or (outcome.failures and not os.path.exists(path)):  # as where the line to a bastion is lost
        notes = outcome.failures or ["No plan came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    with open(path, encoding="utf-8") as file:
        report: JSON = json.load(file)
    code = CODES.get(report["verdict"]["outcome"], FAILED)
    if outcome.failures and not code:  # it was planned, and a gate did not let it pass
        code = REFUSED
    if outcome.locked:
        code = LOCKED
    return Result([_report_text.summary(report, folder)], report, outcome.failures, code)
