# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock fits pyproject.toml; the context that ansible-builder makes holds what it should and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock, wheels

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = wheels.pins((ROOT / "requirements.lock").read_text())
BUILDER = Path(sys.executable).parent / "ansible-builder"
# Scripts of ansible-builder, not ours to change: names of programs and packages unquoted, which hold no spaces (2046,
# 2048, 2086), `if [ $? -ne 0 ]` (2181), `ls | wc` (2012), `[ ! -z` (2236), files that only the image has (1091).
THEIRS = "SC1091,SC2012,SC2046,SC2048,SC2086,SC2181,SC2236"


def source() -> list[Requirement]:
    """What the lock is made from."""
    return [Requirement(line) for line in (*lock.wanted(PYPROJECT), *PYPROJECT["dependency-groups"][lock.GROUP])]


@pytest.mark.parametrize("python", wheels.PYTHONS)
def test_the_lock_fits_pyproject_for_every_python(python: str) -> None:
    chosen = [pin for pin in PINS if pin.fits(python)]
    versions = {pin.requirement.name: next(iter(pin.requirement.specifier)).version for pin in chosen}
    assert len(versions) == len(chosen), "one version for each Python"
    for requirement in source():
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, "type: make lock"


def test_every_pin_is_exact_and_has_hashes() -> None:
    for pin in PINS:
        assert [each.operator for each in pin.requirement.specifier] == ["=="]
        assert pin.hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in pin.hashes)


def test_nothing_is_pinned_that_pyproject_has_dropped() -> None:
    text = (ROOT / "requirements.lock").read_text()
    direct = {re.split("==", block)[0] for block in re.split(r"\n(?=\w)", text) if "requorum (pyproject.toml" in block}
    assert direct == {canonicalize_name(requirement.name) for requirement in source()}


def test_the_collection_needs_what_the_package_needs() -> None:
    written = (ROOT / "meta/requirements.txt").read_text()
    assert written == lock.HEAD + "".join(f"{line}\n" for line in lock.wanted(PYPROJECT)), "type: make lock"


def test_introspection_finds_the_needs_of_the_collection() -> None:
    command = [BUILDER, "introspect", str(ROOT / ".collections"), "-v", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = yaml.safe_load(done.stdout.split("---")[-1])
    mark = "  # from collection requorum.cluster"
    # ansible-core is in every execution environment.
    assert found["python"] == [line + mark for line in lock.wanted(PYPROJECT) if "ansible-core" not in line]
    assert {line.split()[0] for line in found["system"]} == {
        "git", "git-core", "openssh-client", "openssh-clients", "sshpass"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make ee-context` makes, with one wheel that is none."""
    tree = tmp_path_factory.mktemp("checkout")
    for name in ("execution-environment.yml", "ansible.cfg"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "meta", tree / "meta")
    (tree / "build/wheels").mkdir(parents=True)
    (tree / "build/wheels/requorum-0-py3-none-any.whl").write_bytes(b"wheel")
    (tree / "build/wheels/SHA256SUMS").write_text(wheels.sums(tree / "build/wheels"))
    command = [BUILDER, "create", "-f", str(tree / "execution-environment.yml"), "-c", str(tree / "context"),
               "--output-filename", "Containerfile", "-v", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
    return tree / "context"


def test_the_context_holds_what_is_carried_in_and_nothing_else(context: Path) -> None:
    files = {str(path.relative_to(context)) for path in context.rglob("*") if path.is_file()}
    ours = {name for name in files if "/scripts/" not in name}
    assert ours == {"Containerfile", "_build/bindep.txt", "_build/requirements.txt", "_build/configs/ansible.cfg",
                    "_build/wheels/SHA256SUMS", "_build/wheels/requorum-0-py3-none-any.whl"}
    assert sum((context / name).stat().st_size for name in files) < 200_000


def test_no_index_is_asked_and_nothing_of_it_stays(context: Path) -> None:
    text = (context / "Containerfile").read_text()
    assert "galaxy" not in re.sub(r"ARG ANSIBLE_GALAXY\w+(=\"\")?", "", text).lower()
    assert not re.search(r"https?://", text)
    checked, offline, first_pip, last_pip, gone = (text.index(word) for word in (
        "sha256sum --check", "no-index = true", "-m pip", "pip install --no-cache-dir 'dumb-init'",
        "rm -rf /etc/pip.conf"))
    assert checked < offline < first_pip < last_pip < gone


def test_nothing_of_the_context_is_a_secret_or_of_this_machine(context: Path) -> None:
    words = re.compile(rb"PRIVATE KEY|password\s*[:=]|AWS_|PIP_CERT|ca-certificates|/tmp/pytest|/home/|/root/", re.I)
    assert {path.name: words.findall(path.read_bytes()) for path in context.rglob("*")
            if path.is_file() and words.search(path.read_bytes())} == {}


def test_the_scripts_of_the_context_hold_before_shellcheck(context: Path) -> None:
    scripts = [str(path) for path in (context / "_build/scripts").iterdir() if path.suffix != ".py"]
    assert len(scripts) == 6
    done = subprocess.run(["shellcheck", "--norc", "--exclude", THEIRS, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    # Each RUN of ours, as the shell will get it.
    runs = re.findall(r"^RUN (.*)$", (context / "Containerfile").read_text(), re.MULTILINE)
    done = subprocess.run(["shellcheck", "--norc", "--shell=sh", "--exclude", "SC2086,SC2154", "-"],
                          input="\n".join(runs), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_base_image_is_a_choice(context: Path) -> None:
    text = (context / "Containerfile").read_text()
    arguments = dict(re.findall(r'^ARG (\w+)="(.*)"$', text, re.MULTILINE))
    definition = yaml.safe_load((ROOT / "execution-environment.yml").read_text())
    assert arguments["EE_BASE_IMAGE"] == definition["images"]["base_image"]["name"]
    assert {"PKGMGR", "PYCMD", "PYPKG"} <= set(arguments)
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["$EE_BASE_IMAGE", "base", "base"]
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0])[0] == "/opt/builder/bin/entrypoint"
