# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Base of the action plugins that do what a plan has for a host: each action is begun, done, recorded and told."""

from __future__ import annotations

import errno
import os
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import _lock, _look, _machines
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers, _run_folder
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display, now

ANSWERS = "See its power and its network; when it answers, run the same command again: it goes on from what it finds."
FULL = (errno.ENOSPC, errno.EDQUOT)
PEERS_EVERY = 15.0
"""Seconds of a wait after which it is seen that servers that are off stay off."""


class PlanAction(NodeAction):
    """An action plugin that executes what the plan has for its host: methods are named after verbs.

    Where hosts take turns, the play's host is the one whose turn it is, and the host that acts may be another one, by
    `delegate_to`.

    In check mode the very same actions are returned, and none is done. The first action that fails on any host stops
    all later ones on every host: it stands in actions.jsonl, where each action looks before it begins. The task itself
    does not fail, so that the report is always written; the report fails the run.
    """

    VALID: t.ClassVar[tuple[str, ...]] = ("plan", "phase", "run_dir")
    VERBS: tuple[str, ...] = ()
    action: JSON
    """The one that is being done."""
    waits: tuple[JSON, ...] = ()
    """What was waited for, as the timeline takes it."""

    def act(self) -> JSON:
        self.plan: JSON = self._task.args["plan"]
        self.run_dir = str(self._task.args["run_dir"])
        self.locked = _run_folder.load(self.run_dir, _lock.FILE, {})
        self.results: JSON = {}
        at = (self.host, int(self._task.args["phase"]))
        mine = [
            a
            for a in self.plan["actions"]
            if (a["node"], a["phase"]) == at and a["verb"] in self.VERBS and a["turn"] in ("", self.turn)
        ]
        if self._task.check_mode:
            done = [{**a, "started": None, "ended": None, "seconds": None, "result": "would be done"} for a in mine]
        else:
            done = list(self._execute(mine))
        return {"changed": bool(done), "requorum_actions": done, "requorum_waits": list(self.waits), **self.results}

    def _execute(self, actions: t.Iterable[JSON]) -> t.Iterator[JSON]:
        for action in actions:
            if self.orphaned or _run_folder.has_failed(self.run_dir):
                return
            self.action, started, clock = action, now(), time.monotonic()
            try:
                _run_folder.must_take_record(self.run_dir)
                self.begin(action, f"({action['phase']}/{len(self.plan['phases'])}) {action['id']} {action['what']}")
                outcome = getattr(self, f"do_{action['verb']}")()
            except RequorumError as error:
                outcome = f"failed: {error}"
            except AnsibleConnectionFailure as error:
                why = str(error).strip().splitlines()[-1][:200].rstrip(":. ")
                outcome = f"failed: {self.host} does not answer any more: {why}. {ANSWERS}"
            except Exception as error:  # a fault of ours must brake the run too, not only end this task
                fault = f"{type(error).__name__}: {error}"
                if isinstance(error, OSError) and error.errno in FULL:
                    fault = str(_run_folder.unwritten(self.run_dir, error))
                outcome = f"failed: {fault}"
            if outcome.startswith("failed"):
                display.error(f"{self.host}: {outcome}")
            if outcome.startswith("warning"):  # it is told, and the run goes on
                display.warning(f"{self.host}: {outcome.removeprefix('warning: ')}")
            times: JSON = {"started": started, "ended": now(), "seconds": round(time.monotonic() - clock, 2)}
            self.end(action, outcome, times["seconds"])
            entry = {**action, **times, "result": outcome}
            _run_folder.append(os.path.join(self.run_dir, "actions.jsonl"), entry)
            yield entry

    def wait(
        self, what: str, probe: t.Callable[[], tuple[bool, str]], *, seconds: float, hint: str | t.Callable[[], str]
    ) -> str:
        """The same, and given up at once where a server that was off comes back with its old datastore meanwhile."""
        looked = begun = time.monotonic()
        started, seen = now(), ""

        def watched() -> tuple[bool, str]:
            nonlocal looked
            if time.monotonic() - looked >= PEERS_EVERY and self.host == self.plan["survivor"]:
                _peers.must_stay_off(self)
                looked = time.monotonic()
            return probe()

        try:
            seen = super().wait(what, watched, seconds=seconds, hint=hint)
            return seen
        finally:
            times = {"started": started, "ended": now(), "seconds": round(time.monotonic() - begun, 2)}
            told = {"node": self.host, "what": what, "last": seen}
            self.waits = (*self.waits, {**told, **times, "result": "done" if seen else "failed"})

    def until_ping(self, hint: str) -> str:
        """Wait until the supervisor of this server, which was just started, answers."""

        def probe() -> tuple[bool, str]:
            done = self.script("look", timeout=20, AWAIT="pings")
            look = _look.parse(done.out)
            seen = "its supervisor answers" if look.ping else look.seen
            return done.rc == 0 and look.ping, seen if done.rc == 0 else done.why

        what = "its supervisor to answer /ping"
        return self.wait(what, probe, seconds=self.timeout("start", 600), hint=hint)

    def spare(self, snapshot: str, name: str) -> None:
        """Refuse to go on where this proved snapshot shall be restored and would end virtual machines that run."""
        machines = self.plan["machines"]
        wrong = _machines.refusal(machines, _machines.known(snapshot), name) if machines else None
        if wrong:
            raise RequorumError(f"{wrong.what} Nothing was reset.", wrong.next)

    @property
    def anchor(self) -> JSON:
        """The server that acts for the one whose turn it is, else the survivor: its entry in the plan."""
        name = self.plan["anchors"].get(self.turn) or self.plan["survivor"]
        return next(server for server in self.plan["servers"] if server["name"] == name)

    @property
    def in_turn(self) -> list[JSON]:
        """The server whose turn it is, where hosts take turns; else nothing."""
        turn = self.turn if self.turn in self.plan["anchors"] else ""
        return [server for server in self.plan["servers"] if server["name"] == turn]

    @property
    def stamp(self) -> str:
        """Name of this run, also of its folder on the nodes."""
        return str(self.plan["stamp"])
