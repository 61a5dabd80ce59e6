# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""In which order the objects of dead servers go, each with the reason; nothing here does any of it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._api import Kind
from ._orphan_maps import Maps
from ._orphan_parts import (
    EASE,
    FORCE,
    HELD,
    JSON,
    KINDS,
    PASSWORDS,
    PAUSED,
    PINNED,
    Seen,
    labels,
    meta,
    name_of,
    node_of,
    notes,
    spec,
    status,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing that is done to one object."""

    verb: str
    """patch or delete."""
    kind: Kind
    namespace: str
    name: str
    what: str
    why: str
    uid: str = ""
    change: JSON | None = None
    """Merge patch of a patch."""
    now: bool = False
    """Delete without grace period."""
    basis: JSON | None = None
    """Fields of the spec that must still be as they were read: the patch replaces a list."""

    @property
    def document(self) -> dict[str, str]:
        """As modules return it."""
        return {
            "verb": self.verb,
            "kind": self.kind.name,
            "namespace": self.namespace,
            "name": self.name,
            "what": self.what,
            "why": self.why,
        }


def line(action: t.Mapping[str, str]) -> str:
    """An action as it is shown: a step's document, or one with the same words."""
    where = f"{action['namespace']}/" if action["namespace"] else ""
    return f"{action['verb']} {action['kind']} {where}{action['name']}: {action['what']}; {action['why']}."


def patch(which: str, item: JSON, change: JSON, what: str, why: str) -> Step:
    kind, _where = KINDS[which]
    return Step("patch", kind, meta(item).get("namespace", ""), name_of(item), what, why, meta(item)["uid"], change)


def delete(which: str, item: JSON, why: str, *, what: str = "delete it", now: bool = False) -> Step:
    kind, _where = KINDS[which]
    return Step("delete", kind, meta(item).get("namespace", ""), name_of(item), what, why, meta(item)["uid"], now=now)


def in_order(seen: Seen, nodes: t.Collection[str], machines: t.Collection[str], maps: Maps) -> t.Iterator[Step]:
    def all_of(which: str) -> list[JSON]:
        return [part for machine in sorted(machines) for part in maps.part(which, machine)]

    doomed = [maps.machines[machine] for machine in sorted(machines) if machine in maps.machines]
    bootstraps = all_of("bootstraps")
    held, released = _hold(seen, bool(doomed))
    yield from held
    yield from unpin(seen, {i for machine in machines for i in maps.ids[machine]})
    for bootstrap in bootstraps:
        if notes(bootstrap).get(FORCE) != "true":
            change = {"metadata": {"annotations": {FORCE: "true"}}}
            why = "a dead server's etcd member never says that it has left; Rancher would wait for it for ever"
            yield patch("bootstraps", bootstrap, change, f"annotate {FORCE}=true", why)
    for machine in doomed:
        if not notes(machine).keys() >= set(EASE):
            change = {"metadata": {"annotations": dict.fromkeys(EASE, "true")}}
            why = "nobody can drain a dead server, or see its volumes detached"
            yield patch("machines", machine, change, "annotate that it is neither drained nor waited for", why)
    for machine in doomed:
        node = (status(machine).get("nodeRef") or {}).get("name")
        yield delete("machines", machine, f"it is the machine of {node}" if node else "it has no Node")
    yield from (delete("custom", part, "its Machine goes") for part in all_of("custom"))
    yield from (delete("bootstraps", part, "its Machine goes") for part in bootstraps)
    for name in sorted(machines):
        for secret in maps.secrets(name, maps.part("bootstraps", name)):
            yield delete("secrets", secret, f"it is a secret of Machine {name}")
    yield from _of_nodes(seen, nodes)
    yield from released


def _of_nodes(seen: Seen, nodes: t.Collection[str]) -> t.Iterator[Step]:
    """What hangs on the names of Nodes; Longhorn lets a node go only after the Node, and without any replica."""
    dead = sorted(nodes)
    for node in seen.get("nodes", ()):
        if name_of(node) in nodes:
            yield delete("nodes", node, "the server is dead")
    for which, why, now in (
        ("pods", "it is stuck in Terminating; no kubelet will end it", True),
        ("attachments", "the volume is attached to a dead server, and to no other one meanwhile", False),
        ("replicas", "its volume has a healthy replica on a living node, or was given up", False),
    ):
        for item in seen.get(which, ()):
            if node_of(which, item) in nodes and (which != "pods" or meta(item).get("deletionTimestamp")):
                yield delete(which, item, f"{why} ({node_of(which, item)})", now=now)
    storage = {name_of(node): node for node in seen.get("storage", ())}
    for name in dead:
        if name in storage and spec(storage[name]).get("allowScheduling"):
            change = {"spec": {"allowScheduling": False}}
            yield patch(
                "storage", storage[name], change, "set allowScheduling to false", "Longhorn deletes no other one"
            )
        if name in storage:
            yield delete("storage", storage[name], "the server is dead; Longhorn counts its disks no more")
    for device in seen.get("devices", ()):
        if node_of("devices", device) in nodes:
            yield delete("devices", device, f"it is a disk of {node_of('devices', device)}")
    for password in seen.get("passwords", ()):
        if name_of(password) in {f"{name}.{suffix}" for name in dead for suffix in PASSWORDS}:
            yield delete("passwords", password, "a new server of this name would be refused as a duplicate")


def _hold(seen: Seen, needed: bool) -> tuple[list[Step], list[Step]]:
    """CAPI deletes no Machine of a paused Cluster; so the planner alone is held meanwhile, and let go at the end."""
    cluster = next((c for c in seen.get("clusters", ()) if name_of(c) == "local"), None)
    plane = next((p for p in seen.get("planes", ()) if name_of(p) == "local"), None)
    if cluster is None or plane is None:
        return [], []
    marked = HELD in notes(plane)
    if not marked and not (needed and spec(cluster).get("paused")):
        return [], []
    ours = notes(plane).get(HELD) == "true" or PAUSED not in notes(plane)  # or somebody else holds it, and goes on to
    mark = {PAUSED: "true", HELD: "true" if ours else "kept"}
    holds = [
        patch("planes", plane, {"metadata": {"annotations": mark}}, "pause it by annotation",
              "Rancher's planner must not go on meanwhile"),
        patch("clusters", cluster, {"spec": {"paused": False}}, "set spec.paused to false",
              "no Machine of a paused Cluster is ever deleted"),
    ]  # fmt: skip
    lets_go = [
        patch("clusters", cluster, {"spec": {"paused": True}}, "set spec.paused to true again", "as it was found"),
        patch("planes", plane, {"metadata": {"annotations": dict.fromkeys(mark if ours else (HELD,))}},
              "take the annotation away", "as it was found"),
    ]  # fmt: skip
    begun = [] if not needed else holds if not marked else holds[1:] if spec(cluster).get("paused") else []
    return begun, lets_go


def unpin(seen: Seen, ids: t.Collection[str]) -> t.Iterator[Step]:
    """Clusters born before 1.0.4 name their init node by machine ID for ever."""
    for plane in seen.get("planes", ()):
        if labels(plane).get(PINNED) in ids:
            change = {"metadata": {"labels": {PINNED: None}}}
            yield patch("planes", plane, change, f"take the label {PINNED} away", "it names a dead server as init node")
