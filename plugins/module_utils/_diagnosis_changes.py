# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What has changed between two diagnoses of one cluster.

A finding is gone only where its rule could be asked again; else nobody knows, and that is said.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _diagnosis_words as words

JSON = t.Mapping[str, t.Any]
What = t.Literal["new", "gone", "not checked", "changed"]


@dataclass(frozen=True)
class Change:
    """One of them; `node` is null where it concerns the cluster."""

    what: What
    node: str | None
    text: str


def changes(before: JSON, after: JSON) -> list[Change]:
    """The verdict first, then findings, then what of each node is not as it was; ages and sizes do not count."""
    return [*_verdict(before, after), *_findings(before, after), *_leader(before, after), *_nodes(before, after)]


def _verdict(before: JSON, after: JSON) -> t.Iterator[Change]:
    old, new = before["verdict"], after["verdict"]
    if (old["case"], old["severity"]) != (new["case"], new["severity"]):
        yield Change("changed", None, f"{_said(old)} -> {_said(new)}: {new['sentence']}")


def _said(verdict: JSON) -> str:
    return f"{verdict['case'].replace('_', ' ')} ({verdict['severity']})"


def _findings(before: JSON, after: JSON) -> t.Iterator[Change]:
    """By rule and node; of several those that say the same are the same."""
    old, new = _by_place(before), _by_place(after)
    blind = {(each["rule"], each["node"]) for each in after["not_checked"]}
    asked = {*after["passed"], *(each["id"] for each in after["findings"])}
    for place in dict.fromkeys([*new, *old]):
        was, now = dict(old.get(place, {})), dict(new.get(place, {}))
        for same in was.keys() & now.keys():
            del was[same], now[same]
        for (summary, severity), (earlier, _severity) in zip(list(now.items()), list(was.items()), strict=False):
            yield Change("changed", place[1], f"{severity}: {summary} Before: {earlier}")
            del now[summary], was[earlier]
        for summary, severity in now.items():
            yield Change("new", place[1], f"{severity}: {summary}")
        seen = place[0] in asked and not {place, (place[0], None)} & blind
        for summary, severity in was.items():
            yield Change("gone" if seen else "not checked", place[1], f"{severity}: {summary}")


def _by_place(document: JSON) -> dict[tuple[str, str | None], dict[str, str]]:
    found: dict[tuple[str, str | None], dict[str, str]] = {}
    for each in document["findings"]:
        found.setdefault((each["id"], each["node"]), {})[each["summary"]] = each["severity"]
    return found


def _leader(before: JSON, after: JSON) -> t.Iterator[Change]:
    """An election: another leader, or the same one in another term."""
    (old, first), (new, second) = _led(before), _led(after)
    if old != new or (first and second and first != second):
        terms = f"term {first or '?'} -> {second or '?'}"
        yield Change("changed", None, f"leader {old or 'unknown'} -> {new or 'unknown'}, {terms}")


def _led(document: JSON) -> tuple[str | None, int | None]:
    members = [(node["name"], node["member"]) for node in document["nodes"] if node["member"]]
    leader = next((name for name, member in members if member["leader"]), None)
    return leader, max((member["term"] for _name, member in members if member["term"]), default=None)


def _nodes(before: JSON, after: JSON) -> t.Iterator[Change]:
    old, new = ({node["name"]: node for node in document["nodes"]} for document in (before, after))
    yield from (Change("gone", name, "no longer among the nodes") for name in old if name not in new)
    yield from (Change("new", name, "now among the nodes") for name in new if name not in old)
    for name in [name for name in new if name in old]:
        for part, label in words.COMPONENTS.items():
            was, now = old[name]["components"][part], new[name]["components"][part]
            if was["state"] != now["state"]:
                yield Change("changed", name, f"{label}: {_state(was)} -> {_state(now)}")
        was, now = old[name]["member"] or {}, new[name]["member"] or {}
        if was.get("role") and now.get("role") and was["role"] != now["role"]:
            yield Change("changed", name, f"member: {was['role']} -> {now['role']}")


def _state(part: JSON) -> str:
    return f"{part['state']} ({part['words']})"
