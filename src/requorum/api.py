# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of the collection, run by a program: typed events while they go on, a way to stop them, what came of them.

    result = requorum.run("recover", "prod.yml", {"requorum_confirm": "prod"}, on_event=print)

ansible-runner runs them. Its private folder (0700) holds the variables, and the environment that ansible-playbook gets;
it is made without secrets and is gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _events, _lock, _timeline
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from . import environment, events, family

JSON = dict[str, Any]
Hearer = Callable[[events.Event], object]


@dataclass
class Result:
    """What came of a playbook."""

    results: dict[str, JSON] = field(default_factory=dict)
    """The last result of each of our modules, by its short name."""
    failures: list[str] = field(default_factory=list)
    """`host: what is wrong`."""
    silent: dict[str, str] = field(default_factory=dict)
    """Hosts that did not answer, and why; only where they were needed that fails a run."""
    answered: set[str] = field(default_factory=set)
    """Hosts on which a module of ours has run."""
    status: str = "successful"
    """successful, failed, stopped (on request, between two actions), canceled or timeout."""
    elsewhere: str = ""
    """`user@bastion:path`, where the run's folder stays on the bastion that played it."""

    @property
    def ok(self) -> bool:
        """It came to its end, and nothing failed."""
        return self.status == "successful"

    @property
    def locked(self) -> bool:
        """It was refused, because another run works on the cluster."""
        return any(_lock.MARK in failure for failure in self.failures)

    @property
    def folder(self) -> Path | None:
        """The run's folder below recoveries/, where it has one."""
        found = [_timeline.run_dir(result) for result in self.results.values()]
        return next((Path(path) for path in reversed(found) if path), None)

    @property
    def reports(self) -> dict[str, Path]:
        """Files of that folder that are there: report.html, report.json, timeline.jsonl, diagnosis.html and so on."""
        return {path.name: path for path in sorted(self.folder.iterdir()) if path.is_file()} if self.folder else {}


class Lost(RequorumError):
    """What a bastion did is not known here, or not all of it came back."""


class Run:
    """A playbook that goes on."""

    def __init__(
        self,
        playbook: str,
        inventory: str | os.PathLike[str],
        variables: Mapping[str, Any] | None = None,
        *,
        check: bool = False,
        on_event: Hearer | None = None,
        timeout: float | None = None,
        via: str | None = None,
    ) -> None:
        """Begin it. timeout: seconds after which it is canceled, which may be in the midst of an action.

        via: `user@bastion`, the machine that plays it, because it alone reaches the nodes.
        """
        path = os.path.abspath(inventory)
        if not os.path.exists(path):
            raise RequorumError(f"{inventory}: there is no such file or folder.", "Name an inventory with servers.")
        for name in variables or {}:
            if _timeline.is_secret(name):
                raise RequorumError(f"{name} is a secret, and would be kept in a file.", f"Put it there: {name}_file.")
        self.result = Result()
        self._reader, self._hear = events.Reader(), on_event or (lambda _event: None)
        self._acts = self._canceled = False
        self._check = check
        self._error: BaseException | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="requorum-"))  # 0700
        try:
            given: JSON = {"playbook": playbook, "inventory": path, "variables": dict(variables or {}),
                           "check": check, "timeout": timeout}  # fmt: skip
            self._runner = self._far(via, given) if via is not None else self._near(given)
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self._thread = threading.Thread(target=self._go, name=f"requorum {playbook}", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """End it after the current action; at once (False) where none can have begun, so that nothing was changed."""
        (self._folder / "stop").touch()
        if not self._acts:
            self.cancel()
        return self._acts

    def cancel(self) -> None:
        """End it at once. What runs on a node may go on there; running it again looks first."""
        self._canceled = True

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> Result | None:
        """What came of it when it has ended; None where it goes on after so many seconds.

        What `on_event` has raised is raised here; it ended the run.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            return None
        if self._error:
            raise self._error
        return self.result

    def _near(self, given: JSON) -> Any:
        from ansible_runner import interface  # takes as long to import as the other commands take to run

        made = job(**given, cwd=os.getcwd(), folder=self._folder)
        runner = interface.init_runner(
            **made, quiet=True, event_handler=self._heard, cancel_callback=lambda: self._canceled
        )
        # The runner hands the caller's environment on, and writes it into a file.
        runner.config.env = environment.without_strangers(runner.config.env, os.environ, made["envvars"])
        return runner

    def _far(self, target: str, given: JSON) -> Any:
        from .via import Far

        return Far(target, given, folder=self._folder, heard=self._heard, canceled=lambda: self._canceled)

    def _go(self) -> None:
        try:
            self._runner.run()
            self._conclude()
        except Lost as error:
            self.result.status = "failed"
            self.result.failures.append(str(error))
        except BaseException as error:
            self._error = self._error or error
        finally:
            if self.result.status in ("canceled", "timeout") or self._error:
                family.kill(_events.STOP, str(self._folder / "stop"))
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder)

    def _heard(self, raw: JSON) -> bool:
        _note(self.result, raw)
        try:
            for event in self._reader.read(raw):
                _of_host(self.result, event)
                self._acts = self._acts or acts(event, check=self._check)
                self._hear(event)
        except BaseException as error:  # the runner would take it for a fault of its own
            self._error = self._error or error
            self._canceled = True
        return False  # nothing of it is kept in a file

    def _conclude(self) -> None:
        result, runner = self.result, self._runner
        if runner.rc and not result.failures:
            result.failures += [f"{host}: {why}" for host, why in result.silent.items()]
        if runner.rc and not result.failures and runner.status == "failed":  # it never came to a task
            with runner.stdout as text:
                result.failures.append(_last_words(text.read()))
        result.status = runner.status
        result.elsewhere = getattr(runner, "elsewhere", "")
        if runner.status == "failed" and any(_events.STOPPED in why for why in result.failures):
            result.status = "stopped"


def run(
    playbook: str,
    inventory: str | os.PathLike[str],
    variables: Mapping[str, Any] | None = None,
    *,
    check: bool = False,
    on_event: Hearer | None = None,
    timeout: float | None = None,
    via: str | None = None,
) -> Result:
    """Run playbooks/<playbook>.yml to its end.

    variables: those of docs/variables.md; secrets are given as files. on_event: is called with each `events.Event`, in
    a thread of its own. via: `user@bastion`, the machine that plays it. RequorumError for what cannot be run at all;
    what fails while it runs stands in the result.
    """
    with started(playbook, inventory, variables, check=check, on_event=on_event, timeout=timeout, via=via) as going:
        while (result := going.wait(0.5)) is None:
            pass
        return result


@contextlib.contextmanager
def started(playbook: str, inventory: str | os.PathLike[str], *arguments: Any, **options: Any) -> Iterator[Run]:
    """The same, while it goes on; it is canceled where the block ends before it."""
    going = Run(playbook, inventory, *arguments, **options)
    try:
        yield going
    finally:
        if going.running:
            going.cancel()
            going._thread.join(30)


def job(
    playbook: str, inventory: str, variables: JSON, check: bool, timeout: float | None, *, cwd: str, folder: Path
) -> JSON:
    """What ansible-runner is told. folder: private; a file `stop` in it ends the run after the current action."""
    given = environment.of(os.environ, cwd, folder)
    return {
        "private_data_dir": str(folder),
        "project_dir": cwd,  # paths of the inventory are relative to where the user is
        "playbook": str(environment.COLLECTION / "playbooks" / f"{playbook}.yml"),
        "inventory": inventory,
        "extravars": variables,
        "envvars": given | {_events.WANTED: "1", _events.STOP: str(folder / "stop")},
        "settings": {"pexpect_timeout": 0.2, "job_timeout": timeout or 0},
        "cmdline": "--check" if check else None,
    }


def acts(event: events.Event, *, check: bool) -> bool:
    """Whether something may be changed from now on: an action has begun, or there is a plan whose actions may begin."""
    begun = isinstance(event, events.Action) and event.state == "begun"
    return begun or (not check and isinstance(event, events.Plan) and bool(event.actions) and not event.refused)


def _note(result: Result, raw: JSON) -> None:
    """Take what a module of ours has returned into the result."""
    data: JSON = raw.get("event_data") or {}
    kind, found, action = raw.get("event"), data.get("res") or {}, events.action_of(data)
    if kind in ("runner_on_ok", "runner_on_failed") and action:
        failed = {"failed": True} if kind == "runner_on_failed" else {}  # which the event alone says
        result.results[action] = {**found, **failed}


def _of_host(result: Result, event: events.Event) -> None:
    """Take what an event says of a host into the result."""
    if not isinstance(event, events.Node):
        return
    if event.state == "answers":
        result.answered.add(event.name)
    elif event.state == "silent":
        result.silent[event.name] = event.text
    else:
        said = event.name == "localhost" or event.text.startswith(f"{event.name}:")
        result.failures.append(event.text if said else f"{event.name}: {event.text}")


def _last_words(text: str) -> str:
    lines = [line for line in (line.strip() for line in text.splitlines()) if line]
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["ansible-playbook could not be run"])[-1]
