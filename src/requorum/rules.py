# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rules`: what a diagnosis looks for, one rule with all that it says, and the test of every rule.

They are imported where they are read, as in `diagnose`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .inputs import Usage
from .output import Result, Table

if TYPE_CHECKING:
    from ansible_collections.requorum.cluster.plugins.module_utils._rules import Rule

JSON = dict[str, Any]
FOUND = 4


def add(commands: Any) -> None:
    """Put the commands into the parser."""
    text = "the rules by which inspect and diagnose judge"
    made: argparse.ArgumentParser = commands.add_parser("rules", help=text, description=text, allow_abbrev=False)
    verbs = made.add_subparsers(metavar="VERB", required=True)
    for name, run, told in (
        ("list", listed, "all of them"),
        ("show", shown, "one of them: what it looks at, what it says, what it must not be mistaken for"),
        ("test", tested, "let each fire where it should, and not at a near miss"),
    ):
        verb = verbs.add_parser(name, help=told, description=told, allow_abbrev=False)
        if run is shown:
            verb.add_argument("id", metavar="ID", help="name of the rule")
        add_folders(verb)
        verb.add_argument("--json", action="store_true", help="as JSON")
        verb.set_defaults(run=run)


def add_folders(command: argparse.ArgumentParser) -> None:
    """Rules of a site."""
    command.add_argument("--rules", metavar="DIR", type=Path, action="append", default=[],
                         help="folder with rules of this site (*.yaml), besides ours; may be repeated")  # fmt: skip


def listed(arguments: argparse.Namespace) -> Result:
    """One row for each rule."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _rules

    rules = _rules.load(*arguments.rules)
    rows = [(rule.severity, rule.id, rule.title) for rule in rules]
    kinds = [(word, sum(rule.severity == word for rule in rules)) for word in _rules.SEVERITIES]
    count = f"{len(rules)} rules: {', '.join(f'{number} {word}' for word, number in kinds if number)}.\n"
    return Result([Table(("SEVERITY", "RULE", ""), rows), count], {"schema": 1, "rules": [_plain(r) for r in rules]})


def shown(arguments: argparse.Namespace) -> Result:
    """All that a rule says."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _rules

    rules = _rules.load(*arguments.rules)
    rule = next((each for each in rules if each.id == arguments.id), None)
    if rule is None:
        near = [each.id for each in rules if arguments.id in each.id]
        raise Usage(f"There is no rule {arguments.id}. {_near(near)}")
    return Result([Table((), list(_rows(rule)))], {"schema": 1, "rule": _plain(rule)})


def _near(names: list[str]) -> str:
    return f"There is {', '.join(names)}." if names else "`requorum rules list` shows all."


def _rows(rule: Rule) -> Iterator[tuple[str, str]]:
    applies = " ".join(f"{key} {_said(value)}" for key, value in rule.applies.items())
    logs = rule.logs
    yield from _filled(
        ("rule", rule.id), ("title", rule.title), ("severity", rule.severity), ("applies to", applies),
        ("over", rule.over), ("needs", ", ".join(rule.needs)), ("when", rule.when), ("predicate", rule.predicate),
    )  # fmt: skip
    if logs:
        yield from _filled(
            ("logs of", ", ".join(logs.source)), ("pattern", logs.pattern),
            ("within", f"{logs.within:g} min" if logs.within else ""), ("at least", f"{logs.count} lines"),
            ("cleared by", logs.cleared_by),
        )  # fmt: skip
    yield from _filled(
        *(("evidence", each) for each in rule.evidence), ("cause", rule.cause), ("next", rule.action),
        ("forbids", ", ".join(rule.forbids)), ("explains", ", ".join(rule.explains)),
        ("contradicts", ", ".join(rule.contradicts)),
        *((f"not {name}", how) for name, how in rule.not_.items()),
        *(("see", each) for each in rule.references), ("file", rule.file),
    )  # fmt: skip


def _filled(*rows: tuple[str, str]) -> Iterator[tuple[str, str]]:
    return (row for row in rows if row[1])


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(rule: Rule) -> JSON:
    """As it is written in YAML."""
    found = {key: value for key, value in asdict(rule).items() if value or key in ("cause", "action")}
    return {("not" if key == "not_" else key): value for key, value in found.items()}


def tested(arguments: argparse.Namespace) -> Result:
    """0 when each does what it should by its own test, else 4."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _rule_tests, _rules

    rules = _rules.load(*arguments.rules)
    names = {rule.id for rule in rules}
    faults = {rule.id: [*_rule_tests.faults(rule), *_strange(rule, names)] for rule in rules}
    rows = [("FAILED", rule, fault) for rule, found in faults.items() for fault in found]
    said = f"{len(rules)} rules, {sum(map(bool, faults.values()))} of them fail.\n"
    blocks: list[str | Table] = [Table(("STATE", "RULE", ""), rows), said] if rows else [said]
    document = {"schema": 1, "rules": [{"id": rule, "faults": found} for rule, found in faults.items()]}
    return Result(blocks, document, [], FOUND if rows else 0)


def _strange(rule: Rule, names: set[str]) -> Iterator[str]:
    """What it names must be there."""
    for name in (*rule.explains, *rule.contradicts):
        if "*" not in name and name not in names:
            yield f"it names {name}, and there is no such rule"
