# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum join-config`: files by which hosts join a Harvester, served once on request."""

from __future__ import annotations

import argparse
import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import inputs, remote
from .inputs import Usage
from .output import Result, Table

if TYPE_CHECKING:
    from .oneshot import OneShot

JSON = dict[str, Any]
FAILED = 1
UNTRUSTED = (
    "The certificate is one of our own, and Harvester's installer refuses those: only programs that are told to trust "
    "it get the file. Give --certificate one that the ISO trusts, or use --plain in a network that you trust."
)
PLAIN = "Over http, everyone on the way between this machine and the host can read the token."


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "write the files by which new hosts join a Harvester, and serve them once on request"
    made: argparse.ArgumentParser = commands.add_parser("join-config", help=text, description=text, allow_abbrev=False)
    made.add_argument("nodes", metavar="NODE", nargs="+", help="a host of requorum_join")
    inputs.add_cluster(made)
    made.add_argument("--check", action="store_true", help="say what would be written")
    made.add_argument("--output", metavar="DIR", help="else <requorum_output>/<cluster>/join")
    made.add_argument("--token-file", metavar="FILE", help="the rancherd token, instead of the one on a server")
    made.add_argument("--url", metavar="URL", help="where the folder will be reached by the hosts, when you serve it")
    made.add_argument("--serve", metavar="ADDRESS[:PORT]", help="serve the files from here, under a one-time address")
    made.add_argument("--plain", action="store_true", help="with --serve: http, which others can read")
    made.add_argument("--certificate", metavar="FILE", help="with --serve: a certificate chain that the ISO trusts")
    made.add_argument("--key", metavar="FILE", help="its key, where it is not in the same file")
    made.add_argument("--ttl", metavar="SECONDS", type=inputs.count, default=900, help="the end of --serve; 900")
    made.add_argument("--times", metavar="N", type=inputs.count, default=1,
                      help="how often a file may be fetched; 1, and 2 where the address is typed at the console")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    made.set_defaults(run=join_config)


def join_config(arguments: argparse.Namespace) -> Result:
    """1 when it fails, or when nobody has fetched the files in time."""
    if arguments.serve and (arguments.check or arguments.url):
        raise Usage("--serve goes neither with --check nor with --url.")
    if not arguments.serve and (arguments.plain or arguments.certificate):
        raise Usage("--plain and --certificate need --serve.")
    if arguments.plain and arguments.certificate:
        raise Usage("--plain has no certificate.")
    server = _server(arguments) if arguments.serve else None
    try:
        outcome = remote.play("join_config", arguments, _variables(arguments, server))
        made = outcome.results.get("join_config")
        if outcome.failures or made is None:
            notes = outcome.failures or ["Nothing came back."]
            return Result([], {"schema": 1, "errors": notes}, notes, FAILED)
        fetched = _serve(server, made, arguments) if server else None
    finally:
        if server:
            server.close()
    document = {"schema": 1, "check": arguments.check, "cluster": made["cluster"], "hosts": made["hosts"],
                "actions": made["requorum_actions"], "fetched": fetched}
    blocks = _blocks(made, check=arguments.check)
    if fetched is not False:
        return Result(blocks, document)
    return Result(blocks, document, [f"Not all was fetched within {arguments.ttl} s. It is served no longer."], FAILED)


def _blocks(made: JSON, *, check: bool) -> list[str | Table]:
    from ansible_collections.requorum.cluster.plugins.module_utils import _join_files

    blocks: list[str | Table] = []
    for name, host in made["hosts"].items():
        word = "would be written to" if check else "is in"
        blocks.append(f"{name} joins Harvester {made['cluster']['version']} at {made['cluster']['vip']}. "
                      f"What it needs {word} {host['folder']}; begin with {_join_files.README}.")
        blocks.append("\n".join(f"- {note}" for note in host["notes"]) + "\n")
    return blocks


def _variables(arguments: argparse.Namespace, server: OneShot | None) -> JSON:
    given: JSON = {**dict(arguments.extra_var), "requorum_join_nodes": arguments.nodes}
    if arguments.output:
        given["requorum_join_folder"] = os.path.abspath(arguments.output)
    if arguments.token_file:
        if arguments.token_file == inputs.STDIN:
            raise Usage("--token-file -: here it has to be a file.")
        given["requorum_rancherd_token_file"] = os.path.abspath(arguments.token_file)
    if server or arguments.url:
        given["requorum_join_url"] = server.base if server else arguments.url
    return given


def _server(arguments: argparse.Namespace) -> OneShot:
    """Bound at once: a port that is taken is known before anything is written."""
    from .oneshot import OneShot, certified, self_signed

    try:
        at = urlsplit(f"//{arguments.serve}")
        host, port = at.hostname or "", at.port or 0
    except ValueError:
        host = ""
    if host in ("", "0.0.0.0", "::", "*"):
        raise Usage(f"--serve {arguments.serve}: give the address of this machine as the hosts reach it, and a port.")
    for path in filter(None, (arguments.certificate, arguments.key)):
        if not os.path.isfile(path):
            raise Usage(f"{path} is no file.")
    try:
        if arguments.plain:
            return OneShot(host, port, tls=None, times=arguments.times)
        own = certified(arguments.certificate, arguments.key) if arguments.certificate else None
        return OneShot(host, port, tls=own or self_signed(host, arguments.ttl), times=arguments.times)
    except ssl.SSLError as error:
        raise Usage(f"--certificate {arguments.certificate}: {error.reason or error}.") from error
    except OSError as error:
        what = f"--serve {arguments.serve}: {error.strerror or error}."
        raise RequorumError(what, "Name an address of this machine and a free port.") from error


def _serve(server: OneShot, made: JSON, arguments: argparse.Namespace) -> bool:
    """The log goes to stderr, as it comes."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _join_files

    texts, needed = {}, []
    for name, host in made["hosts"].items():
        for file in (_join_files.CONFIG, _join_files.IPXE):
            texts[f"{name}/{file}"] = Path(host["folder"], file).read_text("utf-8")
            sys.stderr.write(f"{server.base}/{name}/{file}\n")
        needed.append(f"{name}/{_join_files.CONFIG}")
    if not arguments.certificate:
        sys.stderr.write(f"{PLAIN if arguments.plain else UNTRUSTED}\n")
    sys.stderr.write(f"Each can be fetched {arguments.times} time(s), for {arguments.ttl} s.\n")
    return server.serve(texts, needed, arguments.ttl)
