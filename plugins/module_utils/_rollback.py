# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The way back from a run: what it moved aside is put back, newest first, as far as that can be right."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from . import _plan, _rollback_beyond, _turns
from ._classify import RESETS, Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._rollback_beyond import PHASES
from ._rollback_parts import JSON, Back, Record, backs, written
from ._step import Todo


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """The plan that undoes the run in `ask.options["record"]`."""
    record: Record | None = ask.options.get("record")
    made = replace(_plan.empty(case, ask.cluster), refusals=())
    if record is None:
        hint = "requorum_run takes the stamp of a run: the name of its folder in requorum_output."
        return replace(made, refusals=(Refusal("There is no run that could be rolled back.", "controller", hint),))
    found = tuple(back for back in backs(record, ask.entries, case.servers) if not ask.only or back.node in ask.only)
    reset = record.plan.get("case") in RESETS and any(back.datastore for back in found)
    if refusals := tuple(_lacking(record, found, ask.entries)) if reset else ():
        return replace(made, refusals=refusals)
    if reset and (why := written(record, case.servers)):
        return _rollback_beyond.plan(record, found, case, distro, ask, why)
    if refusals := tuple(_forbidden(record, found)):
        return replace(made, refusals=refusals)
    if not found:
        return replace(made, reason=f"{case.reason} Run {record.stamp} left nothing aside that could be put back; "
            "requorum_run names an earlier one.")
    words = {"run": record.stamp}
    release = [Todo("release", back.node) for back in found if back.node not in ask.agents]
    aim = f"Rolled back: run {record.stamp}. What it had put in place is kept aside."
    if case.kind in ("healthy", "member_lost", "api_down"):
        todo = (*_turns_of(case, found, ask), *release)
        return _turns.make(case, distro, ask, work="ROLLBACK", todo=todo, aim=aim, words=words)
    if not case.base:
        case = replace(case, base=case.servers)
    steps = [Todo("stop to revert", back.node) for back in found if back.datastore]
    steps += [*(Todo("revert", back.node) for back in found if not back.done), *release]
    return replace(
        made,
        actions=_plan.number(steps, case, distro, None, phases=PHASES, more=words),
        phases=PHASES,
        aim=aim,
    )


def _turns_of(case: Case, found: t.Sequence[Back], ask: _turns.Ask) -> t.Iterator[Todo]:
    for back in [back for back in found if not back.done]:
        mine = ("revert",) if back.node in ask.agents else ("margin", "yield", "revert")
        yield from (Todo(key, back.node, back.node) for key in (*mine, *(("serve",) if back.start else ())))
        if back.start and back.node not in ask.agents:
            yield Todo("report", _turns.anchor_for(case, back.node), back.node)


def _lacking(record: Record, found: t.Sequence[Back], entries: t.Sequence[JSON]) -> t.Iterator[Refusal]:
    """Old datastores that are not at hand. A unit would start with none, and make a cluster of its own, or with that of
    the new cluster beside the old one.
    """
    had = {one["name"]: one.get("store") for one in record.plan.get("servers") or ()}
    known = {entry["name"]: entry for entry in entries}
    for back in found:
        entry, stores = known[back.node], [item for item in back.moved if item.datastore]
        kept = [item.kept for item in stores]
        there = {item["path"] for item in entry.get("aside") or ()} | set(entry["files"] or ())
        # A rollback that was killed has moved it, and has not said so any more.
        there |= {item.kept for item in stores if f"undoing={item.origin}|{item.kept}" in (entry["journal"] or ())}
        gone = [path for path in kept if path and path not in there]
        if gone or (kept and not any(kept) and (back.start or had.get(back.node) == "intact")):
            where = f"{', '.join(gone)} is gone" if gone else f"run {record.stamp} has not moved one aside there"
            yield Refusal(
                f"The old datastore of {back.node} is not at hand: {where}.",
                back.node,
                "Where a later run has moved it, it cannot be put back by this; recover.yml goes back to the backup of "
                "the run with requorum_snapshot.",
            )


def _forbidden(record: Record, found: t.Sequence[Back]) -> t.Iterator[Refusal]:
    """CAs: never. Datastores: never that of a removed member."""
    if record.plan.get("purpose") == "rotate_ca":
        yield Refusal(
            f"Run {record.stamp} has replaced CAs, or brought hosts under new ones.",
            "the datastore",
            "Leave it: the new files trust the old CAs too. docs/certificates.md, A CA ends, has the way back by hand.",
        )
    for back in found:
        if back.datastore and record.plan.get("case") not in RESETS:
            kept = ", ".join(item.kept for item in back.moved if item.datastore)
            what = f"{back.node} has joined as a new member, and its old datastore ({kept}) is of one that was removed."
            hint = "Leave it; requorum_only restricts the rollback to other nodes"
            yield Refusal(what, back.node, f"{hint}, and requorum_run names an earlier run, as one that has reset.")


def in_scope(path: str, datastore: str) -> bool:
    """Whether a rollback that puts this datastore back must find the file as the backup of the run has it."""
    server = datastore.removesuffix("/db/etcd")
    etc = r"/etc/rancher/(?:(?:rke2|k3s)/config\.yaml(?:\.d/.*)?|node/password)"
    return path.startswith((f"{server}/tls/", f"{server}/cred/", f"{server}/token")) or bool(re.fullmatch(etc, path))


def compared(kept: t.Mapping[str, str], now: t.Mapping[str, str]) -> tuple[int, list[str]]:
    """(files that are as they were, those that are not): hashes in the backup of the run, and on the node again."""
    differ = [path for path in kept if path in now and now[path] != kept[path]]
    gone = [f"{path} (gone)" for path in kept if path not in now]
    new = [f"{path} (new)" for path in now if path not in kept]
    return len(kept) - len(differ) - len(gone), [*differ, *gone, *new]
