# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum init`: the inventory that a healthy cluster gives, and the one of a night without quorum."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lab import faults
from lab.labs import Lab
from lab.spec import ssh_options
from tests.lab import story


def init(lab: Lab, path: Path) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(exit code, document, the hosts by group of the file that was written)."""
    first = lab.spec.host(lab.servers[0])
    argv = [str(Path(sys.executable).parent / "requorum"), "init", f"rancher@{first.ip}", "-o", str(path), "--json"]
    argv += ["--cluster", lab.name, "--key", str(lab.folder / "id_ed25519")]
    argv += ["-e", f"ansible_ssh_common_args={' '.join(ssh_options(lab.folder))}"]
    done = subprocess.run(argv, cwd=story.ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    written = yaml.safe_load(path.read_text("utf-8"))["all"]
    assert written["vars"]["requorum_cluster"] == lab.name
    return done.returncode, json.loads(done.stdout), {
        group: {name: host["ansible_host"] for name, host in (each["hosts"] or {}).items()}
        for group, each in written["children"].items()
    }  # fmt: skip


def known(lab: Lab, role: str) -> dict[str, str]:
    return {host.name: host.ip for host in lab.spec.hosts if host.role == role}


def test_all_hosts_of_a_healthy_cluster(rke2: Lab, tmp_path: Path) -> None:
    rc, document, written = init(rke2, tmp_path / "prod.yml")
    assert rc == 0 and {row["state"] for row in document["hosts"]} == {"ok"}
    assert written == {"servers": known(rke2, "server"), "agents": known(rke2, "agent")}


def test_two_of_three_servers_are_dead(rke2: Lab, tmp_path: Path) -> None:
    _first, *dead = rke2.servers
    path = tmp_path / "night.yml"
    try:
        for host in dead:
            faults.power_off(rke2, host)
        rc, document, written = init(rke2, path)
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "recover.yml", "-i", str(path), "--check"]
        argv += ["-e", json.dumps({"requorum_powered_off": dead, "requorum_output": str(tmp_path)})]
        plan = subprocess.run(argv, cwd=story.ROOT, capture_output=True, text=True, check=False, timeout=120)
    finally:
        for host in dead:
            faults.power_on(rke2, host)
        rke2.wait_ready(deadline=120)
    assert rc == 4 and not document["agents_known"] and written == {"servers": known(rke2, "server"), "agents": {}}
    states = {row["name"]: row["state"] for row in document["hosts"]}
    assert states == {rke2.servers[0]: "ok", **dict.fromkeys(dead, "does not answer")}
    made = [json.loads(each.read_text("utf-8")) for each in tmp_path.glob(f"{rke2.name}/*/plan.json")]
    assert [each["case"] for each in made] == ["quorum_lost"], plan.stdout[-3000:]
    assert made[0]["actions"] and not made[0]["refusals"]
