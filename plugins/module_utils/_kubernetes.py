# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Nodes and endpoints as the API tells them (sh/nodes.sh)."""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass

from . import _answers, _blocks

FRESH_S = 40
"""A Lease older than this is no sign of life: the controller manager's default grace period."""


@dataclass(frozen=True)
class Nodes:
    """Which Nodes report now, and where the API is served."""

    ready: frozenset[str]
    silent: dict[str, str]
    """Node -> why it does not count as Ready."""
    endpoints: tuple[str, ...]


def parse(out: str, *, since: t.Mapping[str, float] | None = None) -> Nodes | None:
    """None when the API did not answer everything.

    since: seconds since a Node was started again; a Lease that is older says nothing of it.
    """
    lines = [line for line in out.split("\n") if line]
    if len(lines) != 4 or not lines[0].isdigit():
        return None
    nodes, slices, leases = (_blocks.loads(line) for line in lines[1:])
    if not nodes or not slices or not leases:
        return None
    renewed = {item["metadata"]["name"]: (item.get("spec") or {}).get("renewTime") for item in leases.get("items", [])}
    ready, silent = set(), {}
    for item in nodes.get("items", []):
        node = _answers.kubernetes_node(item)
        age = lease_age(renewed.get(node["name"]), int(lines[0]))
        if not node["ready"]:
            silent[node["name"]] = "not Ready"
        elif age is None or age > min(FRESH_S, (since or {}).get(node["name"], FRESH_S)):
            silent[node["name"]] = (
                "its kubelet has no Lease" if age is None else f"its kubelet reported {age:.0f} s ago"
            )
        else:
            ready.add(node["name"])
    return Nodes(frozenset(ready), silent, tuple(_answers.addresses(slices)))


def lease_age(renewed: str | None, clock: int) -> float | None:
    """Seconds since a Lease was renewed (RFC 3339 with microseconds), by the clock of the host that asked."""
    try:
        return clock - datetime.datetime.fromisoformat(renewed).timestamp() if renewed else None
    except ValueError:
        return None
