# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGKILL to the controller at every action of a recovery: the same command again must end as if nothing had been.

    python -m tests.lab.kills --distro rke2                                  # all kills
    python -m tests.lab.kills --distro rke2 --kill 5.1:before --kill 7.1     # these, as a failure names them
    python -m tests.lab.kills --distro rke2 --sample 2 --seed 62bda912       # what CI runs for that commit

A lab without quorum is saved once. For each kill it is put back, recover.yml is started and killed with all its
children at that moment, the same command is run again, and the cluster is compared with one that a run which nobody
killed has left. `before` is the moment in which the action begins, `after` the one in which it stands in actions.jsonl,
`during` a moment of chance between them.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _events
from lab import objects, saved
from lab.drill import ROOT, Run, confirm, kill_family, lose_quorum, playbook, runs, started
from lab.labs import Lab
from lab.progress import LabError, say, wait_for

MOMENTS = ("before", "after", "during")
STATE = "lost"
_RECOVER = "recover.yml"
_DOCUMENTS = ("docs", "changelogs", "README.md")
# What a host that only just starts may do while it is looked at: whatever was not begun is begun by the next run.
_AGAIN = {"refused": re.compile(r"\bagain\b"), "failed": re.compile(r"the same command again is enough")}
_SCRATCH = "/etcd-tmp"
"""Of the distribution's own start: it lies there only where that was stopped half-way."""
# Files beside the config which the distribution's own start writes are no concern.
# What a recovery keeps of earlier data has a time in its name, and an interrupted one may have kept more.
_LOOK = """\
export LC_ALL=C
config=${CONFIG%/*}
for f in $(find $config /etc/systemd/system -not -type d -not -name "$DISTRO.yaml" -not -name "$DISTRO-pss.yaml"); do
  if [ -L "$f" ]; then echo "file $f -> $(readlink "$f")"; else echo "file $f $(sha256sum <"$f" | cut -c 1-16)"; fi
done
find /run/requorum /run/systemd/transient -not -type d 2>/dev/null | sed 's/^/file /'
find $DATA/agent/pod-manifests -type f -printf 'file %p\\n' 2>/dev/null
find /etc /var/lib/rancher /tmp /var/tmp /root /home \\
  \\( -name '*.part' -o -name '*.new' -o -name '*.off' -o -path '/tmp/*requorum*' \\) -printf 'temporary %p\\n'
find /var/lib/rancher/requorum -maxdepth 1 -type f -not -name journal-closed -printf 'ours %f\\n' 2>/dev/null
for f in $(ls -d $DATA/server/db/* $DATA/server/tls* $DATA/server/cred* 2>/dev/null); do
  echo "kept ${f#$DATA/}" | sed 's/[0-9]\\{8\\}T[0-9]*Z/TIME/; s/[0-9]\\{10\\}/TIME/'
done | sort -u
for unit in $UNIT requorum-reset rancher-system-agent; do
  set -- -p LoadState -p UnitFileState -p ActiveState -p DropInPaths
  echo "unit $unit $(systemctl show $unit "$@" --value | paste -s -d ' ')"
done
ps -e -o stat=,comm= | awk '$1 ~ /^[Tt]/ { print "stopped " $2 }'
ps -e -o args= | grep ' requorum$' | grep -v grep | cut -c 1-60 | sed 's/^/at-work /'
:"""


@dataclass(frozen=True)
class Kill:
    """One moment of a recovery."""

    ident: str
    moment: str
    verb: str = ""
    node: str = ""
    seconds: float = 0.0
    """For `during`: how long after the action has begun."""

    @property
    def name(self) -> str:
        """As it is given to --kill."""
        return f"{self.ident}:{self.moment}"

    def __str__(self) -> str:
        return f"{self.name} ({self.verb} on {self.node})"


@dataclass(frozen=True)
class Trial:
    """How one kill went."""

    kill: Kill
    ended: str
    """Outcome of the second run."""
    wrong: tuple[str, ...]
    back_s: float
    first_s: float
    second_s: float

    def __str__(self) -> str:
        spent = f"{self.back_s:.0f} s to put back, killed after {self.first_s:.0f} s, then {self.second_s:.0f} s"
        return f"{'FAILED' if self.wrong else 'ok    '} {self.kill}: {self.ended}; {spent}" + "".join(
            f"\n         {line}" for line in self.wrong
        )


def every(actions: Sequence[dict[str, Any]], moments: Sequence[str] = MOMENTS[:2]) -> list[Kill]:
    """Each action of a plan at each moment, in order."""
    return [Kill(a["id"], moment, a["verb"], a["node"]) for a in actions for moment in moments]


def sample(kills: Sequence[Kill], count: int, seed: str) -> list[Kill]:
    """Some of them: the same ones for the same seed, one from each part of the list."""
    chance = random.Random(seed)
    borders = [len(kills) * part // count for part in range(count + 1)]
    return [chance.choice(kills[low:high]) for low, high in itertools.pairwise(borders) if low < high]


def named(kills: Sequence[Kill], names: Sequence[str]) -> list[Kill]:
    """Those that are named, as `5.1:before`, or `5.1` for each of its moments."""
    found = [[kill for kill in kills if name in (kill.name, kill.ident)] for name in names]
    for name, chosen in zip(names, found, strict=True):
        if not chosen:
            raise LabError(f"no kill {name!r}; there are: {' '.join(kill.name for kill in kills)}")
    return [kill for chosen in found for kill in chosen]


def seed_of_commit() -> str:
    """A digest of HEAD: each commit looks at other moments, but for one that changes documents only."""
    try:
        done = subprocess.run(["git", "ls-tree", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "requorum"
    trees = [line for line in done.stdout.splitlines() if line.partition("\t")[2] not in _DOCUMENTS]
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:12] if trees else "requorum"


def difference(seen: set[str], reference: set[str]) -> list[str]:
    """What is not as in the reference; of what was kept there may be more, never less."""
    more = sorted(line for line in seen - reference if " kept " not in line)
    less = sorted(line for line in reference - seen if not line.endswith(_SCRATCH))
    return [f"only here: {line}" for line in more] + [f"missing: {line}" for line in less]


def look_at(lab: Lab, host: str) -> set[str]:
    """`<host> <kind> <what>` of one host."""
    words = {"CONFIG": lab.spec.supervisor.config, "DATA": lab.data_dir, "UNIT": lab.spec.unit(host)}
    head = "".join(f"{key}={value}\n" for key, value in {**words, "DISTRO": lab.spec.distro}.items())
    return {f"{host} {line}" for line in lab.sh(host, head + _LOOK).ok(f"look at {host}").out.splitlines()}


def look(lab: Lab) -> set[str]:
    """What must be equal in the end: what is on the hosts, and the cluster's members and Nodes."""
    with ThreadPoolExecutor() as pool:
        hosts = pool.map(lambda host: look_at(lab, host.name), lab.spec.hosts)
        lines = {line for each in hosts for line in each}
    answers = lab.answering()
    lines |= {f"cluster member {name} {role}" for name, role in lab.members(answers).items()}
    return lines | {f"cluster node {name} {'Ready' if up else 'NotReady'}" for name, up in lab.nodes(answers).items()}


class Range:
    """A lab without quorum that is put back before each kill, and what must come out."""

    def __init__(self, lab: Lab) -> None:
        """lab: healthy, with its objects written, or one that was at this before. It has lost its quorum afterwards."""
        self.lab, self._known = lab, lab.folder / "kills.json"
        self._fresh = not self._known.exists()
        if self._fresh:
            self._prepare()
        known = json.loads(self._known.read_text("utf-8"))
        self.objects: dict[str, str] = known["objects"]
        self.reference: set[str] = set(known["reference"])
        self.actions: list[dict[str, Any]] = known["actions"]

    def _prepare(self) -> None:
        self.lab.wait_ready(120)
        values, second = objects.objects(self.lab), self.lab.servers[1]
        # What lies there of earlier times, snapshots and an earlier test's settings too, goes with its disk.
        config = f"{second} file {self.lab.spec.supervisor.config.parent}/"
        well = {line for line in look(self.lab) if not line.startswith((f"{second} kept ", config))}
        lose_quorum(self.lab)
        well |= {line for line in look_at(self.lab, second) if line.startswith(config)}
        saved.save(self.lab, STATE)
        check = playbook(self.lab, _RECOVER, "--check")
        if check.rc != 0 or check.folder is None:
            raise LabError(f"--check ended with exit code {check.rc}: {check.out[-3000:]}")
        actions = json.loads((check.folder / "plan.json").read_text("utf-8"))["actions"]
        self._know(values, well, actions)
        self._aside("check")

    def _know(self, values: dict[str, str], reference: set[str], actions: list[dict[str, Any]]) -> None:
        self._known.write_text(json.dumps({"objects": values, "reference": sorted(reference), "actions": actions}))

    def undisturbed(self) -> float:
        """Run a recovery that nobody kills: what it leaves is the reference from now on. Its seconds."""
        self._ready()
        run = playbook(self.lab, _RECOVER, *confirm(self.lab))
        if run.rc != 0 or run.folder is None:
            raise LabError(f"{_RECOVER} ended with exit code {run.rc}: {run.out[-3000:]}")
        took = {a["id"]: a["seconds"] for a in map(json.loads, _lines(run.folder / "actions.jsonl"))}
        self.actions = [{**action, "seconds": took.get(action["id"], 0.0)} for action in self.actions]
        self.reference = look(self.lab)
        self._know(self.objects, self.reference, self.actions)
        self._aside("undisturbed")
        return run.seconds

    def trial(self, kill: Kill) -> Trial:
        """Kill a recovery at that moment, run it again, judge. The lab is recovered afterwards, if all went well."""

        def choose(ident: str, verb: str, node: str) -> Kill | None:
            if ident == kill.ident and (verb, node) != (kill.verb, kill.node):
                raise LabError(f"{ident} is {verb} on {node} now: the plan is another one")
            return kill if ident == kill.ident else None

        clock = time.monotonic()
        self._ready()
        back = time.monotonic() - clock
        met, first = interrupted(self.lab, choose)
        if not met:
            raise LabError(f"{_RECOVER} ended before {kill}: {first.out[-3000:]}")
        return self._end(kill, back, first.seconds, f"{kill.ident}-{kill.moment}")

    def chain(self) -> list[Trial]:
        """One recovery that is killed and begun again at every action it comes to, before it and after it."""
        clock = time.monotonic()
        self._ready()
        back, met = time.monotonic() - clock, dict[tuple[str, str, str], Kill]()

        def choose(ident: str, verb: str, node: str) -> Kill | None:
            for moment in MOMENTS[:2]:
                if (verb, node, moment) not in met:
                    return met.setdefault((verb, node, moment), Kill(ident, moment, verb, node))
            return None

        trials = []
        while True:
            kill, run = interrupted(self.lab, choose)
            if not kill:
                wrong = tuple(self._judge(run))
                trials.append(Trial(Kill("end", "after", "all", "all"), _ended(run), wrong, back, 0.0, run.seconds))
                self._aside("chain", run if wrong else None)
                return trials
            trials.append(Trial(kill, "the next one went on", (), 0.0, run.seconds, 0.0))

    def _end(self, kill: Kill, back: float, first: float, name: str) -> Trial:
        run = playbook(self.lab, _RECOVER, *confirm(self.lab))
        ended, second = _ended(run), run.seconds
        if ended in _AGAIN and _AGAIN[ended].search(_next(run)):
            say(f"{ended}: {_next(run)}")
            run = playbook(self.lab, _RECOVER, *confirm(self.lab))
            ended, second = f"{ended}, then {_ended(run)}", second + run.seconds
        wrong = tuple(self._judge(run))
        trial = Trial(kill, ended, wrong, back, first, second)
        say(str(trial))
        self._aside(name, run if wrong else None)
        return trial

    def _judge(self, run: Run) -> Iterator[str]:
        if run.rc != 0 or _ended(run) not in ("recovered", "healthy"):
            yield f"the second run ended with exit code {run.rc}: {_next(run) or run.out[-2000:]}"
            return
        try:
            here = objects.objects(self.lab)
        except LabError as error:
            yield str(error)
            return
        if here != self.objects or len(here) < 40:
            yield f"{len(set(self.objects) - set(here))} of {len(self.objects)} objects are lost or changed"
        yield from difference(look(self.lab), self.reference)

    def _ready(self) -> None:
        if not self._fresh:
            saved.put_back(self.lab, STATE)
        self._fresh = False
        # A recovery finds a survivor that is up but for its quorum, as in the hours after a loss.
        unit, first = self.lab.spec.unit(self.lab.servers[0]), self.lab.servers[0]

        def probe() -> tuple[bool, str]:
            seen = self.lab.sh(first, f"systemctl is-active {unit}; pgrep -x 'etcd|k3s-server|k3s'", 10).out.split()
            return seen[:1] in (["active"], ["activating"]) and len(seen) > 1, " ".join(seen)

        wait_for(f"{first} to have started what it can", probe, 60, poll=0.3)

    def _aside(self, name: str, run: Run | None = None) -> None:
        """Each trial meets a controller that has seen no other; what it wrote stays to be looked at."""
        shelf, target = ROOT / "recoveries" / self.lab.name, ROOT / "recoveries" / f"{self.lab.name}.kills" / name
        target.parent.mkdir(exist_ok=True)
        for number in range(1000):
            free = target.with_name(f"{name}.{number}") if number else target
            if not free.exists():
                break
        if shelf.exists():
            shelf.rename(free)
        if run:
            (free / "second-run.txt").write_text(run.out, "utf-8")
            say(f"what it wrote: {free}")


def interrupted(
    lab: Lab, choose: Callable[[str, str, str], Kill | None], deadline: float = 600
) -> tuple[Kill | None, Run]:
    """Start a recovery; kill it with all its children at the moment that is chosen as an action begins, if any is.

    choose: gets identity, verb and node of the action.
    """
    earlier, clock, said, kill, ended = runs(lab), time.monotonic(), list[str](), None, False
    with started(lab, _RECOVER, *confirm(lab), events=True) as run:
        late = threading.Timer(deadline, kill_family, [run.pid])
        late.start()
        try:
            assert run.stdout is not None
            for line in run.stdout:
                said.append(line)
                event = _events.read(line) or {}
                if (event.get("event"), event.get("state")) == ("action", "begun"):
                    kill = choose(event["id"], event["verb"], event["node"])
                if kill:
                    break
            else:
                ended = True
            if kill and kill.moment == "during":
                time.sleep(kill.seconds)
            elif kill and kill.moment == "after":
                ident = kill.ident

                def recorded() -> tuple[bool, str]:
                    files = [path for new in runs(lab) - earlier for path in new.glob("actions.jsonl")]
                    return any(json.loads(row)["id"] == ident for f in files for row in _lines(f)), "not yet"

                wait_for(f"{ident} to be recorded", recorded, deadline, poll=0.01)
        finally:
            late.cancel()
            if not ended:
                kill_family(run.pid)
    took = time.monotonic() - clock
    if kill:
        say(f"killed {kill} after {took:.1f} s")
    return kill, Run(run.returncode, "".join(said), took, max(runs(lab) - earlier, default=None))


def _lines(path: Path) -> list[str]:
    """Whole lines: the last one may be being written."""
    return path.read_text("utf-8").split("\n")[:-1]


def _ended(run: Run) -> str:
    return str((run.report.get("verdict") or {}).get("outcome") or f"no report, exit code {run.rc}")


def _next(run: Run) -> str:
    """What a person reads who has to go on."""
    verdict = run.report.get("verdict") or {}
    refusals = [f"{refusal['what']} {refusal['next']}" for refusal in run.report.get("refusals") or ()]
    return " ".join([str(verdict.get("sentence") or ""), str(verdict.get("next") or ""), *refusals]).strip()


def shoot(lab: Lab, options: argparse.Namespace) -> list[Trial]:
    """All that is asked for, one after the other."""
    place = Range(lab)
    moments = MOMENTS if options.during or any(":during" in name for name in options.kill) else MOMENTS[:2]
    if not (options.sample or options.kill or options.chain):
        say(f"a recovery that nobody kills takes {place.undisturbed():.1f} s")
    kills = every(place.actions, moments)
    chance = random.Random(options.seed)
    took = {action["id"]: action.get("seconds", action["expect_s"]) for action in place.actions}
    kills = [replace(k, seconds=chance.random() * took[k.ident]) if k.moment == "during" else k for k in kills]
    chosen = named(kills, options.kill) if options.kill else kills
    if options.sample:
        say(f"{options.sample} of {len(kills)} kills, by --seed {options.seed}")
        chosen = sample(kills, options.sample, options.seed)
    return place.chain() if options.chain else [tried(place, kill) for kill in chosen]


def tried(place: Range, kill: Kill) -> Trial:
    """A trial; one that breaks down does not keep the others from being made."""
    try:
        return place.trial(kill)
    except LabError as error:
        say(f"{kill}: {error}")
        return Trial(kill, "no end", (str(error)[-1500:],), 0.0, 0.0, 0.0)


def summary(trials: Sequence[Trial]) -> str:
    """What was killed, how it ended, how long a kill takes."""
    took = sorted(trial.back_s + trial.first_s + trial.second_s for trial in trials)
    bad = [trial.kill.name for trial in trials if trial.wrong]
    lines = [*map(str, trials), f"{len(trials)} kills, {len(bad)} failed; a kill takes {took[len(took) // 2]:.0f} s"]
    return "\n".join([*lines, *([f"again: {' '.join(f'--kill {name}' for name in bad)}"] if bad else [])])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.kills", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--distro", choices=["rke2", "k3s"], default="rke2")
    parser.add_argument("--kill", action="append", default=[], metavar="ID[:MOMENT]", help="only this one; repeatable")
    parser.add_argument("--during", action="store_true", help="at a moment of chance within each action, too")
    parser.add_argument("--chain", action="store_true", help="one recovery, killed at each action it comes to")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N of them, chosen by --seed")
    parser.add_argument("--seed", default=seed_of_commit(), help="default: the commit")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--name", default="", help="of a lab that --keep has left, or of a new one")
    options = parser.parse_args()
    lab = Lab(options.name or f"kills-{options.distro}-{os.getpid()}", options.distro)
    try:
        if lab.folder.exists():
            lab = Lab.load(lab.name)
        else:
            lab.up()
            objects.write_objects(lab)
            objects.write_workloads(lab)
        trials = shoot(lab, options)
    except LabError as error:
        print(f"kills: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            lab.down()
    print(summary(trials))
    return 1 if any(trial.wrong for trial in trials) else 0


if __name__ == "__main__":
    sys.exit(main())
