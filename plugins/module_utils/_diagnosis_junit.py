# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A diagnosis as JUnit XML, in the form that Jenkins, GitLab and GitHub's actions read: one test case for each rule,
or for each item of a pre-check.

A case fails where the rule has found an error or a blocker, so that a job is red exactly when the command ends with 4;
warnings and information are the output of a case that passes. It is skipped where the rule could not be asked.
"""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree

from . import _diagnosis_words as words
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
FAILS = ("blocker", "error")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, escaped or not."""


def render(document: JSON) -> str:
    """The file."""
    data = mask_all(document)
    cases = [_case(rule, data) for rule in _rules(data)]
    count = {kind: str(sum(case.find(kind) is not None for case in cases)) for kind in ("failure", "skipped")}
    totals = {"tests": str(len(cases)), "failures": count["failure"], "errors": "0", "time": "0"}
    top = ElementTree.Element("testsuites", {"name": "requorum", **totals})
    about = {"skipped": count["skipped"], "timestamp": str(data["time"] or "")[:19], "hostname": _text(data["cluster"])}
    suite = ElementTree.SubElement(top, "testsuite", {"name": _text(data["cluster"]), **totals, **about})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(data):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _text(value)})
    suite.extend(cases)
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"


def _properties(data: JSON) -> t.Iterator[tuple[str, str]]:
    yield "case", data["verdict"]["case"]
    yield "verdict", data["verdict"]["sentence"]
    if data["verdict"]["next"]:
        yield "next", data["verdict"]["next"]["command"]
    for operations, each in words.refusals(data):
        yield f"not now: {operations}", each["what"]


def _rules(data: JSON) -> list[str]:
    """Each rule once: what was found, what could not be asked, what passed."""
    found = [finding["id"] for finding in data["findings"]]
    missed = (each["rule"] for each in data["not_checked"])
    return list(dict.fromkeys([*found, *missed, *data["passed"], *_unasked(data)]))


def _unasked(data: JSON) -> dict[str, str]:
    """Items of a pre-check that this cluster is not asked for, and why."""
    items = (data.get("precheck") or {}).get("items", ())
    return {item["id"]: item["why"] for item in items if item["state"] == "not asked"}


def _case(rule: str, data: JSON) -> ElementTree.Element:
    about = {"classname": f"requorum.{_text(data['cluster'])}", "name": rule, "time": "0"}
    case = ElementTree.Element("testcase", about)
    found = [finding for finding in data["findings"] if finding["id"] == rule]
    missed = [f"{each['node'] or 'cluster'}: {each['why']}" for each in data["not_checked"] if each["rule"] == rule]
    missed += [why for ident, why in _unasked(data).items() if ident == rule]
    told = "\n\n".join("\n".join(_lines(finding)) for finding in found)
    if found and found[0]["severity"] in FAILS:
        more = f" (and {words.count(len(found) - 1, 'other')})" if len(found) > 1 else ""
        about = {"type": found[0]["severity"], "message": _text(found[0]["summary"] + more)}
        ElementTree.SubElement(case, "failure", about).text = _text(told)
    elif missed and (not found or data.get("precheck")):
        ElementTree.SubElement(case, "skipped", {"message": _text("; ".join(missed))})
    if found and found[0]["severity"] not in FAILS:
        ElementTree.SubElement(case, "system-out").text = _text(told)
    if found and missed:
        ElementTree.SubElement(case, "system-err").text = _text("not checked:\n" + "\n".join(missed))
    return case


def _lines(finding: JSON) -> t.Iterator[str]:
    yield f"{finding['severity']}, {words.where(finding)}: {finding['summary']}"
    yield from finding["evidence"]
    if finding["cause"]:
        yield f"cause: {finding['cause']}"
    if finding["action"]:
        yield f"next: {finding['action']}"
    if finding["explained_by"]:
        yield f"explained by: {finding['explained_by']}"


def _text(value: str | None) -> str:
    return _ILLEGAL.sub("?", value or "unknown")
