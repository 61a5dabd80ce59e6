# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell that runs on nodes: its syntax in three shells, and its functions on files of a temporary folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _blocks,
    _bootstrap,
    _certificates,
    _node,
    _snapshot,
    _state,
    _why_joining,
)
from tests.unit import certs
from tests.unit.datastores import unpacked

SCRIPTS = sorted(_node.SCRIPTS.glob("*.sh"))
NAMES = [path.stem for path in SCRIPTS if path.stem != "common"]
SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
shells = pytest.mark.parametrize("shell", SHELLS)
COMMON = (_node.SCRIPTS / "common.sh").read_text()
CA = "1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63"


def run(shell: str, text: str, *words: str, stdin: bytes = b"", rc: int = 0) -> str:
    done = subprocess.run(
        [*shell.split(), "-c", text, "requorum", *words], input=stdin, capture_output=True, check=False
    )
    assert done.returncode == rc, done.stderr.decode()
    return done.stdout.decode()


def part(script: str, name: str) -> str:
    """A function of a script, from its name to the closing brace in the first column."""
    found = re.search(rf"(?ms)^{name}\(\) \{{.*?^\}}$", (_node.SCRIPTS / f"{script}.sh").read_text())
    assert found, f"{script}.sh has no function {name}"
    return found[0] + "\n"


# --- info


@shells
@pytest.mark.parametrize(
    ("active", "tracking", "said"),
    [
        ("chronyd", "Leap status     : Normal", "NTP=yes NTPSynchronized=yes"),
        ("chrony", "Leap status     : Not synchronised", "NTP=yes NTPSynchronized=no"),
        ("systemd-timesyncd", None, "NTP=yes NTPSynchronized=no"),
        ("openntpd", None, "NTP=yes"),
        ("ssh", None, "NTP=no NTPSynchronized=no"),
    ],
)
def test_who_sets_the_clock(shell: str, active: str, tracking: str | None, said: str) -> None:
    """Of a daemon that tells nobody whether it is in step, nothing is said."""
    here = f"""timeout() {{ shift; "$@"; }}
systemctl() {{ for u do case $u in {active}) echo active ;; show | -* | Active*) ;; *) echo inactive ;; esac; done; }}
chronyc() {{ {f"echo '{tracking}'" if tracking else "return 1"}; }}
"""
    assert run(shell, COMMON + here + part("info", "clock") + "clock").split() == said.split()


@shells
@pytest.mark.parametrize(
    ("text", "network"),
    [
        (None, "missing"),
        ("os:\n  hostname: n1\ninstall:\n  mode: create\n  managementinterface:\n    method: dhcp\n", "there"),
        ("install:\n  management_interface: {interfaces: [{name: eth0}]}\nos: {}\n", "there"),
        ("install:\n  mode: join\n  networks:\n    harvester-mgmt:\n      method: dhcp\n", "old"),
        ("install:\n  mode: join\nos:\n  managementinterface:\n    method: dhcp\n", "none"),
        ("install:\n  networks: null\n  managementinterface: null\n", "none"),
    ],
)
def test_network_of_a_harvester_host(shell: str, text: str | None, network: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "harvester.config").write_text(text)
    script = f"{part('info', 'network')}network {tmp_path}/harvester.config"
    assert run(shell, script).strip() == network


@shells
@pytest.mark.parametrize(("name", "custom"), [("90_custom", "there"), ("99_custom", "renamed"), ("x", "missing")])
def test_custom_of_a_harvester_host(shell: str, name: str, custom: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.yaml").touch()
    assert run(shell, f"{part('info', 'custom')}custom {tmp_path}").strip() == custom


# --- all scripts


@shells
@pytest.mark.parametrize("name", NAMES)
def test_syntax(shell: str, name: str) -> None:
    subprocess.run([*shell.split(), "-n", "-c", _node.script(name)], check=True)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck() -> None:
    words = ["shellcheck", "-s", "sh", "-e", "SC2034,SC2154,SC2086,SC2015,SC2153,SC1090", *map(str, SCRIPTS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_what_no_script_may_do(path: Path) -> None:
    """Nothing is destroyed, no workload is stopped, nothing is asked of a node that it may not have."""
    code = "\n".join(line for line in path.read_text().split("\n") if not line.lstrip().startswith("#"))
    for word in (
        "rm -r",
        "rm -fr",
        "killall",
        "pkill",
        "python",
        "perl",
        "kubectl delete node",
        "delete node",
        "reboot",
        "bash",
        "mkfs",
        "wipefs",
    ):
        if path.stem == "clean" and word == "rm -r":  # what is known to be old data, under the name that says so
            assert set(re.findall(rf"{word}.*", code)) == set(re.findall(r'rm -rf "\$doomed" .*', code))
            continue
        assert not re.search(rf"\b{word}", code), word
    for line in re.findall(r"(?m)^.*\brm -f .*$", code):
        assert re.search(r"zz-requorum|/run/requorum|\$conf|\$part\"|crictl|\$HOME_DIR/lock\"", line), line


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_secrets_are_no_arguments(path: Path) -> None:
    """Arguments of a process are seen by everybody on the host; printf and echo are none."""
    for line in path.read_text().split("\n"):
        if re.search(r"\$\{?token\b", line):
            assert re.search(r"printf|\[ -n", line), line


# --- programs, and SELinux


def commands(folder: Path, *names: str, **bodies: str) -> str:
    """A PATH on which these programs are, and nothing else; bodies are stand-ins."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or "/nowhere")
    for name, body in bodies.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return f"PATH={shlex.quote(str(folder))}\n"


TOOLS = re.findall(r"[a-z0-9-]+", part("info", "tools").split("for n in")[1].split("; do")[0])


@shells
@pytest.mark.parametrize(
    ("absent", "enforcing", "missing"),
    [
        ((), "", []),
        (("sha256sum",), "", ["sha256sum"]),
        (("systemd-run", "timeout", "sed"), "", ["sed", "systemd-run", "timeout"]),
        ((), "echo Enforcing", ["restorecon"]),
        ((), "echo Permissive", ["restorecon"]),
        ((), "echo Disabled", []),
    ],
)
def test_programs_that_are_missing(
    shell: str, absent: tuple[str, ...], enforcing: str, missing: list[str], tmp_path: Path
) -> None:
    bodies = {name.replace("-", "_"): "true" for name in TOOLS if name not in absent}
    path = commands(tmp_path / "bin", **bodies, **({"getenforce": enforcing} if enforcing else {}))
    said = run(shell, part("common", "selinux") + part("info", "tools") + path + "echo '@@ tools 0'; tools")
    entry = _state.node("r1", "10.0.0.1", f"{said}@@ done 0\n", received=0.0)
    assert entry["missing"] == missing


def test_every_program_that_is_asked_for_is_called() -> None:
    assert sorted(TOOLS) == TOOLS
    text = "\n".join(path.read_text() for path in SCRIPTS).replace(part("info", "tools"), "")
    assert [name for name in TOOLS if not re.search(rf"(?m)(^|[^a-z-]){name}( |$)", text)] == []


@shells
@pytest.mark.parametrize(
    ("enforcing", "restorecon", "calls", "rc"),
    [
        ("echo Enforcing", 'echo "$@" >>"$CALLS"', "-RF /a /b c\n", 0),
        ("echo Permissive", 'echo "$@" >>"$CALLS"', "-RF /a /b c\n", 0),
        ("echo Disabled", 'echo "$@" >>"$CALLS"', "", 0),
        ("exit 1", 'echo "$@" >>"$CALLS"', "", 0),
        ("echo Enforcing", "exit 1", "", 1),
    ],
)
def test_labels_are_those_of_the_place(
    shell: str, enforcing: str, restorecon: str, calls: str, rc: int, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    log.touch()
    path = commands(tmp_path / "bin", getenforce=enforcing, restorecon=restorecon)
    run(shell, f"{COMMON}\n{path}export CALLS={log}\nrelabel /a '/b c'", rc=rc)
    assert log.read_text() == calls


@pytest.mark.parametrize(
    ("script", "placed"),
    [
        ("furnish", "/etc/rancher"),
        ("reset", "/run/requorum"),
        ("reset", '"$RESTORE"'),
        ("revert", '"$from"'),
        ("start", '"$dropin"'),
        ("tls_restore", '"$TLS" "$SERVER/cred"'),
        ("token_put", '"$f"'),
    ],
)
def test_what_is_put_in_its_place_gets_its_label_before_it_is_used(script: str, placed: str) -> None:
    text = (_node.SCRIPTS / f"{script}.sh").read_text()
    assert f"relabel {placed}\n" in text
    for use in ("systemd-run --unit", "start --no-block"):
        assert use not in text or text.index(f"relabel {placed}\n") < text.index(use)


# --- common.sh: what the configuration says


class Config:
    """A configuration below a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "config.yaml"
        self.server = folder / "server"
        self.server.mkdir()

    def write(self, text: str | None, **more: str) -> None:
        if text is not None:
            self.main.write_bytes(text.encode())
        for name, content in more.items():
            path = Path(f"{self.main}.d") / name.replace("__", ".").replace("_", "-")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode())

    def call(self, shell: str, text: str, *, extra: str = "") -> str:
        places = f"CONFIG={shlex.quote(str(self.main))}\nSERVER={shlex.quote(str(self.server))}\n"
        return run(shell, f"{COMMON}\n{extra}\n{places}{text}")

    def value(self, shell: str, key: str) -> str:
        return self.call(shell, f"config_value {key}").removesuffix("\n")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


@shells
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("token: a", "a"),
        ("token:    a   ", "a"),
        ("token : a", "a"),
        ('"token": a', "a"),
        ("'token': a", "a"),
        ('token: "a b"', "a b"),
        ("token: 'a b'", "a b"),
        ("token: a # the secret", "a"),
        ('token: "a" # the secret', "a"),
        ("token: a#b", "a#b"),
        ("token: a:b::c", "a:b::c"),
        ("token: a\r\nserver: b\r\n", "a"),
        ('token: "a"\r\n', "a"),
        ("token: a\ntoken: b", "b"),
        ("#token: a", ""),
        ("nested:\n  token: a", ""),
        ("tokens: a\nagent-token: b\ntoken-file: c", ""),
        ('token: ""', ""),
        ("token:", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_config_value(shell: str, text: str | None, value: str, config: Config) -> None:
    config.write(text)
    assert config.value(shell, "token") == value


@shells
def test_config_value_precedence(shell: str, config: Config) -> None:
    config.write("server: main", **{"20_b__yaml": "server: b", "10_a__yaml": "server: a", "note__txt": "server: no"})
    assert config.value(shell, "server") == "b"
    config.write(None, **{"90_last__yaml": "other: x"})
    assert config.value(shell, "server") == "b"
    config.write(None, zz_requorum__yaml='server: ""')
    assert config.value(shell, "server") == ""


@shells
def test_config_value_without_a_newline_at_the_end_of_a_file(shell: str, config: Config) -> None:
    config.write("a: 1", **{"10_a__yaml": "server: x"})
    assert config.value(shell, "a") == "1"
    assert config.value(shell, "server") == "x"


@shells
def test_token_value(shell: str, config: Config, tmp_path: Path) -> None:
    assert config.call(shell, "token_value") == ""
    (config.server / "token").write_text(f"K10{CA}::server:written\n")
    assert config.call(shell, "token_value") == f"K10{CA}::server:written"
    (tmp_path / "file").write_text("of a file\nsecond line\n")
    config.write(f"token-file: {tmp_path / 'file'}\n")
    assert config.call(shell, "token_value") == "of a file"
    config.write("token: 'of the config'\n", **{"50_x__yaml": f"token-file: {tmp_path / 'file'}\n"})
    assert config.call(shell, "token_value") == "of a file"  # as in k3s pkg/cli/server/server.go
    config.write("token: 'of the config'\n", **{"50_x__yaml": "token-file: /nowhere\n"})
    assert config.call(shell, "token_value") == "of the config"


@shells
@pytest.mark.parametrize(
    ("environment", "files", "value"),
    [
        ("K3S_URL=https://10.0.0.2:6443 A=b", "", "https://10.0.0.2:6443"),
        ('"K3S_URL=https://10.0.0.2:6443" A=b', "", "https://10.0.0.2:6443"),
        ("A=b", "K3S_URL='https://f:6443'", "https://f:6443"),
        ("K3S_URL=https://e:6443", "K3S_URL=https://f:6443", "https://f:6443"),
        ("XK3S_URL=x K3S_URLS=y", "", ""),
        ("", "", ""),
    ],
)
def test_a_variable_of_the_unit_s_environment(
    shell: str, environment: str, files: str, value: str, config: Config, tmp_path: Path
) -> None:
    (tmp_path / "env").write_text(f"{files}\n")
    told = (
        "case $* in "
        f"*EnvironmentFiles*) echo {shlex.quote(f'{tmp_path}/env (ignore_errors=yes)')};; "
        f"*Environment*) echo {shlex.quote(environment)};; esac"
    )
    extra = f"systemctl() {{ {told}; }}\nOWN=k3s DISTRO=k3s"
    assert config.call(shell, 'env_value "$(url_variable)"', extra=extra) == value


TOKENS = [
    "sekret123",
    f"K10{CA}::server:sekret123",
    f"K10{CA}::server:a:b::c",
    f"K10{CA}::pass",
    "server:sekret123",
    "K10x",
    "a::b",
    "it's $HOME `x` \\n",
]


@shells
@pytest.mark.parametrize("token", TOKENS)
def test_token_hash_is_the_name_of_the_bootstrap_key(shell: str, token: str) -> None:
    assert run(shell, f'{COMMON}\ntoken_hash "$1"', token).strip() == _bootstrap.name(token)


@settings(max_examples=40)
@given(st.text(alphabet="K10:ab\"'\\$", min_size=1, max_size=24))
def test_token_hash_of_any_token(token: str) -> None:
    assert run("dash", f'{COMMON}\ntoken_hash "$1"', token).strip() == _bootstrap.name(token)


@shells
def test_processes_are_found_by_their_exact_name(shell: str) -> None:
    sleep = subprocess.Popen(["sleep", "30"])
    try:
        found = run(shell, f"{COMMON}\npids_of sleep; true").split()
        assert str(sleep.pid) in found
        assert run(shell, f"{COMMON}\npids_of slee leep; true") == ""
    finally:
        sleep.kill()
        sleep.wait()


# --- info.sh


@shells
def test_blocks_as_the_controller_reads_them(shell: str) -> None:
    text = part("info", "block") + "\n".join(
        [
            "two() { echo one; echo; echo '@@ fake 0'; }",
            "block two two",
            "block bad sh -c 'echo why >&2; exit 3'",
            "block none true",
            "echo '@@ done 0'",
        ]
    )
    blocks = _blocks.Blocks(run(shell, text))
    assert blocks.text("two") == "one\n\n@@ fake 0"
    assert blocks.text("none") == ""
    assert blocks.text("bad") is None and blocks.unread == {"bad": "why"}
    assert set(blocks.blocks) == {"two", "bad", "none", "done"}


@shells
def test_what_hangs_without_a_quorum_is_asked_side_by_side(shell: str) -> None:
    """Deadlines do not add up, and the blocks come whole and in order, however long one is."""
    bodies = """
      health() { sleep 1; seq 1 2000; }
      gateway() { sleep 1; echo members; return 1; }
      get() { echo pong; }
      ready() { sleep 1; }
      api() { seq 1 30000; }
      served() { :; }
      PORT=1
    """
    functions = "".join(part("info", name) for name in ("block", "kubernetes", "beside")) + bodies
    begun = time.monotonic()
    ask = """beside 'block health health' "beside 'block gateway gateway' kubernetes"; printf '@@ done 0\\n'"""
    lines = run(shell, functions + ask).splitlines()
    assert time.monotonic() - begun < 2.5  # one after the other it is more than three
    blocks = [line for line in lines if line.startswith("@@")]
    names = "health 0, gateway 1, ping 0, readyz 0, nodes 0, endpoints 0, system 0, served 0, done 0"
    assert blocks == [f"@@ {name}" for name in names.split(", ")]
    assert len(lines) == len(blocks) + 2000 + 1 + 1 + 3 * 30000
    assert lines[-2] == "@@ served 0" and lines[-3] == " 30000"


@shells
@pytest.mark.parametrize(
    ("curl", "said", "rc"),
    [
        ("printf ok", "ok\n", 0),
        (
            r"printf '[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n'",
            "[-]etcd failed: reason withheld\n",
            1,
        ),
        ("echo 'curl: (7) Failed to connect' >&2; exit 7", "curl: (7) Failed to connect\n", 1),
        (":", "\n", 1),
        ("", "kubectl get --raw /readyz\n", 0),
    ],
)
def test_the_api_is_asked_by_curl_as_its_administrator(
    shell: str, curl: str, said: str, rc: int, config: Config, tmp_path: Path
) -> None:
    """The failing check is what is told; without curl it is asked by kubectl."""
    server = "https://127.0.0.1:6444"
    for name in ("tls/client-admin.key", "cred/admin.kubeconfig"):
        (config.server / name).parent.mkdir(parents=True)
        (config.server / name).write_text(f"clusters:\n- cluster:\n    server: {server}\n")
    asked = f"printf '%s\\n' \"$*\" >>{tmp_path}/asked\n"
    bodies = {"curl": asked + curl} if curl else {}
    path = commands(tmp_path / "bin", "sed", "head", "grep", **bodies)
    node = f"kube() {{ echo kubectl $*; }}\nSERVER={config.server} TLS={config.server}/tls\n{path}"
    assert run(shell, COMMON + node + "readyz", rc=rc) == said
    if curl:
        assert (tmp_path / "asked").read_text().endswith(f"client-admin.key {server}/readyz\n")


@shells
def test_a_wait_on_the_node_ends_when_it_holds_or_at_its_deadline(shell: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    begun = time.monotonic()
    run(shell, f"{COMMON}(sleep 0.3; : >{there}) & wait_for 20 test -e {there}; test -e {there}")
    run(shell, f"{COMMON}wait_for 1 test -e /nowhere")
    assert time.monotonic() - begun < 5


@shells
@pytest.mark.parametrize(
    ("status", "leaderless"),
    [
        ('{"header":{"cluster_id":"1", "member_id":"2"}, "version":"3.6.6", "leader":"13432", "raftIndex":"9"}', False),
        ('{"header":{"cluster_id":"1"},"version":"3.5.21","leader":"0"}', True),
        ('{"header":{"cluster_id":"1"},"version":"3.6.6"}', True),
        ('{"code":14,"message":"etcdserver: no leader"}', False),
        ("curl: (28) Operation timed out", False),
        ("", False),
    ],
)
def test_an_etcd_that_says_that_it_has_no_leader(shell: str, status: str, leaderless: bool) -> None:
    """What it does not say is not known, and the API is asked."""
    run(shell, f"{COMMON}leaderless {shlex.quote(status)}", rc=0 if leaderless else 1)
    tls = 'TLS=/nowhere\nPORT=1\netcd_runs() { true; }\nno_leader() { leaderless "$S"; }\nreadyz() { echo ok; }\n'
    text = part("info", "ready") + f"S={shlex.quote(status)}\nLEADERLESS=none\nready"
    assert run(shell, f"{COMMON}{tls}{text}", rc=int(leaderless)) == ("none\n" if leaderless else "ok\n")


@shells
@pytest.mark.parametrize(
    ("leaderless", "hangs", "asked"),
    [(False, False, "stop"), (False, True, "stop kill stop"), (True, True, "kill stop"), (True, False, "kill stop")],
)
def test_a_fence_does_not_wait_for_what_hangs(shell: str, leaderless: bool, hangs: bool, asked: str) -> None:
    text = (_node.SCRIPTS / "fence.sh").read_text()
    stop = text[text.index("{ ! no_leader") : text.index("for p in $(pids_of kubelet); do kill -KILL")]
    node = f"""no_leader() {{ {str(leaderless).lower()}; }}
timeout() {{ echo $3 >&3; [ $1 != 2 ] || {str(not hangs).lower()}; }}
systemctl() {{ echo $1 >&3; }}
"""
    assert run(shell, f"exec 3>&1\n{node}{stop}").split() == asked.split()


@shells
def test_a_fence_waits_for_the_ports_of_what_it_has_killed(shell: str, tmp_path: Path) -> None:
    text = (_node.SCRIPTS / "fence.sh").read_text()
    wait = text[text.index("left() {") : text.index("# By this a rollback")]
    node = f"pids_of() {{ :; }}\nlistens() {{ [ ! -e {tmp_path}/closed ]; }}\nPORT=6443\n"
    assert run(shell, f"{COMMON}{node}(sleep 0.5; : >{tmp_path}/closed) &\n{wait}left\n:") == ""
    still = "listens() { [ $1 = 2380 ]; }\n"
    assert run(shell, f"{COMMON}{node}{still}{wait.replace('wait_for 3', 'wait_for 1')}left\n:") == "port=2380\n"


@shells
@pytest.mark.parametrize(
    ("addresses", "listed"), [("10.0.0.1", 0), ("10.0.0.1 10.0.0.11", 0), ("10.0.0.1 10.0.0.2", 1)]
)
def test_endpoints_of_which_all_are_listed(shell: str, addresses: str, listed: int) -> None:
    slices = json.dumps({"endpoints": [{"addresses": ["10.0.0.11"]}, {"addresses": ["10.0.0.1"]}]})
    asks = f"endpoints() {{ echo {shlex.quote(slices)}; }}\nAWAIT={shlex.quote(addresses)}\n"
    run(shell, part("nodes", "listed") + asks + "listed", rc=listed)


@shells
@pytest.mark.parametrize(
    "line",
    [
        "token: sekret123",
        "token: 'sekret 123' # sekret",
        '"token": sekret123',
        "'agent-token' : sekret123",
        "token:sekret123",
        "token : sekret123\r",
        "etcd-s3-access-key: sekret",
        'etcd-s3-secret-key: "sekret"',
        "etcd-s3-session-token: sekret",
        "datastore-endpoint: postgres://u:sekret@db/k3s",
    ],
)
def test_config_is_masked_on_the_node(shell: str, line: str, config: Config) -> None:
    config.write(f"node-ip: 10.0.0.1\n{line}\nserver: https://10.0.0.2:9345\n", **{"50_x__yaml": f"{line}\ncni: none"})
    out = config.call(shell, "config", extra=part("info", "config"))
    assert "sekret" not in out
    blocks = _blocks.Blocks("@@ config 0\n" + "".join(f" {row}\n" for row in out.split("\n")))
    merged = _state._config(blocks)
    assert merged is not None and "hidden" in str(merged)
    assert merged | {"server": "https://10.0.0.2:9345", "node-ip": "10.0.0.1", "cni": "none"} == merged


@shells
def test_token_hashes_and_no_token(shell: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("sekret of a file\n")
    (config.server / "token").write_text(f"K10{CA}::server:sekret123\n")
    config.write("token: sekret123\ntoken-file: /nowhere")
    out = config.call(shell, "tokens", extra=part("info", "tokens"))
    lines = dict(line.split("=") for line in out.split())
    assert (lines["in-force"], lines["server"]) == ("e2e269d4f6ec", "e2e269d4f6ec")
    config.write(f"token-file: {tmp_path / 'file'}")
    out = config.call(shell, "tokens", extra=part("info", "tokens"))
    assert f"in-force={_bootstrap.name('sekret of a file')}" in out
    assert "sekret" not in out


@shells
@pytest.mark.parametrize(
    ("leader", "etcd", "code", "live", "asked"),
    [
        ("7", '{"header":{"revision":"7"},"kvs":[]}', 0, True, True),
        ("", "asked all the same", 0, False, False),
        ("7", "", 28, False, False),  # the quorum is lost in this moment
        ("7", "", 124, False, False),  # the same, asked by kubectl
        (None, "", 58, False, True),  # its client certificate has ended, which the API's connection outlives
    ],
)
def test_an_api_whose_etcd_hangs_is_not_asked_for_passwords(
    shell: str, leader: str | None, etcd: str, code: int, live: bool, asked: bool, config: Config
) -> None:
    tls = config.server / "tls"
    status = "" if leader is None else json.dumps({"header": {}, **({"leader": leader} if leader else {})})
    status = status.replace(": ", ":")  # as etcd writes it
    for name in ("tls/etcd/client.crt", "cred/admin.kubeconfig"):
        (config.server / name).parent.mkdir(parents=True)
        (config.server / name).touch()
    node = f"""
find_distro() {{ DISTRO=rke2 UNIT=none AGENT=none DATA=/nowhere BIN=rke2 DB=/nowhere; }}
etcd_runs() {{ true; }}
gate() {{ echo 2382; }}
systemctl() {{ echo active; }}
journalctl() {{ true; }}
post() {{
  case $2 in
    */status) printf '%s' {shlex.quote(status)} ;;
    *) printf '%s' {shlex.quote(etcd)}; return {code} ;;
  esac
}}
kube() {{ echo "r1.node-password.rke2 aGFzaA=="; }}
TLS={shlex.quote(str(tls))} NAMED=
"""
    out = config.call(shell, (_node.SCRIPTS / "tokens.sh").read_text(), extra=node)
    assert ("password=r1 hash" in out.splitlines()) is asked
    assert ("db=/nowhere/etcd/member/snap/db" in out.splitlines()) is not live


@shells
def test_files_are_listed_with_sizes(shell: str, config: Config, tmp_path: Path) -> None:
    data = tmp_path / "rke2"
    wal = data / "server/db/etcd/member/wal"
    (data / "server/db/etcd/member/snap").mkdir(parents=True)
    wal.mkdir()
    (data / "server/db/etcd/member/snap/db").write_bytes(b"x" * 1000)
    (wal / "0000000000000000-0000000000000000.wal").write_bytes(b"y" * 600)
    places = f"DATA={data}\nDB={data}/server/db\nTLS={data}/server/tls\n"
    functions = part("info", "files") + part("info", "wal")
    found = _state._files(config.call(shell, f"{places}files", extra=functions).rstrip("\n"))
    assert found is not None
    assert found[f"{data}/server/db/etcd/member/snap/db"]["bytes"] == 1000
    assert found[f"{data}/server/db/etcd"]["directory"] is True
    assert len([path for path in found if path.endswith(".wal")]) == 1
    assert base64.b64decode(config.call(shell, f"{places}wal", extra=functions)) == b"y" * 512


@shells
def test_certificates_of_agent_and_supervisor_without_a_key(shell: str, config: Config, tmp_path: Path) -> None:
    tls, agent = tmp_path / "rke2/server/tls", tmp_path / "rke2/agent"
    agent.mkdir(parents=True)
    tls.mkdir(parents=True)
    pem = certs.authorities()["server/tls/server-ca.crt"].pem
    (agent / "client-kubelet.crt").write_bytes(pem)
    body = base64.b64encode(pem).decode()
    (tls / "dynamic-cert.json").write_text(json.dumps({"data": {"tls.crt": body, "tls.key": "c2VrcmV0"}}))
    places = f"DATA={tmp_path}/rke2\nTLS={tls}\n"
    out = config.call(shell, f"{places}certificates", extra=part("info", "certificates"))
    assert "c2VrcmV0" not in out
    found = {row["path"]: row["subject"] for row in _certificates.dates(out)}
    named = f"CN=rke2-server-ca@{certs.NOW}"
    assert found == {f"{agent}/client-kubelet.crt": named, f"{tls}/dynamic-cert.json": named}


@shells
def test_disk_memory_and_inodes_of_this_machine(shell: str, config: Config, tmp_path: Path) -> None:
    places, functions = f"DATA={tmp_path}/not/there\n", part("info", "disk") + part("info", "memory")
    disk = _state._disk(config.call(shell, f"{places}disk -k", extra=functions))
    inodes = _state._inodes(config.call(shell, f"{places}disk -i", extra=functions))
    memory = _state._memory(config.call(shell, "memory", extra=functions))
    assert disk and disk["bytes"] > disk["free"] and inodes and inodes["total"] > inodes["free"]
    assert memory and memory["bytes"] > memory["available"] > 0


@shells
def test_places_of_this_machine(shell: str, config: Config, tmp_path: Path) -> None:
    (tmp_path / "real/db/etcd").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "shm").symlink_to("/dev/shm")
    places = f"DB={tmp_path}/link/db\nHOME_DIR={tmp_path}/shm\nCONFIG=/not/there/config.yaml\n"
    found = _state._places(config.call(shell, f"{places}places", extra=part("info", "places")))
    assert found and [Path(path).name for path in found] == ["etcd", "db", "shm", "config.yaml.d"]
    own, shm, root = found[f"{tmp_path}/link/db"], found[f"{tmp_path}/shm"], found["/not/there/config.yaml.d"]
    assert own["free"] > 0 and not own["mounted"] and not own["read_only"]
    assert (shm["mount"], shm["mounted"], shm["read_only"]) == ("/dev/shm", True, False)
    assert (root["mount"], root["mounted"]) == ("/", False)


def test_a_mount_is_read_only_by_its_own_options_or_by_those_of_its_file_system() -> None:
    rows = [("/a", "rw,relatime,rw,errors=remount-ro"), ("/b", "ro,relatime,rw"), ("/c", "rw,noatime,ro,data=ordered")]
    found = _state._places("\n".join(f"{path}\t100\t/\tno\t{options}" for path, options in rows))
    assert found and [place["read_only"] for place in found.values()] == [False, True, True]
    assert found["/a"]["free"] == 102_400
    assert _state._places("df: /x: Input/output error") is None


@shells
def test_processes_and_listeners_of_this_machine(shell: str) -> None:
    found = _state._processes(run(shell, part("info", "processes") + "processes"))
    assert found is not None
    mine = next(process for process in found if process["pid"] == os.getpid())
    assert mine["parent"] == os.getppid()
    stat = Path(f"/proc/{os.getpid()}/stat").read_text().rsplit(")", 1)[1].split()
    assert mine["start"] == int(stat[19])
    assert (
        _state._listeners(
            run(shell, COMMON + "grep -h ' 0A ' /proc/net/tcp | sed 's/^ *[0-9]*: \\([0-9A-F:]*\\) .*/\\1/'")
        )
        is not None
    )


MANY_LINES = [
    "token: >-\n  sekret123\n",
    "token:\n  sekret123\n",
    "{token: sekret123, node-ip: 10.0.0.1}\n",
    " token: sekret123\n",
]


@pytest.mark.parametrize("text", MANY_LINES)
def test_token_of_many_lines_is_masked_on_the_node(text: str, config: Config) -> None:
    config.write(text)
    assert "sekret" not in config.call("dash", "config", extra=part("info", "config"))


# --- snapshot.sh


def copy_with_trailer(shell: str, database: Path, folder: Path) -> Path:
    """What snapshot.sh does with the file of a stopped etcd."""
    (folder / "etcd/member/snap").mkdir(parents=True)
    shutil.copy(database, folder / "etcd/member/snap/db")
    found = re.search(r"(?ms)^  sum=\$\(tee.*?^  done[^\n]*$", (_node.SCRIPTS / "snapshot.sh").read_text())
    assert found
    where = shlex.quote(str(folder))
    run(shell, f"die() {{ exit 1; }}\nto={where} DB={where}\n{found[0]}")
    return folder / "snapshot.part"


@shells
@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 17, b"\n" * 4096])
def test_trailer_is_written_byte_by_byte(shell: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(content)
    copy = copy_with_trailer(shell, tmp_path / "content", tmp_path)
    assert copy.read_bytes() == content + hashlib.sha256(content).digest()


@shells
def test_a_process_that_has_a_file_open_is_found_by_any_name_of_the_file(shell: str, tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"x")
    os.link(tmp_path / "db", tmp_path / "other name")
    call = f"opened_by {shlex.quote(str(tmp_path / 'db'))}"
    assert run(shell, part("common", "opened_by") + "\n" + call).strip() == ""
    with (tmp_path / "other name").open("rb"):
        assert run(shell, part("common", "opened_by") + "\n" + call).split() == [str(os.getpid())]


@shells
def test_copied_datastore_with_that_trailer_is_proved(shell: str, tmp_path: Path) -> None:
    copy = copy_with_trailer(shell, unpacked() / "r3/etcd/member/snap/db", tmp_path).rename(tmp_path / "snapshot.db")
    wanted = _snapshot.Wanted(["e2e269d4f6ec"], ["77c97c7d5f0ed9c"])
    proof = _snapshot.prove(str(copy), wanted)
    assert proof.ok, proof.faults


@shells
def test_blobs_of_the_gateway_are_put_together(shell: str) -> None:
    """etcd sends chunks of 32 KiB, each of them base64 with its own padding."""
    found = re.search(r"sed -n 's/[^']*blob[^']*'[^|]*\| base64 -d", (_node.SCRIPTS / "snapshot.sh").read_text())
    assert found
    data = os.urandom(100_003)
    chunks = [data[start : start + 32768] for start in range(0, len(data), 32768)]
    lines = [
        f'{{"result":{{"header":{{}},"remaining_bytes":"9","blob":"{base64.b64encode(chunk).decode()}","version":"3.6.6"}}}}'
        for chunk in chunks
    ]
    lines.append('{"result":{"header":{},"remaining_bytes":"0"}}')
    done = subprocess.run(
        [*shell.split(), "-c", found[0]], input="\n".join(lines).encode(), capture_output=True, check=True
    )
    assert done.stdout == data


# --- reset.sh


def strip(shell: str, path: Path) -> str:
    return run(shell, part("reset", "strip") + f"strip {shlex.quote(str(path))}")


CONFIGS = {
    "plain": "server: https://10.0.0.2:9345\ntoken: sekret123\nnode-ip: 10.0.0.1\n",
    "quoted keys": "\"server\": 'x'\n'token' : sekret123\n\"etcd-s3\": true\n'node-ip': 10.0.0.1\n",
    "windows": "server: https://10.0.0.2:9345\r\ntoken: sekret123\r\nnode-ip: 10.0.0.1\r\n",
    "comments": "# server: no\nserver: x # the first one\n# the token\ntoken: a\n\nnode-ip: 10.0.0.1 # token: y\n",
    "lists": "tls-san:\n  - a\n  - server\nserver: x\nnode-label:\n- b\n- token=c\netcd-s3: y\nnode-ip: 10.0.0.1\n",
    "folded values": "token: >-\n  sekret123\n  sekret\nserver:\n  https://10.0.0.2:9345\nnode-ip: 10.0.0.1\n",
    "lists without indent": "token+:\n- sekret\nserver:\n- x\nnode-ip: 10.0.0.1\n",
    "s3": "etcd-s3: true\netcd-s3-secret-key: sekret\netcd-s3-config-secret: sekret\ncluster-init: true\nnode-ip: 1\n",
    "token file": "token-file: /etc/sekret\nnode-ip: 10.0.0.1",
    "names that only begin like it": "server-x: 1\ntoken-x: 2\nagent-token: keep\nnode-ip: 1\netcd-snapshot-dir: /x\n",
    "spaces before the colon": "server  : x\ntoken : sekret\nnode-ip: 10.0.0.1\n",
    "document start": "---\nserver: x\nnode-ip: 10.0.0.1\n...\n",
    "nothing": "",
}
GONE = re.compile(r"server|token|token-file|cluster-init|etcd-s3.*")


@shells
@pytest.mark.parametrize("awk", [awk for awk in ("mawk", "gawk", "busybox awk") if shutil.which(awk.split()[0])])
@pytest.mark.parametrize("name", CONFIGS)
def test_strip(shell: str, awk: str, name: str, tmp_path: Path) -> None:
    """Exactly server, token, cluster-init and S3 are gone; everything else is as it was."""
    path = tmp_path / "config.yaml"
    path.write_bytes(CONFIGS[name].encode())
    tool = tmp_path / "awk"
    tool.write_text(f'#!/bin/sh\nexec {awk} "$@"\n')
    tool.chmod(0o755)
    out = run(shell, f"PATH={tmp_path}:$PATH\n" + part("reset", "strip") + f"strip {path}")
    left, before = yaml.safe_load(out) or {}, yaml.safe_load(CONFIGS[name]) or {}
    assert left == {key: value for key, value in before.items() if not GONE.fullmatch(key.rstrip("+"))}
    assert "sekret" not in out


def test_reset_refuses_an_absent_datastore_before_it_writes_anything() -> None:
    """A reset of an empty directory "succeeds" and makes an empty cluster."""
    text = (_node.SCRIPTS / "reset.sh").read_text()
    assert text.index("holds no datastore") < text.index("mkdir") < text.index("systemd-run")
    assert text.index("nothing is reset beside it") < text.index("mkdir")


# --- start.sh


@shells
@pytest.mark.parametrize("token", ["sekret123", f"K10{CA}::server:a", 'with "quotes" # and: more'])
def test_token_of_the_drop_in_is_read_back(shell: str, token: str, config: Config) -> None:
    """Written as start.sh and reset.sh write it, read by YAML and by our own reader."""
    for script in ("start", "reset"):
        assert "sed \"s/'/''/g\"" in (_node.SCRIPTS / f"{script}.sh").read_text()
    quoted = token.replace("'", "''")
    config.write(f"token: '{quoted}'\n")
    assert yaml.safe_load(config.main.read_text()) == {"token": token}
    if " #" not in token:
        assert config.value(shell, "token") == token


@pytest.mark.parametrize("line", ["'it''s'", '"a # b"', "'a # b'", '"a\\"b"', "# nothing but a comment"])
def test_quoting_of_yaml(line: str, config: Config) -> None:
    config.write(f"token: {line}\n")
    assert config.value("dash", "token") == (yaml.safe_load(config.main.read_text())["token"] or "")


# --- prove.sh


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@shells
def test_a_release_closes_the_journal_of_an_earlier_run(shell: str, tmp_path: Path) -> None:
    """A run that only ends what another one began has made no folder on the node."""
    (tmp_path / "journal").write_text("enabled=enabled\nmoved=/a|/b\n")
    here = f"""HOME_DIR={tmp_path} STAMP=20261129T094812Z ENABLE=yes
find_distro() {{ CONFIG={tmp_path}/config.yaml UNIT=none; }}
systemctl() {{ :; }}
timeout() {{ :; }}
"""
    run(shell, COMMON + here + (_node.SCRIPTS / "release.sh").read_text())
    assert not (tmp_path / "journal").exists()
    assert (tmp_path / "journal-closed").read_text() == "moved=/a|/b\n"
    assert (tmp_path / "20261129T094812Z/journal").read_text() == "enabled=enabled\nmoved=/a|/b\n"


@shells
def test_knock_tells_open_from_closed(shell: str) -> None:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        port = server.getsockname()[1]
        text = COMMON + part("prove", "knock")
        assert run(shell, f"{text}\nknock 127.0.0.1 {port}").strip() == "open"
    assert run(shell, f"{text}\nknock 127.0.0.1 {port}").strip() == "refused"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize(("address", "said"), [("nobody.invalid", "unknown"), ("::1", "refused")])
@shells
def test_knock_takes_no_silence_from_an_address_that_is_none(shell: str, address: str, said: str) -> None:
    """Silence proves that a host is off: a name that nobody knows proves nothing."""
    assert run(shell, f"{COMMON}{part('prove', 'knock')}\nknock {address} 1").strip() == said


# --- joiner.sh


@shells
def test_a_host_that_joins_says_what_it_is_and_what_its_logs_say(shell: str, tmp_path: Path) -> None:
    """The journal of the rancherd that runs now counts, not that of the one before; nothing but known words leaves."""
    text = (_node.SCRIPTS / "joiner.sh").read_text().replace("/etc/", f"{tmp_path}/")
    wanted = f"SYMPTOMS={shlex.quote('|'.join(_why_joining.SYMPTOMS.values()))}\n"
    assert run(shell, wanted + text) == "release=\n@@\n"
    (tmp_path / "harvester-release.yaml").write_text("harvester: v1.3.2\nharvesterChart: 1.3.2\n")
    (tmp_path / "rancher/agent").mkdir(parents=True)
    (tmp_path / "rancher/agent/cattle-id").write_text("5ee5\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    journal = (
        'case "$*" in *ID=now*) echo "level=error insecure cacerts download from https://v/cacerts: EOF, x";;'
        ' *INVOCATION*) echo "response hash";; *) echo "Node password rejected: secret"; echo "token: secret";; esac'
    )
    for name, body in {"journalctl": journal, "systemctl": "echo now"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    said = run(shell, f"PATH={programs}:$PATH\n{wanted}{text}")
    its = hashlib.sha256(b"5ee5").hexdigest()[:12]
    assert said == (
        f"release=v1.3.2\nmachine=custom-{its}\n@@\nNode password rejected\n"
        "insecure cacerts download from https://v/cacerts: EOF\n"
    )
    assert _why_joining.symptoms(said) == ("token", "password")
