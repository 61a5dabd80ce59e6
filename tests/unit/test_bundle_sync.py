# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action bundle_sync against the lab's Fleet, on an API in memory and by a clock of its own."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import bundle_sync
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _stuck
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import (
    BUNDLES,
    CHARTS,
    CLUSTERS,
    DEPLOYMENTS,
    SECRETS,
    Judgement,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _bundles, _node_api
from lab.harvester import fleet
from tests.unit.fake_api import FakeApi

JSON = dict[str, Any]


class Cluster:
    """Harvester's objects, a Fleet that works while somebody waits, and the action."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.now, self.said, self.folder = FakeApi(), 0.0, list[str](), folder
        fleet.install(self.store.api)
        fleet.fleet(self.store.api)
        self.store.asked.clear()
        timed = partial(_bundles.Bundles, clock=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(bundle_sync, "Bundles", timed)
        monkeypatch.setattr(_node_api, "of", lambda _action: self.store.api)
        self.playing = True

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.playing:
            before = list(self.store.asked)
            fleet.fleet(self.store.api)
            self.store.asked[:] = before

    def fault(self, **data: str) -> None:
        meta = {"name": fleet.FAULTS[1], "namespace": fleet.FAULTS[0]}
        self.store.api.create(fleet.CONFIGMAPS, {"metadata": meta, "data": data})
        self.store.asked.clear()

    def patch(self, kind: _api.Kind, spec: JSON, name: str = "mcc-harvester") -> None:
        self.store.api.patch(kind, name, {"spec": spec}, "fleet-local")
        fleet.fleet(self.store.api)
        self.store.asked.clear()

    def run(self, *, check: bool = False, **args: Any) -> JSON:
        class Acting(bundle_sync.ActionModule):
            settings: ClassVar[JSON] = {}

            def __init__(self, cluster: Cluster) -> None:
                given = {"cluster": "prod", "output": str(cluster.folder), **args}
                self._task = SimpleNamespace(args=given, check_mode=check)
                self.host, self.said = "r1", cluster.said

            def say(self, text: str) -> None:
                self.said.append(text)

        return Acting(self).act()

    def both(self, **args: Any) -> JSON:
        """Check mode changes nothing and says what the wet run does."""
        planned = self.run(check=True, **args)
        assert self.store.changes == []
        assert not list(self.folder.iterdir())
        done = self.run(**args)
        assert planned["requorum_actions"] == done["requorum_actions"]
        return done


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


def what(result: JSON) -> list[str]:
    return [f"{a['kind'].split('.')[0]} {a['name']} {a['what']}" for a in result["requorum_actions"]]


def test_nothing_is_done_where_all_is_synced(cluster: Cluster) -> None:
    result = cluster.both()
    assert not result["changed"] and cluster.store.changes == []
    assert [(b["bundle"], b["synced"]) for b in result["bundles"]] == [
        ("fleet-local/mcc-harvester-crd", True), ("fleet-local/mcc-harvester", True),
    ]  # fmt: skip


def test_asked_for_by_name_it_is_forced_all_the_same(cluster: Cluster) -> None:
    result = cluster.both(bundles=["harvester"], always=True)
    assert what(result) == ["bundles mcc-harvester forceSyncGeneration: 1"]
    assert result["bundles"][0]["synced"] and result["bundles"][0]["force_sync_generation"] == 1
    assert what(cluster.run(bundles=["mcc-harvester"], always=True)) == ["bundles mcc-harvester forceSyncGeneration: 2"]


def test_the_chart_is_unpaused_before_its_bundle(cluster: Cluster) -> None:
    cluster.patch(CHARTS, {"paused": True}, "harvester")
    cluster.patch(BUNDLES, {"forceSyncGeneration": 5})
    result = cluster.both()
    assert what(result) == [
        "managedcharts harvester paused: false",
        "bundles mcc-harvester paused: false",
        "bundles mcc-harvester forceSyncGeneration: 6",
    ]
    assert result["bundles"][1]["synced"]
    chart, bundle = (json.loads(Path(path).read_text()) for path in result["saved"])
    assert chart["spec"]["paused"] is True and bundle["spec"]["forceSyncGeneration"] == 5
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in result["saved"])
    (changes,) = cluster.folder.glob("prod/*/changes.jsonl")
    assert [json.loads(line)["what"] for line in changes.read_text().splitlines()] == [
        "paused: false", "paused: false", "forceSyncGeneration: 6",
    ]  # fmt: skip


def test_definitions_come_first(cluster: Cluster) -> None:
    for name in ("harvester-demo", "harvester-crd-demo"):
        cluster.store.api.patch(fleet.CONFIGMAPS, name, {"data": {"answer": "43"}}, "harvester-system")
    fleet.fleet(cluster.store.api)
    cluster.store.asked.clear()
    assert what(cluster.both()) == [
        "bundles mcc-harvester-crd forceSyncGeneration: 1",
        "bundles mcc-harvester forceSyncGeneration: 1",
    ]


def test_a_refusal_that_passes_is_answered_once_more(cluster: Cluster) -> None:
    cluster.fault(**{"error.mcc-harvester": "failed calling webhook", "until.mcc-harvester": "4"})
    cluster.patch(BUNDLES, {"forceSyncGeneration": 1})
    result = cluster.both(bundles=["harvester"])
    assert result["bundles"][0]["synced"] and result["bundles"][0]["tries"] == 2
    assert what(result) == ["bundles mcc-harvester forceSyncGeneration: 2"]
    assert 70 + 90 <= cluster.now < 170  # what was said before a force sync may be old


def test_a_new_refusal_counts_at_once_and_an_old_one_later(cluster: Cluster) -> None:
    cluster.fault(**{"error.mcc-harvester": "failed calling webhook", "until.mcc-harvester": "3"})
    result = cluster.both(bundles=["harvester"], always=True)
    assert result["bundles"][0]["synced"] and result["bundles"][0]["tries"] == 2
    assert 10 + 90 <= cluster.now < 105


def test_a_refusal_that_stays_is_named_with_its_repair(cluster: Cluster) -> None:
    cluster.fault(**{"error.mcc-harvester": 'admission webhook "v" denied the request: no'})
    result = cluster.both(bundles=["harvester"], always=True)
    assert result["failed"] and what(result) == ["bundles mcc-harvester forceSyncGeneration: 1"]
    assert "r1: The bundle fleet-local/mcc-harvester is not synced: a webhook denies the change" in result["msg"]
    assert "Put right what it says." in result["msg"] and cluster.now < 2


def test_nothing_is_changed_where_helm_would_refuse_it(cluster: Cluster) -> None:
    label = {"metadata": {"labels": {"status": "pending-upgrade"}}}
    cluster.store.api.patch(SECRETS, "sh.helm.release.v1.harvester.v1", label, "harvester-system")
    cluster.store.asked.clear()
    result = cluster.both(always=True)
    assert result["failed"] and result["requorum_actions"] == [] and cluster.store.changes == []
    assert "helm -n harvester-system rollback harvester REVISION" in result["msg"]


def test_a_wait_has_a_deadline(cluster: Cluster) -> None:
    cluster.fault(agent="down")
    result = cluster.both(bundles=["harvester"], always=True)
    assert result["failed"] and "not synced within 600 s: Fleet's agent has not applied it" in result["msg"]
    assert 600 <= cluster.now < 602
    assert any("waiting" in line and "WaitApplied" in line for line in cluster.said)
    assert sum(request.kind is BUNDLES for request in cluster.store.asked) < 10  # bundles are large


def test_what_was_done_before_a_failure_is_told(cluster: Cluster) -> None:
    cluster.patch(CHARTS, {"paused": True}, "harvester")

    def refuse(request: _api.Request) -> _api.Answer | None:
        changed = request.verb == "patch" and request.kind is BUNDLES
        return _api.Answer("Forbidden", "no") if changed else None

    cluster.store.refuse = refuse
    result = cluster.run()
    assert result["failed"] and result["changed"] and what(result) == ["managedcharts harvester paused: false"]
    assert "r1: patch bundles.fleet.cattle.io mcc-harvester: no" in result["msg"]


@pytest.mark.parametrize("reason", ["Forbidden", "Conflict", "TooManyRequests", "InternalError", "NoAnswer"])
def test_an_api_that_refuses_changes_nothing(cluster: Cluster, reason: str) -> None:
    cluster.store.refuse = lambda _request: _api.Answer(reason, "no")
    with pytest.raises(RequorumError, match="r1: get"):
        cluster.run()


def test_a_cluster_without_fleet(cluster: Cluster) -> None:
    cluster.store.objects.clear()
    cluster.store.missing = (BUNDLES.name, CHARTS.name)
    assert cluster.both()["msg"] == bundle_sync.NO_FLEET


def test_a_bundle_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(RequorumError, match=r"no bundle fleet-default/app\. Bundles here: fleet-local/mcc-harvester, "):
        cluster.run(bundles=["fleet-default/app"])


def test_a_bundle_of_several_clusters(cluster: Cluster) -> None:
    api = cluster.store.api
    for name in ("c-1", "c-2"):
        meta = {"name": name, "namespace": "fleet-default", "labels": {"env": "prod"}}
        api.create(CLUSTERS, {"metadata": meta, "status": {"namespace": f"cluster-fleet-default-{name}"}})
    spec = {"targets": [{"clusterSelector": {"matchLabels": {"env": "prod"}}}], "helm": {"values": {"a": "b"}}}
    api.create(BUNDLES, {"metadata": {"name": "app", "namespace": "fleet-default"}, "spec": spec})
    fleet.fleet(api)
    cluster.store.asked.clear()
    result = cluster.both(bundles=["fleet-default/app"], always=True)
    assert what(result) == ["bundles app forceSyncGeneration: 1"] and result["bundles"][0]["synced"]
    synced = [d["status"]["syncGeneration"] for d in api.items(DEPLOYMENTS) or () if d["metadata"]["name"] == "app"]
    assert synced == [1, 1]


def test_only_charts_and_bundles_are_changed(cluster: Cluster) -> None:
    cluster.patch(CHARTS, {"paused": True}, "harvester")
    cluster.run(always=True)
    changed = {(request.verb, request.kind) for request in cluster.store.changes}
    assert changed == {("patch", CHARTS), ("patch", BUNDLES)}


READY = Judgement("Ready", (), (), 2)
REFUSED = Judgement("ErrApplied", (), (), 2)
WAITS = Judgement("WaitApplied", (), (), 2)
STAYS = _stuck.HELM_IN_USE
PASSES = _stuck.HELM_PENDING
LAST = len(_stuck.PAUSES)


@pytest.mark.parametrize(
    ("judgement", "why", "since", "stale", "tries", "expected"),
    [
        (READY, None, 0, False, 0, "done"),
        (WAITS, _stuck.CAUSES["WaitApplied"], 500, False, 0, "wait"),
        (REFUSED, STAYS, 0, False, 0, "stuck"),
        (REFUSED, STAYS, 59, True, 0, "wait"),
        (REFUSED, STAYS, 60, True, 0, "stuck"),
        (READY, _stuck.CAUSES["version"], 59, False, 0, "wait"),
        (READY, _stuck.CAUSES["version"], 60, False, 0, "stuck"),
        (REFUSED, PASSES, 9, False, 0, "wait"),
        (REFUSED, PASSES, 10, False, 0, "again"),
        (REFUSED, PASSES, 69, True, 0, "wait"),
        (REFUSED, PASSES, 70, True, 0, "again"),
        (REFUSED, PASSES, 29, False, 1, "wait"),
        (REFUSED, PASSES, 30, False, 1, "again"),
        (REFUSED, PASSES, 119, False, LAST, "wait"),
        (REFUSED, PASSES, 120, False, LAST, "stuck"),
    ],
)
def test_verdicts(
    judgement: Judgement, why: _stuck.Cause | None, since: float, stale: bool, tries: int, expected: str
) -> None:
    assert _stuck.verdict(judgement, why, since=since, stale=stale, tries=tries) == expected
