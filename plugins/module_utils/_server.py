# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One server as the decisions see it: a small frozen view of its entry in ClusterState.

Fails closed: what was not read is `unknown`, and `unknown` is neither healthy nor dead.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from . import _distro, _root

JSON = t.Mapping[str, t.Any]

Etcd = t.Literal["voting", "learning", "leaderless", "stopped", "unknown"]
"""voting: it reads through a quorum; learning: it sees a leader as a learner; leaderless: it runs and sees none."""
Store = t.Literal["intact", "damaged", "absent", "unknown"]


@dataclass(frozen=True)
class Member:
    """A member as a server lists it."""

    id: str
    name: str
    address: str
    learner: bool

    @property
    def node(self) -> str:
        """K3s and RKE2 name a member `<node>-<8 hex>`; an unstarted member has no name yet."""
        return self.name[:-9] if len(self.name) > 9 and self.name[-9] == "-" else self.name


@dataclass(frozen=True)
class Server:
    """What a decision needs to know of a server, reachable or not."""

    name: str
    address: str = ""
    node: str = ""
    """Name of its Node, which may differ from the inventory's name; empty while it is not known."""
    reachable: bool = True
    powered_off: bool = False
    """Named in requorum_powered_off by a person who has looked."""
    barred: str = ""
    """Why nothing can be read of a host that SSH reaches: it lives, whatever else is said of it."""
    moved: bool = False
    """The member of its datastore has another address than this host: it would start as no member of its cluster."""
    removed: bool = False
    """Its datastore has a tombstone: it was removed from its cluster, and its program would move it aside."""
    etcd: Etcd = "unknown"
    store: Store = "unknown"
    fault: str = ""
    cluster_id: str | None = None
    member_id: str | None = None
    members: tuple[Member, ...] = ()
    leader: bool = False
    term: int = 0
    index: int = 0
    revision: int = 0
    committed: int = 0
    """The last entry that is known to be committed: of the write-ahead log, where that is ahead of `index`."""
    newer: int = 0
    """Entries of the write-ahead log that the datastore file does not hold yet, committed or not."""
    gateway: bool = False
    healthy: bool = False
    """/health is true: some quorum stands, also when this server's part in it could not be read."""
    alarms: frozenset[str] = frozenset()
    """Alarms that its etcd knows of: NOSPACE, CORRUPT. They are the cluster's, not this server's own."""
    api: bool = False
    unit: bool = True
    """The server's unit is active or activating, or was not read; etcd of RKE2 goes on when it is not."""
    replaced: frozenset[str] = field(default_factory=frozenset)
    """Cluster IDs that a recovery has replaced, from this node's journal."""
    resetting: bool = False
    """A reset that an earlier run began goes on by itself."""
    free: int = 0
    store_bytes: int = 0
    skew: float = 0.0

    @property
    def position(self) -> tuple[int, int, int, int]:
        """How far its datastore got, most significant first.

        A restore takes the db alone, so what the db has applied comes first. What only the log holds (at most the last
        100 ms before a crash) decides between equals; a plain reset replays it up to the commit index, which etcd
        writes so late that it is often behind the db.
        """
        return self.term, self.index, self.revision, self.committed


def runs(unit: t.Mapping[str, t.Any] | None) -> bool:
    """Whether a unit runs, or is on its way to."""
    return (unit or {}).get("ActiveState") in ("active", "activating", "reloading")


def view(entry: JSON, powered_off: t.Collection[str] = ()) -> Server:
    """Server of one entry of ClusterState."""
    name, host = entry["name"], entry["host"]
    if not entry["reachable"]:
        error = str(entry.get("error") or "")
        barred = error.removeprefix(_root.BARRED) if error.startswith(_root.BARRED) else ""
        off = name in powered_off and not barred
        return Server(name, address=host, reachable=False, powered_off=off, barred=barred)
    program = entry.get("program") or {}
    store, etcd = entry.get("datastore"), entry.get("etcd") or {}
    status = etcd.get("status")
    summary = (store or {}).get("summary") or {}
    members = _members(etcd.get("members") or summary.get("members") or ())
    at = status or summary
    identity = status or store or {}
    wal = (store or {}).get("wal") or {} if at is summary else {}
    health = etcd.get("health") or {}
    running = _etcd(entry, status, {**health, "ok": True} if _elected(status, members, health) else health)
    lacking = _lacking(entry.get("journal") or (), at.get("revision"), members)
    listed = next((m.address for m in members if m.id == identity.get("member_id")), "")
    own = str(program.get("node_ip") or "").split(",")[0]
    moved = running in ("stopped", "unknown") and _elsewhere(listed, own, entry.get("addresses") or ())
    return Server(
        name,
        address=("" if moved else listed) or own or host,
        moved=moved,
        removed=running not in ("voting", "learning")
        and any(path.endswith("/db/etcd/tombstone") for path in entry.get("files") or ()),
        powered_off=name in powered_off,
        node=program.get("node_name") or entry.get("hostname") or "",
        etcd=running,
        store="damaged" if lacking else _store(store, status, health),
        fault=(store or {}).get("fault") or lacking,
        cluster_id=identity.get("cluster_id"),
        member_id=identity.get("member_id"),
        members=members,
        leader=bool(status and status["leader"] == status["member_id"]),
        term=at.get("term", 0),
        index=at.get("index", 0),
        revision=at.get("revision", 0),
        newer=wal.get("newer", 0),
        committed=max(at.get("index", 0), wal.get("commit", 0)),
        gateway=status is not None,
        healthy=bool(health.get("ok")),
        alarms=frozenset(etcd.get("alarms") or ()),
        api=bool((entry.get("api") or {}).get("ready")),
        unit=entry.get("unit") is None or runs(entry["unit"]),
        replaced=frozenset(
            line.split("=", 1)[1] for line in entry.get("journal") or () if line.startswith("replaced=")
        ),
        resetting=bool(entry.get("reset")) or "reset" in (entry.get("unread") or {}),
        free=(entry.get("disk") or {}).get("free") or 0,
        store_bytes=(store or {}).get("bytes") or 0,
        skew=entry.get("clock_skew") or 0.0,
    )


def _lacking(journal: t.Iterable[str], revision: int | None, members: t.Sequence[Member]) -> str:
    """A datastore that was made anew must be as far as what its reset was to restore, else that has failed half-way, or
    has made an empty cluster; the journal tells until the recovery has come to its end.
    """
    least = [int(line.split("=", 1)[1]) for line in journal if line.startswith("least=")]
    if not least or len(members) != 1 or revision is None or revision >= least[-1]:
        return ""
    return f"a reset that failed has left it at revision {revision}, and was to restore revision {least[-1]}"


def _elsewhere(listed: str, own: str, addresses: t.Sequence[str]) -> bool:
    """A member is started at the address that is configured for its host, else at one that the host has."""
    return bool(listed) and (listed != own if own else bool(addresses) and listed not in addresses)


def _members(entries: t.Iterable[JSON]) -> tuple[Member, ...]:
    return tuple(member(entry) for entry in entries)


def member(entry: JSON) -> Member:
    """A member of ClusterState's lists."""
    return Member(entry["id"], entry["name"], _address(entry["peer_urls"]), bool(entry.get("learner")))


def _address(urls: t.Sequence[str]) -> str:
    """Host of a peer URL, IPv6 brackets taken off."""
    return urls[0].split("://", 1)[-1].rsplit(":", 1)[0].strip("[]") if urls else ""


def _elected(status: JSON | None, members: t.Sequence[Member], health: JSON) -> bool:
    """/health is asked before the status: the only voter may come to lead between the two, and it needs nobody."""
    voters = [member.id for member in members if not member.learner]
    late = "NO LEADER" in (health.get("reason") or "")
    return bool(late and status and voters == [status["member_id"]] == [status["leader"]])


def _etcd(entry: JSON, status: JSON | None, health: JSON) -> Etcd:
    if status and not status["leader"]:
        return "leaderless"
    if status and status["learner"]:
        return "learning"
    if status:  # a leader is believed in for seconds after its peers died; /health reads through a quorum
        return "voting" if health and health["ok"] else "unknown"
    if "NO LEADER" in (health.get("reason") or ""):
        return "leaderless"
    processes, ports = entry.get("processes"), entry.get("listeners")
    if processes is None or ports is None:
        return "unknown"
    if any(process["name"] == "etcd" for process in processes) or {2379, 2380} & set(ports):
        return "unknown"
    return "stopped"


def _store(store: JSON | None, status: JSON | None, health: JSON) -> Store:
    if status or (store and store["cluster_id"] and health.get("ok")):
        return "intact"
    if store is None:
        return "unknown"
    if store["fault"]:
        return "damaged"
    if not store["present"]:
        return "absent"
    return "intact" if store["summary"] and store["cluster_id"] else "unknown"


def distro_of(entries: t.Iterable[JSON]) -> _distro.Distro | None:
    """The one distribution of a cluster; None when nothing or more than one was found."""
    names = {entry.get("distro") for entry in entries if entry["reachable"] and entry.get("distro")}
    return _distro.DISTROS.get(str(names.pop())) if len(names) == 1 else None
