# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The folder of a run on the controller: what is written into it, and what is read of it again."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _files, _messages
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

JSON = dict[str, t.Any]
RECORD = 1 << 16
"""Bytes that the controller must have for what is written of one action."""


def shelf(output: str, cluster: str) -> str:
    """The folder of the runs of a cluster."""
    return os.path.join(output, cluster)


def backup_folder(run_dir: str, name: str) -> str:
    """The folder below backup/ for what comes of a host, or of the chosen snapshot; it is made, for us alone."""
    folder = run_dir
    for part in ("backup", name):
        folder = os.path.join(folder, part)
        os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def new_folder(output: str, cluster: str) -> str:
    """The folder of a run that begins now, by UTC; RequorumError where it cannot be made."""
    end = time.monotonic() + 5
    while True:
        folder = os.path.join(shelf(output, cluster), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        try:
            os.makedirs(folder, mode=0o700)
            return folder
        except OSError as error:
            if isinstance(error, FileExistsError) and time.monotonic() < end:
                time.sleep(0.1)  # another run has begun in this second
                continue
            hint = "Set requorum_output to a folder that you may write to."
            raise RequorumError(f"{folder} cannot be made: {error.strerror}.", hint) from error


def append(path: str, entry: JSON) -> None:
    """One JSON line at the end of a file, in one write; RequorumError where it cannot be written."""
    with (
        _writing(path),
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file,
    ):
        file.write(json.dumps(entry) + "\n")


def must_take_record(run_dir: str) -> None:
    """RequorumError where the folder of the run has no room for the record of an action.

    A failure that cannot be recorded would stop no other host; so nothing is begun by any of them, and what is left of
    the room takes the record of that.
    """
    with _writing(run_dir), tempfile.TemporaryFile(dir=run_dir) as file:
        file.write(bytes(RECORD))


def recorded(run_dir: str) -> list[JSON]:
    """The actions of this run so far, on all hosts."""
    return lines(os.path.join(run_dir, "actions.jsonl"))


def has_failed(run_dir: str) -> bool:
    """Whether an action of this run has: then no later one is done, on any host."""
    return any(entry["result"].startswith("failed") for entry in recorded(run_dir))


def lines(path: str) -> list[JSON]:
    """What `append` has written into a file, without a last line that was cut off; nothing where there is none.

    RequorumError where it cannot be read.
    """
    found = list[JSON]()
    with _reading(path), open(path, encoding="utf-8") as file:
        found = [_of_kind(json.loads(line), dict) for line in file if line.endswith("\n")]
    return found


def unwritten(path: str, error: OSError) -> RequorumError:
    """A file of the controller cannot be written."""
    return _messages.error("run-unwritten", path=path, reason=error.strerror or str(error))


@contextlib.contextmanager
def _writing(path: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritten(path, error) from error


@contextlib.contextmanager
def _reading(path: str) -> t.Iterator[None]:
    """A file of a run, which may not be there; one that cannot be read is never taken for one that is not there."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its content is none that was written there"
        raise _messages.error("run-unread", path=path, reason=reason) from error


def _of_kind(found: t.Any, kind: type) -> t.Any:
    if not isinstance(found, kind):
        raise ValueError("it is of another kind")
    return found


def write(path: str, content: t.Any) -> None:
    """A JSON file that only its owner reads; a text is written as it is. RequorumError where it cannot be written."""
    with _writing(path):
        _files.put(path, content if isinstance(content, str) else json.dumps(content, indent=1) + "\n")


def load(run_dir: str, name: str, missing: t.Any) -> t.Any:
    """A JSON file of a run's folder; `missing` where it did not get as far, RequorumError where it is unreadable."""
    path, found = os.path.join(run_dir, name), missing
    with _reading(path), open(path, encoding="utf-8") as file:
        found = _of_kind(json.load(file), object if missing is None else type(missing))
    return found


def earlier(shelf: str) -> list[str]:
    """Folders of the runs on a shelf, the newest first; other files that lie there are none of ours."""
    found = list[str]()
    with _reading(shelf):
        found = sorted(os.listdir(shelf), reverse=True)
    return [path for name in found if os.path.isdir(path := os.path.join(shelf, name))]
