# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and node passwords: judged by hashes, planned one host after another, read and put by scripts."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bootstrap,
    _classify,
    _distro,
    _node,
    _token_plan,
    _tokens,
    _turns,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from tests.unit import cases

JSON = dict[str, Any]
OLD, NEW = "sekret123", "other456"
OLD_KEY, NEW_KEY = "e2e269d4f6ec", "395cba02d986"
"""As in the recording k3s-token-rotate.txt."""
CA = "1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63"
HASH = (  # recorded, of a1
    "$1:b9a1766231e15d45:15:8:1:CLIcKpOJ9acXbFDtzD/eJQgrCBKD/6FtILQ1hnVMgIC4OT0M5nuvWHwRYOwWrwNUCB9pbLwTeDgJEyN8vRNoPg="
)


def token(key: str, place: str, form: str = "short", **more: str) -> JSON:
    return {"key": key, "form": form, "user": "-", "authority": "", "place": place, **more}


def host(name: str, in_force: str, *, server: bool = True, **more: Any) -> JSON:
    passwd = [token(more.pop("passwd", in_force), "/var/lib/rancher/k3s/server/cred/passwd")] if server else []
    given = {
        "name": name,
        "node": name,
        "server": server,
        "unit": "active" if server else "inactive",
        "agent": "inactive" if server else "active",
        "in_force": in_force,
        "source": "config",
        "authority": CA,
        "tokens": [token(in_force, "/etc/rancher/k3s/config.yaml: token"), *passwd],
        "keys": [NEW_KEY] if server else None,
        "live": server,
    }
    return given | more


def ask(*hosts: JSON, kept: tuple[JSON, ...] = (), refused: tuple[str, ...] = (), **more: Any) -> _turns.Ask:
    entries = [{"name": name, "reachable": True} for name in cases.SERVERS[:3]]
    tokens = {"hosts": {h["name"]: h for h in hosts}, "kept": kept, "refused": list(refused)}
    return _turns.Ask("prod", entries, ["a1"], tokens=tokens, **more)


def plan(*servers: Any, **given: Any) -> Any:
    hosts = given.pop("hosts")
    case = _classify.classify(servers or [cases.voting(name) for name in ("r1", "r2", "r3")])
    return _token_plan.plan(case, _distro.DISTROS["k3s"], ask(*hosts, **given))


# --- which token opens the datastore


def test_the_recorded_keys() -> None:
    assert (_bootstrap.name(OLD), _bootstrap.name(f"K10{CA}::server:{NEW}")) == (OLD_KEY, NEW_KEY)


def test_a_healthy_cluster_has_no_problem() -> None:
    seen = _tokens.judge([host(name, NEW_KEY) for name in ("r1", "r2")])
    assert (seen.wrong, seen.keys, _tokens.problems(seen)) == ((), (NEW_KEY,), [])


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"in_force": OLD_KEY}, True),  # runs on, its next start fails
        ({"in_force": OLD_KEY, "unit": "activating", "passwd": NEW_KEY}, True),
        ({"in_force": NEW_KEY, "unit": "activating", "passwd": OLD_KEY}, True),  # newer than datastore
        ({"in_force": NEW_KEY, "unit": "active", "passwd": OLD_KEY}, False),  # taken from the datastore at its start
        ({"in_force": NEW_KEY, "unit": "activating", "passwd": NEW_KEY}, False),  # it does not start for another reason
        ({"in_force": ""}, False),  # nothing was read
    ],
)
def test_servers_whose_start_fails(more: JSON, wrong: bool) -> None:
    seen = _tokens.judge([host("r1", NEW_KEY), host("r2", more.pop("in_force"), **more)])
    assert seen.wrong == (("r2",) if wrong else ())


def test_without_a_datastore_nothing_is_wrong() -> None:
    seen = _tokens.judge([host("r1", OLD_KEY, keys=None, live=False)])
    assert (seen.wrong, [row.opens for row in seen.rows]) == ((), [None, None])
    assert "none was read" in _tokens.table(seen)[0]


def test_a_running_etcd_is_believed_before_a_file() -> None:
    seen = _tokens.judge([host("r1", OLD_KEY, keys=[OLD_KEY], live=False), host("r2", NEW_KEY)])
    assert (seen.keys, seen.wrong) == ((NEW_KEY,), ("r1",))


def test_ca_hashes_agent_tokens_and_lost_tokens() -> None:
    full = token(OLD_KEY, "/var/lib/rancher/k3s/server/token", "full", authority="0" * 64)
    other = token("111111111111", "/etc/rancher/k3s/config.yaml: agent-token")
    seen = _tokens.judge([host("r1", OLD_KEY, tokens=[full, other]), host("a1", "111111111111", server=False)])
    assert [(row.opens, row.authority) for row in seen.rows[:2]] == [(False, "wrong"), (None, "")]
    assert (seen.opener, seen.strangers) == (None, ())
    assert [line for line in _tokens.problems(seen) if "No token at hand" in line]
    seen = _tokens.judge([host("r1", NEW_KEY), host("a1", OLD_KEY, server=False)])
    assert seen.strangers == ("a1",)


def test_a_kept_token_opens_it() -> None:
    seen = _tokens.judge([host("r1", OLD_KEY)], [token(NEW_KEY, "/root/backup/files.tar", "full", authority=CA)])
    assert seen.opener
    assert (seen.opener.node, seen.opener.place, seen.opener.authority) == ("", "/root/backup/files.tar", "right")
    assert any("controller" in line for line in _tokens.table(seen))


# --- what a host says


def test_parse() -> None:
    keys = json.dumps({"header": {}, "kvs": [{"key": base64.b64encode(f"/bootstrap/{NEW_KEY}".encode()).decode()}]})
    found = _tokens.parse(
        "r1",
        f"node=n1\nunit=active\nin-force={OLD_KEY} config\ntoken={OLD_KEY} full server {CA} /a b: token\n"
        f"token={NEW_KEY} short - - /x\nkeys={keys}\nat=17:/bootstrap/{NEW_KEY}\ndb=/db\npassword=a1 {HASH}\n",
    )
    assert found["tokens"][0] == token(OLD_KEY, "/a b: token", "full", user="server", authority=CA)
    assert found["tokens"][1]["authority"] == ""
    assert (found["keys"], found["offsets"], found["db"]) == ([NEW_KEY], [(17, NEW_KEY)], "/db")
    assert (found["in_force"], found["source"], found["passwords"]) == (OLD_KEY, "config", {"a1": HASH})
    assert _tokens.parse("r1", "keys={}").get("keys") == []
    assert _tokens.parse("r1", "keys=not json")["keys"] is None


def test_node_passwords() -> None:
    made = hashlib.scrypt(
        b"right", salt=bytes.fromhex("b9a1766231e15d45"), n=1 << 15, r=8, p=1, dklen=64, maxmem=1 << 28
    )
    stored = f"$1:b9a1766231e15d45:15:8:1:{base64.b64encode(made).decode().rstrip('=')}"
    assert _tokens.accepts(stored, "right") is True
    assert _tokens.accepts(stored, "wrong") is False
    assert _tokens.accepts(HASH, "wrong") is False  # the recorded form
    assert _tokens.accepts("$2:something", "right") is None
    assert _tokens.accepts("$1:00:60:8:1:AAAA", "right") is None


# --- the plan


def test_servers_that_do_not_work_come_first() -> None:
    hosts = [host("r1", OLD_KEY), host("r2", NEW_KEY), host("r3", OLD_KEY, unit="activating")]
    made = plan(cases.voting("r1"), cases.voting("r2"), cases.stopped("r3"), hosts=hosts)
    work = [(a.turn, a.node, a.verb) for a in made.actions if a.phase == 4]
    assert [word[0] for word in work] == ["r3"] * 8 + ["r1"] * 8
    assert [verb for turn, _n, verb in work if turn == "r3"] == (
        ["margin", "yield", "fence", "token", "start", "serve", "settle", "release"]
    )
    assert made.phases == ("INSPECT", "PLAN", "BACKUP", "TOKENS", "VERIFY")
    assert made.tokens["key"] == NEW_KEY
    assert made.refusals == ()


def test_only_named_hosts() -> None:
    made = plan(hosts=[host("r1", NEW_KEY), host("r2", OLD_KEY), host("r3", OLD_KEY)], only=["r3"])
    assert {a.turn for a in made.actions if a.phase == 4} == {"r3"}


def test_an_agent_that_waits_to_be_let_in() -> None:
    hosts = [*(host(name, NEW_KEY) for name in ("r1", "r2", "r3")), host("a1", NEW_KEY, server=False)]
    for state, verbs in (("activating", ["password", "admit"]), ("active", ["password"])):
        hosts[-1]["agent"] = state
        made = plan(hosts=hosts, refused=("a1",))
        assert [(a.turn, a.verb) for a in made.actions if a.phase == 4] == [("a1", verb) for verb in verbs]
        assert made.anchors == {"a1": "r1"}


def test_nothing_to_do() -> None:
    made = plan(hosts=[host(name, NEW_KEY) for name in ("r1", "r2", "r3")])
    assert (made.actions, made.refusals, made.tokens["problems"]) == ((), (), [])


@pytest.mark.parametrize(
    ("hosts", "what"),
    [
        ([host("r1", OLD_KEY, keys=[OLD_KEY, NEW_KEY])], "interrupted"),
        ([host("r1", OLD_KEY)], "No token at hand"),
        ([host("r1", NEW_KEY), host("r2", OLD_KEY, source="flag")], "command line"),
    ],
)
def test_refusals(hosts: list[JSON], what: str) -> None:
    made = plan(hosts=hosts)
    assert made.actions == ()
    assert what in made.refusals[0].what


def test_a_turn_that_was_cut_off_is_ended() -> None:
    """Its token is in place: nothing is wrong with it, but it was stopped, and would not start at boot."""
    hosts = {name: host(name, NEW_KEY) for name in ("r1", "r2", "r3")}
    entries = [{"name": name, "reachable": True, "journal": ["enabled=enabled"] * (name == "r3")} for name in hosts]
    case = _classify.classify([cases.voting("r1"), cases.voting("r2"), cases.stopped("r3")])
    asked = _turns.Ask("prod", entries, [], tokens={"hosts": hosts})
    made = _token_plan.plan(case, _distro.DISTROS["k3s"], asked)
    assert [f"{a.node} {a.verb}" for a in made.actions if a.turn] == ["r3 start", "r3 serve", "r1 settle", "r3 release"]


def test_the_only_place_is_an_agent_or_the_datastore() -> None:
    lost = [host(name, "", tokens=[]) for name in ("r1", "r2", "r3")]
    stale = host("r2", OLD_KEY, tokens=[token(OLD_KEY, "/etc/rancher/k3s/config.yaml: token")])
    state = token(NEW_KEY, "Secret fleet-local/local-rke-state: serverToken", "full")
    made = plan(hosts=[lost[0], stale, lost[2], host("a1", NEW_KEY, server=False)])
    assert [(a.id, a.node) for a in made.actions if a.verb == "keep"][-1] == ("3.5", "a1")
    assert f"the one of key {NEW_KEY}" in next(a.what for a in made.actions if a.node == "a1")
    made = plan(hosts=[{**lost[0], "tokens": [state]}, stale, lost[2]])
    assert "a1" not in [a.node for a in made.actions]
    assert _tokens.judge([{**lost[0], "tokens": [state]}]).opener.where == "datastore"  # type: ignore[union-attr]


# --- tokens on the controller


def archive(path: Path, files: dict[str, str]) -> str:
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(text.encode())
            tar.addfile(about, io.BytesIO(text.encode()))
    return str(path)


def test_tokens_in_backups_and_in_a_named_file(tmp_path: Path) -> None:
    full = f"K10{CA}::server:{NEW}"
    files = {
        "var/lib/rancher/requorum/x/token": OLD,
        "data/server/token": f"{full}\n",
        "data/server/cred/passwd": f"{NEW},server,server,k3s:server\n{NEW},node,node,k3s:agent\n",
    }
    path = archive(tmp_path / "20261124T093007Z" / "backup" / "r1" / "files.tar", files)
    assert _shelf.kept_tokens(path) == [OLD, full, NEW]
    places = _shelf.token_places({}, str(tmp_path))
    assert [(row["key"], row["form"]) for row in places] == [(OLD_KEY, "short"), (NEW_KEY, "full"), (NEW_KEY, "short")]
    assert {row["place"] for row in places} == {path}
    assert _shelf.token({"requorum_token_file": path}) == OLD
    assert not any(OLD in str(row) or NEW in str(row) for row in places)


# --- the scripts, on files of a temporary folder

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
STUBS = """
systemctl() {{ :; }}
journalctl() {{ :; }}
etcd_runs() {{ return 1; }}
timeout() {{ :; }}
find_distro() {{
  DISTRO=k3s UNIT=k3s AGENT=k3s-agent CONFIG={0}/etc/config.yaml DATA={0}/data
  SERVER=$DATA/server DB=$DATA/server/db TLS=$DATA/server/tls ARGS=
}}
HOME_DIR={0}/home
"""


class Disk:
    def __init__(self, root: Path) -> None:
        self.root, self.server = root, root / "data" / "server"
        for folder in ("etc", "data/server/cred", "data/server/tls", "home"):
            (root / folder).mkdir(parents=True)
        (root / "etc" / "config.yaml").write_text(f"token: {OLD}\nagent-token: of-agents\n")
        (self.server / "token").write_text(f"K10{CA}::server:{NEW}\n")
        (self.server / "cred" / "passwd").write_text(f"{OLD},server,server,k3s:server\n{OLD},node,node,k3s:agent\n")
        (self.server / "tls" / "server-ca.crt").write_text(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )

    def run(self, shell: str, name: str, stdin: str = "", rc: int = 0, more: str = "") -> str:
        common, script = (_node.SCRIPTS / "common.sh").read_text(), (_node.SCRIPTS / f"{name}.sh").read_text()
        text = f"STAMP=s\n{common}\n{STUBS.format(self.root)}\n{more}\n{script}"
        words = [*shell.split(), "-c", text]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == rc, done.stderr
        return done.stdout if rc == 0 else done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_token_is_told_as_a_hash(shell: str, disk: Disk) -> None:
    said = disk.run(shell, "tokens")
    found = _tokens.parse("r1", said)
    rows = [(t["key"], t["form"], t["place"].removeprefix(str(disk.root))) for t in found["tokens"]]
    assert rows == [
        (OLD_KEY, "short", "/etc/config.yaml: token"),
        (_bootstrap.name("of-agents"), "short", "/etc/config.yaml: agent-token"),
        (NEW_KEY, "full", "/data/server/token"),
        (OLD_KEY, "short", "/data/server/cred/passwd"),
    ]
    assert found["tokens"][2]["authority"] == CA
    assert (found["in_force"], found["source"]) == (OLD_KEY, "config")
    assert found["authority"] == hashlib.sha256((disk.server / "tls" / "server-ca.crt").read_bytes()).hexdigest()
    assert not [secret for secret in (OLD, NEW, "of-agents") if secret in said]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_token_is_put_and_passwd_moved_aside(shell: str, disk: Disk) -> None:
    said = disk.run(shell, "token_put", NEW)
    dropin = disk.root / "etc" / "config.yaml.d" / "zz-requorum-token.yaml"
    assert dropin.read_text() == f"token: '{NEW}'\n"
    assert dropin.stat().st_mode & 0o077 == 0
    assert f"placed={dropin}" in said
    aside = disk.root / "home" / "s" / "passwd"
    assert f"moved={disk.server}/cred/passwd|{aside}" in said
    assert aside.read_text().startswith(OLD)
    assert NEW not in said
    assert "already=yes" in disk.run(shell, "token_put", NEW)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_token_file_gets_it(shell: str, disk: Disk) -> None:
    file = disk.root / "file"
    file.write_text(f"{OLD}\n")
    (disk.root / "etc" / "config.yaml").write_text(f"token: {NEW}\ntoken-file: {file}\n")
    said = disk.run(shell, "token_put", NEW)
    assert file.read_text() == f"{NEW}\n"
    assert f"moved={file}|{disk.root}/home/s/token-file" in said
    assert "no token came" in disk.run(shell, "token_put", "", rc=1)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("own", "idle"),
    [
        (f"token: {NEW}", True),
        (f"token: K10{CA}::server:{NEW}", True),
        ("node-name: n1", True),  # server/token is enough
        (f"token: {OLD}", False),
        (f"token: K10{'0' * 64}::server:{NEW}", False),  # with the hash of another CA it would join nobody
    ],
)
def test_a_drop_in_that_is_needed_no_more(shell: str, disk: Disk, own: str, idle: bool) -> None:
    dropin = disk.root / "etc" / "config.yaml.d" / "zz-requorum-token.yaml"
    dropin.parent.mkdir()
    dropin.write_text(f"token: '{NEW}'\n")
    (disk.root / "etc" / "config.yaml").write_text(f"{own}\n")
    assert _tokens.parse("r1", disk.run(shell, "tokens"))["idle"] == (str(dropin) if idle else "")
    said = disk.run(shell, "clear", f"{dropin}\n", rc=0 if idle else 1)
    assert dropin.exists() is not idle
    assert (f"moved={dropin}|{disk.root}/home/s/leftovers/" if idle else "is needed") in said


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lent_token_goes_and_what_was_there_comes_back(shell: str, disk: Disk) -> None:
    dropin = disk.root / "etc" / "config.yaml.d" / "zz-requorum-token.yaml"
    dropin.parent.mkdir()
    dropin.write_text(f"token: '{NEW}'\n")  # of an earlier run
    disk.run(shell, "token_put", OLD)
    assert OLD in dropin.read_text()
    said = disk.run(shell, "token_rotate", more=f"GO=back WANT={NEW_KEY}")
    assert dropin.read_text() == f"token: '{NEW}'\n"
    assert f"moved={dropin}|{disk.root}/home/s/zz-requorum-token.yaml.lent" in said
    file = disk.root / "file"
    file.write_text(f"{NEW}\n")
    (disk.root / "etc" / "config.yaml").write_text(f"token-file: {file}\n")
    disk.run(shell, "token_put", OLD)
    disk.run(shell, "token_rotate", more=f"GO=back WANT={NEW_KEY}")
    assert file.read_text() == f"{NEW}\n"
    assert "token-file" not in (disk.root / "home" / "journal").read_text()  # a way back finds nothing of it
    assert "zz-requorum" not in (disk.root / "home" / "journal").read_text()
    assert "does not hold the token" in disk.run(shell, "token_rotate", more="GO=back WANT=000000000000", rc=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="it writes below /run")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("new", [NEW, 'with "quotes" and \\'])
def test_a_running_server_is_asked_without_a_token_in_an_argument(shell: str, disk: Disk, new: str) -> None:
    log = disk.root / "curl"
    curl = f'curl() {{ printf "%s\\n" "$*" >{log}; cat /run/requorum/rotate/user /run/requorum/rotate/body >>{log}; }}'
    disk.run(shell, "token_rotate", f"{OLD}\n{new}\n", more=f"GO=ask PORT=6443\n{curl}\n")
    words, user, body = log.read_text().split("\n", 2)
    assert words.endswith("https://127.0.0.1:6443/v1-k3s/token") and "-X PUT" in words
    assert OLD not in words
    assert user == f'user = "server:{OLD}"'
    assert json.loads(body) == {"newToken": new}
    assert not list(Path("/run/requorum/rotate").iterdir())


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_with_a_token_on_a_host_is_told_and_kept(shell: str, disk: Disk) -> None:
    named = disk.root / "found-it"
    named.write_text(f"{NEW}\n")
    found = _tokens.parse("r1", disk.run(shell, "tokens", more=f"NAMED={named}"))
    assert (NEW_KEY, str(named)) in [(t["key"], t["place"]) for t in found["tokens"]]
    disk.run(shell, "keep", more=f"NAMED={named}")
    assert NEW in _shelf.kept_tokens(str(disk.root / "home" / "s" / "files.tar"))
    assert "cannot be read" in disk.run(shell, "keep", more=f"NAMED={disk.root}/none", rc=1)
