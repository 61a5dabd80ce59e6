# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users type, made into values; a token comes from a file or from standard input, never from an argument."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _versions

LONGEST_TOKEN = 64 << 10
STDIN = "-"


class Usage(Exception):
    """What was typed does not go together, or names a file that does not hold what it should."""


def tokens(paths: Sequence[str]) -> list[str]:
    """The tokens in files that hold one each."""
    if paths.count(STDIN) > 1:
        raise Usage("Standard input holds one token. Give --token-file - once, and files for the others.")
    return [_token(path) for path in paths]


def _token(path: str) -> str:
    try:
        if path == STDIN:
            raw = sys.stdin.buffer.read(LONGEST_TOKEN + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(LONGEST_TOKEN + 1)
        words = raw.decode().split() if len(raw) <= LONGEST_TOKEN else []
    except OSError as error:
        raise Usage(f"--token-file {path}: {error.strerror}. A server keeps it in server/token.") from error
    except UnicodeDecodeError:
        words = []
    if len(words) != 1:
        raise Usage(f"--token-file {path} holds no token: one word is expected, as in a server's server/token.")
    return words[0]


def hexadecimal(text: str) -> str:
    """The ID of a member as etcd prints it."""
    try:
        return f"{int(text, 16):x}"
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not hexadecimal; etcdctl member list shows IDs") from None


def release(text: str) -> str:
    """A version of RKE2 or K3s."""
    if _versions.numbers(text) == (0, 0, 0):
        raise argparse.ArgumentTypeError(f"{text} is no version such as v1.34.3+rke2r1")
    return text


def positive(text: str) -> int:
    """A number of bytes."""
    if not text.isdecimal() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no number of bytes")
    return number


def count(text: str) -> int:
    """How many of something, at least one."""
    if not text.isdecimal() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return number


def add_cluster(command: argparse.ArgumentParser) -> None:
    """The options that say which cluster is meant."""
    command.add_argument("-i", "--inventory", metavar="INV", required=True, help="inventory of the cluster")
    add_via(command)
    add_variables(command)


def add_via(command: argparse.ArgumentParser) -> None:
    """The machine that plays it."""
    command.add_argument("--via", metavar="USER@HOST", help="a bastion with requorum plays it (docs/bastion.md)")


def add_variables(command: argparse.ArgumentParser) -> None:
    """Variables of the playbooks, for what has no option of its own."""
    command.add_argument("-e", "--extra-var", metavar="VAR=VALUE", type=variable, action="append", default=[],
                         help="a variable of docs/variables.md")  # fmt: skip


def variable(text: str) -> tuple[str, Any]:
    """VAR=VALUE; a value that begins with a bracket is JSON."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text} is not of the form VAR=VALUE")
    if not value.startswith(("{", "[")):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{name} is no JSON: {error}") from None


def moment(text: str) -> int:
    """A time, UTC unless it says otherwise, in Unix seconds."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return int((found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp())
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-24T02:00Z") from None
