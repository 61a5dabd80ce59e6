# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node is drained: by CAPI when its Machine is deleted, by Rancher when a plan secret asks for it.

Rancher's part is that of ra:pkg/controllers/capr/machinedrain: it moves by the annotations of the plan secret alone,
and looks at no pause. It is the planner that does, which writes `drain-options` and `uncordon`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.kinds import MACHINES, NODES, PLAN_SECRET, PODS, SECRETS
from lab.harvester.play import settle

JSON = dict[str, Any]
_WORDS = ("drain-options", "pre-drain", "post-drain", "drain-done", "uncordon")
OPTIONS, PRE, POST, DONE, UNCORDON = (f"rke.cattle.io/{word}" for word in _WORDS)


def evict(api: _api.Api, node: str) -> bool:
    """Ask every pod to go that a drain takes away; whether none is left."""
    pods = api.items(PODS, fields=f"spec.nodeName={node}") or []
    left = [pod for pod in pods if _goes(pod)]
    for pod in left:
        if not pod["metadata"].get("deletionTimestamp"):
            api.delete(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
    return not left


def _goes(pod: Mapping[str, Any]) -> bool:
    meta = pod["metadata"]
    static = "kubernetes.io/config.mirror" in (meta.get("annotations") or {})
    daemon = any(owner.get("kind") == "DaemonSet" for owner in meta.get("ownerReferences") or ())
    return not static and not daemon and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def next_step(notes: Mapping[str, str]) -> tuple[str, dict[str, str | None]]:
    """What is due by the annotations of a plan secret: (cordon, drain, uncordon or nothing, annotations to write).

    A hook is done when its annotation is, letter by letter, what it was asked with.
    """
    options = notes.get(OPTIONS, "")
    asked = json.loads(options) if options else {}

    def done(which: str) -> bool:
        return all(notes.get(hook["annotation"]) == options for hook in asked.get(which) or ())

    if options and notes.get(DONE) != options:
        if asked.get("preDrainHooks") and notes.get(PRE) != options:
            return "cordon", {PRE: options}
        if not done("preDrainHooks"):
            return "cordon", {}
        return ("drain" if asked.get("enabled") else "cordon"), {DONE: options}
    if not notes.get(UNCORDON):
        return "", {}
    if asked.get("postDrainHooks") and notes.get(POST) != options:
        return "", {POST: options}
    if not done("postDrainHooks"):
        return "", {}
    hooks = [hook["annotation"] for which in ("preDrainHooks", "postDrainHooks") for hook in asked.get(which) or ()]
    return "uncordon", dict.fromkeys((OPTIONS, PRE, POST, DONE, UNCORDON, *hooks))


def machine_drain(api: _api.Api) -> None:
    """One step for each plan secret."""
    machines = {item["metadata"]["name"]: item for item in api.items(MACHINES, objects.FLEET) or ()}
    for secret in api.items(SECRETS, objects.FLEET) or ():
        meta = secret["metadata"]
        machine = machines.get((meta.get("labels") or {}).get("rke.cattle.io/machine-name", ""))
        if secret.get("type") != PLAN_SECRET or meta.get("deletionTimestamp") or machine is None:
            continue
        what, notes = next_step(meta.get("annotations") or {})
        name = str(((machine.get("status") or {}).get("nodeRef") or {}).get("name") or "")
        node = api.get(NODES, name) if name and what else None
        if node:
            settle(api, NODES, node, {"spec": {"unschedulable": None if what == "uncordon" else True}})
        if what != "drain" or not node or evict(api, name):
            settle(api, SECRETS, secret, {"metadata": {"annotations": notes}})
