# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum purge-orphans`: what the API still holds of dead servers goes, and what an aborted upgrade has left."""

from __future__ import annotations

import argparse
from typing import Any

from . import output, remote, turns
from .inputs import Usage
from .output import Result

JSON = dict[str, Any]
FAILED, REFUSED = 1, 3


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "let go what the API still holds of dead servers: machines, nodes, node passwords, Longhorn's part"
    made: argparse.ArgumentParser = commands.add_parser(
        "purge-orphans", help=text, description=text, allow_abbrev=False
    )
    turns.add_common(made)
    made.add_argument("--dead", metavar="NAME", action="append", default=[],
                      help="this server is dead, and its power is off; may be repeated")  # fmt: skip
    made.add_argument("--leftovers", action="store_true", help="restore what an aborted upgrade of Harvester has left")
    made.add_argument("--accept-loss", metavar="VOLUME", action="append", default=[],
                      help="give this Longhorn volume or image up, whose last copy is on a dead server")  # fmt: skip
    made.set_defaults(run=purge)


def purge(arguments: argparse.Namespace) -> Result:
    """The actions that were done, or would be. 3 when something forbids it or nobody has confirmed it."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _orphans

    given: JSON = dict(arguments.extra_var)
    if not (arguments.dead or arguments.leftovers or given.keys() & {"requorum_dead", "requorum_powered_off"}):
        raise Usage("Name the dead servers: --dead NAME. That a Node is not Ready is no reason to purge it.")
    options = {"dead": arguments.dead, "leftovers": arguments.leftovers, "accept_loss": arguments.accept_loss}
    given |= {f"requorum_{name}": value for name, value in options.items() if value}
    if arguments.confirm:
        given["requorum_confirm"] = arguments.confirm
    outcome = remote.play("purge_orphans", arguments, given)
    made = outcome.results.get("orphan_purge")
    if made is None:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    names = ("actions", "notes", "refusals", "saved", "requorum_run_dir")
    document: JSON = {"schema": 1, **{name: made.get(name) for name in names if made.get(name) is not None}}
    began = "requorum_run_dir" in made
    document["done"] = began and not outcome.failures
    lines = [_orphans.line(action) for action in made.get("actions") or ()] + list(made.get("notes") or ())
    lines += [f"The objects as they were: {made['saved']}"] if began else []
    refused = bool(made.get("refusals")) or not made.get("failed")  # by the module, or by the gate behind it
    code = (REFUSED if refused else FAILED) if outcome.failures else 0
    if not lines and not outcome.failures:
        lines = ["Nothing of them is left."]
    text = "".join(f"{row}\n" for line in lines for row in output.wrapped(line))
    return Result([text] if text else [], document, outcome.failures, code)
