# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a healthy first server shows ({rke2,k3s}-healthy-*.txt), whichever distribution it is."""

from __future__ import annotations

import hashlib
import json

from lab.supervisor.distro import DISTROS
from tests.conformance.common import jsonpath, kube_system, servers, snapshot_whole
from tests.conformance.table import Check, Stage, fact, gateway, health, modes, noted, output, unit


def note_and_save(stage: Stage) -> None:
    """Note what a recovery must bring back, and take a snapshot."""
    first = stage.lab.servers[0]
    stage.notes["cluster"] = stage.cluster_id(first)
    stage.notes["kube-system"] = kube_system(stage)
    done = stage.sh(first, f"{stage.distro} etcd-snapshot save --name taken")
    stage.notes["save"] = f"rc={done.rc} {done.out}{done.err}"


def _ca_hash(stage: Stage) -> tuple[bool, str]:
    host, port = stage.lab.servers[0], stage.lab.spec.supervisor.supervisor_port
    done = stage.sh(host, f"curl -sk -m 5 https://127.0.0.1:{port}/cacerts; cat $D/server/token")
    certificate, _, token = done.out.rpartition("K10")
    return token[:64] == hashlib.sha256(certificate.encode()).hexdigest(), f"{token[:12]}... of {certificate[:30]!r}"


def _own_name(stage: Stage) -> tuple[bool, str]:
    host = stage.lab.servers[0]
    prefix = f"etcd.{stage.distro}.cattle.io"
    node = json.loads(stage.lab.kubectl(host, "get", "node", host, "-o", "json").out or "{}").get("metadata", {})
    name = stage.sh(host, "cat $D/server/db/etcd/name").out
    seen = (node.get("annotations", {}).get(f"{prefix}/node-name"), node.get("annotations", {}).get(
        f"{prefix}/node-address"), sorted(node.get("finalizers", [])))
    return seen == (name, stage.lab.spec.host(host).ip, ["wrangler.cattle.io/managed-etcd-controller",
                                                         "wrangler.cattle.io/node"]), f"{seen}, name {name!r}"


def checks(distro: str) -> tuple[Check, ...]:
    """What a healthy first server shows, whichever distribution it is."""
    one, two, three = servers(distro)
    program, port = DISTROS[distro], DISTROS[distro].supervisor_port
    return (
        unit(one, "active", SubState="running", Result="success", NRestarts="0"),
        output("version", one, f"{distro} --version", f"{distro} version {program.version} ("),
        modes("files", one),
        output("token-links", one, "readlink $D/server/node-token; cat $D/server/token",
               f"{program.data_dir}/server/token\nK10", "::server:"),
        output("etcd-config", one, "cat $D/server/db/etcd/config",
               "election-timeout: 5000", "heartbeat-interval: 500", "snapshot-count: 10000",
               "experimental-initial-corrupt-check: true", "listen-client-http-urls: https://127.0.0.1:2382",
               "listen-metrics-urls: http://127.0.0.1:2381", f"name: {one}-"),
        health(one, True),
        gateway("gateway-status", one, "maintenance/status", '"leader"', '"cluster_id"', '"raftAppliedIndex"',
                '"storageVersion":"3.6.0"', without=("errors",)),
        gateway("gateway-members", one, "cluster/member/list", *(f'"name":"{name}-' for name in (one, two, three)),
                without=("isLearner",)),
        gateway("gateway-alarms", one, "maintenance/alarm", '"cluster_id"', without=("NOSPACE", "CORRUPT")),
        fact("gateway-snapshot", snapshot_whole),
        output("ping", one, f"curl -sk -m 5 https://127.0.0.1:{port}/ping", "pong"),
        fact("cacerts-hash-is-in-token", _ca_hash),
        output("readyz", one, f"kubectl --kubeconfig {program.kubeconfig} get --raw /readyz", "ok"),
        output("kubectl", one, f"{distro} kubectl --kubeconfig {program.kubeconfig} get nodes",
               "Ready    control-plane,etcd"),
        fact("node-metadata", _own_name),
        jsonpath("node-voter", one, f"node {one}", '{.status.conditions[?(@.type=="EtcdIsVoter")]}',
                 '"status":"True"', "MemberNotLearner", "Node is a voting member of the etcd cluster", within=45),
        jsonpath("node-labels", one, f"node {one}", "{.metadata.labels}",
                 '"node-role.kubernetes.io/control-plane":"true"', '"node-role.kubernetes.io/etcd":"true"'),
        jsonpath("node-pod-cidr", one, f"node {one}", "{.spec.podCIDR}", "10.42."),
        jsonpath("node-args", one, f"node {one}", "{.metadata.annotations}", f"{distro}.io/node-args"),
        noted("snapshot-save", "save", "rc=0 ", f"Snapshot taken-{one}-", " saved."),
        output("snapshot-ls", one, f"{distro} etcd-snapshot ls 2>/dev/null", "Name ", "Location", "Size", "Created",
               f"taken-{one}-", f"file://{program.data_dir}/server/db/snapshots/taken-{one}-"),
        output("snapshot-mode", one, "ls -l $D/server/db/snapshots", "-rw------- 1 root root"),
        jsonpath("snapshot-object", one, "etcdsnapshotfiles.k3s.cattle.io", "{.items[*].spec.snapshotName}",
                 f"taken-{one}-"),
        output("kubelet-answers-the-api", one,
               f"kubectl --kubeconfig {program.kubeconfig} get --raw /api/v1/nodes/{one}/proxy/healthz", "ok"),
    )
