# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hops lead to a release, what may be begun, and which hook may be answered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _going, _hops, _nudge, _progress, _upgrade_plan
from lab.harvester.upgrade.films import NAME
from tests.unit import upgrades

JSON = dict[str, Any]
MATRIX = _hops.load()
FILM = upgrades.film("v1.3.2", "v1.4.0")


def at_phase(number: int) -> upgrades.Shown:
    return next(each for each in FILM if (at := _progress.look(each, NAME, now=0)) and at.phase.number == number)


def plan(seen: upgrades.Shown, to: str, before: str = "v1.3.2", findings: Any = ()) -> JSON:
    info = {"status": {"nodeInfo": {"osImage": f"Harvester {before}"}}}
    seen = {**seen, "nodes": [{**node, **info} for node in seen["nodes"]]} if seen is NOTHING else seen
    return _upgrade_plan.plan("prod", to, MATRIX, seen, before, findings)


STANDS = [{"id": "image_crd_older", "summary": "Before", "action": "Apply"}]
NOTHING: upgrades.Shown = {"nodes": [{"metadata": {"name": n}} for n in ("n1", "n2", "n3")], "upgrades": []}


def test_two_hops_and_what_each_brings() -> None:
    found = plan(NOTHING, "1.4.1", findings=STANDS)
    assert (found["do"], found["before"], found["to"]) == ("start", "v1.3.2", "v1.4.1")
    assert [(hop["before"], hop["version"], hop["rke2"]) for hop in found["hops"]] == [
        ("v1.3.2", "v1.4.0", "v1.29.9+rke2r1"), ("v1.4.0", "v1.4.1", "v1.30.7+rke2r1"),
    ]  # fmt: skip
    assert {issue["rule"]: issue["now"] for issue in found["hops"][0]["issues"]} == {
        "image_crd_older": True, "storage_eviction": False,
    }  # fmt: skip
    assert {issue["now"] for issue in found["hops"][1]["issues"]} == {None}  # not asked of a cluster that is to come
    assert [action["verb"] for action in found["actions"]] == ["precheck", "backup", "create", "watch", "verify"]
    assert found["hops"][0]["expect_s"] == 1200 + 2400 + 3 * (900 + 2700)
    assert plan(NOTHING, "1.4.1")["plan_id"] != found["plan_id"] == plan(NOTHING, "v1.4.1", findings=STANDS)["plan_id"]
    text = "\n".join(_upgrade_plan.shown(found))
    assert "known issue image_crd_older: STANDS: Before" in text and "4: point of no return" in text


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("to", ["v1.4.0", "v1.4.1"])
def test_one_that_goes_on_is_watched(number: int, to: str) -> None:
    before = "v1.4.0" if number == 4 else "v1.3.2"  # Harvester writes it in phase 3
    found = plan(at_phase(number), to, before)
    assert (found["do"], found["upgrade"], found["refusals"]) == ("watch", NAME, [])
    assert [action["verb"] for action in found["actions"]] == ["watch", "verify"]


@pytest.mark.parametrize(
    ("seen", "to", "before", "why"),
    [
        (at_phase(2), "v1.3.2", "v1.3.1", f"The upgrade {NAME} to v1.4.0 goes on, which is not on the way to v1.3.2."),
        (upgrades.film(node_failed="n2")[-1], "v1.4.0", "v1.4.0", f"The upgrade {NAME} to v1.4.0 failed in phase 4"),
        (NOTHING, "v1.3.1", "v1.3.2", "V1.3.1 is older than v1.3.2, and Harvester cannot go back."),
        (NOTHING, "v9.0.0", "v1.3.2", "V9.0.0 is no release of Harvester that is known"),
        (NOTHING, "v1.4.0", "", "What runs is no release of Harvester: its server-version"),
    ],
)
def test_what_is_refused(seen: upgrades.Shown, to: str, before: str, why: str) -> None:
    found = plan(seen, to, before)
    assert found["do"] == "nothing" and not found["actions"]
    assert found["refusals"][0]["what"].startswith(why) and found["refusals"][0]["next"]


def test_nothing_is_to_do_where_it_is_there() -> None:
    found = plan(FILM[-1], "v1.4.0", "v1.4.0")
    assert (found["do"], found["actions"], found["refusals"]) == ("nothing", [], [])
    assert _upgrade_plan.shown(found)[-1] == "nothing to do"


def test_one_that_failed_early_may_be_begun_anew() -> None:
    assert plan(upgrades.film(prepare_deadline="")[-1], "v1.4.0")["do"] == "start"


def nudged(hook: str, node: str, seen: upgrades.Shown) -> tuple[_nudge.Nudge | None, str]:
    return _nudge.nudge(_going.going({"objects": seen, "time": "2026-01-01T02:00:00Z"}), hook, node)


@pytest.mark.parametrize("hook", ["pre-drain", "post-drain"])
def test_a_hook_whose_work_was_done_is_answered(hook: str) -> None:
    seen = upgrades.film(**{f"{hook.split('-')[0]}_hook_unanswered": "n2"})[-1]
    found, why = nudged(hook, "n2", seen)
    assert found and not why
    asked = next(s for s in seen["secrets"] if s["metadata"]["name"] == found.secret)["metadata"]["annotations"]
    answer = f"harvesterhci.io/{hook.split('-')[0]}-hook"
    assert found.body["metadata"]["annotations"] == {answer: asked[f"rke.cattle.io/{hook}"]}
    assert found.what == f"{answer} becomes the text of rke.cattle.io/{hook}"


@pytest.mark.parametrize(
    ("stalls", "hook", "node", "why"),
    [
        ({"predrain_volume": "n2"}, "pre-drain", "n2", "n2 is Pre-draining, and its answer is due when it is Pre-dr"),
        ({"predrain_volume": "n2"}, "post-drain", "n2", "n2 is Pre-draining, and its answer is due when it is Succ"),
        ({"predrain_volume": "n2"}, "pre-drain", "n3", "n3 is Images preloaded, and"),
        ({"drain_pdb": "n3"}, "pre-drain", "n1", "n1 is Succeeded, and"),
        ({"pre_hook_unanswered": "n2"}, "post-drain", "n1", "Rancher has not asked for it"),
        ({"predrain_volume": "n2"}, "pre-drain", "n9", f"{NAME} has no node n9: n1, n2, n3"),
        ({"drain_pdb": "n2"}, "pre-drain", "n2", "it is answered: rke.cattle.io/pre-drain"),
        ({"reboot_old_image": "n2"}, "post-drain", "n2", "n2 is Waiting Reboot, and"),
        ({"two_plan_secrets": "n1"}, "pre-drain", "n1", "n1 has 2 plan secrets"),
        ({"planner_silent": ""}, "pre-drain", "n1", "n1 is Images preloaded, and"),
        ({"capi_provisioning": ""}, "pre-drain", "n1", "no upgrade is in phase 4"),
        ({}, "pre-drain", "n1", "no upgrade is in phase 4"),
    ],
)
def test_no_other_hook_is(stalls: dict[str, str], hook: str, node: str, why: str) -> None:
    found, said = nudged(hook, node, upgrades.film(**stalls)[-1])
    assert found is None and said.startswith(why), said


def test_a_hook_whose_work_is_not_proved_is_not_answered() -> None:
    seen = upgrades.film(pre_hook_unanswered="n2")[-1]
    job = next(job for job in seen["jobs"] if job["metadata"]["name"] == f"{NAME}-pre-drain-n2")
    job["status"]["conditions"] = []
    assert nudged("pre-drain", "n2", seen)[1].startswith(f"the job {NAME}-pre-drain-n2 has not succeeded")
    seen["jobs"].remove(job)
    assert nudged("pre-drain", "n2", seen)[1].startswith(f"there is no pre-drain job of {NAME} for n2")
    seen = upgrades.film(post_hook_unanswered="n2")[-1]
    node = next(node for node in seen["nodes"] if node["metadata"]["name"] == "n2")
    node["status"]["nodeInfo"]["osImage"] = "Harvester v1.3.2"
    assert nudged("post-drain", "n2", seen)[1].startswith("n2 runs Harvester v1.3.2 with v1.29.9+rke2r1, and the")


def other(shown: upgrades.Shown, born: str, **more: Any) -> JSON:
    """The Upgrade of a film under another name, and no longer the latest."""
    item = next(item for item in shown["upgrades"] if item["metadata"]["name"] == NAME)
    return {**item, **more, "metadata": {"name": "hvst-upgrade-other", "creationTimestamp": born}}


FOURTH, FAILED = at_phase(4), upgrades.film(node_failed="n2")[-1]


@pytest.mark.parametrize(
    ("seen", "to", "why"),
    [
        ({**at_phase(1), "upgrades": [other(FOURTH, upgrades.BEGUN)]}, "v1.4.1", "is in phase 4: its nodes are"),
        ({**NOTHING, "upgrades": [other(FAILED, "2026-01-02T00:00:00Z")]}, "v1.4.0", "failed in phase 4: its nodes"),
        (
            {**FAILED, "upgrades": [*upgrades.film(prepare_deadline="")[-1]["upgrades"], other(FAILED, "2026")]},
            "v1.4.0",
            "failed in phase 4: its nodes",
        ),
    ],
    ids=["one that is not the latest goes on", "one without a label failed", "a later one failed early"],
)
def test_nothing_is_begun_beside_another_one_in_phase_4(seen: upgrades.Shown, to: str, why: str) -> None:
    found = plan(seen, to, "v1.3.2")
    assert found["do"] == "nothing" and why in found["refusals"][0]["what"]


def test_one_that_failed_is_forgotten_when_every_node_has_what_it_brings() -> None:
    brought = {"osImage": "Harvester v1.4.0", "kubeletVersion": "v1.29.9+rke2r1"}
    nodes = [{**node, "status": {**node["status"], "nodeInfo": brought}} for node in FAILED["nodes"]]
    assert plan({**FAILED, "nodes": nodes}, "v1.4.1", "v1.4.0")["do"] == "start"
    assert plan({**FAILED, "nodes": [*nodes[:2], FAILED["nodes"][2]]}, "v1.4.1", "v1.4.0")["do"] == "nothing"


def test_what_runs_is_the_oldest_of_version_and_nodes() -> None:
    """Phase 3 has written the new server-version, and the upgrade was stopped then."""
    failed = upgrades.film(prepare_deadline="")[-1]
    found = plan(failed, "v1.4.0", "v1.4.0")
    assert (found["do"], found["before"], [hop["version"] for hop in found["hops"]]) == ("start", "v1.3.2", ["v1.4.0"])


def test_one_of_an_iso_that_was_uploaded_is_watched() -> None:
    shown = at_phase(3)
    (item,) = shown["upgrades"]
    uploaded = {**item, "spec": {"image": "harvester-system/image-x", "logEnabled": True}}
    assert plan({**shown, "upgrades": [uploaded]}, "v1.4.1", "v1.3.2")["do"] == "watch"
    assert _upgrade_plan.version_of(uploaded) == "v1.4.0"
