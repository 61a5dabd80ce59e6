# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Why a host does not get on that joins a Harvester, and what to type next (facts/harvester.md 3.2, 3.3, 7)."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

BEFORE_READY = ("registered", "running", "ready")
UNPAUSE = (
    "kubectl patch clusters.cluster.x-k8s.io -n fleet-local local --type merge -p "
    """'{"spec":{"paused":false}}'"""
)
SYMPTOMS = {
    "token": r"insecure cacerts download from [^ ]*: EOF|missing HMAC header|response hash",
    "vip": r"insecure cacerts download from [^ ]*: .*(no route|refused|timeout|deadline|unreachable)",
    "password": r"Node password rejected",
    "supervisor": r"127\.0\.0\.1:6444/cacerts.*refused",
    "old_secret": r"secret received was too old",
}
"""Word -> lines in the logs of rancherd, Rancher's agent and RKE2, in a form that grep -E knows too."""
INIT = re.compile(r"init node|entirely replaced", re.IGNORECASE)
"""Words of Rancher's planner when no server is left that the others could join."""


class Cause(t.NamedTuple):
    """One known reason."""

    name: str
    why: str
    next: str
    """What to type."""
    final: bool = False
    """It does not pass by itself, so waiting is over."""


@dataclass(frozen=True)
class Facts:
    """What a cause is found by."""

    name: str
    stage: str
    machine: str = ""
    stale: tuple[str, ...] = ()
    """Machines that have the host's Node and are not its own."""
    node: bool = False
    node_silent: bool = False
    """The host answers, and the Node of its name has stopped to report."""
    password: bool = False
    """One is stored that is older than the Machine of this host."""
    symptoms: tuple[str, ...] = ()
    version: str = ""
    installed: str = ""
    capi: t.Mapping[str, t.Any] | None = None
    planner: tuple[str, ...] = ()
    longhorn: bool = True


def symptoms(text: str) -> tuple[str, ...]:
    """Words of log lines, each once."""
    return tuple(word for word, pattern in SYMPTOMS.items() if re.search(pattern, text))


def cause(seen: Facts) -> Cause | None:
    """The first that applies to the open stage; the surest come first."""
    return next(filter(None, (rule(seen) for rule in RULES)), None)


def _version(seen: Facts) -> Cause | None:
    if seen.stage not in BEFORE_READY or not seen.version or not seen.installed:
        return None
    if seen.installed.removeprefix("v") == seen.version.removeprefix("v"):
        return None
    return Cause(
        "version",
        f"{seen.name} was installed as Harvester {seen.installed}; the cluster is {seen.version}.",
        f"Install it again from the ISO of {seen.version}: there is no join across versions.",
        final=True,
    )


def _token(seen: Facts) -> Cause | None:
    if seen.stage != "registered" or "token" not in seen.symptoms:
        return None
    return Cause(
        "token",
        "Its rancherd is not let in at the VIP: its token is not the cluster's (or the VIP belongs to something else).",
        f"requorum join-config {seen.name}, and install it with the new config.yaml. In place: correct token and "
        "server in /oem/90_custom.yaml and /etc/rancher/rancherd/config.yaml, then systemctl restart rancherd.",
        final=True,
    )


def _vip(seen: Facts) -> Cause | None:
    if seen.stage != "registered" or "vip" not in seen.symptoms:
        return None
    return Cause(
        "vip",
        "Its rancherd does not reach the VIP.",
        f"On {seen.name}: curl -k https://VIP/ping. Look at its network and at VLAN and bond of config.yaml; on the "
        "servers at the pods of kube-vip in harvester-system.",
    )


def _password(seen: Facts) -> Cause | None:
    if seen.stage not in ("running", "ready"):
        return None
    rejected, kept = "password" in seen.symptoms, seen.password and not seen.node
    if not rejected and not kept:
        return None
    return Cause(
        "password",
        f"A password of an older host {seen.name} is stored"
        + (", and RKE2 rejects the one of this host." if rejected else ", while there is no Node of this name."),
        f"kubectl delete secret -n kube-system {seen.name}.node-password.rke2; its agent tries again by itself.",
        final=rejected,
    )


def _stale(seen: Facts) -> Cause | None:
    if seen.stage not in BEFORE_READY or not (seen.stale or seen.node_silent):
        return None
    left = [*(f"Machine {name}" for name in seen.stale), *([f"Node {seen.name}"] if seen.node_silent else [])]
    return Cause(
        "stale",
        f"Of an older host {seen.name} there is still: {', '.join(left)}.",
        "Let the old one go: playbooks/purge_orphans.yml with requorum_dead naming these Machines, or the Node where "
        "this host has not joined at all (docs/harvester-orphans.md).",
    )


def _paused(seen: Facts) -> Cause | None:
    if seen.stage not in ("registered", "running", "promoted", "voter") or not (seen.capi or {}).get("paused"):
        return None
    braked = (seen.capi or {}).get("braked")
    return Cause(
        "paused",
        "The CAPI cluster fleet-local/local is paused"
        + (f" by the recovery {braked}" if braked else "")
        + ", so Rancher does nothing for machines.",
        "ansible-playbook playbooks/repair.yml --tags leftovers" if braked else UNPAUSE,
    )


def _planner(seen: Facts) -> Cause | None:
    said = next((line for line in seen.planner if INIT.search(line)), "")
    if seen.stage not in ("registered", "running", "promoted") or not said:
        return None
    return Cause(
        "init_node",
        f"Rancher's planner knows no server that others could join: {said}",
        "Let the Machines of dead servers go: playbooks/purge_orphans.yml; then the survivor is elected.",
    )


def _supervisor(seen: Facts) -> Cause | None:
    if seen.stage not in BEFORE_READY or "supervisor" not in seen.symptoms:
        return None
    return Cause(
        "supervisor",
        "The load balancer of its RKE2 has no server behind it (harvester#10520).",
        f"On {seen.name}: systemctl restart rke2-agent; look whether port 9345 of the servers and the VIP answers.",
    )


def _old_secret(seen: Facts) -> Cause | None:
    if seen.stage not in ("running", "promoted", "voter") or "old_secret" not in seen.symptoms:
        return None
    return Cause(
        "old_secret",
        "Rancher's agent on it takes no new plan (harvester#9351).",
        f"On {seen.name}: systemctl restart rancher-system-agent",
    )


def _longhorn(seen: Facts) -> Cause | None:
    if seen.stage != "storage" or seen.longhorn:
        return None
    return Cause(
        "no_longhorn",
        "Longhorn's definitions are missing, so no volume can be served by this cluster.",
        "If Longhorn was there before: playbooks/force_sync.yml for harvester-crd and harvester (docs/fleet.md).",
    )


RULES = (
    _version, _token, _vip, _password, _stale, _paused, _planner, _supervisor, _old_secret, _longhorn,
)  # fmt: skip


def hint(seen: Facts) -> str:
    """Where to look when no cause is known."""
    name, machine = seen.name, seen.machine or "NAME"
    return {
        "reachable": "Look at its console: has the installer ended, did it boot from its disk, has it its address?",
        "registered": f"On {name}: journalctl -u rancherd -n 50. `insecure cacerts download ... EOF` means a wrong "
        "token or VIP.",
        "running": f"kubectl describe machine -n fleet-local {machine}; on {name}: journalctl -u rancher-system-agent "
        "-u rke2-agent -n 50.",
        "ready": f"kubectl describe node {name}; on {name}: journalctl -u rke2-agent -n 50.",
        "storage": f"kubectl get pods -n longhorn-system -o wide --field-selector spec.nodeName={name}; kubectl "
        f"describe nodes.longhorn.io -n longhorn-system {name}.",
        "promoted": f"kubectl logs -n harvester-system job/harvester-promote-{name}; kubectl describe machine -n "
        "fleet-local.",
        "voter": f"On {name}: journalctl -u rancher-system-agent -u rke2-server -n 50.",
    }[seen.stage]
