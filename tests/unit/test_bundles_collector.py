# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of the log collector: what its commands print when they succeed, and when they do not."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules, _server
from requorum import bundles
from requorum.bundles import collector_etcd as etcd
from requorum.bundles import collector_host as host
from tests.unit.test_state_schema import problems

JSON = dict[str, Any]
MADE = datetime(2026, 11, 28, 20, 20, 18, tzinfo=UTC).timestamp()
IDS = {"n1": "8211f1d0f64f3269", "n2": "91bc3c398fb3c146", "n3": "fd422379fda50e48"}
MEMBERS = "".join(
    f"{ident}, started, {name}-0a1b2c3d, https://10.0.0.{name[-1]}:2380, https://10.0.0.{name[-1]}:2379, false\n"
    for name, ident in IDS.items()
)
OLD = ("ENDPOINT", "ID", "VERSION", "DB SIZE", "IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX",
       "RAFT APPLIED INDEX", "ERRORS")  # fmt: skip
NEW = (*OLD[:3], "STORAGE VERSION", "DB SIZE", "IN USE", "PERCENTAGE NOT IN USE", "QUOTA", *OLD[4:],
       "DOWNGRADE TARGET VERSION", "DOWNGRADE ENABLED")  # fmt: skip


def table(columns: tuple[str, ...], *rows: JSON) -> str:
    """As etcdctl draws it."""
    cells = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in rows)]
    rule = "+" + "+".join("-" * 20 for _column in columns) + "+\n"
    lines = ["|" + "|".join(cell.rjust(19) + " " for cell in row) + "|\n" for row in cells]
    return rule + lines[0] + rule + "".join(lines[1:]) + rule


def endpoint(name: str, leader: str, **more: str) -> JSON:
    row = {"ENDPOINT": f"https://10.0.0.{name[-1]}:2379", "ID": IDS[name], "VERSION": "3.5.13", "DB SIZE": "20 MB",
           "IS LEADER": str(name == leader).lower(), "IS LEARNER": "false", "RAFT TERM": "5", "RAFT INDEX": "1234",
           "RAFT APPLIED INDEX": "1234"}  # fmt: skip
    return row | more


def metrics(name: str, *, has: int = 1, leads: int = 0) -> str:
    return (
        f"# HELP etcd_server_has_leader x\netcd_server_has_leader {has}\netcd_server_is_leader {leads}\n"
        f'etcd_server_is_learner 0\netcd_server_id{{server_id="{IDS[name]}"}} 1\n'
        "etcd_mvcc_db_total_size_in_bytes 2.0484096e+07\netcd_mvcc_db_total_size_in_use_in_bytes 8.192e+06\n"
        "etcd_server_quota_backend_bytes 2.147483648e+09\netcd_server_proposals_applied_total 1234\n"
        'etcd_debugging_mvcc_current_revision 777\netcd_server_version{server_version="3.5.13"} 1\n'
    )


HEALTH = "".join(f"https://10.0.0.{n}:2379 is healthy: successfully committed proposal: took = 2.1ms\n" for n in (1, 2))
LS = "-rw------- 1 etcd etcd {size} Nov 28 20:10 /var/lib/rancher/rke2/server/db/etcd/member/{path}\n"
CERTIFICATE = """Certificate:
    Data:
        Version: 3 (0x2)
        Issuer: CN = rke2-server-ca@1700000000
        Validity
            Not Before: Nov  1 00:00:00 2025 GMT
            Not After : Nov  1 00:00:00 2026 GMT
        Subject: O = x, CN = kube-apiserver
            X509v3 Subject Alternative Name:
                DNS:kubernetes, DNS:n1, IP Address:10.0.0.1
"""
UNITS = """  UNIT                         LOAD      ACTIVE   SUB     DESCRIPTION
● rke2-server.service          loaded    failed   failed  Rancher Kubernetes Engine v2 (server)
  rancher-system-agent.service loaded    active   running Rancher System Agent
"""
SS = """Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
tcp   LISTEN 0      4096       127.0.0.1:2379      0.0.0.0:*    users:(("etcd",pid=1,fd=8))
tcp   LISTEN 0      4096        10.0.0.1:2380      0.0.0.0:*    users:(("etcd",pid=1,fd=7))
udp   UNCONN 0      0          127.0.0.1:6443      0.0.0.0:*
"""
IP = """1: lo: <LOOPBACK,UP>
    inet 127.0.0.1/8 scope host lo
2: eth0: <UP>
    inet 10.0.0.{n}/24 brd 10.0.0.255 scope global eth0
    inet6 fe80::1/64 scope link
"""


KUBELET = {"kubeletVersion": "v1.30.2+rke2r1"}


def nodes() -> str:
    items = [
        {"metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": "true"}},
         "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": KUBELET,
                    "addresses": [{"type": "InternalIP", "address": f"10.0.0.{name[-1]}"}]}}
        for name in IDS
    ]  # fmt: skip
    return json.dumps({"items": items})


PODS = "".join(
    "   ".join(word.ljust(width) for word, width in zip(row, (13, 24, 5, 7, 11, 3, 9, 4, 14, 15), strict=True)) + "\n"
    for row in (
        ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"),
        ("kube-system", "etcd-n1", "1/1", "Running", "3 (2d ago)", "9d", "10.0.0.1", "n1", "<none>", "<none>"),
        ("kube-system", "etcd-n2", "1/1", "Running", "0", "9d", "10.0.0.2", "n2", "<none>", "<none>"),
        ("cattle-system", "rancher-7d9c5d8f6b-abcde", "1/1", "Running", "0", "9d", "10.42.0.7", "n3", "<none>", "-"),
    )
)
SNAPSHOT = "-rw------- 1 root root 9000 {} 12:00 /var/lib/rancher/rke2/server/db/snapshots/{}\n"


def server(name: str, leader: str = "n2") -> dict[str, str]:
    """An RKE2 server whose API answers."""
    return {
        "collector-output.log": "2026-11-28 20:20:18: Collecting rke2 info\n",
        "systeminfo/hostname": f"{name}\n",
        "systeminfo/date": "Sat Nov 28 20:20:18 UTC 2026\n",
        "systeminfo/freeh": "       total  used  free  shared  buff/cache  available\n"
                            "Mem:    15Gi  3.2Gi 1.1Gi 10Mi 10Gi 11Gi\nSwap: 0B 0B 0B\n",
        "systeminfo/dfh": "Filesystem Size Used Avail Use% Mounted on\n/dev/a 50G 40G 10G 80% /\n"
                          "/dev/b 100G 95G 5.5G 95% /var/lib/rancher\n",
        "systeminfo/dfi": "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/a 1000 10 990 1% /\n",
        "systeminfo/osrelease": 'NAME="SLES"\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP5"\n',
        "systeminfo/systemd-units": UNITS,
        "systeminfo/ps": "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\n"
                         "root 900 1.0 2.0 1 2 ? Ssl 10:00 1:00  \\_ /opt/bin/etcd --token=K10abc::server:secret\n",
        "networking/sstunlp4": SS,
        "networking/sstunlp6": SS.splitlines(keepends=True)[0],
        "networking/ipaddrshow": IP.format(n=name[-1]),
        "rke2/version": "rke2 version v1.30.2+rke2r1 (abc)\ngo version go1.22\n",
        "rke2/config.yaml": "server: https://10.0.0.9:9345\ntls-san: [a]\netcd-s3-secret-key: sekret\n",
        "rke2/50-rancher.yaml": "tls-san+: [b]\n",
        "rke2/kubectl/nodes.json": nodes(),
        "rke2/kubectl/pods": PODS,
        "rke2/kubectl/crds": "NAME   CREATED AT\na   b\n",
        "rke2/podlogs/kube-system-etcd-n1": f"n1 as seen on {name}\n",
        "rke2/podlogs/kube-system-etcd-n2": f"n2 as seen on {name}\n",
        "rke2/podlogs/kube-system-etcd-n2-previous": "before\n",
        "rke2/podlogs/cattle-system-rancher-7d9c5d8f6b-abcde": "rancher\n",
        "rke2/certs/server/serving-kube-apiserver.crt": CERTIFICATE,
        "rke2/certs/agent/client-kubelet.crt": "Could not open file or uri for loading certificate\n",
        "rke2/agent-logs/kubelet.log": "kubelet\n",
        "rke2/server-logs/audit.log": "{}\n",
        "rke2/containerd.log": "containerd\n",
        "journald/rke2-server": "journal\n",
        "systemlogs/messages": "kernel\n",
        "etcd/memberlist": MEMBERS,
        "etcd/endpointstatus": table(OLD, endpoint("n1", leader), endpoint("n2", leader)),
        "etcd/endpointhealth": HEALTH,
        "etcd/alarmlist": "memberID:9372538179322589801 alarm:NOSPACE \n",
        f"etcd/etcd-metrics-10.0.0.{name[-1]}:2381.txt": metrics(name, leads=int(name == leader)),
        "etcd/findserverdbetcd": LS.format(size=20484096, path="snap/db") + LS.format(size=64, path="wal/0-0.wal"),
        "etcd/findserverdbsnapshots": SNAPSHOT.format("Nov 28", "a") + SNAPSHOT.format("Dec 24", "b"),
    }  # fmt: skip


def tarball(
    path: Path, files: Mapping[str, str | bytes], top: str = "./n1-2026-11-28_20_20_18", made: float = MADE
) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime = len(data), int(made)
            archive.addfile(info, io.BytesIO(data))
    return path


def read(path: Path, *of: Mapping[str, str | bytes], **options: Any) -> bundles.Source:
    return bundles.read([tarball(path / f"{number}.tar.gz", files, **options) for number, files in enumerate(of)])


def only(source: bundles.Source) -> JSON:
    return dict(source.state["nodes"][0])


def test_a_server_whose_api_answers(tmp_path: Path) -> None:
    state = read(tmp_path, server("n1")).state
    one, two, _three = state["nodes"]
    assert (state["time"], state["distro"], state["harvester"]) == ("2026-11-28T20:20:18Z", "rke2", None)
    assert (one["name"], one["host"], one["role"], one["node_ready"]) == ("n1", "10.0.0.1", "server", "True")
    assert (one["version"], one["os_image"]) == ("v1.30.2+rke2r1", "SUSE Linux Enterprise Server 15 SP5")
    assert one["unit"] == {"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed"}
    assert one["system_agent"]["ActiveState"] == "active" and one["agent"] is None
    assert one["disk"] == {"bytes": 100 << 30, "free": int(5.5 * (1 << 30))} and one["inodes"] == {
        "total": 1000,
        "free": 990,
    }
    assert one["memory"] == {"bytes": 15 << 30, "available": 11 << 30}
    assert one["listeners"] == [2379, 2380] and one["addresses"] == ["10.0.0.1"]
    assert [(p["name"], p["pid"]) for p in one["processes"]] == [("etcd", 900)] and "secret" not in str(
        one["processes"]
    )
    assert one["config"] == {"server": "https://10.0.0.9:9345", "tls-san": ["a", "b"], "etcd-s3-secret-key": "hidden"}
    assert one["api"]["ready"] and state["kubernetes"]["ready"] and len(state["kubernetes"]["nodes"]) == 3
    assert [n["metadata"]["name"] for n in state["objects"]["nodes"]] == ["n1", "n2", "n3"]
    assert state["objects"]["volumes"] is None and "table" in state["unread"]["objects.volumes"]
    assert not two["reachable"] and "no archive of it" in two["error"] and two["role"] == "server"


def test_it_is_a_state(tmp_path: Path) -> None:
    assert problems(read(tmp_path, server("n1"), server("n2")).state) == []


def test_its_files(tmp_path: Path) -> None:
    one = only(read(tmp_path, server("n1")))
    serving, kubelet = sorted(one["certificates"], key=lambda row: row["path"], reverse=True)
    assert serving == {
        "path": "server/tls/serving-kube-apiserver.crt", "subject": "O=x, CN=kube-apiserver",
        "issuer": "CN=rke2-server-ca@1700000000", "starts": int(datetime(2025, 11, 1, tzinfo=UTC).timestamp()),
        "ends": int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()),
        "names": ["10.0.0.1", "kubernetes", "n1"], "sha256": None,
    }  # fmt: skip
    assert kubelet["path"] == "agent/client-kubelet.crt" and kubelet["ends"] is None and kubelet["names"] is None
    assert (one["datastore"]["present"], one["datastore"]["bytes"], one["datastore"]["fault"]) == (True, 20484096, None)
    times = {path[-1]: datetime.fromtimestamp(file["mtime"], UTC) for path, file in one["snapshots"].items()}
    assert {name: time.isoformat() for name, time in times.items()} == {
        "a": "2026-11-28T12:00:00+00:00", "b": "2025-12-24T12:00:00+00:00"}  # fmt: skip


def test_its_etcd(tmp_path: Path) -> None:
    one = only(read(tmp_path, server("n1")))
    assert one["etcd"]["status"] == {
        "cluster_id": None, "member_id": IDS["n1"], "leader": IDS["n2"], "learner": False, "revision": 777, "term": 5,
        "index": 1234, "version": "3.5.13", "bytes": 20484096, "in_use": 8192000, "quota": 1 << 31, "errors": [],
    }  # fmt: skip
    member = {"id": IDS["n1"], "name": "n1-0a1b2c3d", "peer_urls": ["https://10.0.0.1:2380"], "learner": False}
    assert one["etcd"]["members"][0] == member and len(one["etcd"]["members"]) == 3
    assert one["etcd"]["health"] == {"ok": True, "reason": None}
    assert one["etcd"]["alarms"] == ["NOSPACE"] and one["etcd"]["alarmed"] == {IDS["n1"]: "NOSPACE"}
    view = _server.view(one)
    assert (view.etcd, view.store, view.leader, view.term) == ("voting", "intact", False, 5)


def test_a_pod_of_the_cluster_counts_once_and_by_its_own_node(tmp_path: Path) -> None:
    source = read(tmp_path, server("n1"), server("n2"))
    found = [(node, word, b"".join(chunks)) for node, word, _file, chunks in source.logs()]
    pods = sorted(text.decode() for _node, word, text in found if word in ("etcd", "rancher"))
    assert pods == ["before\n", "n1 as seen on n1\n", "n2 as seen on n2\n", "rancher\n"]
    assert [node for node, word, _text in found if word == "rancher"] == ["n3"]
    hosts = sorted((node, word) for node, word, _text in found if word not in ("etcd", "rancher"))
    assert hosts == [(n, w) for n in ("n1", "n2") for w in ("containerd", "kernel", "kubelet", "rke2-server")]


def test_a_server_whose_api_does_not_answer(tmp_path: Path) -> None:
    """The endpoints are asked of a list of members that was not to be had; the pods are those of the host."""
    files = {path: text for path, text in server("n1").items() if not path.startswith(("rke2/podlogs", "rke2/kubectl"))}
    warn = '{"level":"warn","ts":"2026-11-28T20:20:00.1Z","msg":"retrying of unary invoker failed"}\n'
    lost = {
        "collector-output.log": "[!] Kube-apiserver is offline, collecting local pod logs only\n",
        "etcd/memberlist": f"{warn}Error: context deadline exceeded\n",
        "etcd/endpointstatus": "Error: bad endpoint\n",
        "etcd/endpointhealth": "Error: unhealthy cluster\n",
        "etcd/alarmlist": f"{warn}Error: context deadline exceeded\n",
        "etcd/etcd-metrics-10.0.0.1:2381.txt": metrics("n1", has=0),
        "rke2/podlogs/kube-system_etcd-n1_0a1b/etcd/0.log": "local\n",
    }
    source = read(tmp_path, files | lost)
    one = only(source)
    assert one["api"]["ready"] is False and source.state["kubernetes"] is None
    assert one["etcd"]["status"] is None and one["etcd"]["members"] is None and one["etcd"]["alarms"] is None
    assert "term" in one["unread"]["etcd.status"] and "no answer" in one["unread"]["etcd.alarms"]
    assert _server.view(one).etcd == "leaderless"
    assert ("n1", "etcd") in [(node, word) for node, word, _file, _chunks in source.logs()]


def test_a_host_without_etcd_and_with_broken_commands(tmp_path: Path) -> None:
    files = {
        "systeminfo/hostname": "n9.example\n", "systeminfo/date": "Sam 28 Nov 2026\n", "systeminfo/ps": "error\n",
        "networking/sstunlp4": "bash: ss: command not found\n", "networking/sstunlp6": "", "rke2/version": "x\n",
        "systeminfo/dfh": "df: no\n", "systeminfo/freeh": "", "rke2/config.yaml": "a: [\n",
        "journald/rke2-agent": "x\n",
    }  # fmt: skip
    state = read(tmp_path, files).state
    one = state["nodes"][0]
    assert (one["name"], one["role"], state["time"]) == ("n9.example", "agent", None)
    names = ("processes", "listeners", "disk", "inodes", "memory", "datastore", "etcd", "api", "certificates", "unit")
    assert all(one[name] is None for name in names)
    assert "not valid YAML" in one["unread"]["config"] and "time zone" in state["unread"]["time"]


def test_k3s(tmp_path: Path) -> None:
    head = {"cluster_id": str(0x42EC1E1B1F1F6A2A), "member_id": str(int(IDS["n1"], 16)), "raft_term": "7"}
    listed = [{"ID": str(int(ident, 16)), "name": f"{name}-0a1b2c3d", "peerURLs": [f"https://10.0.0.{name[-1]}:2380"]}
              for name, ident in IDS.items()]  # fmt: skip
    files = {
        "systeminfo/hostname": "n1\n", "systeminfo/date": "Sat Nov 28 09:20:18 PM CET 2026\n",
        "networking/ipaddrshow": IP.format(n=1), "k3s/version": "k3s version v1.30.2+k3s1 (abc)\n",
        "k3s/kubectl/nodes": "NAME  STATUS  ROLES  AGE  VERSION  INTERNAL-IP\n"
                             "n1  Ready,SchedulingDisabled  control-plane,etcd,master  1d  v1.30.2+k3s1  10.0.0.1\n"
                             "n2  NotReady  <none>  1d  v1.30.2+k3s1  10.0.0.2\n",
        "k3s/certs/server/a.crt": CERTIFICATE, "journald/k3s": "x\n", "etcd/memberlist.json": json.dumps(
            {"header": head, "members": listed}),
        **{f"etcd/etcd-metrics-10.0.0.{n}:2379.txt": metrics(f"n{n}", leads=int(n == 3)) for n in (1, 2, 3)},
    }  # fmt: skip
    state = read(tmp_path, files).state
    one, two = state["nodes"]
    assert (state["distro"], state["time"]) == ("k3s", "2026-11-28T20:20:18Z")
    assert (one["version"], one["role"], one["node_ready"], two["role"]) == ("v1.30.2+k3s1", "server", "True", "agent")
    status = one["etcd"]["status"]
    assert (status["cluster_id"], status["member_id"], status["leader"]) == ("42ec1e1b1f1f6a2a", IDS["n1"], IDS["n3"])
    assert (status["term"], status["index"]) == (7, 1234) and len(one["etcd"]["members"]) == 3
    assert one["etcd"]["health"] is None and _server.view(one).etcd == "unknown"  # nothing has read through the quorum


def test_objects_of_rancher_and_names_that_were_made_unreadable(tmp_path: Path) -> None:
    listed = "apiVersion: v1\nitems:\n- apiVersion: x\n  kind: Cluster\n  metadata:\n    name: {}\n    namespace: {}\n"
    files = {
        **{
            f"{path.rpartition('/')[0]}/obf_{path.rpartition('/')[2]}".lstrip("/"): text
            for path, text in server("n1").items()
        },
        "rke2/kubectl/rancher-prov/clusters.provisioning.cattle.io": listed.format("local", "fleet-local"),
        "rke2/kubectl/rancher-prov/custommachines.rke.cattle.io": listed.format("x", "fleet-default"),
    }
    state = read(tmp_path, files, {**server("n2"), **files, "systeminfo/obf_hostname": "n2\n"}).state
    assert [entry["name"] for entry in state["nodes"]] == ["n1", "n2", "n3"]
    assert [item["metadata"]["name"] for item in state["objects"]["provisioning"]] == ["local"]
    assert state["objects"]["custom"] is None


def test_logs_that_were_compressed_and_those_in_which_nothing_is_looked_for(tmp_path: Path) -> None:
    more = {"systemlogs/syslog.2.gz": gzip.compress(b"older\n"), "systemlogs/audit.log": b"x", "journald/docker": b"x"}
    found = {file.rpartition("/")[2]: (word, b"".join(chunks))
             for _node, word, file, chunks in read(tmp_path, {**server("n1"), **more}).logs()}  # fmt: skip
    assert found["syslog.2.gz"] == ("kernel", b"older\n") and found["docker"][0] == "other" and "audit.log" not in found


def test_one_archive_of_several_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_text("<html>")
    good = tarball(tmp_path / "good.tar.gz", server("n1"))
    source = bundles.read([tmp_path / "bad.tar.gz", good])
    assert source.state["nodes"][0]["reachable"] and "web page" in source.notes.unread["bad.tar.gz"]


def test_the_rules_are_asked_of_it(tmp_path: Path) -> None:
    rules = _rules.load()
    state = bundles.state(read(tmp_path, server("n1"), server("n2"), server("n3")), rules)
    found = _diagnose.diagnose(state, rules)
    said = {finding["id"] for finding in found["findings"]}
    assert any("nospace" in ident or "space" in ident for ident in said)
    assert any("certificate" in finding["summary"].lower() for finding in found["findings"])


# Texts, one by one.
CLOCKS = (
    ("Sat Nov 28 20:20:18 UTC 2026", None, "2026-11-28T20:20:18Z", 0),
    ("Sat Nov 28 21:20:18 CET 2026", MADE, "2026-11-28T20:20:18Z", 3600),
    ("Sun Nov 29 01:50:18 IST 2026", MADE + 1, "2026-11-28T20:20:18Z", 19800),
    ("Sat Nov 28 03:20:18 PM EST 2026", MADE, "2026-11-28T20:20:18Z", -18000),
    ("Sat Nov 28 21:20:18 CET 2026", None, None, None),
    ("Sat Nov 28 21:20:18 CET 2026", MADE + 7777777, None, None),
    ("Sat Nov 31 21:20:18 UTC 2026", None, None, None),
    ("bash: date: command not found", MADE, None, None),
)


@pytest.mark.parametrize(("text", "changed", "time", "zone"), CLOCKS)
def test_clocks(text: str, changed: float | None, time: str | None, zone: int | None) -> None:
    assert host.clock(text, changed) == host.Clock(time, zone)


def test_a_table_of_a_newer_etcd() -> None:
    row = endpoint("n1", "n1") | {"IN USE": "8.2 MB", "QUOTA": "2.1 GB", "STORAGE VERSION": "3.6.0"}
    files = {"etcd/endpointstatus": '{"level":"warn"}\nFailed to get the status of endpoint x\n' + table(NEW, row)}
    block = etcd.read(files, ["10.0.0.1"]).block
    assert block and block["status"] == {
        "cluster_id": None, "member_id": IDS["n1"], "leader": IDS["n1"], "learner": False, "term": 5, "index": 1234,
        "version": "3.5.13", "bytes": 20_000_000, "in_use": 8_200_000, "quota": 2_100_000_000, "errors": [],
    }  # fmt: skip


def test_a_long_text_goes_on_in_the_next_row_of_a_table() -> None:
    rows = (endpoint("n1", "n1", ERRORS="memberID:9372"), {"ERRORS": "alarm:NOSPACE"}, endpoint("n2", "n1"))
    found = list(etcd.table(table(OLD, *rows)))
    assert [(row["endpoint"], row["errors"]) for row in found] == [
        ("https://10.0.0.1:2379", "memberID:9372 alarm:NOSPACE"), ("https://10.0.0.2:2379", "")]  # fmt: skip


LEADERS = (
    (
        "the leader's endpoint did not answer: nobody knows whom this one follows",
        table(OLD, endpoint("n1", "n3")),
        "",
        "?",
    ),
    ("it says that it sees none", table(OLD, endpoint("n1", "", ERRORS="etcdserver: no leader")), "", None),
    ("its metrics say that it sees none", table(OLD, endpoint("n1", "n3")), metrics("n1", has=0), None),
    ("two lead, at two times", table(OLD, endpoint("n1", "n1"), endpoint("n2", "n2")), "", "?"),
    ("another one leads", table(OLD, endpoint("n1", "n2"), endpoint("n2", "n2")), "", IDS["n2"]),
)


@pytest.mark.parametrize(("what", "rows", "metric", "leader"), LEADERS)
def test_whom_a_server_follows(what: str, rows: str, metric: str, leader: str | None) -> None:
    files = {"etcd/endpointstatus": rows, "etcd/etcd-metrics-127.0.0.1:2381.txt": metric}
    found = etcd.read(files, ["10.0.0.1"])
    assert found.block
    if leader == "?":
        assert found.block["status"] is None and "etcd.status" in found.unread, what
    else:
        assert found.block["status"]["leader"] == leader, what


HEALTHS = (
    ("https://10.0.0.2:2379 is unhealthy: failed to commit proposal: context deadline exceeded\n", None),
    ("https://10.0.0.1:2379 is unhealthy: failed to commit proposal: context deadline exceeded\n", False),
    ("https://10.0.0.1:2379 is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \n", True),
    ("https://10.0.0.1:2379 is unhealthy: failed to commit proposal: Active Alarm(s): CORRUPT \n", False),
    (HEALTH, True),
    ("Error: bad endpoint\n", None),
)


@pytest.mark.parametrize(("text", "healthy"), HEALTHS)
def test_health_is_that_of_its_own_endpoint(text: str, healthy: bool | None) -> None:
    block = etcd.read({"etcd/endpointhealth": text}, ["10.0.0.1"]).block
    assert block and (block["health"] or {"ok": None})["ok"] is healthy


ALARMS: tuple[tuple[str | None, list[str] | None], ...] = (
    (None, None),
    ("", []),
    ("memberID:10 alarm:CORRUPT \nmemberID:11 alarm:CORRUPT \n", ["CORRUPT"]),
    ("Error: x", None),
)


@pytest.mark.parametrize(("text", "alarms"), ALARMS)
def test_alarms(text: str | None, alarms: list[str] | None) -> None:
    files = {"etcd/memberlist": ""} | ({} if text is None else {"etcd/alarmlist": text})
    block = etcd.read(files, []).block
    assert block and block["alarms"] == alarms
