# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum snapshot list|get|put|prune`: snapshots where a cluster keeps them, on its servers, here and in S3."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _retention

from . import inputs, remote, snapshot_text
from .inputs import Usage
from .output import Result, Table, printable

JSON = dict[str, Any]
REFUSED = 3
S3 = "s3://"


def add(family: Any) -> None:
    """Put these commands into the parser of `requorum snapshot`."""
    listed = _command(family, list_, "all snapshots on servers, here and in S3, the newest usable one first")
    get = _command(family, get_, "copy one to this machine and prove it here")
    get.add_argument("source", metavar="SERVER[:PATH]", help="without PATH its newest usable one; or s3://bucket/key")
    get.add_argument("--output", metavar="DIR", help="else <requorum_output>/<cluster>/fetched/<server>")
    put = _command(family, put_, "prove one and put it on a server or into S3")
    put.add_argument("file", metavar="FILE", help="a snapshot, or a zip with one")
    put.add_argument("target", metavar="SERVER", help="a server, or s3:// for the bucket of requorum_s3_bucket")
    prune = _command(family, prune_, "let all but the newest backups go, here and in S3")
    prune.add_argument("--keep", metavar="N", required=True, type=inputs.count, help="so many proved ones stay")
    prune.add_argument("--check", action="store_true", help="only say what would go")
    for command in (get, put):
        command.add_argument("--token-file", metavar="F", help="a token that may open it, besides those at hand")
    for command in (listed, get, put, prune):
        inputs.add_cluster(command)
        command.add_argument("--json", action="store_true", help="the same as JSON")


def _command(family: Any, run: Any, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = family.add_parser(
        run.__name__.rstrip("_"), help=text, description=text, allow_abbrev=False
    )
    made.set_defaults(run=run)
    return made


def list_(arguments: argparse.Namespace) -> Result:
    """The table; 1 when none can be used."""
    outcome = remote.play("snapshots", arguments, _variables(arguments))
    found = outcome.results.get("snapshot_catalog")
    if outcome.failures or found is None:
        return _failed(outcome, "No table came back.")
    rows = found["snapshots"]
    notes = [f"{name} has no line in the table: {why}" for name, why in found["unread"].items()]
    document = {"schema": 1, "snapshots": rows, "unread": found["unread"]}
    usable = any(row["verdict"] == "usable" for row in rows)
    return Result(table(rows, time.time()), document, notes, 0 if usable else 1)


def table(rows: Sequence[JSON], now: float) -> list[str | Table]:
    """The name of a snapshot stays whole, because it is what other commands are given."""
    if not rows:
        return ["No snapshot was found on the servers, here or in S3."]
    header = ("VERDICT", "REVISION", "AGE", "SIZE", "WHERE")
    cells = [
        (
            row["verdict"],
            "?" if row["revision"] is None else str(row["revision"]),
            # the largest unit alone: the column is narrow
            " ".join(_retention.duration(now - row["time"]).split()[:2]),
            snapshot_text.size(row["bytes"]).partition(" (")[0],
            row["name"] if row["verdict"] == "usable" else f"{row['name']} {row['why']}",
        )
        for row in rows
    ]
    return [Table(header, cells, frozenset((1, 2, 3)))]


def get_(arguments: argparse.Namespace) -> Result:
    """Copied and proved, or kept as FILE.unproved."""
    variables = {**_variables(arguments), "requorum_from": arguments.source}
    if arguments.output:
        variables["requorum_folder"] = os.path.abspath(arguments.output)
    outcome = remote.play("snapshot_get", arguments, variables)
    return _transfer(outcome, "snapshot_get", arguments.source, 1)


def put_(arguments: argparse.Namespace) -> Result:
    """Proved and put there; one that is not proved is refused, and nothing was sent."""
    if not os.path.isfile(arguments.file):
        raise Usage(f"{arguments.file} is no file.")
    variables = {
        **_variables(arguments), "requorum_file": os.path.abspath(arguments.file), "requorum_to": arguments.target,
    }  # fmt: skip
    outcome = remote.play("snapshot_put", arguments, variables)
    return _transfer(outcome, "snapshot_put", arguments.target, REFUSED)


def _transfer(outcome: remote.Outcome, module: str, where: str, unproved: int) -> Result:
    """Of a snapshot that went from one place to another."""
    result = outcome.results.get(module)
    if result is None or "checks" not in result:
        return _failed(outcome, f"There is no server {where.split(':')[0]} in the inventory; the bucket is named {S3}.")
    fields = ("source", "name", "path", "proved", "sha256", "bytes", "revision", "checks")
    document = {"schema": 1, **{name: result[name] for name in fields if name in result}}
    place, proved = result.get("path") or result.get("name"), result["proved"]
    title = f"{'PROVED' if proved else 'NOT PROVED'}{f': {printable(place)}' if place else ''}\n"
    facts = [
        *([("from", result["source"])] if "source" in result else []),
        ("size", snapshot_text.size(result["bytes"])),
        ("revision", "unknown" if result["revision"] is None else str(result["revision"])),
    ]
    blocks: list[str | Table] = [title, Table((), facts), snapshot_text.checks(result["checks"])]
    return Result(blocks, document, () if proved else outcome.failures, 0 if proved else unproved)


def prune_(arguments: argparse.Namespace) -> Result:
    """What goes, or would."""
    variables = {**_variables(arguments), "requorum_keep_last": arguments.keep}
    outcome = remote.play("snapshot_prune", arguments, variables)
    result = outcome.results.get("snapshot_prune")
    if outcome.failures or result is None:
        return _failed(outcome, "Nothing came back.")
    gone, kept = result["removed"], result["kept"]
    word = "would go" if arguments.check else "removed"
    lines = "\n".join(f"{word}  {what}" for what in gone) or "Nothing goes."
    document = {"schema": 1, "check": arguments.check, "removed": gone, "kept": kept}
    stay = "1 proved backup stays." if len(kept) == 1 else f"{len(kept)} proved backups stay."
    return Result([f"{lines}\n", stay], document)


def _failed(outcome: remote.Outcome, otherwise: str) -> Result:
    notes = outcome.failures or [otherwise]
    return Result([], {"schema": 1, "errors": notes}, notes, 1)


def _variables(arguments: argparse.Namespace) -> JSON:
    """For the file of extra variables."""
    given: JSON = dict(arguments.extra_var)
    if getattr(arguments, "token_file", None):
        if arguments.token_file == inputs.STDIN:
            raise Usage("--token-file -: here it has to be a file.")
        inputs.tokens([arguments.token_file])
        given["requorum_token_file"] = os.path.abspath(arguments.token_file)
    return given
