# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The steps of a recovery in their order: who does what in which phase. `_steps` has the words of each."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass

from ._catalog import Row
from ._classify import RESETS, Case
from ._step import Todo
from ._steps import STEPS, WATCHED
from ._token_need import Need


@dataclass(frozen=True)
class Source:
    """Where the snapshot comes from before anything is touched."""

    node: str
    offline: bool
    """Copied from disk, not asked from a running etcd."""
    stop: bool = False
    """etcd has to be stopped first, because it runs and does not answer."""


@dataclass(frozen=True)
class Recovery:
    """The steps of `_plan.make_plan`, phase by phase; its arguments say what each of them is."""

    case: Case
    source: Source | None
    agents: t.Sequence[str]
    reset: str
    chosen: Row | None
    bare: t.Collection[str]
    renew: t.Collection[str]
    restore: t.Collection[str]
    tokens: Need
    refused: t.Sequence[str]
    rancher: bool
    machines: t.Sequence[str]

    @property
    def steps(self) -> t.Iterator[Todo]:
        """In the one right order; after each phase it is seen that virtual machines run on."""
        for phase, steps in itertools.groupby(self._steps, key=lambda todo: STEPS[todo.key].phase):
            yield from steps
            if phase in WATCHED:
                yield from (Todo(f"watch {phase}", name) for name in self.machines)

    @property
    def _steps(self) -> t.Iterator[Todo]:
        yield from self._backup()
        yield from self._fence()
        if self._lost:
            yield from self._reset()
        yield from self._start()
        yield from self._rejoin()
        yield from end(self.case, self.agents, self.case.having("rejoin", "start", "promote"), self.rancher)

    @property
    def _survivor(self) -> str:
        return self.case.base[0].name

    @property
    def _lost(self) -> bool:
        return self.case.kind in RESETS

    @property
    def _stopped(self) -> str:
        """The server that is stopped before anything else, so that it can be copied."""
        return self.source.node if self.source and self.source.stop else ""

    @property
    def _old(self) -> list[str]:
        """Servers that run with the datastore from before a reset, and of which the present cluster knows nothing."""
        listed, joiners = {member.id for member in self.case.members}, self.case.having("rejoin")
        mine = [s for s in self.case.servers if s.name in joiners and s.store == "intact" and s.etcd != "stopped"]
        return [server.name for server in mine if server.member_id not in listed]

    def _backup(self) -> t.Iterator[Todo]:
        if self.chosen and self.chosen.stored.place != "controller":  # one that is not proved is refused here
            yield Todo("fetch", self.chosen.stored.host if self.chosen.stored.place == "node" else self._survivor)
        yield from (Todo("stop the old", name) for name in self._old)
        if self._stopped:
            yield Todo("stop to copy", self._stopped)
        if self.source:  # without one, intact members run without a leader: starting the others changes nothing on disk
            yield Todo("snapshot", self.source.node)
        yield from (Todo("keep", server.name) for server in self.case.servers if server.reachable)
        yield from (Todo("keep token", name) for name in self.tokens.keep)
        if self.chosen:
            yield Todo("deliver", self._survivor)
        if self.rancher and (self.source or self.chosen):
            yield Todo("export", self.source.node if self.source else self._survivor)

    def _fence(self) -> t.Iterator[Todo]:
        joiners = self.case.having("rejoin")
        yield from (Todo("fence", name) for name in joiners if name not in self._old)
        broken = [name for name in self.case.having("start") if name in self.renew or name in self.restore]
        yield from (Todo("stop to renew", name) for name in broken if name != self._stopped)
        if not self._lost:
            off = (*broken, self._stopped)
            yield from (Todo("stop for token", name) for name in self.tokens.put if name not in off)
        yield from (Todo("furnish", name) for name in (*joiners, self._survivor) if name in self.bare)

    def _reset(self) -> t.Iterator[Todo]:
        """RESET, and the start of the only member."""
        survivor = self._survivor
        if not self._stopped:
            yield Todo("stop to reset", survivor)
        yield Todo("prove", survivor)
        if survivor in self.renew:
            yield Todo("renew to reset", survivor)
        yield Todo(self.reset, survivor)
        yield from self._put_tokens()
        yield Todo("start alone", survivor)
        if self.rancher:
            yield Todo("brake", survivor)
        if self.tokens.back:
            yield Todo("rotate back", survivor)

    def _start(self) -> t.Iterator[Todo]:
        idle = self.case.having("start")
        yield from (Todo("put back to start", name) for name in idle if name in self.restore)
        yield from (Todo("renew to start", name) for name in idle if name in self.renew)
        if not self._lost:
            yield from self._put_tokens()
        yield from (Todo("start", name) for name in idle)

    def _put_tokens(self) -> t.Iterator[Todo]:
        yield from (Todo(step, name) for name, step in self.tokens.put.items())

    def _rejoin(self) -> t.Iterator[Todo]:
        joiners = self.case.having("rejoin")
        if joiners and not self._lost:
            if self.refused:
                yield Todo("drop passwords", self._survivor)
            yield Todo("remove", self._survivor)
        yield from (Todo("renew to join", name) for name in joiners if name in self.renew)
        yield from (Todo("rejoin", name) for name in joiners)
        if self.case.having("rejoin", "start", "promote"):
            yield Todo("promote", self._survivor)


def end(case: Case, agents: t.Iterable[str], late: t.Iterable[str], rancher: bool) -> t.Iterator[Todo]:
    """RESYNC and VERIFY. late: servers whose API is waited for."""
    survivor = case.base[0].name
    yield from (Todo("agent", name) for name in agents)
    yield from (Todo("serve", name) for name in late)
    yield Todo("settle", survivor)
    if rancher:
        yield Todo("unbrake", survivor)
    yield from (Todo("release", name) for name, need in case.needs if need != "stays_off")
    yield Todo("save", survivor)
    yield Todo("verify", survivor)
