# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `requorum`: every family of commands is a module with `add(commands)`; this one runs what was asked for.

A command is `run(arguments) -> Result`. It raises Usage for what was typed and RequorumError for what it met.
"""

from __future__ import annotations

import argparse
import io
import os
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import (
    __version__,
    await_join,
    completion,
    diagnose,
    export,
    fleet,
    force_sync,
    init,
    inspect,
    join_config,
    orphans,
    output,
    precheck,
    recover,
    reinstall,
    rejoin,
    resume,
    rotate,
    rules,
    runs,
    snapshot,
    token,
    upgrade,
    verify,
)
from .inputs import Usage

FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(argv)
    except Usage as error:
        return _complain(str(error), USAGE)
    except RequorumError as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Python flushes once more at its end; the reader is gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        return _complain(f"{error.filename or 'input or output'}: {error.strerror or error}", FAILED)
    except sqlite3.Error as error:
        hint = "Make room in the folder for temporary files, or name another one by TMPDIR."
        return _complain(f"The keys cannot be sorted: {error}. {hint}", FAILED)


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser("requorum", allow_abbrev=False)
    top.description = "Brings RKE2, K3s and Harvester clusters back that lost etcd quorum."
    top.add_argument("--version", action="version", version=f"requorum {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    recover.add(commands)
    resume.add(commands)
    snapshot.add(commands)
    rejoin.add(commands)
    rotate.add(commands)
    token.add(commands)
    force_sync.add(commands)
    join_config.add(commands)
    await_join.add(commands)
    export.add(commands)
    orphans.add(commands)
    reinstall.add(commands)
    verify.add(commands)
    inspect.add(commands)
    fleet.add(commands)
    upgrade.add(commands)
    precheck.add(commands)
    diagnose.add(commands)
    rules.add(commands)
    init.add(commands)
    runs.add(commands)
    completion.add(commands)
    _worker(commands)
    return top


def _worker(commands: Any) -> None:
    """`worker`, of which no help tells; only its own run needs the time of its imports."""

    def work(arguments: argparse.Namespace) -> output.Result:
        from . import worker

        return worker.work(arguments)

    commands.add_parser("worker", allow_abbrev=False).set_defaults(run=work)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # of argparse, after --help or a complaint
        return end.code if isinstance(end.code, int) else USAGE
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
    result: output.Result = arguments.run(arguments)
    output.write(result, as_json=getattr(arguments, "json", False))
    sys.stdout.flush()
    return result.code


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"requorum: {output.printable(text)}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
