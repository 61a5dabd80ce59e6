# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum init`: which hosts one server knows, the file, and what to type where a host cannot be read."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from requorum import cli, init, inventory, remote
from requorum.inventory import Host

JSON = dict[str, Any]


def member(name: str, address: str, number: str, *, learner: bool = False) -> JSON:
    return {"id": number, "name": name, "peer_urls": [f"https://{address}:2380"], "learner": learner}


def node(name: str, address: str, *, control_plane: bool) -> JSON:
    return {"name": name, "addresses": [address], "control_plane": control_plane}


MEMBERS = [
    member("s10-0a1b2c3d", "192.0.2.10", "a"), member("s2-11223344", "192.0.2.2", "b"), member("", "192.0.2.3", "c"),
]  # fmt: skip
NODES = [
    node("s10", "192.0.2.10", control_plane=True), node("s2", "192.0.2.2", control_plane=True),
    node("s3", "192.0.2.3", control_plane=True), node("plane", "192.0.2.4", control_plane=True),
    node("worker", "192.0.2.21", control_plane=False),
]  # fmt: skip


def entry(*, running: bool, nodes: list[JSON] | None) -> JSON:
    """A server s2, read through its etcd or from its disk."""
    status = {"cluster_id": "9", "member_id": "b", "revision": 5, "term": 2, "index": 7, "leader": None,
              "learner": False}  # fmt: skip
    return {
        "name": "192.0.2.2", "host": "192.0.2.2", "reachable": True, "error": None, "hostname": "s2", "distro": "rke2",
        "version": "v1.34.3+rke2r1", "program": {"node_name": "", "node_ip": ""}, "harvester": None, "unread": {},
        "processes": [], "listeners": [], "root": True,
        "etcd": {"status": status if running else None, "members": MEMBERS if running else None, "health": None},
        "datastore": {"present": True, "fault": None, "cluster_id": "9", "member_id": "b",
                      "summary": None if running else {"members": MEMBERS, "term": 2, "index": 7, "revision": 5}},
        "api": {"nodes": nodes, "ready": nodes is not None},
    }  # fmt: skip


@pytest.mark.parametrize("running", [True, False])
def test_servers_are_members_and_nodes_of_the_control_plane(running: bool) -> None:
    assert inventory.hosts(entry(running=running, nodes=NODES), "second.example.org") == [
        Host("plane", "192.0.2.4", "servers"),
        Host("s2", "second.example.org", "servers"),
        Host("s3", "192.0.2.3", "servers"),  # a member without a name, known by its Node's address
        Host("s10", "192.0.2.10", "servers"),
        Host("worker", "192.0.2.21", "agents"),
    ]


def test_without_an_api_the_datastore_names_the_servers() -> None:
    assert inventory.hosts(entry(running=False, nodes=None), "192.0.2.2") == [
        Host("192.0.2.3", "192.0.2.3", "servers"),
        Host("s2", "192.0.2.2", "servers"),
        Host("s10", "192.0.2.10", "servers"),
    ]
    assert "on its disk; the API did not answer" in inventory.source(entry(running=False, nodes=None))
    assert inventory.source(entry(running=True, nodes=[])).endswith("etcd and the Nodes of the API")


@pytest.mark.parametrize("name", ["s1", "no", "null", "10", "0x1f", "a: b", "fd00::1", "::1", "2026-11-29", "x#y", "~"])
def test_every_name_is_read_back_as_it_was(name: str) -> None:
    variables = {"ansible_user": name, "ansible_become": True}
    made = inventory.text([Host(name, name, "servers")], variables, (), agents=True)
    read = yaml.safe_load(made)["all"]
    assert read["children"]["servers"]["hosts"] == {name: {"ansible_host": name}}
    assert read["vars"] == {"ansible_user": name, "ansible_become": True}
    assert read["children"]["agents"]["hosts"] == {}


@pytest.mark.parametrize(
    ("why", "state", "next"),
    [
        ("Host key verification failed.", "unknown host key", "ssh-keyscan -t ed25519 192.0.2.2"),
        ("REMOTE HOST IDENTIFICATION HAS CHANGED! Host key verification failed.", "another host key", "ssh-keygen -R"),
        ("rancher@192.0.2.2: Permission denied (publickey,password).", "no login", "ssh-copy-id -i k u@192.0.2.2"),
        ("Missing sudo password", "sudo asks", "ssh u@192.0.2.2 sudo -n true"),
        ("ssh: connect to host 192.0.2.2 port 22: No route to host", "does not answer", "If it is up"),
        ("ssh: connect to host 192.0.2.2 port 22: Connection timed out", "does not answer", "If it is up"),
        ("ssh: Could not resolve hostname s9: Name or service not known", "does not answer", "If it is up"),
        ("a thing that nobody has seen", "not read", "a thing that nobody has seen"),
    ],
)
def test_trouble(why: str, state: str, next: str) -> None:
    found = inventory.trouble(why, "u@192.0.2.2", "192.0.2.2", "k")
    assert found.state == state and next in found.next


# The command


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> JSON:
    """What the playbook was given; the first time the server is read, then all hosts."""
    seen: JSON = {"entry": entry(running=True, nodes=NODES), "calls": [], "first": {}, "silent": {}, "failures": [],
                  "unasked": []}

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        alone = not seen["calls"]
        seen["calls"].append((name, yaml.safe_load(Path(arguments.inventory).read_text()), variables))
        if alone:
            return remote.Outcome({"node_info": {"requorum_node": seen["entry"]}}, [], seen["first"])
        listed = yaml.safe_load(Path(arguments.inventory).read_text())["all"]["children"].values()
        answered = {name for group in listed for name in group["hosts"]} - set(seen["unasked"])
        return remote.Outcome({}, seen["failures"], seen["silent"], answered)

    monkeypatch.setattr(init.remote, "play", play)
    monkeypatch.chdir(tmp_path)
    return seen


def test_the_file_and_what_does_not_answer(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["silent"] = {"s10": "Make sure this host can be reached over ssh: ssh: connect: No route to host"}
    played["failures"] = ["worker: Missing sudo password"]
    assert cli.main(["init", "rancher@192.0.2.2", "-o", "blue.yml", "-e", "ansible_port=2222", "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    states = {row["name"]: row["state"] for row in document["hosts"]}
    assert states == {"plane": "ok", "s2": "ok", "s3": "ok", "s10": "does not answer", "worker": "sudo asks"}
    written = yaml.safe_load(Path("blue.yml").read_text())["all"]
    assert written["vars"] == {"requorum_cluster": "blue", "ansible_user": "rancher", "ansible_become": True,
                               "ansible_port": "2222"}  # fmt: skip
    assert played["calls"][1][1]["all"] == written and list(written["children"]["agents"]["hosts"]) == ["worker"]
    assert document["next"][0] == "requorum inspect -i blue.yml"


def test_a_test_that_did_not_run_says_well_of_no_host(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["failures"] = ["ERROR! the playbook could not be found"]
    assert cli.main(["init", "192.0.2.2", "--json"]) == 4
    assert {row["state"] for row in json.loads(capsys.readouterr().out)["hosts"]} == {"not read"}


def test_all_is_well(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["init", "192.0.2.2", "--cluster", "green", "--accept-new-host-keys"]) == 0
    out = capsys.readouterr().out
    assert "4 servers, 1 agents" in out and "requorum recover -i prod.yml --check" in out
    assert "requorum_cluster: green" in Path("prod.yml").read_text()
    assert all("accept-new" in json.dumps(variables) for _name, _inventory, variables in played["calls"])
    assert "accept-new" not in Path("prod.yml").read_text()


def test_host_keys_are_not_accepted_by_themselves(played: JSON) -> None:
    assert cli.main(["init", "192.0.2.2"]) == 0
    assert [variables for _name, _inventory, variables in played["calls"]] == [{}, {}]


def test_agents_are_missing_and_it_says_so(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    played["entry"] = entry(running=False, nodes=None)
    assert cli.main(["init", "192.0.2.2"]) == 0
    assert "unknown agents" in capsys.readouterr().out and "By hand" in Path("prod.yml").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "there.yml"], "is there already"),
        (["--key", "gone"], "no such file"),
        (["-e", "ansible_become_password=x"], "ansible-vault"),
    ],
)
def test_usage(words: list[str], said: str, played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.yml").write_text("mine")
    assert cli.main(["init", "192.0.2.2", *words]) == 2
    assert said in capsys.readouterr().err and not played["calls"] and Path("there.yml").read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"first": {"192.0.2.2": "Host key verification failed."}}, "ssh-keyscan"),
        ({"entry": {"distro": None}}, "neither RKE2 nor K3s"),
        ({"entry": {**entry(running=True, nodes=None), "etcd": {}, "datastore": None}}, "neither a list of members"),
    ],
)
def test_a_server_that_tells_nothing_leaves_no_file(
    change: JSON, said: str, played: JSON, capsys: pytest.CaptureFixture[str]
) -> None:
    played.update(change)
    assert cli.main(["init", "192.0.2.2"]) == 1
    assert said in capsys.readouterr().err and not Path("prod.yml").exists()


def test_a_host_that_was_never_asked_is_not_well(played: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    """ansible-playbook ended in the midst, after it had told of another host that it is silent."""
    played["silent"], played["unasked"] = {"s2": "No route to host"}, ["s3"]
    played["failures"] = ["s2: No route to host"]
    assert cli.main(["init", "192.0.2.2", "--json"]) == 4
    states = {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)["hosts"]}
    assert states["s3"] != "ok" and states["plane"] == "ok"
