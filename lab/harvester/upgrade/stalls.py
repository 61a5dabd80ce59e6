# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which an upgrade stands still, by name; facts/harvester.md 1.3, 1.4, 7A, 7B.

Most are asked for where they happen (`World.stalls`); those that change an object from outside are done here.
"""

from __future__ import annotations

import copy

from lab.harvester import drain, objects
from lab.harvester.kinds import PLAN_SECRET
from lab.harvester.upgrade import told
from lab.harvester.upgrade.hooks import PRE
from lab.harvester.upgrade.obstacles import obstacles
from lab.harvester.upgrade.rancher import going
from lab.harvester.upgrade.seen import MACHINE_NAME, World, labels, name_of, notes, status

STALLS: dict[str, str] = {
    "log-not-ready": "0: LogReady Unknown; pod fluentd waits: ImagePullBackOff (harvester#7955)",
    "image-stuck": "1: ImageReady Unknown; progress of the image stands still (#3123)",
    "repo-not-ready": "1: RepoReady Unknown; VM upgrade-repo-* is Starting, its pod is not ready (#4246)",
    "suc-applying": "2: the plan has status.applying, and there is no job (#9880)",
    "prepare-slow": "2: a job runs and runs; its log repeats that a download failed",
    "prepare-deadline": "2: the job Failed: DeadlineExceeded; the node too, and NodesUpgraded is False (#2894)",
    "capi-provisioning": "3: the CAPI cluster is Provisioning, Updated waits for probes (#3863)",
    "apply-bundle": "3: bundle mcc-harvester is ErrApplied; the log repeats it",
    "planner-silent": "4: all nodes are Images preloaded, and Rancher asks for no drain; Updated says why (#5206)",
    "restarted": "4: Images preloaded, while hooks of an earlier try are answered on the plan secret (#7392)",
    "predrain-volume": "4: Pre-draining; the log waits for a volume to be healthy",
    "predrain-vms": "4: Pre-draining; the log waits for live-migration or shutdown",
    "predrain-pdb": "4: Pre-draining; the log waits for the evacuation PDB",
    "node-failed": "4: the pre-drain job Failed; so the node, NodesUpgraded, Completed",
    "two-plan-secrets": "4: Pre-drained, but pre-hook is not written: two plan secrets for the Machine",
    "pre-hook-unanswered": "4: Pre-drained, the job is Complete, but pre-hook is not written",
    "drain-pdb": "4: Pre-drained, pre-hook written; Rancher cannot evict: drain-error (#7366)",
    "postdrain-rke2": "4: Post-draining; the log waits for RKE2; kubelet is the old one (#8593)",
    "postdrain-elemental": "4: Post-draining; elemental fails, again after 10 minutes (#7457)",
    "reboot-old-image": "4: Waiting Reboot; the node is Ready with the old osImage (#7457)",
    "reboot-silent": "4: Waiting Reboot; the node is not Ready (#6432)",
    "post-hook-unanswered": "4: the node Succeeded, but post-hook is not written: it stays cordoned (#8593)",
    "node-removed": "4: a node that is gone stays in nodeStatuses; it ends never",
}
"""Name -> phase: what is seen. One of a node is about that of its value, or about the first that gets there."""
GONE = "n9"
"""The node of `node-removed`, when no other is named."""


def spoil(world: World) -> None:
    """Stalls that come from outside; done once, they stay."""
    upgrade = going(world)
    if upgrade is None:
        return
    obstacles(world, upgrade)
    if "node-removed" in world.faults:
        nodes = status(upgrade).setdefault("nodeStatuses", {})
        gone = world.faults["node-removed"] or GONE
        if gone not in nodes and not world.one("nodes", gone):
            nodes[gone] = {"state": told.PRELOADED}
    for secret in [each for each in world["secrets"] if each.get("type") == PLAN_SECRET]:
        node = world.node(labels(secret).get(MACHINE_NAME, ""))
        first = labels(secret).get("rke.cattle.io/init-node") == "true"
        if "restarted" in world.faults and node == (world.faults["restarted"] or (node if first else "")):
            told_before = (drain.OPTIONS, drain.PRE, drain.DONE, drain.POST, PRE)
            notes(secret).update({**dict.fromkeys(told_before, objects.DRAIN), drain.UNCORDON: "true"})
        if world.stalls("two-plan-secrets", node) and not name_of(secret).startswith("old-") and first:
            twin = copy.deepcopy({key: value for key, value in secret.items() if key != "metadata"})
            meta = {"name": f"old-{name_of(secret)}", "namespace": objects.FLEET}
            marks = {key: value for key, value in labels(secret).items() if key != "rke.cattle.io/init-node"}
            if not world.one("secrets", meta["name"]):
                world.add("secrets", {**twin, "metadata": {**meta, "labels": marks}})
