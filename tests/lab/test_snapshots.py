# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum snapshot list|get|put|prune` on a whole cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.drill import playbook
from lab.labs import Lab
from tests.lab import story


@dataclass(frozen=True)
class Snapshots:
    """The commands as a person types them, in a folder of their own."""

    lab: Lab
    output: Path
    said: list[str]

    def __call__(self, *argv: str, code: int = 0) -> Any:
        program = Path(sys.executable).parent / "requorum"
        where = ["-i", str(self.lab.inventory), "-e", f"requorum_output={self.output}"]
        words = [str(program), "snapshot", *argv, *where, "--json"]
        done = subprocess.run(words, cwd=self.output, capture_output=True, text=True, timeout=300, check=False)
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, self.said[-1]
        return json.loads(done.stdout)


def test_a_snapshot_travels_from_a_server_to_another_one_and_old_backups_go(rke2: Lab, tmp_path: Path) -> None:
    lab, snapshots = rke2, Snapshots(rke2, tmp_path, [])
    first, second, third = lab.servers
    lab.sh(first, f"{lab.spec.supervisor.binary} etcd-snapshot save --name travels", 120).ok("snapshot")

    newest = snapshots("list")["snapshots"][0]
    assert newest["host"] == first and "/travels-" in newest["name"] and newest["verdict"] == "usable"
    got = snapshots("get", first)
    assert got["source"] == newest["name"] and got["revision"] == newest["revision"]
    assert Path(got["path"]).parent == tmp_path / lab.name / "fetched" / first

    put = snapshots("put", got["path"], second)
    again = snapshots("get", put["name"])
    assert put["name"].startswith(f"{second}:/var/lib/rancher/requorum/") and again["sha256"] == got["sha256"]
    same = {(row["name"], row["time"]) for row in snapshots("list")["snapshots"] if row["revision"] == got["revision"]}
    assert same >= {(name, newest["time"]) for name in (newest["name"], got["path"], put["name"], again["path"])}

    lab.sh(third, f"cat >/root/cut.db <<'END'\n{'x' * 9000}\nEND").ok("a file that is no snapshot")
    bad = snapshots("get", f"{third}:/root/cut.db", code=1)
    assert bad["path"].endswith("/cut.db.unproved") and not bad["proved"]
    assert snapshots("put", bad["path"], third, code=3)["name"] == ""

    for _ in range(2):
        made = playbook(lab, "playbooks/backup.yml", "-e", f"requorum_output={tmp_path}")
        assert made.rc == 0, made.out[-4000:]
    would = snapshots("prune", "--keep", "1", "--check")
    assert len(would["removed"]) == 1 and Path(would["removed"][0]).is_dir()
    assert snapshots("prune", "--keep", "1")["removed"] == would["removed"]
    assert not Path(would["removed"][0]).exists()
    assert {row["name"] for row in snapshots("list")["snapshots"]} >= {got["path"], *would["kept"]}

    assert [secret for secret in story.every_secret(lab) if secret in "".join(snapshots.said)] == []
