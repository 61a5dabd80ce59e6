# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is wrong with an inventory, by what was read of its hosts: nothing is begun with it.

Only what was seen counts. A host that does not answer may be anything.
"""

from __future__ import annotations

import typing as t
from collections.abc import Hashable

from . import _messages
from ._errors import Refusal
from ._server import runs

JSON = t.Mapping[str, t.Any]
NEITHER = "neither rke2 nor k3s"
"""What sh/info.sh says of a host that has none; one that could not be asked is another matter."""


def faults(
    servers: t.Sequence[JSON], agents: t.Sequence[JSON], doors: t.Mapping[str, str] | None = None
) -> tuple[Refusal, ...]:
    """Why nothing may be begun with these groups, given as entries of ClusterState.

    doors: inventory name -> address and port by which it is reached, as far as it is known.
    """
    found = list(_named_twice(servers, agents, doors or {}))
    for entry in servers:
        if entry["reachable"]:
            found += _of_server(entry)
    for entry in agents:
        if entry["reachable"] and _serves(entry) and not _runs(entry.get("agent")):
            found.append(_messages.refusal("server-as-agent", host=entry["name"]))
    return tuple(found)


def _of_server(entry: JSON) -> t.Iterator[Refusal]:
    name, lacking = entry["name"], entry.get("missing")
    if entry.get("root") is False:
        yield _messages.refusal("not-root", host=name)
    elif NEITHER in str((entry.get("unread") or {}).get("program")):
        yield _messages.refusal("no-server", host=name)
    elif _runs(entry.get("agent")) and not _serves(entry):
        yield _messages.refusal("agent-as-server", host=name)
    if lacking:
        yield _messages.refusal("tools-missing", host=name, tools=", ".join(lacking))


def _named_twice(
    servers: t.Sequence[JSON], agents: t.Sequence[JSON], doors: t.Mapping[str, str]
) -> t.Iterator[Refusal]:
    both = [name for name in _names(servers) if name in _names(agents)]
    yield from (_messages.refusal("both-groups", host=name) for name in both)
    same: dict[Hashable, list[str]] = {}
    for entry in {each["name"]: each for each in (*servers, *agents)}.values():
        # A host that answers is known by itself, whatever the ways to it; containers share one boot ID.
        own = (entry.get("boot_id"), entry.get("hostname"), tuple(sorted(entry.get("addresses") or ())))
        mark = own if all(own) else doors.get(entry["name"])
        if mark:
            same.setdefault(mark, []).append(entry["name"])
    for names in same.values():
        if len(names) > 1:
            yield _messages.refusal("host-named-twice", names=", ".join(names), names_apart=" or ".join(names))


def _names(entries: t.Sequence[JSON]) -> list[str]:
    return list(dict.fromkeys(entry["name"] for entry in entries))


def _runs(unit: JSON | None) -> bool:
    """It runs, or would after a boot."""
    return runs(unit) or (unit or {}).get("UnitFileState") == "enabled"


def _serves(entry: JSON) -> bool:
    return _runs(entry.get("unit")) or bool((entry.get("datastore") or {}).get("present"))
