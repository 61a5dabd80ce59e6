# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for a terminal: 80 columns, no colour, the next command ready to copy.

PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import _report_words as words
from ._timeline import mask_all

WIDTH = 80
_WORDS = re.compile(r"(?:'[^']*'|\"[^\"]*\"|\S)+")
_FILES = ("report.html", "report.json", "timeline.jsonl")


def summary(report: Mapping[str, Any], folder: str | None = None) -> str:
    """Return the summary of a report; with the run's folder it ends with the paths of the report's files."""
    data = mask_all(report)
    blocks = (
        _verdict(data),
        _refusals(data),
        _warnings(data),
        _findings(data),
        _machines(data),
        _steps(data),
        _loss(data),
        _members(data),
        _checks(data),
        _backup(data),
        _back(data),
        _next(data),
        _files(folder),
    )
    return "\n\n".join(text for text in ("\n".join(block) for block in blocks) if text) + "\n"


def _verdict(report: Mapping[str, Any]) -> Iterator[str]:
    outcome = words.OUTCOMES.get(report["verdict"]["outcome"], words.UNKNOWN_OUTCOME)
    system = " ".join(filter(None, (words.DISTROS.get(report.get("distro") or "", ""), report.get("version"))))
    yield "=" * WIDTH
    yield f"{outcome.word.upper()}: {report['cluster']}" + (f" ({system})" if system else "")
    yield from wrap(report["verdict"]["sentence"], "")
    yield from wrap(
        ".  ".join(
            f"{name} {figure}" + (f" ({small})" if small else "") for name, figure, small in words.tiles(report)
        ),
        "",
    )


def _refusals(report: Mapping[str, Any]) -> Iterator[str]:
    refusals = report.get("refusals") or ()
    if refusals:
        yield "WHY IT WAS REFUSED"
    for refusal in refusals:
        yield from wrap(refusal["what"], "  - ")
        if refusal.get("where"):
            yield from wrap(f"where: {refusal['where']}", "    ")
        if refusal.get("next"):
            yield from wrap(f"to go on: {refusal['next']}", "    ")


def _warnings(report: Mapping[str, Any]) -> Iterator[str]:
    warnings = words.warnings(report)
    if warnings:
        yield "LOOK AT THIS"
    for warning in warnings:
        yield from wrap(warning, "  ! ")


def _machines(report: Mapping[str, Any]) -> Iterator[str]:
    machines = words.machines(report)
    if machines:
        yield "VIRTUAL MACHINES THAT RAN" if report.get("actions") else "VIRTUAL MACHINES THAT RUN"
        yield from table(("", ""), machines)


def _findings(report: Mapping[str, Any]) -> Iterator[str]:
    findings = report.get("findings") or ()
    if findings:
        yield f"WHAT WAS WRONG: {words.CASES.get(report['verdict']['case'], 'not known')}"
        rows = [
            (f["severity"], f.get("node") or "cluster", f["summary"] + (f"\n{f['action']}" if f.get("action") else ""))
            for f in findings
        ]
        yield from table(("", "", ""), rows)


def _steps(report: Mapping[str, Any]) -> Iterator[str]:
    steps = words.steps(report)
    if not steps:
        return
    acted = bool(report.get("actions"))
    checked = (report.get("run") or {}).get("mode") == "check"
    yield "WHAT WAS DONE" if acted else "WHAT WOULD BE DONE" if checked else "WHAT WAS PLANNED AND NOT DONE"
    rows = []
    for step in steps:
        seconds = step.get("seconds") if acted else step.get("expect_s")
        what = step["what"]
        if step["state"] not in ("done", "planned") and acted:
            what = f"[{step['state'].replace('_', ' ')}] {what}" + (f": {step['reason']}" if step["reason"] else "")
        if step.get("destructive"):
            what = f"[cannot be taken back] {what}"
        if checked:
            what += f"\nWhy: {step['why']}"
        rows.append((step["id"], step["node"], step["verb"], "-" if seconds is None else f"{seconds:.1f}", what))
    yield from table(("id", "node", "verb", "s", "what"), rows)
    if checked and not any(step.get("destructive") for step in steps):
        yield "  Nothing is deleted: what is replaced is moved aside and kept."


def _loss(report: Mapping[str, Any]) -> Iterator[str]:
    if report.get("plan") or report.get("actions"):
        yield "WHAT WAS LOST" if words.settled(report) else "WHAT WOULD BE LOST"
        yield from wrap(report["loss"]["sentence"], "  ")


def _members(report: Mapping[str, Any]) -> Iterator[str]:
    members = report.get("members") or {}
    sides = {side: {entry["node"]: entry for entry in members.get(side) or ()} for side in ("before", "after")}
    rows = [
        (node, *(_role(sides[side].get(node)) for side in sides if sides[side]))
        for node in dict.fromkeys([*sides["before"], *sides["after"]])
    ]
    if rows:
        yield "MEMBERS OF ETCD"
        yield from table(("node", *(side for side in sides if sides[side])), rows)


def _checks(report: Mapping[str, Any]) -> Iterator[str]:
    checks = report.get("checks") or ()
    missed = [check for check in checks if check.get("ok") is not True]
    if checks:
        yield f"CHECKS: {len(checks) - len(missed)} of {len(checks)} passed"
    for check in missed:
        how = "not checked" if check.get("ok") is None else f"observed {words.value(check.get('observed'))}"
        yield from wrap(f"{check['name']}: wanted {words.value(check.get('wanted'))}, {how}", "  - ")


def _backup(report: Mapping[str, Any]) -> Iterator[str]:
    if age := words.newest_backup(report):
        yield f"NEWEST PROVED BACKUP OFF THE NODE: {age}"


def _back(report: Mapping[str, Any]) -> Iterator[str]:
    if not (report.get("plan") or report.get("kept")):
        return
    point = report.get("point_of_no_return") or {}
    yield "HOW TO GO BACK"
    passed = f"passed at {point['at'][:19]}Z" if point.get("at") else "passed" if point.get("passed") else "not passed"
    yield from wrap(f"Point of no return ({passed}): {point.get('sentence', '')}", "  ")
    for entry in report.get("kept") or ():
        yield from wrap(f"{entry['node']}:{entry['path']} ({entry['what']}, {words.size(entry.get('bytes'))})", "  - ")
    if commands := [entry["cleanup"] for entry in report.get("kept") or () if entry.get("cleanup")]:
        yield "  Once nobody needs the way back, this removes old data; without requorum_run,"
        yield "  of all runs:"
        for command in dict.fromkeys(commands):
            yield from pasted(command)
    if report["verdict"]["outcome"] in ("planned", "failed"):
        for step in words.steps(report):
            if words.undoable(step) and step["state"] in ("planned", "done", "failed"):
                yield from wrap(f"{step['id']}: {step['undo']}", "  undo ")


def _next(report: Mapping[str, Any]) -> Iterator[str]:
    command = report["verdict"].get("next")
    if command:
        yield "NEXT"
        yield from pasted(command)
    if then := report["verdict"].get("then"):
        yield "AFTER THAT"
        for line in then:
            yield from pasted(line)


def _files(folder: str | None) -> Iterator[str]:
    if folder:
        yield "REPORT"
        for name in _FILES:
            yield f"  {folder.rstrip('/')}/{name}"


def _role(member: Mapping[str, Any] | None) -> str:
    if member is None:
        return "-"
    revision = member.get("revision")
    parts = (member["role"], member.get("leader") and "leader", revision is not None and f"revision {revision}")
    return ", ".join(str(part) for part in parts if part)


def wrap(text: str, lead: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [lead.rstrip()]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with a hanging last column; the header is left out when it is empty."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads) - 1)]
    for row in ([heads] if any(heads) else []) + list(rows):
        lead = "  " + "".join(
            f"{cell:>{width}}  " if head == "s" else f"{cell:<{width}}  "
            for cell, width, head in zip(row, widths, heads, strict=False)
        )
        if len(lead) > WIDTH - 20:
            yield lead.rstrip()
            lead = " " * 8
        for text in row[-1].split("\n"):
            yield from wrap(text, lead)
            lead = " " * len(lead)


def pasted(command: str) -> Iterator[str]:
    """The command, broken between words with backslashes so that it can be pasted."""
    row = " "
    for word in _WORDS.findall(command):
        if len(row) + len(word) + 3 > WIDTH and row.strip():
            yield row + " \\"
            row = "   "
        row += " " + word
    yield row
