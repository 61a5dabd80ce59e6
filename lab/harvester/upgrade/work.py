# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who works for an upgrade beside Harvester: logging, Longhorn's download, KubeVirt, the system upgrade controller."""

from __future__ import annotations

import hashlib
from typing import Any

from lab.harvester import objects
from lab.harvester.kinds import ready
from lab.harvester.upgrade import made, told
from lab.harvester.upgrade.hooks import PLANNED
from lab.harvester.upgrade.seen import (
    COMPONENT,
    LOG,
    OF,
    World,
    condition,
    digest,
    labels,
    name_of,
    notes,
    status,
)

JSON = dict[str, Any]
TAINT = {"key": "kubevirt.io/drain", "value": "draining", "effect": "NoSchedule"}
STUCK_AT = 37
SIZE = 6_000_000_000


def sha512(version: str) -> str:
    """Checksum of the ISO that the lab has of a version."""
    return hashlib.sha512(f"harvester {version}".encode()).hexdigest()


def workers(world: World) -> None:
    """One look of each; a Job that begins says its first line at the next one."""
    logging(world)
    download(world)
    repo(world)
    suc(world)


def logging(world: World) -> None:
    """The logging operator brings fluentd, or cannot pull it (harvester#7955)."""
    for log in world["upgradelogs"]:
        if condition(log, "InfraReady") == "True":
            continue
        stuck = world.stalls("log-not-ready")
        if not stuck:
            _unbound(world, OF, log["spec"]["upgradeName"])
        if stuck or world.old(log):
            waits = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
            entry = {"name": "fluentd", "ready": not stuck, "restartCount": 0, "image": "fluentd", "imageID": "",
                     "state": {"waiting": waits} if stuck else {"running": {}}}  # fmt: skip
            pod = world.add("pods", _log_pod(log, "" if stuck else _free(world)))
            status(pod).update({"phase": "Pending" if stuck else "Running", "containerStatuses": [entry]})
        if not stuck and world.old(log):
            told.put(world, log, "InfraReady", "True")


def _unbound(world: World, key: str, value: str) -> None:
    """A pod that stood still was bound to no node, where a kubelet would have run it: it is made anew."""
    for pod in [each for each in world["pods"] if labels(each).get(key) == value and not each["spec"].get("nodeName")]:
        world.drop("pods", pod)


def _log_pod(log: JSON, node: str) -> JSON:
    return {
        "metadata": {"name": f"{name_of(log)}-infra-fluentd-0", "namespace": objects.SYSTEM,
                     "labels": {"app.kubernetes.io/name": "fluentd", OF: log["spec"]["upgradeName"]}},
        "spec": {"automountServiceAccountToken": False, **({"nodeName": node} if node else {}),
                 "containers": [{"name": "fluentd", "image": "fluentd", "command": ["sleep", "infinity"]}]},
    }  # fmt: skip


def download(world: World) -> None:
    """Longhorn downloads the ISO and looks at its checksum."""
    for image in world["images"]:
        version = (world.one("upgrades", labels(image).get(OF, "")) or {"spec": {}})["spec"].get("version", "")
        if not version or condition(image, "Imported") in ("True", "False"):
            continue
        if not condition(image, "Initialized"):
            told.put(world, image, "Initialized", "True", "Initialized")
            told.put(world, image, "Imported", "Unknown", "Importing")
            status(image).update({"storageClassName": f"longhorn-{name_of(image)}", "progress": 0, "size": SIZE})
        elif world.stalls("image-stuck") or not world.old(image):
            status(image)["progress"] = STUCK_AT
        elif why := _damaged(version, image["spec"].get("checksum", "")):
            _refuse(world, image, why)
        else:
            status(image)["progress"] = 100
            told.put(world, image, "Imported", "True", "Imported")


def _damaged(version: str, checksum: str) -> str:
    if version not in objects.RELEASES:
        return "the image server answers 404 Not Found"
    has = sha512(version)
    return f"the expected checksum {checksum} doesn't match the file actual checksum {has}" if (
        checksum and checksum != has) else ""  # fmt: skip


def _refuse(world: World, image: JSON, why: str) -> None:
    """Four times; since v1.4.1 each is told, before that only the last (vm_image_controller.go, handleFail)."""
    tries = image["spec"].get("retry", 3)
    status(image)["failed"] = tries + 1
    status(image)["lastFailedTime"] = world.stamp
    version = world.one("config", "server-version") or {}
    told_all = told.numbers(str(version.get("value") or "")) >= (1, 4, 1)
    words = f"retry attempted {tries}/{tries} failed due to error: {why}" if told_all else why
    limit = words if told_all else "VMImage has reached the specified retry limit"
    told.put(world, image, "RetryLimitExceeded", "True", "", limit)
    told.put(world, image, "Imported", "False", "Importing", words)


def repo(world: World) -> None:
    """KubeVirt starts the machine that serves the ISO, and takes it to another node when its own is drained."""
    for vm in [each for each in world["vms"] if labels(each).get(COMPONENT) == "repo"]:
        guest = world.one("guests", name_of(vm))
        if guest is None:
            guest = world.add("guests", made.repo_guest(vm, _free(world)))
            status(vm).update({"printableStatus": "Starting", "created": True})
        node = world.one("nodes", status(guest)["nodeName"])
        target = _free(world)
        if node is None or any(each.get("key") == TAINT["key"] for each in node["spec"].get("taints") or ()):
            for pod in [each for each in world["pods"] if labels(each).get("harvesterhci.io/vmName") == name_of(vm)]:
                world.drop("pods", pod)
            status(guest)["nodeName"] = labels(guest)["kubevirt.io/nodeName"] = target
        stuck = world.stalls("repo-not-ready")
        if not stuck:
            _unbound(world, "harvesterhci.io/vmName", name_of(vm))
        pod = world.add("pods", made.repo_pod(guest, "" if stuck else status(guest)["nodeName"]))
        serves = not stuck and world.old(pod)
        entry = {"name": "compute", "ready": serves, "restartCount": 0, "image": "virt-launcher", "imageID": "",
                 "state": {"running": {}}}  # fmt: skip
        status(pod).update({"phase": "Pending" if stuck else "Running", "containerStatuses": [entry]})
        if serves:
            status(vm).update({"printableStatus": "Running", "ready": True})


def _free(world: World) -> str:
    """A node that takes pods; or the first of all."""
    spoken = ("unschedulable", "taints")
    able = [each for each in world["nodes"] if ready(each) and not any(each["spec"].get(word) for word in spoken)]
    found = able or world["nodes"]
    return name_of(found[0]) if found else ""


def suc(world: World) -> None:
    """The system upgrade controller: a Job on each node, and a label on the node when it is done."""
    for plan in world["plans"]:
        if not labels(plan).get(OF):
            continue
        version = plan["spec"]["version"]
        status(plan).update({"latestVersion": version, "latestHash": digest([name_of(plan), version], 56)})
        chosen = plan["spec"]["nodeSelector"]["matchLabels"].items()
        label, latest = PLANNED + name_of(plan), status(plan)["latestHash"]
        todo = sorted(name_of(n) for n in world["nodes"]
                      if chosen <= labels(n).items() and labels(n).get(label) != latest)  # fmt: skip
        for node in (applying := todo[: plan["spec"]["concurrency"]]):
            if not world.stalls("suc-applying", node):
                _prepare(world, plan, node)
        status(plan)["applying"] = [node for node in applying if labels(_node(world, node)).get(label) != latest]


def _node(world: World, name: str) -> JSON:
    return world.one("nodes", name) or {"metadata": {}}


def _prepare(world: World, plan: JSON, node: str) -> None:
    job = world.add("preparing", made.plan_job(plan, node))
    pod = world.add("pods", made.job_pod(job, node))
    if made.ended(job):
        return
    if not status(job).get("startTime"):
        made.runs(world, job)
        status(pod)["phase"] = "Running"
        return
    say(pod, *_prepare_lines(world, plan, node))
    if world.stalls("prepare-deadline", node) and world.old(job):
        made.ends(world, job, failed="DeadlineExceeded", message="Job was active longer than specified deadline")
        status(pod)["phase"] = "Failed"
    elif world.old(job) and not world.stalls("prepare-slow", node):
        made.ends(world, job)
        status(pod)["phase"] = "Succeeded"
        found = world.one("nodes", node)
        if found:
            labels(found)[PLANNED + name_of(plan)] = status(plan)["latestHash"]


def _prepare_lines(world: World, plan: JSON, node: str) -> list[str]:
    name = plan["spec"]["version"]
    url = f"http://upgrade-repo-{name}.harvester-system/harvester-iso/bundle/harvester-images-v1.tar.zst"
    file = "/host/var/lib/rancher/rke2/agent/images/harvester-images-v1.tar.zst"
    if labels(plan).get(COMPONENT) == "cleanup":
        return []
    if world.stalls("prepare-slow", node) or world.stalls("prepare-deadline", node):
        return [f'Downloading the file from "{url}" to "{file}"...',
                f'Failed to download the requested file from "{url}" to "{file}" with error code: 28, retrying (7)...']
    return ["Importing common images from repo...", f'Downloading the file from "{url}" to "{file}"...']


def say(pod: JSON, *lines: str) -> None:
    """Lines of a log; one that is said again and again stands there once, as the last."""
    have = [line for line in notes(pod).get(LOG, "").split("\n") if line]
    have += [line for line in dict.fromkeys(lines) if line not in have]
    if lines and have[-1] != lines[-1]:
        have.append(lines[-1])
    notes(pod)[LOG] = "\n".join(have[-60:])
