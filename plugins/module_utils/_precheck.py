# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The pre-check of an upgrade of Harvester: the diagnosis, of which only what an upgrade asks for is kept, as items.

An item is a rule that forbids an upgrade, or whose references name the pre-check: there is no second list. The verdict
is the diagnosis' own decision about the operation `upgrade`; but what could not be checked is never ready.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass
from pathlib import PurePath

from . import _diagnosis_words as words
from ._rules import Rule

JSON = dict[str, t.Any]
UPGRADE = "upgrade"
READY, FAILED, UNKNOWN = "ready", "failed", "unknown"
CODES = {READY: 0, FAILED: 4, UNKNOWN: 3}
"""Verdict -> exit code."""
_NAMED = re.compile(r"pre-check (\d+|ours)$")
TOPICS = {
    "target": "Release to go to",
    "upgrade": "Other upgrades",
    "leftovers": "What upgrades have left",
    "precheck": "Harvester's own conditions",
    "harvester": "Components of Harvester",
    "fleet": "Charts and bundles",
    "rancher": "Rancher and CAPI",
    "machines": "Machines of CAPI",
    "longhorn": "Storage",
    "snapshots": "Backups",
    "certificates": "Certificates",
    "datastore": "Datastore of etcd",
    "members": "Members of etcd",
    "upkeep": "Upkeep of etcd",
    "versions": "Versions",
    "services": "Services",
    "tokens": "Tokens",
    "hosts": "Hosts and clocks",
    "network": "Network",
}
"""File of rules -> what it is about, in the order in which items are shown."""
SITE = "Rules of this site"


@dataclass(frozen=True)
class Item:
    """One item and what came of it."""

    id: str
    topic: str
    official: tuple[int, ...]
    """Numbers in the official script (docs/precheck.md)."""
    state: str
    """passed, warning, failed, not checked, not asked."""
    why: str
    """Of the last two."""


def is_item(rule: Rule) -> bool:
    """Whether an upgrade of a Harvester asks for it."""
    about = UPGRADE in rule.forbids or any(map(_NAMED.match, rule.references))
    return about and not {"rke2", "harvester"}.isdisjoint(rule.applies.get("distro", ("harvester",)))


def numbers(rule: Rule) -> tuple[int, ...]:
    """Of the official pre-check."""
    found = filter(None, map(_NAMED.match, rule.references))
    return tuple(int(match[1]) for match in found if match[1].isdecimal())


def items(diagnosis: JSON, rules: t.Iterable[Rule], target: JSON | None) -> list[Item]:
    """Each item once, by topic, the official ones of a topic first."""
    found = [_item(rule, diagnosis, target) for rule in rules if is_item(rule)]
    order = [*TOPICS.values(), SITE]
    return sorted(found, key=lambda item: (order.index(item.topic), item.official or (99,)))


def _item(rule: Rule, diagnosis: JSON, target: JSON | None) -> Item:
    missed = [each for each in diagnosis["not_checked"] if each["rule"] == rule.id]
    found = any(finding["id"] == rule.id for finding in diagnosis["findings"])
    why = ""
    if found and UPGRADE in rule.forbids:
        state = "failed"
    elif missed:
        state, why = "not checked", "; ".join(f"{each['node'] or 'cluster'}: {each['why']}" for each in missed)
    elif found:
        state = "warning"
    elif rule.id in diagnosis["passed"]:
        state = "passed"
    else:
        state, why = "not asked", _unasked(rule, target)
    topic = TOPICS.get(PurePath(rule.file).stem, SITE)
    return Item(rule.id, topic, numbers(rule), state, why)


def _unasked(rule: Rule, target: JSON | None) -> str:
    limits = [f"{name} {rule.applies[name]}" for name in ("harvester", "kubernetes") if name in rule.applies]
    if "wish" not in rule.applies:
        return f"it is for {' and '.join(limits) or 'other clusters'}"
    return f"{rule.applies['wish']} was not asked for, or is not told" if target else "no release to go to was named"


def verdict(diagnosis: JSON, made: t.Iterable[Item]) -> str:
    """What the diagnosis says of an upgrade; never ready where something was not checked."""
    states = {item.state for item in made}
    refused = any(each["operation"] == UPGRADE for each in diagnosis["refused"])
    if "failed" in states or (refused and diagnosis["verdict"]["case"] != "unknown"):
        return FAILED
    return UNKNOWN if refused or "not checked" in states else READY


def document(diagnosis: JSON, rules: t.Sequence[Rule], target: JSON | None) -> JSON:
    """The diagnosis as all its faces show it, of the items alone, and `precheck` (docs/diagnosis.schema.json).

    A finding is an error where it forbids the upgrade, else a warning, and stands for itself.
    """
    made = items(diagnosis, rules, target)
    states = {item.id: item.state for item in made}
    findings = [
        {**finding, "severity": _severity(finding, states[finding["id"]]), "explained_by": None}
        for finding in diagnosis["findings"]
        if finding["id"] in states
    ]
    findings.sort(key=lambda finding: states[finding["id"]] != "failed")
    said = verdict(diagnosis, made)
    refused = [each for each in diagnosis["refused"] if each["operation"] == UPGRADE]
    worst = "error" if said == FAILED else "warning" if findings or said == UNKNOWN else "ok"
    return {
        **diagnosis,
        "verdict": {
            "case": diagnosis["verdict"]["case"],
            "severity": worst,
            "sentence": _sentence(said, made, refused, target),
            "next": _next(findings) or (diagnosis["verdict"]["next"] if said != READY else None),
        },
        "allowed": [each for each in diagnosis["allowed"] if each["operation"] == UPGRADE],
        "refused": refused,
        "findings": findings,
        "contradictions": [each for each in diagnosis["contradictions"] if set(each["ids"]) <= set(states)],
        "not_checked": [each for each in diagnosis["not_checked"] if each["rule"] in states],
        "checked": sum(state != "not asked" for state in states.values()),
        "passed": [ident for ident in diagnosis["passed"] if ident in states],
        "precheck": {
            "verdict": said,
            "target": (target or {}).get("version"),
            "items": [{**asdict(item), "official": list(item.official)} for item in made],
        },
    }


def _severity(finding: JSON, state: str) -> str:
    if state != "failed":
        return "warning"
    return str(finding["severity"]) if finding["severity"] in ("blocker", "error") else "error"


def _sentence(said: str, made: t.Sequence[Item], refused: t.Sequence[JSON], target: JSON | None) -> str:
    count = {state: sum(item.state == state for item in made) for state in ("failed", "warning", "not checked")}
    where = f" to {target['version']}" if target else ""
    also = f" {count['not checked']} more could not be checked." if count["not checked"] else ""
    if said == FAILED:
        first = f" {refused[0]['what']}" if refused else ""
        return f"{count['failed']} of {len(made)} items forbid an upgrade{where}.{first}{also}"
    if said == UNKNOWN:
        return f"Nothing that is known forbids an upgrade{where}, but too little is: {_unchecked(count, refused)}"
    warned = f", with {words.count(count['warning'], 'warning')}" if count["warning"] else ""
    return f"The cluster is ready for an upgrade{where}{warned}."


def _unchecked(count: t.Mapping[str, int], refused: t.Sequence[JSON]) -> str:
    if refused:
        return str(refused[0]["what"])
    return f"{words.count(count['not checked'], 'item')} could not be checked."


def _next(findings: t.Sequence[JSON]) -> JSON | None:
    """The command of the first item that has one; those that failed stand first."""
    first = next((finding for finding in findings if finding["action"]), None)
    return {"command": first["action"], "why": first["summary"]} if first else None
