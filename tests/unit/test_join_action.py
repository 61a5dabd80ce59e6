# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`join_config`: what it reads of a cluster, how the token reaches it, what it leaves on disk; and the command."""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.action import join_config
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from requorum import cli, remote
from requorum import join_config as command
from tests.unit import api_server
from tests.unit.local_node import LocalNode
from tests.unit.test_bad_api import joinable
from tests.unit.test_join_config import TOKEN, WISH, node

JSON = dict[str, Any]
REGISTRATION = "/apis/management.cattle.io/v3/namespaces/local/clusterregistrationtokens/default-token"
OBJECTS: JSON = {
    "/apis/harvesterhci.io/v1beta1/settings/server-version": {"value": "v1.3.2"},
    "/api/v1/namespaces/harvester-system/configmaps/vip": {"data": {"ip": "10.0.0.10"}},
    "/api/v1/nodes": {"items": [node("n1")]},
    "/apis/cluster.x-k8s.io/v1beta1/namespaces/fleet-local/machines": {"items": []},
    "/apis/batch/v1/namespaces/harvester-system/jobs": {"items": []},
}


def api(objects: JSON) -> _api.Api:
    """A cluster of these objects; a text instead of one is the reason of a refusal."""

    def answer(request: _api.Request) -> _api.Answer:
        assert request.verb == "get", "the cluster is only read"
        found = objects.get(request.url.partition("?")[0], "NotFound")
        return _api.Answer(found, f"said {found}") if isinstance(found, str) else _api.Answer("", "", found)

    return _api.Api(answer, where="r1", seconds=0)


def hidden(text: str, pad: str) -> str:
    return bytes(a ^ int(b) for a, b in zip(text.encode(), pad.split(), strict=False)).hex()


def act(
    folder: Path, *, objects: JSON | None = None, settings: JSON | None = None, tokens: tuple[str, str] = (TOKEN, ""),
    check: bool = False, host: str = "r1", **args: Any
) -> JSON:  # fmt: skip
    """One run of the action on a host whose scripts are answered in memory."""
    variables = {"requorum_join": {"n4": WISH}, **(settings or {})}

    class Acting(join_config.ActionModule):
        settings: ClassVar[JSON] = variables

        def __init__(self) -> None:
            self.host = host
            self._task = SimpleNamespace(args={"folder": str(folder), **args}, check_mode=check)

        def script(self, name: str, **given: Any) -> _node.Done:
            assert name == "rancherd_token" and TOKEN not in str(given)
            pads = given["stdin"].decode().splitlines()
            said = [hidden(token, pad) for token, pad in zip(tokens, pads, strict=True)]
            return _node.Done(0, f"api={said[1]}\nfile={said[0]}\n", "")

        def say(self, text: str) -> None:
            assert TOKEN not in text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_node_api, "of", lambda _action: api({**OBJECTS, **(objects or {})}))
        done: JSON = Acting().act()
    assert TOKEN not in json.dumps(done)
    return done


def test_files_for_their_owner_alone(tmp_path: Path) -> None:
    done = act(tmp_path / "join", url="http://boot/join/")
    host = done["hosts"]["n4"]
    assert done["cluster"] == {"version": "v1.3.2", "vip": "10.0.0.10"} and done["changed"]
    assert host["files"] == ["config.yaml", "join.ipxe", "harvester.cfg", "README.md"] == [
        Path(action["name"]).name for action in done["requorum_actions"]
    ]  # fmt: skip
    home = Path(host["folder"])
    assert home == tmp_path / "join" / "n4" and home.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(home)) == sorted(host["files"])
    assert all((home / name).stat().st_mode & 0o777 == 0o600 for name in host["files"])
    assert yaml.safe_load((home / "config.yaml").read_text())["token"] == TOKEN
    assert "config_url=http://boot/join/n4/config.yaml" in (home / "join.ipxe").read_text()


def test_check_mode_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    dry = act(tmp_path / "join", check=True)
    assert dry["changed"] and not (tmp_path / "join").exists()
    wet = act(tmp_path / "join")
    assert wet["requorum_actions"] == dry["requorum_actions"] and wet["hosts"] == dry["hosts"]
    again = act(tmp_path / "join")
    assert again["requorum_actions"] == [] and not again["changed"]


@pytest.mark.parametrize("file", [True, False])
def test_what_others_may_read_is_written_anew(tmp_path: Path, file: bool) -> None:
    act(tmp_path)
    path = tmp_path / "n4" / "config.yaml"
    (path if file else path.parent).chmod(0o755)
    assert act(tmp_path)["changed"]
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "join").touch()
    with pytest.raises(RequorumError, match=r"config\.yaml cannot be written.*requorum_output"):
        act(tmp_path / "join")


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ({"/api/v1/namespaces/harvester-system/configmaps/vip": "NotFound"}, "the VIP is unknown"),
        ({"/api/v1/namespaces/harvester-system/configmaps/vip": "Forbidden"}, "said Forbidden"),
        ({"/apis/harvesterhci.io/v1beta1/settings/server-version": "NotFound"}, "server-version is missing"),
        ({"/api/v1/nodes": "InternalError"}, "said InternalError"),
        ({"/apis/longhorn.io/v1beta2/namespaces/longhorn-system/nodes": "TooManyRequests"}, "said TooManyRequests"),
        ({"/api/v1/nodes": {"items": [node("n1"), node("n4", ip="10.0.0.9")]}}, r"in use \(Node n4\)"),
        ({"/api/v1/namespaces/kube-system/secrets/n4.node-password.rke2": {"metadata": {}}}, "n4.node-password.rke2"),
        (
            {"/apis/longhorn.io/v1beta2/namespaces/longhorn-system/nodes": {"items": [{"metadata": {"name": "n4"}}]}},
            "Longhorn node n4",
        ),
    ],
)
def test_nothing_is_written_where_it_is_refused(tmp_path: Path, objects: JSON, why: str) -> None:
    with pytest.raises(RequorumError, match=why):
        act(tmp_path / "join", objects=objects)
    assert not (tmp_path / "join").exists()


def test_a_part_that_is_not_installed_leaves_no_traces(tmp_path: Path) -> None:
    machines = "/apis/cluster.x-k8s.io/v1beta1/namespaces/fleet-local/machines"
    assert act(tmp_path, objects={machines: "NotFound"})["changed"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"requorum_join": {}}, "requorum_join names no host"),
        ({"requorum_join": None}, "requorum_join names no host"),
        ({"requorum_join": ["n4"]}, "are no dictionaries"),
        ({"requorum_join": {"n4": "ens5"}}, "n4 is no dictionary"),
        ({"requorum_join_defaults": []}, None),
        ({"requorum_join_defaults": "x"}, "are no dictionaries"),
        ({"requorum_rancherd_token_file": "/nowhere"}, "requorum_rancherd_token_file /nowhere cannot be read"),
    ],
)
def test_variables_of_another_shape(tmp_path: Path, given: JSON, why: str | None) -> None:
    if why is None:
        assert act(tmp_path, settings=given)["changed"]
        return
    with pytest.raises(RequorumError, match=why):
        act(tmp_path, settings=given)


def test_one_host_of_several_and_what_is_for_all(tmp_path: Path) -> None:
    common = {"device": "/dev/vda", "ssh_authorized_keys": ["github:me"], "iso_url": WISH["iso_url"], "mtu": 9000}
    wishes = {"n4": {"interfaces": ["ens5"], "mtu": None}, "n5": {"interfaces": ["ens5"], "device": "/dev/vdb"}}
    given = {"requorum_join": wishes, "requorum_join_defaults": common}
    assert list(act(tmp_path, settings=given, nodes=["n5"])["hosts"]) == ["n5"] == os.listdir(tmp_path)
    assert list(act(tmp_path, settings=given)["hosts"]) == ["n4", "n5"]
    made = {name: yaml.safe_load((tmp_path / name / "config.yaml").read_text())["install"] for name in wishes}
    assert [made[name]["device"] for name in wishes] == ["/dev/vda", "/dev/vdb"]
    assert [made[name]["management_interface"].get("mtu") for name in wishes] == [None, 9000]


# The token


def token_of(folder: Path) -> str:
    return str(yaml.safe_load((folder / "n4" / "config.yaml").read_text())["token"])


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-a-file\n")
    given = {"requorum_rancherd_token_file": str(tmp_path / "token")}
    for tokens, settings, wanted, other in (
        (("of-rancherd", "of-rancherd"), {}, "of-rancherd", False),
        (("of-rancherd", ""), {}, "of-rancherd", False),
        (("", "of-cluster"), {}, "of-cluster", False),
        (("of-rancherd", "of-cluster"), {}, "of-rancherd", True),
        (("of-rancherd", "of-rancherd"), given, "of-a-file", True),
    ):
        done = act(tmp_path / "join", tokens=tokens, settings=settings)
        assert token_of(tmp_path / "join") == wanted
        assert (join_config.OTHER in done["hosts"]["n4"]["notes"]) is other


def test_with_a_kubeconfig_alone_the_cluster_gives_its_token(tmp_path: Path) -> None:
    given = {"requorum_kubeconfig": "/k"}
    act(tmp_path, host="localhost", settings=given, objects={REGISTRATION: {"status": {"token": TOKEN}}})
    assert token_of(tmp_path) == TOKEN
    with pytest.raises(RequorumError, match=r"gives none out.*requorum_rancherd_token_file"):
        act(tmp_path / "other", host="localhost", settings=given)
    assert not (tmp_path / "other").exists()


def test_a_token_that_the_installer_refuses(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="characters that the installer refuses") as refused:
        act(tmp_path, tokens=("tökén", ""))
    assert "tökén" not in str(refused.value)


@pytest.mark.parametrize("shell", ["/bin/sh", "bash"])
@pytest.mark.parametrize(
    ("text", "token"),
    [
        (f'server: https://10.0.0.10:443\nrole: agent\ntoken: "{TOKEN}"\n', TOKEN),
        ("token: plain-word # said once\n", "plain-word"),
        ('token: "a\\"b"\n', 'a"b'),
        ("token: tökén\n", "tökén"),
        ("role: agent\n", ""),
        (None, ""),
    ],
)
def test_the_token_is_hidden_on_its_way(tmp_path: Path, shell: str, text: str | None, token: str) -> None:
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text)
    pad = bytes(range(256)) * 2
    numbers = " ".join(map(str, pad))
    script = _node.script("rancherd_token", DISTRO="none", FILE=str(file))
    done = LocalNode(shell).run(script, stdin=f"{numbers}\n{numbers}\n".encode())
    said = dict(line.split("=", 1) for line in done.out.splitlines())
    assert done.rc == 0 and said["api"] == ""
    assert join_config.bare(said["file"], pad) == token
    assert not token or token not in done.out + done.err


def test_pads_are_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(join_config.ActionModule, "script", lambda _self, _name, **given: sent.append(given["stdin"]))
    for _each in range(2):
        action = join_config.ActionModule.__new__(join_config.ActionModule)
        with pytest.raises(AttributeError):  # no answer was given
            action._of_node()
    pads = [line for text in sent for line in text.splitlines()]
    assert len(set(pads)) == 4 and all(len(pad.split()) == join_config.LONGEST for pad in pads)


# The command


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text("all: {vars: {requorum_cluster: prod}, children: {servers: {hosts: {r1: {}}}}}\n")
    return path


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[JSON]:
    """The variables of playbooks; each run leaves what the action leaves."""
    calls: list[JSON] = []

    def play(name: str, arguments: argparse.Namespace, variables: JSON, **_options: bool) -> remote.Outcome:
        assert name == "join_config"
        calls.append({**variables, "check": arguments.check})
        done = act(tmp_path / "join", url=variables.get("requorum_join_url", ""), check=arguments.check)
        return remote.Outcome({"join_config": done})

    monkeypatch.setattr(remote, "play", play)
    return calls


def test_the_command_says_what_there_is(
    played: list[JSON], inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t").write_text("x")
    words = ["join-config", "n4", "-i", str(inventory), "--output", "out", "--url", "http://boot/j", "-e", "a=b"]
    assert cli.main([*words, "--token-file", str(tmp_path / "t")]) == 0
    assert played == [{
        "a": "b", "requorum_join_nodes": ["n4"], "requorum_join_folder": os.path.abspath("out"), "check": False,
        "requorum_join_url": "http://boot/j", "requorum_rancherd_token_file": str(tmp_path / "t"),
    }]  # fmt: skip
    said = capsys.readouterr().out
    assert f"is in {tmp_path}/join/n4; begin with README.md." in " ".join(said.split())
    assert "- It joins as a worker" in said
    assert cli.main([*words, "--check", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["check"] and document["fetched"] is None and list(document["hosts"]) == ["n4"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--serve", "127.0.0.1", "--check"], "--serve goes neither with --check"),
        (["--serve", "127.0.0.1", "--url", "http://x"], "--serve goes neither"),
        (["--plain"], "need --serve"),
        (["--serve", "0.0.0.0:80"], "give the address of this machine"),
        (["--serve", ":80"], "give the address of this machine"),
        (["--serve", "127.0.0.1:x"], "give the address of this machine"),
        (["--serve", "127.0.0.1", "--plain", "--certificate", "c"], "--plain has no certificate"),
        (["--serve", "127.0.0.1", "--certificate", __file__], "--certificate"),
        (["--serve", "127.0.0.1", "--certificate", "/nowhere"], "/nowhere is no file"),
        (["--token-file", "-"], "has to be a file"),
        (["--ttl", "0"], "no number from 1 on"),
    ],
)
def test_words_that_do_not_go_together(
    played: list[JSON], inventory: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["join-config", "n4", "-i", str(inventory), *words]) == 2
    assert why in " ".join(capsys.readouterr().err.split()) and played == []


def test_an_address_that_is_not_ours(played: list[JSON], inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["join-config", "n4", "-i", str(inventory), "--serve", "192.0.2.1:0"]) == 1
    assert "Name an address of this machine" in capsys.readouterr().err and played == []


def test_a_run_that_fails(inventory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(remote, "play", lambda *_a, **_k: remote.Outcome(failures=["r1: no."]))
    assert cli.main(["join-config", "n4", "-i", str(inventory), "--serve", "127.0.0.1"]) == 1
    assert "r1: no." in capsys.readouterr().err


def client(tls: bool) -> str:
    """A host that reads the addresses from the log of the command, fetches the script, and what the script names."""
    return f"""
import re, ssl, sys, urllib.request
context = ssl._create_unverified_context() if {tls} else None
urls = [line.strip() for line in (sys.stdin.readline() for _each in range(2))]
script = urllib.request.urlopen(urls[1], context=context, timeout=10).read().decode()
named = re.search(r"config_url=(\\S+)", script)[1]
assert named == urls[0], (named, urls)
print(urllib.request.urlopen(named, context=context, timeout=10).read().decode())
"""


@pytest.mark.parametrize("plain", [True, False])
def test_served_once(
    played: list[JSON], inventory: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], plain: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The command serves to a client in another process, and ends by itself."""
    host = subprocess.Popen(
        [sys.executable, "-c", client(not plain)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    written: Callable[[str], int] = sys.stderr.write

    def told(text: str) -> int:
        if text.startswith("http"):
            assert host.stdin
            host.stdin.write(text)
            host.stdin.flush()
        return written(text)

    monkeypatch.setattr(sys.stderr, "write", told)
    words = ["--serve", "127.0.0.1", "--ttl", "20", *(["--plain"] if plain else [])]
    assert cli.main(["join-config", "n4", "-i", str(inventory), *words]) == 0
    fetched = host.communicate(timeout=20)[0]
    assert host.returncode == 0 and yaml.safe_load(fetched)["token"] == TOKEN
    base = played[0]["requorum_join_url"]
    assert re.fullmatch(rf"http{'' if plain else 's'}://127\.0\.0\.1:\d+/[\w-]{{43}}", base)
    said = capfd.readouterr().err
    assert (command.PLAIN if plain else command.UNTRUSTED) in said
    assert "fetched n4/join.ipxe" in said and "fetched n4/config.yaml" in said and TOKEN not in said
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{base}/n4/config.yaml", timeout=5, context=ssl._create_unverified_context())


def test_nobody_comes(played: list[JSON], inventory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--serve", "127.0.0.1", "--ttl", "1", "--plain", "--json"]
    assert cli.main(["join-config", "n4", "-i", str(inventory), *words]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["fetched"] is False and "It is served no longer" in said.err


# The whole command, on this machine


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    with api_server.serving(tmp_path) as server:
        joinable(server.store)
        yield tmp_path / "kubeconfig"


def test_the_whole_command_without_a_server_that_answers(
    kubeconfig: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one server of the inventory is this machine, which has no API; the kubeconfig leads to the cluster."""
    variables: JSON = {"requorum_cluster": "prod", "ansible_connection": "local", "ansible_become": False}
    variables |= {"requorum_join": {"n4": WISH}, "requorum_output": str(tmp_path / "out")}
    inventory = {"all": {"vars": variables, "children": {"servers": {"hosts": {"r1": {}}}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    words = ["join-config", "n4", "-i", str(tmp_path / "hosts.yml")]
    assert cli.main(words) == 1
    assert "The API of no server answers" in capsys.readouterr().err
    words += ["-e", f"requorum_kubeconfig={kubeconfig}"]
    assert cli.main([*words, "--check"]) == 0, capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err and "would be written to" in said.out
    home = tmp_path / "out" / "prod" / "join"
    assert token_of(home) == TOKEN and (home / "n4" / "config.yaml").stat().st_mode & 0o777 == 0o600
    assert cli.main([*words[:1], "n9", *words[2:]]) == 1
    assert "requorum_join has no n9" in " ".join(capsys.readouterr().err.split())
