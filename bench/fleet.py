# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, processor time and memory of fleet_inspect.yml: python -m bench.fleet [--clusters 10,50] [--ssh "ssh HOST"].

Three servers a cluster, none of them there (bench/simulated): what ssh costs is not in it, and is measured by --ssh
against a host. Beside it the other shape: an ansible-playbook with inspect.yml for each cluster.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tests.unit import fleets

TURNS = 5
"""Of what is measured again and again."""


class Memory:
    """Peak of the memory of a process and its children, shared pages divided among those who share them, in MiB."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak, self.parent, self._stop = pid, 0.0, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            found = {pid: _mib(pid) for pid in _session(self.pid)}
            self.peak = max(self.peak, sum(found.values()))
            self.parent = max(self.parent, _mib(self.pid, "Rss:"))


def _session(leader: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader:
            found.append(int(path.name))
    return found


def _mib(pid: int, what: str = "Pss:") -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))
    except (OSError, StopIteration):
        return 0.0


def play(name: str, source: Path, output: Path, *more: str) -> dict[str, float]:
    """Wall clock, processor time and memory of one ansible-playbook."""
    words = ["ansible-playbook", str(fleets.ROOT / "playbooks" / f"{name}.yml"), "-i", str(source)]
    begun, spent = time.monotonic(), _spent()
    environment = os.environ | fleets.ENVIRONMENT
    words += ["-e", f"requorum_output={output}", *more]
    run = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment, cwd=output.parent, start_new_session=True)
    with Memory(run.pid) as memory:
        run.wait()
    if run.returncode:
        raise SystemExit(f"{name} ended with {run.returncode}")
    return {"seconds": round(time.monotonic() - begun, 1), "cpu": round(_spent() - spent, 2),
            "memory": round(memory.peak), "parent": round(memory.parent)}  # fmt: skip


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def fleet(folder: Path, clusters: int) -> dict[str, float]:
    """One fleet, and the bytes that it leaves for each cluster."""
    source, output = folder / f"{clusters}.json", folder / f"fleet{clusters}"
    source.write_text(json.dumps(fleets.inventory({f"c{number:05d}": "well" for number in range(clusters)})))
    found = play("fleet_inspect", source, output)
    read = sum(row["nodes_read"] for row in fleets.rows(output).values())
    if read != 3 * clusters:
        raise SystemExit(f"{read} of {3 * clusters} nodes were read")
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    shutil.rmtree(output)
    return {"clusters": clusters, **found, "kib_per_cluster": round(size / 1024 / clusters)}


def alone(folder: Path) -> dict[str, float]:
    """The other shape: medians of a process of its own for each cluster."""
    source = folder / "one.json"
    servers = {"servers": {"hosts": fleets.hosts("one")}}
    source.write_text(json.dumps({"all": {"vars": {"ansible_connection": "simulated", "requorum_cluster": "one"},
                                          "children": servers}}))  # fmt: skip
    found = [play("inspect", source, folder / f"alone{turn}") for turn in range(TURNS)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def ssh(words: str, folder: Path) -> dict[str, float]:
    """Processor seconds of the client: to connect, and for one more command over a connection that is there."""
    to = [*shlex.split(words), "-o", f"ControlPath={folder}/mux"]
    once = [_cpu([*to, "-o", "ControlPath=none", "true"]) for _turn in range(TURNS)]
    with subprocess.Popen([*to, "-o", "ControlMaster=yes", "sleep 60"], stdin=subprocess.DEVNULL) as master:
        time.sleep(1)
        more = [_cpu([*to, "true"]) for _turn in range(TURNS)]
        master.terminate()
    return {"connect": statistics.median(once), "command": statistics.median(more)}


def _cpu(words: list[str]) -> float:
    before = _spent()
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return round(_spent() - before, 4)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--clusters", default="10,50,100,300")
    parser.add_argument("--ssh", metavar="WORDS", help="a command that reaches a host: what ssh costs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="requorum-bench-") as name:
        folder = Path(name)
        if given.ssh:
            print(json.dumps({"ssh": ssh(given.ssh, folder)}), flush=True)
        print(json.dumps({"a process for each": alone(folder)}), flush=True)
        for count in given.clusters.split(","):
            print(json.dumps(fleet(folder, int(count)) | {"load": os.getloadavg()[0]}), flush=True)


if __name__ == "__main__":
    main()
