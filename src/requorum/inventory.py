# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory out of what one server knows: who is of the cluster, the file, and what keeps a host from being read.

A server is every member of etcd and every Node of the control plane, dead ones too: a recovery has to know them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _server

JSON = Mapping[str, Any]
PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[a-z][a-z0-9.-]*|\d+(?:\.\d+){3}", re.I)
"""What YAML takes for a text without quotes."""


@dataclass(frozen=True)
class Host:
    """A host of the inventory."""

    name: str
    """As etcd or its Node has it."""
    address: str
    group: str


def hosts(entry: JSON, typed: str) -> list[Host]:
    """All that this server, an entry of ClusterState, knows; it is reached as typed, others as they are listed."""
    view = _server.view(entry)
    nodes = {node["name"]: node for node in (entry.get("api") or {}).get("nodes") or ()}
    at = {address: name for name, node in nodes.items() for address in node["addresses"]}
    found: dict[str, Host] = {}
    for member in view.members:
        name = member.node or at.get(member.address) or member.address  # one that never started has no name
        address = typed if member.id == _own(entry) else member.address
        found[name] = Host(name, address, "servers")
    for name, node in nodes.items():
        group = "servers" if node["control_plane"] else "agents"
        address = typed if name == view.node else (node["addresses"] or [name])[0]
        found.setdefault(name, Host(name, address, group))
    return sorted(found.values(), key=lambda host: (host.group == "agents", _natural(host.name)))


def _own(entry: JSON) -> str:
    status, store = (entry.get("etcd") or {}).get("status") or {}, entry.get("datastore") or {}
    return str(status.get("member_id") or store.get("member_id") or "")


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def source(entry: JSON) -> str:
    """Where the list of servers comes from, for people."""
    etcd = (entry.get("etcd") or {}).get("members")
    members = "of the running etcd" if etcd else "in the datastore on its disk"
    known = (entry.get("api") or {}).get("nodes") is not None
    return f"the members {members}" + (" and the Nodes of the API" if known else "; the API did not answer")


def text(found: Sequence[Host], variables: JSON, heads: Sequence[str], *, agents: bool) -> str:
    """The file. agents: whether it is known which there are."""
    lines = [*(f"# {head}" for head in heads), "all:", "  vars:"]
    lines += [f"    {name}: {scalar(value)}" for name, value in variables.items()]
    lines.append("  children:")
    for group in ("servers", "agents"):
        rows = [f"        {scalar(host.name)}: {{ansible_host: {scalar(host.address)}}}" for host in found
                if host.group == group]  # fmt: skip
        lines += [f"    {group}:", *(["      hosts:", *rows] if rows else ["      hosts: {}"])]
    if not agents:
        lines.append("      # Only the API knows which there are. By hand: hosts: {a1: {ansible_host: 192.0.2.21}}")
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """A value as YAML; what is no plain word stands in quotes, as JSON has it."""
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else json.dumps(value)


@dataclass(frozen=True)
class Trouble:
    """What keeps a host from being read."""

    state: str
    next: str


def reason(said: str, host: str) -> str:
    """What ssh or sudo said, without what Ansible says around it."""
    return said.removeprefix(f"{host}: ").rpartition("can be reached over ssh: ")[2].strip()


def trouble(why: str, login: str, address: str, key: str = "") -> Trouble:
    """By the words of ssh and sudo. login: [user@]address."""
    said = why.lower()
    if "identification has changed" in said or "offending" in said:
        return Trouble("another host key", f"If it was installed anew, `ssh-keygen -R {address}`, then as for a new "
                       f"host: `{scan(address)}`. If not, something else answers there.")  # fmt: skip
    if "host key verification failed" in said:
        return Trouble("unknown host key", f"`{scan(address)}` shows its key; compare it with that of the host "
                       "(/etc/ssh/ssh_host_ed25519_key.pub), then add it to ~/.ssh/known_hosts.")  # fmt: skip
    if "permission denied" in said or "too many authentication" in said:
        identity = f"-i {key} " if key else ""
        return Trouble("no login", f"`ssh-copy-id {identity}{login}`; or name --user and --key.")
    if "password" in said or "sudo" in said:
        return Trouble("sudo asks", "Add -K (--ask-become-pass) to ansible-playbook; `requorum` needs sudo without a "
                       f"password: `ssh {login} sudo -n true` must work.")  # fmt: skip
    if re.search(r"timed out|no route|refused|unreachable|resolve|is down|reset by peer|closed by", said):
        return Trouble("does not answer", "If it is up, look at its address and at the network between.")
    return Trouble("not read", why)


def scan(address: str) -> str:
    """The command that shows the host key."""
    return f"ssh-keyscan -t ed25519 {address}"
