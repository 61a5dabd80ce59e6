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
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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
OWN_S = 15
"""Wanted of what recover.yml itself takes, for three servers."""
EVERY_S = 1.0
"""Between two looks from outside, which cost the hosts something too."""
NAMES = {"rke2": "RKE2", "k3s": "K3s"}
FIGURES = {"whole": "whole recovery", "api": "API back", "voters": "all voters", "active": "all units active"}
LATER_S = 120
"""How long after the end of a recovery its marks may be seen from outside."""


@dataclass
class Turn:
    """Seconds of one recovery."""

    whole: float = 0.0
    api: float = 0.0
    """Until the API answered for the first time."""
    voters: float = 0.0
    active: float = 0.0
    """Until systemd called the units of all servers active, for which recover.yml does not wait."""
    load: float = 0.0
    """Of the machine, mean of its one-minute average meanwhile."""
    steps: dict[str, float] = field(default_factory=dict)
    """How long each step or phase took."""
    own: float = 0.0
    """Of recover.yml: without what it waited for the cluster."""


@dataclass
class Measured:
    """Turns of both ways, and why others are missing."""

    turns: dict[str, list[Turn]]
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def watched(lab: Lab) -> Iterator[Turn]:
    """From outside, the same way for both: when the API answers, all servers are voters, and all units active."""
    turn, done, begun = Turn(), threading.Event(), time.monotonic()
    first, unit, loads = lab.servers[0], lab.spec.unit, [os.getloadavg()[0]]

    def watch() -> None:
        marks = {
            "api": lambda: lab.kubectl(first, "get", "--raw", "/readyz", timeout=4).out.strip() == "ok",
            "voters": lambda: all(lab.members(first, timeout=5).get(name) == "voter" for name in lab.servers),
            "active": lambda: all(lab.sh(host, f"systemctl is-active -q {unit(host)}").rc == 0 for host in lab.servers),
        }
        while marks and not done.wait(EVERY_S):
            loads.append(os.getloadavg()[0])
            mark = next(iter(marks))
            if marks[mark]():
                setattr(turn, mark, time.monotonic() - begun)
                del marks[mark]

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield turn
        turn.whole = time.monotonic() - begun
        thread.join(LATER_S)
    finally:
        done.set()
        thread.join()
        turn.load = statistics.mean(loads)
    for figure, what in (
        ("api", "the API answer"),
        ("voters", "all servers as voters"),
        ("active", "all units active"),
    ):
        if not getattr(turn, figure):
            raise LabError(f"the recovery ended after {turn.whole:.0f} s, and nobody has seen {what} from outside")


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

    def leaderless() -> tuple[bool, str]:
        """For an election timeout a leader does not know it yet; nobody is as fast as that."""
        status = lab.endpoint(first)
        return bool(status) and not status.get("leader"), str(status)[:200]

    wait_for(f"{first} to have no leader", leaderless, 60)


def by_hand(lab: Lab) -> Turn:
    """bench/by_hand.sh."""
    *ssh, address = lab.ssh_command(lab.servers[0])
    user = address.partition("@")[0]
    with tempfile.TemporaryDirectory() as folder, watched(lab) as turn:
        try:
            done = subprocess.run(
                ["sh", str(ROOT / "bench/by_hand.sh"), lab.spec.distro, str(Path(folder, "copy.tar")),
                 *(lab.spec.host(name).ip for name in lab.servers)],
                env={**os.environ, "SSH": shlex.join([*ssh, "-l", user])},
                capture_output=True, text=True, timeout=900, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            said = exc.stdout.decode(errors="replace") if isinstance(exc.stdout, bytes) else exc.stdout or ""
            raise LabError(f"by_hand.sh: not within 900 s; it had got as far as\n{said}") from exc
        if done.returncode != 0:
            raise LabError(f"by_hand.sh: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    turn.steps = durations(done.stdout)
    return turn


def durations(text: str) -> dict[str, float]:
    """How long each step took, out of lines that say when each had ended."""
    ends = [(float(at), words) for at, _, words in (line.partition(" ") for line in text.splitlines())]
    return {words: at - before for (at, words), before in zip(ends, [0.0, *(at for at, _ in ends)], strict=False)}


def by_playbook(lab: Lab) -> Turn:
    """recover.yml."""
    with watched(lab) as turn:
        run = playbook(lab, "recover.yml", *confirm(lab))
        if run.rc != 0 or run.folder is None:
            raise LabError(f"recover.yml: exit code {run.rc}, {run.folder or 'no folder'}\n{run.out[-4000:]}")
    turn.steps = {phase["name"]: phase["seconds"] or 0.0 for phase in run.report["phases"]}
    turn.own = turn.whole - sum(phase["waited"] for phase in run.report["phases"])
    return turn


WAYS: dict[str, Callable[[Lab], Turn]] = {"by hand": by_hand, "recover.yml": by_playbook}


def prepare(lab: Lab) -> None:
    """A healthy cluster with 40 objects."""
    lab.up()
    objects.write_objects(lab)


def one(lab: Lab, way: str) -> Turn:
    """Lose the quorum, recover, see that nothing is missing."""
    lose(lab)
    turn = WAYS[way](lab)
    seen = f"API after {turn.api:.1f} s, voters after {turn.voters:.1f} s, units active after {turn.active:.1f} s"
    at = f"{seen}, load {turn.load:.1f}"
    say(f"{lab.spec.distro}, {way}: {turn.whole:.1f} s, {at}")
    for host in lab.servers:
        lab.sh(host, f"systemctl enable --quiet {lab.spec.unit(host)}").ok("at boot")
    lab.wait_ready()
    if len(held := objects.objects(lab)) != 40:
        raise LabError(f"{len(held)} of 40 objects are there")
    return turn


def measure(distro: str, pace: bool, times: int) -> Measured:
    """Turns of both ways, one after the other; after one that fails, in a lab that is made anew."""
    lab = Lab(f"hands-{distro}-{'pace' if pace else 'full'}", distro, 3, 0, pace=pace)
    measured = Measured({way: [] for way in WAYS})
    try:
        prepare(lab)
        for number, way in ((number, way) for number in range(1, times + 1) for way in WAYS):
            try:
                measured.turns[way].append(one(lab, way))
            except LabError as exc:
                measured.failures.append(f"{distro}, turn {number}, {way}: {exc}")
                say(measured.failures[-1])
                lab.down()
                prepare(lab)
    finally:
        lab.down()
    return measured


def middle(turns: list[Turn], what: str) -> float:
    """Median of a figure."""
    return float(statistics.median(getattr(turn, what) for turn in turns))


def wanted(distro: str, pace: bool, figure: str, by_hand_s: float) -> tuple[str, float | None]:
    """What recover.yml is held against, in words and in seconds."""
    if figure == "api":
        return "no later", by_hand_s
    if figure != "whole":
        return "", None
    share = WANTED.get((distro, pace))
    return (f"<= {share} x", by_hand_s * share) if share else (f"<= {MORE_S} s more", by_hand_s + MORE_S)


def table(distro: str, pace: bool, measured: Measured) -> str:
    """What docs/performance.md shows: medians and ratios, a chart, steps and phases."""
    rows = measured.turns
    title = f"{NAMES[distro]}, {'real pace' if pace else 'full speed'}"
    if not all(rows.values()):
        return f"{title}: no figures\n" + "\n".join(measured.failures)
    hand, play = rows["by hand"], rows["recover.yml"]
    lines = [f"| {title} | wanted | by hand | recover.yml | ratio | |", "| --- | --- | --- | --- | --- | --- |"]
    for figure, what in FIGURES.items():
        a, b = middle(hand, figure), middle(play, figure)
        words, limit = wanted(distro, pace, figure, a)
        verdict = "" if limit is None else "yes" if b <= limit else "NO"
        lines.append(f"| {what} | {words} | {a:.1f} s | {b:.1f} s | {b / a:.2f} | {verdict} |")
    counts = f"{len(hand)} and {len(play)} turns"
    loads = f"load {middle(hand, 'load'):.1f} and {middle(play, 'load'):.1f}"
    own = f"recover.yml without its waits: {middle(play, 'own'):.1f} s (wanted: at most {OWN_S} s)"
    lines += ["", f"Medians of {counts}; {loads}. {own}.", "", "```", *chart(rows), "```", ""]
    lines += [f"- {way}: {phases(turns)}" for way, turns in rows.items()]
    return "\n".join([*lines, *measured.failures])


def chart(rows: dict[str, list[Turn]]) -> list[str]:
    """A bar for each way: # until the API is back, = until all are voters, - until the end."""
    longest, lines = max(middle(turns, "whole") for turns in rows.values()), []
    for way, turns in rows.items():
        whole, api, voters = (middle(turns, what) for what in ("whole", "api", "voters"))
        ends = [round(min(at, whole) * 60 / longest) for at in (api, max(api, voters), whole)]
        bar = "#" * ends[0] + "=" * (ends[1] - ends[0]) + "-" * (ends[2] - ends[1])
        lines.append(f"{way:12} {bar} {whole:.0f} s")
    return lines


def phases(turns: list[Turn]) -> str:
    """Medians of those steps that every turn has."""
    names = [name for name in turns[0].steps if all(name in turn.steps for turn in turns)]
    return ", ".join(f"{name} {statistics.median(turn.steps[name] for turn in turns):.1f}" for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hands", description=__doc__)
    parser.add_argument("--distro", choices=["rke2", "k3s"], action="append")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="only at full speed")
    parser.add_argument("--pace", action="store_true", help="only at the pace of the real programs")
    options = parser.parse_args()
    failures: list[str] = []
    for distro in options.distro or ["rke2", "k3s"]:
        for pace in (True, False):
            if (options.full or options.pace) and not (options.pace if pace else options.full):
                continue
            measured = measure(distro, pace, options.times)
            failures += measured.failures
            print(table(distro, pace, measured), flush=True)
    if failures:
        sys.exit(f"{len(failures)} turns failed; each said why above")


if __name__ == "__main__":
    main()
