# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What INSPECT has registered of hosts, for plugins that judge a whole cluster."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _state

JSON = dict[str, t.Any]


def entries(hostvars: t.Mapping[str, t.Any], names: t.Iterable[str]) -> list[JSON]:
    """Of every host, in this order."""
    return [entry(hostvars, name) for name in names]


def entry(hostvars: t.Mapping[str, t.Any], name: str) -> JSON:
    """Of one host; one that does not answer is an answer too."""
    known = hostvars[name]
    read = known.get("requorum_read") or {}
    if read.get("requorum_node"):
        return t.cast("JSON", json.loads(json.dumps(read["requorum_node"])))
    return _state.unreachable(
        name,
        str(known.get("ansible_host") or name),
        str(read.get("msg") or "was not inspected").strip().split("\n")[-1][:200],
    )


def part(known: t.Mapping[str, t.Any], name: str) -> JSON:
    """A part of what was read of the host with these variables; empty where nothing was asked."""
    return (known.get("requorum_read") or {}).get(name) or {}


def doors(hostvars: t.Mapping[str, t.Any], names: t.Iterable[str]) -> dict[str, str]:
    """By which address and port each host is reached; hosts behind one address have ports of their own."""
    known = {name: hostvars[name] for name in names}
    return {
        name: f"{told.get('ansible_host') or name}:{told.get('ansible_port') or 22}"
        for name, told in known.items()
        if str(told.get("ansible_connection") or "ssh") in ("ssh", "smart", "ansible.builtin.ssh", "paramiko")
    }
