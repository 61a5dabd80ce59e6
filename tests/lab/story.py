# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of which the lab tests are made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab import fingerprint, objects
from lab.drill import Run
from lab.harvester import crds, fleet, play
from lab.labs import Lab

ROOT = Path(__file__).parents[2]


def command(lab: Lab, *words: str) -> tuple[int, dict[str, Any], str]:
    """`requorum WORDS --json` against a lab: exit code, its document, everything that it printed."""
    argv = [str(Path(sys.executable).parent / "requorum"), *words, "-i", str(lab.inventory), "--json"]
    argv += ["-e", f"requorum_output={ROOT / 'recoveries'}"]
    paths = [str(ROOT / ".collections"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, env=environment, timeout=1500)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stdout + done.stderr


@contextmanager
def with_fleet(name: str) -> Iterator[tuple[Lab, _api.Api]]:
    """One server with the kinds of a Harvester, its bundles, and a Fleet that works all the time."""
    lab = Lab(f"{name}-{os.getpid()}", "rke2", 1, 0)
    try:
        lab.up()
        crds.define(lab)
        api = play.client(lab)
        fleet.install(api)
        with play.playing(lab, [fleet.fleet]):
            yield lab, api
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def stop(lab: Lab, host: str) -> None:
    """Stop a server as a person would who knows that RKE2's static pods outlive its unit; it stays off after a boot."""
    names = "etcd kube-apiserver kube-controller kube-scheduler"
    gone = "for _ in $(seq 50); do pgrep -x etcd >/dev/null || break; sleep 0.2; done"  # a write must end first
    kill = f"for name in {names}; do pkill -KILL -x $name; done; {gone}"
    lab.sh(host, f"systemctl disable --now {lab.spec.unit(host)}; {kill}", 120).ok(f"stop {host}")


def plan(run: Run) -> dict[str, Any]:
    assert run.folder, run.out
    return dict(json.loads((run.folder / "plan.json").read_text("utf-8")))


def diagnosis(run: Run) -> dict[str, Any]:
    """What inspect.yml has found."""
    assert run.folder, run.out
    print(f"inspect.yml took {run.seconds:.1f} s")
    return dict(json.loads((run.folder / "diagnosis.json").read_text("utf-8")))


def verbs(run: Run) -> list[str]:
    """`node verb` of everything the plan would do."""
    return [f"{action['node']} {action['verb']}" for action in plan(run)["actions"]]


def done(run: Run) -> list[tuple[str, str, str]]:
    """Identity of the actions that were done, in the order of the plan."""
    assert run.folder, run.out
    lines = (run.folder / "actions.jsonl").read_text("utf-8").splitlines()
    return sorted((a["id"], a["node"], a["verb"]) for a in map(json.loads, lines))


def planned(run: Run) -> list[tuple[str, str, str]]:
    return sorted((a["id"], a["node"], a["verb"]) for a in plan(run)["actions"])


def outcome(run: Run) -> str:
    """The report's verdict; with the run's output at hand when a test fails."""
    assert run.report, run.out[-4000:]
    print(run.out[-6000:])
    return str(run.report["verdict"]["outcome"])


def quiet(lab: Lab) -> list[str]:
    """Hosts on which nothing happens by itself after `lose_quorum`: K3s without quorum restarts again and again."""
    first, second, _third = lab.servers
    return [second, *lab.agents, *([first] if lab.spec.distro == "rke2" else [])]


def touched(lab: Lab, before: fingerprint.Marks, *, quiet: list[str] | None = None) -> list[str]:
    """What is different now: everything on quiet hosts, configuration and our own folder on the others."""
    still = [*lab.servers, *lab.agents] if quiet is None else quiet
    ours = ("/etc/", "/var/lib/rancher/requorum", "/run/requorum")
    lines = fingerprint.difference(before, fingerprint.read(lab))
    # The agent rewrites its list whenever it learns of another one.
    lines = [line for line in lines if line.split()[1] != "sha256" or "-load-balancer.json:" not in line]
    return [line for line in lines if line.split()[0] in still or line.split()[2].startswith(ours)]


@contextmanager
def untouched(lab: Lab, *, quiet: list[str] | None = None) -> Iterator[None]:
    """Whatever is done, every host is bit by bit what it was; quiet: see `touched`."""
    before = fingerprint.read(lab)
    yield
    assert touched(lab, before, quiet=quiet) == []


def stretch(seconds: float = 0.5) -> float:
    """How many times longer than alone a program takes on this machine now, beside whatever else runs here."""
    wall, worked = time.monotonic(), time.process_time()
    while time.process_time() - worked < seconds:
        pass
    return (time.monotonic() - wall) / seconds


def voters(lab: Lab) -> list[str]:
    """The servers that are voters, as the first server that answers lists them."""
    return sorted(node for node, role in lab.members(lab.answering()).items() if role == "voter")


def count(lab: Lab) -> int:
    """Objects of the drill that are in the cluster."""
    return len(objects.objects(lab))


def places_of(secrets: list[str], folder: Path) -> list[str]:
    """Files below a folder that hold one of the secrets."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {secret[:4]}..." for secret in secrets if secret.encode() in content]
    return found


def every_secret(lab: Lab) -> list[str]:
    """Token, full token, node passwords and private keys of a lab."""
    secrets = [lab.spec.token]
    for host in [*lab.servers, *lab.agents]:
        secrets += lab.sh(host, "cat /etc/rancher/node/password").out.split()
    server = lab.data_dir / "server"
    secrets += lab.sh(
        lab.servers[0], f"cat {server}/token; sed -n 2p {server}/tls/*.key {server}/cred/ipsec.psk"
    ).out.split()
    return [secret for secret in secrets if len(secret) > 12 and not secret.startswith("-----")]


def configure(lab: Lab, host: str, token: str) -> None:
    """Write a token into config.yaml through stdin; an empty one takes the line out."""
    config = lab.spec.supervisor.config
    script = f"set -e; umask 077; {{ grep -v '^token:' {config}; cat; }} >{config}.new; mv {config}.new {config}"
    lab.sh(host, script, stdin=f"token: {token}\n" if token else "\n").ok(f"token of {host}")


@contextmanager
def no_earlier_backups(lab: Lab) -> Iterator[None]:
    """The controller is a new one: nothing of earlier runs lies there."""
    shelf, aside = ROOT / "recoveries" / lab.name, ROOT / "recoveries" / f"{lab.name}.aside"
    if shelf.exists():
        shelf.rename(aside)
    try:
        yield
    finally:
        if shelf.exists():
            shelf.rename(ROOT / "recoveries" / f"{lab.name}.new")
        if aside.exists():
            aside.rename(shelf)
