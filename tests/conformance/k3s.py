# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""K3s: three servers n1 n2 n3 and an agent a1, from the first start through a lost quorum to the recovered cluster."""

from __future__ import annotations

from tests.conformance import common, healthy, tls
from tests.conformance.common import power_off
from tests.conformance.removal import REMOVAL
from tests.conformance.resets import CASES, case_situation, first_case
from tests.conformance.rotation import TOKENS
from tests.conformance.table import (
    Situation,
    Stage,
    fact,
    health,
    listening,
    output,
    processes,
    ready,
    restarts,
    says,
    unit,
    voters,
)

_PASSWORD = "/etc/rancher/node/password"


def _wipe(stage: Stage) -> None:
    stage.notes["old member"] = stage.sh("n3", "cat $D/server/db/etcd/name").out
    stage.sh("n3", "systemctl stop k3s; mv $D/server/db/etcd $D/server/db/etcd-gone; systemctl start --no-block k3s",
             120).ok("wipe n3")


def _delete_node(stage: Stage) -> None:
    stage.lab.kubectl("n1", "delete", "node", "n3", "--wait=false").ok("delete node n3")


def _other_password(stage: Stage) -> None:
    stage.sh("a1", f"echo 0123456789abcdef0123456789abcdef > {_PASSWORD}; systemctl stop k3s-agent; "
                   "systemctl start --no-block k3s-agent").ok("another password on a1")


def _delete_secret(stage: Stage) -> None:
    stage.lab.kubectl("n1", "-n", "kube-system", "delete", "secret", "a1.node-password.k3s").ok("delete secret")


def _empty_start(stage: Stage) -> None:
    first_case(stage)
    stage.notes["ca"] = stage.sh("n1", "sha256sum $D/server/tls/server-ca.crt").out.split()[0]
    stage.sh("n1", "rm -r $D/server/db/etcd; systemctl start --no-block k3s").ok("start n1")


def _start(stage: Stage) -> None:
    stage.sh("n1", "systemctl start --no-block k3s").ok("start n1")


def _one_process(stage: Stage) -> tuple[bool, str]:
    """The server, etcd and the API server are one process."""
    seen = stage.sh("n1", "pgrep -x 'k3s|k3s-server' | wc -l").out.strip()
    return seen == "1", f"{seen} processes called k3s"


SITUATIONS = (
    Situation("first-start", "k3s-join-n2.txt", "three servers and an agent are made and started, n1 before the others",
              common.up, (
        says("messages-n1", "n1", "Starting k3s v1.34.3+k3s1 (", "Managed etcd cluster initializing",
             "Password verified locally for node n1", "Starting etcd for new cluster, cluster-reset=false",
             "Server node token is available at /var/lib/rancher/k3s/server/token",
             "To join server node to cluster: k3s server -s https://", "Wrote kubeconfig /etc/rancher/k3s/k3s.yaml",
             "containerd is now running", "Connected to etcd v3.", "Connection to etcd is ready",
             "ETCD server is now running", "Saving cluster bootstrap data to datastore", "k3s is up and running"),
        says("messages-n2", "n2", "Managed etcd cluster not yet initialized", "Adding member n2-", "to etcd cluster [",
             "Failed to test etcd connection: failed to get etcd status: rpc error: code = Unavailable",
             "Connection to etcd is ready", "Bootstrap key already exists", "Kube API server is now running",
             "k3s is up and running"),
        *(unit(host, "active", NRestarts="0") for host in ("n1", "n2", "n3", "a1")),
        ready("n1", "n1", "n2", "n3", "a1"),
    )),
    Situation("healthy", "k3s-healthy-n1.txt", "a snapshot is taken", healthy.note_and_save, (
        *healthy.checks("k3s"),
        listening("ports", "n1", {
            **dict.fromkeys(("IP:2379", "IP:2380", "127.0.0.1:2379", "127.0.0.1:2380", "127.0.0.1:2381",
                             "127.0.0.1:2382", "127.0.0.1:6444", "127.0.0.1:10257", "127.0.0.1:10259",
                             "127.0.0.1:10248", "*:6443", "*:10250"), "k3s"), "127.0.0.1:10010": "containerd"}),
        fact("one-process", _one_process),
        output("loopback-certificate", "n1", "ls -l $D/server/tls/temporary-certs",
               "apiserver-loopback-client__.crt", "apiserver-loopback-client__.key"),
    )),
    Situation("wiped-member", "k3s-wiped-member-n3.txt",
              "quorum stands; n3 loses db/etcd and is started, its old member is still in the list", _wipe, (
        says("duplicate-name", "n3", "Managed etcd cluster not yet initialized",
             "Shutdown request received: etcd cluster join failed: duplicate node name found, please use a unique name "
             "for this node", "k3s.service: Failed with result 'protocol'.", within=90),
        restarts("crash-loops", "n3", 60),
        unit("n3", "activating"),
        output("db", "n3", "ls -l $D/server/db", "drwx------ 2 root root 4096", " etcd\n"),
        health("n1", True),
        voters("n1", "n1", "n2", "n3"),
    )),
    Situation("node-deleted", "k3s-wiped-member-n3.txt", "the Node object of n3 is deleted", _delete_node, (
        says("joins", "n3", "Adding member n3-", "to etcd cluster [", within=120),
        voters("n1", "n1", "n2", "n3", within=120),
        fact("old-member-gone", lambda stage: (
            stage.notes["old member"] not in str(stage.members("n1")), stage.notes["old member"])),
        unit("n3", "active", within=120),
        ready("n1", "n1", "n2", "n3", "a1", within=120),
    )),
    Situation("node-password", "k3s-node-password-a1.txt",
              f"a1 gets another {_PASSWORD} and its unit is started again", _other_password, (
        says("refused", "a1", "Waiting to retrieve agent configuration; server is not ready: "
             "/var/lib/rancher/k3s/agent/serving-kubelet.crt: Node password rejected, duplicate hostname or "
             f"contents of '{_PASSWORD}' may not match server node-passwd entry", within=60),
        unit("a1", "activating"),
        ready("n1", "n1", "n2", "n3", "a1", id="node-still-ready", within=10),
    )),
    Situation("node-password-deleted", "k3s-node-password-a1.txt", "its Secret is deleted", _delete_secret, (
        unit("a1", "active", within=60),
        common.jsonpath("secret-again", "n1", "-n kube-system secret a1.node-password.k3s", "{.data}", "hash"),
    )),
    *REMOVAL,
    tls.check("k3s", "k3s-certificates-n3.txt"),
    *tls.rotated("k3s", "k3s-certificates-n3.txt"),
    *tls.EMPTIED,
    *TOKENS,
    Situation("quorum-lost", "k3s-quorum-lost-n1.txt", "n2 and n3 lose power, n1 goes on", power_off("n3", "n2"), (
        *common.leaderless_checks("k3s"),
        restarts("crash-loops", "n1", 180),
    )),
    Situation("empty-start", "k3s-empty-start-n1.txt", "n1 is started normally without its db/etcd", _empty_start, (
        unit("n1", "active", within=120),
        says("messages", "n1", "Managed etcd cluster initializing",
             "Starting etcd for new cluster, cluster-reset=false", "Connection to etcd is ready"),
        fact("other-kube-system", lambda stage: (
            common.kube_system(stage) not in ("", stage.notes["kube-system"]), common.kube_system(stage)), 60),
        output("no-objects", "n1", "kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml get cm -l requorum=drill",
               "No resources found in default namespace."),
        fact("same-ca", lambda stage: (stage.sh("n1", "sha256sum $D/server/tls/server-ca.crt").out.startswith(
            stage.notes["ca"]), "another CA")),
        voters("n1", "n1"),
    )),
    *(case_situation(case) for case in CASES),
    Situation("start", "rke2-first-start-r1.txt", "the first normal start after the reset", _start,
              common.reset_is_over("k3s")),
    common.stale_peers("k3s", "journalctl -q -o cat -u k3s | grep 'ID mismatch' | tail -n 3"),
    common.rejoin("k3s", "k3s-overlapped-rejoin.txt"),
    Situation("end", "k3s-early-promote.txt", "nothing more", lambda _stage: None, (
        *common.end_checks("k3s", "a1"),
        processes("all-in-k3s", "n1", "k3s", "containerd", gone=("etcd", "kube-apiserver", "kubelet")),
    )),
)
