# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum snapshot info|verify|show|extract|diff`: what is in a datastore, by the collection's own functions."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap, _describe, _keys, _objects, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import documents, inputs, snapshot_remote, snapshot_text
from .inputs import Usage
from .output import Result, Table

FILE = "a snapshot, a zip with one, a db file, or the datastore directory of a stopped server"
TOKEN = "file with a cluster token, - for standard input"
REGISTRY = b"/registry/"


def add(commands: Any) -> None:
    """Put these commands into the parser."""
    family = commands.add_parser("snapshot", help="read, prove and mine a datastore that no etcd runs on")
    family = family.add_subparsers(metavar="COMMAND", required=True)
    info = _command(family, info_, "everything about a datastore")
    info.add_argument("file", metavar="FILE", help=FILE)
    info.add_argument("--token-file", metavar="F", help=f"open the bootstrap data: {TOKEN}")
    verify = _command(family, verify_, "prove that it can be restored: exit 0 proved, 1 not proved, 2 usage")
    verify.add_argument("file", metavar="FILE", help=FILE)
    verify.add_argument("--quick", action="store_true", help="only sha256, metas and members, no pages and no keys")
    verify.add_argument("--token-file", metavar="F", action="append", default=[], help=f"{TOKEN}; one must open it")
    verify.add_argument("--member", metavar="ID", action="append", default=[], type=inputs.hexadecimal,
                        help="a member of the cluster (hexadecimal); it must know one of those given")
    verify.add_argument("--system-uid", metavar="U", help="UID of the cluster's namespace kube-system")
    verify.add_argument("--version", metavar="V", type=inputs.release,
                        help="of the servers that shall restore it: v1.34.3+rke2r1")
    verify.add_argument("--quota", metavar="BYTES", type=inputs.positive, help="their quota-backend-bytes")
    show = _command(family, show_, "its live keys")
    show.add_argument("file", metavar="FILE", help=FILE)
    show.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="of keys: /registry/secrets/")
    extract = _command(family, extract_, "objects as YAML")
    extract.add_argument("file", metavar="FILE", help=FILE)
    extract.add_argument("--resource", required=True, metavar="R",
                         help="virtualmachines or virtualmachines.kubevirt.io")
    extract.add_argument("--namespace", metavar="N", help="only those of this namespace")
    extract.add_argument("--name", metavar="N", help="only the one of this name")
    extract.add_argument("--output", metavar="DIR", help="a file per object, readable by its owner only")
    extract.add_argument("--raw", action="store_true", help="with status and the metadata that a server sets")
    diff = _command(family, diff_, "what was written between two datastores: what restoring OLD loses")
    diff.add_argument("old", metavar="OLD", help=FILE)
    diff.add_argument("new", metavar="NEW", help="the same of a later time")
    diff.add_argument("--since", metavar="TIME", type=inputs.moment,
                      help="only objects created at this time or later: 2026-11-24T02:00Z")
    diff.add_argument("--all", action="store_true", help="every key, not only how many")
    for command in (info, verify, show, diff):
        command.add_argument("--json", action="store_true", help="the same as JSON")
    snapshot_remote.add(family)


def _command(family: Any, run: Any, text: str) -> argparse.ArgumentParser:
    name = run.__name__.rstrip("_")
    made: argparse.ArgumentParser = family.add_parser(name, help=text, description=text, allow_abbrev=False)
    made.set_defaults(run=run)
    return made


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Say which file is bad, and what to do."""
    try:
        yield
    except BadFile as error:
        what = str(error) if path and path in str(error) else f"{path}: {error}" if path else str(error)
        raise RequorumError(f"{what}.", "If it is damaged, fetch it again or take another snapshot.") from error


def info_(arguments: argparse.Namespace) -> Result:
    """Everything; a damaged datastore is refused."""
    tokens = inputs.tokens([arguments.token_file] if arguments.token_file else [])
    with _reading(arguments.file):
        document = _describe.describe(arguments.file, tokens)
    names = [_bootstrap.name(token) for token in tokens]
    damaged = f"The sha256 at the end of {arguments.file} is wrong: it was damaged, so any of this may be wrong."
    return Result(snapshot_text.info(document, names), document, [damaged] if document["trailer"] == "wrong" else ())


def verify_(arguments: argparse.Namespace) -> Result:
    """The proof that a recovery asks for before it touches anything."""
    if arguments.quick and (arguments.token_file or arguments.system_uid):
        raise Usage("--quick reads no keys, so it cannot check --token-file and --system-uid. Leave it out.")
    tokens = inputs.tokens(arguments.token_file)
    wanted = _snapshot.Wanted(
        token_hashes={_bootstrap.name(token) for token in tokens} if tokens else None,
        member_ids=arguments.member,
        system_uid=arguments.system_uid or "",
        version=arguments.version or "",
        quota=arguments.quota,
    )
    proof = _snapshot.prove(arguments.file, wanted, "quick" if arguments.quick else "full")
    document = {"schema": 1, "path": arguments.file, "ok": proof.ok, **asdict(proof)}
    return Result(snapshot_text.verdict(arguments.file, proof), document, code=0 if proof.ok else 1)


def show_(arguments: argparse.Namespace) -> Result:
    """Keys that are alive, in their order."""
    with _reading(arguments.file):
        found = _describe.entries(arguments.file, os.fsencode(arguments.prefix))
    header = ("REVISION", "BYTES", "RESOURCE", "NAMESPACE", "NAME")
    rows = [(str(e.mod), str(e.size), e.resource, e.namespace or "-", e.name) for e in found]
    keys = [
        {"key": e.key.decode("utf-8", "replace"), "resource": e.resource, "namespace": e.namespace or None,
         "name": e.name, "mod": e.mod, "bytes": e.size}
        for e in found
    ]
    notes = () if found else (f"No live key of {arguments.file} begins with {arguments.prefix or 'anything'}.",)
    table = [Table(header, rows, frozenset((0, 1)))] if found else []
    return Result(table, {"schema": 1, "path": arguments.file, "keys": keys}, notes)


def extract_(arguments: argparse.Namespace) -> Result:
    """Objects of one resource, on standard output or as files."""
    seen: set[str] = set()

    def wanted(key: bytes) -> bool:
        resource, namespace, name = _keys.place(key)
        seen.add(resource)
        return (
            arguments.resource in _keys.names(resource)
            and arguments.namespace in (None, namespace)
            and arguments.name in (None, name)
        )

    with _reading(arguments.file):
        found = _describe.entries(arguments.file, REGISTRY, wanted, values=True)
    if not found:
        what = f"{arguments.file} holds no such object of {arguments.resource}."
        raise RequorumError(what, _instead(arguments, seen))
    objects = [(entry, _objects.decode(entry.value)) for entry in found]
    texts = [documents.yaml_of(_objects.document(read, clean=not arguments.raw), entry.key) for entry, read in objects]
    notes = [snapshot_text.partly(Counter(read.encoding for _entry, read in objects))]
    if arguments.output is None:
        return Result(["".join(texts)], notes=[note for note in notes if note])
    for (entry, _read), text in zip(objects, texts, strict=True):
        documents.save(os.path.join(arguments.output, _file_name(entry)), text)
    count = f"{len(texts)} {'object' if len(texts) == 1 else 'objects'} written to {arguments.output}"
    return Result([count], notes=[note for note in notes if note])


def _instead(arguments: argparse.Namespace, seen: set[str]) -> str:
    names = {name for resource in seen for name in _keys.names(resource)}
    if arguments.resource in names:
        return "Leave --namespace or --name out to see what there is."
    close = difflib.get_close_matches(arguments.resource, sorted(names), 3, 0.7)
    return f"Did you mean {' or '.join(close)}?" if close else f"`requorum snapshot show {arguments.file}` lists them."


def _file_name(entry: _describe.Entry) -> str:
    names = _keys.names(entry.resource)
    resource = next((name for name in names if "/" not in name and "." in name), names[0])
    parts = (resource, entry.namespace, entry.name)
    return "_".join(quote(part, safe="") for part in parts if part) + ".yaml"


def diff_(arguments: argparse.Namespace) -> Result:
    """What restoring the older one loses."""
    with _reading(""):
        document = _describe.compare(arguments.old, arguments.new, arguments.since)
    return Result(snapshot_text.difference(document, every=arguments.all), document)
