# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a task says while it goes on, as one line of Ansible's output for a program that listens; and how it is stopped.

Workers of Ansible have no other way to the one who started them that also works through a bastion.
"""

from __future__ import annotations

import json
import os
import typing as t

from ._timeline import mask_all

WANTED = "REQUORUM_EVENTS"
"""Environment: somebody listens, and people do not read this output."""
STOP = "REQUORUM_STOP"
"""Environment: path of a file. While it is there, no further action begins."""
PLACES = "REQUORUM_PLACES"
"""Environment: JSON of paths here -> where the command was typed, for what comes back from a bastion."""
STOPPED = "stopped on request"
GO_ON = "What was done stays. Run the same command again: it goes on from here."
_MARK = "requorum-event "


def wanted(environ: t.Mapping[str, str] = os.environ) -> bool:
    """Whether lines are for a program."""
    return bool(environ.get(WANTED))


def stopping(environ: t.Mapping[str, str] = os.environ) -> bool:
    """Whether this run shall end after the current action."""
    path = environ.get(STOP)
    return bool(path) and os.path.exists(str(path))


def typed(value: t.Any, environ: t.Mapping[str, str] = os.environ) -> t.Any:
    """Text, or a document, with the paths that were typed."""
    return renamed(value, json.loads(environ.get(PLACES) or "{}"))


def renamed(value: t.Any, places: t.Mapping[str, str]) -> t.Any:
    """The same with other paths. places: old -> new."""
    if isinstance(value, str):
        for old, new in places.items():
            value = value.replace(old, new)
    elif isinstance(value, dict):
        return {name: renamed(each, places) for name, each in value.items()}
    elif isinstance(value, (list, tuple)):
        return [renamed(each, places) for each in value]
    return value


def line(event: str, **fields: t.Any) -> str:
    """The line of an event, without secrets."""
    return _MARK + json.dumps({"event": event, **mask_all(fields)}, separators=(",", ":"))


def read(text: str) -> dict[str, t.Any] | None:
    """The event of a line; None for what Ansible itself says."""
    _, mark, rest = text.partition(_MARK)
    try:
        found = json.loads(rest) if mark else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None
