# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum force-sync`: bundles of Fleet are brought on until they are really synced."""

from __future__ import annotations

import argparse
from typing import Any

from . import inputs, remote
from .output import Result, Table

JSON = dict[str, Any]
FAILED, REFUSED = 1, 3


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "unpause bundles of Fleet, force their sync, and wait until they are really synced"
    made: argparse.ArgumentParser = commands.add_parser("force-sync", help=text, description=text, allow_abbrev=False)
    made.add_argument("bundle", metavar="BUNDLE", nargs="*", help="[NAMESPACE/]NAME; without any those of Harvester")
    inputs.add_cluster(made)
    made.add_argument("--always", action="store_true", help="also where a bundle is synced")
    made.add_argument("--check", action="store_true", help="show what would be done, change nothing")
    made.add_argument("--confirm", metavar="CLUSTER", help="the name of the cluster: do it")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=force_sync)


def force_sync(arguments: argparse.Namespace) -> Result:
    """3 when it was not confirmed, 1 when a bundle is not synced in the end."""
    given = {
        "requorum_bundles": arguments.bundle,
        "requorum_sync_always": arguments.always,
        "requorum_confirm": arguments.confirm,
    }
    variables = {**dict(arguments.extra_var), **{name: value for name, value in given.items() if value}}
    outcome = remote.play("force_sync", arguments, variables)
    result = outcome.results.get("bundle_sync")
    if result is None or "bundles" not in result:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    rows = [(_word(entry), entry["bundle"], _told(entry)) for entry in result["bundles"]]
    actions = [f"{a['kind']} {a['namespace']}/{a['name']}  {a['what']}" for a in result["requorum_actions"]]
    refused = bool(outcome.failures) and "msg" not in result  # the plan was made, and the gate did not let it pass
    word = "would be done" if arguments.check or refused else "done"
    blocks: list[str | Table] = [Table(("STATE", "BUNDLE", ""), rows)] if rows else [str(result["msg"])]
    if actions:
        blocks.append("".join(f"{word}  {line}\n" for line in actions))
    fields = ("bundles", "requorum_actions", "saved")
    document = {"schema": 1, "check": arguments.check, **{name: result[name] for name in fields}}
    return Result(blocks, document, outcome.failures, REFUSED if refused else FAILED if outcome.failures else 0)


def _word(entry: JSON) -> str:
    return "synced" if entry["synced"] else str(entry["state"])


def _told(entry: JSON) -> str:
    """Nothing about a bundle that is as it should be."""
    return " ".join(str(entry[key]) for key in ("why", "repair") if entry[key])
