# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd of one server, out of what the log collector has asked of it: as `_answers` has what a live one says.

RKE2: tables and lines of etcdctl (etcdctl/ctlv3/command/printer*.go; more columns since etcd 3.6), of all endpoints.
K3s: the list of members as JSON. Both: metrics, in which the leader stands by whether a server is it. What no part
tells is unread: a leader that is not seen here may be seen by a server that did not answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _answers, _blocks

JSON = dict[str, Any]
_MEMBER = re.compile(r"(?m)^([0-9a-f]+), (?:started|unstarted), (.*?), (\S*), (\S*)(?:, (true|false))?$")
_HEALTH = re.compile(r"(?m)^(\S+) is (healthy|unhealthy): (.*)$")
_FULL = re.compile(r"failed to commit proposal: Active Alarm\(s\):(?: NOSPACE)+ *")
_ALARM = re.compile(r"memberID:(\d+) alarm:(\w+) *")
_METRIC = re.compile(r"(?m)^(etcd_\w+)(?:\{([^}\n]*)\})? (-?\d+(?:\.\d+)?(?:e[-+]?\d{1,2})?)$")
_METRICS = re.compile(r"etcd/etcd-metrics-(.+)\.txt$")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?)B")
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
LOCAL = frozenset(("127.0.0.1", "localhost", "::1"))


@dataclass(frozen=True)
class Etcd:
    """Its part of a node's entry."""

    block: JSON | None
    unread: dict[str, str] = field(default_factory=dict)


def read(files: Mapping[str, str], addresses: Collection[str]) -> Etcd:
    """files: the collector's, by their path. addresses: those of the host."""
    if not any(path.startswith(("etcd/memberlist", "etcd/endpoint", "etcd/etcd-metrics")) for path in files):
        return Etcd(None, {"etcd": "the collector has reached no etcd on this host"})
    own = LOCAL | set(addresses)
    rows = {_host(row.get("endpoint", "")): row for row in table(files.get("etcd/endpointstatus", ""))}
    metrics = {_host(found[1]): _metrics(text) for path, text in files.items() if (found := _METRICS.match(path))}
    listed = _blocks.loads(files.get("etcd/memberlist.json")) or {}
    mine = next((each for host, each in metrics.items() if host in own and each), {})
    row = next((row for host, row in rows.items() if host in own), {})
    unread: dict[str, str] = {}
    header = listed["header"] if isinstance(listed.get("header"), dict) else {}
    status = _status(row, mine, header, _leader(row, mine, rows.values(), metrics.values()))
    if status is None:
        unread["etcd.status"] = "the collector's answers do not tell its term, its index and whether it sees a leader"
    named = list(_alarms(files.get("etcd/alarmlist")) or ())
    alarms = None if _alarms(files.get("etcd/alarmlist")) is None else list(dict.fromkeys(a for _id, a in named))
    if alarms is None:
        unread["etcd.alarms"] = "etcdctl alarm list has got no answer"
    return Etcd({
        "health": _health(files.get("etcd/endpointhealth", ""), own, mine),
        "port": None,
        "status": status,
        "members": _members(files.get("etcd/memberlist", ""), listed),
        "alarms": alarms,
        "alarmed": dict(named),
    }, unread)  # fmt: skip


def table(text: str) -> Iterator[dict[str, str]]:
    """Rows of a table of etcdctl: column, in small letters -> text. Lines that are none are left out.

    A long text goes on in the next line, in which the first column is empty.
    """
    rows: list[list[str]] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells or (rows and len(cells) != len(rows[0])):
            continue
        if len(rows) > 1 and not cells[0]:
            rows[-1] = [f"{cell} {more}".strip() for cell, more in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
    names = [cell.lower() for cell in rows[0]] if rows else []
    for row in rows[1:]:
        yield dict(zip(names, row, strict=True))


def _host(endpoint: str) -> str:
    """`https://[fd00::1]:2379` -> `fd00::1`."""
    return endpoint.partition("://")[2].rpartition(":")[0].strip("[]") or endpoint.rpartition(":")[0].strip("[]")


def _metrics(text: str) -> JSON:
    """Name -> number; those whose value is a label: name -> label."""
    found: JSON = {}
    for name, labels, value in _METRIC.findall(text):
        label = re.search(r'(?:server_id|server_version)="([^"]+)"', labels)
        if label:
            found[name] = label[1]
        elif not labels:
            found[name] = float(value)
    return found


def _leader(row: JSON, mine: JSON, rows: Iterable[JSON], metrics: Iterable[JSON]) -> tuple[bool, str | None]:
    """Whether it is known what this server thinks of a leader, and the leader's ID; None: it sees none."""
    if mine.get("etcd_server_has_leader") == 0 or "no leader" in row.get("errors", ""):
        return True, None
    if not row and not mine:
        return False, None
    leading = [each["id"] for each in rows if each.get("is leader") == "true"]
    leading += [each.get("etcd_server_id") for each in metrics if each.get("etcd_server_is_leader") == 1]
    named = set(filter(None, leading))
    return (True, str(named.pop())) if len(named) == 1 else (False, None)


def _status(row: JSON, mine: JSON, header: JSON, leader: tuple[bool, str | None]) -> JSON | None:
    """As `_answers` has it, as far as it is known; without a term or an index nothing of it is told."""
    ident = row.get("id") or mine.get("etcd_server_id") or _hex(header, "member_id")
    term = row.get("raft term") or header.get("raft_term")
    index = row.get("raft applied index") or mine.get("etcd_server_proposals_applied_total")
    if not (leader[0] and ident and str(term or "").isdigit() and index is not None):
        return None
    learner = row["is learner"] == "true" if row.get("is learner") else mine.get("etcd_server_is_learner") == 1
    revision = mine.get("etcd_debugging_mvcc_current_revision")
    return {
        "cluster_id": _hex(header, "cluster_id"),
        "member_id": ident,
        "leader": leader[1],
        "learner": learner,
        **({} if revision is None else {"revision": int(revision)}),
        "term": int(str(term)),
        "index": int(float(index)),
        "version": row.get("version") or mine.get("etcd_server_version"),
        "bytes": _bytes(mine.get("etcd_mvcc_db_total_size_in_bytes"), row.get("db size")),
        "in_use": _bytes(mine.get("etcd_mvcc_db_total_size_in_use_in_bytes"), row.get("in use")),
        "quota": _bytes(mine.get("etcd_server_quota_backend_bytes"), row.get("quota")),
        "errors": [error for error in row.get("errors", "").split(", ") if error],
    }


def _hex(header: JSON, name: str) -> str | None:
    """An ID that JSON has in decimal digits."""
    return f"{int(header[name]):x}" if str(header.get(name) or "").isdigit() else None


def _bytes(exact: float | None, told: str | None) -> int | None:
    if exact is not None:
        return int(exact)
    found = _SIZE.fullmatch(told or "")
    return round(float(found[1]) * _SIZES[found[2]]) if found else None


def _members(text: str, listed: JSON) -> list[JSON] | None:
    if isinstance(listed.get("members"), list):
        try:
            return [_answers.member(entry) for entry in listed["members"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
    found = [
        {"id": ident, "name": name, "peer_urls": peers.split(",") if peers else [], "learner": learner == "true"}
        for ident, name, peers, _clients, learner in _MEMBER.findall(text)
    ]
    return found or None


def _health(text: str, own: Collection[str], mine: JSON) -> JSON | None:
    """What a read through the quorum said; else that its own metrics see no leader.

    etcdctl calls an endpoint with an alarm unhealthy although the read went well; NOSPACE does not count, as live.
    """
    for endpoint, word, why in _HEALTH.findall(text):
        if _host(endpoint) in own:
            healthy = word == "healthy" or bool(_FULL.fullmatch(why))
            return {"ok": healthy, "reason": None if healthy else why.strip()}
    if mine.get("etcd_server_has_leader") == 0:
        return {"ok": False, "reason": "RAFT NO LEADER"}
    return None


def _alarms(text: str | None) -> list[tuple[str, str]] | None:
    """Member ID and alarm; None where anything else was said."""
    if text is None:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_ALARM.fullmatch(line) for line in lines]
    return None if not all(found) else [(f"{int(each[1]):x}", each[2]) for each in found if each]
