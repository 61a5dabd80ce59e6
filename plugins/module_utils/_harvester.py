# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What Harvester is besides an RKE2 cluster: its release, its virtual machines, and Rancher, which must be braked.

While a cluster is recovered, Rancher's planner and its agents on the servers would go on with what they did before: an
aborted upgrade, a certificate rotation, a dead machine. The agents are stopped with the unit of a server; the planner
stands still as long as its CAPI cluster is paused.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ._api import Kind

JSON = t.Mapping[str, t.Any]
CAPI = Kind("cluster.x-k8s.io", "v1beta1", "clusters")
STORED = (replace(CAPI, version="v1beta2"), CAPI)
"""CAPI stores v1beta2 since 1.11, so of Harvester 1.8: there the older one needs its webhook, which may be away."""
NAMESPACE, CLUSTER = "fleet-local", "local"
BRAKED = "requorum.io/braked"
"""Annotation of a CAPI cluster that a run has paused: the stamp of that run."""


def release(about: JSON) -> dict[str, str] | None:
    """/etc/harvester-release.yaml by key (harvester, os, kubernetes, ...), and what sh/info.sh adds:

    system_agent, whether that unit is active; fallback, where the upgrade of the OS was rolled back; left, paths that
    an upgrade has left; custom, whether /oem/90_custom.yaml is there, renamed or missing; network, whether
    /oem/harvester.config is missing, or tells the management interface (there, old, none); cos_state, bytes of the
    partition of the OS images. None on any other host.
    """
    found = {key[8:]: str(value) for key, value in about.items() if key.startswith("release_") and value}
    return found if found.get("harvester") else None


def version(setting: JSON | None) -> str:
    """Of the setting server-version, which Harvester writes when its new version runs; empty where it is missing."""
    return str((setting or {}).get("value") or (setting or {}).get("default") or "")


def capi(document: JSON | None) -> dict[str, t.Any] | None:
    """Whether Rancher's planner stands still, and which run of ours made it so."""
    if not document:
        return None
    marks = (document.get("metadata") or {}).get("annotations") or {}
    return {"paused": bool((document.get("spec") or {}).get("paused")), "braked": marks.get(BRAKED)}


def cluster(entries: t.Sequence[JSON]) -> dict[str, t.Any] | None:
    """The part of ClusterState: versions by node, and the planner as a server that answers sees it."""
    releases = {entry["name"]: entry["harvester"] for entry in entries if entry.get("harvester")}
    seen = [(entry.get("api") or {}).get("capi") for entry in entries if entry["reachable"]]
    return {"releases": releases, "capi": next(filter(None, seen), None)} if releases else None


def known(state: JSON) -> dict[str, t.Any] | None:
    """The part of ClusterState with its version, also where only the API told that it is a Harvester."""
    settings = (state.get("objects") or {}).get("config") or ()
    setting = next((each for each in settings if each["metadata"]["name"] == "server-version"), None)
    found: dict[str, t.Any] | None = state.get("harvester")
    releases = [each["harvester"] for each in (found or {}).get("releases", {}).values() if each.get("harvester")]
    told = version(setting) or next(iter(releases), (found or {}).get("version"))
    return {"releases": {}, "capi": None, **(found or {}), "version": told} if found or setting else found


def rancher(entries: t.Iterable[JSON]) -> bool:
    """Whether Rancher manages the servers: on Harvester it always does."""
    return any(entry.get("harvester") for entry in entries)


def braked(entries: t.Iterable[JSON]) -> bool:
    """Whether a run of ours has left the planner paused."""
    return any(((entry.get("api") or {}).get("capi") or {}).get("braked") for entry in entries)


def machines(entry: JSON) -> dict[str, str]:
    """Virtual machines of a node: "pid/start time" -> "namespace/name". KubeVirt calls a guest NAMESPACE_NAME."""
    found = {}
    for process in entry.get("processes") or ():
        guest = re.search(r"-name (?:guest=)?([^ ,_]+)_([^ ,]+)", process.get("args") or "")
        if process["name"].startswith("qemu") and guest:
            found[f"{process['pid']}/{process['start']}"] = f"{guest[1]}/{guest[2]}"
    return found
