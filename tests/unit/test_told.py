# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job tells the next one: a plan pins its id, nothing else does, and a workflow ended well only when all did."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _told

JSON = dict[str, Any]


def report(outcome: str) -> JSON:
    return {
        "verdict": {"outcome": outcome, "sentence": f"It is {outcome}."},
        "loss": {"sentence": "Nothing."},
        "refusals": [],
    }


@pytest.mark.parametrize(
    ("outcome", "check", "final", "pinned", "told"),
    [
        ("planned", True, False, "3f9ac0d81b27", "requorum_told_plan"),
        ("refused", True, False, "", "requorum_told_plan"),
        ("healthy", True, False, "", "requorum_told_plan"),
        ("planned", False, False, "", None),  # a run that only begins
        ("recovered", False, True, "", "requorum_told_recover"),
        ("failed", False, True, "", "requorum_told_recover"),
    ],
)
def test_only_a_plan_that_may_be_carried_out_is_pinned(
    outcome: str, check: bool, final: bool, pinned: str, told: str | None
) -> None:
    stats = _told.of_report(report(outcome), MADE, "/out/prod/1", check=check, final=final)["ansible_stats"]
    assert stats["data"].pop("requorum_plan_id") == pinned
    assert list(stats["data"]) == ([told] if told else ["requorum_run"])
    if told:
        assert stats["data"][told]["ok"] is (outcome in ("planned", "healthy", "recovered"))
        assert stats["data"][told]["verdict"] == f"It is {outcome}."
    assert (stats["per_host"], stats["aggregate"]) == (False, False)


MADE = {"purpose": "recover", "plan_id": "3f9ac0d81b27", "survivor": "s1"}


def told(ok: bool, **more: str) -> JSON:
    return {"ok": ok, "verdict": "Said.", **more}


BACK = told(True, outcome="planned", purpose="rollback")
PLAN = told(True, outcome="planned", purpose="recover", plan_id="3f9ac0d81b27", run="/out/prod/2")


@pytest.mark.parametrize(
    ("steps", "well"),
    [
        ({}, False),
        ({"plan": PLAN}, False),
        ({"plan": told(True, outcome="healthy", purpose="recover")}, True),
        ({"plan": PLAN, "recover": told(True)}, True),
        ({"plan": PLAN, "recover": told(True), "verify": told(False)}, False),
        ({"plan": PLAN, "recover": told(False)}, False),
        ({"plan": BACK, "recover": told(False), "rollback": told(True)}, False),
    ],
)
def test_a_workflow_ended_well_only_when_all_did(steps: JSON, well: bool) -> None:
    variables = {f"requorum_told_{step}": each for step, each in steps.items()} | {"requorum_cluster": "prod"}
    found, lines = _told.story(variables)
    assert found is well
    assert len(lines) >= len(steps)
    assert all("NOT WELL" in line for line in lines if line.startswith(tuple(n for n in steps if not steps[n]["ok"])))
