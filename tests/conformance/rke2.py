# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RKE2: three servers r1 r2 r3, from their first start through a lost quorum to the recovered cluster."""

from __future__ import annotations

from lab.progress import wait_for
from tests.conformance import common, healthy, tls
from tests.conformance.common import SUCCESS, power_off, power_on
from tests.conformance.table import (
    Situation,
    Stage,
    closed,
    database,
    fact,
    health,
    listening,
    noted,
    output,
    processes,
    ready,
    says,
    unit,
)

_PODS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller")
_UNIT = "requorum-reset"
_SNAPSHOT = "/var/lib/rancher/offline.snap"
_RESET = f"--cluster-reset --cluster-reset-restore-path={_SNAPSHOT}"
# As a login shell and real hosts differ in INVOCATION_ID, the unit runs without it.
_TRANSIENT = (f"systemd-run --unit={_UNIT} --remain-after-exit --property=Type=exec --property=KillMode=mixed "
              "--property=RuntimeMaxSec=900 --property=TimeoutStopSec=30 /usr/bin/env -u INVOCATION_ID "
              f"/usr/local/bin/rke2 server --config=/run/requorum/reset.yaml {_RESET}")


def _etcd_pid(stage: Stage) -> str:
    return stage.sh("r1", "pgrep -x etcd").out.strip()


def _remove_pod(stage: Stage) -> None:
    stage.notes["etcd pid"] = _etcd_pid(stage)
    stage.sh("r1", "crictl rmp -f $(crictl pods -q --label component=etcd,tier=control-plane 2>/dev/null)").ok("rmp")


def _stop_r3(stage: Stage) -> None:
    """When its static pods run: they start one after another, long after the unit."""
    running = processes("pods", "r3", *_PODS)
    wait_for("the static pods of r3", lambda: running.probe(stage), 120)
    stage.sh("r3", "systemctl stop rke2-server").ok("stop r3")


def _reboot(stage: Stage) -> None:
    power_off("r1")(stage)
    power_on("r1")(stage)


def _fence(stage: Stage) -> None:
    """The fence of rke2-fence-frozen-kubelet-r1.txt."""
    power_off("r2")(stage)
    stage.sh("r1", """\
pkill -STOP -x kubelet; mv $D/agent/pod-manifests $D/agent/pod-manifests-aside
for c in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    for p in $(timeout 5 crictl pods -q --label component=$c,tier=control-plane 2>/dev/null); do
        timeout 10 crictl rmp -f $p >/dev/null 2>&1
    done
done
timeout 30 systemctl stop rke2-server""").ok("fence r1")


def _copy_and_reset(stage: Stage) -> None:
    stage.sh("r1", f"""\
umask 077; cp $D/server/db/etcd/member/snap/db {_SNAPSHOT}
sha256sum {_SNAPSHOT} | perl -ne 'print pack "H64", $_' >> {_SNAPSHOT}
mkdir -p /run/requorum; cp /etc/rancher/rke2/config.yaml /run/requorum/reset.yaml
cp $D/server/db/etcd/name /run/requorum/old-name""").ok("offline copy")
    common.run_reset(stage, _RESET)


def _kill_reset(stage: Stage) -> None:
    """Kill the unit as soon as it has restored the datastore."""
    stage.sh("r1", _TRANSIENT).ok("systemd-run")

    def probe() -> tuple[bool, str]:
        seen = stage.journal("r1", _UNIT)
        return "cluster-reset=true" in seen, seen[-100:]
    wait_for("the reset to start its etcd", probe, 90, poll=0.2)
    stage.sh("r1", f"systemctl kill -s KILL {_UNIT}").ok("kill")


def _reset_again(stage: Stage) -> None:
    stage.sh("r1", f"systemctl stop {_UNIT}; systemctl reset-failed {_UNIT}; {_TRANSIENT}").ok("systemd-run")


def _start(stage: Stage) -> None:
    stage.sh("r1", f"systemctl stop {_UNIT}; systemctl start --no-block rke2-server").ok("start r1")


def _tree(stage: Stage) -> tuple[bool, str]:
    """Static pods hang on shims, shims on init, kubelet and containerd on rke2."""
    rows = [row.split() for row in stage.sh("r1", "ps -e -o pid=,ppid=,comm=").out.splitlines()]
    names = {pid: name for pid, _, name in rows}
    wanted = {**dict.fromkeys(_PODS, "containerd-shim"), "containerd-shim": "systemd", "kubelet": "rke2",
              "containerd": "rke2", "rke2": "systemd"}
    wrong = [f"{name} of {names.get(parent)}" for _, parent, name in rows
             if name in wanted and names.get(parent) not in (wanted[name], *(["init"] * (wanted[name] == "systemd")))]
    wrong += [f"no {name}" for name in wanted if name not in names.values()]
    return not wrong, ", ".join(wrong) or "as recorded"


SITUATIONS = (
    Situation("first-start", "k3s-join-n2.txt", "three hosts are made and started, r1 before the others", common.up, (
        says("messages-r1", "r1", "Starting rke2 v1.34.3+rke2r1 (", "Managed etcd cluster initializing",
             "Password verified locally for node r1", "Starting etcd for new cluster, cluster-reset=false",
             "Server node token is available at /var/lib/rancher/rke2/server/token",
             "To join server node to cluster: rke2 server -s https://", "Wrote kubeconfig /etc/rancher/rke2/rke2.yaml",
             "containerd is now running", "Connection to etcd is ready", "ETCD server is now running",
             "Saving cluster bootstrap data to datastore", "Kube API server is now running",
             "rke2 is up and running"),
        says("messages-r2", "r2", "Managed etcd cluster not yet initialized", "Adding member r2-",
             "to etcd cluster [", "Connection to etcd is ready", "Bootstrap key already exists",
             "rke2 is up and running"),
        *(unit(host, "active", NRestarts="0") for host in ("r1", "r2", "r3")),
        ready("r1", "r1", "r2", "r3"),
    )),
    Situation("healthy", "rke2-healthy-r1.txt", "a snapshot is taken", healthy.note_and_save, (
        *healthy.checks("rke2"),
        listening("ports", "r1", {
            "IP:2379": "etcd", "IP:2380": "etcd", "127.0.0.1:2379": "etcd", "127.0.0.1:2380": "etcd",
            "127.0.0.1:2381": "etcd", "127.0.0.1:2382": "etcd", "127.0.0.1:10259": "kube-scheduler",
            "127.0.0.1:10257": "kube-controller", "127.0.0.1:10248": "kubelet", "127.0.0.1:10010": "containerd",
            "*:10250": "kubelet", "*:9345": "rke2", "*:6443": "kube-apiserver"}),
        fact("process-tree", _tree),
        output("crictl", "r1", "crictl ps 2>/dev/null | grep -c ' Running '", "4\n"),
        output("containers-have-their-cgroup", "r1", "cat /proc/$(pgrep -x etcd)/cgroup", "k8s.io",
               without=("rke2-server",)),
        output("supervisor-wants-a-token", "r1", "curl -sk -m 5 -w ' %{http_code}' https://127.0.0.1:9345/v1-rke2/readyz",
               '"message": "forbidden"', '"reason": "Forbidden"', " 403"),
    )),
    tls.check("rke2", "rke2-certificate-rotate-r3.txt"),
    *tls.rotated("rke2", "rke2-certificate-rotate-r3.txt"),
    tls.expired("rke2"),
    Situation("stop", "rke2-fence-r1.txt", "systemctl stop on r3", _stop_r3, (
        unit("r3", "inactive"),
        processes("pods-go-on", "r3", *_PODS, "containerd-shim", gone=("rke2", "kubelet", "containerd"), holds=3),
        listening("ports", "r3", {"127.0.0.1:2379": "etcd", "*:6443": "kube-apiserver"}),
        closed("supervisor-gone", "r3", 9345, 10250),
        health("r3", True),
    )),
    Situation("quorum-lost", "rke2-quorum-lost-r1.txt", "r2 and r3 lose power, r1 goes on", power_off("r3", "r2"), (
        *common.leaderless_checks("rke2"),
        output("readyz", "r1", "kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml get --raw /readyz",
               "[+]ping ok", "[-]etcd failed: reason withheld", rc=1, within=60),
        processes("pods-go-on", "r1", "etcd", "kube-apiserver", "kubelet"),
    )),
    Situation("rebooted", "rke2-quorum-lost-after-reboot-r1.txt", "r1 loses power too and is switched on again",
              _reboot, (
        says("messages", "r1", "Managed etcd cluster bootstrap already complete and initialized",
             "Starting temporary etcd to reconcile with datastore", "Password verified locally for node r1",
             "Starting etcd for existing cluster member", within=120),
        says("temporary-corruption-check", "r1", '"msg":"starting initial corruption check"', "127.0.0.1:2400"),
        health("r1", False, within=120),
        listening("ports", "r1", {"IP:2379": "etcd", "IP:2380": "etcd", "127.0.0.1:2381": "etcd",
                                  "127.0.0.1:2382": "etcd", "*:9345": "rke2", "*:10250": "kubelet"}),
        fact("gateway-hangs", lambda stage: (
            stage.gateway("r1", "maintenance/status", timeout=5) == ("000", ""), "an answer")),
        unit("r1", "activating", SubState="start", NRestarts="0", StatusText=""),
        output("ping", "r1", "curl -sk -m 5 https://127.0.0.1:9345/ping", "pong"),
        output("supervisor-wants-a-token", "r1", "curl -sk -m 5 https://127.0.0.1:9345/v1-rke2/readyz",
               '"message": "forbidden"', '"code": 403'),
        output("apiserver-refuses", "r1", "curl -sk -m 5 https://127.0.0.1:6443/readyz", rc=7),
        output("kubectl", "r1", "timeout 10 kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml get nodes",
               "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
               rc=1),
        output("snapshot-ls", "r1", "timeout 30 rke2 etcd-snapshot ls 2>/dev/null", "Name ", "taken-r1-"),
        output("snapshot-save", "r1", "timeout 60 rke2 etcd-snapshot save --name noquorum",
               "Error: see server log for details: Internal error occurred: etcd-snapshot error ID ", rc=1, limit=70),
    )),
    Situation("second-server", "rke2-quorum-lost-after-reboot-r1.txt", "r2 is switched on, its datastore intact",
              power_on("r2"), (
        health("r1", True, within=120),
        *(unit(host, "active", within=180) for host in ("r1", "r2")),
        fact("same-cluster", lambda stage: (
            stage.cluster_id("r1") == stage.notes["cluster"], f"cluster {stage.cluster_id('r1')}")),
        common.objects_there(),
    )),
    Situation("kubelet-follows", "rke2-fence-frozen-kubelet-r1.txt",
              "the etcd pod of r1 is removed through crictl; kubelet lives, the manifest stays", _remove_pod, (
        fact("comes-back", lambda stage: (
            _etcd_pid(stage) not in ("", stage.notes["etcd pid"]), f"pid {_etcd_pid(stage)}"), 60),
        health("r1", True, within=90),
    )),
    Situation("fence", "rke2-fence-frozen-kubelet-r1.txt",
              "r2 loses power; on r1 kubelet is frozen, manifests go aside, pods are removed, the unit is stopped",
              _fence, (
        unit("r1", "inactive"),
        processes("gone-and-stays-gone", "r1", gone=(*_PODS, "kubelet", "containerd", "rke2"), holds=7),
        closed("ports", "r1", 2379, 2380, 2381, 2382, 6443, 9345, 10250),
    )),
    Situation("reset-restore", "rke2-reset-restore-r1.txt",
              "reset with restore of r1's own member/snap/db and its sha256", _copy_and_reset, (
        noted("messages", "reset", "rc=0\n", "not running in CIS mode",
              "Managed etcd cluster bootstrap already complete and initialized",
              "Updated load balancer rke2-agent-load-balancer default server: 127.0.0.1:9345",
              "Running load balancer rke2-agent-load-balancer 127.0.0.1:6444 -> [] [default: 127.0.0.1:9345]",
              "Password verified locally for node r1", "Removed kube-proxy static pod manifest",
              "Pre-restore etcd database moved to /var/lib/rancher/rke2/server/db/etcd-old-",
              '"msg":"restoring snapshot"', '"msg":"Trimming membership information from the backend..."',
              '"msg":"restored snapshot"', "Starting etcd for new cluster, cluster-reset=true",
              "Server node token is available at", "Wrote kubeconfig /etc/rancher/rke2/rke2.yaml",
              "containerd is now running", "Connected to etcd v3.", "Defragmenting etcd database",
              "Reconciling bootstrap data between datastore and disk",
              "Cluster reset: backing up certificates directory to /var/lib/rancher/rke2/server/tls-",
              "Updating bootstrap data on disk from datastore",
              f'level=error msg="Shutdown request received: \\"{SUCCESS}',
              "Shutting down kubelet and etcd"),
        database("files", "r1", "db/etcd", "db/etcd-old-*", "db/etcd/config", "db/etcd/member", "db/etcd/name",
                 "db/reset-flag", "db/snapshots", "tls", "tls-*", "token"),
        output("modes", "r1", "cd $D/server; ls -ld db/reset-flag db/etcd db/etcd-old-* tls-* db/etcd/name",
               "-rw------- 1 root root    0 ", "drwx------ 3 root root 4096 "),
        output("new-member-name", "r1", "cd $D/server/db/etcd; cat name; ! cmp -s name /run/requorum/old-name",
               "r1-"),
        output("only-etcds-manifest", "r1", "ls $D/agent/pod-manifests | tr '\\n' ' '", "etcd.yaml ",
               without=("kube",)),
        output("force-restart", "r1", "ls $D", "force-restart"),
        processes("its-etcd-goes-on", "r1", "etcd", "containerd-shim", gone=("rke2", "kubelet", "containerd")),
    )),
    Situation("reset-killed", "rke2-reset-transient-unit-r1.txt",
              "the same as a transient unit, killed once the datastore is restored", _kill_reset, (
        unit("r1", "failed", name=_UNIT, id="unit", SubState="failed", Result="signal", ExecMainStatus="9"),
        database("files", "r1", "db/etcd", "db/etcd-old-*", "db/etcd-old-*", "db/etcd/config", "db/etcd/member",
                 "db/etcd/name", "db/reset-flag", "db/snapshots", "tls", "tls-*", "token"),
        processes("nothing-of-the-node", "r1", gone=("rke2", "kubelet", "containerd")),
    )),
    Situation("reset-again", "rke2-reset-transient-unit-r1.txt", "and run again, without any cleaning up",
              _reset_again, (
        unit("r1", "active", name=_UNIT, id="unit", SubState="exited", Result="success", ExecMainStatus="0",
             within=120),
        says("messages", "r1", SUCCESS, unit=_UNIT),
        database("files", "r1", "db/etcd", *["db/etcd-old-*"] * 3, "db/etcd/config", "db/etcd/member",
                 "db/etcd/name", "db/reset-flag", "db/snapshots", "tls", "tls-*", "tls-*", "token"),
        processes("its-etcd-goes-on", "r1", "etcd", gone=("rke2", "kubelet")),
    )),
    Situation("start", "rke2-first-start-r1.txt", "the first normal start after the reset", _start, (
        *common.reset_is_over("rke2"),
        says("static-pod-cleanup", "r1", "Static pod cleanup in progress", "Static pod cleanup completed successfully"),
        output("force-restart-gone", "r1", "ls $D", without=("force-restart",)),
    )),
    common.stale_peers("rke2", "cat /var/log/pods/kube-system_etcd-r2_*/etcd/*.log | grep 'ID mismatch' | tail -n 3"),
    common.rejoin("rke2", "rke2-early-promote.txt"),
    common.end("rke2", "rke2-recovered.txt"),
)
