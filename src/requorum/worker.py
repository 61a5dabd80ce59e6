# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum worker`: a bastion's end of `--via`. It plays what comes from standard input, and tells what happens.

    there -> here   job and files of ansible-runner, then a word a line: stop, cancel, or nothing as a sign of life
    here -> there   who is here; what ansible-runner tells; which files come back; those files as a tar

Nobody types it. Where the line is lost, the playbook ends after its current action.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ansible_runner import streaming

from ansible_collections.requorum.cluster.plugins.module_utils import _events, _s3_settings, _timeline

from . import __version__, api, events, family
from .output import Result

JSON = dict[str, Any]
SIGN, LOST = 5.0, 30.0
"""Seconds between two signs of life; seconds without one after which the line is lost."""
_BROUGHT = {"cluster_export": "folder", "snapshot_get": "path"}
"""Modules that write outside of the run's folder -> where in their result that stands."""


def work(_arguments: argparse.Namespace) -> Result:
    """Play it, and send back what it has written."""
    os.umask(0o077)
    out = Out(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what others print must not come between
    home = os.path.expanduser("~")
    os.chdir(home)
    folder = Path(tempfile.mkdtemp(prefix="requorum-via-"))
    try:
        out.tell({"requorum": __version__, "folder": str(folder), "home": home})
        worker = Worker(sys.stdin.buffer, out, folder, home)
        worker.run()
        worker.bring()
        if worker.status in ("canceled", "timeout"):
            family.kill(_events.STOP, str(folder / "stop"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Result([], {})


def brought(raw: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Paths that a result names and that belong to the one who asked; whether it is the run's folder."""
    data: JSON = raw.get("event_data") or {}
    result, action = data.get("res") or {}, events.action_of(data)
    for found, is_run in ((_timeline.run_dir(result), True), (result.get(_BROUGHT.get(action, "")), False)):
        if action and isinstance(found, str) and os.path.isabs(found):
            yield os.path.normpath(found), is_run


class Out:
    """The way back. Once it is broken it takes everything, since the playbook has to end in good order."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.broken = stream, False

    def write(self, data: bytes) -> int:
        """As of a file."""
        try:
            if not self.broken:
                self._stream.write(data)
        except OSError:
            self.broken = True
        return len(data)

    def flush(self) -> None:
        """As of a file."""
        try:
            if not self.broken:
                self._stream.flush()
        except OSError:
            self.broken = True

    def tell(self, document: JSON) -> None:
        """A line."""
        self.write(json.dumps(document).encode() + b"\n")
        self.flush()


class Worker(streaming.Worker):  # type: ignore[misc]
    """ansible-runner's, which also listens while a playbook goes on."""

    def __init__(self, source: IO[bytes], out: Out, folder: Path, home: str) -> None:
        super().__init__(source, out, keepalive_seconds=SIGN, private_data_dir=str(folder), cancel_callback=self._ends)
        self._source, self._out, self._folder, self._home = source, out, folder, home
        self._stop = folder / "stop"
        self._acts = self._check = self.canceled = False
        self._heard_at = time.monotonic()
        self._reader = events.Reader()
        self._brings: dict[str, None] = {}

    def update_paths(self, kwargs: JSON) -> JSON:
        """The job as this machine plays it."""
        self._check = bool(kwargs["check"])
        self._brings |= dict.fromkeys(kwargs.pop("brings"))
        keys = {_s3_settings.KEYS_FILE: str(self._folder / "s3-keys")} if kwargs.pop("keys") else {}
        places = {_events.PLACES: json.dumps(kwargs.pop("places"))}
        job = api.job(**kwargs, cwd=self._home, folder=self._folder)
        job["envvars"] |= keys | places
        os.environ.clear()  # else the runner hands it on, and writes it into a file
        os.environ.update(job["envvars"])
        return job

    def run(self) -> Any:
        """Take the job, play it."""
        self._input = _Job(self._source, self._listen)
        return super().run()

    def bring(self) -> None:
        """Send what was written."""
        paths = [path for path in self._brings if os.path.exists(path)]
        self._out.tell({"brings": paths})
        if self._out.broken:
            return
        out: Any = self._out
        with tarfile.open(fileobj=out, mode="w|") as tar:
            for number, path in enumerate(paths):
                tar.add(path, str(number))
        self._out.flush()

    def event_handler(self, event_data: JSON) -> None:
        """Tell it, and see what it is about."""
        super().event_handler(event_data)
        self._brings |= {path: None for path, _is_run in brought(event_data)}
        for event in self._reader.read(event_data):
            self._acts = self._acts or api.acts(event, check=self._check)

    def artifacts_handler(self, artifact_dir: str) -> None:
        """All of it was told by events."""

    def _listen(self) -> None:
        threading.Thread(target=self._hear, name="the other end", daemon=True).start()

    def _hear(self) -> None:
        self._heard_at = time.monotonic()
        for line in self._source:
            self._heard_at = time.monotonic()
            if line == b"cancel\n":
                self.canceled = True
            elif line == b"stop\n":
                self._stop.touch()
        self._heard_at = float("-inf")  # it hung up

    def _ends(self) -> bool:
        """Asked by the runner several times a second."""
        if self._out.broken or time.monotonic() - self._heard_at > LOST:
            self._out.broken = True
            self._stop.touch()
            self.canceled = self.canceled or not self._acts
        return self.canceled


class _Job:
    """Standard input until the job is complete; then somebody else reads on."""

    def __init__(self, source: IO[bytes], complete: Any) -> None:
        self._source, self._complete = source, complete

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def readline(self) -> bytes:
        line = self._source.readline()
        if line.startswith(b'{"eof"'):
            self._complete()
        return line
