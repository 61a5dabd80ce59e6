# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a run left, and what each node gets back of it.

What was moved stands in the journal of each node (`moved=FROM|TO`); whether its unit ran stands in what the run saw
before it began.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from . import _aside, _turns
from ._classify import RESETS
from ._server import Server, runs

JSON = t.Mapping[str, t.Any]
RESET_KEPT = re.compile(r"(.*/(?:etcd|tls))-(?:old-)?[0-9]+")
"""What a reset moves aside by itself: db/etcd-old-<unix>, tls-<unix>."""
NEVER = ("/reset-flag", "/tombstone", "/zz-requorum.yaml", "/zz-requorum.conf", "/pod-manifests/")
"""Parts of paths that stay aside: the next start would obey them, or makes them anew."""
BEGINS = ("reset", "start", "rejoin")
"""Verbs by which a later run has begun anew."""


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
    if record.plan.get("case") not in RESETS or not written(record, servers) or not (stores or (cut and joined)):
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


def starts(record: Record) -> list[JSON]:
    return [a for a in (*record.actions, *record.later) if a["verb"] in ("start", "rejoin")]


def written(record: Record, servers: t.Sequence[Server]) -> str:
    """Why the cluster that the reset made may have written something; empty when it has not."""
    if started := starts(record):
        return f"{started[0]['node']} was started at {started[0]['started']}"
    server = next((server for server in servers if server.name == record.plan.get("survivor")), None)
    if server is None:
        return ""
    if server.etcd != "stopped" and reset_said(record):
        return f"etcd on {server.name} is {server.etcd}, not stopped"
    told = re.search(r"revision (\d+)", reset_said(record))
    if told and server.revision and int(told[1]) != server.revision:
        return f"its datastore was at revision {told[1]} after the reset and is at {server.revision} now"
    return ""


def reset_said(record: Record) -> str:
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
