# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which the lab calls podman."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lab.cache import state_dir
from lab.progress import Done, LabError, run

_UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")
# Under cgroup v1 hybrid podman's own defaults (crun, limits above those of the machine) do not work.
_HYBRID_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[network]
network_backend = "netavark"
"""


# There podman also binds the machine's whole systemd hierarchy over the container's own part of it: every host's
# systemd would then live in the machine's root cgroup, and clear away the cgroups of its neighbours.
_HYBRID_INIT = ("umount /sys/fs/cgroup/systemd/release_agent && umount /sys/fs/cgroup/systemd && "
                "grep -q ' / /sys/fs/cgroup/systemd ' /proc/self/mountinfo && exec /sbin/init")


def global_options(unified: bool) -> list[str]:
    """Options before podman's command word."""
    return [] if unified else ["--runtime", "/usr/sbin/runc"]


def init_command(unified: bool) -> list[str]:
    """What a host runs as PID 1."""
    return ["/sbin/init"] if unified else ["/bin/sh", "-c", _HYBRID_INIT]


def unified_cgroups() -> bool:
    """Whether this machine has cgroup v2 only."""
    return _UNIFIED.exists()


@cache
def _environment(conf: str) -> dict[str, str]:
    path = Path(conf)
    if not path.exists() or path.read_text() != _HYBRID_CONF:
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w") as file:
            file.write(_HYBRID_CONF)
        Path(name).rename(path)
    return {**os.environ, "CONTAINERS_CONF": conf}


def podman(*args: str, timeout: float, stdin: str | bytes | None = None) -> Done:
    """Run `podman args...`; never raises for what podman answers."""
    unified = unified_cgroups()
    env = None if unified else _environment(str(state_dir() / "containers.conf"))
    return run(["podman", *global_options(unified), *args], timeout=timeout, stdin=stdin, env=env)


def execute(container: str, script: str, *, timeout: float = 60, stdin: str | bytes | None = None) -> Done:
    """Run a sh script as root inside a container.

    Not by `podman exec`: under cgroup v1 hybrid any other container whose systemd lives in the machine's root cgroup
    removes the cgroups of ours, and then the runtime finds none to join.
    """
    found = podman("container", "inspect", "--format", "{{.State.Pid}}", container, timeout=30)
    pid = found.out.strip()
    if found.rc != 0 or not pid.isdigit() or pid == "0":
        return Done(125, "", f"{container} does not run")
    # `timeout` inside ends the script too; killing nsenter alone would leave it running.
    return run(["nsenter", "--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                "env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                "timeout", "-k", "2", str(max(1, int(timeout))), "sh", "-c", script], timeout=timeout + 10, stdin=stdin)


@contextmanager
def mounted(volume: str) -> Iterator[Path]:
    """What is on a volume, as this machine sees it, also while its host is off."""
    where = podman("volume", "mount", volume, timeout=30).ok(f"volume {volume}").out.strip()
    if not where.startswith("/"):
        raise LabError(f"podman does not say where volume {volume} is: {where!r}")
    try:
        yield Path(where)
    finally:
        podman("volume", "unmount", volume, timeout=30)


def written(container: str) -> Path:
    """Where a container that does not run has what differs from its image; changed there, it is changed for good."""
    podman("container", "cleanup", container, timeout=60)  # after a kill its files stay mounted for a moment
    done = podman("container", "inspect", "--format", "{{.State.Running}} {{.GraphDriver.Data.UpperDir}}", container,
                  timeout=30).ok(f"container {container}")
    runs, _, upper = done.out.strip().partition(" ")
    if runs != "false" or not (upper.startswith("/") and Path(upper).is_dir()):
        raise LabError(f"{container}: it runs, or podman does not store its files by overlay (podman info)")
    return Path(upper)


def labelled(kind: str, label: str) -> list[str]:
    """Names of all containers, volumes or networks that bear the label, stopped ones too."""
    listing = {"container": ("ps", "-a", "--format", "{{.Names}}"),
               "volume": ("volume", "ls", "--format", "{{.Name}}"),
               "network": ("network", "ls", "--format", "{{.Name}}")}[kind]
    done = podman(*listing, "--filter", f"label={label}", timeout=60).ok(f"podman {listing[0]}")
    return sorted(set(done.out.split()))


def remove(kind: str, name: str) -> None:
    """Remove one object; absent is fine. Right after a kill podman may need a second try."""
    command = {"container": ("rm", "-f", "-t", "0"), "volume": ("volume", "rm", "-f"),
               "network": ("network", "rm", "-f")}[kind]
    for _ in range(3):
        done = podman(*command, name, timeout=60)
        if podman(kind, "exists", name, timeout=30).rc != 0:
            return
    raise LabError(f"podman did not remove {kind} {name}: {done.err.strip()}")
