# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a schedule looks at: ends of certificates, health and room of etcd, the newest proved backup off the nodes.

Fails closed: what was not read is null, stands in `unknown`, and is judged by nobody.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from . import _certificates, _clocks, _diagnose, _jmes, _repair, _server, _tls, _tls_files, _upkeep_judge, _upkeep_logs
from ._errors import RequorumError
from ._found import why_not
from ._upkeep_judge import Thresholds
from ._upkeep_logs import Searched

JSON = dict[str, t.Any]
SCHEMA = 1
PARTS = ("certificates", "etcd", "backups")
USUAL, NOTHING = Thresholds(), Searched()


@dataclass(frozen=True)
class Kept:
    """One backup of the cluster."""

    path: str
    """As requorum_snapshot names it."""
    time: int
    """Unix seconds."""
    proved: bool
    revision: int | None = None
    off_node: bool = True
    """False where the controller is itself a node of the cluster."""


@dataclass(frozen=True)
class Backups:
    """All that were found, and the places that could not be read."""

    found: tuple[Kept, ...] = ()
    unread: t.Mapping[str, str] = field(default_factory=dict)
    """Place (controller, s3) -> why."""


@dataclass(frozen=True)
class _Unknown:
    """Something that was not read; an `optional` one changes no exit code."""

    what: str
    node: str | None
    why: str
    optional: bool = False


def upkeep(
    state: JSON,
    backups: Backups | None,
    parts: t.Collection[str] = PARTS,
    thresholds: Thresholds = USUAL,
    searched: Searched = NOTHING,
) -> JSON:
    """The document: schema, cluster, time, parts, thresholds, nodes, clocks, certificates, etcd, backups, unknown,
    findings.

    state: ClusterState; RequorumError where it has no time. backups: None where nobody has listed them. A part that
    was not asked for is null. searched: the rules by which the logs of `state` were searched; without them, what logs
    tell is unknown.

    `nodes`: name, server, reachable, clock_skew (seconds). `clocks`: the sentence about clocks by which ends and ages
    cannot be told, or empty. `certificates`: node, name (path), authority, ends (Unix seconds), days. `etcd`: node,
    healthy, problem, leader (it is the leader), bytes, in_use, quota (bytes), fragmented (a defragmentation is worth
    it), alarms, slow_fsync and leader_changes (so many in the logs since `logs_from`). `backups`: newest_proved (path,
    time, age_s, revision, off_node; null where there is none), complete (all places were read), count (of proved ones),
    unproved, on_nodes (the newest snapshot on each server: node, path, time, age_s, bytes, count). `unknown`: what,
    node, why, optional. Times are Unix seconds, but for `time` and `logs_from`.
    """
    look = _Look(state, thresholds, searched)
    document: JSON = {
        "schema": SCHEMA,
        "cluster": state["cluster"],
        "time": state["time"],
        "parts": [part for part in PARTS if part in parts],
        "thresholds": asdict(thresholds),
        "nodes": [look.node(entry) for entry in state["nodes"]],
        "clocks": look.clocks(),
        "certificates": list(look.certificates()) if "certificates" in parts else None,
        "etcd": list(look.etcd()) if "etcd" in parts else None,
        "backups": look.backups(backups) if "backups" in parts else None,
    }
    document["unknown"] = [asdict(each) for each in look.unknown]
    return {**document, "findings": _upkeep_judge.findings(document, thresholds)}


class _Look:
    """One look at a state, which gathers what it could not see."""

    def __init__(self, state: JSON, thresholds: Thresholds, searched: Searched) -> None:
        self.state, self.thresholds, self.searched = state, thresholds, searched
        now = _jmes.seconds(state["time"])
        if now is None:
            raise RequorumError("The state has no time, so nothing can be said of ages.", "Inspect the cluster again.")
        self.now = now
        self.servers = [entry for entry in state["nodes"] if _diagnose.is_server(entry, state)]
        self.unknown = [] if self.servers else [_Unknown("*", None, "no server was looked at")]
        self.blind = not (searched.slow_fsync and searched.leader_changes)

    def node(self, entry: JSON) -> JSON:
        """Whether it was reached at all."""
        about = {"name": entry["name"], "server": entry in self.servers, "reachable": bool(entry["reachable"])}
        return about | {"clock_skew": entry.get("clock_skew")}

    def clocks(self) -> str:
        entries = self.state["nodes"]
        return _clocks.cause({e["name"]: e["clock_skew"] for e in entries if e.get("clock_skew") is not None})

    def certificates(self) -> t.Iterator[JSON]:
        for entry in self.state["nodes"]:
            rows = entry.get("certificates") or ()
            if not rows and entry in self.servers:
                self._miss("certificates", entry, "certificates", "no certificate was found")
            for row in rows:
                name = _certificates.below(row["path"])
                if row["ends"] is None:
                    self.unknown.append(_Unknown("certificates", entry["name"], f"{name} is no certificate"))
                days = None if row["ends"] is None else round((row["ends"] - self.now) / _tls.DAY, 2)
                own = name in _tls_files.AUTHORITIES or name.endswith("-ca.crt")
                yield {"node": entry["name"], "name": name, "authority": own, "ends": row["ends"], "days": days}

    def etcd(self) -> t.Iterator[JSON]:
        if self.blind:
            self.unknown.append(_Unknown("etcd.logs", None, "the logs were not searched"))
        yield from map(self._etcd, self.servers)

    def _etcd(self, entry: JSON) -> JSON:
        etcd, view = entry.get("etcd") or {}, _server.view(entry)
        status, health = etcd.get("status") or {}, etcd.get("health")
        healthy, problem = self._health(view, health)
        size = status.get("bytes") or (entry.get("datastore") or {}).get("bytes")
        used, quota = status.get("in_use"), status.get("quota")
        if healthy is None:
            self._miss("etcd.health", entry, "health", "etcd was not asked")
        if not size or used is None:
            self._miss("etcd.size", entry, "gateway", "the gateway of etcd does not answer")
        if quota is None:
            why = f"etcd {status.get('version') or 'before 3.6'} does not tell it" if status else ""
            self._miss("etcd.quota", entry, "gateway", why or "the gateway of etcd does not answer", optional=True)
        window = _upkeep_logs.Window(self.state, entry["name"], self.thresholds.log_hours * 3600)
        if not window.logs and not self.blind:
            self._miss("etcd.logs", entry, "logs", "no log of etcd was read")
        return {
            "node": entry["name"],
            "healthy": healthy,
            "problem": problem,
            "leader": view.leader if status else None,
            "bytes": size or None,
            "in_use": used,
            "quota": quota,
            "fragmented": _repair.wasteful(size, used, self.thresholds.defragment_mb) if size and used else None,
            "alarms": etcd.get("alarms"),
            **window.counts(self.searched),
            "logs_from": window.begin,
        }

    @staticmethod
    def _health(view: _server.Server, health: JSON | None) -> tuple[bool | None, str | None]:
        """Whether it is well, and what is wrong; None where nobody can say."""
        if view.etcd in ("leaderless", "stopped"):
            return False, "runs and sees no leader" if view.etcd == "leaderless" else "does not run"
        if health is None:
            return None, None
        return bool(health["ok"]), None if health["ok"] else f"is not healthy: {health['reason'] or 'without a reason'}"

    def backups(self, listed: Backups | None) -> JSON:
        """Those off the nodes, and beside them what lies on the nodes."""
        given = listed or Backups(unread={"backups": "nobody has listed them"})
        for place, why in given.unread.items():
            what = "backups" if place == "backups" else f"backups.{place}"
            self.unknown.append(_Unknown(what, None, why))
        proved = [kept for kept in given.found if kept.proved]
        best = max(proved, key=lambda kept: (kept.off_node, kept.time, kept.path), default=None)
        return {
            "newest_proved": None if best is None else self._dated(best),
            "complete": not given.unread,
            "count": len(proved),
            "unproved": len(given.found) - len(proved),
            "on_nodes": [row for entry in self.servers if (row := self._on_node(entry))],
        }

    def _dated(self, kept: Kept) -> JSON:
        about = {key: getattr(kept, key) for key in ("path", "time", "revision", "off_node")}
        return about | {"age_s": round(self.now - kept.time)}

    def _on_node(self, entry: JSON) -> JSON | None:
        """The newest snapshot that a server has made for itself; these are no backups off the node."""
        if entry.get("snapshots") is None:
            self._miss("snapshots", entry, "snapshots", "they were not listed", optional=True)
            return None
        files = {path: file for path, file in entry["snapshots"].items() if not file["directory"]}
        path = max(files, key=lambda name: (files[name]["mtime"], name), default=None)
        about = {"path": path, "time": None, "age_s": None, "bytes": None}
        if path is not None:
            made = files[path]["mtime"]
            about |= {"time": made, "age_s": round(self.now - made), "bytes": files[path]["bytes"]}
        return {"node": entry["name"], "count": len(files), **about}

    def _miss(self, what: str, entry: JSON, word: str, otherwise: str, *, optional: bool = False) -> None:
        why = why_not(entry, word, entry.get("error") or otherwise)
        self.unknown.append(_Unknown(what, entry["name"], why, optional))


def failed(cluster: str, why: str, parts: t.Collection[str] = PARTS) -> JSON:
    """The document of a look that did not come to its end."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    document = upkeep({"cluster": cluster, "time": now, "nodes": []}, None, ())
    return document | {
        "parts": [part for part in PARTS if part in parts],
        "unknown": [asdict(_Unknown("*", None, why))],
    }
