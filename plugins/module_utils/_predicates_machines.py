# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Machines of CAPI against Nodes, and what their plan secrets say: an orphan stops Rancher's planner."""

from __future__ import annotations

import base64
import json
import typing as t
from collections import Counter

from . import _orphans, _promotion
from ._found import JSON, Answer, Found, Predicate, Unknown
from ._going import seen_of
from ._orphans import condition, labels, meta, name_of, notes, status

PLAN, INIT = "rke.cattle.io/machine-plan", "rke.cattle.io/init-node"
LABEL = "cluster.x-k8s.io/cluster-name"
JOINED, URL = "rke.cattle.io/joined-to", "rke.cattle.io/join-url"


def _node_of(machine: JSON) -> str:
    return str((status(machine).get("nodeRef") or {}).get("name") or "")


def _plans(seen: t.Mapping[str, t.Sequence[JSON]]) -> list[JSON]:
    return [secret for secret in seen["secrets"] if secret.get("type") == PLAN]


def orphans(state: JSON) -> Answer:
    """Machines whose Node is not there; one that has had none yet may still join."""
    seen = seen_of(state)
    nodes = {name_of(node) for node in seen["nodes"]}
    for machine in seen["capi"]:
        node = _node_of(machine)
        if node and node not in nodes:
            deleted = meta(machine).get("deletionTimestamp")
            said = f"{name_of(machine)}: phase {status(machine).get('phase')}, nodeRef {node}"
            yield Found(node, {"machine": name_of(machine), "node": node},
                        (said, *([f"being deleted since {deleted}"] if deleted else [])))  # fmt: skip


def missing(state: JSON) -> Answer:
    """Nodes without a Machine."""
    seen = seen_of(state)
    known = {_node_of(machine) for machine in seen["capi"]}
    machines = {name_of(machine) for machine in seen["capi"]}
    for node in seen["nodes"]:
        if name_of(node) not in known and notes(node).get(_orphans.MACHINE_OF_NODE) not in machines:
            named = notes(node).get(_orphans.MACHINE_OF_NODE) or "none"
            yield Found(name_of(node), {"node": name_of(node)}, (f"{len(seen['capi'])} Machines, {len(seen['nodes'])} "
                                                                f"Nodes; its Node names {named}",))  # fmt: skip


def twice(state: JSON) -> Answer:
    """Nodes with more than one Machine."""
    seen = seen_of(state)
    mine: dict[str, list[str]] = {}
    for machine in seen["capi"]:
        mine.setdefault(_node_of(machine), []).append(name_of(machine))
    for node in seen["nodes"]:
        name, own = name_of(node), notes(node).get(_orphans.MACHINE_OF_NODE)
        others = sorted(set(mine.get(name, ())) - {own})
        if len(mine.get(name, ())) > 1:
            yield Found(name, {"node": name, "machines": mine[name], "others": others}, (f"the Node names {own}",))


def plans(state: JSON) -> Answer:
    """Machines that have not exactly one plan secret: Harvester's upgrade demands it."""
    seen = seen_of(state)
    count = Counter(labels(secret).get(_orphans.MACHINE_NAME) for secret in _plans(seen))
    for machine in seen["capi"]:
        if count[name_of(machine)] != 1:
            names = [name_of(s) for s in _plans(seen) if labels(s).get(_orphans.MACHINE_NAME) == name_of(machine)]
            item = {"machine": name_of(machine), "count": count[name_of(machine)], "secrets": names}
            yield Found(_node_of(machine) or None, item)


def init_node(state: JSON) -> Answer:
    """Rancher's first node: `what` is wrong with it."""
    seen = seen_of(state)
    machines = {name_of(machine): _node_of(machine) for machine in seen["capi"]}
    ready = {name_of(node) for node in seen["nodes"] if condition(node, "Ready") == "True"}
    marked = [labels(s).get(_orphans.MACHINE_NAME) or "" for s in _plans(seen) if labels(s).get(INIT) == "true"]
    if not _plans(seen):
        return
    if not marked:
        yield Found(None, {"what": "No plan secret is marked as the one of the init node"})
    elif len(marked) > 1:
        yield Found(None, {"what": f"{len(marked)} Machines are marked as the init node: {', '.join(marked)}"})
    for machine in marked:
        if machine not in machines:
            yield Found(None, {"what": f"The init node is Machine {machine}, which is not there any more"})
        elif machines[machine] and machines[machine] not in ready:
            node = machines[machine]
            yield Found(node, {"what": f"The init node is {node} (Machine {machine}), which is not Ready"})


def joined(state: JSON) -> Answer:
    """Machines that are joined to a server that is none any more: its removal waits for them."""
    seen = seen_of(state)
    urls = {notes(secret).get(URL) for secret in _plans(seen)}
    machines = {name_of(machine): _node_of(machine) for machine in seen["capi"]}
    for secret in _plans(seen):
        to = notes(secret).get(JOINED)
        if to and to not in urls:
            node = machines.get(labels(secret).get(_orphans.MACHINE_NAME) or "") or None
            yield Found(node, {"node": node or name_of(secret), "to": to}, (f"{name_of(secret)}: {JOINED} {to}",))


def probes(state: JSON) -> Answer:
    """Parts of a server that Rancher's agent on it finds unhealthy."""
    seen = seen_of(state)
    machines = {name_of(machine): _node_of(machine) for machine in seen.get("capi", ())}
    for secret in _plans(seen):
        told = _decoded((secret.get("data") or {}).get("probe-statuses"))
        bad = sorted(name for name, its in told.items() if isinstance(its, dict) and not its.get("healthy"))
        node = machines.get(labels(secret).get(_orphans.MACHINE_NAME) or "") or None
        if bad:
            yield Found(node, {"node": node or name_of(secret), "bad": bad}, (f"{name_of(secret)}: probe-statuses",))


def kubeconfig(state: JSON) -> Answer:
    """The Secret by which CAPI reaches the cluster; of Secrets a support bundle has only those of plans."""
    found = [s for s in seen_of(state)["secrets"] if name_of(s) == "local-kubeconfig"]
    if found and labels(found[0]).get(LABEL) != "local":
        has = ", ".join(labels(found[0])) or "none"
        yield Found(None, {"what": f"lacks the label {LABEL}=local"}, (f"labels: {has}",))
    elif not found and (state.get("source") or {}).get("kind") == "live":
        yield Found(None, {"what": "is missing: see the pods of Rancher in cattle-system"})
    elif not found:
        yield Unknown(None, "local-kubeconfig is not among what was read")


def _controllers(only: bool) -> Predicate:
    """only: kube-controller-manager and kube-scheduler, whose own certificates end unseen."""
    own = {"kube-controller-manager", "kube-scheduler"}

    def answer(state: JSON) -> Answer:
        for found in probes(state):
            if isinstance(found, Found) and (set(found.item["bad"]) <= own) == only:
                yield found

    return answer


def _decoded(text: str | None) -> JSON:
    try:
        found = json.loads(base64.b64decode(text or "") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def promotion(state: JSON) -> Answer:
    """Nodes whose promotion to a server does not come to its end."""
    seen = seen_of(state)
    for node in seen["nodes"]:
        outlook = _promotion.outlook(name_of(node), seen["nodes"], seen["jobs"])
        if outlook.cause and outlook.cause.name.startswith("promotion"):
            item = {"node": name_of(node), "why": outlook.cause.why, "repair": outlook.cause.next}
            yield Found(name_of(node), item, (outlook.seen,))


NAMED: dict[str, Predicate] = {
    "machine_orphans": orphans,
    "machine_missing": missing,
    "machine_twice": twice,
    "machine_plans": plans,
    "machine_init_node": init_node,
    "machine_joined": joined,
    "machine_probes": _controllers(False),
    "machine_probes_controllers": _controllers(True),
    "machine_promotion": promotion,
    "capi_kubeconfig": kubeconfig,
}
