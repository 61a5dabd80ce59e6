# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels to a bastion: the inventory, and the files that variables of the command name. And what comes back.

Paths in the inventory itself are the bastion's, as are the ssh keys of the nodes.
"""

from __future__ import annotations

import glob
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import environment

JSON = dict[str, Any]
SNAPSHOT = "requorum_snapshot"
READ = (SNAPSHOT, "requorum_kubeconfig", "requorum_rules", "requorum_releases", "requorum_export",
        "requorum_run_folder")  # fmt: skip
"""Variables that name what is read on the controller, beside those that end with `_file`."""
WRITTEN = ("requorum_bundle", "requorum_prometheus", "requorum_join_folder", "requorum_folder")
"""Variables that name what is written there. `requorum_output` is a folder of the bastion that stays."""


@dataclass
class Bags:
    """What the job is on the bastion."""

    inventory: str
    variables: JSON
    brings: list[str]
    """Paths there that come back, where they were written."""
    places: dict[str, str]
    """Path there -> the same here."""
    keys: bool
    """Whether keys of S3 are among it."""


def pack(inventory: str, variables: Mapping[str, Any], into: Path, there: str) -> Bags:
    """Copy it into a new folder. there: the path that this folder gets."""
    into.mkdir(0o700)
    keys = bool(environment.keys(os.environ, into))
    bags = Bags(f"{there}/inventory", {}, [], {f"{there}/inventory": inventory}, keys)
    if os.path.isdir(inventory):
        _copy(inventory, into / "inventory")
    else:
        bags.inventory += f"/{os.path.basename(inventory)}"
        bags.places = {bags.inventory: inventory}
        beside = (os.path.join(os.path.dirname(inventory), name) for name in ("group_vars", "host_vars"))
        for path in filter(os.path.exists, (inventory, *beside)):
            _copy(path, into / "inventory" / os.path.basename(path))
    for name, value in variables.items():
        many = isinstance(value, list)
        paths = [_travels(name, each, into, there, bags) for each in (value if many else [value])]
        bags.variables[name] = paths if many else paths[0]
    return bags


def _travels(name: str, value: Any, into: Path, there: str, bags: Bags) -> Any:
    """The value of a variable on the bastion."""
    if not isinstance(value, str) or not value:
        return value
    here, part = os.path.abspath(os.path.expanduser(value)), f"{len(bags.places)}"
    if name in WRITTEN:
        (into / "written" / part).mkdir(0o700, parents=True)
        found = f"{there}/written/{part}/{os.path.basename(here)}"
        bags.brings.append(found)
    elif _is_read(name, value) and os.path.exists(here):
        above = os.path.dirname(os.path.dirname(os.path.dirname(here))) if name == SNAPSHOT else os.path.dirname(here)
        for path in (here, *(_beside(here) if name == SNAPSHOT else ())):
            _copy(path, into / "read" / part / os.path.relpath(path, above))
        found = f"{there}/read/{part}/{os.path.relpath(here, above)}"
    else:
        return value
    bags.places[found] = here
    return found


def _is_read(name: str, value: str) -> bool:
    """Whether it is a path of the controller: that of a snapshot is absolute, else it is a word or `HOST:/path`."""
    return name.endswith("_file") or (name in READ and (name != SNAPSHOT or value.startswith("/")))


def _beside(snapshot: str) -> list[str]:
    """What a backup has kept with its snapshot: token and certificates of its host, and of the others of that run."""
    folder = os.path.dirname(snapshot)
    above = os.path.dirname(folder)
    hosts = glob.glob(os.path.join(glob.escape(above), "*")) if os.path.basename(above) == "backup" else [folder]
    return [path for host in hosts if os.path.isfile(path := os.path.join(host, "files.tar"))]


def _copy(source: str, target: Path) -> None:
    """For the owner alone. An inventory may be a program."""
    target.parent.mkdir(0o700, parents=True, exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, copy_function=_copy_file, ignore=shutil.ignore_patterns(".git"))
    else:
        _copy_file(source, str(target))


def _copy_file(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    os.chmod(target, 0o600 | os.stat(source).st_mode & 0o100)


def unpack(stream: Any, places: Sequence[str]) -> None:
    """What a worker sends back: members are named by the number of their place, and go nowhere else.

    By hand, for the owner alone: Python before 3.11.4 has no filters for it.
    """
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            number, _, below = member.name.partition("/")
            path = _within(places[int(number)], below)
            if member.isdir():
                os.makedirs(path, 0o700, exist_ok=True)
            elif member.isfile() and (content := tar.extractfile(member)):
                os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    os.fchmod(file.fileno(), 0o600)
                    shutil.copyfileobj(content, file)


def _within(place: str, below: str) -> str:
    """Path of a member, also where a link lies in its way."""
    path = os.path.join(place, below) if below else place
    strange = below and {"", ".", ".."} & set(below.split("/"))
    if strange or os.path.realpath(path) != os.path.normpath(os.path.join(os.path.realpath(place), below)):
        raise OSError(f"{below} would not lie in {place}")
    return path
