# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill: build a cluster, lose its quorum, bring it back with recover.yml, count what is still there."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import faults, objects
from .labs import Lab
from .progress import LabError, say, wait_for

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """One run of a playbook."""

    rc: int
    out: str
    seconds: float
    folder: Path | None
    """Folder of the run with plan.json, report.json and so on."""

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "report.json").read_text("utf-8"))) if self.folder else {}


def playbook(lab: Lab, name: str, *arguments: str, show: bool = False, deadline: float = 900) -> Run:
    """Run a playbook of the collection against a lab, as a person would; what it writes outlives the lab."""
    before = runs(lab)
    begun, lines = time.monotonic(), []
    with started(lab, name, *arguments) as run:
        assert run.stdout is not None
        for line in run.stdout:
            lines.append(line)
            if show:
                print(line, end="", flush=True)
            if time.monotonic() - begun > deadline:
                run.kill()
    return Run(run.returncode, "".join(lines), time.monotonic() - begun, max(runs(lab) - before, default=None))


def killed(lab: Lab, name: str, verb: str, *arguments: str, deadline: float = 300) -> Path:
    """Start a playbook and kill it with all its children as soon as an action of that verb is recorded; its folder."""
    before = runs(lab)
    with started(lab, name, *arguments, alone=True) as run:
        try:

            def probe() -> tuple[bool, str]:
                done = [path.read_text("utf-8") for new in runs(lab) - before for path in new.glob("actions.jsonl")]
                if run.poll() is not None:
                    raise LabError(f"{name} ended with exit code {run.returncode} and without any {verb}")
                return any(f'"verb": "{verb}"' in text for text in done), "not yet"

            wait_for(f"the first {verb} of {name}", probe, deadline, poll=0.05)
        finally:
            if run.poll() is None:
                kill_family(run.pid)
    say(f"{name} was killed after the first {verb}")
    return max(runs(lab) - before)


def kill_family(pid: int) -> None:
    """Kill a process with all that came of it: a worker of Ansible leads a session of its own, and would go on."""
    os.kill(pid, signal.SIGSTOP)
    rows = [line.split() for line in subprocess.check_output(["ps", "-e", "-o", "pid=,ppid="], text=True).splitlines()]
    family = [pid]
    for member in family:
        family += [int(child) for child, parent in rows if int(parent) == member]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def runs(lab: Lab) -> set[Path]:
    """Folders of all runs against this lab."""
    return set((ROOT / "recoveries").glob(f"{lab.name}/*"))


def started(lab: Lab, name: str, *arguments: str, alone: bool = False, events: bool = False) -> subprocess.Popen[str]:
    """A playbook at work. alone: its output is thrown away, and no signal for the tests reaches it; events: it is
    alone, and tells in its output what it does, for a program.
    """
    programs = Path(sys.executable).parent
    return subprocess.Popen(
        [
            *(str(programs / "ansible-playbook"), name, "-i", str(lab.inventory)),
            *("-e", f"requorum_output={ROOT / 'recoveries'}", *arguments),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **({"REQUORUM_EVENTS": "1"} if events else {}),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "PATH": f"{programs}:{os.environ.get('PATH', '')}",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if alone else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=alone or events,
    )


def confirm(lab: Lab) -> tuple[str, str]:
    """The options that say yes for this lab."""
    return "-e", f"requorum_confirm={lab.name}"


def lose_quorum(lab: Lab) -> None:
    """Cut two servers off; one comes back as an empty host, the other with a destroyed datastore."""
    _first, second, third = lab.servers
    say(f"cutting the power of {second} and {third}")
    faults.power_off(lab, second)
    faults.power_off(lab, third)
    answer = lab.kubectl(lab.servers[0], "get", "nodes", "--request-timeout=5s", timeout=8)
    if answer.rc == 0:
        raise LabError("the API still answers although two of three servers are off")
    say(
        f"the API no longer answers: {([*(answer.err or answer.out).splitlines(), 'no word'])[0][:120]}"
    )
    wait_for(f"{lab.servers[0]} to notice that it has no leader", lambda: _leaderless(lab), 60)
    say(f"{second} comes back as an empty host (new disk, same name)")
    faults.replace_disk(lab, second)
    say(f"{third} comes back with a destroyed datastore")
    faults.destroy_datastore(lab, third)
    faults.power_on(lab, third)


def _leaderless(lab: Lab) -> tuple[bool, str]:
    """Until then it writes what the API server asks of it into its log."""
    leader = lab.endpoint(lab.servers[0]).get("leader")
    return not leader, f"leader {leader}" if leader else "none"


def drill(distro: str, *, keep: bool, name: str) -> int:
    """The whole story; exit code 0 only when every object is still there."""
    begun = time.monotonic()
    lab = Lab(name, distro)
    lab.check_free()  # outside of `try`: a lab that is there already is not ours to take down
    try:
        lab.up()
        before = objects.write_objects(lab)
        objects.write_workloads(lab)
        ready = time.monotonic()
        lose_quorum(lab)
        say("ansible-playbook recover.yml")
        run = playbook(lab, "recover.yml", *confirm(lab), show=True)
        if run.rc != 0 or run.folder is None:
            raise LabError(f"recover.yml ended with exit code {run.rc}")
        after = objects.objects(lab)
        lost = sorted(set(before) - set(after))
        _summary(lab, run, len(before), lost, ready - begun, time.monotonic() - begun)
        return 1 if lost else 0
    finally:
        if keep:
            say(
                f"the lab stays up. Log in: python -m lab ssh --name {name} {lab.servers[0]}; "
                f"take it down: python -m lab down --name {name}"
            )
        else:
            lab.down()


def _summary(lab: Lab, run: Run, count: int, lost: list[str], build: float, total: float) -> None:
    report = json.loads((run.folder / "report.json").read_text("utf-8")) if run.folder else {}
    print("\nDrill")
    print(f"  was wrong: {'; '.join(finding['summary'] for finding in report['findings'])}")
    print(f"  done:      {report['verdict']['sentence']}")
    for phase in report["phases"]:
        print(f"  {phase['seconds'] or 0:7.1f} s  {phase['number']}/9 {phase['name']}")
    print(
        f"  {run.seconds:7.1f} s  recover.yml in all; {build:.0f} s to build the cluster, {total:.0f} s for everything"
    )
    print(f"  lost:      {', '.join(lost) if lost else f'nothing, {count} of {count} objects are there'}")
    for name in ("report.html", "report.json", "timeline.jsonl"):
        print(f"  {run.folder / name if run.folder else name}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.drill", description=__doc__)
    parser.add_argument("--distro", choices=["rke2", "k3s"], default="rke2")
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    parser.add_argument("--name", help="name of the lab (default: drill-<distro>)")
    options = parser.parse_args()
    try:
        return drill(options.distro, keep=options.keep, name=options.name or f"drill-{options.distro}")
    except LabError as error:
        print(f"drill: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
