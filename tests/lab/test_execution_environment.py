# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of execution-environment.yml: built without a registry, run as AWX runs it, against a lab."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import fingerprint
from lab.cache import cached, digest
from lab.labs import Lab
from lab.packages import ensure_packages
from lab.podman import podman
from lab.progress import Done, run, say
from tests.lab import story
from tools import wheels

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
# What docker.io/library/debian:12-slim has, and the two packages of python_interpreter. Those of meta/bindep.txt are
# left to the build.
BASE = ("mmdebstrap", "--variant=minbase", "--mode=root", "--include=ca-certificates,python3-pip,python3-venv",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "bookworm")
USER = 54321
# As Kubernetes starts a job's container: any uid in group 0, no entry in passwd made by podman, no HOME.
ANYBODY = ("--user", f"{USER}:0", "--passwd=false", "--unsetenv", "HOME")


def base() -> str:
    """The base image, imported when it is missing."""
    mark = digest(*BASE)
    tag = f"localhost/requorum-ee-base:{mark}"
    if podman("image", "exists", tag, timeout=30).rc != 0:
        folder = cached(f"ee-base-{mark}", lambda target: run(
            [*BASE, str(target / "rootfs.tar")], timeout=600).ok("mmdebstrap") and None)
        podman("import", "--quiet", str(folder / "rootfs.tar"), tag, timeout=300).ok("podman import")
    return tag


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built from the context that `make ee-context` makes."""
    ensure_packages()
    tree = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "execution-environment.yml", tree)
    shutil.copy(ROOT / "ansible.cfg", tree)
    shutil.copytree(ROOT / "meta", tree / "meta")
    wheels.fill(tree / "build/wheels")
    run([str(PROGRAMS / "ansible-builder"), "create", "-f", str(tree / "execution-environment.yml"), "-c",
         str(tree / "context"), "--output-filename", "Containerfile"], timeout=60).ok("ansible-builder create")
    assert sum(path.stat().st_size for path in (tree / "context").rglob("*") if path.is_file()) < 60 << 20
    tag = f"localhost/requorum-ee:test-{os.getpid()}"
    say(f"building {tag}")
    podman("build", "--squash", "--network=host", "--build-arg", f"EE_BASE_IMAGE={base()}", "-t", tag,
           str(tree / "context"), timeout=600).ok("podman build")
    say(f"built {tag}")
    yield tag
    if not os.environ.get("REQUORUM_KEEP_LABS"):
        podman("image", "rm", "-f", tag, timeout=120)


def inside(image: str, *command: str, options: tuple[str, ...] = (), stdin: bytes | None = None) -> Done:
    """Run a command in a container of the image as anybody."""
    return podman("run", "--rm", "-i", *ANYBODY, *options, image, *command, timeout=300, stdin=stdin)


def test_the_image_has_what_a_job_needs_and_nothing_of_its_build(image: str) -> None:
    def ask(script: str) -> str:
        return inside(image, "sh", "-c", script).ok(script).out.strip()

    assert ask("requorum --version").startswith("requorum ")
    assert ask("ansible-galaxy collection list requorum.cluster 2>&1 | grep -c ^requorum.cluster") == "1"
    assert ask("ansible-config dump --only-changed").count("requorum.cluster.timeline") == 1
    assert len(ask("which ssh ssh-agent sshpass git ansible-runner dumb-init").splitlines()) == 6
    assert ask("python3 -c 'import boto3, paramiko'; ls -d /etc/pip.conf /output /var/lib/apt/lists/* 2>&-; true") == ""
    # ssh gives up when its user has no name; a home that cannot be written is replaced.
    assert ask("ssh -o BatchMode=yes nowhere.invalid 2>&1 | grep -c 'No user exists' || true") == "0"
    assert ask("id -u; id -g; getent passwd $(id -u) | cut -d: -f1,6; test -w $HOME && echo $HOME").split() == [
        str(USER), "0", f"{USER}:/runner", "/runner"]
    assert ask("HOME=/ /opt/builder/bin/entrypoint sh -c 'echo $HOME'") == "/runner"
    kept = podman("image", "inspect", image, timeout=30).ok("image inspect").out
    assert not re.search(r"PIP_(?!BREAK)|_CA_BUNDLE|SSL_CERT|proxy", kept)


def test_the_dry_run_works_in_it_as_any_user(image: str, rke2: Lab, tmp_path: Path) -> None:
    before = fingerprint.read(rke2)
    folder = tmp_path / "lab"
    folder.mkdir(0o700)
    for name in ("hosts.yml", "known_hosts", "id_ed25519"):
        shutil.copy(rke2.folder / name, folder)
    inventory = folder / "hosts.yml"
    inventory.write_text(inventory.read_text().replace(str(rke2.folder), "/lab"))
    for path in (folder, *folder.iterdir()):
        os.chown(path, USER, 0)
    options = ("--network", rke2.spec.network, "-v", f"{folder}:/lab:ro")
    done = inside(image, "sh", "-c", "ansible-playbook requorum.cluster.recover -i /lab/hosts.yml --check && "
                  "wc -c recoveries/*/*/timeline.jsonl", options=options)
    print(done.out[-3000:], done.err)
    assert done.rc == 0
    assert f"HEALTHY: {rke2.name}" in done.out
    assert int(done.out.strip().splitlines()[-1].split()[0]) > 1000
    assert story.touched(rke2, before, quiet=[]) == []


def test_a_job_streams_through_it_as_awx_streams_it(image: str, rke2: Lab, tmp_path: Path) -> None:
    """transmit | worker in the container | process; the key comes to ssh-agent and to no file."""
    sent, back = tmp_path / "sent", tmp_path / "back"
    for name in ("env", "inventory", "project"):
        (sent / name).mkdir(parents=True)
    back.mkdir()
    inventory = (rke2.folder / "hosts.yml").read_text()
    inventory = re.sub(r"\n *ansible_ssh_private_key_file:.*", "", inventory).replace(" -o IdentitiesOnly=yes", "")
    (sent / "inventory/hosts.yml").write_text(inventory.replace(str(rke2.folder), "/runner/project"))
    shutil.copy(rke2.folder / "known_hosts", sent / "project")
    shutil.copy(rke2.folder / "id_ed25519", sent / "env/ssh_key")
    (sent / "env/cmdline").write_text("--check")
    runner = str(PROGRAMS / "ansible-runner")
    job = subprocess.run([runner, "transmit", str(sent), "-p", "requorum.cluster.recover", "-i", "job"],
                         capture_output=True, check=True, timeout=60).stdout
    done = inside(image, "ansible-runner", "worker", "--private-data-dir=/runner", stdin=job,
                  options=("--network", rke2.spec.network))
    assert done.rc == 0, done.err
    seen = subprocess.run([runner, "process", str(back), "-i", "job"], input=done.out, capture_output=True, text=True,
                          timeout=60)
    assert (back / "artifacts/job/rc").read_text() == "0", seen.stdout[-3000:] + seen.stderr
    assert f"HEALTHY: {rke2.name}" in (back / "artifacts/job/stdout").read_text()
    secrets = [line for line in (rke2.folder / "id_ed25519").read_text().splitlines() if len(line) > 60]
    assert secrets and story.places_of(secrets, back) == []


def test_navigator_runs_the_checkout_by_our_settings(rke2: Lab, tmp_path: Path) -> None:
    done = run([str(PROGRAMS / "ansible-navigator"), "run", "recover.yml", "-i", str(rke2.inventory), "--check", "-e",
                f"requorum_output={tmp_path}"], timeout=300, env={
        **os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "ANSIBLE_NAVIGATOR_CONFIG": "ansible-navigator.yml"})
    assert done.rc == 0, done.out[-3000:] + done.err
    assert f"HEALTHY: {rke2.name}" in done.out
    assert list(tmp_path.glob("*/*/timeline.jsonl"))
    assert not list(ROOT.glob("recover-artifact-*"))
