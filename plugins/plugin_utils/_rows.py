# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Where the rows of an overview lie: a file for each cluster, whole or not at all, the newest in place of the last."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _files
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

JSON = dict[str, t.Any]
FOLDER = "_fleet"
"""Below the folder of all runs; no cluster of a fleet can be called so."""


def path(output: str, cluster: str) -> str:
    """Of one row."""
    return os.path.join(output, FOLDER, "rows", f"{cluster}.json")


def write(output: str, row: JSON) -> None:
    """One row."""
    put(path(output, row["cluster"]), json.dumps(row, indent=1) + "\n")


def put(where: str, text: str) -> None:
    """A file that only its owner reads; RequorumError where it cannot be written."""
    try:
        os.makedirs(os.path.dirname(where), mode=0o700, exist_ok=True)
        _files.put(where, text)
    except OSError as error:
        hint = "Name a folder that this user may write to in requorum_output, and make room in it."
        raise RequorumError(f"{where} cannot be written: {error.strerror}.", hint) from error


def read(output: str, names: t.Collection[str]) -> list[JSON]:
    """All rows that are there; one that cannot be read, of a cluster that is asked for, says so."""
    from ansible_collections.requorum.cluster.plugins.module_utils import _overview

    folder, found = os.path.join(output, FOLDER, "rows"), list[JSON]()
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        name, kind = os.path.splitext(file)
        if kind != ".json":
            continue
        try:
            with open(os.path.join(folder, file), encoding="utf-8") as opened:
                row = json.load(opened)
            if row["schema"] != _overview.SCHEMA or row["cluster"] != name:
                raise ValueError("it is none of this version")
        except (OSError, ValueError, KeyError, TypeError) as error:
            row = _overview.unread(name, None, f"{os.path.join(folder, file)} cannot be read: {error}.")
        found.append(row)
    return found
