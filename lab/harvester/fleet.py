# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleet and Rancher's ManagedCharts, played: ManagedChart -> Bundle -> BundleDeployment -> helm release.

`step` looks at all objects and says what changes; nothing else is remembered. The states are those of a real Fleet
v0.10.4 (`tests/unit/data/fleet-force-sync.txt`). One thing differs: the real agent sometimes makes two helm revisions
where this one makes one.

The played chart holds one ConfigMap, `<release>-demo`, with the values as data; changing it by hand is drift.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import (
    BUNDLES,
    CHARTS,
    CLUSTERS,
    DEPLOYMENTS,
    SECRETS,
    SETTINGS,
)

JSON = dict[str, Any]
CONFIGMAPS = _api.Kind("", "v1", "configmaps")
FAULTS = ("fleet-local", "requorum-lab-fleet")
"""ConfigMap of the lab: `agent: down`, `controller: down`, `error.BUNDLE: MESSAGE` (until forceSyncGeneration is
`until.BUNDLE`), `unready.BUNDLE: MESSAGE`."""
LOCAL = "cluster-fleet-local-local-1a3d67d0a899"
APPLIED = "objectset.rio.cattle.io/applied"
HISTORY = 2
STATES = ("Ready", "NotReady", "Pending", "OutOfSync", "Modified", "WaitApplied", "ErrApplied")
"""By rank; the worst one of all clusters is that of a bundle."""
OPTIONS = ("defaultNamespace", "namespace", "helm", "forceSyncGeneration", "serviceAccount", "diff")
IN_USE = "cannot re-use a name that is still in use"


@dataclass(frozen=True)
class World:
    """Everything that the controllers look at."""

    charts: list[JSON] = field(default_factory=list)
    bundles: list[JSON] = field(default_factory=list)
    deployments: list[JSON] = field(default_factory=list)
    clusters: list[JSON] = field(default_factory=list)
    releases: list[JSON] = field(default_factory=list)
    deployed: list[JSON] = field(default_factory=list)
    """ConfigMaps that helm made."""
    faults: Mapping[str, str] = field(default_factory=dict)


def fleet(api: _api.Api) -> None:
    """The part for `play.playing`: as many steps as it takes until nothing changes any more."""
    for _round in range(12):
        changes = list(step(read(api)))
        for change in changes:
            apply(api, change)
        if not changes:
            return


def read(api: _api.Api) -> World:
    """The objects as they are now."""
    faults = api.get(CONFIGMAPS, FAULTS[1], FAULTS[0]) or {}
    return World(
        charts=api.items(CHARTS) or [],
        bundles=api.items(BUNDLES) or [],
        deployments=api.items(DEPLOYMENTS) or [],
        clusters=api.items(CLUSTERS) or [],
        releases=api.items(SECRETS, selector="owner=helm") or [],
        deployed=api.items(CONFIGMAPS, selector="app.kubernetes.io/managed-by=Helm") or [],
        faults=faults.get("data") or {},
    )


def apply(api: _api.Api, change: _api.Request) -> None:
    """Make one change."""
    if change.verb == "delete":
        api.delete(change.kind, change.name, change.namespace)
    elif change.verb == "create":
        api.create(change.kind, change.body or {})
    else:
        api.patch(change.kind, change.name, change.body or {}, change.namespace, subresource=change.subresource)


def step(world: World) -> Iterator[_api.Request]:
    """What Rancher, Fleet's controller and its agents change next; Fleet sees a bundle only as Rancher wants it."""
    first = list(rancher(world))
    yield from first
    if any(change.kind is BUNDLES for change in first):
        return
    if world.faults.get("controller") != "down":
        yield from controller(world)
    if world.faults.get("agent") != "down":
        yield from agent(world)


def rancher(world: World) -> Iterator[_api.Request]:
    """Bundles as the ManagedCharts want them; a field that Rancher never set, as forceSyncGeneration, stays."""
    for chart in world.charts:
        name, where = f"mcc-{chart['metadata']['name']}", chart["metadata"]["namespace"]
        wanted = chart_bundle(chart["spec"])
        mark = {APPLIED: json.dumps(wanted, sort_keys=True)}
        bundle = _one(world.bundles, where, name)
        if bundle is None:
            owner = {"apiVersion": "management.cattle.io/v3", "kind": "ManagedChart", "controller": True,
                     "name": chart["metadata"]["name"], "uid": chart["metadata"]["uid"]}  # fmt: skip
            meta = {"name": name, "namespace": where, "annotations": mark, "ownerReferences": [owner]}
            yield _create(BUNDLES, "Bundle", {"metadata": meta, "spec": wanted})
            continue
        before = json.loads(bundle["metadata"].get("annotations", {}).get(APPLIED) or "{}")
        spec = {key: value for key, value in bundle["spec"].items() if key in wanted or key not in before} | wanted
        changed = difference(bundle["spec"], spec)
        if changed or before != wanted:
            yield _patch(BUNDLES, bundle, {"metadata": {"annotations": mark}, "spec": changed})
        yield from _status(CHARTS, chart, bundle.get("status") or {})


def chart_bundle(spec: Mapping[str, Any]) -> JSON:
    """Spec of the Bundle that Rancher makes of a ManagedChart."""
    helm = {"releaseName": spec.get("releaseName"), "version": spec.get("version"), "values": spec.get("values")}
    made = {
        "defaultNamespace": spec.get("defaultNamespace"),
        "helm": {key: value for key, value in helm.items() if value},
        "paused": spec.get("paused"),
        "targets": spec.get("targets"),
        "resources": [{"name": "Chart.yaml", "content": f"name: {spec.get('chart')}\nversion: {spec.get('version')}"}],
    }
    return {key: value for key, value in made.items() if value}


def controller(world: World) -> Iterator[_api.Request]:
    """BundleDeployments in the namespace of each cluster, and the status of their bundle."""
    for bundle in world.bundles:
        meta, spec, found = bundle["metadata"], bundle["spec"], []
        for cluster in world.clusters:
            if cluster["metadata"]["namespace"] != meta["namespace"] or not matches(spec, cluster):
                continue
            where = (cluster.get("status") or {}).get("namespace")
            deployment = _one(world.deployments, where, meta["name"]) if where else None
            wanted = deployment_spec(spec, (deployment or {}).get("spec") or {})
            if deployment is None and where:
                labels = {"bundle-name": meta["name"], "bundle-namespace": meta["namespace"], "managed": "true",
                          "cluster": cluster["metadata"]["name"], "cluster-namespace": meta["namespace"]}  # fmt: skip
                made = {"name": meta["name"], "namespace": where,
                        "labels": {f"fleet.cattle.io/{key}": value for key, value in labels.items()}}  # fmt: skip
                yield _create(DEPLOYMENTS, "BundleDeployment", {"metadata": made, "spec": wanted})
            elif deployment and (changed := difference(deployment["spec"], wanted)):
                yield _patch(DEPLOYMENTS, deployment, {"spec": changed})
            found.append((cluster, {**(deployment or {}), "spec": wanted}))
        yield from _status(BUNDLES, bundle, bundle_status(meta["generation"], found))


def matches(spec: Mapping[str, Any], cluster: Mapping[str, Any]) -> bool:
    """Whether a target names this cluster, or its labels (matchLabels only)."""
    labels = cluster["metadata"].get("labels") or {}
    return any(
        target.get("clusterName", cluster["metadata"]["name"]) == cluster["metadata"]["name"]
        and ((target.get("clusterSelector") or {}).get("matchLabels") or {}).items() <= labels.items()
        for target in spec.get("targets") or ()
    )


def deployment_spec(bundle: Mapping[str, Any], before: Mapping[str, Any]) -> JSON:
    """Options and their ID are staged at once; they come into force when the bundle is not paused."""
    options = {key: bundle[key] for key in OPTIONS if bundle.get(key)}
    manifest = "s-" + _sha(bundle.get("resources") or [])[:61]
    staged: JSON = {"stagedDeploymentID": f"{manifest}:{_sha(options)}", "stagedOptions": options}
    if bundle.get("paused"):
        now = {key: before[key] for key in ("deploymentID", "options") if key in before}
        return staged | now | {"paused": True}
    return staged | {"deploymentID": staged["stagedDeploymentID"], "options": options}


def bundle_status(generation: int, found: Iterable[tuple[JSON, JSON]]) -> JSON:
    """Summary, display and condition of a bundle from the BundleDeployments of its clusters."""
    summary: JSON = {"desiredReady": 0, "ready": 0}
    unready = []
    for cluster, deployment in found:
        summary["desiredReady"] += 1
        state, status = state_of(deployment), deployment.get("status") or {}
        summary[_counter(state)] = summary.get(_counter(state), 0) + 1
        if state != "Ready":
            conditions = [c for c in status.get("conditions") or () if c["type"] == "Deployed"]
            entry = {
                "name": f"{cluster['metadata']['namespace']}/{cluster['metadata']['name']}",
                "bundleState": state,
                "message": next((c["message"] for c in conditions if "message" in c), ""),
                "modifiedStatus": status.get("modifiedStatus"),
                "nonReadyStatus": status.get("nonReadyStatus"),
            }
            unready.append({key: value for key, value in entry.items() if value})
    display: JSON = {"readyClusters": f"{summary['ready']}/{summary['desiredReady']}"}
    condition: JSON = {"type": "Ready", "status": "False" if unready else "True"}
    if unready:
        summary["nonReadyResources"] = unready
        display["state"] = max((entry["bundleState"] for entry in unready), key=STATES.index)
        condition["message"] = "; ".join(sorted(_messages(summary)))
    return {"observedGeneration": generation, "summary": summary, "display": display, "conditions": [condition]}


def _counter(state: str) -> str:
    return state[0].lower() + state[1:]


def _messages(summary: JSON) -> Iterator[str]:
    """One cluster of each state, with its objects."""
    firsts = {entry["bundleState"]: entry for entry in reversed(summary["nonReadyResources"])}
    for state, entry in firsts.items():
        said = f": {entry['message']}" if "message" in entry else ""
        yield f"{state}({summary[_counter(state)]}) [Cluster {entry['name']}{said}]"
        yield from map(modified_line, entry.get("modifiedStatus") or ())
        yield from map(unready_line, entry.get("nonReadyStatus") or ())


def state_of(deployment: Mapping[str, Any]) -> str:
    """What Fleet calls it, in the order in which Fleet asks."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    if status.get("appliedDeploymentID") != spec.get("deploymentID"):
        refused = any(c["type"] == "Deployed" and c["status"] == "False" for c in status.get("conditions") or ())
        return "ErrApplied" if refused else "WaitApplied"
    if not status.get("ready"):
        return "NotReady"
    if spec.get("deploymentID") != spec.get("stagedDeploymentID"):
        return "OutOfSync"
    return "Ready" if status.get("nonModified") else "Modified"


def agent(world: World) -> Iterator[_api.Request]:
    """Deploy what is not applied, or what is forced; else look whether it is still as it was deployed."""
    for deployment in world.deployments:
        spec, before = deployment["spec"], deployment.get("status") or {}
        if not spec.get("deploymentID"):
            continue
        name, options = deployment["metadata"]["name"], spec["options"]
        force = options.get("forceSyncGeneration", 0)
        forced = force > 0 and before.get("syncGeneration") != force
        if before.get("appliedDeploymentID") == spec["deploymentID"] and not forced:
            yield from _status(DEPLOYMENTS, deployment, _watched(world, deployment, before))
            continue
        fault = world.faults.get(f"error.{name}", "")
        until = int(world.faults.get(f"until.{name}") or 0)
        refused = fault if fault and (not until or force < until) else ""
        changes: list[_api.Request] = []
        release = before.get("release", "")
        if not refused and deployment["metadata"]["namespace"] == LOCAL:
            refused, release, changes = helm(world, options, name)
        elif not refused:  # helm's secrets are in another cluster
            release = f"{options.get('defaultNamespace', 'default')}/{name}:{int(release.partition(':')[2] or 0) + 1}"
        if refused:
            yield from _status(DEPLOYMENTS, deployment, _refused(before, refused))
            continue
        yield from changes
        applied = {"appliedDeploymentID": spec["deploymentID"], "syncGeneration": force, "release": release}
        yield from _status(DEPLOYMENTS, deployment, _shown({**applied, "ready": True, "nonModified": True}))


def _refused(before: JSON, why: str) -> JSON:
    """Only the condition and what is displayed change."""
    conditions = [c for c in before.get("conditions") or _conditions() if c["type"] != "Deployed"]
    conditions.insert(1, {"type": "Deployed", "status": "False", "reason": "Error", "message": why})
    display = {"deployed": f"Error: {why}", "monitored": "True", "state": "ErrApplied"}
    return {**before, "conditions": conditions, "display": display}


def _watched(world: World, deployment: JSON, before: JSON) -> JSON:
    """Status of what is deployed, as it is found now."""
    spec, name = deployment["spec"], deployment["metadata"]["name"]
    status: JSON = {"ready": True, "nonModified": True}
    status |= {key: before[key] for key in ("appliedDeploymentID", "syncGeneration", "release") if key in before}
    if deployment["metadata"]["namespace"] == LOCAL:
        wanted = demo(spec["options"], name)
        there = _one(world.deployed, wanted["metadata"]["namespace"], wanted["metadata"]["name"])
        where = {"apiVersion": "v1", "kind": "ConfigMap", "name": wanted["metadata"]["name"],
                 "namespace": wanted["metadata"]["namespace"]}  # fmt: skip
        patch = difference({"data": (there or {}).get("data") or {}}, {"data": wanted["data"]})
        if there is None:
            status |= {"nonModified": False, "modifiedStatus": [where | {"missing": True}]}
        elif patch:
            written = json.dumps(patch, separators=(",", ":"))
            status |= {"nonModified": False, "modifiedStatus": [where | {"patch": written}]}
    if said := world.faults.get(f"unready.{name}"):
        workload = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "harvester-system", "name": "harvester"}
        summary = {"state": "updating", "transitioning": True, "message": [said]}
        status |= {"ready": False, "nonReadyStatus": [workload | {"summary": summary}]}
    return _shown(status)


def _shown(status: JSON) -> JSON:
    """With conditions and display; what is false is left out, as Fleet's fields are."""
    state, said = "Ready", ""
    if not status["nonModified"]:
        state, said = "Modified", modified_line(status["modifiedStatus"][0])
    if not status["ready"]:
        state, said = "NotReady", unready_line(status["nonReadyStatus"][0])
    display = {"deployed": "True", "monitored": "True", "state": state}
    status = {key: value for key, value in status.items() if value is not False}
    return {**status, "display": display, "conditions": _conditions(said)}


def _conditions(unready: str = "") -> list[JSON]:
    ready = {"type": "Ready", "status": "False", "reason": "Error", "message": unready} if unready else None
    plain = [{"type": kind, "status": "True"} for kind in ("Installed", "Deployed", "Ready", "Monitored")]
    return [ready if ready and c["type"] == "Ready" else c for c in plain]


def modified_line(entry: Mapping[str, Any]) -> str:
    """`configmap.v1 ns/name modified {...}`."""
    what = f"{_kind(entry)} {entry['namespace']}/{entry['name']}"
    return f"{what} modified {entry['patch']}" if "patch" in entry else f"{what} missing"


def unready_line(entry: Mapping[str, Any]) -> str:
    """`deployment.apps ns/name [progressing] why`."""
    return f"{_kind(entry)} {entry['namespace']}/{entry['name']} [progressing] {', '.join(entry['summary']['message'])}"


def _kind(entry: Mapping[str, Any]) -> str:
    group, slash, version = entry["apiVersion"].partition("/")
    return f"{entry['kind'].lower()}.{group}" if slash else f"{entry['kind'].lower()}.{group or version}"


def helm(world: World, options: JSON, name: str) -> tuple[str, str, list[_api.Request]]:
    """(what helm refuses, `namespace/release:revision`, changes); it needs a deployed release, or none at all."""
    place, release = options.get("defaultNamespace", "default"), (options.get("helm") or {}).get("releaseName", name)
    found = [
        s for s in world.releases if (s["metadata"]["namespace"], s["metadata"]["labels"]["name"]) == (place, release)
    ]
    found.sort(key=revision)
    deployed = [s for s in found if s["metadata"]["labels"]["status"] == "deployed"]
    if found and not deployed:
        return IN_USE, "", []
    number = revision(found[-1]) + 1 if found else 1
    version = (options.get("helm") or {}).get("version", "0.0.0")
    changes = [_create(SECRETS, "Secret", helm_secret(place, release, number, "deployed", version))]
    for secret in deployed:
        old = helm_secret(place, release, revision(secret), "superseded", version)
        changes.append(
            _patch(SECRETS, secret, {"metadata": {"labels": old["metadata"]["labels"]}, "data": old["data"]})
        )
    surplus = found[: max(len(found) + 1 - HISTORY, 0)]
    changes += [_api.Request("delete", SECRETS, place, s["metadata"]["name"]) for s in surplus]
    wanted = demo(options, name)
    there = _one(world.deployed, place, wanted["metadata"]["name"])
    if there is None:
        changes.append(_create(CONFIGMAPS, "ConfigMap", wanted))
    elif patch := difference(there.get("data") or {}, wanted["data"]):
        changes.append(_patch(CONFIGMAPS, there, {"data": patch}))
    return "", f"{place}/{release}:{number}", changes


def helm_secret(namespace: str, release: str, number: int, status: str, version: str) -> JSON:
    """The Secret in which helm keeps a release: base64 of gzipped JSON, once more in base64."""
    body = {"name": release, "namespace": namespace, "version": number, "info": {"status": status},
            "chart": {"metadata": {"name": release, "version": version}}}  # fmt: skip
    inner = base64.b64encode(gzip.compress(json.dumps(body).encode(), mtime=0))
    labels = {"owner": "helm", "name": release, "status": status, "version": str(number)}
    meta = {"name": f"sh.helm.release.v1.{release}.v{number}", "namespace": namespace, "labels": labels}
    data = {"release": base64.b64encode(inner).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "helm.sh/release.v1", "data": data}


def revision(secret: Mapping[str, Any]) -> int:
    """Number of a helm release."""
    return int(secret["metadata"]["labels"]["version"])


def demo(options: Mapping[str, Any], name: str) -> JSON:
    """The one object of the played chart."""
    helm_options = options.get("helm") or {}
    values = helm_options.get("values") or {}
    meta = {
        "name": f"{helm_options.get('releaseName', name)}-demo",
        "namespace": options.get("defaultNamespace", "default"),
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
    }
    data = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def install(api: _api.Api, *, version: str = "v1.3.2") -> None:
    """The objects of a Harvester from which everything else follows."""
    api.create(CLUSTERS, {"apiVersion": "fleet.cattle.io/v1alpha1", "kind": "Cluster",
                          "metadata": {"name": "local", "namespace": "fleet-local"}})  # fmt: skip
    api.patch(CLUSTERS, "local", {"status": {"namespace": LOCAL}}, "fleet-local", subresource="status")
    api.create(SETTINGS, {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "value": version,
                          "metadata": {"name": "server-version"}})  # fmt: skip
    for name in ("harvester-crd", "harvester"):
        api.create(CHARTS, chart(name, version=version.removeprefix("v")))


def chart(name: str, *, version: str = "1.3.2", namespace: str = "fleet-local") -> JSON:
    """A ManagedChart as Harvester's installer makes it."""
    return {
        "apiVersion": "management.cattle.io/v3",
        "kind": "ManagedChart",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "chart": name,
            "releaseName": name,
            "version": version,
            "repoName": "harvester-charts",
            "defaultNamespace": "harvester-system",
            "targets": [{"clusterName": "local"}],
            "values": {"answer": "42"},
        },
    }


def difference(before: Any, after: Any) -> Any:
    """The merge patch (RFC 7386) that makes one object of the other; empty where they are equal."""
    patch: JSON = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(before[key], dict):
            if inner := difference(before[key], value):
                patch[key] = inner
        elif value != before[key]:
            patch[key] = value
    return patch


def _one(items: Iterable[JSON], namespace: str, name: str) -> JSON | None:
    return next(
        (i for i in items if (i["metadata"].get("namespace"), i["metadata"]["name"]) == (namespace, name)), None
    )


def _create(kind: _api.Kind, word: str, body: JSON) -> _api.Request:
    version = f"{kind.group}/{kind.version}" if kind.group else kind.version
    body = body | {"apiVersion": version, "kind": word}
    return _api.Request("create", kind, body["metadata"]["namespace"], body=body)


def _patch(kind: _api.Kind, item: JSON, body: JSON, subresource: str = "") -> _api.Request:
    meta = item["metadata"]
    return _api.Request("patch", kind, meta["namespace"], meta["name"], body, subresource=subresource)


def _status(kind: _api.Kind, item: JSON, status: JSON) -> Iterator[_api.Request]:
    if changed := difference(item.get("status") or {}, status):
        yield _patch(kind, item, {"status": changed}, "status")


def _sha(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
