# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules over whole Harvesters: a good one of each version, and an upgrade that was begun anew in phase 4, with all that
tells it and with parts of that.
"""

from __future__ import annotations

import copy
from itertools import combinations
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _evaluate,
    _harvester_checks,
    _predicates_upgrade,
    _releases,
    _rules,
    _seen,
)
from ansible_collections.requorum.cluster.plugins.module_utils._found import Found, Unknown
from tests.unit.harvesters import NODES, VERSIONS, Harvester

JSON = dict[str, Any]
MINE = ("upgrade", "rancher", "fleet", "longhorn", "machines", "leftovers", "precheck", "harvester")
RULES = {rule.id: rule for rule in _rules.load()}
OLD, NEW = ("Harvester v1.3.1", "v1.27.13+rke2r1"), ("Harvester v1.3.2", "v1.28.12+rke2r1")
HOOK = '{"enabled":true,"preDrainHooks":[{"annotation":"harvesterhci.io/pre-hook"}]}'


def state_of(harvester: Harvester) -> JSON:
    """As a live reading makes it, without logs."""
    read: JSON = {}
    for name, asked in _harvester_checks.KINDS.items():
        lists = [harvester.api.items(kind, asked.namespace, selector=asked.selector) for kind in asked.kinds]
        items = next((items for items in lists if items is not None), None)
        read[name] = items and [asked.keep(item) if asked.keep else item for item in items]
    state = _seen.live("c", [], set(), read, "2026-09-21T14:13:20Z")
    return state | {"harvester": {"releases": dict.fromkeys(NODES, harvester.release), "capi": None}}


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_wrong_with_a_good_one(version: str) -> None:
    state = state_of(Harvester(version))
    rules = [rule for rule in RULES.values() if rule.file.split("/")[-1].removesuffix(".yaml") in MINE]
    assert len(rules) > 100
    asked = {rule.id: _evaluate.ask(rule, state) for rule in rules if rule.suits(state) and not rule.logs}
    found = {ident: outcome.found for ident, outcome in asked.items() if outcome.found}
    unknown = {ident: outcome.unknown for ident, outcome in asked.items() if outcome.unknown}
    assert found == {} and unknown == {}


def begun_anew() -> JSON:
    """n1 is done, n2 got RKE2 without its OS, n3 nothing; the first upgrade has failed in phase 4."""

    def upgrade(name: str, born: str, word: str, completed: str, **nodes: str) -> JSON:
        met = [{"type": word, "status": "True"} for word in ("NodesPrepared", "SystemServicesUpgraded")]
        return {
            "metadata": {
                "name": name,
                "creationTimestamp": born,
                "labels": {"harvesterhci.io/upgradeState": word}
                | ({"harvesterhci.io/latestUpgrade": "true"} if completed == "Unknown" else {}),
            },
            "spec": {"version": "v1.3.2"},
            "status": {
                "previousVersion": "v1.3.1",
                "repoInfo": f"release:\n  os: {NEW[0]}\n  kubernetes: {NEW[1]}\n",
                "nodeStatuses": {node: {"state": each} for node, each in nodes.items()},
                "conditions": [*met, {"type": "Completed", "status": completed}],
            },
        }

    def node(name: str, os: str, kubelet: str) -> JSON:
        meta = {"name": name, "annotations": {"cluster.x-k8s.io/machine": f"custom-{name}"}}
        return {"metadata": meta, "status": {"nodeInfo": {"osImage": os, "kubeletVersion": kubelet}}}

    def secret(name: str, **notes: str) -> JSON:
        labels = {"rke.cattle.io/machine-name": f"custom-{name}"}
        meta = {"name": f"custom-{name}-machine-plan", "labels": labels, "annotations": notes}
        return {"type": "rke.cattle.io/machine-plan", "metadata": meta}

    early = "Images preloaded"
    answered = {"rke.cattle.io/pre-drain": HOOK, "harvesterhci.io/pre-hook": HOOK}
    hooks = {"controlPlaneDrainOptions": {"preDrainHooks": [{"annotation": "harvesterhci.io/pre-hook"}]}}
    return {
        "time": "2026-01-01T12:00:00Z",
        "nodes": [],
        "harvester": {"releases": {}},
        "unread": {},
        "objects": {
            "upgrades": [
                upgrade("a", "2026-01-01T07:00:00Z", "Failed", "False", n1="Succeeded", n2="Pre-draining", n3=early),
                upgrade("b", "2026-01-01T09:00:00Z", "UpgradingNodes", "Unknown", n1="Succeeded", n2=early, n3=early),
            ],
            "nodes": [node("n1", *NEW), node("n2", OLD[0], NEW[1]), node("n3", *OLD)],
            "secrets": [secret("n1"), secret("n2", **answered), secret("n3")],
            "provisioning": [
                {"metadata": {"name": "local"},
                 "spec": {"kubernetesVersion": NEW[1], "rkeConfig": {"upgradeStrategy": hooks}}},
            ],
            "jobs": [],
            "capi": [],
        },
    }  # fmt: skip


def forget_first(state: JSON) -> None:
    state["objects"]["upgrades"] = state["objects"]["upgrades"][1:]


def forget_hooks(state: JSON) -> None:
    for secret in state["objects"]["secrets"] or ():
        secret["metadata"]["annotations"] = {}


def forget_kubelet(state: JSON) -> None:
    for node in state["objects"]["nodes"] or ():
        if node["metadata"]["name"] == "n2":
            node["status"]["nodeInfo"] = {"osImage": OLD[0], "kubeletVersion": OLD[1]}


def unread_secrets(state: JSON) -> None:
    state["objects"]["secrets"], state["unread"]["objects.secrets"] = None, "the bundle has none"


def unread_nodes(state: JSON) -> None:
    state["objects"]["nodes"], state["unread"]["objects.nodes"] = None, "yamls/cluster/v1/nodes.yaml is missing"


def unread_cluster(state: JSON) -> None:
    state["objects"]["provisioning"] = None
    state["unread"]["objects.provisioning"] = "it is missing"


LOSSES = (forget_first, forget_hooks, forget_kubelet, unread_secrets, unread_nodes, unread_cluster)
PROOFS = {
    "an older upgrade that came to phase 4": {forget_first},
    "answered hooks": {forget_hooks, unread_secrets, unread_nodes},
    "the new RKE2 below the old OS, which hooks would have stopped": {forget_kubelet, unread_nodes, unread_cluster},
}
"""What proves it, and what takes that away."""


def told(state: JSON) -> tuple[list[Found], list[Unknown]]:
    answers = list(_predicates_upgrade.restarted(state))
    return [a for a in answers if isinstance(a, Found)], [a for a in answers if isinstance(a, Unknown)]


def test_every_piece_of_evidence_is_named() -> None:
    (found,), unknown = told(begun_anew())
    text = "\n".join(found.evidence)
    assert not unknown and found.item["left"] == ["n2", "n3"] and found.item["nodes"] == ["n2"]
    assert "Upgrade a to v1.3.2 before it: Failed (n1: Succeeded, n2: Pre-draining, n3: Images preloaded)" in text
    assert "rke.cattle.io/pre-drain = harvesterhci.io/pre-hook" in text and HOOK not in text
    assert "kubelet v1.28.12+rke2r1 on Harvester v1.3.1, which came with v1.27.13+rke2r1" in text
    assert "n3:" not in text.replace("n3: Images preloaded", "")


@pytest.mark.parametrize(
    "losses",
    [each for count in range(len(LOSSES) + 1) for each in combinations(LOSSES, count)],
    ids=lambda losses: "+".join(loss.__name__ for loss in losses) or "nothing",
)
def test_it_is_certain_only_of_what_is_proved(losses: tuple[Any, ...]) -> None:
    state = begun_anew()
    for loss in losses:
        loss(state)
    found, unknown = told(state)
    proved = [proof for proof, ways in PROOFS.items() if not ways & set(losses)]
    if not proved and found:  # RKE2 below the old OS, and an older upgrade
        proved = [] if {forget_kubelet, unread_nodes, forget_first} & set(losses) else ["both"]
    assert bool(found) == bool(proved), proved
    weak = list(_predicates_upgrade.maybe_restarted(state))
    if not found:  # never silence: a weaker finding, or what could not be looked at
        assert weak or unknown
    else:
        assert not weak
    if not found and {unread_secrets, unread_nodes, unread_cluster} & set(losses):
        assert unknown


def test_one_that_works_is_not_called_so() -> None:
    state = begun_anew()
    forget_hooks(state)
    forget_kubelet(state)
    state["objects"]["upgrades"][1]["status"]["nodeStatuses"]["n2"]["state"] = "Pre-drained"
    assert told(state) == ([], [])


def test_a_first_try_that_came_to_no_node_may_be_begun_anew() -> None:
    state = begun_anew()
    forget_hooks(state)
    forget_kubelet(state)
    first = state["objects"]["upgrades"][0]["status"]
    first["nodeStatuses"] = {node: {"state": "Images preloaded"} for node in ("n1", "n2", "n3")}
    first["conditions"] = [{"type": "Completed", "status": "False"}]
    assert told(state) == ([], [])


def test_an_upgrade_without_a_new_rke2_leaves_all_kubelets_at_its_target() -> None:
    """v1.2.0 and v1.2.1 have the same RKE2."""
    state = begun_anew()
    forget_hooks(state)
    forget_first(state)
    (upgrade,) = state["objects"]["upgrades"]
    upgrade["spec"]["version"] = "v1.2.1"
    upgrade["status"]["repoInfo"] = "release:\n  os: Harvester v1.2.1\n  kubernetes: v1.25.9+rke2r1\n"
    for node in state["objects"]["nodes"]:
        node["status"]["nodeInfo"] = {"osImage": "Harvester v1.2.0", "kubeletVersion": "v1.25.9+rke2r1"}
    assert told(state) == ([], [])


def test_the_rules_name_what_runs_on_each_node() -> None:
    state = begun_anew()
    skew = _evaluate.ask(RULES["rke2_of_other_os"], copy.deepcopy(state))
    older = _evaluate.ask(RULES["os_older"], state)
    assert [f.node for f in skew.found] == ["n2"] and [f.node for f in older.found] == ["n2", "n3"]


@pytest.mark.parametrize(
    ("text", "named", "kubernetes"),
    [
        ("Harvester v1.3.1", "v1.3.1", "v1.27.13+rke2r1"),
        ("v1.3.2", "v1.3.2", "v1.28.12+rke2r1"),
        ("Harvester v1.4-head", "", ""),
        ("Harvester v1.3.9", "v1.3.9", ""),
        ("Ubuntu 22.04 LTS", "", ""),
        (None, "", ""),
    ],
)
def test_releases(text: str | None, named: str, kubernetes: str) -> None:
    assert _releases.named(text) == named and _releases.kubernetes(text) == kubernetes


def test_a_version_that_is_known_in_part_is_compared_in_part() -> None:
    assert _releases.same("v1.32.3", "v1.32.3+rke2r1") and not _releases.same("v1.32.3", "v1.32.4+rke2r1")
    assert not _releases.same("v1.28.12+rke2r1", "v1.28.12+rke2r2")
