# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that an upgrade makes, with upstream's names and labels (hv:pkg/controller/master/upgrade)."""

from __future__ import annotations

from typing import Any

from lab.harvester import objects
from lab.harvester.upgrade.seen import COMPONENT, MANAGED, OF, SUC, World, digest, labels, name_of, safe, status

JSON = dict[str, Any]
TYPE, ON_NODE = "harvesterhci.io/upgradeJobType", "harvesterhci.io/node"
PLAN, PLAN_NODE = "upgrade.cattle.io/plan", "upgrade.cattle.io/node"
PRE_DRAIN, POST_DRAIN, SINGLE = "pre-drain", "post-drain", "single-node-upgrade"
DEADLINE = 3600
KEPT = 604800


def _owner(item: JSON) -> list[JSON]:
    meta = item["metadata"]
    return [{"apiVersion": item["apiVersion"], "kind": item["kind"], "name": meta["name"], "uid": meta.get("uid", "")}]


def image(upgrade: JSON, version: JSON) -> JSON:
    """The ISO as an image that Longhorn downloads."""
    name, spec = name_of(upgrade), version.get("spec") or {}
    return {
        "metadata": {"name": name, "namespace": objects.SYSTEM, "labels": {OF: name},
                     "ownerReferences": _owner(upgrade)},
        "spec": {"displayName": f"{name}-{upgrade['spec']['version']}", "sourceType": "download", "retry": 3,
                 "url": spec.get("isoURL", ""), "checksum": spec.get("isoChecksum", "")},
    }  # fmt: skip


def log(upgrade: JSON) -> JSON:
    """UpgradeLog."""
    name = name_of(upgrade)
    return {
        "metadata": {"name": safe(name, "upgradelog"), "namespace": objects.SYSTEM, "labels": {OF: name},
                     "ownerReferences": _owner(upgrade)},
        "spec": {"upgradeName": name},
    }  # fmt: skip


def repo(upgrade: JSON) -> str:
    """Name of the VM out of which nodes read the ISO."""
    return f"upgrade-repo-{name_of(upgrade)}"


def repo_vm(upgrade: JSON) -> JSON:
    """That VM."""
    name, of = repo(upgrade), name_of(upgrade)
    marks = {"harvesterhci.io/creator": "harvester", OF: of, COMPONENT: "repo"}
    template = {"metadata": {"labels": {**marks, "harvesterhci.io/vmName": name}}, "spec": {
        "domain": {}, "evictionStrategy": "LiveMigrateIfPossible",
        "volumes": [{"name": "disk-0", "persistentVolumeClaim": {"claimName": f"{name}-disk-0"}}]}}  # fmt: skip
    return {
        "metadata": {"name": name, "namespace": objects.SYSTEM, "labels": marks, "ownerReferences": _owner(upgrade),
                     "annotations": {"harvesterhci.io/removedPersistentVolumeClaims": f"{name}-disk-0"}},
        "spec": {"running": True, "template": template},
    }  # fmt: skip


def repo_guest(vm: JSON, node: str) -> JSON:
    """It runs on a node."""
    template = vm["spec"]["template"]
    marks = {**template["metadata"]["labels"], "kubevirt.io/nodeName": node}
    return {
        "metadata": {"name": name_of(vm), "namespace": objects.SYSTEM, "labels": marks, "ownerReferences": _owner(vm)},
        "spec": template["spec"], "status": {"phase": "Running", "nodeName": node},
    }  # fmt: skip


def repo_pod(guest: JSON, node: str) -> JSON:
    """The pod around it."""
    name = name_of(guest)
    marks = {"kubevirt.io": "virt-launcher", **{k: v for k, v in labels(guest).items() if k != "kubevirt.io/nodeName"}}
    return {
        "metadata": {"name": f"virt-launcher-{name}-{digest([name, node])}", "namespace": objects.SYSTEM,
                     "labels": marks, "ownerReferences": _owner(guest)},
        "spec": _pod(node, "compute", "virt-launcher", ["sleep", "infinity"], []),
    }  # fmt: skip


def plan(upgrade: JSON, word: str, component: str, concurrency: int) -> JSON:
    """A plan of the system upgrade controller, `prepare` or `cleanup`."""
    name = name_of(upgrade)
    return {
        "metadata": {"name": f"{name}-{word}", "namespace": SUC, "labels": {OF: name, COMPONENT: component}},
        "spec": {
            "concurrency": concurrency, "version": name, "serviceAccountName": "system-upgrade-controller",
            **({"jobActiveDeadlineSecs": DEADLINE} if component == "node" else {}),
            "nodeSelector": {"matchLabels": {MANAGED: "true"}},
            "upgrade": {"image": f"rancher/harvester-upgrade:{status(upgrade).get('previousVersion')}",
                        "command": ["do_upgrade_node.sh"], "args": [word],
                        "env": [{"name": "HARVESTER_UPGRADE_NAME", "value": name}]}},
    }  # fmt: skip


def plan_job(made: JSON, node: str) -> JSON:
    """Job of a plan on a node, as the system upgrade controller names it."""
    name, has = name_of(made), status(made)["latestHash"]
    marks = {PLAN: name, PLAN_NODE: node, "upgrade.cattle.io/version": status(made)["latestVersion"],
             "upgrade.cattle.io/controller": "system-upgrade-controller"}  # fmt: skip
    spec = made["spec"]
    pod = _pod(node, "upgrade", spec["upgrade"]["image"], [*spec["upgrade"]["command"]],
               spec["upgrade"].get("args") or [], spec["upgrade"].get("env") or ())  # fmt: skip
    deadline = {"activeDeadlineSeconds": spec["jobActiveDeadlineSecs"]} if "jobActiveDeadlineSecs" in spec else {}
    return {
        "metadata": {"name": safe("apply", name, "on", node, "with", has), "namespace": SUC, "labels": marks,
                     "annotations": {"upgrade.cattle.io/ttl-seconds-after-finished": "900"},
                     "ownerReferences": _owner(made)},
        "spec": {"backoffLimit": 99, **deadline, "template": {"metadata": {"labels": dict(marks)}, "spec": pod}},
    }  # fmt: skip


def node_job(upgrade: JSON, version: str, node: str, word: str) -> JSON:
    """Job of a hook, or that of a cluster of one node."""
    name = name_of(upgrade)
    marks = {OF: name, COMPONENT: "node", TYPE: word}
    env = [{"name": "HARVESTER_UPGRADE_NAME", "value": name}, {"name": "HARVESTER_UPGRADE_NODE_NAME", "value": node}]
    pod = _pod("", "apply", f"rancher/harvester-upgrade:{version}", ["do_upgrade_node.sh"], [word], env)
    host = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    needs = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [host]}}
    pod["affinity"] = {"nodeAffinity": needs}
    return _job(upgrade, safe(name, word, node), {**marks, ON_NODE: node}, marks, pod)


def manifests_job(upgrade: JSON, version: str) -> JSON:
    """Job of phase 3."""
    name, marks = name_of(upgrade), {OF: name_of(upgrade), COMPONENT: "manifest"}
    env = [{"name": "HARVESTER_UPGRADE_NAME", "value": name}]
    pod = _pod("", "apply", f"rancher/harvester-upgrade:{version}", ["upgrade_manifests.sh"], [], env)
    return _job(upgrade, safe(name, "apply-manifests"), marks, marks, pod)


def _job(upgrade: JSON, name: str, marks: JSON, of_pod: JSON, pod: JSON) -> JSON:
    return {
        "metadata": {"name": name, "namespace": objects.SYSTEM, "labels": marks, "ownerReferences": _owner(upgrade)},
        "spec": {"ttlSecondsAfterFinished": KEPT, "template": {"metadata": {"labels": dict(of_pod)}, "spec": pod}},
    }  # fmt: skip


def _pod(node: str, name: str, image: str, command: list[str], args: list[str], env: Any = ()) -> JSON:
    container = {"name": name, "image": image, "command": command, "args": args, "env": [*env]}
    return {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "tolerations": [{"operator": "Exists"}],
        "containers": [{key: value for key, value in container.items() if value}],
        **({"nodeName": node} if node else {}),
    }  # fmt: skip


def job_pod(job: JSON, node: str) -> JSON:
    """The pod of a Job on a node."""
    name, template = name_of(job), job["spec"]["template"]
    marks = {**template["metadata"]["labels"], "job-name": name, "batch.kubernetes.io/job-name": name}
    return {
        "metadata": {"name": f"{name}-{digest([name, node])}", "namespace": job["metadata"]["namespace"],
                     "labels": marks, "ownerReferences": _owner(job)},
        "spec": {**template["spec"], "nodeName": node},
    }  # fmt: skip


def runs(world: World, job: JSON) -> None:
    """The Job has begun."""
    status(job).update({"startTime": world.stamp, "active": 1, "ready": 1, "terminating": 0,
                        "uncountedTerminatedPods": {}})  # fmt: skip


def ends(world: World, job: JSON, *, failed: str = "", message: str = "") -> None:
    """The Job is Complete, or it has Failed for a reason."""
    kinds = ("FailureTarget", "Failed") if failed else ("SuccessCriteriaMet", "Complete")
    told = {"reason": failed, "message": message} if failed else {}  # Kubernetes tells why since 1.31 only
    moment = {"lastProbeTime": world.stamp, "lastTransitionTime": world.stamp}
    conditions = [{"type": kind, "status": "True", **told, **moment} for kind in kinds]
    done: JSON = {"failed": 1} if failed else {"succeeded": 1, "completionTime": world.stamp}
    status(job).update({"conditions": conditions, "active": 0, "ready": 0, **done})


def ended(job: JSON) -> str:
    """`Complete`, `Failed`, or empty while it works."""
    found = (job.get("status") or {}).get("conditions") or ()
    kinds = {each["type"] for each in found if each["status"] == "True"}
    return next((kind for kind in ("Complete", "Failed") if kind in kinds), "")
