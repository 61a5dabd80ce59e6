# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks of the collection, run by ansible-runner: what their modules returned, what failed, a line of progress.

Variables go through a file that only its owner reads, in a folder that is gone afterwards; none stands in an argument.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _errors

from .inputs import Usage
from .output import Line, printable

JSON = dict[str, Any]
COLLECTION = Path(os.path.abspath(_errors.__file__)).parents[2]
"""The checkout through its link in .collections, or what the wheel has installed."""
OURS = "requorum.cluster."


@dataclass
class Outcome:
    """What came of a playbook."""

    results: dict[str, JSON] = field(default_factory=dict)
    """The last result of each of our modules, by its short name."""
    failures: list[str] = field(default_factory=list)
    """`host: what is wrong`."""
    silent: dict[str, str] = field(default_factory=dict)
    """Hosts that did not answer, and why; only where they were needed that fails a run."""


def play(name: str, inventory: str, variables: Mapping[str, Any], *, check: bool = False) -> Outcome:
    """Run playbooks/<name>.yml."""
    import ansible_runner  # takes as long to import as the other commands take to run

    if not os.path.exists(inventory):
        raise Usage(f"-i {inventory}: there is no such file or folder. It is an inventory with the group servers.")
    outcome, seen = Outcome(), _Progress(name)
    with tempfile.TemporaryDirectory(prefix="requorum-") as folder:  # 0700

        def hear(event: JSON) -> bool:
            seen.hear(event)
            _note(outcome, event)
            return False  # nothing of it is kept in a file

        try:
            run = ansible_runner.run(
                private_data_dir=folder,
                project_dir=os.getcwd(),  # paths of the inventory are relative to where the user is
                playbook=str(COLLECTION / "playbooks" / f"{name}.yml"),
                inventory=os.path.abspath(inventory),
                extravars=dict(variables),
                envvars=environment(os.environ, os.getcwd()),
                settings={"pexpect_timeout": 1},
                cmdline="--check" if check else None,
                quiet=True,
                event_handler=hear,
            )
        finally:
            seen.end()
        if run.status == "canceled":
            raise KeyboardInterrupt
        if run.rc and not outcome.failures:
            outcome.failures += [f"{host}: {why}" for host, why in outcome.silent.items()]
        if run.rc and not outcome.failures:  # it never came to a task
            with run.stdout as text:
                outcome.failures.append(_last_words(text.read()))
    return outcome


def environment(given: Mapping[str, str], cwd: str) -> dict[str, str]:
    """What ansible-playbook needs besides the caller's environment; what the caller has set stays."""
    needed = {
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # the runner would switch it off
        # It has a terminal of its own, so a question of ssh would be seen by nobody and wait for ever.
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "force",
    }
    if (COLLECTION / "ansible.cfg").is_file() and not os.path.exists(os.path.join(cwd, "ansible.cfg")):
        needed["ANSIBLE_CONFIG"] = str(COLLECTION / "ansible.cfg")
    paths = [str(COLLECTION.parents[2]), given.get("ANSIBLE_COLLECTIONS_PATH", "")]
    return {
        **{name: given.get(name, value) for name, value in needed.items()},
        "ANSIBLE_COLLECTIONS_PATH": ":".join(filter(None, paths)),
        # ansible-playbook of the environment that this command is installed in
        "PATH": f"{os.path.dirname(sys.executable)}:{given.get('PATH', os.defpath)}",
        "ANSIBLE_NOCOLOR": "1",
        "PWD": cwd,  # where recoveries/ lies
    }


def _note(outcome: Outcome, event: JSON) -> None:
    data = event.get("event_data") or {}
    result, kind = data.get("res") or {}, event.get("event")
    action = str(data.get("task_action") or data.get("resolved_action") or "")
    if kind in ("runner_on_ok", "runner_on_failed") and action.startswith(OURS):
        failed = {"failed": True} if kind == "runner_on_failed" else {}  # which the event alone says
        outcome.results[action.removeprefix(OURS)] = {**result, **failed}
    why = " ".join(str(result.get("msg") or "the task failed").split()).removeprefix("Task failed: ")
    if kind == "runner_on_failed" and not data.get("ignore_errors"):
        host = data.get("host")
        said = host == "localhost" or why.startswith(f"{host}:")
        outcome.failures.append(why if said else f"{host}: {why}")
    elif kind == "runner_on_unreachable":
        outcome.silent[str(data.get("host"))] = why


def _last_words(text: str) -> str:
    lines = [line for line in (printable(line).strip() for line in text.splitlines()) if line]
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["ansible-playbook could not be run"])[-1]


class _Progress(Line):
    """What the playbook is about."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.say(f"{name} ...")

    def hear(self, event: JSON) -> None:
        data, kind = event.get("event_data") or {}, event.get("event")
        if kind == "playbook_on_task_start":
            self.say(f"{data.get('play')}: {data.get('task')}")
        elif kind == "verbose":
            self.say(" ".join(str(event.get("stdout") or "").split()))
