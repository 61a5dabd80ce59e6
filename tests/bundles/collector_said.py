# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of a server have logged, and what commands print of it, as the log collector keeps it.

Lines are those of the recordings of RKE2 and K3s v1.34.3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

JSON = dict[str, Any]
NOW = datetime(2026, 11, 24, 9, 14, 5, tzinfo=UTC)
PEERS = {"r2": "10.89.0.22", "r3": "10.89.0.23"}
VIP = "10.89.0.20"
IDS = ("a9562b49b84b082e", "3321951812606883", "f121e1e2cd9caed2")
"""Of the members: the server itself, then its peers."""
LEAVES = ("client-admin", "client-auth-proxy", "client-controller", "client-kube-apiserver", "client-scheduler",
          "serving-kube-apiserver", "client-supervisor")  # fmt: skip
"""Of the folder `server/tls` itself: the collector takes none of etcd's, which lie below it, and no CA."""
AGENT = ("client-kubelet", "client-kube-proxy", "serving-kubelet")
_VERSIONS = {"rke2": "v1.34.3+rke2r1", "k3s": "v1.34.3+k3s1"}


_CERTIFICATE = """\
Certificate:
    Data:
        Version: 3 (0x2)
        Serial Number: 3541263713912823 (0xc94c5bd2f3fb7)
        Signature Algorithm: ecdsa-with-SHA256
        Issuer: CN = {distro}-{authority}-ca@1795511173
        Validity
            Not Before: Nov 24 09:06:13 2026 GMT
            Not After : {ends} GMT
        Subject: O = system:{distro}, CN = {subject}
        X509v3 extensions:
            X509v3 Subject Alternative Name:\x20
                DNS:kubernetes, DNS:localhost, DNS:{name}, IP Address:{address}, IP Address:{vip}
"""


@dataclass(frozen=True)
class Server:
    """The one that the collector ran on."""

    name: str = "r1"
    address: str = "10.89.0.21"
    distro: str = "rke2"
    """rke2 or k3s."""
    quorum: bool = False
    peers: Mapping[str, str] = field(default_factory=lambda: PEERS)
    """The other servers, name -> address; without quorum they are off."""
    ends: datetime = datetime(2027, 11, 24, 9, 6, 13, tzinfo=UTC)
    """When its leaf certificates end."""

    @property
    def version(self) -> str:
        return _VERSIONS[self.distro]

    @property
    def members(self) -> Iterator[tuple[str, str, str]]:
        """(id, name, address) of all members of etcd."""
        for ident, (name, address) in zip(IDS, {self.name: self.address, **self.peers}.items(), strict=False):
            yield ident, f"{name}-{ident[:8]}", address

    @property
    def top(self) -> str:
        return f"{self.name}-{NOW:%Y-%m-%d_%H_%M_%S}"


def text(lines: Iterable[str]) -> str:
    """A file of these lines."""
    return "".join(f"{line}\n" for line in lines)


def _cri(at: datetime, text: str) -> str:
    """A line of a container's log as it lies on the host."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}598Z stderr F {text}"


def _logrus(at: datetime, level: str, text: str) -> str:
    return f'time="{at:%Y-%m-%dT%H:%M:%SZ}" level={level} msg="{text}"'


def _klog(at: datetime, text: str, *, level: str = "E", process: int = 1) -> str:
    return f"{level}{at:%m%d %H:%M:%S.%f} {process:7d} {text}"


def _times(count: int, every: float) -> list[datetime]:
    """The last moments before the collector ran."""
    return [NOW - timedelta(seconds=every * number) for number in range(count, 0, -1)]


def etcd(at: datetime, caller: str, text: str, *, level: str = "warn", **more: str) -> str:
    """A line of etcd."""
    head = {"level": level, "ts": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "caller": caller, "msg": text}
    return json.dumps(head | more, separators=(",", ":"))


def _etcd(server: Server) -> Iterator[tuple[datetime, str]]:
    """It starts, defragments as RKE2 has it do, and loses the others."""
    me, *others = (ident for ident, _name, _address in server.members)
    begin = NOW - timedelta(minutes=7)
    said = [
        ("etcdserver/server.go:1822", "published local member to cluster through raft"),
        ("v3rpc/maintenance.go:106", "starting defragment"),
        ("backend/backend.go:497", "defragmenting"),
        ("backend/backend.go:549", "finished defragmenting directory"),
    ]
    for number, (caller, text) in enumerate(said):
        at = begin + timedelta(seconds=number)
        yield at, etcd(at, caller, text, level="info")
    if server.quorum:
        return
    lost = NOW - timedelta(seconds=85)
    yield lost, etcd(lost, "rafthttp/peer_status.go:66", "peer became inactive (message send to peer failed)",
                     **{"peer-id": others[0], "error": "failed to dial (i/o timeout)"})  # fmt: skip
    yield lost, etcd(lost, "v3@v3.6.0/node.go:372", f"raft.node: {me} lost leader {others[0]} at term 2", level="info")
    for at in _times(16, 5):
        yield at, etcd(at, "v3@v3.6.0/raft.go:988", f"{me} is starting a new election at term 2", level="info")
        for ident, _name, address in list(server.members)[1:]:
            yield at, etcd(at, "rafthttp/probing_status.go:68", "prober detected unhealthy status", **{
                "round-tripper-name": "ROUND_TRIPPER_RAFT_MESSAGE", "remote-peer-id": ident, "rtt": "3.297732ms",
                "error": f"dial tcp {address}:2380: connect: no route to host"})  # fmt: skip


def pods(server: Server) -> Iterator[tuple[str, str, list[str]]]:
    """Pod, container, and its log with what the runtime puts before each line; K3s has those programs in itself."""
    if server.distro == "k3s":
        yield "coredns-7f496c8d7d-9xk4m", "coredns", [_cri(at, "[INFO] plugin/reload: Running") for at in _times(5, 60)]
        return
    said = {
        "kube-apiserver": 'status.go:71] "Unhandled Error" err="apiserver received an error that is not an '
                          'metav1.Status: context.deadlineExceededError{}: context deadline exceeded"',
        "kube-controller-manager": 'leaderelection.go:441] "Failed to update lease" err="context deadline exceeded"',
        "kube-scheduler": 'leaderelection.go:441] "Failed to update lease" err="context deadline exceeded"',
    }  # fmt: skip
    yield f"etcd-{server.name}", "etcd", [_cri(at, line) for at, line in _etcd(server)]
    for name, text in said.items():
        whole = "I", 'controller.go:667] "quota admission added evaluator" resource="leases.coordination.k8s.io"'
        level, line = whole if server.quorum else ("E", text)
        yield f"{name}-{server.name}", name, [_cri(at, _klog(at, line, level=level)) for at in _times(20, 3)]


def kubelet(server: Server) -> Iterator[str]:
    """Lines of kubelet.log."""
    whole = "I", 'kubelet.go:2461] "SyncLoop (PLEG): event for pod" pod="kube-system/etcd-r1"'
    lost = "E", 'controller.go:145] "Failed to ensure lease exists, will retry" err="context deadline exceeded"'
    level, line = whole if server.quorum else lost
    return (_klog(at, line, level=level, process=149) for at in _times(20, 4))


def service(server: Server) -> Iterator[tuple[datetime, str]]:
    """What the unit says; K3s has etcd's lines in it."""
    begin = NOW - timedelta(minutes=7)
    name = "rke2" if server.distro == "rke2" else "k3s"
    start = [f"Starting {name} {server.version} (ef1c4bd6)", "Connected to etcd v3.6.6 - datastore using 2293760 of "
             "2293760 bytes", "Defragmenting etcd database", "Kube API server is now running"]  # fmt: skip
    for number, text in enumerate(start):
        at = begin + timedelta(seconds=number)
        yield at, _logrus(at, "info", text)
    if name == "k3s":
        yield from _etcd(server)
    if server.quorum:
        return
    for at in _times(16, 5):
        yield at, _logrus(at, "info", "Failed to test etcd connection: etcdserver: no leader")
        yield (
            at,
            _logrus(at, "error", "Failed to check local etcd status for learner management: context deadline exceeded"),
        )
    if name == "k3s":  # it ends itself; systemd starts it again
        yield NOW, _logrus(NOW, "fatal", "leaderelection lost for k3s")


def journal(server: Server, lines: Iterable[tuple[datetime, str]]) -> Iterator[str]:
    """As journalctl prints it when nobody asks for more: without the year."""
    for at, text in sorted(lines, key=lambda line: line[0]):
        yield f"{at:%b %d %H:%M:%S} {server.name} {server.distro}[113]: {text}"


def certificates(server: Server) -> Iterator[tuple[str, str]]:
    """Path -> what `openssl x509 -text` prints."""
    words = {"distro": server.distro, "name": server.name, "address": server.address, "vip": VIP}
    ends = f"{server.ends:%b %e %H:%M:%S %Y}"
    for folder, names in (("server", LEAVES), ("agent", AGENT)):
        for name in names:
            about = {"subject": name, "authority": "client" if "client" in name else "server", "ends": ends}
            yield f"{server.distro}/certs/{folder}/{name}.crt", _CERTIFICATE.format_map(words | about)


def members(server: Server) -> dict[str, str]:
    """What etcd answers; K3s has no etcdctl, and its etcd is asked by curl."""
    if server.distro == "k3s":
        each = [{"ID": str(int(ident, 16)), "name": name, "peerURLs": [f"https://{address}:2380"],
                 "clientURLs": [f"https://{address}:2379"]} for ident, name, address in server.members]  # fmt: skip
        head = {"cluster_id": "16844499610343741182", "member_id": each[0]["ID"], "raft_term": "2"}
        return {"memberlist.json": json.dumps({"header": head, "members": each}, separators=(",", ":"))}
    listed = [f"{ident}, started, {name}, https://{address}:2380, https://{address}:2379, false"
              for ident, name, address in server.members]  # fmt: skip
    heads = ("ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX",
             "RAFT APPLIED INDEX", "ERRORS")  # fmt: skip
    rows = [
        (
            f"https://{address}:2379",
            ident,
            "3.6.6",
            "2.0 MB",
            str(ident == IDS[0]).lower(),
            "false",
            "2",
            "1601",
            "1601",
            "",
        )
        for ident, _name, address in server.members
    ]
    return {
        "memberlist": text(listed),
        "endpointstatus": text(_table(heads, rows)),
        "endpointhealth": text(f"{row[0]} is healthy: successfully committed proposal: took = 8.1ms" for row in rows),
    }


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """As etcdctl draws one: the middle of a column for its head, the right for what stands below."""
    wide = [max(len(row[number]) for row in (heads, *rows)) for number in range(len(heads))]
    rule = "+".join(["", *("-" * (width + 2) for width in wide), ""])
    yield from (
        rule,
        "|".join(["", *(f" {head:^{width}} " for head, width in zip(heads, wide, strict=True)), ""]),
        rule,
    )
    for row in rows:
        yield "|".join(["", *(f" {word:>{width}} " for word, width in zip(row, wide, strict=True)), ""])
    yield rule


def kubectl(server: Server) -> dict[str, str]:
    """Tables of kubectl, and the Nodes as JSON too."""
    all_of = {server.name: server.address, **server.peers}
    head = f"{'NAME':<7}{'STATUS':<9}{'ROLES':<28}{'AGE':<7}{'VERSION':<16}{'INTERNAL-IP':<13}EXTERNAL-IP   OS-IMAGE"
    rows = [f"{name:<7}{'Ready':<9}{'control-plane,etcd,master':<28}{'12d':<7}{server.version:<16}{address:<13}"
            "<none>        SUSE Linux Enterprise Server 15 SP6" for name, address in all_of.items()]  # fmt: skip
    document: JSON = {"apiVersion": "v1", "kind": "List", "items": [_node(server, *each) for each in all_of.items()]}
    return {
        "nodes": text([head, *rows]),
        "nodes.json": json.dumps(document, indent=4) + "\n",
        "version": f"Client Version: {server.version}\nServer Version: {server.version}\n",
        "pods": text(
            [
                f"{'NAMESPACE':<13}NAME READY STATUS",
                *(f"kube-system  {pod} 1/1 Running" for pod, *_rest in pods(server)),
            ]
        ),
        "leases": "NAMESPACE   NAME   HOLDER   AGE\n",
        "events": "NAMESPACE   LAST SEEN   TYPE   REASON   OBJECT   MESSAGE\n",
    }


def _node(server: Server, name: str, address: str) -> JSON:
    roles = ("control-plane", "etcd", "master")
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {f"node-role.kubernetes.io/{role}": "true" for role in roles}},
        "spec": {"podCIDR": "10.42.0.0/24"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [{"type": "EtcdIsVoter", "status": "True", "reason": "MemberNotLearner"},
                           {"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {"kubeletVersion": server.version, "osImage": "SUSE Linux Enterprise Server 15 SP6"}},
    }  # fmt: skip
