# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a run tells the next job of a workflow: by set_stats, which AWX shows as artifacts and gives on as variables.

Each step has a name of its own, so that nothing is overwritten on the way. No secret may stand here.
"""

from __future__ import annotations

import typing as t

JSON = dict[str, t.Any]
PREFIX = "requorum_told_"
WELL = ("planned", "healthy", "idle", "recovered", "not_redundant", "done")


def stats(**data: t.Any) -> JSON:
    """What a task returns so that Ansible keeps it for the end of the run."""
    return {"ansible_stats": {"data": data, "per_host": False, "aggregate": False}}


def of_report(report: JSON, plan: JSON, folder: str, *, check: bool, final: bool) -> JSON:
    """A plan pins its id for whoever carries it out; any other run takes the pin away: what it found is used up."""
    outcome, purpose = report["verdict"]["outcome"], str(plan.get("purpose") or "recover")
    pinned = plan["plan_id"] if check and outcome == "planned" else ""
    if not (check or final):  # it only begins; a rollback after it shall undo no older run
        undone = {} if purpose in ("rollback", "cleanup") else {"requorum_run": folder.rstrip("/").rsplit("/", 1)[-1]}
        return stats(requorum_plan_id="", **undone)
    told = {
        "purpose": purpose,
        "ok": outcome in WELL,
        "outcome": outcome,
        "verdict": report["verdict"]["sentence"],
        "loss": report["loss"]["sentence"],
        "survivor": plan["survivor"],
        "plan_id": plan["plan_id"],
        "refused": [refusal["what"] for refusal in report["refusals"]],
        "run": folder,
    }
    return stats(requorum_plan_id=pinned, **{f"{PREFIX}{'plan' if check else purpose}": told})


def of_look(step: str, ok: bool, verdict: str, folder: str | None) -> JSON:
    """What an inspection, a pre-check or a verification found. It pins no plan."""
    told = {"ok": ok, "verdict": verdict, "run": folder}
    return stats(requorum_plan_id="", **{f"{PREFIX}{step}": told})


def story(variables: t.Mapping[str, t.Any]) -> tuple[bool, list[str]]:
    """Whether a workflow ended well, and a line of each step: what was planned must have been done, and well."""
    steps = {name.removeprefix(PREFIX): told for name, told in variables.items() if name.startswith(PREFIX)}
    order = sorted(steps, key=lambda step: str(steps[step].get("run") or "").rsplit("/", 1)[-1])
    lines = [f"{step}: {'' if steps[step].get('ok') else 'NOT WELL: '}{steps[step].get('verdict')}" for step in order]
    planned = steps.get("plan", {})
    if planned.get("outcome") == "planned" and planned.get("purpose") not in steps:
        lines.append(f"{planned.get('purpose')}: planned ({planned.get('plan_id')}) and not carried out")
        return False, lines
    return bool(steps) and all(told.get("ok") for told in steps.values()), lines
