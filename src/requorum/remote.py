# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command's playbook: its progress is shown while it goes on, and Ctrl-C ends it in good order."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from . import api, command, events, progress
from .api import Result as Outcome
from .inputs import Usage

__all__ = ["Outcome", "play"]


def play(
    name: str, arguments: argparse.Namespace, variables: Mapping[str, Any], *, check: bool | None = None
) -> Outcome:
    """Run playbooks/<name>.yml with the inventory of the command; check: where the command has no `--check`."""
    if not os.path.exists(arguments.inventory):
        raise Usage(f"-i {arguments.inventory}: there is no such file or folder. It is an inventory with servers.")
    if check is None:
        check = bool(getattr(arguments, "check", False))
    face = progress.face(f"{name} {os.path.basename(arguments.inventory)}", as_json=getattr(arguments, "json", False))

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Plan):
            command.save(event.folder, getattr(arguments, "argv", ()))
        face.hear(event)

    try:
        begun = api.started(name, arguments.inventory, variables, check=check, on_event=hear, via=arguments.via)
        with begun as run, _interrupts(run, face):
            while (outcome := run.wait(0.25)) is None:
                face.tick()
        if outcome.elsewhere:
            face.say(f"{outcome.folder} lies there too: {outcome.elsewhere}")
    finally:
        face.end()
    if outcome.status == "canceled":
        raise KeyboardInterrupt
    return outcome


@contextlib.contextmanager
def _interrupts(run: api.Run, face: progress.Face) -> Iterator[None]:
    """Ctrl-C: end after the current action; twice, or SIGTERM: at once. A terminal that is gone ends nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def interrupt(number: int, _frame: object) -> None:
        nonlocal asked
        if asked or number == signal.SIGTERM:
            run.cancel()
        else:
            asked = True
            if run.stop():
                face.say("It ends after the current action. Ctrl-C once more ends it at once.")

    handlers: dict[int, Any] = {signal.SIGINT: interrupt, signal.SIGTERM: interrupt, signal.SIGHUP: signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
