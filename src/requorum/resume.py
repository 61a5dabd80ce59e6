# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum resume`: a run that was stopped, killed or has failed goes on, by the command that has started it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import command, runs
from .inputs import Usage
from .output import LOCKED, Result


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "go on with the last run of a cluster that did not come to its end, by the same command"
    made: argparse.ArgumentParser = commands.add_parser("resume", help=text, description=text, allow_abbrev=False)
    made.add_argument("cluster", metavar="CLUSTER", nargs="?", help="its name; not needed where only one is unfinished")
    made.add_argument("--output", metavar="DIR", default="recoveries", help="requorum_output of the run; recoveries")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=resume)


def resume(arguments: argparse.Namespace) -> Result:
    """The exit code of that command; 5 while its process still goes on."""
    run = _chosen(runs.unfinished(Path(arguments.output), datetime.now(UTC)), arguments.cluster)
    record = command.load(run.folder)
    if record is None:
        raise RequorumError(f"{run.folder} was not started by this command.", f"Type it again: {run.next}")
    if command.running(record):
        note = f"{run.cluster}: the run still goes on, in process {record['pid']}. Wait for it, or end that process."
        return Result([], {"schema": 1, "errors": [note]}, [note], LOCKED)
    from .cli import parser  # which imports this module

    again = parser().parse_args(record["argv"])
    again.argv, again.json = record["argv"], arguments.json
    again.plan_id = None  # the plan is another one now: part of it is done
    again.extra_var = [(name, value) for name, value in again.extra_var if not name.endswith("plan_id")]
    sys.stderr.write(f"requorum {shlex.join(record['argv'])}\n")
    os.chdir(record["cwd"])
    result: Result = again.run(again)
    return result


def _chosen(found: list[runs.Run], cluster: str | None) -> runs.Run:
    """The one that is meant: the newest of its cluster."""
    wanted = [run for run in found if cluster in (None, run.cluster)]
    if not wanted:
        raise Usage(f"No run{f' of {cluster}' if cluster else ''} is unfinished. `requorum status --all` lists all.")
    if len(wanted) > 1:
        raise Usage(f"Name the cluster: runs of {', '.join(run.cluster for run in wanted)} are unfinished.")
    return wanted[0]
