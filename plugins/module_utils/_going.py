# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The upgrade of Harvester that goes on, and what is around it.

Within one upgrade Harvester writes a node's state first and answers the planner's hook then (job_controller.go of
pkg/controller/master/upgrade, syncNodeJob), and the planner gives a node its new RKE2 only behind both: so a node whose
state is "Images preloaded" has no answered hook, and its old kubelet (facts/harvester.md 1.3, 1.4).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _jmes, _orphans, _releases, _stale
from ._found import JSON
from ._orphans import condition, labels, meta, name_of, notes, spec, status
from ._stale import LATEST, POST, PRE, STATE

PLAN_SECRET = "rke.cattle.io/machine-plan"
"""Type of a Secret."""
EARLY = ("Images preloading", "Images preloaded")
"""States of a node that phase 4 has not come to yet."""


def seen_of(state: JSON) -> dict[str, list[JSON]]:
    """Objects that were read."""
    return {name: found for name, found in (state.get("objects") or {}).items() if found is not None}


@dataclass(frozen=True)
class Look:
    """The latest Upgrade, while it goes on, and what is around it."""

    state: JSON
    seen: t.Mapping[str, t.Sequence[JSON]]
    item: JSON

    @property
    def states(self) -> dict[str, str]:
        return _stale.states(self.item)

    @property
    def fourth(self) -> bool:
        done = condition(self.item, "SystemServicesUpgraded") == "True"
        return done or labels(self.item).get(STATE) == "UpgradingNodes"

    @property
    def version(self) -> str:
        return str(spec(self.item).get("version") or "")

    @property
    def brings(self) -> tuple[str, str]:
        """(OS, RKE2) of its ISO; empty where neither it nor the list of releases tells."""
        found = _stale.brings(self.item)
        named = _releases.named(self.version)
        listed = _releases.load().get(named)
        return found.get("os") or (f"Harvester {named}" if named else ""), found.get("kubernetes") or (
            listed.rke2 if listed else ""
        )

    @property
    def busy(self) -> bool:
        """Something of it works: a node between two states, or a job."""
        jobs = [job for job in self.seen.get("jobs", ()) if labels(job).get(_stale.OF_UPGRADE) == self.name]
        return bool(set(self.states.values()) & {*_stale.BUSY, "Pre-draining"}) or not all(map(_stale.ended, jobs))

    @property
    def paused(self) -> bool:
        """A person has asked it to stop before a node."""
        return _stale.PAUSED in self.states.values()

    @property
    def name(self) -> str:
        return name_of(self.item)

    @property
    def left(self) -> list[str]:
        """Nodes that wait for phase 4."""
        return sorted(node for node, word in self.states.items() if word in EARLY)

    def told(self, nodes: t.Collection[str] = ()) -> JSON:
        """What the texts of a rule speak of."""
        return {"name": self.name, "version": self.version, "left": self.left, "nodes": sorted(nodes)}

    def former(self) -> t.Iterator[tuple[bool, str]]:
        """Older Upgrades of the same version that did not succeed: (whether one had come to phase 4, in words)."""
        born = str(meta(self.item).get("creationTimestamp") or "")
        for other in self.seen.get("upgrades", ()):
            if other is self.item or spec(other).get("version") != self.version:
                continue
            if condition(other, "Completed") == "True" or str(meta(other).get("creationTimestamp") or "") > (
                born or "~"
            ):
                continue
            states = {n: (e or {}).get("state") for n, e in (status(other).get("nodeStatuses") or {}).items()}
            reached = condition(other, "SystemServicesUpgraded") == "True" or any(
                word not in (*EARLY, "Failed", None, "") for word in states.values()
            )
            how = (
                "is being deleted"
                if meta(other).get("deletionTimestamp")
                else labels(other).get(STATE) or "did not end"
            )
            where = ", ".join(f"{node}: {word}" for node, word in sorted(states.items()))
            yield (
                reached,
                f"Upgrade {name_of(other)} to {self.version} before it: {how}" + (f" ({where})" if where else ""),
            )

    def hooks(self) -> t.Iterator[tuple[str, str]]:
        """Nodes whose hooks were asked or answered although nothing was done to them: (node, in words)."""
        for node in self.left:
            for secret in plan_secrets(self.seen, node):
                note, name = notes(secret), name_of(secret)
                if note.get(PRE[0]) and note.get(PRE[0]) == note.get(PRE[1]):
                    yield node, f'{node}: state "{self.states[node]}", but {name} has {PRE[0]} = {PRE[1]}: answered'
                elif note.get(POST[0]):
                    yield node, f'{node}: state "{self.states[node]}", but {name} has {POST[0]}: it was drained before'

    def ahead(self) -> t.Iterator[tuple[str, str]]:
        """Nodes with the new RKE2 below the old OS although nothing was done to them: (node, in words)."""
        os, kubernetes = self.brings
        for item in self.seen.get("nodes", ()):
            node, info = name_of(item), status(item).get("nodeInfo") or {}
            kubelet, image = str(info.get("kubeletVersion") or ""), str(info.get("osImage") or "")
            own = came_with(self.state, item)[0]
            if node not in self.left or not (kubelet and image and own and os and kubernetes):
                continue
            if _releases.same(kubelet, kubernetes) and image != os and not _releases.same(own, kubelet):
                yield (
                    node,
                    f'{node}: state "{self.states[node]}", but kubelet {kubelet} on {image}, which came with {own}',
                )

    def asked(self) -> t.Iterator[str]:
        """Nodes whose drain Rancher asks for, and which Harvester has not begun with."""
        for node in self.left:
            for secret in plan_secrets(self.seen, node):
                if notes(secret).get(PRE[0]) and not notes(secret).get(PRE[1]):
                    yield f"{node}: {name_of(secret)} has {PRE[0]}, and nobody has answered"

    @property
    def hooked(self) -> bool:
        """The planner drains behind hooks, so that no node gets its RKE2 without them."""
        return bool(_stale.hooked(self.seen))

    @property
    def quiet(self) -> float | None:
        """Seconds since its conditions changed; None where no time is known."""
        words = [
            c.get(key)
            for c in status(self.item).get("conditions") or ()
            for key in ("lastUpdateTime", "lastTransitionTime")
        ]
        last = max(filter(None, map(_jmes.seconds, words)), default=None)
        now = _jmes.seconds(self.state.get("time"))
        return None if last is None or now is None else now - last


def going(state: JSON) -> Look | None:
    """The latest Upgrade, where it has not ended."""
    seen = seen_of(state)
    for item in seen.get("upgrades", ()):
        if labels(item).get(LATEST) == "true" and condition(item, "Completed") not in ("True", "False"):
            return Look(state, seen, item)
    return None


def plan_secrets(seen: t.Mapping[str, t.Sequence[JSON]], node: str) -> list[JSON]:
    """Plan secrets of a node, by the Machine that its Node names, or that names it."""
    named = {notes(n).get(_orphans.MACHINE_OF_NODE) for n in seen.get("nodes", ()) if name_of(n) == node}
    named |= {name_of(m) for m in seen.get("capi", ()) if (status(m).get("nodeRef") or {}).get("name") == node}
    mine = [s for s in seen.get("secrets", ()) if labels(s).get(_orphans.MACHINE_NAME) in named - {None}]
    return [s for s in mine if s.get("type", PLAN_SECRET) == PLAN_SECRET]


def came_with(state: JSON, node: JSON) -> tuple[str, str]:
    """(the RKE2 that the OS of a Node came with, who says so); empty where nobody does.

    The release file is the one of the OS that was read: where a node was booted anew since, its Node tells which.
    """
    image = str((status(node).get("nodeInfo") or {}).get("osImage") or "")
    releases = (state.get("harvester") or {}).get("releases") or {}
    file = releases.get(name_of(node)) or {}
    if file.get("kubernetes") and file.get("os", image) == image:
        return str(file["kubernetes"]), "/etc/harvester-release.yaml"
    return _releases.rke2(image), "the list of Harvester's releases"
