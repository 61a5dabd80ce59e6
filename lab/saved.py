# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole lab as it was, put back in seconds: what is on the disks of all hosts, and which of them are on.

All hosts lose their power for it and boot again, as after an outage of the site. What lives in memory only (processes,
`partition`) is not kept.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab import faults
from lab.labs import Lab
from lab.podman import mounted, written
from lab.progress import LabError, run, say

# A write-ahead log is 64 MB of zeros with a few records: a copy with holes takes no time and no room.
_COPY = 'mkdir -p "$2" && find "$2" -mindepth 1 -delete && cp -a --reflink=auto --sparse=always "$1/." "$2"'
_HOSTS = "known_hosts"


def save(lab: Lab, name: str) -> None:
    """Keep the lab under a name; hosts that were on are on again afterwards."""
    begun, final = time.monotonic(), _folder(lab, name)
    work = final.with_name(f".{name}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    on = [host.name for host in lab.spec.hosts if lab.running(host.name)]
    _each(lab, on, lambda host: faults.power_off(lab, host))
    _each(lab, None, lambda host: _keep(lab, host, work / host))
    shutil.copy2(lab.folder / _HOSTS, work / _HOSTS)
    (work / "on.json").write_text(json.dumps(on))
    shutil.rmtree(final, ignore_errors=True)
    work.rename(final)
    _each(lab, on, lambda host: faults.power_on(lab, host))
    say(f"lab {lab.name}: saved as {name} in {time.monotonic() - begun:.1f} s")


def put_back(lab: Lab, name: str) -> None:
    """Make the lab what it was when it was saved; hosts that were on boot."""
    begun, source = time.monotonic(), _folder(lab, name)
    if not source.is_dir():
        raise LabError(f"lab {lab.name}: nothing is saved as {name!r}; python -m lab save --name {lab.name} {name}")
    on: list[str] = json.loads((source / "on.json").read_text())
    _each(lab, None, lambda host: faults.power_off(lab, host))
    _each(lab, None, lambda host: _put(lab, host, source / host))
    shutil.copy2(source / _HOSTS, lab.folder / _HOSTS)
    _each(lab, on, lambda host: faults.power_on(lab, host))
    say(f"lab {lab.name}: put back as {name} in {time.monotonic() - begun:.1f} s")


def _folder(lab: Lab, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
        raise LabError(f"{name!r}: a name of letters, digits, _ and -")
    return lab.folder / "states" / name


def _each(lab: Lab, hosts: list[str] | None, work: Callable[[str], None]) -> None:
    names = [host.name for host in lab.spec.hosts] if hosts is None else hosts
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(work, names))


@contextmanager
def _parts(lab: Lab, host: str) -> Iterator[list[tuple[str, Path]]]:
    """The disks of a host that is off, each with the name that it has in a saved state."""
    container = lab.spec.container(host)
    data, kubelet, log = lab.spec.volumes(host)
    with mounted(data) as data_at, mounted(kubelet) as kubelet_at, mounted(log) as log_at:
        yield [("root", written(container)), ("data", data_at), ("kubelet", kubelet_at), ("log", log_at)]


def _keep(lab: Lab, host: str, target: Path) -> None:
    with _parts(lab, host) as parts:
        for part, where in parts:
            _copy(where, target / part)


def _put(lab: Lab, host: str, source: Path) -> None:
    with _parts(lab, host) as parts:
        for part, where in parts:
            _copy(source / part, where)


def _copy(source: Path, target: Path) -> None:
    run(["sh", "-c", _COPY, "copy", str(source), str(target)], timeout=300).ok(f"copying to {target}")
