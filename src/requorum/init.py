# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum init`: writes an inventory by what one server knows, and tests the connection to each host."""

from __future__ import annotations

import argparse
import os
import shlex
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _timeline
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import inputs, inventory, remote
from .inputs import Usage
from .output import Result, Table

JSON = dict[str, Any]
FOUND = 4
DISTROS = {"rke2": "RKE2", "k3s": "K3s"}
ACCEPT = {"ansible_ssh_extra_args": "-o StrictHostKeyChecking=accept-new"}


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "write an inventory by what one server knows, quorum or not, and test the connection to each host"
    made: argparse.ArgumentParser = commands.add_parser("init", help=text, description=text, allow_abbrev=False)
    made.add_argument("server", metavar="[USER@]SERVER", help="a server that answers, by name or address")
    made.add_argument("-o", "--output", metavar="FILE", default="prod.yml",
                      help="file to write, which is not there yet; prod.yml")  # fmt: skip
    made.add_argument("--cluster", metavar="NAME", help="name of the cluster; else that of the file, without .yml")
    made.add_argument("--user", metavar="USER", help="user of ssh; else USER of the server, else what ssh takes")
    made.add_argument("--key", metavar="FILE", help="private key of ssh; else what ssh takes")
    made.add_argument("--accept-new-host-keys", action="store_true",
                      help="take the host keys of hosts that ssh has never seen for right, now")  # fmt: skip
    inputs.add_via(made)
    made.add_argument("-e", "--extra-var", metavar="VAR=VALUE", type=inputs.variable, action="append", default=[],
                      help="written into the file too: ansible_port=2222")  # fmt: skip
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=init)


def init(arguments: argparse.Namespace) -> Result:
    """0: every host answers. 4: the file is written, and some do not."""
    path = Path(arguments.output)
    if path.exists():
        raise Usage(f"-o {path} is there already, and is left as it is. Name another file by -o.")
    user, _at, server = arguments.server.rpartition("@")
    variables = _variables(arguments, arguments.user or user, arguments.cluster or path.stem)
    entry = _read(server, variables, arguments)
    found = inventory.hosts(entry, server)
    system = " ".join(filter(None, (_system(entry), "read from", server)))
    heads = [f"Made by `requorum init` on {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC. {system}:",
             f"{inventory.source(entry)}."]  # fmt: skip
    agents = (entry["api"] or {}).get("nodes") is not None
    with open(path, "x", encoding="utf-8") as file:
        file.write(inventory.text(found, variables, heads, agents=agents))
    outcome = _survey(path, arguments)
    named = tuple(f"{host.name}: " for host in found)
    general = [line for line in outcome.failures if not line.startswith(named)]  # then no host is known to be well
    rows = [_tested(host, outcome, variables, next(iter(general), "")) for host in found]
    return _result(path, rows, entry, agents=agents)


def _variables(arguments: argparse.Namespace, user: str, cluster: str) -> JSON:
    """Those of the file: no secret, since others may read it."""
    given = dict(arguments.extra_var)
    if secret := next(filter(_timeline.is_secret, given), None):
        raise Usage(f"-e {secret}: a secret does not belong into an inventory in clear. Encrypt it by ansible-vault.")
    found: JSON = {"requorum_cluster": cluster}
    if user:
        found["ansible_user"] = user
    if arguments.key:
        if not os.path.isfile(arguments.key):
            raise Usage(f"--key {arguments.key}: there is no such file.")
        found["ansible_ssh_private_key_file"] = os.path.abspath(arguments.key)
    return {**found, "ansible_become": True, **given}


def _survey(path: Path, arguments: argparse.Namespace) -> remote.Outcome:
    """Read every host of an inventory."""
    asked = argparse.Namespace(**{**vars(arguments), "inventory": str(path)})
    return remote.play("survey", asked, ACCEPT if arguments.accept_new_host_keys else {})


def _read(server: str, variables: JSON, arguments: argparse.Namespace) -> JSON:
    """The entry of ClusterState of the server that was named, which must have a list of members or of Nodes."""
    with tempfile.TemporaryDirectory(prefix="requorum-") as folder:
        alone = Path(folder, "hosts.yml")
        alone.write_text(inventory.text([inventory.Host(server, server, "servers")], variables, (), agents=True))
        outcome = _survey(alone, arguments)
    reasons = [*outcome.silent.values(), *outcome.failures]
    if reasons:
        why = inventory.reason(reasons[0], server)
        trouble = inventory.trouble(why, _login(server, variables), server, arguments.key or "")
        words = f" ({why.rstrip('.')})" if len(why) < 160 else ""
        raise RequorumError(f"{server}: {trouble.state}{words}. No file was written.", trouble.next)
    entry: JSON = (outcome.results.get("node_info") or {}).get("requorum_node") or {}
    if not entry.get("distro"):
        raise RequorumError(f"{server}: neither RKE2 nor K3s is there.", "Name a server of the cluster.")
    if not inventory.hosts(entry, server):
        what = f"{server} has neither a list of members nor an API that answers: it is an agent, or has lost its data."
        raise RequorumError(what, "Name another server; where none has a datastore any more, write the file by hand.")
    return entry


def _system(entry: JSON) -> str:
    if harvester := (entry.get("harvester") or {}).get("harvester"):
        return f"Harvester {harvester}"
    return " ".join(filter(None, (DISTROS.get(entry["distro"], entry["distro"]), entry.get("version"))))


def _login(address: str, variables: JSON) -> str:
    return f"{variables['ansible_user']}@{address}" if variables.get("ansible_user") else address


def _tested(host: inventory.Host, outcome: remote.Outcome, variables: JSON, general: str) -> JSON:
    said = [line for line in outcome.failures if line.startswith(f"{host.name}: ")]
    unasked = "" if host.name in outcome.answered else "ansible-playbook ended before it was asked"
    raw = outcome.silent.get(host.name) or next(iter(said), general or unasked)
    why = inventory.reason(raw, host.name)
    row: JSON = {"name": host.name, "group": host.group, "address": host.address, "state": "ok", "why": why, "next": ""}
    if why:
        key = str(variables.get("ansible_ssh_private_key_file") or "")
        trouble = inventory.trouble(why, _login(host.address, variables), host.address, key)
        row.update(state=trouble.state, next=trouble.next)
    return row


def _result(path: Path, rows: Sequence[JSON], entry: JSON, *, agents: bool) -> Result:
    bad = [row for row in rows if row["state"] != "ok"]
    commands = [f"requorum inspect -i {shlex.quote(str(path))}",
                f"requorum recover -i {shlex.quote(str(path))} --check"]  # fmt: skip
    servers = sum(row["group"] == "servers" for row in rows)
    said = [f"{_system(entry)}: {servers} servers, {len(rows) - servers if agents else 'unknown'} agents, by "
            f"{inventory.source(entry)}. Written to {path}."]  # fmt: skip
    if not agents:
        said.append("Which agents there are is not known while the API is down: they are missing in the file. A "
                    "recovery does without them; add them to restart them with it.")  # fmt: skip
    table = Table(("STATE", "HOST", "GROUP", ""),
                  [(row["state"], row["name"], row["group"], _words(row)) for row in rows])  # fmt: skip
    blocks: list[str | Table] = [" ".join(said), table, "Next:\n\n" + "".join(f"  {line}\n" for line in commands)]
    document = {"schema": 1, "inventory": str(path), "distro": entry["distro"], "version": entry.get("version"),
                "harvester": (entry.get("harvester") or {}).get("harvester"), "source": inventory.source(entry),
                "agents_known": agents, "hosts": rows, "next": commands}  # fmt: skip
    return Result(blocks, document, [], FOUND if bad else 0)


def _words(row: JSON) -> str:
    return f"{row['address']}" + (f": {row['next']}" if row["next"] else "")
