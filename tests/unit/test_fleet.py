# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle is judged: the looks of a recorded real Fleet, and what is known to hold bundles up."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _fleet, _stuck
from lab.harvester.fleet import helm_secret

JSON = dict[str, Any]
RECORDED = Path(__file__).parent / "data" / "fleet-force-sync.txt"


def looks() -> list[_fleet.Seen]:
    """Every look of the recording, as the objects that it was taken from."""
    lines = RECORDED.read_text().splitlines()
    found = {name: [json.loads(line[len(name) + 2 :]) for line in lines if line.startswith(f"{name}: ")]
             for name in ("bundle", "bd", "helm")}  # fmt: skip
    return [seen(*look) for look in zip(found["bundle"], found["bd"], found["helm"], strict=True)]


def seen(bundle: JSON, bd: JSON, helm: list[JSON]) -> _fleet.Seen:
    spec = bd["spec"]
    return _fleet.Seen(
        {
            "metadata": {"name": "mcc-harvester", "namespace": "fleet-local", "generation": bundle["generation"]},
            "spec": {"forceSyncGeneration": bundle["force"], "paused": bundle["paused"]},
            "status": {key: bundle[key] for key in ("observedGeneration", "summary", "display", "conditions")},
        },
        [
            {
                "metadata": {
                    "name": "mcc-harvester",
                    "namespace": "cluster-fleet-local-local-1a3d67d0a899",
                    "labels": {"fleet.cattle.io/cluster": "local", "fleet.cattle.io/cluster-namespace": "fleet-local"},
                },
                "spec": spec
                | {"options": {"forceSyncGeneration": spec["force"]}}
                | {"stagedOptions": {"forceSyncGeneration": spec["stagedForce"]}},
                "status": bd["status"],
            }
        ],
        releases=[{"metadata": {"labels": entry}} for entry in helm if entry["status"] != "superseded"],
    )


LOOKS = looks()
JUDGED = [
    # look, state, cause, next value
    (0, "Ready", None, 1),
    (1, "Ready", None, 2),
    (4, "Ready", None, 3),
    (5, "Modified", "modified", 3),
    (6, "Ready", None, 4),
    (7, "OutOfSync", "paused", 5),
    (8, "Ready", None, 5),
    (9, "WaitApplied", "agent", 6),
    (10, "Ready", None, 6),
    (11, "Ready", "helm_in_use", 6),
    (12, "ErrApplied", "helm_in_use", 7),
    (13, "Ready", None, 8),
    (15, "Ready", None, 9),
    (16, "Ready", None, 9),
    (17, "Ready", None, 9),
]


@pytest.mark.parametrize(("number", "state", "cause", "value"), JUDGED)
def test_looks_at_a_real_fleet(number: int, state: str, cause: str | None, value: int) -> None:
    look = LOOKS[number]
    found = _fleet.judge(look)
    why = _stuck.cause(look, found)
    assert (found.state, why and why.name, found.next) == (state, cause, value)
    assert found.synced == (cause is None)


def changed(**paths: Any) -> _fleet.Seen:
    """The healthy bundle after a force sync, with values put in at `part__key__key`."""
    base = LOOKS[4]
    parts: JSON = {"bundle": base.bundle, "bd": base.deployments[0], "chart": chart()}
    parts = copy.deepcopy(parts)
    for path, value in paths.items():
        *way, last = path.split("__")
        place: Any = parts
        for key in way:
            place = place[key]
        place[last] = value
    return _fleet.Seen(parts["bundle"], [parts["bd"]], parts["chart"], releases=base.releases)


def chart() -> JSON:
    summary = {"desiredReady": 1, "ready": 1}
    return {"metadata": {"name": "harvester"}, "spec": {}, "status": {"summary": summary}}


def refused(message: str) -> _fleet.Seen:
    conditions = [{"type": "Deployed", "status": "False", "message": message}]
    return changed(bd__status__appliedDeploymentID="old", bd__status__conditions=conditions)


NOT_READY = [{"kind": "Deployment", "namespace": "harvester-system", "name": "harvester", "summary": {}}]
STUCK: list[tuple[_fleet.Seen, str, str]] = [
    (changed(chart__spec__paused=True), "paused", "ManagedChart of fleet-local/mcc-harvester is paused"),
    (changed(bundle__spec__paused=True), "paused", "Bundle of fleet-local/mcc-harvester is paused"),
    (
        changed(
            bundle__metadata__generation=99,
            chart__status={"conditions": [{"type": "Defined", "status": "False", "message": "no chart 1.4.0"}]},
        ),
        "chart",
        "no chart 1.4.0",
    ),
    (changed(bundle__metadata__generation=99), "controller", "cattle-fleet-system/fleet-controller"),
    (changed(bundle__spec__forceSyncGeneration=3), "controller", "rollback fleet"),
    (_fleet.Seen(LOOKS[0].bundle, releases=[]), "no_cluster", "spec.targets"),
    (changed(bd__spec__stagedDeploymentID="new"), "rollout", "rolloutStrategy"),
    (changed(bd__status__ready=None, bd__status__nonReadyStatus=NOT_READY), "not_ready", "harvester-system/harvester"),
    (changed(chart__status__summary={"desiredReady": 1, "modified": 1}), "rancher", "cattle-system/rancher"),
    (changed(bundle__status__conditions=[]), "working", "later"),
    (changed(bundle__status__summary={"desiredReady": 1, "ready": 1, "pending": 1}), "working", "later"),
    (changed(bd__status__syncGeneration=1), "working", "later"),
    (refused("another operation (install/upgrade/rollback) is in progress"), "helm_pending", "rollback harvester 3"),
    # a revision is deployed again, so the words are old
    (refused("cannot re-use a name that is still in use"), "working", "later"),
    (
        refused(
            'encountered 2 deletion errors. First is: admission webhook "validator.harvesterhci.io" denied the '
            "request: Internal error occurred: no route match found for DELETE /v1, Kind=Secret "
            "harvester-system/sh.helm.release.v1.harvester.v2"
        ),
        "webhook_route",
        "harvester-validator",
    ),
    (
        refused('Internal error occurred: failed calling webhook "rancher.cattle.io": failed to call webhook: Post '
                '"https://rancher-webhook.cattle-system.svc:443/v1/webhook/mutation": connection refused'),
        "webhook_down",
        "rancher-webhook.cattle-system.svc",
    ),
    (refused('admission webhook "validator.harvesterhci.io" denied the request: no'), "webhook_denied", "Put right"),
    (refused('no matches for kind "CDI" in version "cdi.kubevirt.io/v1beta1"'), "crd_missing", "mcc-<name>-crd"),
    (refused("execution error at (x): Required CRDs are missing. Please install them"), "crd_missing", "definitions"),
    (refused("default storage class longhorn already exists"), "storage_class", "is-default-class"),
    (refused("chart requires {braces} %s"), "refused", "{braces} %s"),
    (refused(""), "refused", "no reason is given"),
    (refused("bad value: token: K10abc::server:secret"), "refused", "bad value"),
]  # fmt: skip


@pytest.mark.parametrize(("look", "name", "words"), STUCK, ids=[f"{n}-{entry[1]}" for n, entry in enumerate(STUCK)])
def test_known_causes(look: _fleet.Seen, name: str, words: str) -> None:
    found = _fleet.judge(look)
    why = _stuck.cause(look, found)
    assert not found.synced
    assert why and why.name == name
    assert words in f"{why.why} {why.repair}"
    assert "secret" not in why.why


def test_every_cause_of_the_table_is_tested() -> None:
    known = {cause.name for cause in (*_stuck.REFUSED, *_stuck.CAUSES.values())} - {"depends"}  # only of GitRepos
    tested = {name for _look, name, _words in STUCK} | {name for _n, _s, name, _v in JUDGED if name} | {"version"}
    assert known <= tested


def test_another_clusters_refusal_is_told_without_its_secrets() -> None:
    look = refused("cannot re-use a name that is still in use")
    labels = {"fleet.cattle.io/cluster": "c-1", "fleet.cattle.io/cluster-namespace": "fleet-default"}
    look.deployments[0]["metadata"]["labels"] = labels
    look = _fleet.Seen(look.bundle, look.deployments)
    assert _fleet.release_of(look.deployments) is None
    why = _stuck.cause(look, _fleet.judge(look))
    assert why and why.name == "helm_in_use" and "not seen from here" in why.why
    assert _fleet.steps(look, _fleet.judge(look))


@pytest.mark.parametrize(
    ("options", "release"),
    [
        ({}, ("default", "mcc-x")),
        ({"defaultNamespace": "a"}, ("a", "mcc-x")),
        ({"defaultNamespace": "a", "namespace": "b", "helm": {"releaseName": "x"}}, ("b", "x")),
    ],
)
def test_where_the_release_will_be(options: dict[str, Any], release: tuple[str, str]) -> None:
    """Before the agent has said it; the field of the target namespace is `namespace` (fl:BundleDeploymentOptions)."""
    meta = {"name": "mcc-x", "namespace": _fleet.LOCALS}
    assert _fleet.release_of([{"metadata": meta, "spec": {"options": options}}]) == release


def test_what_is_in_modified_objects_is_not_told() -> None:
    entry = {"kind": "Secret", "namespace": "n", "name": "s", "patch": '{"data":{"token":"c2VjcmV0"}}'}
    look = changed(bd__status__nonModified=None, bd__status__modifiedStatus=[entry] * 5)
    why = _stuck.cause(look, _fleet.judge(look))
    assert why and "Secret n/s, Secret n/s, Secret n/s and 2 more" in why.why and "c2VjcmV0" not in str(why)


@pytest.mark.parametrize(
    ("version", "chart_version", "synced"),
    [
        ("v1.3.2", "1.3.2", True),
        ("v1.4.0", "1.3.2", False),
        ("v1.4.0", "", False),
        ("master-1a2b3c-head", "0.0.0-master-1a2b3c", True),
        ("", "1.3.2", True),
    ],
)
def test_the_chart_is_the_version_that_runs(version: str, chart_version: str, synced: bool) -> None:
    look = changed()
    release = helm_secret("harvester-system", "harvester", 4, "deployed", chart_version)
    look = _fleet.Seen(look.bundle, look.deployments, look.chart, releases=[release], version=version)
    found = _fleet.judge(look)
    assert found.synced == synced
    why = _stuck.cause(look, found)
    assert (why and why.name) == (None if synced else "version")


def test_a_release_that_cannot_be_read_has_no_version() -> None:
    for data in ({}, {"release": "x"}, {"release": "eHg="}, {"release": None}):
        assert _fleet.chart_version({"data": data}) == ""


@pytest.mark.parametrize(
    ("look", "always", "expected"),
    [
        (changed(), False, []),
        (changed(), True, ["bundles forceSyncGeneration: 3"]),
        (changed(bundle__spec__paused=True), False, ["bundles paused: false"]),
        (changed(chart__spec__paused=True), False, ["managedcharts paused: false", "bundles paused: false"]),
        (LOOKS[7], False, ["bundles paused: false", "bundles forceSyncGeneration: 5"]),
        (LOOKS[5], False, ["bundles forceSyncGeneration: 3"]),
        (LOOKS[11], True, []),
        (LOOKS[12], False, []),
        # the agent has a higher number than a bundle that was made anew
        (
            changed(bundle__spec__forceSyncGeneration=None, bd__status__syncGeneration=41, bd__status__ready=None),
            False,
            ["bundles forceSyncGeneration: 42"],
        ),
    ],
)
def test_steps(look: _fleet.Seen, always: bool, expected: list[str]) -> None:
    made = _fleet.steps(look, _fleet.judge(look), always=always)
    assert [f"{step.kind.plural} {step.what}" for step in made] == expected


def test_the_worst_of_several_clusters_counts() -> None:
    good, bad = LOOKS[10].deployments[0], copy.deepcopy(LOOKS[9].deployments[0])
    bad["metadata"]["labels"]["fleet.cattle.io/cluster"] = "other"
    heard = {"agent": {"lastSeen": "2026-11-24"}}
    cluster = {"metadata": {"name": "other", "namespace": "fleet-local"}, "status": heard}
    look = _fleet.Seen(LOOKS[9].bundle, [good, bad], clusters=[cluster])
    found = _fleet.judge(look)
    why = _stuck.cause(look, found)
    assert (found.state, found.next, why and why.name) == ("WaitApplied", 6, "agent")
    assert why and "on fleet-local/other (last heard of 2026-11-24)" in why.why


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("harvester", ("fleet-local", ("harvester", "mcc-harvester"))),
        ("mcc-harvester", ("fleet-local", ("mcc-harvester",))),
        ("fleet-default/app", ("fleet-default", ("app", "mcc-app"))),
    ],
)
def test_names(given: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert _fleet.names(given) == expected
