# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Fleet goes through the states of the recorded real one, in the ten recorded cases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._fleet import (
    BUNDLES,
    CHARTS,
    CLUSTERS,
    DEPLOYMENTS,
    SECRETS,
)
from lab.harvester import fleet
from tests.unit.fake_api import FakeApi

JSON = dict[str, Any]
RECORDED = Path(__file__).parents[1] / "data" / "fleet-force-sync.txt"
BUNDLE = ("mcc-harvester", "fleet-local")


class Played:
    """The stand-in on an API in memory, with the bundle of the recording."""

    def __init__(self) -> None:
        self.store = FakeApi()
        self.api = self.store.api
        cluster = {"metadata": {"name": "local", "namespace": "fleet-local"}, "status": {"namespace": fleet.LOCAL}}
        self.api.create(CLUSTERS, cluster)
        spec = fleet.chart_bundle(fleet.chart("harvester")["spec"])
        self.api.create(BUNDLES, {"metadata": {"name": BUNDLE[0], "namespace": BUNDLE[1]}, "spec": spec})

    def bundle(self, spec: JSON) -> None:
        self.api.patch(BUNDLES, BUNDLE[0], {"spec": spec}, BUNDLE[1])

    def fault(self, **data: str | None) -> None:
        name, namespace = fleet.FAULTS[1], fleet.FAULTS[0]
        if self.api.get(fleet.CONFIGMAPS, name, namespace) is None:
            self.api.create(fleet.CONFIGMAPS, {"metadata": {"name": name, "namespace": namespace}, "data": {}})
        self.api.patch(fleet.CONFIGMAPS, name, {"data": {k.replace("__", "."): v for k, v in data.items()}}, namespace)

    def drift(self) -> None:
        self.api.patch(fleet.CONFIGMAPS, "harvester-demo", {"data": {"answer": "43"}}, "harvester-system")

    def helm(self, *statuses: str) -> None:
        """Give the newest releases these statuses, as a person with kubectl would."""
        found = sorted(self.api.items(SECRETS) or (), key=fleet.revision)[-len(statuses) :]
        for secret, status in zip(found, statuses, strict=True):
            meta = secret["metadata"]
            self.api.patch(SECRETS, meta["name"], {"metadata": {"labels": {"status": status}}}, meta["namespace"])

    def settle(self) -> None:
        fleet.fleet(self.api)

    def seen(self) -> tuple[JSON, JSON, list[JSON]]:
        """In the words of the recording."""
        bundle = self.api.get(BUNDLES, *BUNDLE)
        bd = self.api.get(DEPLOYMENTS, BUNDLE[0], fleet.LOCAL)
        assert bundle and bd
        spec, status = bundle["spec"], bundle["status"]
        said = {
            "generation": bundle["metadata"]["generation"],
            "force": spec.get("forceSyncGeneration"),
            "paused": spec.get("paused"),
            **{key: status.get(key) for key in ("observedGeneration", "summary", "display", "conditions")},
        }
        spec, status = bd["spec"], bd["status"]
        forces = {"force": spec["options"], "stagedForce": spec["stagedOptions"]}
        deployment = {
            "spec": {
                **{key: spec.get(key) for key in ("paused", "deploymentID", "stagedDeploymentID")},
                **{key: options.get("forceSyncGeneration") for key, options in forces.items()},
            },
            "status": {
                key: status.get(key)
                for key in (
                    *("appliedDeploymentID", "syncGeneration", "ready", "nonModified", "modifiedStatus"),
                    *("nonReadyStatus", "display", "release", "conditions"),
                )
            },
        }
        labels = [s["metadata"]["labels"] for s in sorted(self.api.items(SECRETS) or (), key=fleet.revision)]
        return said, deployment, labels


def recorded() -> list[tuple[JSON, JSON, list[JSON]]]:
    """Every look of the recording, in its order."""
    lines = RECORDED.read_text().splitlines()
    found = {name: [json.loads(line[len(name) + 2 :]) for line in lines if line.startswith(f"{name}: ")]
             for name in ("bundle", "bd", "helm")}  # fmt: skip
    return list(zip(found["bundle"], found["bd"], found["helm"], strict=True))


class Comparable:
    """A look without what must differ: IDs become letters in the order in which they appear, revisions go."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.first = 0

    def __call__(self, look: tuple[JSON, JSON, list[JSON]]) -> JSON:
        bundle, deployment, helm = json.loads(json.dumps(look))
        self.first = self.first or bundle["generation"]
        for key in ("generation", "observedGeneration"):
            bundle[key] -= self.first
        text = json.dumps([_bare(bundle), _bare(deployment)], sort_keys=True)
        text = re.sub(r"s-\w+:\w+", lambda m: self.ids.setdefault(m[0], f"ID{len(self.ids)}"), text)
        text = re.sub(r"(harvester-system/harvester):\d+", r"\1", text)
        return {"objects": json.loads(text), "helm": [entry["status"] for entry in helm]}


def _bare(item: Any) -> Any:
    """Without the nulls that jq wrote for what is not there."""
    if isinstance(item, dict):
        return {key: _bare(value) for key, value in item.items() if value is not None}
    return [_bare(entry) for entry in item] if isinstance(item, list) else item


def force(value: int) -> Callable[[Played], None]:
    return lambda played: played.bundle({"forceSyncGeneration": value})


def paused(value: bool) -> Callable[[Played], None]:
    return lambda played: played.bundle({"paused": value})


def helm(*statuses: str) -> Callable[[Played], None]:
    return lambda played: played.helm(*statuses)


def agent(value: str | None) -> Callable[[Played], None]:
    return lambda played: played.fault(agent=value)


def values(answer: Any) -> Callable[[Played], None]:
    return lambda played: played.bundle({"helm": {"values": {"answer": answer}}})


CASES: list[tuple[str, list[Callable[[Played], None]], int]] = [
    ("1 healthy, never forced", [], 1),
    ("2 forced for the first time", [force(1)], 2),
    ("3 the same value again", [force(1)], 1),
    ("4 the next value", [force(2)], 1),
    ("5 drift", [Played.drift], 1),
    ("5 forced after drift", [force(3)], 1),
    ("6 paused and forced", [paused(True), force(4)], 1),
    ("6 unpaused", [paused(False)], 1),
    ("7 forced while the agent is down", [agent("down"), force(5)], 1),
    ("7 agent back", [agent(None)], 1),
    ("8 newest release pending, none deployed", [helm("superseded", "pending-upgrade")], 1),
    ("8 forced", [force(6)], 1),
    ("9 one deployed before it, forced", [helm("deployed", "pending-upgrade"), force(7)], 2),
    ("9 the next value", [force(8)], 1),
    ("10 values changed", [values({"bad": "map"})], 1),
    ("10 values changed back", [values("42")], 1),
]


def test_the_same_states_in_the_ten_recorded_cases() -> None:
    played, real, ours, looks = Played(), Comparable(), Comparable(), iter(recorded())
    for name, actions, count in CASES:
        for act in actions:
            act(played)
        played.settle()
        for _look in range(count):
            assert ours(played.seen()) == real(next(looks)), name
    assert next(looks, None) is None
    assert fleet.demo({"helm": {"values": {"answer": "42"}}}, "x")["data"] == {"answer": "42"}


def test_nothing_changes_without_a_cause() -> None:
    played = Played()
    played.settle()
    assert list(fleet.step(fleet.read(played.api))) == []


def harvester() -> Played:
    played = Played()
    played.store.objects.clear()
    fleet.install(played.api)
    played.settle()
    return played


def test_managed_charts_become_bundles() -> None:
    played = harvester()
    chart = played.api.get(CHARTS, "harvester", "fleet-local")
    assert chart and chart["status"]["summary"] == {"desiredReady": 1, "ready": 1}
    labels = [secret["metadata"]["labels"] for secret in played.api.items(SECRETS) or ()]
    assert {entry["name"] for entry in labels if entry["status"] == "deployed"} == {"harvester", "harvester-crd"}


def test_rancher_overwrites_paused_and_leaves_force_sync_alone() -> None:
    played = harvester()
    played.api.patch(CHARTS, "harvester", {"spec": {"paused": True}}, "fleet-local")
    played.settle()
    played.bundle({"paused": False, "forceSyncGeneration": 7})
    played.settle()
    bundle = played.api.get(BUNDLES, *BUNDLE)
    assert bundle and bundle["spec"]["paused"] is True and bundle["spec"]["forceSyncGeneration"] == 7
    assert bundle["status"]["display"]["state"] == "OutOfSync"
    played.api.patch(CHARTS, "harvester", {"spec": {"paused": False}}, "fleet-local")
    played.settle()
    bundle = played.api.get(BUNDLES, *BUNDLE)
    assert bundle and "paused" not in bundle["spec"] and bundle["status"]["display"] == {"readyClusters": "1/1"}


@pytest.mark.parametrize(
    ("fault", "state", "then"),
    [
        ({"controller": "down"}, None, "Ready"),
        ({"error__mcc-harvester": "no matches for kind", "until__mcc-harvester": "2"}, "ErrApplied", "Ready"),
        ({"error__mcc-harvester": "denied"}, "ErrApplied", "ErrApplied"),
        ({"unready__mcc-harvester": "Available: 0/1"}, "NotReady", "NotReady"),
    ],
)
def test_faults(fault: dict[str, str], state: str | None, then: str) -> None:
    played = harvester()
    played.fault(**fault)
    for value, expected in ((1, state), (2, then)):
        played.bundle({"forceSyncGeneration": value})
        played.settle()
        if fault == {"controller": "down"}:
            bundle = played.api.get(BUNDLES, *BUNDLE)
            lags = bundle and bundle["metadata"]["generation"] != bundle["status"]["observedGeneration"]
            assert lags == (value == 1)
            played.fault(controller=None)
        elif expected == "Ready":
            assert played.seen()[0]["display"] == {"readyClusters": "1/1"}
        else:
            assert played.seen()[0]["display"]["state"] == expected
