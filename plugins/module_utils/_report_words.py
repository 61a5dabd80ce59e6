# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and figures that the HTML page and the terminal's summary share.

PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import _retention
from ._timeline import PHASES


@dataclass(frozen=True)
class Outcome:
    """How an outcome is said: tone picks the colour, sign and word say the same without it."""

    tone: str
    sign: str
    word: str


OUTCOMES = {
    "healthy": Outcome("good", "✓", "Healthy"),
    "recovered": Outcome("good", "✓", "Recovered"),
    "not_redundant": Outcome("warn", "!", "Recovered, not yet redundant"),
    "done": Outcome("good", "✓", "Done"),
    "idle": Outcome("plan", "→", "Nothing to do"),
    "planned": Outcome("plan", "→", "Plan only, nothing was changed"),
    "refused": Outcome("warn", "■", "Refused"),
    "failed": Outcome("bad", "✕", "Not finished"),
}
UNKNOWN_OUTCOME = Outcome("warn", "?", "Outcome not known")

CASES = {
    "healthy": "healthy",
    "member_lost": "a member lost, quorum stands",
    "quorum_recoverable": "quorum can come back",
    "quorum_lost": "quorum lost",
    "datastore_lost": "datastore lost",
    "certificates": "certificates",
    "split_brain": "split brain",
    "api_down": "API down",
    "upgrade_stuck": "upgrade stuck",
    "unknown": "not known",
}

DISTROS = {"k3s": "K3s", "rke2": "RKE2", "harvester": "Harvester"}


def phase_words(report: Mapping[str, Any]) -> dict[int, str]:
    """Names of the phases by number."""
    return {number: name.capitalize() for number, name in enumerate(report.get("phase_names") or PHASES, 1)}


def duration(seconds: float | None) -> str:
    """4.25 -> "4.3 s", 112.6 -> "1 min 53 s"."""
    if seconds is None:
        return "not known"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: int | None) -> str:
    """16818208 -> "16.8 MB"."""
    if count is None:
        return "not known"
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def value(observed: Any) -> str:
    """An observed value for a table."""
    if observed is None:
        return "not known"
    return {True: "yes", False: "no"}[observed] if isinstance(observed, bool) else str(observed)


def newest_backup(report: Mapping[str, Any]) -> str:
    """Age of the newest proved backup off the node; empty in a report that does not tell it."""
    if "newest_backup" not in report:
        return ""
    backup = report["newest_backup"]
    if not backup:
        return "none"
    age = "age not known" if backup.get("age_s") is None else f"{_retention.duration(backup['age_s'])} old"
    return age if backup.get("revision") is None else f"{age}, revision {backup['revision']}"


def steps(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Planned and taken actions in one list.

    `state` is planned, done, unchanged, skipped, failed, not_done or warning.
    """
    taken = {action["id"]: action for action in report.get("actions") or ()}
    planned = {action["id"]: action for action in report.get("plan") or ()}
    acted = (report.get("run") or {}).get("mode") == "run"
    rows = []
    for name in dict.fromkeys([*planned, *taken]):
        action = taken.get(name)
        if action is not None:
            text = str(action.get("result") or "done")
            state, _, reason = text.partition(": ")
            if state not in ("done", "unchanged", "skipped", "failed", "warning"):
                state, reason = "done", text
            rows.append({**action, "state": state, "reason": reason})
        else:
            rows.append({**planned[name], "state": "not_done" if acted else "planned", "reason": ""})
    return rows


def warnings(report: Mapping[str, Any]) -> list[str]:
    """What went wrong beside what was asked for: the run went on, and somebody must look at it."""
    return [f"{step['node']} {step['verb']}: {step['reason']}" for step in steps(report) if step["state"] == "warning"]


def machines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Node and its virtual machines, those that have ended with the phase after which they were missed."""
    found: dict[str, list[str]] = {}
    for one in report.get("machines") or ():
        ended = f", ended: {one['ended']}" + (", accepted" if one["accepted"] else "") if one["ended"] else ""
        found.setdefault(one["node"], []).append(f"{one['name']} (process {one['pid']}{ended})")
    return [(node, ", ".join(names)) for node, names in found.items()]


def undoable(step: Mapping[str, Any]) -> bool:
    """Whether there is something to take back; plans may say in words that there is not."""
    return not str(step.get("undo") or "nothing").lower().startswith("nothing")


def expected(plan: Iterable[Mapping[str, Any]]) -> float:
    """Seconds that a plan should take: nodes work side by side, phases and turns one after the other."""
    busy: dict[int, dict[str, float]] = {}
    for action in plan:
        nodes = busy.setdefault(action["phase"], {})
        node = "" if action.get("turn") else action["node"]
        nodes[node] = nodes.get(node, 0.0) + (action.get("expect_s") or 0.0)
    return sum(max(nodes.values()) for nodes in busy.values())


def lost(report: Mapping[str, Any]) -> str:
    """The loss in two or three words."""
    loss = report.get("loss") or {}
    revisions = loss.get("revisions")
    if revisions is None:
        return "not known"
    if revisions == 0:
        return "nothing"
    return f"{revisions} write" + ("s" if revisions != 1 else "")


def settled(report: Mapping[str, Any]) -> bool:
    """Whether the stated loss has happened; else it is what going on would cost."""
    point, verdict = report.get("point_of_no_return") or {}, report.get("verdict") or {}
    ended_well = verdict.get("outcome") in ("healthy", "recovered", "not_redundant", "done")
    return bool(report.get("actions")) and (bool(point.get("passed")) or ended_well)


def tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The figures below the verdict: name, value, small print."""
    run, members = report.get("run") or {}, report.get("members") or {}
    loss, checks = report.get("loss") or {}, report.get("checks") or []
    made = []
    if run.get("mode") == "check" and report.get("plan"):
        small = f"{len(report['plan'])} actions"
        if line := report.get("transfer"):
            small += f", {size(line['bytes'])} off {line['node']} at {size(line['bytes_per_s'])}/s or more"
        made.append(("Would take", f"about {duration(expected(report['plan']))}", small))
    else:
        trips = sum(phase.get("trips") or 0 for phase in report.get("phases") or ())
        waited = sum(phase.get("waited") or 0.0 for phase in report.get("phases") or ())
        spent = [f"{trips} round trips"] * bool(trips) + [f"{duration(waited)} waiting"] * bool(waited)
        made.append(("Took", duration(run.get("seconds")), ", ".join(spent)))
    if loss.get("revisions") is not None and (report.get("actions") or report.get("plan")):
        span = duration(loss["seconds"]) if loss.get("seconds") else ""
        made.append(("Data lost" if settled(report) else "Would lose", lost(report), span))
    seen = members.get("after") or members.get("before") or []
    voters = sum(entry.get("role") == "voter" for entry in seen)
    if seen:
        leader = next((entry["node"] for entry in seen if entry.get("leader")), None)
        made.append(("Voters", f"{voters} of {len(seen)}", f"leader {leader}" if leader else "no leader"))
    workloads = report.get("workloads")
    if workloads and workloads.get("before") is not None and workloads.get("after") is not None:
        made.append(("Workloads untouched", f"{workloads['after']} of {workloads['before']}", ""))
    if running := report.get("machines"):
        acted = bool(report.get("actions"))
        on = sum(not one["ended"] for one in running)
        made.append(("Virtual machines run on", f"{on} of {len(running)}", "")
                    if acted else ("Virtual machines", str(len(running)), ""))  # fmt: skip
    if checks:
        passed = sum(entry.get("ok") is True for entry in checks)
        made.append(("Checks passed", f"{passed} of {len(checks)}", ""))
    return made
