# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What image, pod, plan, Job, plan secret and Node tell an Upgrade, as Harvester's handlers take it.

An error of a handler, which upstream only logs, is a line in `World.said`.
"""

from __future__ import annotations

from typing import Any

from lab.harvester import drain
from lab.harvester.kinds import PLAN_SECRET
from lab.harvester.upgrade import made, told
from lab.harvester.upgrade.controller import PURGED
from lab.harvester.upgrade.seen import (
    COMPONENT,
    LATEST,
    MACHINE,
    MACHINE_NAME,
    OF,
    STATE,
    World,
    condition,
    labels,
    name_of,
    notes,
    status,
)

JSON = dict[str, Any]
PENDING = "harvesterhci.io/pendingOSImage"
PRE, POST = "harvesterhci.io/pre-hook", "harvesterhci.io/post-hook"
PLANNED = "plan.upgrade.cattle.io/"


def handlers(world: World) -> None:
    """One look of each."""
    logs(world)
    images(world)
    pods(world)
    plan_jobs(world)
    plans(world)
    manifests(world)
    node_jobs(world)
    secrets(world)
    nodes(world)


def _of(world: World, item: JSON) -> JSON | None:
    return world.one("upgrades", labels(item).get(OF, ""))


def logs(world: World) -> None:
    """The logging infrastructure is there."""
    for log in world["upgradelogs"]:
        upgrade = world.one("upgrades", log["spec"]["upgradeName"])
        if upgrade and condition(log, "InfraReady") == "True" and condition(upgrade, "LogReady") == "Unknown":
            labels(upgrade)[STATE] = "LoggingInfraPrepared"
            told.put(world, upgrade, "LogReady", "True")


def images(world: World) -> None:
    """The ISO is there, or will never be."""
    for image in world["images"]:
        upgrade = _of(world, image)
        if upgrade is None or condition(upgrade, "ImageReady") != "Unknown":
            continue
        for kind, value, means in (("Imported", "True", "True"), ("Imported", "False", "False"),
                                   ("RetryLimitExceeded", "True", "False")):  # fmt: skip
            if condition(image, kind) == value:
                entry = next(each for each in status(image)["conditions"] if each["type"] == kind)
                why = (entry.get("reason", ""), entry.get("message", "")) if means == "False" else ("", "")
                told.settle(world, upgrade, "ImageReady", means, *why)
                break


def pods(world: World) -> None:
    """The machine that serves the ISO answers."""
    for pod in world["pods"]:
        upgrade = _of(world, pod) if labels(pod).get(COMPONENT) == "repo" else None
        if upgrade is None or labels(upgrade).get(STATE) != "PreparingRepo":
            continue
        if any(each.get("ready") for each in (status(pod).get("containerStatuses") or ())[:1]):
            labels(upgrade)[STATE] = "RepoPrepared"
            told.settle(world, upgrade, "RepoReady", "True")


def plan_jobs(world: World) -> None:
    """State of each node in phase 2."""
    for job in world["preparing"]:
        plan = world.one("plans", labels(job).get(made.PLAN, ""))
        upgrade = _of(world, plan) if plan else None
        node = labels(job).get(made.PLAN_NODE, "")
        if upgrade is None or not node or labels(upgrade).get(STATE) != "PreparingNodes":
            continue
        if status(job).get("active"):
            told.put_node(world, upgrade, node, told.PRELOADING)
        elif end := made.ended(job):
            state = told.PRELOADED if end == "Complete" else told.FAILED
            told.put_node(world, upgrade, node, state, *_why(job, end))


def _why(job: JSON, end: str) -> tuple[str, str]:
    entry = next(each for each in status(job)["conditions"] if each["type"] == end)
    return str(entry.get("reason") or ""), str(entry.get("message") or "")


def plans(world: World) -> None:
    """A plan is done when every node that it selects bears its hash."""
    for plan in world["plans"]:
        upgrade = _of(world, plan)
        latest = status(plan).get("latestHash")
        if upgrade is None or not latest:
            continue
        chosen = plan["spec"]["nodeSelector"]["matchLabels"].items()
        found = [node for node in world["nodes"] if chosen <= labels(node).items()]
        if any(labels(node).get(PLANNED + name_of(plan)) != latest for node in found):
            continue
        if labels(plan).get(COMPONENT) == "cleanup":
            notes(upgrade)[PURGED] = "true"
        elif condition(upgrade, "NodesPrepared") != "True":
            told.settle(world, upgrade, "NodesPrepared", "True")


def manifests(world: World) -> None:
    """Phase 3 has ended."""
    for job in world["jobs"]:
        upgrade = _of(world, job) if labels(job).get(COMPONENT) == "manifest" else None
        if upgrade is None or labels(upgrade).get(LATEST) != "true":
            continue
        if condition(upgrade, "SystemServicesUpgraded") == "Unknown" and (end := made.ended(job)):
            value = "True" if end == "Complete" else "False"
            told.settle(world, upgrade, "SystemServicesUpgraded", value, *_why(job, end))


def node_jobs(world: World) -> None:
    """The end of a hook's job: next state of the node, and the hook is answered."""
    for job in world["jobs"]:
        upgrade = _of(world, job) if labels(job).get(COMPONENT) == "node" else None
        node = world.one("nodes", labels(job).get(made.ON_NODE, ""))
        end, kind = made.ended(job), labels(job).get(made.TYPE, "")
        if upgrade is None or node is None or not end or MACHINE not in notes(node):
            continue
        name, now = name_of(node), told.node_state(upgrade, name_of(node))
        there = status(node)["nodeInfo"]["osImage"] == told.brings(upgrade)["os"]
        if end == "Failed":
            told.put_node(world, upgrade, name, told.FAILED, *_why(job, end))
        elif kind == made.PRE_DRAIN and now == told.PRE_DRAINING:
            told.put_node(world, upgrade, name, told.PRE_DRAINED, *_why(job, end))
            _answer(world, node, PRE, drain.PRE)
        elif (kind == made.POST_DRAIN and now == told.POST_DRAINING) or (
            kind == made.SINGLE and now not in (told.SUCCEEDED, told.REBOOT)
        ):
            if there:
                told.put_node(world, upgrade, name, told.SUCCEEDED)
                _answer(world, node, POST, drain.POST)
            else:
                told.put_node(world, upgrade, name, told.REBOOT, *_why(job, end))
                notes(node)[PENDING] = told.brings(upgrade)["os"]


def _answer(world: World, node: JSON, hook: str, asked: str) -> None:
    """Copy Rancher's question; only where there is exactly one plan secret for the Machine."""
    machine = notes(node)[MACHINE]
    found = [each for each in world["secrets"] if each.get("type") == PLAN_SECRET]
    found = [each for each in found if labels(each).get(MACHINE_NAME) == machine]
    if len(found) != 1:
        world.said.append(f"Found {len(found)} plan secret for machine {machine}")
    elif world.acknowledges(name_of(node), hook) and asked in notes(found[0]):
        notes(found[0])[hook] = notes(found[0])[asked]


def _single(world: World) -> JSON | None:
    """The one Upgrade that is under way in phase 4."""
    found = [each for each in world["upgrades"] if labels(each).get(LATEST) == "true"]
    if len(found) != 1:
        world.said.append(f"There are {len(found)} on-going upgrades")
        return None
    return found[0] if labels(found[0]).get(STATE) == "UpgradingNodes" else None


def secrets(world: World) -> None:
    """Rancher asks before and behind a drain: a job answers, one at a time in the whole cluster."""
    for secret in world["secrets"]:
        has = notes(secret)
        if secret.get("type") != PLAN_SECRET or not (has.get(drain.PRE) or has.get(drain.POST)):
            continue
        if has.get(drain.PRE) == has.get(PRE) and has.get(drain.POST) == has.get(POST):
            continue
        upgrade, node = _single(world), world.node(labels(secret).get(MACHINE_NAME, ""))
        if upgrade is None or not node:
            continue
        state = told.node_state(upgrade, node)
        if state == told.PRELOADED and has.get(drain.PRE) != has.get(PRE):
            _hook_job(world, upgrade, node, made.PRE_DRAIN, told.PRE_DRAINING)
        elif state == told.PRE_DRAINED and has.get(drain.POST) != has.get(POST):
            _hook_job(world, upgrade, node, made.POST_DRAIN, told.POST_DRAINING)


def _hook_job(world: World, upgrade: JSON, node: str, kind: str, state: str) -> None:
    for name, entry in (status(upgrade).get("nodeStatuses") or {}).items():
        if name != node and entry.get("state") not in (told.SUCCEEDED, told.PRELOADED):
            world.said.append(f'{name} is in "{entry}" state so {node} is not allowed to run any kind of job')
            return
    for job in world["jobs"]:
        if labels(job).get(OF) == name_of(upgrade) and not status(job).get("succeeded"):
            world.said.append(f"There are pending jobs: ({job['metadata']['namespace']}/{name_of(job)})")
            return
    world.add("jobs", made.node_job(upgrade, told.brings(upgrade)["harvester"], node, kind))
    told.put_node(world, upgrade, node, state)


def nodes(world: World) -> None:
    """A node has come back with the system that it was to bring."""
    for node in world["nodes"]:
        upgrade = _single(world) if PENDING in notes(node) else None
        if upgrade is None or told.node_state(upgrade, name_of(node)) != told.REBOOT or MACHINE not in notes(node):
            continue
        if notes(node)[PENDING] == status(node)["nodeInfo"]["osImage"]:
            told.put_node(world, upgrade, name_of(node), told.SUCCEEDED)
            if not status(upgrade).get("singleNode"):
                _answer(world, node, POST, drain.POST)
            del notes(node)[PENDING]
