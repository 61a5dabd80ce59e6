# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What an aborted upgrade of Harvester leaves behind, and what restores it. The Upgrade itself is never deleted.

While an upgrade works, everything here is as it has to be: so nothing is touched then. One in phase 4 that can never
go on by itself counts as aborted: a node whose hooks were answered before it was drained, or one that is gone. It has
ended when every node has what it brings, by whatever way: then it is told so, as Harvester's controller does it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from . import _orphans
from ._api import Kind
from ._orphans import FLEET, JSON, LONGHORN, Seen, Step, condition, labels, meta, name_of, notes, spec, status

KINDS: dict[str, tuple[Kind, str]] = {
    "upgrades": (Kind("harvesterhci.io", "v1beta1", "upgrades"), "harvester-system"),
    "jobs": (Kind("batch", "v1", "jobs"), "harvester-system"),
    "plans": (Kind("upgrade.cattle.io", "v1", "plans"), "cattle-system"),
    "charts": (Kind("management.cattle.io", "v3", "managedcharts"), FLEET),
    "provisioning": (Kind("provisioning.cattle.io", "v1", "clusters"), FLEET),
    "settings": (Kind("longhorn.io", "v1beta2", "settings"), LONGHORN),
}
CHARTS = ("harvester-crd", "harvester", "rancher-monitoring-crd", "rancher-logging-crd")
"""Those that an upgrade pauses, in the order in which they go on."""
PREFIX = "hvst-upgrade-"
LATEST, STATE = "harvesterhci.io/latestUpgrade", "harvesterhci.io/upgradeState"
OF_UPGRADE = "harvesterhci.io/upgrade"
"""Label of what belongs to an upgrade: its name."""
_BRINGS = re.compile(r"(?m)^ +(harvester|os|kubernetes): *(.+)$")
INTERVAL, USUAL, RAISED = "replica-replenishment-wait-interval", "600", "1800"
PRE, POST = (
    ("rke.cattle.io/pre-drain", "harvesterhci.io/pre-hook"),
    ("rke.cattle.io/post-drain", "harvesterhci.io/post-hook"),
)
DRAINING = (
    *PRE,
    *POST,
    "rke.cattle.io/drain-options",
    "rke.cattle.io/drain-done",
    "rke.cattle.io/drain-error",
    "rke.cattle.io/uncordon",
)
TAINT, PENDING, MAINTAINED = "kubevirt.io/drain", "harvesterhci.io/pendingOSImage", "harvesterhci.io/maintain-status"
PLANNED = "plan.upgrade.cattle.io/"
PAUSED = "Node-upgrade paused"
"""State of a node, since 1.7: a person has asked to stop before it, and lets it go on."""
BUSY = frozenset(("Pre-drained", "Post-draining", "Waiting Reboot"))


@dataclass(frozen=True)
class Upgrade:
    """The latest one, as far as it decides."""

    name: str = ""
    going: bool = False
    """It was begun and has not ended."""
    works: bool = False
    """It may go on by itself."""
    waits_for: tuple[str, ...] = ()
    """Nodes that are gone, and without which it never ends."""
    interval: str = ""
    """What Longhorn's setting was before, as it has noted it."""


def states(item: JSON) -> dict[str, str]:
    """Node -> its state in an Upgrade, in Harvester's words; empty where it has none."""
    return {n: str((entry or {}).get("state") or "") for n, entry in (status(item).get("nodeStatuses") or {}).items()}


def brings(item: JSON) -> dict[str, str]:
    """What the ISO of an Upgrade has, in the text of status.repoInfo: harvester, os, kubernetes."""
    return {key: word.strip("\"' ") for key, word in _BRINGS.findall(str(status(item).get("repoInfo") or ""))}


def ended(job: JSON) -> bool:
    """It was done, or has failed."""
    return "True" in (condition(job, "Complete"), condition(job, "Failed"))


def upgrade(seen: Seen, gone: t.Collection[str] = ()) -> Upgrade:
    """gone: Nodes that are declared dead."""
    found = next((item for item in seen.get("upgrades", ()) if labels(item).get(LATEST) == "true"), None)
    if found is None:
        return Upgrade()
    held = states(found)
    nodes = {name_of(node) for node in seen.get("nodes", ())} - set(gone)
    waits_for = tuple(sorted(node for node, state in held.items() if node not in nodes and state != "Succeeded"))
    going = condition(found, "Completed") not in ("True", "False")
    fourth = condition(found, "SystemServicesUpgraded") == "True"
    busy = any(node in nodes and state in BUSY for node, state in held.items()) or any(
        labels(job).get(OF_UPGRADE) == name_of(found)
        and labels(job).get("harvesterhci.io/node") not in waits_for
        and not ended(job)
        for job in seen.get("jobs", ())
    )
    stuck = [node for node in nodes if held.get(node) == "Images preloaded" and _contradicts(seen, node)]
    over = bool(brought(seen, found, nodes))
    works = going and (not fourth or busy or not (stuck or waits_for or over))
    note = notes(found).get(f"harvesterhci.io/{INTERVAL}", "")
    return Upgrade(name_of(found), going, works, waits_for, note)


def leftovers(seen: Seen, gone: t.Collection[str] = ()) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """(steps, what is said instead of done)."""
    latest = upgrade(seen, gone)
    if latest.works:
        return (), (f"Upgrade {latest.name} goes on: what belongs to it is left alone.",)
    living = [node for node in seen.get("nodes", ()) if name_of(node) not in gone]
    done = _done(seen, living)
    if ended := tuple(_end(seen, latest, living)):
        latest = replace(latest, going=False)
    steps = (
        *_charts(seen),
        *_plans(seen, latest),
        *(step for node in living for step in _secret(seen, node, latest)),
        *(step for node in living for step in _node(seen, node, latest)),
        *_interval(seen, latest),
        *(_strategy(seen, latest) if done else ()),
        *ended,
    )
    said = [
        f"Upgrade {latest.name} waits for {node}, which is gone: it stays in status.nodeStatuses."
        for node in latest.waits_for
        if not ended
    ]
    said += [
        f"{name_of(node)} is cordoned, and no upgrade seems to have done that: it stays so."
        for node in living
        if spec(node).get("unschedulable") and not _cordoned(seen, node)
    ]
    if not done and not latest.going and hooked(seen):
        said.append("The drain hooks stay: without them the nodes that lack the new version would get it undrained.")
    return steps, tuple(said)


def _step(verb: str, which: str, item: JSON, what: str, why: str, change: JSON | None = None) -> Step:
    kind, _where = KINDS[which]
    return Step(verb, kind, meta(item).get("namespace", ""), name_of(item), what, why, meta(item)["uid"], change)


def _charts(seen: Seen) -> t.Iterator[Step]:
    by_name = {name_of(chart): chart for chart in seen.get("charts", ())}
    for name in CHARTS:
        if spec(by_name.get(name, {})).get("paused"):
            why = "an upgrade paused it and was cut off; Fleet deploys nothing of it"
            yield _step("patch", "charts", by_name[name], "set spec.paused to false", why, {"spec": {"paused": False}})


def _plans(seen: Seen, latest: Upgrade) -> t.Iterator[Step]:
    for plan in seen.get("plans", ()):
        # Behind Completed Harvester deletes old images, by the repository that is still there.
        works = [f"{name_of(vm).removeprefix('upgrade-repo-')}-cleanup" for vm in seen.get("vms", ())]
        if name_of(plan) in works or not name_of(plan).startswith(PREFIX):
            continue
        if not (latest.going and _of(name_of(plan), latest.name)):
            yield _step("delete", "plans", plan, "delete it", "its upgrade has ended; it would run on nodes that join")


def _of(plan: str, name: str) -> bool:
    """`hvst-upgrade-abcde-prepare` is of `hvst-upgrade-abcde`."""
    return plan == name or plan.startswith(f"{name}-")


def _secrets(seen: Seen, node: JSON) -> list[JSON]:
    """Plan secrets of the Machine of a Node."""
    machine = notes(node).get(_orphans.MACHINE_OF_NODE)
    return [s for s in seen.get("secrets", ()) if machine and labels(s).get(_orphans.MACHINE_NAME) == machine]


def _contradicts(seen: Seen, node: str) -> bool:
    """Its hook before the drain is answered before anybody was asked: no state can follow from that."""
    found = next((item for item in seen.get("nodes", ()) if name_of(item) == node), {})
    said = [notes(secret) for secret in _secrets(seen, found)]
    return any(note.get(PRE[0]) and note.get(PRE[0]) == note.get(PRE[1]) for note in said)


def _secret(seen: Seen, node: JSON, latest: Upgrade) -> t.Iterator[Step]:
    for secret in _secrets(seen, node):
        left = {key: None for key in DRAINING if key in notes(secret)}
        what, why = "take the annotations of the drain away", "no drain goes on; they stop the next one"
        if latest.going and left:  # the planner still has its drain options; only the early answers are wrong
            left = {hook: None for asked, hook in (PRE, POST) if notes(secret).get(hook) and hook in left}
            what, why = "take the early answers to the hooks away", "no state of the upgrade can follow from them"
        if left:
            change = {"metadata": {"annotations": left}}
            yield _orphans.patch("secrets", secret, change, f"{what} ({name_of(node)})", why)


def _cordoned(seen: Seen, node: JSON) -> bool:
    """By an upgrade, as far as its other traces tell; not by a person, and not for maintenance."""
    traces = any(key in notes(secret) for secret in _secrets(seen, node) for key in DRAINING)
    traces |= PENDING in notes(node) or any(taint.get("key") == TAINT for taint in spec(node).get("taints") or ())
    return bool(spec(node).get("unschedulable")) and traces and MAINTAINED not in notes(node)


def _node(seen: Seen, node: JSON, latest: Upgrade) -> t.Iterator[Step]:
    """One patch, and only while the taints are the ones that were read: it replaces their list."""
    what: list[str] = []
    change: JSON = {"metadata": {}, "spec": {}}
    taints = spec(node).get("taints") or []
    kept = [taint for taint in taints if taint.get("key") != TAINT]
    if _cordoned(seen, node):
        what.append("uncordon it")
        change["spec"]["unschedulable"] = None
        kept = [taint for taint in kept if taint.get("key") != "node.kubernetes.io/unschedulable"]
    if [taint for taint in taints if taint.get("key") == TAINT] and MAINTAINED not in notes(node):
        what.append(f"take the taint {TAINT} away")
    if kept != taints and what:
        change["spec"]["taints"] = kept or None
    if PENDING in notes(node):
        what.append(f"take the annotation {PENDING} away")
        change["metadata"]["annotations"] = {PENDING: None}
    plans = {name_of(plan) for plan in seen.get("plans", ()) if latest.going and _of(name_of(plan), latest.name)}
    marks = [key for key in labels(node) if key.startswith(PLANNED + PREFIX) and key[len(PLANNED) :] not in plans]
    if marks and what:  # alone they are no trace: the system upgrade controller leaves them behind every upgrade
        what.append("take the labels of ended upgrade plans away")
        change["metadata"]["labels"] = dict.fromkeys(marks)
    if what:
        why = "an upgrade that has ended, or cannot go on, left it"
        step = _orphans.patch("nodes", node, change, "; ".join(what), why)
        yield replace(step, basis={"taints": taints or None})


def _interval(seen: Seen, latest: Upgrade) -> t.Iterator[Step]:
    for setting in seen.get("settings", ()):
        if name_of(setting) == INTERVAL and str(setting.get("value")) == RAISED and latest.interval != RAISED:
            value = latest.interval or USUAL
            why = "an upgrade raised it: Longhorn would wait half an hour before it rebuilds a replica"
            yield _step("patch", "settings", setting, f"set it to {value}", why, {"value": value})


def hooked(seen: Seen) -> list[JSON]:
    """The provisioning cluster, where it still drains with hooks."""
    found = [cluster for cluster in seen.get("provisioning", ()) if name_of(cluster) == "local"]
    return [c for c in found if _hooks((spec(c).get("rkeConfig") or {}).get("upgradeStrategy") or {})]


def _hooks(strategy: JSON) -> bool:
    options = [strategy.get(f"{tier}DrainOptions") or {} for tier in ("controlPlane", "worker")]
    return any(option.get("preDrainHooks") or option.get("postDrainHooks") for option in options)


def _done(seen: Seen, living: t.Sequence[JSON]) -> bool:
    """Every living node has the version that the planner wants."""
    wanted = {spec(c).get("kubernetesVersion") for c in seen.get("provisioning", ()) if name_of(c) == "local"}
    return {(status(node).get("nodeInfo") or {}).get("kubeletVersion") for node in living} <= wanted


def _strategy(seen: Seen, latest: Upgrade) -> t.Iterator[Step]:
    if latest.going:
        return
    for cluster in hooked(seen):
        change = {"spec": {"rkeConfig": {"upgradeStrategy": None}}}
        why = "nobody answers its drain hooks any more; the next change would wait for ever"
        yield _step("patch", "provisioning", cluster, "take spec.rkeConfig.upgradeStrategy away", why, change)


def brought(seen: Seen, item: JSON, nodes: t.Collection[str]) -> str:
    """OS and RKE2 of the ISO of an upgrade, where all these nodes have them; else empty."""
    told = brings(item)
    wanted = (told.get("os"), told.get("kubernetes"))
    have = [status(node).get("nodeInfo") or {} for node in seen.get("nodes", ()) if name_of(node) in nodes]
    there = all((info.get("osImage"), info.get("kubeletVersion")) == wanted for info in have)
    return " and ".join(map(str, wanted)) if have and all(wanted) and there else ""


def _end(seen: Seen, latest: Upgrade, living: t.Sequence[JSON]) -> t.Iterator[Step]:
    """Harvester ends it when the last state becomes Succeeded, which nobody sets for a node that was installed anew,
    or is gone (pkg/controller/master/upgrade/common.go, setNodeUpgradeStatus and markComplete).
    """
    names = {name_of(node) for node in living}
    for item in [item for item in seen.get("upgrades", ()) if latest.going and name_of(item) == latest.name]:
        has = brought(seen, item, names)
        if not has or condition(item, "SystemServicesUpgraded") != "True":
            continue
        gone = dict.fromkeys(status(item).get("nodeStatuses") or {})
        states = {**gone, **{name: {"state": "Succeeded"} for name in sorted(names)}}
        others = [c for c in status(item).get("conditions") or () if c["type"] not in ("NodesUpgraded", "Completed")]
        met = [{"type": word, "status": "True"} for word in ("NodesUpgraded", "Completed")]
        change = {
            "metadata": {"resourceVersion": meta(item)["resourceVersion"], "labels": {STATE: "Succeeded"}},
            "status": {"nodeStatuses": states, "conditions": [*others, *met]},
        }
        why = f"every node has {has}; as long as it waits no other one may begin"
        yield _step("patch", "upgrades", item, "tell it that it has ended: Completed", why, change)
