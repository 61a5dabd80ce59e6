# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays the situations of one distribution on a lab of its own, in the background, so that two labs share the waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future

from lab.labs import Lab
from lab.progress import say, wait_for
from tests.conformance.table import Check, Situation, Stage


class Play(threading.Thread):
    """Makes each situation in turn and looks at what is asked of it; a check's answer is a Future."""

    def __init__(self, lab: Lab, situations: Sequence[Situation], asked: set[tuple[str, str]],
                 known: set[str]) -> None:
        """`asked` holds (situation, check); `known` has situation/check of those that fail and are not waited for."""
        super().__init__(daemon=True, name=f"play {lab.name}")
        self.stage = Stage(lab)
        self._known, self._stopped = known, threading.Event()
        self.answers: dict[tuple[str, str], Future[None]] = {key: Future() for key in asked}
        last = max(i for i, row in enumerate(situations) if any(row.id == name for name, _ in asked))
        self._situations = situations[:last + 1]

    def run(self) -> None:
        """Play until the last situation that is asked for; a situation that cannot be made ends it."""
        try:
            for situation in self._situations:
                self._play(situation)
        except BaseException as error:
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(error)

    def _play(self, situation: Situation) -> None:
        begun = time.monotonic()
        say(f"{self.stage.distro} {situation.id}: {situation.done}")
        self.stage.since = time.time()
        situation.do(self.stage)
        for check in situation.see:
            answer = self.answers.get((situation.id, check.id))
            if answer:
                try:
                    self._look(situation, check)
                    answer.set_result(None)
                except CancelledError:
                    raise
                except Exception as error:
                    answer.set_exception(error)
        say(f"{self.stage.distro} {situation.id}: {time.monotonic() - begun:.1f} s")

    def _look(self, situation: Situation, check: Check) -> None:
        name = f"{situation.id}/{check.id}"
        what = f"{self.stage.distro} {name}"

        def probe() -> tuple[bool, str]:
            if self._stopped.is_set():
                raise CancelledError
            return check.probe(self.stage)

        wait_for(what, probe, 3 if name in self._known else check.within, poll=0.5)
        end = time.monotonic() + check.holds
        while time.monotonic() < end:
            time.sleep(0.5)
            holds, seen = probe()
            assert holds, f"{what}: did not stay so: {seen}"

    def end(self) -> None:
        """Take the lab down, whatever is going on."""
        self._stopped.set()
        if self.is_alive():
            self.stage.lab.down()
            self.join(20)
        self.stage.lab.down()
