# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What of the upkeep is not as it should be, and the exit code of the look."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _repair, _retention
from ._found import first

JSON = dict[str, t.Any]
OK, UNREAD, FOUND = 0, 1, 4
SHOWN = 8
NEARLY_FULL = 0.95
"""Of the quota: an alarm that is disarmed there is raised again at once."""


@dataclass(frozen=True)
class Thresholds:
    """When something is said. In brackets: the variable of docs/variables.md."""

    cert_days: float = 30
    """A leaf certificate that ends within so many days is a warning (`requorum_cert_days`)."""
    cert_days_error: float = 7
    """Within so many days, every certificate is an error (`requorum_cert_days_error`)."""
    ca_days: float = 365
    """An authority that ends within so many days is a warning, as of RKE2 and K3s (`requorum_ca_days`)."""
    backup_max_age: float = 86400
    """Seconds; an older newest proved backup is an error, 0 is no limit (`requorum_backup_max_age`)."""
    quota_share: float = 0.8
    """So much of the quota in use is a warning (`requorum_quota_share`); 95 % is an error."""
    defragment_mb: int = _repair.FREE_MB
    """So many free megabytes, and a quarter of the file, are said as information (`requorum_defragment_mb`)."""
    slow_fsync: int = 5
    """So many of them on one server are a warning (`requorum_slow_fsync`)."""
    leader_changes: int = 4
    """So many on one server are a warning; a reboot in turn of three servers makes two or three
    (`requorum_leader_changes`)."""
    log_hours: float = 24
    """Only so many last hours of the logs count (`requorum_log_hours`)."""


def code(document: JSON) -> int:
    """4: something is of severity error; 1: something was not read; 0: neither. Warnings change nothing."""
    if any(finding["severity"] == "error" for finding in document["findings"]):
        return FOUND
    return UNREAD if any(not each["optional"] for each in document["unknown"]) else OK


def findings(document: JSON, limits: Thresholds) -> list[JSON]:
    """In the form of a report's findings, errors first."""
    found = [
        *_clocks(document["clocks"]),
        *_certificates(document["certificates"] or (), limits),
        *_alarms(document["etcd"] or ()),
        *(each for row in document["etcd"] or () for each in _etcd(row, limits)),
        *(_backups(document["backups"], limits) if document["backups"] else ()),
    ]
    order = ("error", "warning", "info")
    return sorted(found, key=lambda finding: order.index(finding["severity"]))


def _clocks(said: str) -> t.Iterator[JSON]:
    """A clock that is wrong makes certificates look ended, and backups old."""
    if said:
        yield _finding("clock_skew", "error", None, said, "Set the clocks first (chrony, NTP), then look again.")


def _certificates(rows: t.Iterable[JSON], limits: Thresholds) -> t.Iterator[JSON]:
    """One for each node and severity, the first to end first."""
    due: dict[tuple[str, str], list[JSON]] = {}
    for row in sorted((row for row in rows if row["days"] is not None), key=lambda row: row["days"]):
        soon = limits.ca_days if row["authority"] else limits.cert_days
        if row["days"] < max(soon, limits.cert_days_error):
            severity = "error" if row["days"] < limits.cert_days_error else "warning"
            due.setdefault((row["node"], severity), []).append(row)
    for (node, severity), found in due.items():
        ended = sum(row["days"] < 0 for row in found)
        said = [f"{ended} ended"] if ended else []
        said += [f"{len(found) - ended} due"] if len(found) > ended else []
        lines = [f"{row['name']} {ends(row['days'])}" for row in found]
        playbook = "rotate_ca" if all(row["authority"] for row in found) else "rotate_certs"
        yield _finding(
            "certificates_ended" if ended else "certificates_due",
            severity,
            node,
            f"Certificates of {node}: {', '.join(said)}. The first: {lines[0]}.",
            f"ansible-playbook playbooks/{playbook}.yml -i INV --check",
            [*first(lines, SHOWN)],
        )


def ends(days: float) -> str:
    """`ended 3 d 4 h ago`, `ends in 12 d`."""
    length = _retention.duration(abs(days) * _retention.DAY)
    return f"ended {length} ago" if days < 0 else f"ends in {length}"


def _alarms(rows: t.Iterable[JSON]) -> t.Iterator[JSON]:
    """They are the cluster's: each server tells all of them, and calls itself unhealthy for it."""
    raised = sorted({alarm for row in rows for alarm in row["alarms"] or ()})
    if raised:
        how = "ansible-playbook playbooks/repair.yml -i INV --tags nospace --check"
        hint = how if "NOSPACE" in raised else "ansible-playbook playbooks/inspect.yml -i INV"
        yield _finding("etcd_alarm", "error", None, f"etcd has the alarm {', '.join(raised)}.", hint)


def _etcd(row: JSON, limits: Thresholds) -> t.Iterator[JSON]:
    node, size, used, quota = row["node"], row["bytes"], row["in_use"], row["quota"]
    if row["healthy"] is False and not row["alarms"]:
        how = "ansible-playbook playbooks/inspect.yml -i INV"
        yield _finding("etcd_unhealthy", "error", node, f"etcd on {node} {row['problem']}.", how)
    if size and quota and size >= limits.quota_share * quota:
        severity = "error" if size >= NEARLY_FULL * quota else "warning"
        text = f"The datastore of {node} has {size / quota:.0%} of its quota of {_repair.megabytes(quota)}."
        yield _finding("etcd_space", severity, node, text, "See docs/repair.md: nospace, defragment.", [_sizes(row)])
    if row["fragmented"]:
        text = f"The datastore of {node} is {_repair.megabytes(size)} on disk, {_repair.megabytes(used)} are in use."
        how = "ansible-playbook playbooks/repair.yml -i INV --tags defragment --check"
        yield _finding("etcd_fragmented", "info", node, text, how)
    since = f" since {row['logs_from']}" if row["logs_from"] else ""
    if row["slow_fsync"] is not None and row["slow_fsync"] >= limits.slow_fsync:
        text = f"The disk of {node} took longer than a second for {row['slow_fsync']} writes of etcd{since}."
        yield _finding("etcd_slow_fsync", "warning", node, text, "See what else writes to that disk, and its health.")
    if row["leader_changes"] is not None and row["leader_changes"] >= limits.leader_changes:
        text = f"etcd on {node} saw {row['leader_changes']} new leaders{since}."
        how = "Look at the network between the servers (port 2380), their disks and their load."
        yield _finding("etcd_leader_changes", "warning", node, text, how)


def _sizes(row: JSON) -> str:
    used = "unknown" if row["in_use"] is None else _repair.megabytes(row["in_use"])
    return f"{_repair.megabytes(row['bytes'])} on disk, {used} in use"


def _backups(found: JSON, limits: Thresholds) -> t.Iterator[JSON]:
    """What was not read may hold a newer one: then only `unknown` speaks."""
    best, how = found["newest_proved"], "ansible-playbook playbooks/backup.yml -i INV"
    if not found["complete"]:
        return
    if best is None:
        text = f"There is no proved backup off the nodes ({found['unproved']} are not proved)."
        yield _finding("backup_none", "error", None, text, how)
    elif not best["off_node"]:
        text = "The only proved backups lie on a node of the cluster itself: there is none off the nodes."
        yield _finding("backup_none", "error", None, text, "Run playbooks/backup.yml elsewhere, or set a bucket.")
    elif best["age_s"] < -_retention.SKEW:
        text = f"The newest proved backup is {_retention.duration(-best['age_s'])} in the future."
        yield _finding("backup_future", "error", None, text, "Compare the clocks.", [best["path"]])
    elif limits.backup_max_age and best["age_s"] > limits.backup_max_age:
        age, most = _retention.duration(best["age_s"]), _retention.duration(limits.backup_max_age)
        text = f"The newest proved backup is {age} old; the limit is {most}."
        yield _finding("backup_old", "error", None, text, how, [best["path"]])


def _finding(
    ident: str, severity: str, node: str | None, summary: str, action: str, evidence: t.Sequence[str] = ()
) -> JSON:
    return {
        "id": ident,
        "severity": severity,
        "node": node,
        "summary": summary,
        "evidence": list(evidence),
        "cause": None,
        "action": action,
        "references": ["docs/monitoring/README.md"],
    }
