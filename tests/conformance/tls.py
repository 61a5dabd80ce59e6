# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: checked, rotated, expired while the hosts were off, and a tls directory that somebody emptied."""

from __future__ import annotations

from collections.abc import Callable

from lab import spoil
from lab.progress import wait_for
from lab.supervisor.distro import DISTROS
from tests.conformance.common import servers
from tests.conformance.table import Check, Situation, Stage, fact, health, noted, output, ready, says, unit, voters

_CAS = ("server-ca.crt", "client-ca.crt", "etcd/peer-ca.crt", "service.key")
_SAVED = "/var/lib/rancher/tls-saved"
_SERVICES = ("api-server", "admin", "auth-proxy", "cloud-controller", "controller-manager", "etcd", "scheduler",
             "supervisor", "kube-proxy", "kubelet")


def _sums(stage: Stage, host: str) -> str:
    return stage.sh(host, f"cd $D/server/tls && sha256sum {' '.join(_CAS)}").out


def _note_sums(stage: Stage, host: str) -> None:
    stage.notes[f"sums {host}"] = _sums(stage, host)


def _same_sums(host: str) -> Check:
    """Authorities and service.key are those of before."""
    return fact(f"same-authorities-{host}", lambda stage: (
        _sums(stage, host) == stage.notes[f"sums {host}"] != "", _sums(stage, host)))


def _rotate(stage: Stage) -> None:
    host, unit_name = servers(stage.distro)[2], stage.lab.spec.unit(servers(stage.distro)[2])
    _note_sums(stage, host)
    done = stage.sh(host, f"systemctl stop {unit_name}; {stage.distro} certificate rotate 2>&1", 120)
    stage.notes["rotate"] = f"rc={done.rc}\n{done.out}"


def _start(*hosts: int) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        for number in hosts:
            host = servers(stage.distro)[number - 1]
            stage.sh(host, f"systemctl start --no-block {stage.lab.spec.unit(host)}").ok(f"start {host}")
    return do


def check(distro: str, transcript: str) -> Situation:
    """`certificate check` of a healthy server."""
    three = servers(distro)[2]
    return Situation("certificate-check", transcript, "nothing", lambda _stage: None, (
        output("text", three, f"{distro} certificate check", "Server detected, checking agent and server certificates",
               'level=info msg="client-controller.crt: certificate system:kube-controller-manager (ClientAuth) is ok, '
               'expires at ', "peer-server-client.crt: certificate etcd-peer (ServerAuth,ClientAuth) is ok",
               f"client-kubelet.crt: certificate system:node:{three} (ClientAuth) is ok",
               f"serving-kubelet.crt: certificate {distro}-server-ca@", "(CertSign) is ok, expires at "),
        output("table", three, f"{distro} certificate check -o table 2>/dev/null",
               "FILENAME ", "SUBJECT ", "USAGES                  EXPIRES                  RESIDUAL TIME   STATUS",
               "ServerAuth,ClientAuth   ", " UTC   1 year          OK", " UTC   10 years        OK"),
        output("json", three, f"{distro} certificate check -o json 2>/dev/null", '{"Certificates":[{"Filename":"',
               '"Usages":["ClientAuth"],"ExpiryTime":"', '"ResidualTime":3153', '"Status":"OK"}'),
    ))


def rotated(distro: str, transcript: str) -> tuple[Situation, ...]:
    """`certificate rotate` on a server whose unit is stopped, and its next start."""
    three = servers(distro)[2]
    agent = ["client-ca.crt", f"{distro}controller.kubeconfig", "kubelet.kubeconfig", "kubeproxy.kubeconfig",
             "server-ca.crt"]
    forced = DISTROS[distro].static_pods
    left = ("client-ca.crt client-ca.key client-ca.nochain.crt dynamic-cert-regenerate dynamic-cert.json etcd "
            "kube-controller-manager kube-scheduler request-header-ca.crt request-header-ca.key server-ca.crt "
            "server-ca.key server-ca.nochain.crt service.current.key service.key temporary-certs")
    cleanup = (says("static-pods-cleaned", three, 'msg="Static pod cleanup in progress" pods="[etcd kube-apiserver '
                    'kube-controller-manager kube-scheduler]"', f"Removing pod etcd-{three}",
                    "Static pod cleanup completed successfully", within=120),) if forced else ()
    return (
        Situation("certificate-rotate", transcript, f"{three} is stopped and its certificates are rotated", _rotate, (
            noted("messages", "rotate", "rc=0\n", "Server detected, rotating agent and server certificates",
                  "Rotating dynamic listener certificate", *(f"Rotating certificates for {name}" for name in _SERVICES),
                  f"Rotating certificates for {distro}-controller",
                  f"Successfully backed up certificates to {DISTROS[distro].data_dir}/server/tls-",
                  f", please restart {distro} server or agent to rotate certificates"),
            output("leaves-gone", three, "cd $D/server/tls; echo $(LC_ALL=C ls); echo $(LC_ALL=C ls etcd)", f"{left}\n",
                   "peer-ca.crt peer-ca.key server-ca.crt server-ca.key\n"),
            output("agent-leaves-gone", three, "cd $D/agent; echo $(LC_ALL=C ls -d *.crt *.key *.kubeconfig)",
                   " ".join(sorted(agent)), without=("client-kubelet", "kube-proxy.crt")),
            output("backup", three, "cd $D; ls server/tls-*; ls -d agent/tls-* 2>&1", "client-admin.crt",
                   "serving-kubelet.crt", "client-kubelet.key", "No such file or directory", rc=2),
            output("force-restart", three, "ls -l $D", *(("-rw------- 1 root root    0",) if forced else ()),
                   without=() if forced else ("force-restart",)),
            output("unknown-service", three, f"{distro} certificate rotate --service nonsense",
                   'level=fatal msg="Error: service nonsense is not recognized"', rc=1),
        )),
        Situation("rotated", transcript, f"{three} is started", _start(3), (
            *cleanup,
            says("new-leaves", three, "Reconciling bootstrap data between datastore and disk",
                 "Successfully reconciled with remote datastore",
                 f"certificate CN=system:admin,O=system:masters signed by CN={distro}-client-ca@",
                 "certificate CN=etcd-peer signed by CN=etcd-peer-ca@",
                 f"certificate CN={distro},O={distro} signed by CN={distro}-server-ca@", "Active TLS secret",
                 f"Password verified locally for node {three}",
                 f"certificate CN=system:node:{three},O=system:nodes signed by", within=120),
            unit(three, "active", within=180),
            _same_sums(three),
            output("trigger-gone", three, "ls $D $D/server/tls", without=("dynamic-cert-regenerate", "force-restart")),
            voters(three, *servers(distro)),
        )),
    )


def _expire(stage: Stage) -> None:
    for host in stage.lab.servers:
        _note_sums(stage, host)
        stage.sh(host, f"systemctl stop {stage.lab.spec.unit(host)}; {stage.distro}-killall.sh >/dev/null 2>&1", 120)
        spoil.expire_certs(stage.lab, host)
    one = stage.lab.servers[0]
    stage.notes["expired"] = stage.sh(one, f"{stage.distro} certificate check 2>&1").out
    _start(1, 2, 3)(stage)


def expired(distro: str, *agents: str) -> Situation:
    """Every leaf expired while the servers were down."""
    one, *_ = names = servers(distro)
    return Situation("expired-while-down", "rke2-expired-while-down.txt", "all servers are stopped, all their leaf "
                     "certificates replaced by expired ones, and all started at once", _expire, (
        noted("check", "expired",
              'level=error msg="client-admin.crt: certificate system:admin (ClientAuth) expired at ',
              "client-kubelet.crt: certificate system:node:", "serving-kubelet.crt: certificate "),
        says("renewed", one, "certificate CN=system:admin,O=system:masters will expire in -35.0",
             f"certificate CN={distro},O={distro} will expire in -35.0",
             "unable to verify existing certificate: x509: certificate has expired or is not yet valid: current time "),
        *(unit(host, "active", within=180) for host in names),
        voters(one, *names),
        ready(one, *names, *agents, within=120),
        *(_same_sums(host) for host in names),
        output("none-expired", one, f"{distro} certificate check 2>&1", without=("expired at", "will expire")),
    ))


def _empty(host: str) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        _note_sums(stage, host)
        stage.sh(host, f"systemctl stop k3s; rm -rf {_SAVED}; cp -a $D/server/tls {_SAVED}").ok("copy tls")
        spoil.empty_tls(stage.lab, host)
        stage.sh(host, "systemctl start --no-block k3s").ok("start")
    return do


def _put_back(stage: Stage) -> None:
    def probe() -> tuple[bool, str]:
        seen = stage.sh("n1", "systemctl kill -s KILL k3s; systemctl stop k3s; systemctl is-active k3s", 120).out
        return "inactive" in seen or "failed" in seen, seen
    wait_for("n1 to stop", probe, 60)
    script = f"rm -rf $D/server/tls && mv {_SAVED} $D/server/tls && systemctl start --no-block k3s"
    stage.sh("n1", script).ok("put back")


def _kubectl(id: str, host: str, *texts: str, rc: int) -> Check:
    script = "timeout 8 kubectl --kubeconfig /etc/rancher/k3s/k3s.yaml get nodes"
    return output(id, host, script, *texts, rc=rc, within=60)


def _all_differ(stage: Stage) -> tuple[bool, str]:
    new = _sums(stage, "n1")
    old = set(stage.notes["sums n1"].splitlines())
    return len(new.splitlines()) == len(_CAS) and not old & set(new.splitlines()), new


EMPTIED = (
    Situation("tls-emptied-joined", "k3s-tls-emptied.txt", "server/tls of n3, which has a server to ask, is emptied; "
              "started again", _empty("n3"), (
        says("messages", "n3", "Managed etcd cluster bootstrap already complete and initialized",
             "Successfully reconciled with remote datastore",
             "dynamiclistener [::]:6443: no cached certificate available for preload", within=90),
        unit("n3", "active", within=120),
        _same_sums("n3"),
    )),
    Situation("tls-emptied-first", "k3s-tls-emptied.txt", "server/tls of n1, which has no server to ask, is emptied; "
              "started again", _empty("n1"), (
        says("messages", "n1", "Starting temporary etcd to reconcile with datastore",
             "failed to stat ServerCA: stat /var/lib/rancher/k3s/server/tls/server-ca.crt: no such file or directory",
             "generated self-signed CA certificate CN=k3s-client-ca@", "certificate CN=k3s,O=k3s signed by", within=90),
        unit("n1", "activating", holds=3),
        fact("other-authorities", _all_differ),
        _kubectl("cut-off", "n1", rc=1),
        _kubectl("others-go-on", "n2", "n1 ", "n2 ", "n3 ", rc=0),
        health("n2", True),
    )),
    Situation("tls-put-back", "k3s-tls-emptied.txt", "the old files are put back with their old times", _put_back, (
        unit("n1", "active", within=120),
        _same_sums("n1"),
        voters("n1", "n1", "n2", "n3"),
    )),
)
