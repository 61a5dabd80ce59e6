# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Who is who: from a name that a person gives to a Node, its Machines and all that is left of them.

Rancher's machines lead from a server to its objects, never that a Node is not Ready.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ._classify import Refusal
from ._orphan_parts import (
    JSON,
    MACHINE_ID,
    MACHINE_NAME,
    MACHINE_OF_NODE,
    MACHINE_UID,
    Seen,
    labels,
    meta,
    name_of,
    node_of,
    notes,
    spec,
    status,
)  # fmt: skip


@dataclass(frozen=True)
class Dead:
    """A server that was declared dead."""

    name: str
    """As it was given."""
    node: str
    """Its Node; empty for a Machine that never had one."""
    machines: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    """Machine IDs of the system agent."""


class Maps:
    """Which Machines are said to be of which Node, by whom."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.machines = {name_of(machine): machine for machine in seen.get("machines", ())}
        parts = (*seen.get("machines", ()), *seen.get("bootstraps", ()), *seen.get("custom", ()))
        self.ids: dict[str, set[str]] = defaultdict(set)
        for part in parts:
            self.ids[name_of(part)] |= {value for key, value in labels(part).items() if key == MACHINE_ID}
        self.left = {*self.ids, *(labels(secret).get(MACHINE_NAME, "") for secret in seen.get("secrets", ()))}
        """Machines of which anything is left."""
        self.said: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        """Machine -> Node -> by which maps."""
        uids = {meta(machine).get("uid"): name for name, machine in self.machines.items()}
        for name, machine in self.machines.items():
            self._say(name, (status(machine).get("nodeRef") or {}).get("name"), "its nodeRef")
        for part in (*seen.get("machines", ()), *seen.get("custom", ())):
            self._say(name_of(part), str(spec(part).get("providerID") or "").partition("://")[2], "its providerID")
        for node in seen.get("nodes", ()):
            self._say(notes(node).get(MACHINE_OF_NODE, ""), name_of(node), "the annotation of the Node")
            self._say(uids.get(labels(node).get(MACHINE_UID), ""), name_of(node), "the label of the Node")

    def _say(self, machine: str, node: str | None, by: str) -> None:
        if node and machine in self.ids:
            self.said[machine][node].add(by)

    def of(self, node: str) -> list[str]:
        return sorted(machine for machine, nodes in self.said.items() if node in nodes)

    def doubts(self, dead: Dead, others: t.Collection[Dead], nodes: t.Collection[str]) -> t.Iterator[Refusal]:
        """More than one Machine for one Node, or one Machine for more than one Node."""
        named = {d.name for d in others}
        if len(dead.machines) > 1 and not named.issuperset(dead.machines):
            yield Refusal(
                f"{dead.node} has more than one Machine: {', '.join(dead.machines)}.",
                dead.node,
                "Look which of them are of this server, and name each that shall go in requorum_dead too.",
            )
        for machine in dead.machines:
            for node, by in sorted(self.said[machine].items()):
                if node not in nodes:
                    yield Refusal(
                        f"Machine {machine} of {dead.name} is also one of {node}, by {' and '.join(sorted(by))}.",
                        dead.name,
                        f"{node} is not declared dead. Correct the map that is wrong, then run it again.",
                    )
            shared = [m for m in self.machines if m not in dead.machines and self.ids[m] & self.ids[machine]]
            if shared and not {m for d in others for m in d.machines}.issuperset(shared):
                yield Refusal(
                    f"Machine {machine} of {dead.name} has the machine ID of {', '.join(sorted(shared))} too.",
                    dead.name,
                    "Look which of them is of this server, and correct the label rke.cattle.io/machine-id.",
                )

    def part(self, which: str, machine: str) -> list[JSON]:
        """RKEBootstrap or CustomMachine of a Machine: by reference or name, or by a machine ID that nobody claims."""
        own = self._refers(which, machine)
        taken = {name for other in self.machines if other != machine for name in self._refers(which, other)}
        return [
            part
            for part in self.seen.get(which, ())
            if name_of(part) not in taken
            and (name_of(part) in own or labels(part).get(MACHINE_ID) in self.ids[machine])
        ]

    def _refers(self, which: str, machine: str) -> set[str]:
        found = spec(self.machines.get(machine, {}))
        refers = (
            found.get("infrastructureRef") if which == "custom" else (found.get("bootstrap") or {}).get("configRef")
        )
        return {machine, (refers or {}).get("name") or machine}

    def secrets(self, machine: str, bootstraps: t.Iterable[JSON]) -> list[JSON]:
        """Plan and state: by label, by owner, by name."""
        owners = {meta(bootstrap).get("uid") for bootstrap in bootstraps}
        names = {f"{machine}-machine-plan", f"{machine}-machine-state"}
        return [
            secret
            for secret in self.seen.get("secrets", ())
            if labels(secret).get(MACHINE_NAME) == machine
            or name_of(secret) in names
            or any(owner.get("uid") in owners for owner in meta(secret).get("ownerReferences") or ())
        ]


def who(maps: Maps, name: str, addresses: t.Mapping[str, str], known: t.Mapping[str, Dead]) -> Dead:
    nodes = {name_of(node) for node in maps.seen.get("nodes", ())}
    if name in maps.ids and name not in nodes and not maps.of(name):
        node = ""
        machines = {name}
    else:
        node = name if name in nodes or maps.of(name) else _by_address(maps, addresses.get(name, ""))
        node = node or (known[name].node if name in known else name)
        machines = set(maps.of(node))
    if name in known:  # begun by an earlier run, whose Machine may be gone while the rest is not
        machines |= set(known[name].machines) & maps.left
    ids = {i for machine in machines for i in maps.ids.get(machine, ())}
    return Dead(name, node, tuple(sorted(machines)), tuple(sorted(ids)))


def _by_address(maps: Maps, address: str) -> str:
    """The only Node at an address, also one that only its Machine remembers."""
    found = {name_of(node) for node in maps.seen.get("nodes", ()) if address in _addresses(node)}
    for machine in maps.machines.values():
        if address in _addresses(machine):
            found |= {(status(machine).get("nodeRef") or {}).get("name") or ""}
    return found.pop() if address and len(found) == 1 else ""


def _addresses(item: JSON) -> set[str]:
    return {str(entry.get("address")) for entry in status(item).get("addresses") or ()}


def trace(seen: Seen, dead: Dead) -> bool:
    """Whether the API holds anything of it."""
    return bool(
        any(
            name_of(part) in dead.machines
            for kind in ("machines", "bootstraps", "custom")
            for part in seen.get(kind, ())
        )
        or any(labels(secret).get(MACHINE_NAME) in dead.machines for secret in seen.get("secrets", ()))
        or any(name_of(item) == dead.node for kind in ("nodes", "storage") for item in seen.get(kind, ()))
        or any(spec(item).get("nodeID") == dead.node for item in seen.get("replicas", ()) if dead.node)
        or any(
            node_of(kind, item) == dead.node
            for kind in ("attachments", "devices")
            for item in seen.get(kind, ())
            if dead.node
        )
        or any(name_of(item).split(".node-password.")[0] == dead.node for item in seen.get("passwords", ()))
    )
