# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the command takes before it does anything: python -m bench.start [--runs 5].

`requorum --help`; the time from the start of a program to the first event of `requorum.run`; a playbook by
ansible-playbook and by `requorum.run`, in turn. The playbook reads one host, which is this machine, without ssh.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = {"ansible_connection": "local", "ansible_become": False, "requorum_distro": "rke2"}
INVENTORY = {
    "all": {"vars": {"requorum_cluster": "bench", **HOST}, "children": {"servers": {"hosts": {"r1": {}}}, "agents": {}}}
}
FIRST = """
import sys, time
import requorum
def hear(event):
    print(time.clock_gettime(time.CLOCK_MONOTONIC))
    sys.stdout.flush()
requorum.run("inspect", "hosts.json", on_event=hear)
"""


def main() -> int:
    """Print medians and all runs as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "hosts.json").write_text(json.dumps(INVENTORY))
        found = measure(Path(folder), runs)
    told = {name: {"median": statistics.median(each), "runs": each} for name, each in found.items()}
    print(json.dumps(told, indent=2))
    return 0


def measure(folder: Path, runs: int) -> dict[str, list[float]]:
    """Seconds of each run; the ways take turns."""
    found: dict[str, list[float]] = {}
    plain = ["ansible-playbook", str(ROOT / "playbooks" / "inspect.yml"), "-i", "hosts.json"]
    api = [sys.executable, "-c", "import requorum; requorum.run('inspect', 'hosts.json')"]
    for _run in range(runs):
        for name, take in {
            "help": lambda: seconds(folder, [sys.executable, "-m", "requorum.cli", "--help"]),
            "first event": lambda: first(folder),
            "ansible-playbook": lambda: seconds(folder, plain),
            "requorum.run": lambda: seconds(folder, api),
        }.items():
            found.setdefault(name, []).append(round(take(), 3))
    return found


def seconds(folder: Path, words: list[str]) -> float:
    """Wall clock of a command."""
    begun = time.monotonic()
    called(folder, words)
    return time.monotonic() - begun


def first(folder: Path) -> float:
    """Seconds to the first event, from the start of the program on."""
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    heard = called(folder, [sys.executable, "-c", FIRST]).split()
    return float(heard[0]) - begun


def called(folder: Path, words: list[str]) -> str:
    """What it prints."""
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": str(folder)}
    return subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
