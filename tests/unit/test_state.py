# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ClusterState out of what nodes print, and what a decision sees of it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _node, _server, _state
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify, rank
from tests.unit import certs
from tests.unit.datastores import unpacked
from tests.unit.local_node import LocalNode

DATA = Path(__file__).parent / "data"
CLUSTER, R1 = "f488dde7dff9e2ce", "234c43afee9063f9"
CLOCK = 1795511600.25


def text(name: str) -> str:
    return (DATA / f"info-rke2-{name}.txt").read_text()


def read(out: str, *, received: float = CLOCK) -> dict[str, Any]:
    entry = _state.node("r1", "10.89.0.21", out, received=received)
    return dict(json.loads(json.dumps(entry)))


def block(name: str, payload: str = "", rc: int = 0) -> str:
    return f"@@ {name} {rc}\n" + "".join(f" {line}\n" for line in payload.split("\n") if payload)


def changed(out: str, name: str, payload: str = "", rc: int = 0) -> str:
    """The answer with another block of this name."""
    made, count = re.subn(rf"(?m)^@@ {name} \d+\n(?: .*\n)*", lambda _match: block(name, payload, rc), out)
    assert count == 1
    return made


def test_healthy_server() -> None:
    entry = read(text("healthy"), received=CLOCK - 1.2)
    assert (entry["reachable"], entry["hostname"], entry["distro"], entry["version"]) == (
        True,
        "r1",
        "rke2",
        "v1.34.3+rke2r1",
    )
    assert (entry["os_image"], entry["root"], entry["clock_skew"]) == ("Debian GNU/Linux 12 (bookworm)", True, 1.2)
    assert entry["unread"] == {}
    assert entry["unit"]["ActiveState"] == "active"
    assert entry["agent"]["LoadState"] == "not-found"
    assert entry["listeners"] == [2379, 2380, 2381, 2382, 6443, 9345, 10250]
    assert entry["disk"] == {"bytes": 101016992 * 1024, "free": 54589360 * 1024}
    assert len(entry["mounts"]) == 2
    assert entry["token"] == {
        "in-force": "e2e269d4f6ec",
        "server": "e2e269d4f6ec",
        "agents": "e2e269d4f6ec",
        "service-key": "5d1f0c2b7a94",
        "node-password": "0a1b2c3d4e5f",
    }
    assert list(entry["snapshots"]) == ["/var/lib/rancher/rke2/server/db/snapshots/drill-r1-1795511546"]
    assert entry["logs"] and entry["journal"] == []


def test_processes_keep_names_with_spaces_and_colons() -> None:
    found = {process["pid"]: process for process in read(text("healthy"))["processes"]}
    assert found[259] == {
        "pid": 259,
        "parent": 213,
        "state": "S",
        "start": 2713,
        "name": "etcd",
        "args": "etcd --config-file=/var/lib/rancher/rke2/server/db/etcd/config",
    }
    assert (found[930]["name"], found[930]["args"]) == ("nginx: master p", "")


def test_config_is_merged_and_lists_can_be_added_to() -> None:
    config = read(text("healthy"))["config"]
    assert config["cni"] == "canal"
    assert config["kubelet-arg"] == ["cgroup-driver=cgroupfs", "cgroups-per-qos=false", "v=2"]
    assert config["token"] == "hidden"


def test_running_etcd() -> None:
    etcd = read(text("healthy"))["etcd"]
    assert etcd["health"] == {"ok": True, "reason": None}
    assert etcd["status"] == {
        "cluster_id": CLUSTER,
        "member_id": R1,
        "revision": 1435,
        "term": 2,
        "index": 1601,
        "leader": R1,
        "learner": False,
        "version": "3.6.6",
        "bytes": 1986560,
        "in_use": 1986560,
        "quota": 2147483648,
        "errors": [],
    }
    assert (etcd["port"], etcd["alarms"]) == (2382, [])
    assert [(member["name"], member["peer_urls"]) for member in etcd["members"]] == [
        ("r2-8699e9e4", ["https://10.89.0.22:2380"]),
        ("r1-cbc1d285", ["https://10.89.0.21:2380"]),
        ("r3-7429f8d3", ["https://10.89.0.23:2380"]),
    ]


def test_room_memory_and_clock() -> None:
    entry = read(text("healthy"))
    assert entry["inodes"] == {"total": 6438912, "free": 6037390}
    assert entry["memory"] == {"bytes": 24689452 * 1024, "available": 17301508 * 1024}
    assert entry["clock"] == {"synchronized": True, "ntp": True}
    assert entry["system_agent"]["LoadState"] == "not-found"
    btrfs = read(changed(text("healthy"), "inodes", "/dev/vda 0 0 0 - /var/lib/rancher/rke2"))
    assert btrfs["inodes"] is None


def test_certificates_of_secrets_and_those_that_were_refused() -> None:
    body = base64.b64encode(certs.authorities()["server/tls/server-ca.crt"].pem).decode()
    served = f"cattle-system/rancher-webhook {body}\ncattle-system/broken !!"
    rows = read(text("healthy") + block("served", served))["certificates"][-2:]
    assert [(row["path"], bool(row["ends"])) for row in rows] == [
        ("secret/cattle-system/rancher-webhook", True),
        ("secret/cattle-system/broken", False),
    ]
    refused = read(text("healthy") + block("served", "Error from server (Forbidden): secrets is forbidden", 1))
    assert not [row for row in refused["certificates"] if row["path"].startswith("secret/")]
    assert refused["unread"] == {"served": "Error from server (Forbidden): secrets is forbidden"}


def test_kubelets_and_conditions() -> None:
    entry = read(text("healthy"))
    node = entry["api"]["nodes"][0]
    assert node["conditions"]["Ready"] == "True" and node["conditions"]["DiskPressure"] == "False"
    assert (node["os_image"], node["kubelet_version"]) == (None, "v1.34.3+rke2r1")
    other = {**entry, "name": "s9", "hostname": "r2"}
    document = _state.cluster("prod", [entry, other, _state.unreachable("r7", "10.0.0.7", "Connection timed out")])
    told = [(e["kubelet_version"], e["node_ready"]) for e in document["nodes"]]
    assert told == [("v1.34.3+rke2r1", "True"), ("v1.34.3+rke2r1", "True"), (None, None)]


def test_api_and_its_nodes() -> None:
    api = read(text("healthy"))["api"]
    assert (api["ping"], api["ready"]) == (True, True)
    assert api["endpoints"] == ["10.89.0.21", "10.89.0.22", "10.89.0.23"]
    assert api["system_uid"] == "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
    assert [node["name"] for node in api["nodes"]] == ["r1", "r2", "r3"]
    assert all(node["ready"] and node["control_plane"] and node["voter"] == "True" for node in api["nodes"])
    assert api["nodes"][0]["addresses"] == ["10.89.0.21"]


def test_certificates_with_serial_number_zero_are_listed_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    certificates = {entry["path"].rsplit("/tls/")[-1]: entry for entry in read(text("healthy"))["certificates"]}
    assert set(certificates) == {"server-ca.crt", "serving-kube-apiserver.crt", "etcd/client.crt"}
    assert all(entry["ends"] > 1795511600 for entry in certificates.values())
    assert certificates["server-ca.crt"]["subject"].startswith("CN=rke2-server-ca@")
    assert not recwarn.list


def view(out: str) -> _server.Server:
    return _server.view(read(out))


def test_view_of_a_healthy_server() -> None:
    seen = view(text("healthy"))
    assert (seen.etcd, seen.store, seen.leader, seen.api, seen.unit, seen.gateway) == (
        "voting",
        "intact",
        True,
        True,
        True,
        True,
    )
    assert (seen.position, seen.address, seen.member_id, seen.cluster_id) == (
        (2, 1601, 1435, 1601),
        "10.89.0.21",
        R1,
        CLUSTER,
    )
    assert [member.node for member in seen.members] == ["r2", "r1", "r3"]


def test_quorum_lost_while_the_survivor_went_on() -> None:
    """The alarms need a leader and do not answer; status and member list do, and they count."""
    entry = read(text("quorum-lost"))
    assert entry["etcd"]["status"]["leader"] is None
    assert entry["etcd"]["status"]["revision"] == 1473
    assert entry["etcd"]["status"]["errors"] == ["etcdserver: no leader"]
    assert len(entry["etcd"]["members"]) == 3
    assert entry["etcd"]["alarms"] is None
    assert entry["unread"]["gateway"] == "no answer before the deadline"
    assert entry["unread"]["readyz"] == "no answer before the deadline"
    seen = _server.view(entry)
    assert (seen.etcd, seen.store, seen.gateway, seen.api) == ("leaderless", "intact", True, False)


@pytest.mark.parametrize(
    ("journal", "members", "store"),
    [
        (["replaced=A", "least=1500"], 1, "damaged"),
        (["replaced=A", "least=1400"], 1, "intact"),
        (["replaced=A", "least=1500", "least=1400"], 1, "intact"),
        (["replaced=A"], 1, "intact"),
        (["replaced=A", "least=1500"], 3, "intact"),
    ],
    ids=["empty", "restored", "tried again from an older one", "closed", "not replaced yet"],
)
def test_what_a_reset_that_failed_has_left(journal: list[str], members: int, store: str) -> None:
    """Revision 1473 of an etcd that runs: it may be an empty cluster, whoever has started it."""
    entry = read(text("quorum-lost")) | {"journal": journal}
    entry["etcd"]["members"] = entry["etcd"]["members"][:members]
    seen = _server.view(entry)
    assert (seen.store, "was to restore revision 1500" in seen.fault) == (store, store == "damaged")


@pytest.mark.parametrize(("state", "resetting"), [("running", True), ("exited", False), ("dead", False), ("", False)])
def test_a_reset_that_goes_on(state: str, resetting: bool) -> None:
    out = text("healthy").replace("@@ processes", f"@@ reset 0\n ActiveState=x\n SubState={state}\n@@ processes")
    assert view(out).resetting == resetting
    assert not view(text("healthy")).resetting


def read_from_disk(entry: dict[str, Any], name: str, shell: str = "/bin/sh") -> None:
    """The datastore of a real server after a power loss, as if it lay on this node."""
    etcd = unpacked() / name / "etcd/member"
    for path in (entry["datastore"]["path"], *[path for path in entry["files"] if path.endswith(".wal")]):
        entry["files"].pop(path)
    for path in (etcd / "snap/db", *(etcd / "wal").iterdir()):
        entry["files"][str(path)] = {"bytes": path.stat().st_size, "mtime": 0, "directory": False}
    entry["datastore"] |= {"path": str(etcd / "snap/db"), "bytes": (etcd / "snap/db").stat().st_size}
    _state.read_datastore(entry, _node.read_many(LocalNode(shell), entry["datastore"]["path"]))


def test_what_the_log_holds_beyond_the_datastore() -> None:
    """r1's log has one entry more than its db; r3's commit index is behind what its db has applied."""
    r1, r3 = read(text("rebooted")), read(text("rebooted")) | {"name": "r3"}
    read_from_disk(r1, "r1")
    read_from_disk(r3, "r3")
    assert r1["datastore"]["wal"] == {"term": 3, "index": 1099, "commit": 1098, "torn": False, "newer": 1}
    assert r3["datastore"]["wal"] == {"term": 3, "index": 1087, "commit": 1086, "torn": False, "newer": 0}
    assert [server.name for server in rank([_server.view(r3), _server.view(r1)])] == ["r1", "r3"]
    assert _server.view(r3).position == (3, 1087, 2497, 1087)
    assert (r1["datastore"]["fault"], r1["unread"].get("wal")) == (None, None)


@pytest.mark.parametrize(
    ("commit", "position"),
    [(None, (3, 100, 70, 100)), (90, (3, 100, 70, 100)), (130, (3, 100, 70, 130))],
    ids=["log not read", "log behind the db", "log ahead of the db"],
)
def test_position_of_a_stopped_server(commit: int | None, position: tuple[int, ...]) -> None:
    entry = read(text("rebooted"))
    entry["datastore"]["summary"] = {"term": 3, "index": 100, "revision": 70, "members": []}
    entry["datastore"]["wal"] = None if commit is None else {"commit": commit}
    assert _server.view(entry).position == position


@pytest.mark.parametrize(
    ("configured", "has", "moved"),
    [
        ("10.0.0.1", ["127.0.0.1", "10.0.0.1"], False),
        ("10.0.0.9", ["127.0.0.1", "10.0.0.1", "10.0.0.9"], True),
        ("10.0.0.9,fd00::9", None, True),
        ("", ["127.0.0.1", "10.0.0.9"], True),
        ("", ["127.0.0.1", "10.0.0.1", "10.0.0.9"], False),
        ("", None, False),
    ],
    ids=["same", "configured anew", "two families", "new by DHCP", "one of several", "not known"],
)
def test_a_stopped_server_whose_member_has_another_address(configured: str, has: list[str], moved: bool) -> None:
    entry = read(text("rebooted")) | {"etcd": None, "processes": [], "addresses": has, "host": "10.0.0.9"}
    entry["program"] |= {"node_ip": configured}
    member = {"id": "a", "name": "r1-12345678", "peer_urls": ["https://10.0.0.1:2380"]}
    entry["datastore"] |= {"cluster_id": "A", "member_id": "a"}
    entry["datastore"]["summary"] = {"term": 3, "index": 100, "revision": 70, "members": [member]}
    seen = _server.view(entry)
    assert seen.moved == moved
    assert seen.address == ("10.0.0.9" if moved else "10.0.0.1")
    entry = read(text("healthy")) | {"addresses": has}  # while it runs, it is where it is listed
    assert not _server.view(entry).moved


def test_a_log_that_does_not_tell_is_unread_and_the_datastore_counts_all_the_same(tmp_path: Path) -> None:
    entry = read(text("rebooted"))
    wal = tmp_path / "0000000000000000-0000000000000000.wal"
    wal.write_bytes(b"?" * 100_000)
    path = unpacked() / "r1/etcd/member/snap/db"
    entry["datastore"]["bytes"] = path.stat().st_size
    entry["files"] = {str(wal): {"bytes": 100_000, "mtime": 0, "directory": False}}
    _state.read_datastore(entry, _node.read_many(LocalNode(), str(path)))
    assert entry["datastore"]["wal"] is None and "do not tell" in entry["unread"]["wal"]
    seen = _server.view(entry)
    assert (seen.store, seen.position) == ("intact", (3, 1098, 2508, 1098))


def test_quorum_lost_after_a_reboot() -> None:
    """The gateway hangs; the datastore's pages are read beside the running etcd."""
    entry = read(text("rebooted"))
    assert entry["etcd"]["status"] is None and entry["etcd"]["port"] is None
    assert entry["unread"]["gateway"] == "no answer before the deadline"
    assert entry["journal"] == ["replaced=58b8b2ef0a7f2965", "moved=/a|/b"]
    read_from_disk(entry, "r1")
    seen = _server.view(entry)
    assert (seen.etcd, seen.store, seen.gateway) == ("leaderless", "intact", False)
    assert (seen.position, seen.cluster_id, seen.member_id) == ((3, 1098, 2508, 1098), CLUSTER, R1)
    assert seen.replaced == {"58b8b2ef0a7f2965"}
    assert len(seen.members) == 3


def test_a_tombstone_tells_that_it_was_removed() -> None:
    for name, removed in (("rebooted", True), ("healthy", False)):
        entry = read(text(name))
        assert not _server.view(entry).removed
        entry["files"]["/var/lib/rancher/rke2/server/db/etcd/tombstone"] = {"bytes": 0, "mtime": 0, "directory": False}
        assert _server.view(entry).removed == removed


def test_wiped_server() -> None:
    entry = read(text("wiped"))
    assert entry["datastore"]["present"] is False and entry["datastore"]["fault"] is None
    assert entry["etcd"]["health"] is None and entry["unread"]["health"] == "was not asked"
    seen = _server.view(entry)
    assert (seen.etcd, seen.store, seen.unit, seen.cluster_id) == ("stopped", "absent", False, None)


def test_the_drill_as_a_whole() -> None:
    """r1 went on without quorum, r2 has a new disk, r3 does not answer."""
    r1, r2 = read(text("quorum-lost")), read(text("wiped")) | {"name": "r2", "host": "10.89.0.22"}
    r3 = _state.unreachable("r3", "10.89.0.23", "timed out")
    document = _state.cluster("prod", [r1, r2, r3])
    assert json.loads(json.dumps(document))["schema"] == 1
    assert document["kubernetes"] is None
    servers = [_server.view(entry, ["r3"]) for entry in document["nodes"]]
    case = classify(servers)
    assert (case.kind, case.refusals) == ("quorum_lost", ())
    assert dict(case.needs) == {"r1": "nothing", "r2": "rejoin", "r3": "stays_off"}
    assert classify([_server.view(entry) for entry in document["nodes"]]).refusals


# --- what could not be read is null, and says why


@pytest.mark.parametrize(
    ("name", "payload", "rc", "where", "reason"),
    [
        ("unit", "", 124, "unit", "no answer before the deadline"),
        ("processes", "sh: broken", 2, "processes", "sh: broken"),
        ("listeners", "", 1, "listeners", "exit code 1"),
        ("files", "one\nstat: cannot", 1, "files", "stat: cannot"),
        ("disk", "df: x: Input/output error", 1, "disk", "df: x: Input/output error"),
        ("inodes", "df: x: Input/output error", 1, "inodes", "df: x: Input/output error"),
        ("memory", "", 1, "memory", "exit code 1"),
        ("clock", "", 124, "clock", "no answer before the deadline"),
        ("system_agent", "", 124, "system_agent", "no answer before the deadline"),
        ("config", "", 1, "config", "exit code 1"),
        ("snapshots", "", 1, "snapshots", "exit code 1"),
        ("logs", "", 124, "logs", "no answer before the deadline"),
    ],
)
def test_unread(name: str, payload: str, rc: int, where: str, reason: str) -> None:
    entry = read(changed(text("healthy"), name, payload, rc))
    assert entry[where] is None
    assert entry["unread"] == {where: reason}


def test_invalid_yaml_is_unread() -> None:
    entry = read(changed(text("healthy"), "config", "# file /etc/rancher/rke2/config.yaml\na: [1"))
    assert entry["config"] is None
    assert entry["unread"]["config"].startswith("/etc/rancher/rke2/config.yaml is not valid YAML")


def test_processes_that_are_unread_leave_etcd_unknown() -> None:
    out = changed(changed(text("wiped"), "processes", "", 1), "files", "", 1)
    assert (view(out).etcd, view(out).store) == ("unknown", "unknown")
    assert view(changed(text("wiped"), "listeners", "", 1)).etcd == "unknown"


def test_a_wal_that_could_not_be_read_is_no_damage() -> None:
    out = changed(text("rebooted"), "wal", "", 124)
    assert (read(out)["datastore"]["fault"], view(out).store) == (None, "unknown")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("member/snap/db", "member/snap/other", "member/snap/db is missing"),
        (".wal", ".tmp", "the WAL is missing"),
        ("64000000 1795511546 regular", "0 1795511546 regular", "the WAL is missing"),
        ("BAAAAAAAAIQIBBAAAAAAAB8", "AAAAAAAAAAAAAAAAAAAAAAA", "the WAL has no metadata record at its start"),
    ],
)
def test_damaged_datastores(old: str, new: str, fault: str) -> None:
    out = text("rebooted").replace(old, new)
    assert (read(out)["datastore"]["fault"], view(out).store) == (fault, "damaged")


def test_datastore_that_is_no_database_is_damaged_and_one_that_is_gone_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"\0" * 100_000)
    entry = read(text("rebooted"))
    entry["etcd"]["health"], entry["listeners"] = None, [2379, 2380]  # an etcd that soon fails to open it
    _state.read_datastore(entry, _node.read_many(LocalNode(), str(tmp_path / "db")))
    assert "meta page" in entry["datastore"]["fault"] and _server.view(entry).store == "damaged"
    entry = read(text("rebooted"))
    _state.read_datastore(entry, _node.read_many(LocalNode(), str(tmp_path / "none")))
    assert "cannot be read" in entry["unread"]["datastore"] and _server.view(entry).store == "unknown"


@pytest.mark.parametrize(
    ("health", "ports"), [({"ok": False, "reason": "RAFT NO LEADER"}, []), (None, [2379, 2380, 2381]), (None, None)]
)
def test_a_datastore_to_which_etcd_writes_while_it_is_read_is_unread_and_not_damaged(
    health: dict[str, Any] | None, ports: list[int] | None, tmp_path: Path
) -> None:
    """Without a tool that works nobody hears its health; its ports say that it runs, or nobody knows."""
    (tmp_path / "db").write_bytes(b"\0" * 100_000)
    entry = read(text("rebooted"))
    entry["etcd"]["health"], entry["listeners"] = health, ports
    _state.read_datastore(entry, _node.read_many(LocalNode(), str(tmp_path / "db")))
    assert "etcd wrote to it" in entry["unread"]["datastore"] and _server.view(entry).store == "unknown"
    (refusal,) = classify([_server.view(entry)]).refusals
    assert "could not be read" in refusal.what and "the same command again" in refusal.next


@pytest.mark.parametrize(("alone", "reason", "etcd"), [
    (True, "RAFT NO LEADER", "voting"),
    (True, "QGET ERROR:etcdserver: request timed out", "unknown"),
    (False, "RAFT NO LEADER", "unknown"),
])
def test_the_only_voter_may_come_to_lead_while_it_is_looked_at(alone: bool, reason: str, etcd: str) -> None:
    """Where there are others, they may have died since they made it the leader."""
    entry = read(text("healthy"))
    entry["etcd"]["health"] = {"ok": False, "reason": reason}
    if alone:
        own = [one for one in entry["etcd"]["members"] if one["id"] == R1]
        entry["etcd"] |= {"members": own, "status": entry["etcd"]["status"] | {"leader": R1}}
    assert _server.view(entry).etcd == etcd


def test_etcd_that_is_healthy_and_hides_its_status_may_be_a_learner() -> None:
    """/health is true on a learner too; that a quorum stands is known all the same."""
    seen = view(changed(text("healthy"), "gateway", "curl: (28) timed out", 28))
    assert (seen.etcd, seen.store, seen.gateway, seen.member_id) == ("unknown", "intact", False, R1)
    assert seen.healthy
    assert classify([seen]).kind == "unknown"


def test_gateway_of_an_older_etcd() -> None:
    """Before 3.6 there is no 2382: the reason comes before the answer."""
    gateway = re.search(r"@@ gateway 0\n((?: .*\n)*)", text("healthy"))
    assert gateway
    lines = [line[1:] for line in gateway[1].rstrip("\n").split("\n")]
    assert lines[0] == "2382"
    out = changed(text("healthy"), "gateway", "\n".join(["curl: (7) Couldn't connect to server", "2379", *lines[1:]]))
    assert read(out)["etcd"] == read(text("healthy"))["etcd"] | {"port": 2379}


def test_gateway_that_refuses() -> None:
    out = changed(text("healthy"), "gateway", '2382\n{"code":16,"message":"etcdserver: unauthorized"}')
    entry = read(out)
    assert entry["etcd"]["status"] is None and entry["unread"]["gateway"] == "etcdserver: unauthorized"


def test_listeners_of_a_host_without_ipv6() -> None:
    out = changed(text("healthy"), "listeners", "grep: /proc/net/tcp6: No such file or directory\n0100007F:094B")
    assert read(out)["listeners"] == [2379]


@pytest.mark.parametrize("clock", ["1795511600.%N", "1795511600", "", "soon"])
def test_clocks(clock: str) -> None:
    out = text("healthy").replace("clock=1795511600.250000000", f"clock={clock}")
    assert read(out)["clock_skew"] == (-0.2 if clock == "1795511600" else None)


def test_host_without_a_distribution() -> None:
    out = text("healthy").split("@@ program")[0] + "@@ program 1\n neither rke2 nor k3s is installed here\n@@ done 0\n"
    entry = read(out)
    assert (entry["distro"], entry["unread"]) == (None, {"program": "neither rke2 nor k3s is installed here"})
    seen = _server.view(entry)
    assert (seen.reachable, seen.etcd, seen.store) == (True, "unknown", "unknown")


def test_unreachable_node() -> None:
    entry = _state.unreachable("r3", "10.89.0.23", "timed out")
    assert entry["unread"] == {"*": "timed out"}
    seen = _server.view(entry, ["r3"])
    assert (seen.reachable, seen.powered_off, seen.address, seen.etcd, seen.store) == (
        False,
        True,
        "10.89.0.23",
        "unknown",
        "unknown",
    )


@pytest.mark.parametrize("name", ["healthy", "quorum-lost", "rebooted", "wiped"])
def test_an_answer_that_ends_in_the_middle_never_looks_better(name: str) -> None:
    """Whatever is missing is unread: no datastore turns absent, no etcd turns stopped."""
    whole, out = view(text(name)), text(name)
    for size in range(0, len(out) - len("@@ done 0\n"), 41):
        entry = read(out[:size])
        assert entry["unread"]["*"]
        seen = _server.view(entry)
        assert seen.store in (whole.store, "unknown")
        assert seen.etcd in (whole.etcd, "unknown") or (whole.etcd, seen.etcd) == ("leaderless", "unknown")


# --- secrets


@pytest.mark.parametrize("name", ["healthy", "quorum-lost", "rebooted", "wiped"])
def test_no_secret_in_the_document(name: str) -> None:
    document = json.dumps(read(text(name)))
    assert "sekret" not in document and "PRIVATE KEY" not in document and "BEGIN CERT" not in document


def test_member_addresses() -> None:
    def address(url: str) -> str:
        return _server.member({"id": "1", "name": "", "peer_urls": [url] if url else []}).address

    assert [address(url) for url in ("https://10.0.0.1:2380", "https://[fd00::1]:2380", "http://r1.lan:2380", "")] == [
        "10.0.0.1",
        "fd00::1",
        "r1.lan",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("r1-cbc1d285", "r1"),
        ("a-b-c-cbc1d285", "a-b-c"),
        ("default", "default"),
        ("", ""),
        ("r1-lab-5ecf945", "r1-lab-5ecf945"),
    ],
)
def test_node_of_a_member(name: str, node: str) -> None:
    assert _server.Member("1", name, "", False).node == node


def test_a_host_that_answers_keeps_what_a_person_said_of_it() -> None:
    """Named as powered off and reachable: both stand in the view, so that the contradiction is refused."""
    entry = _state.node("r1", "10.0.0.1", text("healthy"), received=0.0)
    assert _server.view(entry, ["r1"]).powered_off
    assert not _server.view(entry, ["r2"]).powered_off
