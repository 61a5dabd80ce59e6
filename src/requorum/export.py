# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum export`: the objects of a cluster as files that can be applied, from its API or from a snapshot alone."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from . import inputs, remote
from .inputs import Usage
from .output import Result

FAILED = 1


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "write virtual machines, volumes, networks, settings and what belongs to them as YAML, secrets encrypted"
    made: argparse.ArgumentParser = commands.add_parser("export", help=text, description=text, allow_abbrev=False)
    made.add_argument("-i", "--inventory", metavar="INV", help="inventory of the cluster: ask its API")
    made.add_argument("--snapshot", metavar="FILE", help="a snapshot; with -i for when the API does not answer")
    made.add_argument("--output", metavar="DIR", help="folder to write, with --snapshot alone; not there yet")
    made.add_argument("--passphrase-file", metavar="F",
                      help="passphrase of ansible-vault; without it secrets are left out and counted")
    made.add_argument("--token-file", metavar="F", help="the cluster's token: opens what a snapshot has encrypted")
    inputs.add_via(made)
    inputs.add_variables(made)
    made.add_argument("--json", action="store_true", help="the same as JSON")
    made.set_defaults(run=export)


def export(arguments: argparse.Namespace) -> Result:
    """From a cluster, or from a file alone."""
    if arguments.inventory:
        if arguments.output:
            raise Usage("--output goes with --snapshot alone. With -i set -e requorum_output=DIR.")
        return _cluster(arguments)
    if not (arguments.snapshot and arguments.output):
        raise Usage("Give -i INVENTORY, or --snapshot FILE with --output DIR.")
    from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter  # ansible takes long to import

    done = _exporter.run(
        os.path.abspath(arguments.output),
        cluster=os.path.basename(arguments.snapshot),
        snapshot=arguments.snapshot,
        passphrase_file=arguments.passphrase_file or "",
        token=inputs.tokens([arguments.token_file])[0] if arguments.token_file else "",
    )
    return _summary(done)


def _cluster(arguments: argparse.Namespace) -> Result:
    paths = {"snapshot": arguments.snapshot, "export_passphrase_file": arguments.passphrase_file,
             "token_file": arguments.token_file}
    variables = {f"requorum_{name}": os.path.abspath(path) for name, path in paths.items() if path}
    outcome = remote.play("export", arguments, {**dict(arguments.extra_var), **variables})
    done = outcome.results.get("cluster_export")
    if outcome.failures or not done:
        notes = outcome.failures or ["No export came back."]
        return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
    # Ansible keeps the warnings of a result for itself.
    with open(os.path.join(done["folder"], "export.json"), encoding="utf-8") as file:
        document = {**json.load(file), "folder": done["folder"]}
    return _summary(document)


def _summary(document: dict[str, Any]) -> Result:
    from ansible_collections.requorum.cluster.plugins.module_utils import _export

    return Result(["\n".join(_export.summary(document)) + "\n"], document)
