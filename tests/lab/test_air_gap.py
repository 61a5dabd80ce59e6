# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make airgap`: the archive installs where there is no network at all, and notices damage."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tools import airgap

SEARCH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    airgap.make(folder)
    [archive] = folder.glob("*.tar")
    return archive


@pytest.fixture
def unpacked(archive: Path, tmp_path: Path) -> Path:
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filters.
        tar.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    [folder] = tmp_path.iterdir()
    return folder


def alone(home: Path, *command: str | Path, path: str = SEARCH) -> subprocess.CompletedProcess[str]:
    """Run it with no network, no setting of ours and an empty home."""
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}
    return subprocess.run(["/usr/bin/unshare", "--net", *command], env=environment, cwd=home, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=120)


def test_it_installs_without_a_network_and_runs(archive: Path, unpacked: Path, tmp_path: Path) -> None:
    told = archive.with_name(f"{archive.name}.sha256").read_text().split()
    assert told == [hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name]
    assert archive.stat().st_size < 60 << 20
    home, target = tmp_path / "home", tmp_path / "home/tools/requorum"
    links = alone(home, "cat", "/proc/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in links] == ["lo"]

    done = alone(home, unpacked / "install.sh", target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f". {target}/bin/activate && export ANSIBLE_CONFIG={target}/ansible.cfg" in done.stdout

    def run(command: str) -> str:
        ready = f". {target}/bin/activate && export ANSIBLE_CONFIG={target}/ansible.cfg && {command}"
        done = alone(home, "sh", "-c", ready)
        assert done.returncode == 0 and "WARNING" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    assert run("requorum --version").split()[-1] == archive.name.split("-")[1]
    assert "requorum.cluster" in run("ansible-galaxy collection list")
    assert "NODE_INFO" in run("ansible-doc -t module requorum.cluster.node_info").upper()
    tasks = run(f"ansible-playbook requorum.cluster.recover -i {unpacked}/inventories/example --list-tasks")
    assert "(1/9) INSPECT" in tasks and "(9/9) VERIFY" in tasks
    assert "requorum.cluster.timeline" in run("ansible-config dump --only-changed")
    assert run("python -c 'import boto3, paramiko'") == ""

    again = alone(home, unpacked / "install.sh", target)
    assert again.returncode == 0, "a newer archive goes over an older one\n" + again.stderr


def test_it_carries_what_is_committed_and_no_machine(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    parts = {member.name.split("/")[1] for member in members if "/" in member.name}
    assert parts == {"LICENSE", "README.md", "SHA256SUMS", "ansible.cfg", "docs", "install.sh", "inventories", "wheels"}
    assert {(member.uid, member.gid, member.mtime, member.uname) for member in members} == {(0, 0, 0, "")}


@pytest.mark.parametrize("name", ["wheels/paramiko-*.whl", "ansible.cfg"])
def test_damage_is_noticed_before_anything_is_installed(name: str, unpacked: Path, tmp_path: Path) -> None:
    [damaged] = unpacked.glob(name)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    done = alone(tmp_path / "home", unpacked / "install.sh")
    assert done.returncode == 1
    assert f"{damaged.relative_to(unpacked)}: FAILED" in done.stdout + done.stderr
    assert "copy the archive anew" in done.stderr
    assert os.listdir(tmp_path / "home") == []


def test_it_touches_no_folder_that_is_none_of_its_own(unpacked: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    done = alone(tmp_path / "home", unpacked / "install.sh", taken)
    assert done.returncode == 1 and "is no virtual environment" in done.stderr
    assert os.listdir(taken) == ["file"]


def test_it_says_which_python_it_needs(unpacked: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "env", "dirname", "sha256sum", "uname"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    (programs / "python3").write_text("#!/bin/sh\necho 3.6\n")
    (programs / "python3").chmod(0o755)
    done = alone(tmp_path / "home", "/bin/sh", unpacked / "install.sh", path=str(programs))
    assert done.returncode == 1 and "no Python of 3.11 3.12" in done.stderr, done.stderr
