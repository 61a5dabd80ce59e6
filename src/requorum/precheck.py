# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum precheck`: whether a Harvester can be upgraded now, item by item; nothing is changed."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from typing import Any

from . import diagnose, inputs, remote
from .output import Result

JSON = dict[str, Any]
FAILED = 1


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "say whether a Harvester can be upgraded now, item by item; change nothing"
    made: argparse.ArgumentParser = commands.add_parser("precheck", help=text, description=text, allow_abbrev=False)
    inputs.add_cluster(made)
    made.add_argument("--to", metavar="VERSION", default="", help="release to go to: the step to it, and its ISO")
    diagnose.add_faces(made)
    made.set_defaults(run=precheck)


def precheck(arguments: argparse.Namespace) -> Result:
    """0: ready. 4: an item forbids an upgrade. 3: something could not be checked. 1: it could not be asked at all."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _precheck

    variables: JSON = dict(arguments.extra_var)
    if arguments.to:
        variables["requorum_to"] = arguments.to
    if arguments.rules:
        variables["requorum_rules"] = [os.path.abspath(folder) for folder in arguments.rules]
    outcome = remote.play("precheck", arguments, variables)
    document: JSON | None = outcome.results.get("cluster_precheck", {}).get("precheck")
    if document is None:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    return replace(diagnose.result(document, arguments), code=_precheck.CODES[document["precheck"]["verdict"]])
