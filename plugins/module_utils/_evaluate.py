# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One rule asked of one state: what it finds, and what it could not look at.

Fails closed: what is null is unknown, an expression that makes null is no answer, and a log that was not read says
nothing.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from . import _jmes, _predicates, _rules, _scan
from ._found import Answer, Found, Unknown, why_not
from ._rules import Rule

JSON = dict[str, t.Any]
LINES = 4
"""So many log lines are shown of one finding."""
EACH = re.compile(r"(nodes\[[^\]|]*\])\.([^|\[]+)")
"""A need of a rule about the whole state: each such node of which this is not known is named as not checked."""


@dataclass(frozen=True)
class Outcome:
    """The answer of a rule; neither found nor unknown: all is well, or it is about nothing that is there."""

    found: tuple[Found, ...] = ()
    unknown: tuple[Unknown, ...] = ()


def ask(rule: Rule, state: JSON) -> Outcome:
    """What a rule says of a state; `state` has what `_diagnose.viewed` puts in."""
    try:
        answers = list(_named(rule, state) if rule.predicate else _items(rule, state))
        answers = [_shown(rule, answer, state) if isinstance(answer, Found) else answer for answer in answers]
    except (_jmes.BadExpression, AttributeError, KeyError, TypeError, ValueError) as fault:
        answers = [Unknown(None, f"something has a form that the rule does not know: {fault!r}")]
    found = tuple(answer for answer in answers if isinstance(answer, Found))
    return Outcome(found, tuple(answer for answer in answers if isinstance(answer, Unknown)))


def _named(rule: Rule, state: JSON) -> Answer:
    """What a predicate says, where all that it looks at is known."""
    if (yield from _met(rule, state, None, state)):
        yield from _predicates.NAMED[rule.predicate](state)


def _items(rule: Rule, state: JSON) -> Answer:
    if not rule.over:
        about = _jmes.search(rule.node, state, state) if rule.node else None
        yield from _of_logs(rule, state) if rule.logs and not rule.when else _of(rule, state, about, state)
        return
    items = _jmes.search(rule.over, state, state)
    if items is None:
        why = reason(rule.over, state, state)
        yield from [Unknown(None, why)] if why else ()
        return
    path = rule.node or ("name" if rule.over.startswith("nodes") else "")
    for item in items:
        yield from _of(rule, item, _jmes.search(path, item, state) if path else None, state)


def _of(rule: Rule, item: t.Any, node: str | None, state: JSON) -> Answer:
    """One item: is all known, does it hold, and do the logs say so too?"""
    if not (yield from _met(rule, item, node, state)):
        return
    if rule.when:
        answer = _jmes.search(rule.when, item, state)
        if answer is None:
            yield Unknown(node, f"{rule.when} cannot be said of it")
        if not answer:
            return
    if not rule.logs:
        yield Found(node, item if isinstance(item, dict) else {"it": item})
        return
    for answer in _of_logs(rule, state):
        if answer.node in (node, None) or node is None:
            yield Found(node, item, answer.evidence) if isinstance(answer, Found) else Unknown(node, answer.why)


def _met(rule: Rule, item: t.Any, node: str | None, state: JSON) -> t.Generator[Unknown, None, bool]:
    """Whether all that must be known is; says what is not, but of a part that the cluster simply does not have."""
    for path in rule.needs:
        each = EACH.fullmatch(path) if item is state else None
        if each:
            known = yield from _each(each[1], each[2], state)
            if not known:
                return False
        elif _jmes.search(path, item, state) is None:
            why = reason(path, item, state)
            yield from [Unknown(node, why)] if why else ()
            return False
    return True


def _each(over: str, path: str, state: JSON) -> t.Generator[Unknown, None, bool]:
    """Says of which nodes this is not known; whether it is known of any."""
    items = _jmes.search(over, state, state) or []
    blind = [item for item in items if _jmes.search(path, item, state) is None]
    for item in blind:
        if why := reason(path, item, state):
            yield Unknown(item["name"], why)
    return len(blind) < len(items)


def _of_logs(rule: Rule, state: JSON) -> Answer:
    """What the logs say, node by node; lines of which nobody knows the node have none."""
    assert rule.logs
    sources = set(rule.logs.source)
    read = [log for log in state.get("logs") or () if log["source"] in sources]
    if not read and sources <= _rules.OF_RANCHER and not _managed(state):
        return
    if not read:
        yield Unknown(None, f"no log of {', '.join(rule.logs.source)} was read")
        return
    hits = [hit for hit in state.get("hits") or () if hit["source"] in sources]
    entries: dict[str | None, JSON] = {log["node"]: {"name": log["node"]} for log in read}
    entries |= {entry["name"]: entry for entry in state["nodes"]}
    for node, entry in entries.items():
        mine = [hit for hit in hits if hit["node"] == node]
        wanted = [hit for hit in mine if hit["pattern"] == rule.id]
        ended = _last(hit for hit in mine if hit["pattern"] == f"{rule.id}.clear")
        if ended and ended >= _last(wanted):
            continue
        if _count(wanted, rule.logs.within, state) >= rule.logs.count:
            yield Found(node, entry, tuple(_lines(wanted)))
        elif node is not None and _expected(sources, entry) and not any(log["node"] == node for log in read):
            yield Unknown(node, why_not(entry, "*", f"no log of {' or '.join(rule.logs.source)} was read"))


def _expected(sources: set[str], entry: JSON) -> bool:
    """Whether each such node has one of these logs; that of a pod may be on any of them."""
    return bool(sources & _rules.OF_HOSTS and (entry.get("server") or sources & _rules.OF_HOSTS - _rules.OF_SERVERS))


def _managed(state: JSON) -> bool:
    """Whether Rancher has a part in it; where that was not read it may have."""
    objects, unread = state.get("objects") or {}, state.get("unread") or {}
    return bool(state.get("harvester")) or objects.get("bundles") is not None or "objects.bundles" in unread


def _last(hits: t.Iterable[JSON]) -> str:
    return max((hit["last"] or "" for hit in hits), default="")


def _count(hits: t.Iterable[JSON], within: float | None, state: JSON) -> int:
    """Lines in the window."""
    end = _jmes.seconds(state.get("time"))
    if within is None or end is None:
        return sum(hit["count"] for hit in hits)
    return sum(_scan.young(hit, end - within * 60) for hit in hits)


def _lines(hits: t.Sequence[JSON]) -> t.Iterator[str]:
    """The first and the last lines, each with where it stands, and how many there are."""
    shown = 0
    for hit in hits:
        for line in hit["lines"][: max(0, LINES - shown)]:
            shown += 1
            where = " ".join(filter(None, (hit["node"], f"{hit['file']}:{line['line']}", line["time"])))
            yield f"{where} {line['text']}"
    total = sum(hit["count"] for hit in hits)
    if total > shown:
        begun = min((hit["first"] for hit in hits if hit["first"]), default="")
        yield f"{total} such lines" + (f", from {begun} to {_last(hits)}" if begun else "")


def _shown(rule: Rule, found: Found, state: JSON) -> Found:
    """With the rule's own evidence before the lines of logs."""
    told = tuple(_jmes.filled(template, found.item, state) for template in rule.evidence)
    return Found(found.node, found.item, (*told, *found.evidence))


def reason(path: str, item: t.Any, state: JSON) -> str | None:
    """Why something is null; None where the cluster simply has no such part."""
    words = path.replace("[", ".").split(".")
    own = words[0] == "harvester" and isinstance(item, dict) and "reachable" in item  # what a node tells
    if words[0] in ("state", "objects", "kubernetes", "harvester", "target") and not own:
        words = words[1:] if words[0] == "state" else words
        told = state.get("unread") or {}
        why = next((told[key] for n in range(len(words), 0, -1) if (key := ".".join(words[:n])) in told), None)
        absent = words[0] == "objects" or (words[0] == "harvester" and state.get("distro") and not state["harvester"])
        return why if why or absent else f"{words[0]} was not read"
    if words[0] == "nodes":
        named = re.search(r"\]\.([\w.-]+)", path)
        return f"no node tells {named[1] if named else path}"
    told = (item.get("unread") if isinstance(item, dict) else None) or {}
    return next((str(told[word]) for word in (*words, "*") if word in told), f"{path} is not known")
