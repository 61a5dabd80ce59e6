# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Plans for a cluster whose quorum stands: hosts are worked on one after another, and nothing is taken that it needs.

INSPECT, PLAN, BACKUP, then one phase of turns, then VERIFY. A turn belongs to one host; other hosts act in it for that
host, where a voter has to do it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from . import _plan
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._step import Todo

JSON = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Ask:
    """What was asked for by name, and what is known for it."""

    cluster: str
    entries: t.Sequence[JSON]
    """ClusterState: the servers, then the agents."""
    agents: t.Sequence[str]
    """Agents that answer."""
    only: t.Sequence[str] = ()
    """Hosts that the work is restricted to; empty for all."""
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    """Further variables of the playbook, by their name without `requorum_`."""
    now: float = 0.0
    """Unix seconds, by the controller's clock."""
    tls: t.Mapping[str, JSON] = field(default_factory=dict)
    """What tls_info read, by host; empty where the playbook did not ask."""
    tokens: t.Mapping[str, t.Any] = field(default_factory=dict)
    """What INSPECT read of tokens: `hosts` by name, `kept` on the controller, `refused` node passwords."""

    def wanted(self, names: t.Iterable[str]) -> tuple[str, ...]:
        """Those of the names that the work is not restricted away from."""
        return tuple(name for name in names if not self.only or name in self.only)


def cut_off(entry: JSON) -> bool:
    """Whether a run has stopped this server and never came to the end of its turn: it would not start at boot."""
    return any(str(line).startswith("enabled=") for line in entry.get("journal") or ())


def unfinished(entry: JSON) -> bool:
    """Whether a run has left on this server what it takes back at its end."""
    ours = ("/zz-requorum.yaml", "/zz-requorum.conf")
    return cut_off(entry) or any(path.endswith(ours) for path in entry.get("files") or ())


def anchor_for(case: Case, turn: str) -> str:
    """The best voter besides the one whose turn it is; in a cluster of one, that one."""
    names = [server.name for server in case.base if server.etcd == "voting"]
    return next((name for name in names if name != turn), names[0] if names else turn)


def make(
    case: Case,
    distro: Distro,
    ask: Ask,
    *,
    work: str,
    todo: t.Sequence[Todo],
    aim: str,
    refusals: tuple[Refusal, ...] = (),
    words: t.Mapping[str, str] | None = None,
) -> Plan:
    """The frame around the turns.

    work: name of their phase. todo: their steps, in order; where a step's node is another host than its turn, that is
    the voter that acts for it. aim: what is true afterwards. words: placeholders in the texts of the steps.
    Nothing is planned when there is nothing to do, and with a refusal when the quorum does not stand.
    """
    made = replace(_plan.empty(case, ask.cluster), refusals=refusals)
    if case.kind not in ("healthy", "member_lost", "api_down"):
        known = case.kind not in ("split_brain", "unknown")
        return replace(made, refusals=(*case.refusals, *([_fallen(case)] if known else ())))
    source = _plan.find_source(case, distro)
    if not todo or refusals or source is None:
        return made
    survivor, phases = case.base[0].name, ("INSPECT", "PLAN", "BACKUP", work, "VERIFY")
    after = (Todo("save", survivor), Todo("verify", survivor))
    steps = (*_plan.saving(case, source), *todo, *after)
    return replace(
        made,
        actions=_plan.number(steps, case, distro, source, phases=phases, more=words or {}),
        saver=source.node,
        offline=source.offline,
        phases=phases,
        anchors={step.turn: step.node for step in todo if step.turn and step.node != step.turn},
        aim=aim,
    )


def _fallen(case: Case) -> Refusal:
    where = ", ".join(server.name for server in case.servers)
    return Refusal("The quorum does not stand.", where, "recover.yml brings it back; then run this again.")
