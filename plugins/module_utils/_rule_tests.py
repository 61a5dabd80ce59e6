# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The test that every rule carries: it fires where it should, not at a near miss, and never over what is not known."""

from __future__ import annotations

import copy
import typing as t

from . import _evaluate, _jmes, _scan
from ._rules import Rule

JSON = dict[str, t.Any]
TIME = "2026-01-01T12:00:00Z"


def faults(rule: Rule) -> list[str]:
    """What is wrong with a rule by its own test; nothing is good."""
    found, state = list[str](), filled(rule, rule.test["fires"])
    outcome = _evaluate.ask(rule, state)
    if not outcome.found:
        found.append(f"it does not fire over `fires`{_because(outcome)}")
    found += [
        f"its words do not suit `fires`: {why}" for each in outcome.found for why in _wordless(rule, each.item, state)
    ]
    near = _evaluate.ask(rule, filled(rule, rule.test["misses"]))
    if near.found:
        found.append(f"it fires over `misses`: {near.found[0].evidence or near.found[0].node}")
    elif near.unknown:
        found.append(f"`misses` is no near miss{_because(near)}")
    if not rule.suits(state):
        found.append("`applies` leaves it out over `fires`")
    for path in rule.needs:
        blind = _without(state, rule, path)
        if blind is not None and _evaluate.ask(rule, blind).found:
            found.append(f"it fires although {path} is not known")
    return found


def filled(rule: Rule, given: JSON) -> JSON:
    """A whole state out of the parts that a test gives; `logs` are lines by node and source, scanned as any log."""
    state: JSON = {"time": TIME, "nodes": [], "distro": None, "harvester": None, "unread": {}} | copy.deepcopy(given)
    state["nodes"] = [{"reachable": True, "unread": {}, "version": None} | entry for entry in state["nodes"]]
    lines = state.pop("logs", {})
    state["logs"], state["hits"] = [], []
    for node, sources in lines.items():
        for source, text in sources.items():
            log, hits = _scan.scanned(
                _scan.patterns([rule]),
                *(None if node == "cluster" else node, source, f"{source}.log", ["\n".join(text).encode()]),
                end=state["time"],
            )
            state["logs"].append(log)
            state["hits"] += hits
    return state


def _without(state: JSON, rule: Rule, path: str) -> JSON | None:
    """The state in which this is null in each item; None where the path is more than names and dots."""
    words = path.split(".")
    if not all(word.isidentifier() for word in words):
        return None
    blind = copy.deepcopy(state)
    if words[0] == "state":
        items, words = [blind], words[1:]
    else:
        found = [blind] if not rule.over else _jmes.search(rule.over, blind, blind) or []
        items = blind["nodes"] if rule.over.startswith("nodes") else [item for item in found if isinstance(item, dict)]
    for item in items:
        for word in words[:-1]:
            item = item.get(word) or {}
        item[words[-1]] = None
    return blind


def _wordless(rule: Rule, item: JSON, state: JSON) -> t.Iterator[str]:
    """Expressions in its texts that an item makes no sense of."""
    for template in (rule.title, rule.cause, rule.action, *rule.evidence):
        for expression in _jmes.expressions(template):
            try:
                _jmes.search(expression, item, state)
            except _jmes.BadExpression as error:
                yield str(error)


def _because(outcome: _evaluate.Outcome) -> str:
    return f": {outcome.unknown[0].why}" if outcome.unknown else ""
