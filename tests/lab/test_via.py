# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`--via` with a real sshd: only the bastion has a key for the nodes, and it brings a cluster back that lost quorum."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.drill import lose_quorum, playbook
from lab.labs import Lab
from lab.podman import execute, podman, remove
from lab.progress import run, wait_for
from lab.spec import ssh_options
from tests.lab import story

ROOT = Path(__file__).parents[2]
HOME = "/mnt/home"
SSHD = """\
set -e
mkdir -p /run/sshd /host/mnt/home /host/mnt/tmp
cat >/etc/bastion.pub
ssh-keygen -q -t ed25519 -N '' -f /etc/bastion_key
/usr/sbin/sshd -f /dev/null -o HostKey=/etc/bastion_key -o AuthorizedKeysFile=/etc/bastion.pub -o UsePAM=no \\
    -o PermitRootLogin=prohibit-password -o PasswordAuthentication=no -o StrictModes=no
cut -d' ' -f1,2 /etc/bastion_key.pub"""


@dataclass(frozen=True)
class Bastion:
    """A container in the lab's network, whose Python and Requorum are those of this machine, seen but not written."""

    box: str
    inventory: Path
    """It names a key that the bastion alone has."""
    environment: dict[str, str]

    def furnish(self, lab: Lab) -> None:
        """Give it the key for the nodes, and their host keys."""
        for name in ("id_ed25519", "known_hosts"):
            script = f"umask 077; cat >/host{HOME}/{name}"
            execute(self.box, script, stdin=(lab.folder / name).read_text()).ok(name)

    def command(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """`requorum WORDS --json`: exit code, its document, standard error."""
        argv = [str(Path(sys.executable).parent / "requorum"), *words, "-i", str(self.inventory), "--json"]
        done = subprocess.run(argv, cwd=self.inventory.parent, env=self.environment, capture_output=True, text=True,
                              check=False, timeout=600)  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture
def bastion(k3s: Lab, tmp_path: Path) -> Iterator[Bastion]:
    box, spec = f"{k3s.name}-bastion", k3s.spec
    image = json.loads((k3s.folder / "parts.json").read_text())["image"]
    podman("run", "-d", "--name", box, "--label", spec.label, "--network", spec.network, "-v", "/:/host:ro",
           "--tmpfs", "/host/mnt:exec,size=1g", image, "sleep", "infinity", timeout=120).ok("bastion")  # fmt: skip
    try:
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], timeout=30).ok("key")
        host_key = execute(box, SSHD, stdin=(tmp_path / "key.pub").read_text()).ok("sshd").out.strip()
        address = podman("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", box,
                         timeout=30).out.strip()  # fmt: skip
        (tmp_path / "known").write_text(f"bastion {host_key}\n")
        (tmp_path / "config").write_text(f"Host bastion\n HostName {address}\n HostKeyAlias bastion\n"
                                         f" User root\n IdentityFile {tmp_path}/key\n"
                                         f" UserKnownHostsFile {tmp_path}/known\n")  # fmt: skip
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "ssh").write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {tmp_path}/config "$@"\n')
        (programs / "ssh").chmod(0o755)
        inventory = tmp_path / "hosts.yml"
        text = k3s.inventory.read_text().replace(" ".join(ssh_options(k3s.folder)), " ".join(ssh_options(Path(HOME))))
        inventory.write_text(text.replace(str(k3s.folder / "id_ed25519"), "~/id_ed25519"))
        inside = {"HOME": HOME, "TMPDIR": "/mnt/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
                  "PYTHONPATH": f"{ROOT / '.collections'}:{ROOT / 'src'}"}  # fmt: skip
        words = " ".join(f"{name}={value}" for name, value in inside.items())
        there = f"chroot /host /usr/bin/env -i {words} {Path(sys.executable).parent}/requorum"
        # A connection that an earlier run of this machine has left open would need no key.
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "REQUORUM_VIA_COMMAND": there,
                       "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp"),
                       "PYTHONPATH": inside["PYTHONPATH"]}  # fmt: skip
        made = Bastion(box, inventory, environment)
        made.furnish(k3s)
        yield made
    finally:
        remove("container", box)


def test_only_the_bastion_reaches_the_nodes(k3s: Lab, bastion: Bastion) -> None:
    rc, document, said = bastion.command("inspect")
    assert rc and all(server in json.dumps(document) for server in k3s.servers), said
    assert document.get("verdict", {}).get("case") != "healthy"
    rc, document, said = bastion.command("inspect", "--via", "bastion")
    assert document["verdict"]["case"] == "healthy", said

    lose_quorum(k3s)
    bastion.furnish(k3s)  # a server was made anew
    direct = playbook(k3s, "recover.yml", "--check")
    assert direct.rc == 0, direct.out
    rc, report, said = bastion.command("recover", "--check", "--via", "bastion")
    assert (rc, report["verdict"]["outcome"]) == (0, "planned"), said
    plan_id = story.plan(direct)["plan_id"]
    planned = folders(k3s, bastion)
    assert [json.loads((folder / "plan.json").read_text())["plan_id"] for folder in planned if
            (folder / "plan.json").exists()] == [plan_id]  # fmt: skip

    confirm = ("--confirm", k3s.name, "--plan-id", plan_id)
    rc, report, said = bastion.command("recover", "--via", "bastion", *confirm)
    assert (rc, report["verdict"]["outcome"]) == (0, "recovered"), said
    assert story.voters(k3s) == k3s.servers
    [here] = folders(k3s, bastion) - planned
    there = f"{HOME}/recoveries/{k3s.name}/{here.name}"
    assert f"{here} lies there too: bastion:{there}" in said
    [snapshot] = here.glob("backup/*/snapshot.db")
    compared = f"sha256sum <'/host{there}/{snapshot.relative_to(here)}' | cut -d' ' -f1"
    kept = execute(bastion.box, compared).ok("the backup on the bastion").out
    assert kept == run(["sh", "-c", f"sha256sum <'{snapshot}' | cut -d' ' -f1"], timeout=60).out
    assert (here / "report.html").is_file() and all(p.stat().st_mode & 0o077 == 0 for p in here.rglob("*"))
    wait_for("the bastion to be clean",
             lambda: (not execute(bastion.box, "ls /host/mnt/tmp").out.strip(), "a folder is left"), 20)  # fmt: skip


def folders(lab: Lab, bastion: Bastion) -> set[Path]:
    return set((bastion.inventory.parent / "recoveries").glob(f"{lab.name}/*"))
