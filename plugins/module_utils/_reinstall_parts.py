# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The server that leaves to be reinstalled, as all rules look at it: what is on it, and what can go elsewhere."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _harvester, _orphans, _server, _stale
from ._api import Kind
from ._margin import Margin
from ._orphans import JSON, LONGHORN, Dead, Seen, condition, labels, meta, name_of, notes, spec, status

KINDS: dict[str, tuple[Kind, str]] = {
    **_orphans.KINDS,
    **_stale.KINDS,
    "volumes": (Kind("longhorn.io", "v1beta2", "volumes"), LONGHORN),
    "machines_running": (Kind("kubevirt.io", "v1", "virtualmachineinstances"), ""),
    "kubevirt": (Kind("kubevirt.io", "v1", "kubevirts"), ""),
    "harvester": (Kind("harvesterhci.io", "v1beta1", "settings", namespaced=False), ""),
}
MIGRATES = ("LiveMigrate", "LiveMigrateIfPossible")
Stage = t.Literal["whole", "leaving", "gone"]
"""leaving: its Machine is being deleted; gone: only what is left of it."""


@dataclass(frozen=True)
class Wish:
    """What a person has said."""

    name: str
    """Of the Node, or of the host in the inventory."""
    anyway: bool = False
    """Although no skew is seen."""
    stop: object = None
    """Virtual machines that may stop."""
    loss: t.Collection[str] = ()
    """Volumes and images that are given up."""


@dataclass(frozen=True)
class It:
    """The server, as all rules look at it."""

    seen: Seen
    wish: Wish
    margin: Margin
    node: str
    host: str
    entry: JSON
    dead: Dead
    stage: Stage
    addresses: frozenset[str]
    others: tuple[JSON, ...]
    """Nodes but for it."""

    @property
    def item(self) -> JSON:
        return next((node for node in self.seen.get("nodes", ()) if name_of(node) == self.node), {})

    @property
    def storage(self) -> JSON:
        return next((node for node in self.seen.get("storage", ()) if name_of(node) == self.node), {})


def theirs(members: t.Iterable[_server.Member], node: str, addresses: t.Collection[str]) -> list[_server.Member]:
    """Members that are the server's, by the name of its Node or by its address."""
    return [member for member in members if member.node == node or member.address in addresses]


def skew(seen: Seen, node: JSON, release: t.Mapping[str, str] | None) -> list[str]:
    """Why a server counts as one whose OS and RKE2 are of two versions, or of another one than the cluster's."""
    info, others = status(node).get("nodeInfo") or {}, [n for n in seen.get("nodes", ()) if name_of(n) != name_of(node)]
    kubelet, system = str(info.get("kubeletVersion") or ""), str(info.get("osImage") or "")
    brought = (release or {}).get("kubernetes", "")
    setting = next((s for s in seen.get("harvester", ()) if name_of(s) == "server-version"), None)
    cluster = _harvester.version(setting)
    found = []
    if brought and kubelet and brought != kubelet:
        found.append(f"its OS brings RKE2 {brought}, and its kubelet is {kubelet}")
    if cluster and system and system != f"Harvester {cluster}":
        found.append(f"its OS is {system}, and the cluster is {cluster}")
    theirs = {(status(other).get("nodeInfo") or {}).get("kubeletVersion") for other in others}
    if len(theirs) == 1 and kubelet and kubelet not in theirs:
        found.append(f"its kubelet is {kubelet}, and that of all others {theirs.pop()}")
    return found


def machines(it: It) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(virtual machines on it that migrate, those that stop): what is not known to migrate stops."""
    usual = next((str((spec(k).get("configuration") or {}).get("evictionStrategy") or "")
                  for k in it.seen.get("kubevirt", ())), "")  # fmt: skip
    there = any(_open(node) for node in it.others)
    moves: set[str] = set()
    stops: set[str] = set()
    for vmi in it.seen.get("machines_running", ()):
        if status(vmi).get("nodeName") != it.node or status(vmi).get("phase") in ("Succeeded", "Failed"):
            continue
        can = condition(vmi, "LiveMigratable") == "True" and (spec(vmi).get("evictionStrategy") or usual) in MIGRATES
        (moves if can and there else stops).add(f"{meta(vmi).get('namespace')}/{name_of(vmi)}")
    stops |= set(_harvester.machines(it.entry).values() if it.entry.get("processes") else ()) - moves
    return tuple(sorted(moves)), tuple(sorted(stops))


def joined(secrets: t.Iterable[JSON], machine: str) -> list[str]:
    """Machines whose servers have joined by this one: Rancher lets them join by another one before it goes."""
    said = [(labels(secret).get(_orphans.MACHINE_NAME, ""), notes(secret)) for secret in secrets]
    urls = {note.get("rke.cattle.io/join-url") for name, note in said if name == machine} - {None}
    return sorted(name for name, note in said if note.get("rke.cattle.io/joined-to") in urls)


def evictable(pods: t.Iterable[JSON], node: str) -> list[JSON]:
    """What a drain takes away: not static pods, not those of DaemonSets, not those that have ended."""
    return [
        pod
        for pod in pods
        if spec(pod).get("nodeName") == node
        and "kubernetes.io/config.mirror" not in notes(pod)
        and not any(owner.get("kind") == "DaemonSet" for owner in meta(pod).get("ownerReferences") or ())
        and status(pod).get("phase") not in ("Succeeded", "Failed")
    ]


def movable(seen: Seen, node: str) -> list[str]:
    """Volumes with a replica on it for which another node of Longhorn has none yet, and takes one."""
    takes = {
        name_of(n)
        for n in seen.get("storage", ())
        if name_of(n) != node
        and condition(n, "Ready") == "True"
        and condition(n, "Schedulable") != "False"
        and spec(n).get("allowScheduling")
        and not spec(n).get("evictionRequested")
    }
    homes: dict[str, set[str]] = {}
    for replica in seen.get("replicas", ()):
        homes.setdefault(str(spec(replica).get("volumeName")), set()).add(str(spec(replica).get("nodeID")))
    return sorted(volume for volume, where in homes.items() if node in where and takes - where)


def _open(node: JSON) -> bool:
    """It takes virtual machines."""
    return (
        condition(node, "Ready") == "True"
        and not spec(node).get("unschedulable")
        and labels(node).get("kubevirt.io/schedulable") != "false"
    )


def listed(names: t.Sequence[str]) -> str:
    """At most eight."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
