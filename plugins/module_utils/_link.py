# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One look at an agent (sh/agent.sh): how it holds on to its cluster, through its own connections."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field

from . import _blocks, _kubernetes


@dataclass(frozen=True)
class Link:
    """One look at an agent. What did not answer is empty or False."""

    unit: str = ""
    kill: str = ""
    """KillMode of its unit: only with `process` do pods go on when it is restarted."""
    node: str = ""
    ready: bool = False
    clock: int = 0
    age: float | None = None
    """Seconds since its Node reported, by its own clock; None: never, or the API was not reached through it."""
    refused: bool = False
    """Its node password is refused, says its log."""
    server: str = ""
    server_from: str = ""
    ping: bool = False
    served: str = ""
    """sha256 of the CA that the configured address serves."""
    pin: str = ""
    """CA hash in its token; empty in a short token."""
    token: str = ""
    token_from: str = ""
    lists: t.Mapping[str, t.Sequence[str] | None] = field(default_factory=dict)
    """File of a load balancer -> hosts in it; None where it cannot be read."""

    @property
    def reports(self) -> bool:
        """Unit and Node work, seen through the agent's own connections."""
        return self.unit == "active" and self.ready and self.age is not None and self.age < _kubernetes.FRESH_S

    @property
    def seen(self) -> str:
        """For a line of progress."""
        reported = "never" if self.age is None else f"{self.age:.0f} s ago"
        refused = ", its node password is refused" if self.refused else ""
        return f"unit {self.unit or 'unknown'}, Ready {self.ready}, reported {reported}{refused}"


def read(out: str) -> dict[str, t.Any]:
    """What sh/agent.sh printed, as it stands in ClusterState."""
    lines = [line.split("=", 1) for line in out.split("\n") if "=" in line]
    said = {key: value for key, value in lines if key != "list"}
    clock = said.get("clock", "")
    words = ("unit", "kill", "node", "server", "server_from", "served", "pin", "token", "token_from")
    found = Link(
        **{key: said.get(key, "") for key in words},
        ready=said.get("ready") == "True",
        clock=int(clock) if clock.isdigit() else 0,
        age=_kubernetes.lease_age(said.get("renewed"), int(clock)) if clock.isdigit() else None,
        refused=said.get("refused") == "yes",
        ping=said.get("ping") == "pong",
        lists=dict(_listed(value) for key, value in lines if key == "list"),
    )
    return asdict(found)


def _listed(line: str) -> tuple[str, list[str] | None]:
    path, _bar, text = line.partition("|")
    found = (_blocks.loads(text) or {}).get("ServerAddresses")
    return path, [host_of(str(word)) for word in found] if isinstance(found, list) else None


def host_of(address: str) -> str:
    """Host of a URL or of host:port, brackets of IPv6 taken off."""
    place = address.split("://", 1)[-1].split("/", 1)[0]
    return place.rpartition(":")[0].strip("[]") if place.rpartition(":")[2].isdigit() else place.strip("[]")


def stale(lists: t.Mapping[str, t.Sequence[str] | None], known: t.Collection[str]) -> list[str]:
    """Hosts in the load balancers' files that are no living servers; a file that cannot be read is one too."""
    found = {host for hosts in lists.values() for host in hosts or () if host not in known}
    return sorted(found | {path for path, hosts in lists.items() if hosts is None})
