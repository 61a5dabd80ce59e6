# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the figures of docs/performance.md in a lab of its own: python -m bench.figures [--distro rke2|k3s]."""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

from lab import faults, objects
from lab.drill import Run, confirm, lose_quorum, playbook
from lab.labs import Lab
from lab.progress import say


class Memory:
    """Peak of the resident memory of all ansible processes of a lab together, in MiB."""

    def __init__(self, lab: Lab) -> None:
        self._mark = str(lab.inventory).encode()

    def __enter__(self) -> Memory:
        self.peak, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(_resident(p, self._mark) for p in Path("/proc").glob("[0-9]*")))


def _resident(process: Path, mark: bytes) -> float:
    """Proportional set size of an ansible process in MiB: shared pages are divided among those who share them."""
    try:
        said = (process / "cmdline").read_bytes()
        if b"ansible-playbook" not in said or mark not in said:
            return 0.0
        lines = (process / "smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0.0


def timed(lab: Lab, name: str, *arguments: str, times: int = 1) -> tuple[float, float, Run]:
    """Median seconds, peak memory and last run of a playbook."""
    seconds, peak = [], 0.0
    for _turn in range(times):
        with Memory(lab) as memory:
            run = playbook(lab, name, *arguments)
        seconds.append(run.seconds)
        peak = max(peak, memory.peak)
    return statistics.median(seconds), peak, run


def measure(distro: str) -> dict[str, object]:
    """All figures of one distribution."""
    begun = time.monotonic()
    lab = Lab(f"figures-{distro}", distro)
    try:
        lab.up()
        up = time.monotonic() - begun
        objects.write_objects(lab)
        objects.write_workloads(lab)
        inspect, _peak, _run = timed(lab, "playbooks/inspect.yml", times=3)
        for host in lab.servers[1:]:
            faults.power_off(lab, host)
        time.sleep(12)  # until the survivor has given up its leader
        off = "-e", json.dumps({"requorum_powered_off": lab.servers[1:]})
        check, _peak, _run = timed(lab, "recover.yml", "--check", *off, times=3)
        for host in lab.servers[1:]:
            faults.power_on(lab, host)
        lab.wait_ready()
        lose_quorum(lab)
        whole, peak, run = timed(lab, "recover.yml", *confirm(lab))
        phases = {phase["name"]: phase["seconds"] for phase in run.report["phases"]}
        return {"up": up, "inspect": inspect, "check": check, "recovery": whole, "memory": peak, "phases": phases,
                "outcome": run.report["verdict"]["outcome"]}  # fmt: skip
    finally:
        lab.down()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.add_argument("--distro", choices=["rke2", "k3s"], default="rke2")
    figures = measure(parser.parse_args().distro)
    say("done")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
