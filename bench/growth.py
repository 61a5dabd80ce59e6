# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time to inspect 3, 9, 30, 50 and 60 hosts, three of them servers: python -m bench.growth [--hosts 3 9 30 50 60].

Agents are hosts with sshd and nothing else: what is measured is how reading grows with the number of hosts. With
--programs they keep the stand-in, whose unit is not started.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.drill import ROOT
from lab.labs import Lab
from lab.progress import LabError, say, wait_for

SERVERS = 3
BARE = "rm -f $(command -v k3s) && mv /etc/rancher /etc/rancher-away"
"""Nothing but sshd is left on a host. The scripts of sixty hosts would run on the same cores as what is measured."""


class Idle(Lab):
    """A lab of which only the servers' units are started."""

    bare = True

    def start_cluster(self, deadline: float = 420) -> None:
        first, *others = self.spec.hosts[:SERVERS]
        self._start(first)
        self.wait_ping(first.name, deadline)
        for host in others:
            self._start(host)

        def probe() -> tuple[bool, str]:
            seen = self.members(first.name)
            return [seen.get(name) for name in self.servers] == ["voter"] * SERVERS, str(seen)

        wait_for("three voters", probe, deadline)
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda agent: self.sh(agent, BARE), self.agents if self.bare else ()):
                done.ok("a bare host")


def part(lab: Lab, hosts: int, folder: Path) -> Path:
    """An inventory of so many of the lab's hosts."""
    whole = json.loads(subprocess.check_output(["ansible-inventory", "-i", str(lab.inventory), "--list"], text=True))
    known = whole["_meta"]["hostvars"]
    groups = {
        name: {"hosts": {host: known[host] for host in members}}
        for name, members in (("servers", lab.servers), ("agents", lab.agents[: hosts - SERVERS]))
    }
    path = folder / f"{hosts}.json"
    path.write_text(json.dumps({"all": {"children": groups}}))
    return path


def login(lab: Lab) -> float:
    """Seconds of one command over ssh on a host that was not logged in to: the round trips of one host alone."""
    begun = time.monotonic()
    subprocess.run([*lab.ssh_command(lab.agents[0]), "sudo", "true"], check=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - begun


def spent() -> float:
    """Seconds of processor time of all that was started here and has ended: other work does not lengthen it much."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def inspect(inventory: Path) -> tuple[float, float]:
    """Wall clock and processor time of playbooks/inspect.yml, first connections included."""
    begun, before = time.monotonic(), spent()
    output = ("-e", f"requorum_output={inventory.parent}")
    sockets = f"/tmp/requorum-growth-{begun:.3f}"  # nobody is logged in yet
    done = subprocess.run(
        ["ansible-playbook", "playbooks/inspect.yml", "-i", str(inventory), *output],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if "PLAY RECAP" not in done.stdout or "unreachable=1" in done.stdout:
        raise LabError(f"inspect.yml: exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return time.monotonic() - begun, spent() - before


def rows(lab: Lab, hosts: list[int], times: int) -> Iterator[dict[str, float]]:
    """A row for each number of hosts, medians."""
    alone = statistics.median(login(lab) for _turn in range(5))
    last: dict[str, float] = {}
    for count in hosts:
        inventory = part(lab, count, lab.folder)
        runs = [inspect(inventory) for _turn in range(times)]
        row = {"hosts": count, "login": alone, "load": os.getloadavg()[0]}
        row |= {name: statistics.median(run[at] for run in runs) for at, name in enumerate(("seconds", "cpu"))}
        for name in ("seconds", "cpu"):
            row[f"added_{name}"] = (row[name] - last[name]) / (count - last["hosts"]) if last else 0.0
        say(", ".join(f"{name} {value:.2f}" for name, value in row.items()))
        yield row
        last = row


def measure(hosts: list[int], times: int, *, bare: bool = True) -> list[dict[str, float]]:
    """A row for each number of hosts."""
    lab = Idle("growth", "k3s", SERVERS, max(hosts) - SERVERS)
    lab.bare = bare
    try:
        lab.up(600)
        return list(rows(lab, hosts, times))
    finally:
        lab.down()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[3, 9, 30, 50, 60])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--programs", action="store_true")
    options = parser.parse_args()
    print(json.dumps(measure(options.hosts, options.times, bare=not options.programs), indent=1))


if __name__ == "__main__":
    main()
