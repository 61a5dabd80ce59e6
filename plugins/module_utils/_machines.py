# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Virtual machines while their cluster is recovered: which run, which have ended, which a datastore does not know.

KubeVirt ends a machine whose instance (VirtualMachineInstance) the API does not have, as soon as the API answers again.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _describe, _harvester, _keys
from ._classify import Refusal

JSON = t.Mapping[str, t.Any]
OPTION = "requorum_accept_vm_stop"
INSTANCES, DEFINITIONS = "kubevirt.io/virtualmachineinstances", "kubevirt.io/virtualmachines"


def running(entries: t.Sequence[JSON], accepted: object) -> list[dict[str, t.Any]]:
    """The machines of plan.json. accepted: what the user said may stop."""
    found = []
    for entry in entries if _harvester.rancher(entries) else ():
        for name, process in sorted((name, process) for process, name in _harvester.machines(entry).items()):
            pid, start = map(int, process.split("/"))
            may = not stopped([name], accepted)
            found.append({"node": entry["name"], "pid": pid, "start": start, "name": name, "accepted": may})
    return found


def key(machine: JSON) -> str:
    """pid and start time together identify a process, as `_harvester.machines` has it."""
    return f"{machine['pid']}/{machine['start']}"


def result(mine: t.Sequence[JSON], still: t.Collection[str], before: t.Collection[str]) -> tuple[str, list[JSON]]:
    """What a look says, and the machines that it misses. before: keys of those that an earlier look has missed."""
    ended = [machine for machine in mine if key(machine) not in still and key(machine) not in before]
    runs = f"{sum(key(machine) in still for machine in mine)} of {len(mine)} run on"
    words = [
        f"{machine['name']} (process {machine['pid']}) has ended" + (", as was accepted" if machine["accepted"] else "")
        for machine in ended
    ]
    alarm = "" if all(machine["accepted"] for machine in ended) else "warning: "
    return alarm + "; ".join([*words, runs]), ended


def by_node(machines: t.Iterable[JSON]) -> dict[str, list[JSON]]:
    """In the order in which the nodes come."""
    found: dict[str, list[JSON]] = {}
    for machine in machines:
        found.setdefault(machine["node"], []).append(machine)
    return found


@dataclass(frozen=True)
class Known:
    """Names, "namespace/name", that a datastore has of machines."""

    instances: frozenset[str]
    definitions: frozenset[str]


def known(path: str) -> Known:
    """What a snapshot or a datastore knows; BadFile where it cannot be read."""
    found: dict[str, set[str]] = {INSTANCES: set(), DEFINITIONS: set()}
    for entry in _describe.entries(path, b"/registry/kubevirt.io/", lambda word: _keys.resource(word) in found):
        found[entry.resource].add(f"{entry.namespace}/{entry.name}")
    return Known(frozenset(found[INSTANCES]), frozenset(found[DEFINITIONS]))


def unknown(machines: t.Iterable[JSON], datastore: Known) -> list[str]:
    """Names of running machines that would stop with this datastore and that nobody has accepted."""
    return sorted({m["name"] for m in machines if m["name"] not in datastore.instances and not m["accepted"]})


def refusal(machines: t.Sequence[JSON], datastore: Known, name: str) -> Refusal | None:
    """Why this datastore is not restored; None where every machine goes on or may stop."""
    names = unknown(machines, datastore)
    if not names:
        return None
    where = {machine["name"]: machine["node"] for machine in machines}
    words = [f"{one} on {where[one]}" + (" (halted in there)" if one in datastore.definitions else "") for one in names]
    listed = ", ".join(f'"{one}"' for one in names)
    return Refusal(
        f"{name} does not know virtual machines that run now, and KubeVirt would end them: {', '.join(words)}.",
        name,
        f"Restore another datastore; or, if they may stop: -e '{{\"{OPTION}\": [{listed}]}}'.",
    )


def stopped(would_stop: t.Iterable[str], accepted: object) -> list[str]:
    """Names, "namespace/name", that nobody has accepted. accepted: a list of names, one name, or `all`."""
    names = sorted(set(would_stop))
    if str(accepted).lower() in ("all", "true"):  # -e name=true gives a text
        return []
    given = [accepted] if isinstance(accepted, str) else accepted if isinstance(accepted, (list, tuple, set)) else []
    return [name for name in names if name not in given]
