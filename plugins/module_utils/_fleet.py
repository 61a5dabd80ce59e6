# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Whether a Fleet bundle is really synced, and what brings it on; what holds it up is the matter of `_stuck`.

A bundle reaches each cluster as a BundleDeployment, whose agent keeps it there as a helm release. On a Harvester a
ManagedChart of Rancher's makes the bundle `mcc-<name>` and overwrites whatever it has set in it.
"""

from __future__ import annotations

import base64
import gzip
import json
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from . import _versions
from ._api import JSON, Kind

BUNDLES = Kind("fleet.cattle.io", "v1alpha1", "bundles")
DEPLOYMENTS = Kind("fleet.cattle.io", "v1alpha1", "bundledeployments")
CLUSTERS = Kind("fleet.cattle.io", "v1alpha1", "clusters")
CHARTS = Kind("management.cattle.io", "v3", "managedcharts")
SETTINGS = Kind("harvesterhci.io", "v1beta1", "settings", namespaced=False)
SECRETS = Kind("", "v1", "secrets")
LOCAL, LOCALS = "fleet-local/local", "cluster-fleet-local-local-1a3d67d0a899"
"""This cluster, and the namespace of its BundleDeployments: Fleet makes it of the other two and their hash."""
HARVESTER = ("fleet-local/mcc-harvester-crd", "fleet-local/mcc-harvester")
"""In this order: the second needs what the first defines."""
STATES = ("ErrApplied", "WaitApplied", "Modified", "OutOfSync", "Pending", "NotReady")
"""The worst one first, as Fleet ranks them."""


@dataclass(frozen=True)
class Seen:
    """What was read of one bundle."""

    bundle: JSON
    deployments: Sequence[JSON] = ()
    chart: JSON | None = None
    """The ManagedChart that makes it."""
    clusters: Sequence[JSON] = ()
    """Fleet's Clusters, where they could be read."""
    releases: Sequence[JSON] | None = None
    """Helm's Secrets of the release on this cluster that are not superseded; None: not read."""
    version: str = ""
    """Harvester's server-version, for Harvester's own chart."""

    @property
    def name(self) -> str:
        return f"{self.bundle['metadata']['namespace']}/{self.bundle['metadata']['name']}"

    @property
    def undeployed(self) -> bool:
        """Helm has the release, but no revision of it is deployed: every further one is refused."""
        return bool(self.releases) and all(label(s, "status") != "deployed" for s in self.releases or ())


class Check(t.NamedTuple):
    """One condition of a synced bundle."""

    name: str
    ok: bool
    seen: str


@dataclass(frozen=True)
class Judgement:
    """A bundle at one moment."""

    state: str
    checks: tuple[Check, ...]
    paused: tuple[str, ...]
    """Which of ManagedChart and Bundle are paused."""
    next: int
    """The value of forceSyncGeneration that every agent applies."""

    @property
    def lacking(self) -> dict[str, Check]:
        return {check.name: check for check in self.checks if not check.ok}

    @property
    def synced(self) -> bool:
        return not self.lacking and not self.paused

    @property
    def seen(self) -> str:
        """For a line of progress."""
        return "; ".join([self.state, *(check.seen for check in self.lacking.values())])


@dataclass(frozen=True)
class Step:
    """One change that brings a bundle on."""

    kind: Kind
    namespace: str
    name: str
    body: JSON
    what: str
    why: str

    @property
    def document(self) -> JSON:
        where = {"verb": "patch", "kind": self.kind.name, "namespace": self.namespace, "name": self.name}
        return {**where, "what": self.what, "why": self.why}


def judge(seen: Seen) -> Judgement:
    """State and conditions. Without helm's Secrets the condition of helm is left out."""
    worst = [state(deployment) for deployment in seen.deployments]
    force = number(part(seen.bundle, "spec"), "forceSyncGeneration")
    checks = (
        _observed(seen.bundle),
        _targets(seen),
        _ready("bundle", seen.bundle),
        _displayed(seen.bundle),
        *(_applied(deployment, force) for deployment in seen.deployments),
        *([_ready("ManagedChart", seen.chart)] if seen.chart else []),
        *_helm(seen),
    )
    made_by = (("ManagedChart", seen.chart), ("Bundle", seen.bundle))
    return Judgement(
        state=next((name for name in STATES if name in worst), "Ready" if worst else "without a cluster"),
        checks=checks,
        paused=tuple(name for name, item in made_by if part(item, "spec").get("paused")),
        next=max([force, *(number(part(d, "status"), "syncGeneration") for d in seen.deployments)]) + 1,
    )


def steps(seen: Seen, judgement: Judgement, *, always: bool = False) -> tuple[Step, ...]:
    """What is to be done, in this order; nothing where the bundle is synced, or where helm would refuse it.

    The ManagedChart goes first: Rancher overwrites `paused` of its bundle.
    """
    if seen.undeployed:
        return ()
    made, going, why = [], {"spec": {"paused": False}}, "it is paused: nothing is deployed"
    namespace, name = seen.name.split("/")
    if seen.chart and "ManagedChart" in judgement.paused:
        made.append(Step(CHARTS, namespace, seen.chart["metadata"]["name"], going, "paused: false", why))
    if judgement.paused:
        made.append(Step(BUNDLES, namespace, name, going, "paused: false", why))
    if judgement.lacking or always:
        why = next((check.seen for check in judgement.lacking.values()), "it was asked for")
        made.append(forced(seen, judgement.next, why))
    return tuple(made)


def forced(seen: Seen, value: int, why: str) -> Step:
    """One force sync."""
    namespace, name = seen.name.split("/")
    body = {"spec": {"forceSyncGeneration": value}}
    return Step(BUNDLES, namespace, name, body, f"forceSyncGeneration: {value}", why)


def names(given: str) -> tuple[str, tuple[str, ...]]:
    """`[namespace/]name` -> the namespace, and the names that the bundle may have."""
    namespace, slash, name = given.rpartition("/")
    return namespace if slash else "fleet-local", (name,) if name.startswith("mcc-") else (name, f"mcc-{name}")


def chart_of(bundle: JSON) -> str:
    """The ManagedChart that makes a bundle, by its owner or by its name; empty where none does."""
    name = bundle["metadata"]["name"]
    owners = bundle["metadata"].get("ownerReferences") or ()
    named = name.removeprefix("mcc-") if name.startswith("mcc-") else ""
    return next((o["name"] for o in owners if o["kind"] == "ManagedChart"), named)


def cluster_of(deployment: JSON) -> str:
    """`namespace/name` of the cluster that a BundleDeployment is for; with Fleet 0.7 only its namespace says that."""
    found = [label(deployment, f"fleet.cattle.io/{key}") for key in ("cluster-namespace", "cluster")]
    namespace = str(deployment["metadata"]["namespace"])
    return "/".join(found) if all(found) else LOCAL if namespace == LOCALS else namespace


def release_of(deployments: Sequence[JSON]) -> tuple[str, str] | None:
    """(namespace, name) of the helm release on this cluster; of other clusters helm's Secrets are not at hand."""
    for deployment in deployments:
        if cluster_of(deployment) == LOCAL:
            options = part(part(deployment, "spec"), "options")
            place, slash, name = str(part(deployment, "status").get("release") or "").partition(":")[0].partition("/")
            if slash:
                return place, name
            place = options.get("namespace") or options.get("defaultNamespace") or "default"
            return place, part(options, "helm").get("releaseName") or deployment["metadata"]["name"]
    return None


def chart_version(secret: JSON) -> str:
    """Version of the chart in a Secret of helm; empty where it cannot be read."""
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        return str(json.loads(gzip.decompress(packed))["chart"]["metadata"]["version"])
    except (KeyError, TypeError, ValueError, OSError, EOFError):
        return ""


def state(deployment: JSON) -> str:
    """What Fleet calls it, in the order in which Fleet asks."""
    spec, status = part(deployment, "spec"), part(deployment, "status")
    if status.get("appliedDeploymentID") != spec.get("deploymentID"):
        return "ErrApplied" if condition(deployment, "Deployed").get("status") == "False" else "WaitApplied"
    if not status.get("ready"):
        return "NotReady"
    if spec.get("deploymentID") != spec.get("stagedDeploymentID"):
        return "OutOfSync"
    return "Ready" if status.get("nonModified") else "Modified"


def part(item: JSON | None, key: str) -> JSON:
    """A map in an object; empty where it is missing."""
    return (item or {}).get(key) or {}


def number(item: JSON, key: str) -> int:
    """A number in an object; 0 where it is missing."""
    return int(item.get(key) or 0)


def condition(item: JSON | None, kind: str) -> JSON:
    """A condition of an object; empty where it is missing."""
    return next((c for c in part(item, "status").get("conditions") or () if c.get("type") == kind), {})


def label(item: JSON, name: str) -> str:
    """A label of an object."""
    return str(part(part(item, "metadata"), "labels").get(name) or "")


def revision(secret: JSON) -> int:
    """Number of a helm release."""
    text = label(secret, "version")
    return int(text) if text.isdecimal() else 0


def staged(deployment: JSON, force: int) -> bool:
    """Fleet's controller has handed the force sync on."""
    return not force or number(part(part(deployment, "spec"), "stagedOptions"), "forceSyncGeneration") == force


def _observed(bundle: JSON) -> Check:
    now, known = bundle["metadata"].get("generation"), part(bundle, "status").get("observedGeneration")
    return Check("observed", now == known, f"generation {now}, observed {known}")


def _targets(seen: Seen) -> Check:
    """Each cluster that Fleet counts has its BundleDeployment."""
    count, desired = len(seen.deployments), number(part(part(seen.bundle, "status"), "summary"), "desiredReady")
    return Check("targets", count == desired > 0, f"{count} BundleDeployments for {desired} clusters")


def _ready(what: str, item: JSON | None) -> Check:
    """All clusters are ready, and no counter says anything else."""
    summary = part(part(item, "status"), "summary")
    ready, desired = number(summary, "ready"), number(summary, "desiredReady")
    others = {k: v for k, v in summary.items() if k not in ("ready", "desiredReady", "nonReadyResources") and v}
    words = "".join(f", {key} {value}" for key, value in sorted(others.items()))
    return Check(f"{what} ready", ready == desired > 0 and not others, f"{what} ready {ready} of {desired}{words}")


def _displayed(bundle: JSON) -> Check:
    ready, shown = condition(bundle, "Ready").get("status"), part(part(bundle, "status"), "display").get("state") or ""
    return Check("condition", ready == "True" and not shown, f"condition Ready is {ready}")


def _applied(deployment: JSON, force: int) -> Check:
    """Its agent has applied what is staged now, and as often as it was forced to."""
    done, name = number(part(deployment, "status"), "syncGeneration"), cluster_of(deployment)
    ok = state(deployment) == "Ready" and (not force or done == force)
    return Check(f"applied on {name}", ok, f"{name} is {state(deployment)}, syncGeneration {done} of {force}")


def _helm(seen: Seen) -> t.Iterator[Check]:
    release = release_of(seen.deployments)
    if release is None or seen.releases is None:
        return
    newest = max(seen.releases, key=revision, default=None)
    status = label(newest, "status") if newest else "missing"
    yield Check("helm", status == "deployed", f"helm release {'/'.join(release)} is {status}")
    if newest and _versions.numbers(seen.version) != (0, 0, 0):  # charts of developers are numbered otherwise
        version = chart_version(newest)
        same = version.removeprefix("v") == seen.version.removeprefix("v")
        yield Check("version", same, f"chart {version or 'of unknown version'}, server-version {seen.version}")
