# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A diagnosis for a terminal: the verdict, causes with what follows folded below, and the next command last."""

from __future__ import annotations

import typing as t

from . import _diagnosis_words as words
from . import _report_text
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Header and rows; the last column is wrapped."""
Block = str | Rows
"""A text ends with a newline where its lines are to stay as they are."""
EVIDENCE, REASONS, FOLLOW, LONGEST = 4, 5, 8, 210
"""So many lines, reasons, consequences, and characters of a line, are shown unless all are asked for."""


def summary(document: JSON, *, everything: bool = False) -> str:
    """In 80 columns."""
    parts = []
    for block in blocks(document, everything=everything):
        if not isinstance(block, str):
            parts.append("\n".join(_report_text.table(*block)))
        else:
            parts.append(block.rstrip("\n") if block.endswith("\n") else "\n".join(_report_text.wrap(block, "")))
    return "\n\n".join(parts) + "\n"


def blocks(document: JSON, *, everything: bool = False) -> list[Block]:
    """What people read. everything: all evidence, all consequences, and which rules could not be checked."""
    data = mask_all(document)
    tables = (
        (("FOUND", "NODE", ""), _findings(data, everything)),
        (("NODE", "CANNOT BOTH BE TRUE"), ((words.where(each), each["text"]) for each in data["contradictions"])),
        (("NOT NOW", "WHY"), _refusals(data)),
        (("NOT CHECKED", "WHY"), _unchecked(data, everything)),
        (("ITEMS", "PASSED", ""), _items(data, everything)),
    )
    shown: list[Block] = [_head(data), data["verdict"]["sentence"]]
    for header, made in tables:
        if rows := list(made):
            shown.append((header, rows))
    return [*shown, *_missed(data, everything), *_next(data)]


def _head(data: JSON) -> str:
    source, about = data["source"] or {}, words.system(data)
    title = f"{words.outcome(data).word.upper()}: {data['cluster'] or 'a cluster without a name'}"
    title += f" ({about})" if about else ""
    seen = [str(source["name"])] if source.get("kind", "live") != "live" and source["name"] else []
    seen += [f"seen until {data['time'][:19]}Z"] if data["time"] else []
    return "\n".join(filter(None, (title, ", ".join(seen)))) + "\n"


def _findings(data: JSON, everything: bool) -> t.Iterator[tuple[str, ...]]:
    for group in words.groups(data["findings"]):
        yield from _finding(group.cause, everything)
        if everything:
            yield from (row for finding in group.also for row in _finding(finding, everything))
        elif group.also:
            yield from _also(group)
        if group.follow:
            yield "", "", f"explains {words.count(len(group.follow), 'other')}:"
        if everything:
            for finding in group.follow:
                yield from _finding(finding, everything)
            continue
        for finding, nodes in group.folded[:FOLLOW]:
            yield "", "", f"- {finding['severity']}, {nodes}: {finding['summary']}"
        if (more := len(group.folded) - FOLLOW) > 0:
            yield "", "", f"- and {more} more"


def _also(group: words.Group) -> t.Iterator[tuple[str, ...]]:
    """On other nodes it says the same; of things of the cluster each is named."""
    yield "", "", group.elsewhere + (":" if group.cause["node"] is None else "")
    if group.cause["node"] is None:
        yield from (("", "", f"- {each['summary']}") for each in group.also[:FOLLOW])
        if (more := len(group.also) - FOLLOW) > 0:
            yield "", "", f"- and {more} more"


def _finding(finding: JSON, everything: bool) -> t.Iterator[tuple[str, ...]]:
    lines = finding["evidence"] if everything else [*map(_short, finding["evidence"][:EVIDENCE])]
    yield finding["severity"], words.where(finding), finding["summary"]
    if finding["severity"] == "info" and not everything:
        return
    yield from (("", "", _breakable(line)) for line in lines)
    if len(finding["evidence"]) > len(lines):
        yield "", "", f"and {words.count(len(finding['evidence']) - len(lines), 'line')} more"
    if finding["cause"]:
        yield "", "", f"cause: {finding['cause']}"
    if finding["action"]:
        yield "", "", f"next: {finding['action']}"
    if everything:
        yield from (("", "", f"not {name}: {how}") for name, how in finding["not"].items())
        if finding["references"]:
            yield "", "", f"see: {', '.join(finding['references'])}"


def _short(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _breakable(line: str) -> str:
    """With room between the fields of JSON, which a log writes as one word."""
    return line.replace('","', '", "').replace('},"', '}, "')


def _refusals(data: JSON) -> t.Iterator[tuple[str, ...]]:
    for operations, each in words.refusals(data):
        yield operations, each["what"]
        if each["next"]:
            yield "", f"to allow it: {each['next']}"


def _unchecked(data: JSON, everything: bool) -> t.Iterator[tuple[str, ...]]:
    for each in (data["source"] or {}).get("unread") or ():
        yield each["what"], each["why"]
    for why, rules in words.unchecked(data)[: None if everything else REASONS]:
        yield words.count(len(rules), "rule"), why
        if everything:
            yield "", ", ".join(rules)


def _items(data: JSON, everything: bool) -> t.Iterator[tuple[str, ...]]:
    """Of a pre-check: how many of each topic passed, and what came of the others."""
    for topic, items in words.items(data).items():
        by_state: dict[str, list[str]] = {state: [] for state in ("failed", "warning", "not checked", "passed")}
        for item in items:
            by_state.setdefault(item["state"], []).append(item["id"])
        unasked = by_state.pop("not asked", [])
        asked = len(items) - len(unasked)
        shown = [(state, names) for state, names in by_state.items() if names and (everything or state != "passed")]
        others = [f"{state}: {', '.join(names)}" for state, names in shown]
        if everything:
            others += [f"not asked: {item['id']}, {item['why']}" for item in items if item["id"] in unasked]
        if asked or everything:
            yield topic, f"{len(by_state['passed'])} of {asked}", "; ".join(others)


def _missed(data: JSON, everything: bool) -> t.Iterator[str]:
    if said := words.missed(data):
        yield said + ("" if everything else " --all lists them.")


def _next(data: JSON) -> t.Iterator[str]:
    if following := data["verdict"]["next"]:
        command, remark = words.typed(following["command"])
        lines = list(_report_text.pasted(command)) if command else []
        lines += _report_text.wrap(remark, "  ") if remark else []
        yield "\n".join(("NEXT", *lines)) + "\n"
