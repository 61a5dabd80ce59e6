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
    _diagnose,
    _evaluate,
    _harvester_checks,
    _jmes,
    _predicates_machines,
    _predicates_upgrade,
    _releases,
    _rule_tests,
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
    more = {"system_agent": "active", "custom": "there", "network": "there", "cos_state": "16106127360"}
    host = {**more, **harvester.release}
    disk = {"bytes": 300_000_000_000, "free": 200_000_000_000}
    about = {"reachable": True, "unread": {}, "harvester": host, "disk": disk, "role": "server"}
    state = _seen.live("c", [], set(), read, "2026-09-21T14:13:20Z")
    return state | {
        "nodes": [{"name": name, "hostname": name, **about} for name in NODES],
        "harvester": {"releases": dict.fromkeys(NODES, harvester.release), "capi": None},
    }


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
    assert _releases.named(text) == named and _releases.rke2(text) == kubernetes


def test_a_version_that_is_known_in_part_is_compared_in_part() -> None:
    assert _releases.same("v1.32.3", "v1.32.3+rke2r1") and not _releases.same("v1.32.3", "v1.32.4+rke2r1")
    assert not _releases.same("v1.28.12+rke2r1", "v1.28.12+rke2r2")


def of_kind(kind: str, **parts: Any) -> JSON:
    """What is kept of an object that is read as this one."""
    keep = _harvester_checks.KINDS[kind].keep
    assert keep
    return keep({"metadata": {"name": "x", "namespace": "n", "managedFields": ["much"]}, **parts})


def test_what_is_kept_of_settings_has_no_secret() -> None:
    value = '{"type":"s3","endpoint":"https://me:word@s3","accessKeyId":"AKIA","secretAccessKey":"hidden","refreshIntervalInSeconds":0}'
    for name in _harvester_checks.SECRET_SETTINGS:
        kept = of_kind("config", metadata={"name": name}, value=value, default="d")
        assert not {word for word in ("hidden", "AKIA", "word@") if word in str(kept)}
    kept = of_kind("config", metadata={"name": "backup-target"}, value=value)
    assert kept["value"] == '{"type": "s3", "refreshIntervalInSeconds": 0, "endpoint": "there"}'
    assert of_kind("config", metadata={"name": "backup-target"}, value="no json")["value"] is None
    assert of_kind("config", metadata={"name": "server-version"}, value="v1.3.2")["value"] == "v1.3.2"


def test_what_is_kept_of_objects_of_which_there_are_many() -> None:
    assert "secret" not in str(of_kind("addons", spec={"enabled": True, "valuesContent": "password: secret"}))
    backup = of_kind(
        "backups", metadata={"name": "b", "creationTimestamp": "t"}, status={"readyToUse": True, "source": 1}
    )
    assert backup["status"] == {"readyToUse": True, "error": None} and backup["metadata"]["creationTimestamp"] == "t"
    assert of_kind("schedules", spec={"cron": "0 1 * * *", "vmbackup": {}})["spec"] == {
        "cron": "0 1 * * *",
        "suspend": None,
    }
    assert of_kind("webhooks", webhooks=[{"clientConfig": {"caBundle": "long"}}]) == {
        "metadata": {"name": "x", "namespace": "n", "labels": None}
    }
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}, "name": "c", "image": "i"}
    running = {"state": {"running": {}}, "name": "d"}
    pod = of_kind("pods", spec={"nodeName": "n1", "containers": []}, status={"containerStatuses": [waiting, running]})
    assert pod["spec"] == {"nodeName": "n1"} and "containerStatuses" not in pod["status"]
    assert pod["status"]["waiting"] == [{"name": "c", "reason": "ImagePullBackOff", "image": "i"}]


def test_a_support_bundle_has_no_kubeconfig_to_judge() -> None:
    state = {"source": {"kind": "support_bundle"}, "objects": {"secrets": []}}
    (unknown,) = _predicates_machines.kubeconfig(state)
    assert isinstance(unknown, Unknown)
    (missing,) = _predicates_machines.kubeconfig(state | {"source": {"kind": "live"}})
    assert isinstance(missing, Found)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("condition(@, 'Ready')", "True"),
        ("condition(@, 'Other')", None),
        ("condition(spec, 'Ready')", None),
        ("multiply(`3`, `4`)", 12),
        ("multiply(spec, `4`)", None),
        ("addresses('10.0.0.0/29')", 6),
        ("addresses('10.0.0.0/99')", None),
        ("addresses(spec)", None),
    ],
)
def test_functions(expression: str, found: Any) -> None:
    item = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}, "spec": None}
    assert _jmes.search(expression, item, {"time": "2026-01-01T12:00:00Z"}) == found


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('-p \'{{"spec":{{"paused":{word}}}}}\'', '-p \'{"spec":{"paused":no}}\''),
        ("{word} and {{word}}", "no and {word}"),
        ("{join(', ', word)}", "unknown"),
        ("{nothing}", "unknown"),
    ],
)
def test_braces_stand_for_themselves_and_words_never_lose_a_finding(template: str, text: str) -> None:
    assert _jmes.filled(template, {"word": False}, {"time": None}) == text


def test_what_a_predicate_needs_is_asked_first() -> None:
    rule = RULES["upgrade_restarted"]
    gone = {"time": "2026-01-01T12:00:00Z", "nodes": [], "objects": {"upgrades": None}, "unread": {}}
    assert _evaluate.ask(rule, gone) == _evaluate.Outcome()
    (unknown,) = _evaluate.ask(rule, gone | {"unread": {"objects.upgrades": "no answer"}}).unknown
    assert unknown.why == "no answer"


def test_words_that_do_not_suit_are_a_fault_of_a_rule() -> None:
    given = {"nodes": [{"name": "n1", "disk": {"free": 1}}]}
    made = _rules.made(
        {"id": "a_rule", "title": "{join(name)}.", "severity": "info", "cause": "", "action": "", "over": "nodes",
         "needs": ["disk.free"], "when": "disk.free == `1`",
         "test": {"fires": given, "misses": {"nodes": [{"name": "n1", "disk": {"free": 2}}]}}}
    )  # fmt: skip
    assert "its words do not suit" in "; ".join(_rule_tests.faults(made))


def test_one_sound_volume_is_no_finding_and_a_lost_node_tells_which_copies_are_the_last() -> None:
    harvester = Harvester("1.4")
    harvester.change("nodes", "n1", {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    for node in ("n2", "n3"):
        harvester.change("replicas.longhorn.io", f"pvc-1-r-{node}", {"spec": {"failedAt": "2026-01-01T00:00:00Z"}})
    state = state_of(harvester)
    (last,) = _evaluate.ask(RULES["volume_last_copy"], state).found
    assert last.node == "n1" and last.item["volume"] == "pvc-1"
    assert "pvc-1-r-n2 on n2: failed" in last.evidence and "pvc-1-r-n1 on n1: good" in last.evidence


def test_a_harvester_is_known_by_its_api_alone() -> None:
    """No host of it answered: its rules are asked all the same."""
    state = state_of(Harvester("1.3")) | {"harvester": None, "distro": "rke2", "nodes": []}
    seen, _case = _diagnose.viewed(state)
    assert seen["harvester"]["version"] == "v1.3.2"
    assert RULES["upgrade_restarted"].suits(seen) and not RULES["precheck_cos_state"].suits(seen)


def working(phase: str) -> Harvester:
    """An upgrade from v1.3.1 that works: in phase `image`, `services`, `draining`, `upgrading`, `booting`."""
    harvester, done = Harvester("1.3"), {"type": "Completed", "status": "Unknown"}
    names = ("LogReady", "ImageReady", "RepoReady", "NodesPrepared", "SystemServicesUpgraded")
    upto = {"image": 1, "services": 4}.get(phase, 5)
    early, fourth = "Images preloaded", upto == 5
    word = {"draining": "Pre-draining", "upgrading": "Post-draining", "booting": "Waiting Reboot"}.get(phase, early)
    states = {"n1": "Succeeded" if fourth else early, "n2": word, "n3": early} if upto > 1 else {}
    met = [{"type": name, "status": "True", "lastUpdateTime": "2026-09-21T14:00:00Z"} for name in names[:upto]]
    harvester.change("upgrades.harvesterhci.io", "hvst-upgrade-done", {
        "metadata": {"creationTimestamp": "2026-09-21T13:50:00Z",
                     "labels": {"harvesterhci.io/upgradeState": "UpgradingNodes" if fourth else "Going"}},
        "spec": {"version": "v1.3.2"},
        "status": {"previousVersion": "v1.3.1", "nodeStatuses": None,
                   "repoInfo": f"release:\n  os: {NEW[0]}\n  kubernetes: {NEW[1]}\n",
                   "conditions": [done, *met, {"type": "NodesUpgraded", "status": "Unknown"}]},
    })  # fmt: skip
    harvester.change("upgrades.harvesterhci.io", "hvst-upgrade-done", {"status": {"nodeStatuses": {
        node: {"state": state} for node, state in states.items()}}})  # fmt: skip
    for node in NODES:
        new = fourth and node == "n1"
        kubelet = NEW[1] if new or (node == "n2" and phase in ("upgrading", "booting")) else OLD[1]
        info = {"osImage": NEW[0] if new else OLD[0], "kubeletVersion": kubelet}
        harvester.change("nodes", node, {"status": {"nodeInfo": info}})
    harvester.change("settings.longhorn.io", "replica-replenishment-wait-interval", {"value": "1800"})
    harvester.release = {"kubernetes": OLD[1], "os": OLD[0], "harvester": "v1.3.1"}
    if phase == "services":
        harvester.change("managedcharts.management.cattle.io", "harvester", {"spec": {"paused": True}})
        harvester.change("bundles.fleet.cattle.io", "mcc-harvester", {"spec": {"paused": True}})
    if fourth:
        notes = {"rke.cattle.io/pre-drain": HOOK}
        if phase != "draining":
            notes |= {"harvesterhci.io/pre-hook": HOOK, "rke.cattle.io/post-drain": HOOK}
        harvester.change("secrets", "custom-n2-machine-plan", {"metadata": {"annotations": notes}})
        taints = [{"key": "kubevirt.io/drain", "value": "draining", "effect": "NoSchedule"}]
        harvester.change("nodes", "n2", {"spec": {"unschedulable": True, "taints": taints}})
    return harvester


@pytest.mark.parametrize("phase", ["image", "services", "draining", "upgrading", "booting"])
def test_an_upgrade_that_works_is_left_alone(phase: str) -> None:
    """What it needs for its work is not said to be wrong."""
    state = state_of(working(phase))
    rules = [rule for rule in RULES.values() if rule.file.split("/")[-1].removesuffix(".yaml") in MINE]
    outcomes = {rule.id: _evaluate.ask(rule, state) for rule in rules if rule.suits(state) and not rule.logs}
    assert {ident for ident, outcome in outcomes.items() if outcome != _evaluate.Outcome()} == {"upgrade_under_way"}
