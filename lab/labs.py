# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole lab, up and down."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from lab import hosts, official
from lab.binaries import binaries
from lab.cache import locked, state_dir
from lab.cluster import Cluster
from lab.image import image
from lab.official import OFFICIAL
from lab.packages import ensure_packages
from lab.podman import labelled, podman, remove
from lab.progress import LabError, run, say
from lab.spec import LABEL, Host, Spec, candidate_subnets, inventory
from lab.standin import standin


def _together(work: Callable[[Host], Any], on: Iterable[Host]) -> list[Any]:
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(work, on))


def prepare(spec: Spec) -> hosts.Parts:
    """Programs, image and stand-in, side by side; everything comes from the cache when it is there."""
    ensure_packages()
    with ThreadPoolExecutor() as pool:
        programs = pool.submit(binaries, spec.etcd)
        root = pool.submit(image, spec.strict)
        played = None if spec.binary else pool.submit(standin)
        return hosts.Parts(root.result(), str(programs.result()), str(played.result()) if played else "")


def labs() -> list[str]:
    """Names of the labs of this machine, half-made ones too."""
    folder = state_dir() / "labs"
    known = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    done = podman("ps", "-a", "--filter", f"label={LABEL}", "--format", f'{{{{index .Labels "{LABEL}"}}}}', timeout=60)
    return sorted(known | set(done.out.split()))


class Lab(Cluster):
    """A cluster of systemd containers; its folder holds key, known hosts, inventory and lab.json."""

    def __init__(self, name: str, distro: str = "rke2", servers: int = 3, agents: int = 1, **choices: Any) -> None:
        """Describe a lab that is to be made (`choices`: further fields of Spec); nothing is touched yet."""
        choices.setdefault("token", secrets.token_hex(16))
        for field in ("binary", "images"):  # drill, conformance and every other test on real programs, without a word
            choices[field] = choices.get(field) or os.environ.get(f"REQUORUM_LAB_{field.upper()}", "")
        self._automatic = "subnet" not in choices
        self.spec = Spec(name, distro, servers, agents, **choices)

    @classmethod
    def load(cls, name: str) -> Lab:
        """Lab that `up` made."""
        path = state_dir() / "labs" / name / "lab.json"
        if not path.exists():
            raise LabError(f"there is no lab {name!r}; python -m lab list shows what there is")
        lab = cls.__new__(cls)
        lab.spec, lab._automatic = Spec.from_json(path.read_text()), False
        return lab

    def check_free(self) -> None:
        """Raise LabError where packages are missing that cannot be installed, or where a lab of this name exists."""
        ensure_packages()  # podman too, which is asked next
        if self.folder.exists() or labelled("container", self.spec.label):
            raise LabError(f"lab {self.name!r} exists; take it down first: python -m lab down --name {self.name}")

    def up(self, deadline: float = 420) -> None:
        """Make everything, start the cluster and wait until it is whole."""
        self.check_free()
        if self.spec.binary == OFFICIAL:
            program, images = official.release(self.spec.distro)
            self.spec = replace(self.spec, binary=str(program), images=self.spec.images or str(images))
        parts = prepare(self.spec)
        (self.folder / "saved").mkdir(parents=True, mode=0o700)
        self.folder.chmod(0o700)
        self._network()
        self._write("lab.json", self.spec.to_json())
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {self.name}", "-f",
             str(self.folder / "id_ed25519")], timeout=30).ok("ssh-keygen")
        say(f"lab {self.name}: {len(self.spec.hosts)} hosts in {self.spec.subnet}")
        keys = _together(partial(self._make, parts), self.spec.hosts)
        self._write("known_hosts", "".join(
            f"{host.ip} {key}\n" for host, key in zip(self.spec.hosts, keys, strict=True)))
        self._write("hosts.yml", inventory(self.spec, self.folder))
        self._write("parts.json", json.dumps(asdict(parts)) + "\n")
        self.start_cluster(deadline)

    def start_cluster(self, deadline: float = 420) -> None:
        """Enable and start the unit of every host, the first server before the others, and wait for all."""
        first, *others = self.spec.hosts
        self._start(first)
        self.wait_ping(first.name, deadline)
        _together(self._start, others)
        self.wait_ready(deadline)

    def _make(self, parts: hosts.Parts, host: Host) -> str:
        hosts.create(self.spec, host, parts, self.folder)
        hosts.wait_booted(self.spec, host.name, ssh=False)
        return hosts.furnish(self.spec, host, self.folder)

    def _start(self, host: Host) -> None:
        unit = self.spec.unit(host.name)
        say(f"{host.name}: starting {unit}")
        self.sh(host.name, f"systemctl enable --quiet {unit} && systemctl start --no-block {unit}").ok(unit)

    def _network(self) -> None:
        with locked(state_dir() / ".subnets.lock", "choosing a subnet"):
            subnets = candidate_subnets(_taken_subnets()) if self._automatic else iter([self.spec.subnet])
            for subnet in subnets:
                done = podman("network", "create", "--label", self.spec.label, "--subnet", subnet, self.spec.network,
                              timeout=60)
                if done.rc == 0:
                    self.spec = replace(self.spec, subnet=subnet)
                    return
                if not self._automatic or "subnet" not in done.err:
                    break
        done.ok(f"network {self.spec.network}")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)

    def down(self) -> None:
        """Remove everything that bears the lab's label, and its folder."""
        for kind in ("container", "volume", "network"):
            names = labelled(kind, self.spec.label)
            with ThreadPoolExecutor(max_workers=4) as pool:
                list(pool.map(partial(remove, kind), names))
            if names:
                say(f"lab {self.name}: removed {kind}s {' '.join(names)}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def renew(self, name: str) -> None:
        """Put an empty host in the place of `name`: new disks and ssh key, program installed but not enabled."""
        host = self.spec.host(name)
        parts = hosts.Parts(**json.loads((self.folder / "parts.json").read_text()))
        hosts.discard(self.spec, host)
        key = self._make(parts, host)
        lines = (self.folder / "known_hosts").read_text().splitlines()
        self._write("known_hosts", "".join(f"{line}\n" for line in (
            *(line for line in lines if line.split()[0] != host.ip), f"{host.ip} {key}")))


def _taken_subnets() -> set[str]:
    taken: set[str] = set()
    names = podman("network", "ls", "-q", timeout=60).ok("podman network ls").out.split()
    for network in json.loads(podman("network", "inspect", *names, timeout=60).out or "[]") if names else []:
        taken.update(subnet["subnet"] for subnet in network.get("subnets") or [])
    for route in json.loads(run(["ip", "-j", "-4", "route"], timeout=10).out or "[]"):
        if route["dst"] != "default":
            taken.add(route["dst"])
    return taken
