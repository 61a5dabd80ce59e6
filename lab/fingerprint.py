# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything about a host that a run which only reads must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from lab.cluster import Cluster

Marks = dict[str, str]

# Logs, and what logging in and sudo write on any host.
_LEFT_OUT = " -o ".join([
    "-name '*.log'",
    *(f"-path {path}" for path in ("/var/log", "/run/log", "/run/systemd/journal", "/run/sudo", "/run/motd.dynamic")),
])
_SCRIPT = f"""\
export LC_ALL=C
set -- / /run /tmp /var/lib/rancher /var/lib/kubelet
echo @mode
find "$@" -xdev \\( {_LEFT_OUT} \\) -prune -o -printf '%p\\t%y %m %U:%G %l\\n'
echo @sha256
find "$@" -xdev \\( {_LEFT_OUT} \\) -prune -o -type f -exec sha256sum {{}} +
echo @process
cat /proc/[0-9]*/stat
echo @enabled
systemctl list-unit-files --plain --no-legend --full
echo @unit
systemctl show '*' --property Id,ActiveState,SubState,InvocationID,DropInPaths
echo @listener
ss -Hltnup
"""


def read(lab: Cluster) -> Marks:
    """`<host> <kind> <what>` -> its mark, for every file, process, unit and listener of every host."""
    names = [*lab.servers, *lab.agents]
    with ThreadPoolExecutor() as pool:
        texts = pool.map(lambda name: lab.sh(name, _SCRIPT, 120).ok(f"look at {name}").out, names)
        return {
            f"{name} {what}": mark
            for name, text in zip(names, texts, strict=True)
            for what, mark in parse(text).items()
        }


def difference(before: Marks, after: Marks) -> list[str]:
    """One line for everything that came, went or changed."""
    return [
        f"{what}: {before.get(what, 'was not there')} -> {after.get(what, 'is gone')}"
        for what in sorted(before.keys() | after.keys())
        if before.get(what) != after.get(what)
    ]


def parse(text: str) -> Marks:
    """What the script said about one host."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            lines = sections[line[1:]] = []
        else:
            lines.append(line)
    found: Marks = {}
    for line in sections["mode"]:
        path, _, mode = line.partition("\t")
        found[f"mode {path}"] = mode
    for line in sections["sha256"]:
        mark, _, path = line.partition("  ")
        found[f"sha256 {path}"] = mark
    found.update(_processes(sections["process"]))
    for line in sections["enabled"]:
        unit, state, *_ = line.split()
        found[f"enabled {unit}"] = state
    for block in "\n".join(sections["unit"]).split("\n\n"):
        # The invocation tells a unit that was restarted from one that was left alone.
        fields = dict(line.split("=", 1) for line in block.splitlines())
        found[f"unit {fields.pop('Id')}"] = " ".join(f"{name}={fields[name]}" for name in sorted(fields))
    for line in sections["listener"]:
        protocol, _state, _received, _sent, address, _peer, *owner = line.split()
        found[f"listener {protocol} {address}"] = " ".join(owner)
    return found


def _processes(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Pid and command -> start time in ticks, without log-ins and without the one who looks."""
    table: dict[int, tuple[int, str, str]] = {}
    for line in lines:
        pid, _, rest = line.partition(" (")
        command, _, fields = rest.rpartition(") ")
        _state, parent, *values = fields.split()
        table[int(pid)] = int(parent), command, values[17]

    def passing(pid: int) -> bool:
        parent, command, _start = table[pid]
        if parent not in table:
            return pid != 1  # entered from outside
        # A log-in is a child of the listening sshd, called sshd too before OpenSSH 9.8.
        return (command in ("sshd", "sshd-session") and table[parent][1] == "sshd") or passing(parent)

    return ((f"process {pid} {command}", start) for pid, (_, command, start) in table.items() if not passing(pid))
