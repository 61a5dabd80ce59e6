# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests and the drill ask a lab's cluster."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import hosts
from lab.cache import state_dir
from lab.podman import execute
from lab.progress import Done, LabError, wait_for
from lab.spec import Host, Spec, ssh_options

_KUBECTL, _ETCDCTL = "/opt/lab/bin/kubectl", "/opt/lab/bin/etcdctl"


class Cluster:
    """Hosts, nodes and etcd members of a lab that is there."""

    spec: Spec

    @property
    def name(self) -> str:
        """Name of the lab and of its cluster."""
        return self.spec.name

    @property
    def folder(self) -> Path:
        """0700 folder with everything the controller needs."""
        return state_dir() / "labs" / self.name

    @property
    def inventory(self) -> Path:
        """Ansible inventory."""
        return self.folder / "hosts.yml"

    @property
    def servers(self) -> list[str]:
        """Names of the server hosts."""
        return [host.name for host in self.spec.hosts if host.role == "server"]

    @property
    def agents(self) -> list[str]:
        """Names of the agent hosts."""
        return [host.name for host in self.spec.hosts if host.role == "agent"]

    @property
    def data_dir(self) -> Path:
        """Data directory on the hosts."""
        return self.spec.supervisor.data_dir

    def running(self, host: str) -> bool:
        """Whether the host is switched on."""
        return hosts.running(self.spec, host)

    def sh(self, host: str, script: str, timeout: float = 60, *, stdin: str | bytes | None = None) -> Done:
        """Run a sh script as root on a host, past ssh: for set-up and assertions."""
        return execute(self.spec.container(host), script, timeout=timeout, stdin=stdin)

    def kubectl(self, host: str, *args: str, timeout: float = 20, stdin: str | None = None) -> Done:
        """Run kubectl on a server host, against its own apiserver."""
        kubeconfig = self.spec.supervisor.kubeconfig
        argv = [_KUBECTL, f"--kubeconfig={kubeconfig}", f"--request-timeout={max(1, int(timeout) - 2)}s", *args]
        return self.sh(host, f"exec {shlex.join(argv)}", timeout, stdin=stdin)

    def etcdctl(self, host: str, *args: str, timeout: float = 10) -> Done:
        """Run etcdctl on a server host, against its own member."""
        tls = self.data_dir / "server/tls/etcd"
        argv = [_ETCDCTL, "--endpoints=https://127.0.0.1:2379", f"--cacert={tls}/server-ca.crt",
                f"--cert={tls}/server-client.crt", f"--key={tls}/server-client.key",
                f"--command-timeout={max(1, int(timeout) - 2)}s", *args]
        return self.sh(host, f"exec {shlex.join(argv)}", timeout)

    def ssh_command(self, host: str) -> list[str]:
        """Argument list that logs in on a host as `rancher`; a command may be appended."""
        return ["ssh", "-F", "/dev/null", "-i", str(self.folder / "id_ed25519"), *ssh_options(self.folder),
                "-o", "ConnectTimeout=5", f"rancher@{self.spec.host(host).ip}"]

    def members(self, host: str, timeout: float = 10) -> dict[str, str]:
        """Etcd members as this host's etcd lists them: host -> `voter` or `learner`; empty when it does not answer."""
        done = self.etcdctl(host, "member", "list", "-w", "json", timeout=timeout)
        if done.rc != 0:
            return {}
        # A member's name is the node's and 8 hex digits; empty until it has started.
        return {member.get("name", "").rpartition("-")[0] or f"unstarted-{member['ID']:x}":
                "learner" if member.get("isLearner") else "voter" for member in json.loads(done.out)["members"]}

    def endpoint(self, host: str, timeout: float = 10) -> dict[str, Any]:
        """Status that this host's etcd gives of itself, as etcdctl has it; empty when it does not answer."""
        done = self.etcdctl(host, "endpoint", "status", "-w", "json", timeout=timeout)
        return dict(json.loads(done.out)[0]["Status"]) if done.rc == 0 else {}

    def nodes(self, host: str, timeout: float = 8) -> dict[str, bool]:
        """Nodes as the apiserver of a host lists them: name -> Ready; empty when it does not answer."""
        done = self.kubectl(host, "get", "nodes", "-o", "json", timeout=timeout)
        if done.rc != 0:
            return {}
        return {node["metadata"]["name"]: any(c["type"] == "Ready" and c["status"] == "True"
                                              for c in node["status"].get("conditions", []))
                for node in json.loads(done.out)["items"]}

    def answering(self) -> str:
        """First server whose apiserver answers a read."""
        for host in self.servers:
            if self.running(host) and self.nodes(host):
                return host
        raise LabError(f"lab {self.name}: no apiserver answers")

    def wait_ping(self, host: str, deadline: float = 300) -> None:
        """Wait for a server's supervisor to take registrations."""
        url = f"https://127.0.0.1:{self.spec.supervisor.supervisor_port}/ping"

        def probe() -> tuple[bool, str]:
            done = self.sh(host, f"curl -sk -m 3 {url}", timeout=8)
            return done.out.strip() == "pong", f"{done.out.strip()[:60] or 'no answer'}; {self._last_line(host)}"

        wait_for(f"the supervisor of {host}", probe, deadline, explain=lambda: self._journal([host]))

    def wait_ready(self, deadline: float = 420) -> None:
        """Wait until every server is a voter and every node Ready."""
        voters = dict.fromkeys(self.servers, "voter")
        names = {host.name for host in self.spec.hosts}
        late = set(names)

        def probe() -> tuple[bool, str]:
            host = self.servers[0]
            members, nodes = self.members(host), self.nodes(host)
            # A Node stays Ready for 40 s after its host is gone, so the units count too.
            down = {name for name in names if not self._active(name)}
            ready = {name for name, is_ready in nodes.items() if is_ready}
            late.clear()
            late.update(down, names - ready, (name for name in voters if members.get(name) != "voter"))
            seen = (f"members {' '.join(f'{name}={kind}' for name, kind in sorted(members.items())) or 'none seen'}; "
                    f"Ready {' '.join(sorted(ready)) or 'none'}")
            if late:
                slow = min(late)
                seen += f"; {slow}: {self._last_line(slow)}"
            return not down and members == voters and ready == names, seen

        wait_for(f"{len(voters)} voters and {len(names)} Ready nodes", probe, deadline,
                 explain=lambda: self._journal(sorted(late)))

    def _active(self, host: str) -> bool:
        return self.sh(host, f"systemctl is-active --quiet {self.spec.unit(host)}", timeout=8).rc == 0

    def _last_line(self, host: str) -> str:
        # Only the supervisor's own lines: K3s writes those of etcd and of the apiserver into the same journal.
        script = f"journalctl -q -n 60 -o cat -u {self.spec.unit(host)} | grep '^time=' | tail -n 1"
        done = self.sh(host, script, timeout=8)
        return (done.out.strip().rpartition("msg=")[2] or "no log yet")[:100]

    def _journal(self, names: list[str]) -> str:
        def read(name: str) -> str:
            unit = self.spec.unit(name)
            # Without etcd's JSON lines, which are many and seldom say why a supervisor does not go on.
            script = f"systemctl is-active {unit}; journalctl -q -n 200 -o cat -u {unit} | grep -v '^{{' | tail -n 12"
            return f"--- {name}: journalctl -u {unit}\n" + "\n".join(
                line[:300] for line in self.sh(name, script, timeout=15).out.splitlines())

        return "\n".join(map(read, names))

    def status(self) -> str:
        """One line a host: power, unit, Node, etcd member."""
        def look(host: Host) -> tuple[bool, str, dict[str, bool], dict[str, str]]:
            if not self.running(host.name):
                return False, "", {}, {}
            unit = self.sh(host.name, f"systemctl is-active {self.spec.unit(host.name)}", timeout=10).out.strip()
            return True, unit, *((self.nodes(host.name, 5), self.members(host.name, 5))
                                 if host.role == "server" else ({}, {}))

        with ThreadPoolExecutor() as pool:
            seen = dict(zip(self.spec.hosts, pool.map(look, self.spec.hosts), strict=True))
        # Without quorum every host answers nothing: the first that does speaks for all.
        nodes = next((nodes for *_, nodes, _members in seen.values() if nodes), {})
        members = next((members for *_, members in seen.values() if members), {})
        lines = [f"lab {self.name}: {self.spec.distro} in {self.spec.subnet}, inventory {self.inventory}",
                 "API: " + ("answers" if nodes else "no apiserver answers"),
                 f"{'HOST':5} {'ROLE':7} {'ADDRESS':13} {'POWER':6} {'UNIT':12} {'NODE':9} MEMBER"]
        for host, (on, unit, *_) in seen.items():
            node = {True: "Ready", False: "NotReady", None: "-"}[nodes.get(host.name)]
            lines.append(f"{host.name:5} {host.role:7} {host.ip:13} {'on' if on else 'off':6} "
                         f"{unit or '-':12} {node:9} {members.get(host.name, '-')}")
        return "\n".join(lines)
