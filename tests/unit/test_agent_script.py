# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sh/agent.sh on a host made of a temporary folder and programs that play systemd, curl and kubectl."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _link, _node

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
OLD, NEW, SECRET = "0" * 64, "1" * 64, "it's:secret"
PROGRAMS = {
    "systemctl": """
case "$*" in
  *ExecStart*) echo "{ path=/x/k3s ; argv[]=/x/k3s agent $FLAGS ; ignore_errors=no }" ;;
  *EnvironmentFiles*) echo "$ROOT/env (ignore_errors=yes)" ;;
  *ActiveState*) printf 'ActiveState=active\\nKillMode=process\\n' ;;
  *) echo "$*" >>"$ROOT/calls" ;;
esac""",
    "journalctl": 'cat "$ROOT/log"',
    "curl": """
for url; do :; done
case $url in */ping) printf pong ;; */cacerts) printf ca ;; esac""",
}


class Host:
    """Root of the host, its shell, and what its unit's command line has."""

    def __init__(self, root: Path, shell: str) -> None:
        self.root, self.shell, self.flags = root, shell, ""
        for name, text in PROGRAMS.items():
            self.file(f"bin/{name}", f"#!/bin/sh\n{text}\n", 0o755)
        self.file("usr/local/bin/k3s", "#!/bin/sh\necho Node True; date -u '+Lease %FT%TZ'\n", 0o755)
        self.file("env", "")
        self.file("log", "")
        self.config = self.root / "etc/rancher/k3s/config.yaml"

    def file(self, path: str, text: str, mode: int = 0o600) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def run(self, do: str, rc: int = 0, **variables: str) -> str:
        text = _node.script("agent", DO=do, STAMP="now", DISTRO="k3s", DATA="", **variables)
        for folder in ("/etc/rancher", "/var/lib/rancher", "/usr/local/bin"):
            text = text.replace(folder, f"{self.root}{folder}")
        env = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "ROOT": str(self.root), "FLAGS": self.flags}
        done = subprocess.run([*self.shell.split(), "-c", text], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == rc, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    def look(self) -> _link.Link:
        return _link.Link(**_link.read(self.run("look")))

    def dropin(self, what: str) -> Path:
        return self.root / f"etc/rancher/k3s/config.yaml.d/zz-requorum-{what}.yaml"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def test_a_look_says_where_each_setting_comes_from(host: Host) -> None:
    balancer = json.dumps({"ServerURL": "https://s1:6443", "ServerAddresses": ["10.0.0.1:6443"]}, indent=2)
    path = host.file("var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json", balancer)
    host.file("env", f"K3S_URL=https://s1:6443\nK3S_TOKEN='K10{OLD}::node:{SECRET}'\n")
    seen = host.look()
    assert (seen.server, seen.server_from, seen.pin, seen.token_from) == ("https://s1:6443", "env", OLD, "env")
    assert seen.token == hashlib.sha256(SECRET.encode()).hexdigest()[:12]
    assert (seen.ping, seen.served) == (True, hashlib.sha256(b"ca").hexdigest())
    assert seen.lists == {str(path): ["10.0.0.1"]}
    assert seen.reports and seen.kill == "process" and not seen.refused

    host.file("etc/rancher/k3s/config.yaml", "server: https://s2:6443/\ntoken: short\n")
    host.file("log", "x\nNode password rejected, duplicate hostname\n")
    host.flags = "--token other"
    seen = host.look()
    assert (seen.server, seen.server_from) == ("https://s2:6443", "file")
    assert (seen.pin, seen.token_from, seen.refused) == ("", "flag", True)


def test_a_bootstrap_token_is_measured_by_nothing(host: Host) -> None:
    host.file("etc/rancher/k3s/config.yaml", "token: abcdef.0123456789abcdef\n")
    assert host.look().token == ""


def test_the_hash_in_a_token_is_replaced_and_nothing_else(host: Host) -> None:
    quoted = SECRET.replace("'", "''")
    host.file("etc/rancher/k3s/config.yaml", f"server: https://s1:6443\ntoken: 'K10{OLD}::node:{quoted}'\n")
    host.run("pin", PIN=NEW)
    assert host.dropin("token").read_text() == f"token: 'K10{NEW}::node:{quoted}'\n"
    assert stat.S_IMODE(host.dropin("token").stat().st_mode) == 0o600
    assert host.look().pin == NEW
    assert "kept=" in host.run("pin", PIN=OLD)  # run again: what was there is kept
    assert NEW in (host.root / "var/lib/rancher/requorum/now/zz-requorum-token.yaml").read_text()


def test_a_token_file_is_answered_with_a_token_file(host: Host) -> None:
    theirs = host.file("token", f"K10{OLD}::node:{SECRET}\n")
    host.file("etc/rancher/k3s/config.yaml", f"token-file: {theirs}\n")
    host.run("pin", PIN=NEW)
    assert theirs.read_text() == f"K10{OLD}::node:{SECRET}\n"
    assert (host.root / "var/lib/rancher/requorum/agent-token").read_text() == f"K10{NEW}::node:{SECRET}\n"
    assert host.look().pin == NEW


def test_a_short_token_has_no_hash_to_replace(host: Host) -> None:
    host.file("etc/rancher/k3s/config.yaml", f"token: {SECRET}\n")
    host.run("pin", rc=1, PIN=NEW)
    assert not host.dropin("token").exists()


def test_an_agent_is_pointed_only_at_what_answers_it(host: Host) -> None:
    host.file("etc/rancher/k3s/config.yaml", "server: https://gone:6443\n")
    host.run("point", URL="https://s1:6443")
    assert host.look().server == "https://s1:6443"
    host.file("bin/curl", "#!/bin/sh\nexit 7\n", 0o755)
    host.run("point", rc=1, URL="https://s2:6443")
    assert host.look().server == "https://s1:6443"


def test_lists_are_moved_and_the_unit_is_restarted(host: Host) -> None:
    path = host.file("var/lib/rancher/k3s/agent/etc/k3s-agent-load-balancer.json", "{}")
    kept = host.root / "var/lib/rancher/requorum/now" / path.name
    assert host.run("unlist").strip() == f"moved={path}|{kept}"
    assert kept.read_text() == "{}" and not path.exists()
    assert host.run("unlist") == ""
    assert host.run("restart").startswith("since=")
    assert "restart --no-block k3s-agent" in (host.root / "calls").read_text()
