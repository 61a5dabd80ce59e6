# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The plan that removes old data: the only one after which something is gone for good.

Only from a healthy cluster, only what journals of runs name, and only while a snapshot that was proved lies off the
nodes. Each path is an action of its own, so that what is shown is what is removed.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _aside, _plan, _report_words, _turns
from ._aside import Aside
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Action, Plan
from ._steps import STEPS

JSON = t.Mapping[str, t.Any]
PHASES = ("INSPECT", "PLAN", "CLEAN", "VERIFY")
PROVED = "playbooks/backup.yml saves one, proves it and copies it off the node."


@dataclass(frozen=True)
class Proof:
    """The newest snapshot of this cluster off its nodes."""

    name: str
    revision: int | None = None
    fault: str = ""
    """Why it does not count."""


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Every removable path is an action. ask.options: `run` (a stamp, or empty for all) and `proof`."""
    run = str(ask.options.get("run") or "")
    made = replace(_plan.empty(case, ask.cluster), refusals=())
    items, strange = _items(ask)
    left = f" Left as they are, since no run gives such names: {', '.join(strange)}." if strange else ""
    if refusals := tuple(_refusals(case, ask, items)):
        return replace(made, refusals=refusals)
    if not items or not case.survivor:
        of = f" of run {run}" if run else ""
        return replace(made, reason=f"{case.reason} There is no old data{of} to be removed.{left}")
    proof = t.cast(Proof, ask.options["proof"])
    size = _report_words.size(sum(item.bytes or 0 for item in items))
    actions = [_action(number, item) for number, item in enumerate(items, 1)]
    last = STEPS["verify"]
    actions.append(
        Action("4.1", 4, case.survivor.name, last.verb, last.what, last.why, False, last.undo, last.expect_s)
    )
    return replace(
        made,
        actions=tuple(actions),
        phases=PHASES,
        loss=f"Old data, {size}: {len(items)} paths are removed for good, and with them the way back from their runs. "
        f"The newest proved backup off the nodes is {proof.name}"
        + (f", revision {proof.revision}" if proof.revision else "")
        + "; what was written since is on the nodes alone."
        + left,
        aim=f"Cleaned: {len(items)} paths, {size}.",
        no_return="The first removal.",
    )


def paths(ask: _turns.Ask) -> dict[str, str]:
    """Id of each action that removes something -> what it removes."""
    return {_id(number): item.path for number, item in enumerate(_items(ask)[0], 1)}


def _items(ask: _turns.Ask) -> tuple[list[Aside], list[str]]:
    """(what may be removed, what no run can have named so) of the hosts and the run that were asked for."""
    run = str(ask.options.get("run") or "")
    data = {entry["name"]: str((entry.get("program") or {}).get("data_dir") or "") for entry in ask.entries}
    wanted = [item for item in _aside.found(ask.entries) if (not run or item.run == run) and ask.wanted([item.node])]
    items = [item for item in wanted if data[item.node] and _aside.removable(item.path, data[item.node])]
    return items, [f"{item.node}:{item.path}" for item in wanted if item not in items]


def _id(number: int) -> str:
    return f"3.{number}"


def _action(number: int, item: Aside) -> Action:
    of = f" of run {item.run}" if item.run else ""
    what = f"Remove {item.path} ({_report_words.size(item.bytes)}), which was {item.origin}"
    why = f"old data{of}, kept aside until now"
    return Action(_id(number), 3, item.node, "clean", what, why, True, "nothing brings it back", 1)


def _refusals(case: Case, ask: _turns.Ask, items: t.Sequence[Aside]) -> t.Iterator[Refusal]:
    if case.kind != "healthy":
        yield Refusal(
            f"The cluster is not healthy, and its old data may still be needed: {case.reason}",
            ", ".join(server.name for server in case.servers),
            "playbooks/inspect.yml says what brings it back; then run this again.",
        )
    for entry in ask.entries:
        if _turns.cut_off(entry):
            what = f"A run has not come to its end on {entry['name']}."
            yield Refusal(what, entry["name"], "Run the same command again, or roll it back; then run this again.")
    if not items:
        return
    proof: Proof | None = ask.options.get("proof")
    if proof is None:
        yield Refusal("No proved snapshot of this cluster lies off its nodes.", "controller", PROVED)
    elif proof.fault:
        yield Refusal(f"The newest snapshot off the nodes does not count: {proof.fault}.", proof.name, PROVED)
