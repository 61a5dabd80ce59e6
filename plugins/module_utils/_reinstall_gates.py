# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What forbids that a living server leaves: quorum, data, Rancher, versions, other Nodes, virtual machines.

Afterwards etcd has two members and every volume a copy less, so what is not known counts as not healthy.
"""

from __future__ import annotations

import typing as t

from . import _machines, _orphans, _stale
from ._classify import Refusal
from ._orphans import JSON, condition, name_of, notes, spec, status
from ._reinstall_parts import It, listed, machines, skew, theirs

PROMOTE, JOB = "harvesterhci.io/promote-status", "harvester-promote-"


def forbidden(it: It, purge: t.Iterable[Refusal], *, begun: bool) -> t.Iterator[Refusal]:
    """All that forbids it. Once its Machine is gone, what is left has to go too: only quorum, data and VMs count."""
    yield from purge
    if it.stage == "gone" and not begun:
        yield Refusal(
            f"{it.node} has no Machine of Rancher.",
            it.node,
            "A server that Rancher does not manage is replaced by `requorum rejoin --replace`; a dead one is purged.",
        )
        return
    if not it.host:
        yield Refusal(
            f"{it.node} is no host of the inventory, so nobody could stop it.",
            it.node,
            "Add it to the servers of the inventory.",
        )
    elif it.stage != "gone" and not it.entry.get("reachable"):
        yield Refusal(
            f"{it.host} cannot be reached, so nobody could stop it.",
            it.host,
            "Bring it up; one that is dead is let go by playbooks/purge_orphans.yml.",
        )
    yield from _quorum(it)
    yield from _data(it)
    if it.stage != "gone":
        yield from _capi(it)
    if it.stage == "whole":
        yield from _versions(it)
        yield from _nodes(it)
    left = _machines.stopped(machines(it)[1], it.wish.stop)
    if left:
        yield Refusal(
            f"{listed(left)} on {it.node} would stop: it cannot migrate, or no other node takes it.",
            it.node,
            f"Shut it down or make it movable, or accept it: {_machines.OPTION}: [{', '.join(left)}].",
        )


def _quorum(it: It) -> t.Iterator[Refusal]:
    """Two other voters must answer, and agree on a leader; nobody may be on the way in."""
    if it.margin.fault:
        yield Refusal(f"etcd: {it.margin.fault}.", it.node, "Bring the servers back that do not answer: inspect.yml.")
        return
    mine = theirs(it.margin.members, it.node, it.addresses)
    if not mine and it.stage == "whole":
        yield Refusal(
            f"etcd lists no member of {it.node}.", it.node, "Look at the member list: `playbooks/inspect.yml` shows it."
        )
    others = it.margin.working - {member.id for member in mine}
    if len(others) < 2:
        yield Refusal(
            f"{len(others)} other voters work, and two are needed: etcd goes from three to two members.",
            it.node,
            "Let more servers join and become voters first, or bring back those that do not work: inspect.yml.",
        )
    _margin, why = it.margin.change([member.id for member in mine if not member.learner])
    if why:
        yield Refusal(f"{it.node} cannot leave now: {why}.", it.node, "Bring the servers back that do not work.")
    learners = [member.node or member.id for member in it.margin.members if member.learner and member not in mine]
    if learners:
        yield Refusal(
            f"{listed(learners)} is still a learner of etcd.", ", ".join(learners), "Wait until it is a voter."
        )


def _capi(it: It) -> t.Iterator[Refusal]:
    """Rancher takes its member out of etcd; it cannot while it stands still."""
    cluster = next((c for c in it.seen.get("clusters", ()) if name_of(c) == "local"), None)
    paused = cluster is None or bool(spec(cluster).get("paused")) or _orphans.PAUSED in notes(cluster)
    held = any(_orphans.PAUSED in notes(plane) for plane in it.seen.get("planes", ()))
    if cluster is None:
        yield Refusal("There is no CAPI cluster fleet-local/local.", it.node, "Look at Rancher: it removes the member.")
    elif paused or held:
        yield Refusal(
            "Rancher is paused: it could not take the member out of etcd.",
            "fleet-local/local",
            "End the recovery or the purge that has paused it, by the same command as before.",
        )


def _versions(it: It) -> t.Iterator[Refusal]:
    release = it.entry.get("harvester")
    if not it.wish.anyway and not skew(it.seen, it.item, release):
        unread = "" if release else " Its /etc/harvester-release.yaml was not read."
        yield Refusal(
            f"{it.node} has no skew: its OS, its RKE2 and the cluster are of one version.{unread}",
            it.node,
            "There is no reason to reinstall it. If you have one: requorum_reinstall_anyway: true.",
        )
    latest = _stale.upgrade(it.seen)
    if latest.works:
        yield Refusal(f"Upgrade {latest.name} goes on.", latest.name, "Wait until it has ended.")


def _nodes(it: It) -> t.Iterator[Refusal]:
    """Every other node is there, and nobody is being promoted, removed or added."""
    not_ready = sorted(name_of(node) for node in it.others if condition(node, "Ready") != "True")
    if not_ready:
        yield Refusal(
            f"{listed(not_ready)} is not Ready.", ", ".join(not_ready), "Bring it back, or purge it if it is dead."
        )
    if condition(it.item, "Ready") != "True":
        yield Refusal(
            f"{it.node} is not Ready, so it cannot be drained.",
            it.node,
            "Bring it back; one that is dead is let go by playbooks/purge_orphans.yml.",
        )
    nodes, jobs = it.seen.get("nodes", ()), it.seen.get("jobs", ())
    stuck = {name_of(node) for node in nodes if notes(node).get(PROMOTE) not in (None, "complete")}
    promoting = sorted(stuck | {name_of(job).removeprefix(JOB) for job in jobs if _runs(job)})
    if promoting:
        yield Refusal(
            f"The promotion of {listed(promoting)} has not ended well.",
            ", ".join(promoting),
            "Wait for it, or look at the job harvester-promote-<node> in harvester-system.",
        )
    moving = sorted(
        name_of(machine)
        for machine in it.seen.get("machines", ())
        if name_of(machine) not in it.dead.machines and status(machine).get("phase") != "Running"
    )
    if moving:
        yield Refusal(
            f"Machine {listed(moving)} is not Running.", ", ".join(moving), "Wait for it, or purge what is dead."
        )


def _runs(job: JSON) -> bool:
    ended = {condition(job, "Complete"), condition(job, "Failed")}
    return name_of(job).startswith(JOB) and "True" not in ended


def _data(it: It) -> t.Iterator[Refusal]:
    """For every volume another node has a healthy replica, and none is being built. Those of _orphans come on top."""
    if "volumes" not in it.seen:
        return
    copies = _orphans.healthy_copies(it.seen, [it.node])
    not_ready = sorted(
        name_of(n) for n in it.seen.get("storage", ()) if name_of(n) != it.node and condition(n, "Ready") != "True"
    )
    if not_ready and it.stage == "whole":
        yield Refusal(
            f"Longhorn's node {listed(not_ready)} is not Ready.", ", ".join(not_ready), "Bring it back, or purge it."
        )
    on_it = {spec(r).get("volumeName") for r in it.seen.get("replicas", ()) if spec(r).get("nodeID") == it.node}
    for volume in it.seen.get("volumes", ()):
        name, state = name_of(volume), str(status(volume).get("robustness") or "unknown")
        if name in it.wish.loss:
            continue
        if state == "faulted" or (not copies[name] and name not in on_it):
            yield Refusal(
                f"Longhorn volume {name} is {state} and has no healthy replica on another node.",
                name,
                f"Repair it, or give it up: requorum_accept_loss: [{name}].",
            )
    building = sorted(set(_rebuilt(it, copies)) - set(it.wish.loss))
    if building and it.stage == "whole":
        yield Refusal(
            f"Longhorn is rebuilding a replica of {listed(building)}.", ", ".join(building), "Wait until it has ended."
        )


def _rebuilt(it: It, copies: t.Mapping[str, t.Sequence[str]]) -> t.Iterator[str]:
    """Volumes that get a replica at this moment; one that was never attached has only new ones, and gets none."""
    for engine in it.seen.get("engines", ()):
        if "WO" in (status(engine).get("replicaModeMap") or {}).values():
            yield str(spec(engine).get("volumeName"))
    for replica in it.seen.get("replicas", ()):
        volume = str(spec(replica).get("volumeName"))
        if not spec(replica).get("healthyAt") and not spec(replica).get("failedAt") and copies.get(volume):
            yield volume
