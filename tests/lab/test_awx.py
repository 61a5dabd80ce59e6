# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of the workflow "Recover a cluster" in containers as AWX makes them: what one finds reaches the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab import objects
from lab.drill import lose_quorum
from lab.labs import Lab
from tests.lab import awx, story

SLOW = ("*failed_recovery*",)
# An unanswered form: AWX gives empty texts, and the choices that it shows.
FORM: dict[str, Any] = {
    **dict.fromkeys(("requorum_powered_off", "requorum_survivor", "requorum_snapshot", "requorum_accept_vm_stop"), ""),
    "requorum_method": "auto",
}


def test_a_workflow_recovers_by_the_plan_that_was_approved(rke2: Lab, tmp_path: Path) -> None:
    lab, kept, reports = rke2, tmp_path / "kept", tmp_path / "kept" / "reports"
    kept.mkdir()
    before, secrets = objects.objects(lab), story.every_secret(lab)
    lose_quorum(lab)
    answers = {**FORM, "requorum_confirm": lab.name, "requorum_deliver": f"{awx.KEPT}/reports"}

    plan = awx.job(lab, kept, "recover.yml", answers, check=True)
    assert plan.rc == 0, plan.out
    told = plan.artifacts["requorum_told_plan"]
    assert (told["outcome"], told["survivor"], told["ok"]) == ("planned", lab.servers[0], True)
    assert plan.artifacts["requorum_plan_id"] == told["plan_id"]
    # What the person who approves sees: the output of this job has all of it.
    said = " ".join(plan.out.split())
    assert all(word in said for word in (told["verdict"], told["plan_id"], "LOST"))
    assert "runner_on_ok" in plan.events

    with story.untouched(lab, quiet=story.quiet(lab)):
        stale = awx.job(lab, kept, "recover.yml", {**plan.artifacts, **answers, "requorum_plan_id": "0" * 12})
        assert stale.rc != 0 and "the plan is now" in " ".join(stale.out.split())
        assert "requorum_told_recover" not in stale.artifacts

    recover = awx.job(lab, kept, "recover.yml", {**plan.artifacts, **answers})
    assert recover.rc == 0, recover.out
    assert recover.artifacts["requorum_told_recover"]["outcome"] == "recovered"
    assert recover.artifacts["requorum_plan_id"] == "", "nothing is pinned any more"
    assert objects.objects(lab) == before
    assert story.voters(lab) == lab.servers

    so_far = {**plan.artifacts, **recover.artifacts, **answers}
    verify = awx.job(lab, kept, "playbooks/verify.yml", {**so_far, "requorum_compare": "yes"})
    assert verify.artifacts["requorum_told_verify"]["ok"] is (verify.rc == 0), verify.out
    report = awx.job(lab, kept, "playbooks/deliver.yml", {**so_far, **verify.artifacts})
    assert report.rc == verify.rc, report.out
    assert "recover: Recovered" in report.out

    run = Path(recover.artifacts["requorum_told_recover"]["run"]).name
    delivered = reports / lab.name / run
    assert json.loads((delivered / "report.json").read_text("utf-8"))["verdict"]["outcome"] == "recovered"
    assert (kept / lab.name / run / "backup").is_dir(), "the backup outlives the container"
    assert not (delivered / "backup").exists()
    assert story.places_of(secrets, reports) == []
    outputs = [each.out + json.dumps(each.artifacts) for each in (plan, stale, recover, verify, report)]
    assert not [secret for secret in secrets if any(secret in text for text in outputs)]


def test_a_backup_that_goes_with_the_container_is_refused(rke2: Lab, tmp_path: Path) -> None:
    """A plan that needs one fails, so that no approval is asked for it."""
    away = {"requorum_output": "/runner/recoveries"}
    passing = awx.job(rke2, tmp_path, "playbooks/backup.yml", away, check=True)
    assert passing.rc != 0
    assert "goes with the container of this job" in " ".join(passing.out.split())


def test_a_failed_recovery_is_rolled_back_when_a_person_approves(rke2: Lab, tmp_path: Path) -> None:
    """The other branch of the workflow: evidence, the plan of the way back, an approval, the way back, the report."""
    lab, kept = rke2, tmp_path
    lose_quorum(lab)
    answers = {**FORM, "requorum_confirm": lab.name}
    so_far = awx.job(lab, kept, "recover.yml", answers, check=True).artifacts

    # Its deadline passes before the reset has ended, which ends all the same.
    late = {**answers, "requorum_timeouts": {"reset": 0.5}}
    recover = awx.job(lab, kept, "recover.yml", {**so_far, **late})
    assert recover.rc != 0, recover.out
    assert recover.artifacts["requorum_told_recover"]["outcome"] == "failed"
    so_far |= recover.artifacts
    evidence = awx.job(lab, kept, "playbooks/inspect.yml", {**so_far, **answers})
    assert evidence.rc == 0, evidence.out
    so_far |= evidence.artifacts

    plan = awx.job(lab, kept, "playbooks/rollback.yml", {**so_far, **answers}, check=True)
    assert plan.rc == 0, plan.out
    so_far |= plan.artifacts
    assert so_far["requorum_plan_id"] == so_far["requorum_told_plan"]["plan_id"]
    assert so_far["requorum_told_plan"]["purpose"] == "rollback"
    rollback = awx.job(lab, kept, "playbooks/rollback.yml", {**so_far, **answers})
    assert rollback.rc == 0, rollback.out
    so_far |= rollback.artifacts
    report = awx.job(lab, kept, "playbooks/deliver.yml", {**so_far, **answers})
    assert report.rc != 0, "a workflow that ends with a rollback has not ended well"
    assert "recover: NOT WELL" in report.out

    again = awx.job(lab, kept, "recover.yml", answers)
    assert again.rc == 0, again.out
    assert story.voters(lab) == lab.servers
