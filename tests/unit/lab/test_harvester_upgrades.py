# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's upgrade controller keeps to the facts; the ids name the section of the sheet."""

from __future__ import annotations

from typing import Any

import pytest

from lab.harvester import upgrade
from lab.harvester.upgrade import told
from lab.harvester.upgrade.seen import condition, labels, name_of, notes, status

JSON = dict[str, Any]
NODES = ("n1", "n2", "n3")
CONDITIONS = ("Completed", "LogReady", "ImageReady", "RepoReady", "NodesPrepared", "SystemServicesUpgraded",
              "NodesUpgraded")  # fmt: skip


def latest(shown: dict[str, list[JSON]]) -> JSON:
    return shown["upgrades"][-1]


def distinct(words: list[Any]) -> list[Any]:
    return [word for i, word in enumerate(words) if word and word != ([None, *words])[i]]


def test_a_hop_goes_through_all_phases() -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", NODES))
    states = distinct([labels(latest(each)).get("harvesterhci.io/upgradeState") for each in shown])
    assert states == ["PreparingLoggingInfra", "LoggingInfraPrepared", "PreparingRepo", "RepoPrepared",
                      "PreparingNodes", "UpgradingSystemServices", "UpgradingNodes", "Succeeded"]  # fmt: skip
    last = shown[-1]
    assert [c["type"] for c in status(latest(last))["conditions"]] == list(CONDITIONS)
    assert {condition(latest(last), kind) for kind in CONDITIONS} == {"True"}
    for node in NODES:
        ways = distinct([told.node_state(latest(each), node) for each in shown])
        assert ways == ["Images preloading", "Images preloaded", "Pre-draining", "Pre-drained", "Post-draining",
                        "Waiting Reboot", "Succeeded"]  # fmt: skip
    assert {status(n)["nodeInfo"]["osImage"] for n in last["nodes"]} == {"Harvester v1.4.0"}
    assert {status(n)["nodeInfo"]["kubeletVersion"] for n in last["nodes"]} == {"v1.29.9+rke2r1"}
    assert not any(n["spec"].get("unschedulable") or n["spec"].get("taints") for n in last["nodes"])
    assert not last["plans"] and not last["vms"] and not last["images"]
    assert last["settings"][0]["value"] == "600" and last["config"][0]["value"] == "v1.4.0"
    assert not any(chart["spec"].get("paused") for chart in last["charts"])
    assert list(last["provisioning"][0]["spec"]["rkeConfig"]) == ["provisionGeneration"]
    assert sorted(map(name_of, last["jobs"])) == sorted(
        f"{name_of(latest(last))}-{word}" for word in ("apply-manifests", *(
            f"{kind}-drain-{node}" for kind in ("pre", "post") for node in NODES)))  # fmt: skip


def test_never_two_nodes_at_once() -> None:
    for shown in upgrade.film("v1.3.2", "v1.4.0", NODES):
        states = [e["state"] for e in (status(latest(shown)).get("nodeStatuses") or {}).values()]
        assert len([word for word in states if word not in ("Images preloading", "Images preloaded", "Succeeded")]) < 2
        assert sum(bool(n["spec"].get("unschedulable")) for n in shown["nodes"]) < 2


def test_one_node() -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", ["n1"]))
    last = latest(shown[-1])
    assert condition(last, "Completed") == "True" and status(last)["singleNode"] == "n1"
    assert {name_of(j) for j in shown[-1]["jobs"]} == {
        f"{name_of(last)}-apply-manifests", f"{name_of(last)}-single-node-upgrade-n1"}  # fmt: skip
    assert "replica-replenishment-wait-interval" not in "".join(notes(last))


@pytest.mark.parametrize("name", upgrade.STALLS)
def test_a_stall_stays(name: str) -> None:
    shown = list(upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={name: ""}))
    value = condition(latest(shown[-1]), "Completed")
    assert value == ("False" if name in ("prepare-deadline", "node-failed") else "Unknown")
