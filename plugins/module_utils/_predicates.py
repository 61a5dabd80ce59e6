# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What the few rules ask that no expression over the state can say; each by a function of the state.

A function yields `Found` for what is wrong and `Unknown` for what it could not look at.
"""

from __future__ import annotations

import typing as t

from . import _certificates, _predicates_harvester, _predicates_machines, _predicates_storage, _predicates_upgrade
from ._found import Answer, Found, Predicate, Unknown

__all__ = ["NAMED", "Answer", "Found", "Unknown"]

JSON = dict[str, t.Any]


def _certificates_of(*ids: str) -> Predicate:
    """What the short look at certificates and clocks says, by the id that it gives."""

    def answer(state: JSON) -> Answer:
        plan = {"started": state["time"], "certificates": state.get("certificates")}
        entries = [entry for entry in state["nodes"] if entry["reachable"]]
        for entry in entries:
            if not entry.get("certificates"):
                yield Unknown(entry["name"], str((entry.get("unread") or {}).get("certificates", "none was read")))
        for ident, _severity, node, summary, evidence in _certificates.findings(plan, {**state, "nodes": entries}):
            if ident in ids:
                yield Found(node, {"summary": summary}, tuple(evidence))

    return answer


NAMED: dict[str, Predicate] = {
    "certificates_due": _certificates_of("certificates_due"),
    "certificates_wrong": _certificates_of("certificates_wrong"),
    **_predicates_harvester.NAMED,
    **_predicates_machines.NAMED,
    **_predicates_storage.NAMED,
    **_predicates_upgrade.NAMED,
}
"""Name in a rule -> who answers."""
