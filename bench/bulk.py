# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A large snapshot off a node, hashed on its way: python -m bench.bulk [--gib 3] [--times 3].

In turn: `ssh node cat FILE | sha256sum`, the same by the channel that BACKUP takes, and BACKUP's way as a whole,
which keeps a copy. All files are in memory: disks are not meant.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from lab.labs import Lab
from lab.progress import LabError, say
from lab.spec import ssh_options

FILE = "/run/bulk/snapshot"


class Sudo:
    """What the stream asks of Ansible's become plugin."""

    def get_option(self, _name: str) -> None:
        return None

    def build_become_command(self, command: str, _shell: object) -> str:
        return f"sudo -n /bin/sh -c {shlex.quote(command)}"


class Connection:
    """What the stream asks of Ansible's ssh connection."""

    transport, _shell, become = "ssh", None, Sudo()

    def __init__(self, lab: Lab) -> None:
        self._options = {
            "host": lab.spec.hosts[0].ip,
            "remote_user": "rancher",
            "private_key_file": str(lab.folder / "id_ed25519"),
            "ssh_args": shlex.join(["-F", "/dev/null", *ssh_options(lab.folder)]),
        }

    def get_option(self, name: str) -> str | None:
        return self._options.get(name)


def pull(lab: str, size: int, target: str) -> None:
    """In a process of its own, so that its memory is its own. target: of the copy; empty to hash the bytes only."""
    action: Any = NodeAction.__new__(NodeAction)
    action._connection, action.host = Connection(Lab.load(lab)), lab
    begun = time.monotonic()
    digest = action.pull(FILE, size, target) if target else hashed(action.blocks(FILE, size))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": time.monotonic() - begun, "sha256": digest, "mib": usage.ru_maxrss / 1024}))


def hashed(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def by_ssh(lab: Lab) -> dict[str, Any]:
    """The plain pipe."""
    begun = time.monotonic()
    command = f"{shlex.join([*lab.ssh_command(lab.servers[0]), 'sudo', 'cat', FILE])} | sha256sum"
    said = subprocess.run(command, shell=True, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return {"seconds": time.monotonic() - begun, "sha256": said.stdout.split()[0]}


def measure(gib: float, times: int) -> dict[str, Any]:
    """Medians of both ways."""
    size, lab = int(gib * (1 << 30)), Lab("bulk", "k3s", 1, 0)
    took: dict[str, list[float]] = {"ssh": [], "channel": [], "copy": []}
    peak = 0.0
    try:
        lab.up()
        room = f"mkdir -p {Path(FILE).parent} && mount -t tmpfs -o size={size + (1 << 20)} tmpfs {Path(FILE).parent}"
        lab.sh(lab.servers[0], f"{room} && head -c {size} /dev/urandom >{FILE}", timeout=300).ok("file")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            for _turn in range(times):
                plain = by_ssh(lab)
                took["ssh"].append(plain["seconds"])
                for way, target in (("channel", ""), ("copy", str(Path(folder, "got")))):
                    words = [sys.executable, "-m", "bench.bulk", "--pull", lab.name, str(size), target]
                    ours = json.loads(subprocess.check_output(words, text=True, env=os.environ))
                    if ours["sha256"] != plain["sha256"]:
                        raise LabError("the two ways do not give the same bytes")
                    peak = max(peak, ours["mib"])
                    took[way].append(ours["seconds"])
                say(", ".join(f"{way} {seconds[-1]:.1f} s" for way, seconds in took.items()) + f", {peak:.0f} MiB")
    finally:
        lab.down()
    middle = {way: statistics.median(seconds) for way, seconds in took.items()}
    rates = {way: round(middle["ssh"] / seconds, 2) for way, seconds in middle.items()}
    return {"gib": gib, "seconds": middle, "rates": rates, "mib": peak, "load": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bulk", description=__doc__)
    parser.add_argument("--gib", type=float, default=3)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--pull", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pull:
        pull(options.pull[0], int(options.pull[1]), options.pull[2])
    else:
        print(json.dumps(measure(options.gib, options.times), indent=1))


if __name__ == "__main__":
    main()
