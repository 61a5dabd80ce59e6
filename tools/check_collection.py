# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection and the wheel, install that collection, and read the documentation of all it carries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "requorum.cluster"
NEEDED_AT_RUN_TIME = {"meta", "playbooks", "plugins", "roles", "rules"}
ONLY_IN_WHEEL = {"ansible.cfg", "docs/variables.md"}
"""What the command needs: its settings, the timeline among them, and the variables that TAB completes."""
ONLY_IN_ARCHIVE = {"CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "docs"}
KINDS = ("module", "filter", "test", "lookup", "callback", "connection", "inventory", "vars", "role")


def main() -> int:
    """Print what was checked; any complaint of Ansible's own tools is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        names = build_archive(folder)
        carried = {name for name in names if name.split("/")[0] in NEEDED_AT_RUN_TIME}
        if missing := (carried | ONLY_IN_WHEEL) - build_wheel(folder):
            sys.exit(f"the wheel lacks {', '.join(sorted(missing)[:5])}: see PARTS in hatch_build.py")
        [archive] = Path(folder).glob("*.tar.gz")
        # The checkout's ansible.cfg must not help: it would find the live tree.
        config = Path(folder, "ansible.cfg")
        config.touch()
        environment = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": folder}
        run("ansible-galaxy", "collection", "install", "--offline", "--force", "-p", folder, str(archive),
            **environment)
        for kind in KINDS:
            check_documentation(kind, environment)
    return 0


def build_archive(folder: str) -> set[str]:
    """What `ansible-galaxy collection build` packs, and nothing that only the repository needs."""
    run("ansible-galaxy", "collection", "build", "--output-path", folder)
    [archive] = Path(folder).glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {member.name for member in tar if member.isfile()}
    if strays := {name.split("/")[0] for name in names} - NEEDED_AT_RUN_TIME - ONLY_IN_ARCHIVE:
        sys.exit(f"{archive.name} carries {', '.join(sorted(strays))}: add to build_ignore in galaxy.yml")
    print(f"{archive.name}: {len(names)} files, {archive.stat().st_size // 1024} KiB")
    return names


def build_wheel(folder: str) -> set[str]:
    """The files of the collection in the wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    [wheel] = Path(folder).glob("*.whl")
    prefix = f"ansible_collections/{NAME.replace('.', '/')}/"
    with zipfile.ZipFile(wheel) as packed:
        names = {name.removeprefix(prefix) for name in packed.namelist() if name.startswith(prefix)}
    print(f"{wheel.name}: {len(names)} files of the collection, {wheel.stat().st_size // 1024} KiB")
    return names


def check_documentation(kind: str, environment: dict[str, str]) -> None:
    """Every plugin of a kind, or every role, must have documentation that ansible-doc can read."""
    listed = list(json.loads(run("ansible-doc", "-j", "-l", "-t", kind, NAME, **environment)))
    if listed:
        documents = json.loads(run("ansible-doc", "-j", "-t", kind, *listed, **environment))
        for name in listed:
            if name not in documents or "error" in documents[name]:
                sys.exit(f"ansible-doc -t {kind} {name}: no documentation: {documents.get(name)}")
        print(f"ansible-doc, {kind}: {', '.join(name.removeprefix(NAME + '.') for name in listed)}")


def run(*command: str, **environment: str) -> str:
    """Standard output of a command that must end well and without a warning."""
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"ANSIBLE_NOCOLOR": "1"} | environment, text=True,
                          capture_output=True)
    # ansible-core 2.21 complains of a collection that it carries itself.
    warned = any("WARNING" in line and "/ansible/_internal/" not in line for line in done.stderr.splitlines())
    if done.returncode or warned:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
