# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the readers of datastores beside the tools that do the same: python -m bench.snapshot.

A real etcd writes the datastores: 1 GiB with 1 Mi keys, then 2 GiB for the survivor ranking. Everything is read from
the page cache, medians of three, each figure and the one it is held against in turn. The ranking goes through a private
sshd on loopback; name another one with --sshd. Needs 10 GiB below --folder and about five minutes.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import pwd
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.progress import say
from tests.oracle.programs import Etcd, etcd_folder, free_ports, run

KEYS = 1 << 20
VALUE = 830
"""Bytes that make four keys fill a page as etcd fills it, so that 1 Mi keys take 1 GiB."""
TURNS = 3
ADDRESSES = {"n1": "127.0.0.1", "n2": "127.0.0.2", "n3": "127.0.0.3"}
"""Of three servers that are one sshd."""
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Figure:
    """One line of the table; `value` may not be beyond `limit`."""

    name: str
    value: float
    unit: str
    limit: float
    wanted: str
    beside: str

    @property
    def ok(self) -> bool:
        return self.value >= self.limit if self.wanted.startswith(">=") else self.value <= self.limit


@dataclass(frozen=True)
class Cost:
    """Of one run of a program."""

    seconds: float
    mib: float
    """Peak of its resident memory."""


def cost(argv: Sequence[str | Path]) -> Cost:
    """Run a program that must succeed."""
    begin = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit code {process.returncode}")
    return Cost(time.monotonic() - begin, usage.ru_maxrss / 1024)


def side_by_side(programs: dict[str, Sequence[str | Path]]) -> dict[str, Cost]:
    """Median seconds and largest memory of each, in turn, so that a busy moment of the machine hits all."""
    seen: dict[str, list[Cost]] = {name: [] for name in programs}
    for _turn in range(TURNS):
        for name, argv in programs.items():
            seen[name].append(cost(argv))
    return {name: Cost(statistics.median(each.seconds for each in costs), max(each.mib for each in costs))
            for name, costs in seen.items()}


def fill(etcd: Etcd, first: int) -> None:
    """Write 1 Mi keys."""
    etcd.put_all((f"/registry/configmaps/default/c{number:09}", os.urandom(VALUE // 2).hex())
                 for number in range(first, first + KEYS))
    say(f"{first + KEYS} keys are written")


def datastores(folder: Path) -> tuple[Path, dict[str, Path]]:
    """(snapshot of 1 GiB, data directories of three servers of 2 GiB that differ in how far they got)."""
    quota = f"--quota-backend-bytes={8 << 30}"
    with Etcd(folder, "3.6", quota) as etcd:
        etcd.put("/registry/namespaces/kube-system", b"k8s\0")
        fill(etcd, 0)
        snapshot = etcd.save(folder / "snapshot.db")
        fill(etcd, KEYS)
    nodes = {}
    for number, name in enumerate(ADDRESSES):
        with etcd:
            etcd.put("/registry/turn", str(number))
        nodes[name] = folder / name
        target = nodes[name] / "server/db/etcd"
        shutil.copytree(etcd.data, target)
        (target / "name").write_text("m1")
    return snapshot, nodes


def requorum(*words: str | Path) -> list[str | Path]:
    """The command, as a user starts it."""
    return [Path(sys.executable).with_name("requorum"), "snapshot", *words]


def reading(snapshot: Path) -> Iterator[Figure]:
    """What the controller does with a whole snapshot."""
    status = etcd_folder("3.6") / "etcdutl"
    costs = side_by_side({
        "sha256sum": ["sha256sum", snapshot],
        "quick": requorum("verify", "--quick", snapshot),
        "status": [status, "snapshot", "status", snapshot],
        "full": requorum("verify", snapshot),
        "info": requorum("info", snapshot),
    })
    say(json.dumps({name: asdict(each) for name, each in costs.items()}))
    quick, theirs = costs["quick"], costs["sha256sum"]
    yield Figure("verify quick of 1 GiB, rate", theirs.seconds / quick.seconds, "x", 0.9, ">= 0.9 x sha256sum",
                 f"{quick.seconds:.2f} s; sha256sum {theirs.seconds:.2f} s")
    full, theirs = costs["full"], costs["status"]
    yield Figure("verify full of 1 GiB with 1 Mi keys", full.seconds / theirs.seconds, "x", 2, "<= 2 x etcdutl status",
                 f"{full.seconds:.2f} s; etcdutl snapshot status {theirs.seconds:.2f} s")
    for name in ("quick", "full", "info"):
        yield Figure(f"memory of {name}", costs[name].mib, "MiB", 200 * 1e6 / 2**20, "<= 200 MB",
                     f"{costs[name].seconds:.2f} s; etcdutl {theirs.mib:.0f} MiB")


# Its sessions see a host on which rke2 is installed, and the user without whom sshd does not start.
NAMESPACE = """mount --bind "$1/bin" /usr/local/bin && mount --bind "$1/passwd" /etc/passwd && shift && exec "$@" """


@contextmanager
def sshd(program: str, folder: Path) -> Iterator[int]:
    """A private sshd on loopback that knows one key, in a mount namespace of its own; its port. Needs root."""
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    (folder / "bin").mkdir()
    (folder / "bin/rke2").write_text("#!/bin/sh\necho rke2 version v1.34.3+rke2r1\n")
    (folder / "bin/rke2").chmod(0o755)
    users = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(users + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_ports(1)[0]
    options = {"HostKey": folder / "host", "PidFile": "none",
               "AuthorizedKeysFile": folder / "user.pub", "StrictModes": "no", "UsePAM": "no", "MaxStartups": "100"}
    config, log = folder / "sshd_config", folder / "sshd.log"
    lines = [*options.items(), *(("ListenAddress", f"{address}:{port}") for address in ADDRESSES.values())]
    config.write_text("".join(f"{name} {value}\n" for name, value in lines))
    argv = ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", folder, program, "-D", "-e", "-f", config]
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        time.sleep(0.5)
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        yield port
    finally:
        process.terminate()
        process.wait(10)


PLAYBOOK = """
- hosts: servers
  gather_facts: false
  tasks:
    - debug: {msg: "MARK {{ now().timestamp() }}"}
    - requorum.cluster.node_info:
      register: found
    - debug: {msg: "MARK {{ now().timestamp() }}"}
    - debug: {msg: "NODE {{ found.requorum_node | to_json | b64encode }}"}
"""


def ranking(nodes: dict[str, Path], folder: Path, port: int) -> Iterator[Figure]:
    """Survey of three servers as `playbooks/inspect.yml` makes it, over ssh, and which of them got furthest."""
    common = {"ansible_port": port, "ansible_user": pwd.getpwuid(os.getuid()).pw_name, "requorum_distro": "rke2",
              "ansible_ssh_private_key_file": str(folder / "user"),
              "ansible_ssh_common_args": f"-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known"}
    inventory, playbook, sockets = folder / "hosts.json", folder / "survey.yml", folder / "cp"
    hosts = {name: {"requorum_data_dir": str(path), "ansible_host": ADDRESSES[name]} for name, path in nodes.items()}
    inventory.write_text(json.dumps({"all": {"vars": common, "children": {"servers": {"hosts": hosts}}}}))
    playbook.write_text(PLAYBOOK)
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
           "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets), "ANSIBLE_NOCOLOR": "1"}
    argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, playbook]
    whole, survey = [], []
    for _turn in range(TURNS):
        begin = time.monotonic()
        done = subprocess.run(argv, check=True, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        whole.append(time.monotonic() - begin)
        marks = [float(mark) for mark in re.findall(r"MARK ([0-9.]+)", done.stdout)]
        survey.append(max(marks) - min(marks))
        for socket in sockets.iterdir():  # the next turn logs in again
            subprocess.run(["ssh", "-O", "exit", "-S", socket, "it"], check=True, capture_output=True)
    entries = [json.loads(base64.b64decode(word)) for word in re.findall(r"NODE ([\w+/=]+)", done.stdout)]
    stores = {entry["name"]: (entry.get("datastore") or {}).get("summary") for entry in entries}
    if not all(stores.values()):
        raise RuntimeError(f"not read: {[(entry['unread'], entry.get('datastore')) for entry in entries]}")
    order = sorted(stores, key=lambda name: [stores[name][word] for word in ("term", "index", "revision")])
    if order != list(nodes):
        raise RuntimeError(f"wrong order: {order}: {stores}")
    yield Figure("survey of three 2 GiB datastores over ssh", statistics.median(survey), "s", 3, "<= 3 s",
                 f"from logging in to the last answer; the ansible-playbook run {statistics.median(whole):.2f} s")


def measure(folder: Path, program: str | None) -> list[Figure]:
    """All figures."""
    snapshot, nodes = datastores(folder)
    sizes = [path.stat().st_size for path in (snapshot, nodes["n1"] / "server/db/etcd/member/snap/db")]
    say(f"snapshot of {sizes[0]} bytes, db of {sizes[1]}")
    figures = list(reading(snapshot))
    if program is None:
        say("no sshd here: no ranking; name one with --sshd")
        return figures
    with sshd(program, folder) as port:
        return figures + list(ranking(nodes, folder, port))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snapshot", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the datastores are made (10 GiB)")
    parser.add_argument("--sshd", default=shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="requorum-bench-", dir=arguments.folder) as folder:
        figures = measure(Path(folder), arguments.sshd)
    for each in figures:
        verdict = "ok " if each.ok else "BAD"
        print(f"{verdict} {each.name:55} {each.value:7.2f} {each.unit:3} {each.wanted:23} {each.beside}")
    print(json.dumps([{**asdict(each), "ok": each.ok} for each in figures], indent=1))


if __name__ == "__main__":
    main()
