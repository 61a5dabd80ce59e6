# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is known to hold bundles of Fleet up, and the repair of each."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ._fleet import Judgement, Seen, cluster_of, condition, label, number, part, release_of, revision, staged, state
from ._timeline import mask


@dataclass(frozen=True)
class Cause:
    """Why a bundle is not synced, and what to do."""

    name: str
    why: str
    repair: str
    passes: bool = True
    """It may pass: it is waited for, and a refusal is answered by another force sync."""
    pattern: str = ""
    """Of what Fleet's agent says."""

    def told(self, **words: str) -> Cause:
        """With words put in; those are never read as a template."""
        return replace(self, why=self.why.format(**words), repair=self.repair.format(**words))


HELM_IN_USE = Cause(
    "helm_in_use",
    "helm has the release {release}, but none of its revisions is deployed ({revisions}); it refuses any further one.",
    "A force sync cannot help. With helm, which Harvester's nodes have not, but the pods of Rancher: "
    "helm -n {namespace} history {name}; helm -n {namespace} rollback {name} REVISION, to the last good one.",
    False,
    r"cannot re-use a name that is still in use|has no deployed releases",
)
HELM_PENDING = Cause(
    "helm_pending",
    "helm believes that another operation on the release {release} is going on ({revisions}).",
    "If none is, with helm, which Harvester's nodes have not, but the pods of Rancher: "
    "helm -n {namespace} rollback {name} {good}.",
    True,
    r"another operation \(install/upgrade/rollback\) is in progress",
)
REFUSED = (
    HELM_IN_USE,
    HELM_PENDING,
    Cause(
        "webhook_route",
        "Harvester's webhook does not let helm delete its old releases.",
        "Save it: kubectl get validatingwebhookconfiguration harvester-validator -o yaml > harvester-validator.yaml. "
        "Delete it, sync again, and see that it is there again.",
        False,
        r"no route match found for \w+ /v1, Kind=Secret .*sh\.helm\.release",
    ),
    Cause(
        "webhook_down",
        "a webhook that is asked about each change does not answer: {said}.",
        "See to the pods behind the service that it names.",
        True,
        r"failed calling webhook|failed to call webhook",
    ),
    Cause(
        "webhook_denied",
        "a webhook denies the change: {said}.",
        "Put right what it says.",
        False,
        r"admission webhook .* denied the request",
    ),
    Cause(
        "crd_missing",
        "a kind that the chart uses is not defined: {said}.",
        "Sync the bundle with the definitions first (mcc-<name>-crd), or apply them from the chart.",
        True,
        r"no matches for kind|ensure CRDs are installed|Required CRDs are missing|could not find the requested res",
    ),
    Cause(
        "storage_class",
        "there would be two default storage classes: {said}.",
        "Take the annotation storageclass.kubernetes.io/is-default-class from the other one.",
        False,
        r"default storage class .* already exists",
    ),
    Cause("refused", "its agent cannot apply it: {said}.", "Put right what it says."),
)
CAUSES = {
    "paused": Cause(
        "paused",
        "{said} is paused: nothing is deployed.",
        "The sync sets it going. If it is paused again, an upgrade goes on: a job hvst-upgrade-*-apply-manifests in "
        "harvester-system.",
    ),
    "chart": Cause(
        "chart",
        "Rancher cannot make the bundle of its ManagedChart: {said}.",
        "See that the Deployment cattle-system/harvester-cluster-repo runs, with the image of this version.",
    ),
    "controller": Cause(
        "controller",
        "Fleet's controller has not looked at it.",
        "See to the Deployment cattle-fleet-system/fleet-controller. Where Fleet's own release is pending, with helm: "
        "helm -n cattle-fleet-system history fleet; helm -n cattle-fleet-system rollback fleet REVISION.",
    ),
    "no_cluster": Cause(
        "no_cluster", "no cluster is its target.", "Look at its spec.targets and at clusters.fleet.cattle.io."
    ),
    "WaitApplied": Cause(
        "agent",
        "Fleet's agent has not applied it on {said}.",
        "See to its pods there, in cattle-fleet-local-system or cattle-fleet-system; it is restarted by adding 1 to "
        "spec.redeployAgentGeneration of this Cluster (clusters.fleet.cattle.io).",
    ),
    "Modified": Cause(
        "modified",
        "objects differ from the chart: {said}.",
        "A force sync writes them anew. If they differ again, somebody changes them, or their CRD is older than the "
        "chart and drops the field: apply the CRDs of the chart, then sync again.",
    ),
    "OutOfSync": Cause(
        "rollout",
        "it is staged, but not let go to the clusters.",
        "Look at its spec.rolloutStrategy, and whether the Cluster (clusters.fleet.cattle.io) is paused.",
    ),
    "Pending": Cause("depends", "it waits for another bundle.", "Sync that one first; spec.dependsOn names it."),
    "NotReady": Cause("not_ready", "it is deployed, but is not ready: {said}.", "Look at these and at their pods."),
    "version": Cause(
        "version",
        "not the version that runs: {said}.",
        "An upgrade has stopped half way; a sync deploys only what the ManagedChart says. Let the upgrade go on.",
        False,
    ),
    "rancher": Cause(
        "rancher", "its ManagedChart does not show it.", "See to the pods of the Deployment cattle-system/rancher."
    ),
}
WORKING = Cause("working", "it is not done yet.", "Run the same command again later.")
STALE_S = 60
"""So long a refusal from before a force sync may stand: an agent needs minutes for a large chart, and says nothing."""
PAUSES = (10, 30, 60, 120)
"""Seconds after a refusal before it is forced again."""


def verdict(judgement: Judgement, why: Cause | None, *, since: float, stale: bool, tries: int) -> str:
    """`done`, `wait`, `again` (force it once more) or `stuck`.

    since: seconds since the last force sync. stale: what the agent says was said before. tries: how often it was
    forced again.
    """
    if why is None:
        return "done"
    refused = judgement.state == "ErrApplied"
    if why.passes and not refused:
        return "wait"
    patience = STALE_S if stale or not refused else 0
    if not why.passes:
        return "stuck" if since >= patience else "wait"
    if since < patience + PAUSES[min(tries, len(PAUSES) - 1)]:
        return "wait"
    return "again" if tries < len(PAUSES) else "stuck"


def cause(seen: Seen, judgement: Judgement) -> Cause | None:
    """The first one that explains why a bundle is not synced; None where it is."""
    lacking, force = judgement.lacking, number(part(seen.bundle, "spec"), "forceSyncGeneration")
    defined = condition(seen.chart, "Defined")
    if seen.undeployed:
        return _helm(HELM_IN_USE, seen)
    if judgement.synced:
        return None
    if judgement.paused:
        return CAUSES["paused"].told(said=f"{judgement.paused[0]} of {seen.name}")
    if defined.get("status") == "False":
        return CAUSES["chart"].told(said=_short(defined.get("message") or "no reason is given"))
    if "observed" in lacking or not all(staged(deployment, force) for deployment in seen.deployments):
        return CAUSES["controller"]
    if not seen.deployments:
        return CAUSES["no_cluster"]
    if judgement.state == "ErrApplied":
        return _refused(seen)
    if judgement.state in CAUSES:
        return CAUSES[judgement.state].told(said=_where(seen, judgement.state))
    if "helm" in lacking:
        return _helm(HELM_PENDING, seen)
    if "version" in lacking:
        return CAUSES["version"].told(said=lacking["version"].seen)
    return CAUSES["rancher"] if set(lacking) == {"ManagedChart ready"} else WORKING


def refusal(seen: Seen) -> str:
    """What an agent says that cannot apply it; empty where none says anything."""
    messages = (condition(deployment, "Deployed").get("message") for deployment in seen.deployments)
    return next(filter(None, messages), "")


def _refused(seen: Seen) -> Cause:
    said = refusal(seen) or "no reason is given"
    found = next(c for c in REFUSED if re.search(c.pattern, said, re.IGNORECASE | re.DOTALL))
    if found is HELM_IN_USE and seen.releases:  # a revision is deployed again: the agent has not tried since
        return WORKING
    return _helm(found, seen, _short(said))


def _helm(cause: Cause, seen: Seen, said: str = "") -> Cause:
    place, name = release_of(seen.deployments) or ("NAMESPACE", "RELEASE")
    found = sorted(seen.releases or (), key=revision)
    good = next((str(revision(s)) for s in reversed(found) if label(s, "status") == "deployed"), "REVISION")
    revisions = ", ".join(f"{revision(s)} is {label(s, 'status')}" for s in found) or "not seen from here"
    return cause.told(release=f"{place}/{name}", namespace=place, name=name, good=good, revisions=revisions, said=said)


def _where(seen: Seen, name: str) -> str:
    """Clusters that wait, or the objects that Fleet names, at most three; never what is in them."""
    keys = {"Modified": "modifiedStatus", "NotReady": "nonReadyStatus"}
    found = [
        f"{entry.get('kind')} {entry.get('namespace') or ''}/{entry.get('name')}"
        for deployment in seen.deployments
        for entry in part(deployment, "status").get(keys.get(name, "")) or ()
    ]
    found = list(_waiting(seen)) if name == "WaitApplied" else found
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or "nothing is named"


def _waiting(seen: Seen) -> t.Iterator[str]:
    heard = {
        f"{c['metadata']['namespace']}/{c['metadata']['name']}": part(part(c, "status"), "agent").get("lastSeen")
        for c in seen.clusters
    }
    for deployment in seen.deployments:
        if state(deployment) == "WaitApplied":
            name = cluster_of(deployment)
            yield f"{name} (last heard of {heard[name]})" if heard.get(name) else name


def _short(text: str) -> str:
    return " ".join(mask(text).split())[:300].rstrip(".")
