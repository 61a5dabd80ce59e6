# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows and steps that both distributions share."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable

from lab import faults
from lab.objects import objects, write_objects
from lab.progress import LabError, wait_for
from lab.supervisor.distro import DISTROS
from tests.conformance.table import (
    Check,
    Situation,
    Stage,
    fact,
    gateway,
    health,
    noted,
    nothing,
    output,
    ready,
    says,
    unit,
    voters,
)

SUCCESS = ("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and "
           "delete ${datadir}/server/db on each peer etcd server and rejoin the nodes")
OBJECTS = 20


def up(stage: Stage) -> None:
    """Make the cluster and write objects into it."""
    stage.lab.up()
    stage.notes["objects"] = json.dumps(write_objects(stage.lab, OBJECTS))


def kube_system(stage: Stage) -> str:
    """UID of the namespace kube-system as the first server's API has it."""
    return stage.lab.kubectl(stage.lab.servers[0], "get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}").out


def objects_there(id: str = "objects") -> Check:
    """Everything that was written at the start can be read."""
    def probe(stage: Stage) -> tuple[bool, str]:
        try:
            seen = objects(stage.lab)
        except LabError as error:
            return False, str(error)[:200]
        return seen == json.loads(stage.notes["objects"]), f"{len(seen)} of {OBJECTS} objects"
    return fact(id, probe, 60)


def snapshot_whole(stage: Stage) -> tuple[bool, str]:
    """The stream of the gateway is a database with its sha256 at the end."""
    code, text = stage.gateway(stage.lab.servers[0], "maintenance/snapshot", timeout=20)
    if code != "200":
        return False, f"{code} {text[:200]}"
    data = b"".join(base64.b64decode(json.loads(line)["result"].get("blob", "")) for line in text.splitlines())
    return len(data) % 512 == 32 and hashlib.sha256(data[:-32]).digest() == data[-32:], f"{len(data)} bytes"


def jsonpath(id: str, host: str, what: str, path: str, *texts: str, within: float = 30) -> Check:
    """kubectl get WHAT -o jsonpath=PATH prints all of this."""
    def probe(stage: Stage) -> tuple[bool, str]:
        done = stage.lab.kubectl(host, "get", *what.split(), "-o", f"jsonpath={path}")
        return done.rc == 0 and all(text in done.out for text in texts), (done.out or done.err)[:300] or "nothing"
    return fact(id, probe, within)


def servers(distro: str) -> tuple[str, str, str]:
    """Names of the three servers."""
    letter = "r" if distro == "rke2" else "n"
    return f"{letter}1", f"{letter}2", f"{letter}3"


def power_off(*hosts: str) -> Callable[[Stage], None]:
    """The power of these hosts is cut."""
    def do(stage: Stage) -> None:
        for host in hosts:
            faults.power_off(stage.lab, host)
    return do


def power_on(*hosts: str) -> Callable[[Stage], None]:
    """These hosts are switched on; their units start by themselves."""
    def do(stage: Stage) -> None:
        for host in hosts:
            faults.power_on(stage.lab, host)
    return do


def leaderless_checks(distro: str) -> tuple[Check, ...]:
    """What the survivor shows whose etcd has been running since before the loss."""
    one, two, three = servers(distro)
    return (
        health(one, False),
        unit(one, "active", SubState="running", NRestarts="0"),
        gateway("gateway-status", one, "maintenance/status", '"errors":["etcdserver: no leader"]', '"cluster_id"',
                '"raftAppliedIndex"', without=('"leader"',)),
        gateway("gateway-members", one, "cluster/member/list", *(f'"name":"{name}-' for name in (one, two, three))),
        fact("gateway-snapshot", snapshot_whole),
        output("kubectl-hangs", one, f"timeout 5 kubectl --kubeconfig {DISTROS[distro].kubeconfig} get nodes", rc=124,
               within=60),
    )


def run_reset(stage: Stage, arguments: str, limit: float = 180) -> None:
    """Run the reset on the first server in the foreground and note what it said."""
    done = stage.sh(stage.lab.servers[0], f"{stage.distro} server {arguments} 2>&1", limit)
    stage.notes["reset"] = f"rc={done.rc}\n{done.out}"


def reset_is_over(distro: str) -> tuple[Check, ...]:
    """What holds after the first normal start after a reset."""
    one, two, three = servers(distro)
    return (
        unit(one, "active", SubState="running", within=180),
        says("messages", one, "Starting etcd for existing cluster member", "Connection to etcd is ready",
             "Bootstrap key already exists", f"{distro} is up and running"),
        output("reset-flag-gone", one, "ls $D/server/db", without=("reset-flag",)),
        output("readyz", one, f"kubectl --kubeconfig {DISTROS[distro].kubeconfig} get --raw /readyz", "ok"),
        voters(one, one),
        health(one, True),
        fact("new-cluster-id", lambda stage: (
            stage.cluster_id(one) not in ("", stage.notes["cluster"]), f"cluster {stage.cluster_id(one)}")),
        fact("same-kube-system", lambda stage: (kube_system(stage) == stage.notes["kube-system"], kube_system(stage))),
        objects_there(),
        output("all-nodes-known", one, f"kubectl --kubeconfig {DISTROS[distro].kubeconfig} get nodes", one, two, three),
    )


def peers_aside(stage: Stage) -> None:
    """Peers are fenced, their datastores moved aside, and both units started at the same moment."""
    one, *peers = stage.lab.servers
    for host in peers:
        stage.sh(host, f"systemctl stop {stage.lab.spec.unit(host)}; {stage.distro}-killall.sh >/dev/null 2>&1; "
                       "mv $D/server/db/etcd $D/server/db/etcd-aside", 120).ok(f"fence {host}")
    for host in peers:
        stage.sh(host, f"systemctl start --no-block {stage.lab.spec.unit(host)}").ok(f"start {host}")
    _promote_all(stage, one, peers)


def _promote_all(stage: Stage, one: str, peers: list[str]) -> None:
    """Promote learners through the gateway, once the second peer has been told to wait; note all that is seen."""
    seen: list[str] = []
    waited = False
    begun = time.monotonic()

    def probe() -> tuple[bool, str]:
        nonlocal waited
        rows = stage.members(one)
        learners = [row for row in rows if row.get("isLearner")]
        state = " ".join(sorted(f"{row.get('name') or '(unstarted)'}{':learner' if row.get('isLearner') else ''}"
                                for row in rows))
        if state and (not seen or seen[-1] != state):
            seen.append(state)
        waited = waited or any("too many learner members" in stage.journal(host) for host in peers)
        # Should the second one come too late to be told so, the first must not wait for it for ever.
        if learners and (waited or time.monotonic() - begun > 60):
            code, text = stage.gateway(one, "cluster/member/promote", json.dumps({"ID": learners[0]["ID"]}))
            if code == "200":
                stage.notes["promoted"] = f"200 {text}"
        return len(rows) == 3 and not learners, state or "no answer"

    wait_for(f"{stage.distro}: three voters", probe, 240, poll=0.5)
    stage.notes["learners"] = "\n".join(seen)
    stage.notes["second peer"] = "".join(stage.journal(host) for host in peers)


def rejoin_checks(distro: str) -> tuple[Check, ...]:
    """What two servers show that join at the same moment."""
    one, two, three = servers(distro)
    return (
        noted("learner-first", "learners", ":learner"),
        fact("one-learner-at-a-time", lambda stage: (
            all(line.count(":learner") < 2 for line in stage.notes["learners"].splitlines()),
            stage.notes["learners"])),
        noted("second-waits", "second peer",
              "Waiting for other members to finish joining etcd cluster: etcdserver: too many learner members in "
              "cluster"),
        noted("promoted-through-gateway", "promoted", "200 ", '"cluster_id"'),
        *(says(f"messages-{host}", host, "Managed etcd cluster not yet initialized", f"Adding member {host}-",
               "to etcd cluster [", "Connection to etcd is ready", "Bootstrap key already exists",
               f"{distro} is up and running", within=180) for host in (two, three)),
        *(unit(host, "active", within=180) for host in (two, three)),
        voters(one, one, two, three),
    )


def end_checks(distro: str, *agents: str) -> tuple[Check, ...]:
    """What a recovered cluster shows."""
    names = servers(distro)
    one = names[0]

    def same_cluster(stage: Stage) -> tuple[bool, str]:
        seen = {stage.cluster_id(host) for host in names}
        return len(seen) == 1 and not seen & {"", stage.notes["cluster"]}, f"clusters {seen}"

    def endpoints(stage: Stage) -> tuple[bool, str]:
        done = stage.lab.kubectl(one, "-n", "default", "get", "endpoints", "kubernetes", "-o",
                                 "jsonpath={.subsets[*].addresses[*].ip}")
        ips = {stage.lab.spec.host(host).ip for host in names}
        return set(done.out.split()) == ips, done.out or done.err[:200]

    return (
        *(health(host, True) for host in names),
        *(unit(host, "active", SubState="running") for host in names),
        voters(one, *names),
        fact("one-cluster-id", same_cluster),
        ready(one, *names, *agents),
        fact("kubernetes-endpoints", endpoints, 60),
        jsonpath("kubernetes-port", one, "-n default endpoints kubernetes", "{.subsets[*].ports[*].port}", "6443"),
        *(jsonpath(f"voter-condition-{host}", one, f"node {host}", '{.status.conditions[?(@.type=="EtcdIsVoter")]}',
                   '"status":"True"', within=60) for host in names),
        objects_there(),
        *(output(f"no-flags-{host}", host, "ls -A $D $D/server/db; ls $D/server/db/etcd", "member", "name",
                 without=("reset-flag", "force-restart", "tombstone")) for host in names),
    )


def stale_peers(distro: str, log: str) -> Situation:
    """A peer comes back with its datastore of the old cluster; `log` prints its etcd's log."""
    one, two, three = servers(distro)
    return Situation(
        "stale-peer", "k3s-overlapped-rejoin.txt", f"{two} and {three} are switched on with their old datastores",
        power_on(two, three), (
            says("messages", two, "Managed etcd cluster bootstrap already complete and initialized",
                 "Successfully reconciled with remote datastore", "Starting etcd for existing cluster member"),
            output("cluster-id-mismatch", two, log, "cluster ID mismatch", within=90),
            health(two, False),
            unit(two, "activating", NRestarts="0", holds=3),
            health(one, True),
            voters(one, one, id="survivor-alone"),
        ))


def rejoin(distro: str, transcript: str) -> Situation:
    """Both peers join at once."""
    return Situation("rejoin", transcript, "both peers are fenced, lose db/etcd and are started at the same moment; "
                     "learners are promoted through the gateway", peers_aside, rejoin_checks(distro))


def end(distro: str, transcript: str, *agents: str) -> Situation:
    """The recovered cluster."""
    return Situation("end", transcript, "nothing more", nothing, end_checks(distro, *agents))
