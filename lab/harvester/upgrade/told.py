# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Upgrade says of itself: conditions, states, node states (hv:pkg/controller/master/upgrade/common.go)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from lab.harvester import objects
from lab.harvester.upgrade.seen import STATE, World, condition, labels, status

JSON = dict[str, Any]
PRELOADING, PRELOADED = "Images preloading", "Images preloaded"
PRE_DRAINING, PRE_DRAINED = "Pre-draining", "Pre-drained"
POST_DRAINING, REBOOT = "Post-draining", "Waiting Reboot"
SUCCEEDED, FAILED = "Succeeded", "Failed"


def put(world: World, item: JSON, kind: str, value: str, reason: str = "", message: str = "") -> None:
    """Set a condition as wrangler does: one that is Unknown from the start bears no time."""
    found = status(item).setdefault("conditions", [])
    entry = next((each for each in found if each["type"] == kind), None)
    if entry is None:
        entry = {"type": kind, "status": "Unknown"}
        found.append(entry)
    if (entry["status"], entry.get("message", "")) != (value, message):
        entry["lastUpdateTime"] = world.stamp
    entry |= {"status": value, "reason": reason, "message": message}
    for word in ("reason", "message"):
        if not entry[word]:
            del entry[word]


def settle(world: World, upgrade: JSON, kind: str, value: str, reason: str = "", message: str = "") -> None:
    """A condition of a phase, and what the whole upgrade is by it."""
    put(world, upgrade, kind, value, reason, message)
    if all(condition(upgrade, each) == "True" for each in ("SystemServicesUpgraded", "NodesUpgraded")):
        put(world, upgrade, "Completed", "True")
        labels(upgrade)[STATE] = SUCCEEDED
    phases = ("ImageReady", "RepoReady", "SystemServicesUpgraded", "NodesUpgraded")
    if any(condition(upgrade, each) == "False" for each in phases):
        put(world, upgrade, "Completed", "False")
        labels(upgrade)[STATE] = FAILED


def fail(world: World, upgrade: JSON, why: str) -> None:
    """It has ended before its time; why stands in the reason, as upstream writes it."""
    labels(upgrade)[STATE] = FAILED
    put(world, upgrade, "Completed", "False", why)


def node_state(upgrade: Mapping[str, Any], node: str) -> str:
    """State of a node in an Upgrade; or empty."""
    found = ((upgrade.get("status") or {}).get("nodeStatuses") or {}).get(node) or {}
    return str(found.get("state") or "")


def put_node(
    world: World, upgrade: JSON, node: str, state: str, reason: str = "", message: str = ""
) -> None:
    """State of a node. One that failed, be it in phase 2, makes NodesUpgraded False."""
    nodes = status(upgrade).setdefault("nodeStatuses", {})
    told = {key: value for key, value in (("state", state), ("reason", reason), ("message", message)) if value}
    if nodes.get(node) == told:
        return
    nodes[node] = told
    if state == FAILED:
        settle(world, upgrade, "NodesUpgraded", "False", reason, message)
    elif labels(upgrade).get(STATE) == "UpgradingNodes" and all(each["state"] == SUCCEEDED for each in nodes.values()):
        settle(world, upgrade, "NodesUpgraded", "True")


def brings(upgrade: Mapping[str, Any]) -> dict[str, str]:
    """What is in the ISO, by status.repoInfo."""
    text = (upgrade.get("status") or {}).get("repoInfo") or ""
    return dict((yaml.safe_load(text) or {}).get("release") or {})


def repo_info(release: objects.Release) -> str:
    """status.repoInfo, as yaml.v3 writes it."""
    return str(yaml.safe_dump({"release": release.file}, sort_keys=False, indent=4))


def numbers(version: str) -> tuple[int, ...]:
    """`v1.3.2` -> (1, 3, 2)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def refusal(upgrade: JSON, release: objects.Release) -> str:
    """Why this hop is not allowed, in the words of the version that runs; before v1.4.0 it looks at no downgrade."""
    skip = (upgrade["metadata"].get("annotations") or {}).get("harvesterhci.io/skip-version-check") or ""
    now = str(status(upgrade).get("previousVersion") or "")
    old, oldest = numbers(now), numbers(release.oldest)
    if skip.lower() in ("true", "1", "t"):
        return ""
    if old < (1, 4, 0):
        why = f"The current version {now} is less than the minimum upgradable version {release.oldest}."
        return why if old < oldest else ""
    if old == numbers(release.harvester):
        return ""
    if numbers(release.harvester) < old:
        return "downgrading is prohibited"
    return "current version does not meet minimum upgrade requirement" if old < oldest else ""
