# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum reinstall`: a living server of a Harvester leaves, so that it can be installed anew."""

from __future__ import annotations

import argparse
from typing import Any

from . import output, remote, turns
from .output import Result

JSON = dict[str, Any]
FAILED, REFUSED = 1, 3
WORDS = ("id", "node", "verb", "kind", "namespace", "name", "what", "why")


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "let a living server of a Harvester leave, so that it can be installed anew; the quorum stands all the time"
    made: argparse.ArgumentParser = commands.add_parser("reinstall", help=text, description=text, allow_abbrev=False)
    made.add_argument("node", metavar="NODE", help="its Node, or its name in the inventory")
    turns.add_common(made)
    made.add_argument("--anyway", action="store_true", help="although its OS and RKE2 are of the cluster's version")
    made.add_argument("--accept-vm-stop", metavar="NAMESPACE/NAME", action="append", default=[],
                      help="this virtual machine may stop, since it cannot migrate; `all` for all of them")  # fmt: skip
    made.add_argument("--accept-loss", metavar="VOLUME", action="append", default=[],
                      help="give this Longhorn volume or image up, whose last copy is on it")  # fmt: skip
    made.add_argument("--undo", action="store_true", help="open again what an earlier run has closed")
    made.set_defaults(run=reinstall)


def reinstall(arguments: argparse.Namespace) -> Result:
    """The actions that were done, or would be. 3 when something forbids it or nobody has confirmed it."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _orphans

    stop: Any = "all" if "all" in arguments.accept_vm_stop else arguments.accept_vm_stop
    options = {"anyway": arguments.anyway, "undo": arguments.undo}
    given: JSON = dict(arguments.extra_var) | {"requorum_reinstall": arguments.node}
    given |= {f"requorum_reinstall_{name}": True for name, value in options.items() if value}
    given |= {"requorum_accept_vm_stop": stop} if stop else {}
    given |= {"requorum_accept_loss": arguments.accept_loss} if arguments.accept_loss else {}
    given |= {"requorum_confirm": arguments.confirm} if arguments.confirm else {}
    outcome = remote.play("reinstall", arguments, given)
    made = outcome.results.get("node_reinstall")
    if made is None:
        notes = outcome.failures or ["Nothing came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    began = not arguments.check and bool(made.get("requorum_planned"))  # the first phase was reached: confirmed
    actions = made.get("requorum_planned", made.get("requorum_actions")) or []
    names = ("notes", "refusals", "moves", "stops", "requorum_run_dir")
    document: JSON = {"schema": 1, "actions": [{word: a[word] for word in WORDS} for a in actions]}
    document |= {name: made[name] for name in names if made.get(name) is not None}
    document["done"] = began and not outcome.failures
    lines = [f"{action['id']} {_orphans.line(action)}" for action in actions] + list(made.get("notes") or ())
    for name, host in ((outcome.results.get("join_config") or {}).get("hosts") or {}).items():
        lines.append(f"{name} joins again by the files in {host['folder']}; begin with README.md.")
    code = 0 if not outcome.failures else FAILED if began else REFUSED
    if not lines and not outcome.failures:
        lines = ["There is nothing to do."]
    text = "".join(f"{row}\n" for line in lines for row in output.wrapped(line))
    return Result([text] if text else [], document, outcome.failures, code)
