# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The way back from a run: what it moved aside is put back, newest first, as far as that can be right.

What was moved stands in the journal of each node (`moved=FROM|TO`); whether its unit ran stands in what the run saw
before it began. Once the cluster that replaced an old one has begun to write, a datastore is put back only by somebody
who gives those writes up by the number that the refusal has shown, and only when every server of it is fenced.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass, field, replace

from . import _aside, _plan, _turns
from ._classify import RESETS, Case, Refusal
from ._distro import Distro
from ._plan import Plan, Todo
from ._server import Server, runs

JSON = t.Mapping[str, t.Any]
PHASES = ("INSPECT", "PLAN", "BACKUP", "ROLLBACK", "VERIFY")
RESET_KEPT = re.compile(r"(.*/(?:etcd|tls))-(?:old-)?[0-9]+")
"""What a reset moves aside by itself: db/etcd-old-<unix>, tls-<unix>."""
NEVER = ("/reset-flag", "/tombstone", "/zz-requorum.yaml", "/zz-requorum.conf", "/pod-manifests/")
"""Parts of paths that stay aside: the next start would obey them, or makes them anew."""
BEGINS = ("reset", "start", "rejoin")
"""Verbs by which a later run has begun anew."""
OFFERED = 3600
"""Seconds for which the number of a refusal may be typed: a living cluster writes all the time."""
NO_RETURN = "The first datastore that is put back: until then recover.yml starts the new cluster again as it is."


@dataclass(frozen=True)
class Moved:
    """A file or folder that the run moved aside."""

    origin: str
    kept: str
    """Empty where nothing comes back: what lies there is only moved aside."""

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
    rollbacks: t.Sequence[JSON] = ()
    """Plans of rollbacks of it, with `acted`: whether one of their nodes was changed."""


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
    off: bool = False
    """Its unit did not start at boot before the run, as that of an empty host: it shall not now."""
    store: str = ""
    """Hash of its datastore when the run had stopped it; empty where none was taken."""

    @property
    def datastore(self) -> bool:
        return any(item.datastore for item in self.moved)


def backs(record: Record, entries: t.Sequence[JSON], servers: t.Sequence[Server] = ()) -> tuple[Back, ...]:
    """What each node that answers gets back; nothing where the run moved nothing and left the unit as it was.

    servers: the same as the decisions see them. Behind the point of no return every one of them is taken.
    """
    before = {entry["name"]: entry for entry in record.before.get("nodes") or ()}
    own = _own(record, entries)
    stores = {back.node for back in own if back.datastore}
    living = [(server, e) for e in entries for server in servers if server.name == e["name"] and server.reachable]
    joined = {server.name for server, entry in living if _joined(record, entry, server)} - stores
    # Of a rollback that was killed, perhaps only a server is left that has nothing to get back.
    cut = any(one["acted"] for one in record.rollbacks) and not any(a["verb"] in BEGINS for a in record.later)
    if record.plan.get("case") not in RESETS or not _written(record, servers) or not (stores or (cut and joined)):
        return own
    known = {back.node: back for back in own}
    for server, entry in living:
        was = before.get(server.name)
        back = known.setdefault(server.name, Back(server.name, (), _ran(was), off=_off(was or {})))
        if server.name in joined and entry.get("program"):
            had, folder = before.get(server.name, {}).get("files"), f"{entry['program']['data_dir']}/server"
            bare = had is not None and f"{folder}/tls" not in had  # an empty host becomes one again
            also = [Moved(f"{folder}/{name}", "") for name in ("tls", "cred", "token") if bare]
            known[server.name] = replace(back, moved=(*back.moved, Moved(f"{folder}/db/etcd", ""), *also))
    return tuple(replace(known[e["name"]], done=False) for e in entries if e["name"] in known)


def _joined(record: Record, entry: JSON, server: Server) -> bool:
    """Whether its datastore is of the new cluster, and no rollback has put it there."""
    journal = [str(line) for line in entry.get("journal") or ()]
    touched = [line for line in journal if line.startswith(("moved=", "undone=")) and "/db/etcd|" in line]
    if any(made["stamp"] in line for made in record.rollbacks for line in touched if line.startswith("moved=")):
        return False
    if server.store in ("absent", "unknown") and server.etcd == "stopped":
        return False
    olds = [one.get("cluster_id") for one in record.plan.get("servers") or ()]
    had = next((one.get("store") for one in record.plan.get("servers") or () if one["name"] == server.name), None)
    joined = had in ("absent", "damaged") or any(
        a["verb"] == "rejoin" and a["node"] == server.name for a in (*record.actions, *record.later)
    )
    return joined or server.cluster_id not in (None, *olds)


def _own(record: Record, entries: t.Sequence[JSON]) -> tuple[Back, ...]:
    """Of what stands in the journals."""
    before = {entry["name"]: entry for entry in record.before.get("nodes") or ()}
    fenced = {action["node"] for action in record.actions if action["verb"] == "fence"}
    meant = {action["node"] for action in record.plan.get("actions") or () if action["verb"] == "fence"}
    found = []
    for entry in entries:
        if not entry["reachable"]:
            continue
        moved, ran = _moved(record, entry, before.get(entry["name"])), _ran(before.get(entry["name"]))
        cut = _cut(record, entry)
        # Of a fence in which the run was killed only the node tells.
        stopped = entry["name"] in fenced or (entry["name"] in meant and _turns.cut_off(entry))
        if moved or cut or (stopped and ran and not _ran(entry)):
            done = cut and not moved and _ran(entry) >= ran
            found.append(
                Back(
                    entry["name"],
                    tuple(reversed(moved)),
                    ran,
                    done,
                    _off(before.get(entry["name"]) or {}),
                    _store(record, entry),
                )
            )
    return tuple(found)


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
    if reset and (why := _written(record, case.servers)):
        return _beyond(record, found, case, distro, ask, why)
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


def _beyond(record: Record, found: t.Sequence[Back], case: Case, distro: Distro, ask: _turns.Ask, why: str) -> Plan:
    """Behind the point of no return: nothing of the new cluster may run any more when an old datastore comes back."""
    lost, loss = given_up(record, case.servers)
    made = replace(_plan.empty(case, ask.cluster), loss=loss, lost=lost)
    refusals = tuple(_hindered(record, case, ask, why, loss))
    if refusals:
        return replace(made, refusals=refusals)
    source = None
    if case.kind in ("healthy", "member_lost", "api_down") and not any(one["acted"] for one in record.rollbacks):
        source = _plan.find_source(case, distro)
    if source and source.stop:
        source = None
    living = [back.node for back in found if back.node not in ask.agents]
    anchor = next((name for name in living if name == record.plan.get("survivor")), living[0])
    steps = [
        *(_plan.saving(case, source) if source else ()),
        *(Todo("stop to revert", name) for name in living),
        Todo("prove to revert", anchor),
        *(Todo("revert", back.node) for back in found),
        *(Todo("release", name) for name in living),
    ]
    words = {"run": record.stamp, "others": ", ".join(server.name for server in case.servers if server.name != anchor)}
    base = case if case.base else replace(case, base=case.servers)
    was = str(record.plan.get("reason") or "")
    return replace(
        made,
        refusals=(),
        actions=_plan.number(steps, base, distro, source, phases=PHASES, more=words),
        saver=source.node if source else "",
        offline=bool(source and source.offline),
        phases=PHASES,
        aim=f"Rolled back: run {record.stamp}. The new cluster is kept aside, and this is again the cluster of before, "
        f"without a quorum: {was or record.plan.get('case')}",
        no_return=NO_RETURN,
    )


def _hindered(record: Record, case: Case, ask: _turns.Ask, why: str, loss: str) -> t.Iterator[Refusal]:
    """The number first, then what must be there besides."""
    ends, given = reached(case.servers), accepted(ask.options)
    if not given or given not in _offered(record, ask.now, ends):
        what = f"Run {record.stamp} has passed its point of no return: {why}. {loss}"
        if given and ends:
            what = f"requorum_accept_loss={given} is not what a refusal of the last hour has shown. {what}"
        allows = (
            f"requorum_accept_loss={ends} allows it, within the hour."
            if ends
            else "How far the new cluster got cannot be read, and until then nothing allows it: recover.yml --check."
        )
        hint = f"{allows} What is older is in the backup of the run too: recover.yml goes back to it with "
        yield Refusal(what, str(record.plan.get("survivor") or "the datastore"), f"{hint}requorum_snapshot.")
    off = [server for server in case.servers if not server.reachable]
    for server in off:
        if not server.powered_off:
            yield Refusal(
                f"{server.name} does not answer. A member of the new cluster that runs there would go on beside the "
                "old one.",
                server.name,
                "Bring it back, or cut its power and name it in requorum_powered_off.",
            )
    if len(off) * 2 > len(case.servers):
        yield Refusal(
            "Most servers are off. Powered on again, they would be the new cluster beside the old one.",
            ", ".join(server.name for server in off),
            "Bring them back first: what they hold must be moved aside too.",
        )
    if ask.only:
        yield Refusal(
            "requorum_only would leave members of the new cluster as they are.",
            "requorum_only",
            "Behind the point of no return all servers go back together: leave it out.",
        )


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


def _offered(record: Record, now: float, ends: int) -> set[str]:
    """Revisions that may be typed now: of refusals of the last hour, and of a rollback that has begun with it."""
    found = {str(ends)} if ends else set()
    for made in record.rollbacks:
        age = now - datetime.datetime.strptime(made["stamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()
        if made.get("reached") and age <= OFFERED:
            found.add(str(made["reached"]))
        if made["acted"] and made.get("accepted"):
            found.add(str(made["accepted"]))
    return found


def accepted(options: JSON) -> str:
    """The number that was typed; other playbooks take a list by this name, so it comes as a list of one."""
    given = options.get("accept_loss") or ""
    return ",".join(map(str, given)) if isinstance(given, list) else str(given)


def reached(servers: t.Iterable[Server]) -> int:
    """The revision that the cluster has reached, as far as its servers tell; 0 when none does."""
    return max((server.revision for server in servers), default=0)


def given_up(record: Record, servers: t.Sequence[Server]) -> tuple[int | None, str]:
    """(revisions, sentence): what the new cluster has written."""
    ends, told = reached(servers), re.search(r"revision (\d+)", _reset(record))
    begun = _starts(record)
    since = f" since {begun[0]['node']} was started at {begun[0]['started'][:19]}Z" if begun else ""
    mine: JSON = next(
        (one for one in record.plan.get("servers") or () if one["name"] == record.plan.get("survivor")), {}
    )
    old = f" The old datastore of {mine['name']} ends at revision {mine['revision']}." if mine.get("revision") else ""
    if not told or not ends:
        return None, f"All that the new cluster has written{since} is given up.{old}"
    count = max(0, ends - int(told[1]))
    text = f"revision {told[1]} to {ends}, {count} writes, those of Leases too"
    return count, f"All that the new cluster has written{since} is given up: {text}.{old}"


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


def _starts(record: Record) -> list[JSON]:
    return [a for a in (*record.actions, *record.later) if a["verb"] in ("start", "rejoin")]


def _written(record: Record, servers: t.Sequence[Server]) -> str:
    """Why the cluster that the reset made may have written something; empty when it has not."""
    if started := _starts(record):
        return f"{started[0]['node']} was started at {started[0]['started']}"
    server = next((server for server in servers if server.name == record.plan.get("survivor")), None)
    if server is None:
        return ""
    if server.etcd != "stopped" and _reset(record):
        return f"etcd on {server.name} is {server.etcd}, not stopped"
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


def _store(record: Record, entry: JSON) -> str:
    """`store=STAMP HASH` of the journal."""
    words = [str(line).removeprefix("store=").split() for line in entry.get("journal") or () if line[:6] == "store="]
    return next((each[1] for each in words if len(each) == 2 and each[0] == record.stamp), "")


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


def _cut(record: Record, entry: JSON) -> bool:
    """Whether a rollback of this run was killed on this node: it has begun, and its journal is open still."""
    journal = [str(line) for line in entry.get("journal") or ()]
    begun = any(a["verb"] == "revert" and a["node"] == entry["name"] for a in record.later)
    begun = begun or any(line.startswith("undone=") and record.stamp in line for line in journal)
    # What a reset moves aside by itself has no stamp; what was put aside for it has that of the rollback.
    later = [stamp for line in journal if line.startswith("moved=") for stamp in _aside.STAMP.findall(line)]
    begun = begun or max(later, default="") > record.stamp
    return begun and _turns.cut_off(entry)


def _off(entry: JSON) -> bool:
    """Whether its unit was disabled, and not by a run that was cut off."""
    disabled = (entry.get("unit") or {}).get("UnitFileState") == "disabled"
    return disabled and "enabled=enabled" not in (entry.get("journal") or ())


def _ran(entry: JSON | None) -> bool:
    return any(runs((entry or {}).get(key)) for key in ("unit", "agent"))
