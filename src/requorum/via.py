# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that a bastion plays: this machine's end of `--via`. `worker` is the other end, on one connection of ssh.

What the command needs of this machine travels there and is removed there at the end; what it writes comes back.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ansible_runner import streaming

from ansible_collections.requorum.cluster.plugins.module_utils import _events
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import __version__, luggage, worker
from .api import Lost

JSON = dict[str, Any]
COMMAND = "REQUORUM_VIA_COMMAND"
"""Environment: requorum on the bastion, where it is neither in PATH nor in ~/.local/bin."""
_FOUND = """/bin/sh -c 'PATH="$PATH:$HOME/.local/bin"; exec requorum worker'"""
_SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10",
        "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=2")  # fmt: skip
_GREETING, _AT_ONCE = 30.0, 20.0
"""Seconds for the first word of the bastion; for it to end what was canceled."""


class Far:
    """What ansible-runner's Runner is for a playbook that is played here."""

    def __init__(
        self,
        target: str,
        job: JSON,
        *,
        folder: Path,
        heard: Callable[[JSON], object],
        canceled: Callable[[], bool],
    ) -> None:
        """Connect. job: playbook, inventory, variables, check and timeout; RequorumError where it cannot be played."""
        if target.startswith("-") or not target:
            raise RequorumError(f"{target} is no bastion.", "Name it as ssh does: user@host.")
        self.status, self.rc, self.places = "unstarted", 1, dict[str, str]()
        self.elsewhere = ""
        self._target, self._folder, self._heard, self._canceled = target, folder, heard, canceled
        self._said: list[str] = []
        self._sent = self._over = False
        command = f"{os.environ[COMMAND]} worker" if os.environ.get(COMMAND) else _FOUND
        with (folder / "ssh").open("wb") as errors:
            self._ssh = subprocess.Popen(
                [*_SSH, "--", target, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True,  # Ctrl-C is ours
            )  # fmt: skip
        assert self._ssh.stdin and self._ssh.stdout
        self._to, self._from = self._ssh.stdin, _Source(self._ssh.stdout)
        try:
            greeting = self._greeting()
            bags = luggage.pack(job["inventory"], job["variables"], folder / "sent", greeting["folder"])
        except BaseException:
            self._hang_up()
            raise
        output = str(job["variables"].get("requorum_output") or "recoveries")
        there = os.path.join(greeting["home"], output.removeprefix("~/"))
        self._root = (there, os.path.abspath(os.path.expanduser(output)))
        self.places |= bags.places
        self._job = {**job, "inventory": bags.inventory, "variables": bags.variables, "brings": bags.brings,
                     "keys": bags.keys, "places": bags.places}  # fmt: skip

    @property
    def stdout(self) -> IO[str]:
        """What ansible-playbook has said beside events."""
        return io.StringIO("\n".join(self._said))

    def run(self) -> None:
        """Play it to its end, and take what it has written. Lost where nobody knows its end."""
        threading.Thread(target=self._tend, name=f"line to {self._target}", daemon=True).start()
        try:
            with contextlib.suppress(OSError):  # what is left to hear says why
                streaming.Transmitter(self._to, private_data_dir=str(self._folder / "sent"), **self._job).run()
                self._sent = True
            heard = str(self._folder / "heard")
            status, _rc = streaming.Processor(
                self._from, self._fault, self._hear, private_data_dir=heard, settings={}, quiet=True
            ).run()
            if not self._from.ended:
                self._take()
        except (ValueError, tarfile.ReadError):  # the line broke in the midst of a word or a file
            self._from.ended = True
        finally:
            self._hang_up()
        if self._from.ended and not self._canceled():
            raise self._lost()
        self.status = "canceled" if self._from.ended else "failed" if status in ("error", "unstarted") else status
        self.rc = 0 if self.status == "successful" else 1

    def _greeting(self) -> JSON:
        """Who is there: what a shell says before it is not for us."""
        timer = threading.Timer(_GREETING, self._kill)
        timer.start()
        try:
            found: JSON = {}
            while "requorum" not in found and (line := self._from.readline()):
                with contextlib.suppress(ValueError):
                    found = said if isinstance(said := json.loads(line), dict) else {}
        finally:
            timer.cancel()
        there = found.get("requorum")
        if there == __version__:
            return found
        same = f"Install requorum {__version__} there, as docs/bastion.md says, or name its command by {COMMAND}."
        if there:
            raise RequorumError(f"{self._target} has requorum {there}, and here is {__version__}.", same)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._ssh.wait(5)
        why = self._words() or "it says nothing"
        if self._ssh.returncode in (255, -9, None):
            how = f"Make `ssh {self._target} true` work without a question; its host key has to be known."
            raise RequorumError(f"{self._target} cannot be reached by ssh: {why}.", how)
        raise RequorumError(f"{self._target} has no requorum that can be a bastion: {why}.", same)

    def _tend(self) -> None:
        """Hand on what is asked for here, give signs of life, and give up a line that is dead."""
        told, asked, last = False, 0.0, 0.0
        while not self._over:
            now, word = time.monotonic(), b""
            if self._canceled() and not asked:
                asked, word = now, b"cancel\n"
            elif not told and (self._folder / "stop").exists():
                told, word = True, b"stop\n"
            elif now - last >= worker.SIGN:
                word = b"\n"
            dead = now - self._from.heard_at > worker.LOST or (asked and now - asked > _AT_ONCE)
            if dead or (asked and not self._sent):
                self._kill()
                return
            if not self._sent:
                told = False
            elif word:
                last = now
                with contextlib.suppress(OSError, ValueError):
                    self._to.write(word)
                    self._to.flush()
            time.sleep(0.1)

    def _hear(self, raw: JSON) -> bool:
        if raw.get("event") in ("verbose", "error"):
            self._said = [*self._said[-50:], str(raw.get("stdout") or "")]
        for path, is_run in worker.brought(raw):
            self._place(path, is_run)
        self._heard(_events.renamed(raw, self.places))
        return False

    def _fault(self, status: JSON, runner_config: object) -> None:
        """The runner's own complaint; at the end of the line it has one as well."""
        if status.get("status") == "error" and not self._from.ended:
            self._said.append(f"ERROR on {self._target}: {status.get('job_explanation')}")

    def _place(self, path: str, is_run: bool) -> None:
        """Where it will lie here."""
        if any(path == known or path.startswith(f"{known}/") for known in self.places):
            return
        there, here = self._root
        below = os.path.relpath(path, there) if path.startswith(f"{there}/") else "/".join(Path(path).parts[-2:])
        self.places[path] = os.path.join(here, below)
        if is_run:  # known here, also where the line is lost
            self.elsewhere = f"{self._target}:{path}"
            os.makedirs(self.places[path], 0o700, exist_ok=True)

    def _take(self) -> None:
        """Put what comes back into its places."""
        brings = list(json.loads(self._from.readline())["brings"])
        try:
            luggage.unpack(self._from, [self.places[path] for path in brings])
        except OSError as error:
            where = f"It lies on the bastion: {self.elsewhere or self._target}"
            raise Lost(f"It ended, and what it wrote could not be kept here: {error}.", where) from error
        for path in set(self.places) - set(brings):
            with contextlib.suppress(OSError):  # nothing was written into it
                os.rmdir(self.places[path])

    def _lost(self) -> Lost:
        words = self._words()
        kept = f" Its folder is {self.elsewhere}." if self.elsewhere else ""
        return Lost(
            f"The line to {self._target} was lost{f' ({words})' if words else ''}. How it ended is not known here: "
            f"it ends there after its current action, at the latest when {worker.LOST:.0f} s have passed and that "
            f"action is done.{kept}",
            "Run the same command again: it looks first and goes on from there.",
        )

    def _words(self) -> str:
        text = (self._folder / "ssh").read_text("utf-8", "replace")
        lines = [line.strip() for line in text[-2000:].splitlines() if line.strip()]
        return lines[-1].rstrip(".") if lines else ""

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._ssh.pid, signal.SIGKILL)  # with what it has started

    def _hang_up(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._to.close()
        try:
            self._ssh.wait(5)
        except subprocess.TimeoutExpired:
            self._kill()
            self._ssh.wait()
        self._from.stream.close()


class _Source:
    """What comes from the bastion, and when the last of it came."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.heard_at, self.ended = stream, time.monotonic(), False

    def readline(self) -> bytes:
        line = self.stream.readline()
        self._note(line.endswith(b"\n"))
        return line if not self.ended else b""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self._note(bool(data))
        return data

    def _note(self, came: bool) -> None:
        self.heard_at, self.ended = time.monotonic(), self.ended or not came
