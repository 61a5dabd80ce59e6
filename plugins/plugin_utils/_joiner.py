# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One look at a host that joins: over SSH where the inventory knows it, else at a port of it."""

from __future__ import annotations

import re
import socket
import typing as t

from ansible.errors import AnsibleError

from ansible_collections.requorum.cluster.plugins.module_utils import _node, _why_joining
from ansible_collections.requorum.cluster.plugins.module_utils._joining import Host
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

SSH_PORT = 22
STRANGER = re.compile(r"host key|HOST IDENTIFICATION|permission denied|too many authentication|sudo", re.IGNORECASE)
"""ssh reached somebody who does not let us in: a host that was just installed has a key that nobody knows."""


def look(action: NodeAction, name: str, addresses: t.Iterable[str]) -> Host:
    """addresses: under which else the host is known. How it was looked at is part of what is said."""
    said = ""
    if other := _beside.beside(action, name):
        found = _over_ssh(other)
        if found.answers:
            return found
        said = f"{found.seen}; "
        addresses = [str(other.vars.get("ansible_host") or ""), *addresses]
    places = list(dict.fromkeys(filter(None, addresses)))
    if not places:
        return Host(False if said else None, f"{said}its address is not known")
    here = action.host == "localhost"
    words = {place: _knock(place) if here else _knock_from(action, place) for place in places}
    answers = any(word in ("open", "refused") for word in words.values())
    told = ", ".join(f"{place} is {word}" for place, word in words.items())
    return Host(answers, f"{said}{told} at port {SSH_PORT}, seen from {'this machine' if here else action.host}")


def _over_ssh(other: NodeAction) -> Host:
    try:
        done = other.script("joiner", timeout=30, SYMPTOMS="|".join(_why_joining.SYMPTOMS.values()))
    except AnsibleError as error:  # no connection, or no such plugin for one
        why = " ".join(str(error).split()).rpartition("over ssh: ")[2][-200:]
        if STRANGER.search(str(error)):
            return Host(True, f"its SSH answers, but lets nobody in, so its logs are not read: {why}")
        return Host(False, f"it does not answer over SSH: {why}")
    if done.rc != 0:
        return Host(True, f"it answers over SSH, but cannot be read: {done.why}")
    head, _mark, logs = done.out.partition("@@")
    given = _node.pairs(head)
    symptoms = _why_joining.symptoms(logs)
    return Host(True, "it answers over SSH", given.get("release", ""), given.get("machine", ""), symptoms)


def _knock(address: str) -> str:
    try:
        socket.create_connection((address, SSH_PORT), timeout=2).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"
    return "open"


def _knock_from(action: NodeAction, address: str) -> str:
    """Seen from the server that speaks for the cluster, which may be in another network than this machine."""
    done = action.script("prove", timeout=20, TARGETS=f"{address} {SSH_PORT}")
    words = done.out.split()
    return words[2] if done.rc == 0 and len(words) == 3 else "unknown"
