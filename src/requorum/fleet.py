# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum fleet`: what is wrong with each of many clusters, and one overview of them, the worst first."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from . import inputs, remote
from .output import Result

JSON = dict[str, Any]
FAILED = 1


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    text = "look at many clusters; change nothing"
    family: argparse.ArgumentParser = commands.add_parser("fleet", help=text, description=text, allow_abbrev=False)
    verbs = family.add_subparsers(metavar="COMMAND", required=True)
    for name, told in (
        ("inspect", "read and judge every cluster of the inventory, and make the overview"),
        ("overview", "make the overview of what was seen before, of slices too; read no cluster"),
    ):
        made = verbs.add_parser(name, help=told, description=told, allow_abbrev=False)
        inputs.add_cluster(made)
        made.add_argument("--prometheus", metavar="FILE", help="write it for the node exporter too")
        made.add_argument("--all", action="store_true", help="healthy clusters too")
        made.add_argument("--json", action="store_true", help="the overview as JSON (docs/overview.schema.json)")
        made.set_defaults(run=run, playbook=f"fleet_{name}")


def run(arguments: argparse.Namespace) -> Result:
    """4: an error or a blocker in any cluster. 1: one is unknown, or was not judged. Else 0."""
    variables: JSON = dict(arguments.extra_var)
    if arguments.prometheus:
        variables["requorum_prometheus"] = os.path.abspath(arguments.prometheus)
    outcome = remote.play(arguments.playbook, arguments, variables)
    made = outcome.results.get("fleet_overview", {})
    if "overview" not in made:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    from ansible_collections.requorum.cluster.plugins.module_utils import _overview, _overview_text

    path = Path(made["overview"])
    document: JSON = json.loads(path.read_text("utf-8"))
    text = _overview_text.text(document, everything=arguments.all, folder=str(path.parent))
    return Result([text], document, outcome.failures, _overview.code(document))
