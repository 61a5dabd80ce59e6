# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum upgrade`: a Harvester to another release, hop by hop; or one that goes on, watched, stopped or nudged."""

from __future__ import annotations

import argparse
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _upgrade_plan

from . import inputs, remote
from .output import LOCKED, Result

JSON = dict[str, Any]
FAILED, REFUSED = 1, 3
HOOKS = ("pre-drain", "post-drain")


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "upgrade a Harvester hop by hop, or watch, stop or nudge the upgrade that goes on"
    made: argparse.ArgumentParser = commands.add_parser("upgrade", help=text, description=text, allow_abbrev=False)
    inputs.add_cluster(made)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", metavar="VERSION", help="release to go to, over as many hops as it takes")
    what.add_argument("--stop", action="store_true", help="delete the upgrade that goes on, only before phase 4")
    what.add_argument("--nudge", nargs=2, metavar=("HOOK", "NODE"),
                      help="answer pre-drain or post-drain of a node, once its job has succeeded")  # fmt: skip
    made.add_argument("--check", "--plan", action="store_true", help="show what would be done, change nothing")
    made.add_argument("--confirm", metavar="CLUSTER", help="the name of the cluster: do it")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=upgrade)


def upgrade(arguments: argparse.Namespace) -> Result:
    """0: there. 3: refused, or not confirmed. 5: another run works on it. 1: it stands still or has failed."""
    if arguments.nudge and arguments.nudge[0] not in HOOKS:
        raise inputs.Usage(f"--nudge {arguments.nudge[0]}: name one of {', '.join(HOOKS)}")
    variables: JSON = dict(arguments.extra_var) | ({"requorum_confirm": arguments.confirm} if arguments.confirm else {})
    if arguments.to is None:
        return _once(arguments, variables)
    hops: list[JSON] = []
    while True:
        outcome = remote.play("upgrade", arguments, {**variables, "requorum_to": arguments.to})
        plan: JSON | None = outcome.results.get("upgrade_plan", {}).get("plan")
        run: JSON = outcome.results.get("upgrade_run", {})
        variables.pop("requorum_upgrade_plan_id", None)  # the next hop has its own
        hops += [{"plan": plan, **{key: run.get(key) for key in ("progress", "stall", "timeline", "report")}}]
        goes_on = plan is not None and run.get("progress") and len(plan["hops"]) > (plan["do"] == "start")
        if outcome.failures or arguments.check or not goes_on:
            break
    document = {"schema": 1, "check": arguments.check, "hops": hops, "errors": outcome.failures}
    lines = [line for each in hops for line in _ended(each)]
    lines = lines or (_upgrade_plan.shown(plan) if plan else [])
    text = ["".join(f"{line}\n" for line in lines)] if lines else []
    return Result(text, document, outcome.failures, _code(outcome, run))


def _ended(hop: JSON) -> list[str]:
    """How the watching of a hop ended; nothing where none was watched."""
    at: JSON | None = hop["progress"]
    if not at:
        return []
    how = at["ended"] or f"stands still in phase {at['phase']} ({at['name']}): {hop['stall'] or 'nobody answers'}"
    return [f"{at['upgrade']} to {at['version']}: {how}", f"  {hop['report']}"]


def _once(arguments: argparse.Namespace, variables: JSON) -> Result:
    """A stop or a nudge."""
    if arguments.nudge:
        variables |= {"requorum_hook": arguments.nudge[0], "requorum_node": arguments.nudge[1]}
    name = "upgrade_stop" if arguments.stop else "upgrade_nudge"
    outcome = remote.play(name, arguments, variables)
    result = outcome.results.get(name, {})
    actions = result.get("requorum_actions") or []
    changed = bool(result.get("saved")) and not arguments.check
    word = "done" if changed else "would be done"
    lines = "".join(f"{word}  {a['verb']} {a['kind']} {a['name']}: {a['what']}\n" for a in actions)
    document = {"schema": 1, "check": arguments.check, "actions": actions, "errors": outcome.failures}
    code = 0 if not outcome.failures else FAILED if changed else REFUSED
    return Result([lines] if lines else [], document, outcome.failures, code)


def _code(outcome: remote.Outcome, run: JSON) -> int:
    if outcome.locked:
        return LOCKED
    if not outcome.failures:
        return 0
    return FAILED if run else REFUSED
