# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""All checks that an API server answers: which objects they need, in which order they are shown.

The first one holds for every cluster; the others are those of a Harvester (facts/harvester.md 1.4, 1.5, 2, 5, 7D, 9).
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, replace

from . import _check_nodes, _check_rancher, _check_storage, _fleet, _harvester, _orphans, _stale
from ._api import Kind
from ._check import JSON, Check, Read, Seen, Topic, judged


@dataclass(frozen=True)
class Asked:
    """What is read of a kind."""

    kinds: tuple[Kind, ...]
    """In the versions in which clusters serve it, the one to ask for first."""
    namespace: str = ""
    selector: str = ""
    keep: t.Callable[[JSON], JSON] | None = None
    """What is kept of an object, where there may be thousands."""


def _slim(pod: JSON) -> JSON:
    about = ("name", "namespace", "ownerReferences", "deletionTimestamp")
    state = {key: _orphans.status(pod).get(key) for key in ("phase", "conditions")}
    return {
        "metadata": {key: pod["metadata"].get(key) for key in about},
        "spec": {"nodeName": _orphans.spec(pod).get("nodeName")},
        "status": {**state, "waiting": list(_waiting(pod))},
    }


def _waiting(pod: JSON) -> t.Iterator[JSON]:
    """Why containers of it do not run."""
    now = _orphans.status(pod)
    for container in (*(now.get("initContainerStatuses") or ()), *(now.get("containerStatuses") or ())):
        if why := (container.get("state") or {}).get("waiting"):
            yield {"name": container.get("name"), "reason": why.get("reason"), "image": container.get("image")}


def _named(item: JSON) -> JSON:
    return {"metadata": {key: item["metadata"].get(key) for key in ("name", "namespace", "labels")}}


def _setting(item: JSON) -> JSON:
    """Without what opens a registry, a backup target or a Rancher; of a target only what rules ask."""
    name = item["metadata"]["name"]
    if name in SECRET_SETTINGS:
        told = _json(item.get("value"))
        kept = {key: told[key] for key in ("type", "refreshIntervalInSeconds") if key in told}
        return {**_named(item), "value": json.dumps(kept | {"endpoint": "there"}) if told.get("endpoint") else None}
    return {**_named(item), **{key: item.get(key) for key in ("value", "default", "status")}}


def _json(text: t.Any) -> JSON:
    try:
        found = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _addon(item: JSON) -> JSON:
    """Without its values, in which passwords stand."""
    about = {key: _orphans.spec(item).get(key) for key in ("enabled", "chart", "version")}
    return {**_named(item), "spec": about, "status": _orphans.status(item)}


def _backup(item: JSON) -> JSON:
    """Without the virtual machine that is in it."""
    born = {"creationTimestamp": item["metadata"].get("creationTimestamp")}
    state = {key: _orphans.status(item).get(key) for key in ("readyToUse", "error")}
    return {"metadata": {**_named(item)["metadata"], **born}, "status": state}


def _schedule(item: JSON) -> JSON:
    return {**_named(item), "spec": {key: _orphans.spec(item).get(key) for key in ("cron", "suspend")}}


def _capi(plural: str) -> Asked:
    return Asked(tuple(replace(kind, plural=plural) for kind in _harvester.STORED), _orphans.FLEET)


SECRET_SETTINGS = frozenset(
    ("additional-ca", "backup-target", "cluster-registration-url", "containerd-registry", "ssl-certificates")
)
"""Settings of Harvester whose value nobody else may see."""
_APPS = {name: Asked((Kind("apps", "v1", name),)) for name in ("deployments", "daemonsets", "statefulsets")}
_SAME = {
    name: Asked((kind,), where)
    for name, (kind, where) in (_orphans.KINDS | _stale.KINDS).items()
    if name not in ("clusters", "machines", "pods", "passwords", "attachments", "devices")
}
KINDS: dict[str, Asked] = {
    **_SAME,
    **_APPS,
    "pods": Asked((_orphans.KINDS["pods"][0],), keep=_slim),
    "clusters": _capi("clusters"),
    "capi": _capi("machines"),
    "volumes": Asked((Kind("longhorn.io", "v1beta2", "volumes"),), _orphans.LONGHORN),
    "vms": Asked((Kind("kubevirt.io", "v1", "virtualmachines"),)),
    "guests": Asked((Kind("kubevirt.io", "v1", "virtualmachineinstances"),)),
    "images": Asked((Kind("harvesterhci.io", "v1beta1", "virtualmachineimages"),), "harvester-system"),
    "bundles": Asked((_fleet.BUNDLES,), _orphans.FLEET),
    "deployed": Asked((_fleet.DEPLOYMENTS,)),
    "fleets": Asked((_fleet.CLUSTERS,), _orphans.FLEET),
    "releases": Asked((_fleet.SECRETS,), "harvester-system", "owner=helm,status!=superseded"),
    "config": Asked((_fleet.SETTINGS,), keep=_setting),
    "versions": Asked((Kind("harvesterhci.io", "v1beta1", "versions"),), "harvester-system"),
    "vips": Asked((Kind("", "v1", "configmaps"),), "harvester-system"),
    "services": Asked((Kind("", "v1", "services"),), "kube-system"),
    "preparing": Asked((Kind("batch", "v1", "jobs"),), "cattle-system"),
    "attachments": Asked((_orphans.KINDS["attachments"][0],)),
    "backings": Asked((_orphans.KINDS["images"][0],), _orphans.LONGHORN),
    "budgets": Asked((Kind("policy", "v1", "poddisruptionbudgets"),), _orphans.LONGHORN),
    "instances": Asked((Kind("longhorn.io", "v1beta2", "instancemanagers"),), _orphans.LONGHORN),
    "image_managers": Asked((Kind("longhorn.io", "v1beta2", "backingimagemanagers"),), _orphans.LONGHORN, keep=_named),
    "addons": Asked((Kind("harvesterhci.io", "v1beta1", "addons"),), keep=_addon),
    "pools": Asked((Kind("whereabouts.cni.cncf.io", "v1alpha1", "ippools"),), "kube-system"),
    "backups": Asked((Kind("harvesterhci.io", "v1beta1", "virtualmachinebackups"),), keep=_backup),
    "schedules": Asked((Kind("harvesterhci.io", "v1beta1", "schedulevmbackups"),), keep=_schedule),
    "webhooks": Asked(
        (Kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False),), keep=_named
    ),
}
"""What is read. Those of the parts that purge and force sync change too are named as they are there.

Pods have `status.waiting` ([name, reason, image]) in the place of the states of their containers.
"""
HOSTS = "release files"
"""Stands among the kinds for what the hosts themselves say."""
EVERY = (Topic("kubelets", "every Node is Ready and reports", _check_nodes.kubelets, ("nodes", "leases")),)
HARVESTER = (
    Topic("Harvester hosts", "Rancher's agent runs, no trace of an upgrade", _check_nodes.hosts, (HOSTS,)),
    Topic("cordons", "no Node is cordoned", _check_nodes.cordons, ("nodes",)),
    Topic("versions", "one OS and one RKE2", _check_nodes.versions, ("nodes",), ("provisioning",)),
    Topic("components", "the core components are ready", _check_nodes.components, tuple(_APPS)),
    Topic("pods", "all are ready", _check_nodes.pods, ("pods",)),
    Topic("Longhorn nodes", "one for each Node, ready", _check_storage.storage, ("storage", "nodes")),
    Topic(
        *("Longhorn volumes", "as many replicas as there can be", _check_storage.volumes),
        ("volumes", "replicas", "engines", "storage", "nodes"),
    ),
    Topic("virtual machines", "they run as before", _check_storage.machines, ("vms", "guests", "nodes")),
    Topic("ManagedCharts", "none is paused", _check_rancher.charts, ("charts",)),
    Topic(
        *("bundles", "all are synced", _check_rancher.bundles),
        *(("bundles", "deployed"), ("charts", "fleets", "releases", "config")),
    ),
    Topic("CAPI cluster", "Provisioned, not paused", _check_rancher.cluster, ("clusters",), ("planes",)),
    Topic("CAPI machines", "one for each Node, Running", _check_rancher.machines, ("capi", "nodes")),
    Topic("CAPI kubeconfig", "it is labelled", _check_rancher.kubeconfig, ("clusters", "secrets")),
    Topic("server-version", "the same everywhere", _check_rancher.versions, ("config",), ("deployments", "charts")),
    Topic("VIP", "the same in chart and Service", _check_rancher.vip, ("vips", "services")),
    Topic("upgrade", "none is under way", _check_rancher.upgrades, ("upgrades",), ("nodes", "jobs", "secrets")),
    Topic(
        *("leftovers of upgrades", "none", _check_rancher.leftovers, ("upgrades", "nodes")),
        ("jobs", "plans", "charts", "provisioning", "settings", "secrets", "vms", "images"),
    ),
)


def needed(topics: t.Iterable[Topic]) -> list[str]:
    """Names of the kinds that these topics look at, each once."""
    names = dict.fromkeys(name for topic in topics for name in (*topic.needs, *topic.uses))
    return [name for name in names if name in KINDS]


def checks(read: Read, topics: t.Iterable[Topic], **hosts: t.Any) -> list[Check]:
    """hosts: what the hosts themselves say, as `Seen` has it."""
    objects = {name: found for name, found in read.items() if found is not None and not isinstance(found, str)}
    seen = Seen(objects, **hosts)
    told: dict[str, t.Sequence[JSON] | str | None] = {**read}
    told[HOSTS] = [] if seen.releases else "no host that answers has one"
    return [judged(topic, told, seen) for topic in topics]
