# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery by hand against recover.yml, in turn, on the same lab: python -m bench.hands.

Both begin with two of three servers just back with datastores that a power loss destroyed. By hand: bench/by_hand.sh,
each step waited for, nothing checked or proved. recover.yml: the whole playbook, with its backup, proof and report.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import faults, objects
from lab.drill import ROOT, confirm, playbook
from lab.labs import Lab
from lab.progress import LabError, say, wait_for

WANTED = {("rke2", True): 0.5, ("k3s", True): 0.8}
"""(distribution, at real pace) -> how much of the time by hand recover.yml may take."""
MORE_S = 10
"""At full speed, so many seconds more."""


@dataclass
class Turn:
    """Seconds of one recovery."""

    whole: float = 0.0
    api: float = 0.0
    """Until the API answered for the first time."""
    voters: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    """By hand: when each step had ended; recover.yml: how long each phase took."""


@contextlib.contextmanager
def watched(lab: Lab) -> Iterator[Turn]:
    """From outside, the same way for both: when the API answers, and when all servers are voters."""
    turn, done, begun = Turn(), threading.Event(), time.monotonic()
    first = lab.servers[0]

    def watch() -> None:
        while not done.wait(0.3):
            if not turn.api and lab.kubectl(first, "get", "--raw", "/readyz", timeout=4).out.strip() == "ok":
                turn.api = time.monotonic() - begun
            if turn.api and not turn.voters:
                seen = lab.members(first, timeout=5)
                if [seen.get(name) for name in lab.servers] == ["voter"] * len(lab.servers):
                    turn.voters = time.monotonic() - begun

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield turn
        turn.whole = time.monotonic() - begun
    finally:
        done.set()
        thread.join()


def lose(lab: Lab) -> None:
    """Two servers lose their power and come back with destroyed datastores."""
    first, *peers = lab.servers
    for host in peers:
        faults.power_off(lab, host)
    for host in peers:
        faults.destroy_datastore(lab, host)
        faults.power_on(lab, host)
    wait_for(
        "the API to be gone",
        lambda: (lab.kubectl(first, "get", "--raw", "/readyz", timeout=4).rc != 0, "it answers"),
        60,
    )


def by_hand(lab: Lab) -> Turn:
    """bench/by_hand.sh."""
    *ssh, address = lab.ssh_command(lab.servers[0])
    user = address.partition("@")[0]
    with tempfile.TemporaryDirectory() as folder, watched(lab) as turn:
        done = subprocess.run(
            ["sh", str(ROOT / "bench/by_hand.sh"), lab.spec.distro, str(Path(folder, "copy.tar")),
             *(lab.spec.host(name).ip for name in lab.servers)],
            env={**os.environ, "SSH": shlex.join([*ssh, "-l", user])},
            capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"by_hand.sh: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    turn.steps = {words: float(at) for at, words in (line.split(" ", 1) for line in done.stdout.splitlines())}
    return turn


def by_playbook(lab: Lab) -> Turn:
    """recover.yml."""
    with watched(lab) as turn:
        run = playbook(lab, "recover.yml", *confirm(lab))
    if run.rc != 0:
        raise LabError(f"recover.yml: exit code {run.rc}\n{run.out[-4000:]}")
    turn.steps = {phase["name"]: phase["seconds"] or 0.0 for phase in run.report["phases"]}
    return turn


def measure(distro: str, pace: bool, times: int) -> dict[str, list[Turn]]:
    """Turns of both ways, one after the other."""
    lab = Lab(f"hands-{distro}-{'pace' if pace else 'full'}", distro, 3, 0, pace=pace)
    turns: dict[str, list[Turn]] = {"by hand": [], "recover.yml": []}
    try:
        lab.up()
        objects.write_objects(lab)
        for _number in range(times):
            for way, recover in (("by hand", by_hand), ("recover.yml", by_playbook)):
                lose(lab)
                turn = recover(lab)
                turns[way].append(turn)
                at = f"API after {turn.api:.1f} s, voters after {turn.voters:.1f} s"
                say(f"{distro}, {way}: {turn.whole:.1f} s, {at}")
                for host in lab.servers:
                    lab.sh(host, f"systemctl enable --quiet {lab.spec.unit(host)}").ok("at boot")
                lab.wait_ready()
                if len(held := objects.objects(lab)) != 40:
                    raise LabError(f"{len(held)} of 40 objects are there")
    finally:
        lab.down()
    return turns


def middle(turns: list[Turn], what: str) -> float:
    """Median of a figure."""
    return statistics.median(getattr(turn, what) for turn in turns)


def table(distro: str, pace: bool, turns: dict[str, list[Turn]]) -> str:
    """The rows of docs/performance.md, a chart and the phases."""
    hand, play = turns["by hand"], turns["recover.yml"]
    a, b = middle(hand, "whole"), middle(play, "whole")
    share = WANTED.get((distro, pace))
    goal = f"<= {share} x" if share else f"<= {MORE_S} s more"
    good = b <= a * share if share else b <= a + MORE_S
    speed = "real pace" if pace else "full speed"
    lines = [f"{distro}, {speed}, medians of {len(hand)}; wanted: {goal}; {b / a:.2f} x: {'yes' if good else 'NO'}"]
    longest = max(a, b)
    for way, row in turns.items():
        whole, api, voters = (middle(row, what) for what in ("whole", "api", "voters"))
        bar = "#" * round(api * 50 / longest) + "=" * round((voters - api) * 50 / longest)
        bar += "-" * round((whole - voters) * 50 / longest)
        lines.append(f"{way:12}{whole:7.1f} s  {bar}")
        lines.append(f"{'':12}API after {api:.1f} s, voters after {voters:.1f} s")
    for way, row in turns.items():
        shown = ", ".join(f"{name} {statistics.median(turn.steps[name] for turn in row):.1f}" for name in row[0].steps)
        lines.append(f"{way}: {shown}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hands", description=__doc__)
    parser.add_argument("--distro", choices=["rke2", "k3s"], action="append")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="only at full speed")
    parser.add_argument("--pace", action="store_true", help="only at the pace of the real programs")
    options = parser.parse_args()
    for distro in options.distro or ["rke2", "k3s"]:
        for pace in (True, False):
            if (options.full or options.pace) and not (options.pace if pace else options.full):
                continue
            print(table(distro, pace, measure(distro, pace, options.times)), flush=True)


if __name__ == "__main__":
    main()
