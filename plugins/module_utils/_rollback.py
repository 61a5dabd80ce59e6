# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The way back from a run: what it moved aside is put back, newest first, as far as that can be right.

What was moved stands in the journal of each node (`moved=FROM|TO`); whether its unit ran stands in what the run saw
before it began. A datastore is put back only before the cluster that replaced it has begun to write.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from . import _plan, _turns
from ._classify import RESETS, Case, Refusal
from ._distro import Distro
from ._plan import Plan, Todo

JSON = t.Mapping[str, t.Any]
PHASES = ("INSPECT", "PLAN", "BACKUP", "ROLLBACK", "VERIFY")
RESET_KEPT = re.compile(r"(.*/(?:etcd|tls))-(?:old-)?[0-9]+")
"""What a reset moves aside by itself: db/etcd-old-<unix>, tls-<unix>."""
STAMP = re.compile(r"\d{8}T\d{6}Z")
NEVER = ("/reset-flag", "/tombstone", "/zz-requorum.yaml", "/zz-requorum.conf", "/pod-manifests/")
"""Parts of paths that stay aside: the next start would obey them, or makes them anew."""


@dataclass(frozen=True)
class Moved:
    """A file or folder that the run moved aside."""

    origin: str
    kept: str

    @property
    def datastore(self) -> bool:
        return self.origin.endswith("/db/etcd")


@dataclass(frozen=True)
class Record:
    """What a run left in its folder."""

    stamp: str
    plan: JSON = field(default_factory=dict)
    actions: t.Sequence[JSON] = ()
    before: JSON = field(default_factory=dict)
    later: t.Sequence[JSON] = ()
    """Actions of the runs after it."""


@dataclass(frozen=True)
class Back:
    """What one node gets back."""

    node: str
    moved: tuple[Moved, ...]
    """Newest first."""
    start: bool
    """Its unit ran before the run."""
    done: bool = False
    """A rollback that was killed has put all of it back and started its unit; only `release` is left."""

    @property
    def datastore(self) -> bool:
        return any(item.datastore for item in self.moved)


def backs(record: Record, entries: t.Sequence[JSON]) -> tuple[Back, ...]:
    """What each node that answers gets back; nothing where the run moved nothing and left the unit as it was."""
    before = {entry["name"]: entry for entry in record.before.get("nodes") or ()}
    fenced = {action["node"] for action in record.actions if action["verb"] == "fence"}
    found = []
    for entry in entries:
        if not entry["reachable"]:
            continue
        moved, ran = _moved(record, entry, before.get(entry["name"])), _ran(before.get(entry["name"]))
        cut = _cut(record, entry)
        if moved or cut or (entry["name"] in fenced and ran and not _ran(entry)):
            done = cut and not moved and _ran(entry) >= ran
            found.append(Back(entry["name"], tuple(reversed(moved)), ran, done))
    return tuple(found)


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """The plan that undoes the run in `ask.options["record"]`."""
    record: Record | None = ask.options.get("record")
    made = replace(_plan.empty(case, ask.cluster), refusals=())
    if record is None:
        hint = "requorum_run takes the stamp of a run: the name of its folder in requorum_output."
        return replace(made, refusals=(Refusal("There is no run that could be rolled back.", "controller", hint),))
    found = tuple(back for back in backs(record, ask.entries) if not ask.only or back.node in ask.only)
    if refusals := tuple(_forbidden(record, found, case)):
        return replace(made, refusals=refusals)
    if not found:
        return replace(made, reason=f"{case.reason} Run {record.stamp} left nothing aside that could be put back.")
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


def _forbidden(record: Record, found: t.Sequence[Back], case: Case) -> t.Iterator[Refusal]:
    """CAs: never. Datastores: not after the first write of the new cluster, and never that of a removed member."""
    if record.plan.get("purpose") == "rotate_ca":
        yield Refusal(
            f"Run {record.stamp} has replaced CAs, or brought hosts under new ones.",
            "the datastore",
            "Leave it: the new files trust the old CAs too. docs/certificates.md, A CA ends, has the way back by hand.",
        )
    for back in found:
        if not back.datastore:
            continue
        kept = ", ".join(item.kept for item in back.moved if item.datastore)
        if record.plan.get("case") not in RESETS:
            what = f"{back.node} has joined as a new member, and its old datastore ({kept}) is of one that was removed."
            yield Refusal(what, back.node, "Leave it; requorum_only restricts the rollback to other nodes.")
        elif why := _written(record, back.node, case):
            yield Refusal(
                f"Run {record.stamp} has passed its point of no return: {why}.",
                back.node,
                f"The old datastore stays at {kept}. What is older is in the backup of the run: "
                "recover.yml goes back to it with requorum_snapshot.",
            )


def _written(record: Record, node: str, case: Case) -> str:
    """Why the cluster that the reset made may have written something; empty when it has not."""
    started = [a for a in (*record.actions, *record.later) if a["verb"] in ("start", "rejoin")]
    if started:
        return f"{started[0]['node']} was started at {started[0]['started']}"
    server = next(server for server in case.servers if server.name == node)
    if server.etcd != "stopped" and _reset(record):
        return f"etcd on {node} is {server.etcd}, not stopped"
    told = re.search(r"revision (\d+)", _reset(record))
    if told and server.revision and int(told[1]) != server.revision:
        return f"its datastore was at revision {told[1]} after the reset and is at {server.revision} now"
    return ""


def _reset(record: Record) -> str:
    """What the reset said when it had ended; empty where the run was killed before."""
    return next((str(action["result"]) for action in record.actions if action["verb"] == "reset"), "")


def _moved(record: Record, entry: JSON, before: JSON | None) -> list[Moved]:
    """In the order in which they were moved; without what was put back since, and what stays aside."""
    journal = [str(line) for line in entry.get("journal") or ()]
    undone = {line.split("=", 1)[1] for line in journal if line.startswith("undone=")}
    lines = [line.split("=", 1)[1] for line in journal if line.startswith("moved=") and "|" in line]
    lines = [line for line in lines if record.stamp in line.split("|", 1)[1]]
    if before and record.plan.get("survivor") == entry["name"]:
        new = sorted(set(entry.get("files") or ()) - set(before.get("files") or ()))
        lines += [f"{match[1]}|{path}" for path in new if (match := RESET_KEPT.fullmatch(path))]
    found = [Moved(*line.split("|", 1)) for line in dict.fromkeys(lines) if line not in undone]
    return [item for item in found if not any(part in item.origin for part in NEVER)]


def _cut(record: Record, entry: JSON) -> bool:
    """Whether a rollback of this run was killed on this node: it has begun, and its journal is open still."""
    journal = [str(line) for line in entry.get("journal") or ()]
    begun = any(a["verb"] == "revert" and a["node"] == entry["name"] for a in record.later)
    begun = begun or any(line.startswith("undone=") and record.stamp in line for line in journal)
    # What a reset moves aside by itself has no stamp; what was put aside for it has that of the rollback.
    later = [stamp for line in journal if line.startswith("moved=") for stamp in STAMP.findall(line)]
    begun = begun or max(later, default="") > record.stamp
    return begun and any(line.startswith("enabled=") for line in journal)


def _ran(entry: JSON | None) -> bool:
    units = [(entry or {}).get(key) or {} for key in ("unit", "agent")]
    return any(unit.get("ActiveState") in ("active", "activating", "reloading") for unit in units)
