# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an upgrade is, and whether it stands still: on upgrades that the lab plays, through all phases and stalls."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _progress, _stall
from lab.harvester.upgrade import STALLS
from lab.harvester.upgrade.films import NAME
from tests.unit import upgrades

NAMED = {
    "log-not-ready": ("", 5401, "upgrade_log_waits"),
    "image-stuck": ("", 5401, "upgrade_image_waits"),
    "repo-not-ready": ("", 1801, "upgrade_repo_waits"),
    "suc-applying": ("", 5401, "upgrade_plan_applying"),
    "prepare-slow": ("", 5401, "upgrade_prepare_waits"),
    "prepare-deadline": ("", 0, "upgrade_prepare_deadline"),
    "capi-provisioning": ("", 1801, "upgrade_waits_capi"),
    "apply-bundle": ("", 1801, "upgrade_waits_bundle"),
    "planner-silent": ("", 3601, "upgrade_stuck_maybe_restarted"),
    "restarted": ("n2", 0, "upgrade_restarted"),
    "predrain-volume": ("n2", 5401, "upgrade_waits_volume"),
    "predrain-vms": ("n2", 5401, "upgrade_waits_machines"),
    "predrain-pdb": ("n2", 5401, "upgrade_waits_evacuation"),
    "node-failed": ("n2", 0, "upgrade_failed_late"),
    "two-plan-secrets": ("n1", 1801, "machine_plan_secrets"),
    "pre-hook-unanswered": ("n2", 1801, "upgrade_hook_unanswered"),
    "drain-pdb": ("n2", 1801, "upgrade_drain_failed"),
    "postdrain-rke2": ("n2", 1801, "upgrade_waits_rke2"),
    "postdrain-elemental": ("n2", 1801, "upgrade_os_failed"),
    "reboot-old-image": ("n2", 5401, "upgrade_waiting_reboot"),
    "reboot-silent": ("n2", 5401, "upgrade_waiting_reboot"),
    "post-hook-unanswered": ("n2", 1801, "upgrade_hook_unanswered"),
    "node-removed": ("", 1801, "upgrade_waits_for_gone"),
}
"""Stall -> (what it is about, seconds without a change after which it is named, by which rule)."""


def phases(shown: list[upgrades.Shown]) -> list[str]:
    """Phases and states in their order, each once."""
    seen: list[str] = []
    for each in shown:
        at = _progress.look(each, NAME, now=0)
        if at:
            state = f" {at.node} {at.states[at.node]}" if at.states.get(at.node) else ""
            now = f"{at.phase.number} {at.phase.name}{state}"
            seen += [now] if now not in seen[-1:] else []
    return seen


def test_all_phases_are_told_in_their_order() -> None:
    shown = upgrades.film(nodes=("n1", "n2"))
    told = phases(shown)
    loading = [f"2 prepare {n} Images preloading" for n in ("n1", "n2")]
    states = ("Pre-draining", "Pre-drained", "Post-draining", "Waiting Reboot")
    wanted = ["0 log", "1 image", "1 repository", *loading, "3 services", *(f"4 nodes {n} {s}" for n in ("n1", "n2")
              for s in states), "5 cleanup"]  # fmt: skip
    assert [each for each in dict.fromkeys(told) if each in wanted] == wanted
    last = _progress.look(shown[-1], NAME, now=0)
    assert last and (last.ended, last.done, last.waits) == ("succeeded", ["n1", "n2"], "")


def test_a_single_node_goes_its_own_way() -> None:
    last = _progress.look(upgrades.film(nodes=("n1",))[-1], NAME, now=0)
    assert last and (last.ended, last.done) == ("succeeded", ["n1"])


def test_every_change_is_one_and_nothing_else_is() -> None:
    marks = [at.mark for each in upgrades.film() if (at := _progress.look(each, NAME, now=0))]
    assert len(set(marks)) > 40
    shown = upgrades.film()[20]
    assert _progress.look(shown, NAME, now=1) == _progress.look(shown, NAME, now=2)


def test_what_is_left_is_told_by_the_nodes_that_are_done() -> None:
    left: dict[int, float] = {}
    for each in upgrades.film():
        at = _progress.look(each, NAME, now=0)
        at = at and _progress.look(each, NAME, now=at.since or 0)
        if at and at.phase.number == 4:
            assert (at.left_s is None) == (not at.done)
            left.setdefault(len(at.done), at.left_s or 0.0)
    assert left[0] == 0.0 and left[1] > left[2] > 60


def test_each_stall_of_the_lab_has_its_row() -> None:
    assert NAMED.keys() == STALLS.keys()


@pytest.mark.parametrize("stall", NAMED)
def test_a_stall_is_named_at_its_threshold_and_not_before(stall: str) -> None:
    about, quiet, rule = NAMED[stall]
    shown = upgrades.film(**{stall.replace("-", "_"): about})[-1]
    found = upgrades.judged(shown, quiet)
    assert found and found.ends and found.rule == rule and found.next, found
    early = upgrades.judged(shown, quiet / 3.1) if quiet else None
    assert early is None or not early.ends, early


@pytest.mark.parametrize("about", ["n1", "n2", "n3"])
def test_an_upgrade_that_goes_on_never_stands_still(about: str) -> None:
    for shown in upgrades.film(nodes=("n1", "n2", "n3") if about != "n1" else ("n1",)):
        if _progress.look(shown, NAME, now=0) and _progress.latest(shown):
            assert upgrades.judged(shown, 60) is None


def test_what_no_rule_knows_is_said_to_be_unknown() -> None:
    shown = next(each for each in upgrades.film() if (at := _progress.look(each, NAME, now=0)) and at.phase.number == 4)
    at = _progress.look(shown, NAME, now=0)
    assert at and _stall.judge(at, [], _stall.UNKNOWN_S - 1) is None
    found = _stall.judge(at, [], _stall.UNKNOWN_S)
    assert found and not found.rule and "90 minutes" in found.what and "do not begin" in found.next


def test_a_log_that_nobody_wants_is_no_failure() -> None:
    disabled = {"type": "LogReady", "status": "False", "reason": "Disabled"}
    item = {"metadata": {"name": "u"}, "status": {"conditions": [disabled]}}
    assert _progress.phase_of(item).name == "image" and _progress.going(item)
