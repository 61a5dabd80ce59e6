# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one phase to the next, as Harvester's upgrade controller goes (upgrade_controller.go, OnChanged)."""

from __future__ import annotations

from typing import Any

from lab.harvester import objects
from lab.harvester.upgrade import made, told
from lab.harvester.upgrade.seen import LATEST, OF, STATE, World, condition, labels, name_of, notes, status

JSON = dict[str, Any]
INTERVAL, RAISED = "replica-replenishment-wait-interval", 1800
SAVED = f"harvesterhci.io/{INTERVAL}"
PURGED = "harvesterhci.io/image-cleanup-plan-completed"
FINALIZER = "wrangler.cattle.io/harvester-upgrade-controller"
"""Held until OnRemove has run: a deleted Upgrade is cleaned up too."""
HOOKS = {"preDrainHooks": [{"annotation": "harvesterhci.io/pre-hook"}],
         "postDrainHooks": [{"annotation": "harvesterhci.io/post-hook"}]}  # fmt: skip


def upgrades(world: World) -> None:
    """One look at every Upgrade."""
    for upgrade in list(world["upgrades"]):
        if upgrade["metadata"].get("deletionTimestamp"):
            cleanup(world, upgrade, jobs=True)
            _collect(world, name_of(upgrade))
            held = upgrade["metadata"].get("finalizers") or []
            upgrade["metadata"]["finalizers"] = [each for each in held if each != FINALIZER]
        else:
            _on_changed(world, upgrade)


def _on_changed(world: World, upgrade: JSON) -> None:
    if not condition(upgrade, "Completed"):
        _begin(world, upgrade)
    elif condition(upgrade, "LogReady") in ("True", "False") and not condition(upgrade, "ImageReady"):
        _image(world, upgrade)
    elif labels(upgrade).get(LATEST) != "true":
        return
    elif condition(upgrade, "Completed") == "True":
        _purge(world, upgrade)
    elif condition(upgrade, "Completed") == "False":
        cleanup(world, upgrade, jobs=False)
    else:
        _phases(world, upgrade)


def _begin(world: World, upgrade: JSON) -> None:
    upgrade["metadata"].setdefault("finalizers", [FINALIZER])
    for other in world["upgrades"]:
        labels(other).pop(LATEST, None)
    put = told.put
    put(world, upgrade, "Completed", "Unknown")
    labels(upgrade).update({STATE: "PreparingLoggingInfra", LATEST: "true"})
    version = world.one("config", "server-version") or {}
    status(upgrade)["previousVersion"] = str(version.get("value") or "")
    if not (upgrade.get("spec") or {}).get("logEnabled", True):
        why = "Upgrade observability is administratively disabled"
        put(world, upgrade, "LogReady", "False", "Disabled", why)
        labels(upgrade)[STATE] = "LoggingInfraPrepared"
        return
    status(upgrade)["upgradeLog"] = name_of(world.add("upgradelogs", made.log(upgrade)))
    put(world, upgrade, "LogReady", "Unknown")


def _image(world: World, upgrade: JSON) -> None:
    wanted = str((upgrade.get("spec") or {}).get("version") or "")
    version = world.one("versions", wanted)
    if version is None:
        told.fail(world, upgrade, f'versions.harvesterhci.io "{wanted}" not found')
        return
    image = world.add("images", made.image(upgrade, version))
    status(upgrade)["imageID"] = f"{objects.SYSTEM}/{name_of(image)}"
    told.put(world, upgrade, "ImageReady", "Unknown")


def _phases(world: World, upgrade: JSON) -> None:
    def follows(before: str, kind: str) -> bool:
        return condition(upgrade, before) == "True" and not condition(upgrade, kind)

    if follows("ImageReady", "RepoReady"):
        world.add("vms", made.repo_vm(upgrade))
        labels(upgrade)[STATE] = "PreparingRepo"
        told.put(world, upgrade, "RepoReady", "Unknown")
    elif follows("RepoReady", "NodesPrepared"):
        _prepare(world, upgrade)
    elif follows("NodesPrepared", "SystemServicesUpgraded"):
        world.add("jobs", made.manifests_job(upgrade, told.brings(upgrade)["harvester"]))
        labels(upgrade)[STATE] = "UpgradingSystemServices"
        told.put(world, upgrade, "SystemServicesUpgraded", "Unknown")
    elif follows("SystemServicesUpgraded", "NodesUpgraded"):
        _nodes(world, upgrade)


def _prepare(world: World, upgrade: JSON) -> None:
    release = objects.RELEASES[upgrade["spec"]["version"]]
    status(upgrade)["singleNode"] = name_of(world["nodes"][0]) if len(world["nodes"]) == 1 else ""
    if why := told.refusal(upgrade, release):
        told.fail(world, upgrade, why)
        return
    world.add("plans", made.plan(upgrade, "prepare", "node", 1))
    labels(upgrade)[STATE] = "PreparingNodes"
    status(upgrade)["repoInfo"] = told.repo_info(release)
    told.put(world, upgrade, "NodesPrepared", "Unknown")


def _nodes(world: World, upgrade: JSON) -> None:
    info, single = told.brings(upgrade), str(status(upgrade).get("singleNode") or "")
    if single:
        world.add("jobs", made.node_job(upgrade, info["harvester"], single, made.SINGLE))
    else:
        setting = world.one("settings", INTERVAL)
        if setting and int(setting.get("value") or 0) < RAISED:
            notes(upgrade)[SAVED], setting["value"] = str(setting["value"]), str(RAISED)
        wanted(world, info["kubernetes"])
    labels(upgrade)[STATE] = "UpgradingNodes"
    told.put(world, upgrade, "NodesUpgraded", "Unknown")


def wanted(world: World, version: str) -> None:
    """Rancher shall bring this RKE2, one node after the other, with drain and hooks."""
    for cluster in world["provisioning"]:
        cluster["spec"]["kubernetesVersion"] = version
        config = cluster["spec"].setdefault("rkeConfig", {})
        config["provisionGeneration"] = int(config.get("provisionGeneration") or 0) + 1
        drain = {"enabled": True, "force": True, "ignoreDaemonSets": True, "deleteEmptyDirData": True, **HOOKS}
        config["upgradeStrategy"] = {
            "controlPlaneConcurrency": "1", "workerConcurrency": "1",
            "controlPlaneDrainOptions": drain, "workerDrainOptions": drain,
        }  # fmt: skip


def _purge(world: World, upgrade: JSON) -> None:
    """Images that nobody needs any more are taken off the nodes, then everything else goes."""
    if PURGED in notes(upgrade):
        cleanup(world, upgrade, jobs=True)
    elif world.one("vms", made.repo(upgrade)):
        nodes = len(status(upgrade).get("nodeStatuses") or ())
        world.add("plans", made.plan(upgrade, "cleanup", "cleanup", nodes))


def cleanup(world: World, upgrade: JSON, *, jobs: bool) -> None:
    """What goes with an upgrade that has ended, or is deleted. Rancher keeps the version, and forgets drain and hooks.

    Annotations of plan secrets stay, and charts stay paused: facts/harvester.md 1.4.
    """
    if vm := world.one("vms", made.repo(upgrade)):
        world.drop("vms", vm)
    for kind in ("guests", "pods"):
        for item in [i for i in world[kind] if labels(i).get("harvesterhci.io/vmName") == made.repo(upgrade)]:
            world.drop(kind, item)
    if image := world.one("images", name_of(upgrade)):
        world.drop("images", image)
    for cluster in world["provisioning"]:
        config = cluster["spec"].get("rkeConfig") or {}
        kept = {key: config[key] for key in ("provisionGeneration", "registries") if key in config}
        cluster["spec"]["rkeConfig"] = kept
        if condition(cluster, "Updated") == "Unknown":
            told.put(world, cluster, "Updated", "True")
    for plan in [each for each in world["plans"] if labels(each).get(OF) == name_of(upgrade)]:
        for job in [each for each in world["preparing"] if labels(each).get(made.PLAN) == name_of(plan)]:
            if jobs:
                _drop_job(world, job)
        world.drop("plans", plan)
    setting = world.one("settings", INTERVAL)
    if setting and not status(upgrade).get("singleNode") and SAVED in notes(upgrade):
        setting["value"] = notes(upgrade)[SAVED]


def _drop_job(world: World, job: JSON, kind: str = "preparing") -> None:
    for pod in [each for each in world["pods"] if labels(each).get("job-name") == name_of(job)]:
        world.drop("pods", pod)
    world.drop(kind, job)


def _collect(world: World, name: str) -> None:
    """The garbage collector: what a deleted Upgrade owned. A job of phase 3 ends so in its midst."""
    for job in [each for each in world["jobs"] if labels(each).get(OF) == name]:
        _drop_job(world, job, "jobs")
    for log in [each for each in world["upgradelogs"] if labels(each).get(OF) == name]:
        world.drop("upgradelogs", log)
