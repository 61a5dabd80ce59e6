# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Whether an upgrade stands still for good, and why, by the rules of the diagnosis."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from pathlib import Path

from ._found import JSON
from ._progress import Progress
from ._rules import Rule

FILES = ("upgrade.yaml", "fleet.yaml", "rancher.yaml", "machines.yaml")
"""Rules that may name what an upgrade waits for."""
OWN = ("upgrade_", "machine_plan")
"""How their ids begin; what else is found may have nothing to do with the upgrade."""
PERSON_S = 86400.0
"""For a person who has paused nodes."""
STALL_S, UNKNOWN_S = 1800.0, 5400.0
"""Without any change: until what a rule names counts as a stall, and until it counts although no rule knows why.

An hour is what a job of phase 2 may take, and half of it what its scripts' lines may be repeated (facts/harvester.md
1.5).
"""


@dataclass(frozen=True)
class Stall:
    """Why the watching ends."""

    what: str
    cause: str
    next: str
    rule: str = ""
    evidence: tuple[str, ...] = ()
    patience: str = ""
    """The deadline in `requorum_timeouts` that ended it, where it may only be slow."""
    ends: bool = True
    """Whether the watching ends; else it is told."""


def asked(rules: t.Iterable[Rule]) -> list[Rule]:
    """The rules that are asked at each look."""
    return [rule for rule in rules if Path(rule.file).name in FILES and rule.severity != "info"]


def judge(
    at: Progress, findings: t.Sequence[JSON], quiet_s: float, *, stall_s: float = STALL_S, unknown_s: float = UNKNOWN_S
) -> Stall | None:
    """findings: of a diagnosis, worst causes first. A blocker is one that no time mends, so it needs none.

    What only warns may be slow and healthy, as a large volume that is rebuilt: it is told (`ends` is False) until
    nothing has changed for `unknown_s`.
    """
    own = [f for f in findings if not f["explained_by"] and f["id"].startswith(OWN)]
    blockers = [finding for finding in own if finding["severity"] == "blocker"]
    if at.ended == "failed":
        told = _told(own[0]) if own else Stall("", "", "requorum inspect -i INV")
        return replace(told, what=f"The upgrade {at.upgrade} to {at.version} has failed: {at.why}.")
    if blockers:
        return _told(blockers[0])
    if at.waits_for_a_person:
        what = f"The upgrade {at.upgrade} has waited for {at.waits} for {PERSON_S / 3600:.0f} hours."
        hint = "kubectl -n harvester-system edit upgrades; set its nodes to unpause, one after another"
        return Stall(what, "", hint) if quiet_s >= PERSON_S else None
    if own and quiet_s >= stall_s:
        over = quiet_s >= max(unknown_s, stall_s)
        patience = "upgrade_stall" if own[0]["severity"] == "error" else "upgrade_unknown"
        return replace(_told(own[0]), patience=patience, ends=over or own[0]["severity"] == "error")
    if quiet_s >= unknown_s:
        where = f"phase {at.phase.number}, {at.phase.name}"
        return Stall(
            f"Nothing has changed in the upgrade {at.upgrade} for {quiet_s / 60:.0f} minutes ({where}).",
            f"It waits for {at.waits}, and no rule knows why.",
            "requorum inspect -i INV --bundle-out FILE.zip; do not begin the upgrade anew",
            patience="upgrade_unknown",
        )
    return None


def _told(finding: JSON) -> Stall:
    return Stall(
        finding["summary"], finding["cause"] or "", finding["action"] or "", finding["id"], tuple(finding["evidence"])
    )
