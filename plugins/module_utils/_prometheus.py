# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The upkeep in the text format of Prometheus, for the textfile collector of its node exporter.

A value that is unknown gives no sample, and `requorum_unread` says so. No sample has a time of its own: the collector
refuses those. HELP is the same in every file, or the collector would refuse the second one.
"""

from __future__ import annotations

import os
import typing as t
from collections import Counter

from . import _files, _jmes, _rules
from ._errors import RequorumError

JSON = dict[str, t.Any]
Labels = dict[str, str]
Sample = tuple[str, Labels, float | None]
HELP = {
    "requorum_up": "Whether the last look at the cluster has reached a server.",
    "requorum_collect_timestamp_seconds": "When the last look was taken, also one that failed.",
    "requorum_node_up": "Whether the node was reached over SSH.",
    "requorum_node_clock_skew_seconds": "How far the clock of the node is ahead of the controller's.",
    "requorum_certificate_expiry_timestamp_seconds": "When the certificate ends.",
    "requorum_etcd_healthy": "Whether etcd of this server runs, sees a leader and calls itself healthy.",
    "requorum_etcd_leader": "Whether this server is the leader.",
    "requorum_etcd_alarm": "Whether etcd has this alarm.",
    "requorum_etcd_db_size_bytes": "Size of the datastore's file; it is what the quota limits.",
    "requorum_etcd_db_in_use_bytes": "Bytes of the datastore in use; a defragmentation frees the others.",
    "requorum_etcd_db_quota_bytes": "Quota of the datastore; told since etcd 3.6.",
    "requorum_etcd_slow_fsyncs": "Writes of etcd that took longer than a second, in the logs of the window.",
    "requorum_etcd_leader_changes": "New leaders that this server saw, in the logs of the window.",
    "requorum_etcd_log_window_seconds": "Length of the window: the last hours of the logs, as far as they reach.",
    "requorum_backup_timestamp_seconds": "When the newest proved backup off the nodes was made.",
    "requorum_backup_revision": "Revision of that backup.",
    "requorum_backups": "Backups that were found.",
    "requorum_snapshot_timestamp_seconds": "When the newest snapshot on the server itself was made; it is no backup.",
    "requorum_findings": "What was found, by severity; check upkeep: by this look, rules: by the rules of a diagnosis.",
    "requorum_rules_not_checked": "Rules of the diagnosis that could not be checked.",
    "requorum_unread": "What could not be read.",
    "requorum_case": "The case of the cluster by its last look; 1 with the label of it. Of a fleet only.",
}
"""Name -> its meaning. All are gauges: a look starts from nothing each time."""
ALARMS = ("CORRUPT", "NOSPACE")


def text(document: JSON, diagnosis: JSON | None = None) -> str:
    """The file for a document of `_upkeep.upkeep`; diagnosis: that of `_diagnose.diagnose`, where rules were asked."""
    return _written((document["cluster"], each) for each in _samples(document, diagnosis))


def fleet(overview: JSON) -> str:
    """The file for an overview of `_overview.overview`: of each cluster what concerns it as a whole."""
    return _written((each["cluster"], sample) for each in overview["clusters"] for sample in _of_cluster(each))


def _written(samples: t.Iterable[tuple[str, Sample]]) -> str:
    rows: dict[str, list[str]] = {}
    for cluster, (name, labels, value) in samples:
        if value is not None:
            pairs = {"cluster": cluster, **labels}
            inner = ",".join(f'{key}="{escaped(word)}"' for key, word in pairs.items())
            rows.setdefault(name, []).append(f"{name}{{{inner}}} {_number(value)}")
    lines = list[str]()
    for name, told in HELP.items():
        if name in rows:
            lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge", *sorted(set(rows[name]))]
    return "\n".join(lines) + "\n"


def escaped(word: str) -> str:
    """Of a label's value."""
    return word.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def write(path: str, content: str) -> None:
    """Whole or not at all, so that the exporter never reads a half; 0644, since the exporter is another user.

    RequorumError where it cannot be written; what was there stays then.
    """
    try:
        _files.put(path, content, 0o644)
    except OSError as error:
        hint = "Name a file in a folder that this user may write to."
        raise RequorumError(f"{os.path.abspath(path)} cannot be written: {error.strerror}.", hint) from error


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _samples(document: JSON, diagnosis: JSON | None) -> t.Iterator[Sample]:
    seconds = _jmes.seconds(document["time"])
    nodes = document["nodes"]
    yield "requorum_up", {}, any(node["server"] and node["reachable"] for node in nodes)
    yield "requorum_collect_timestamp_seconds", {}, seconds
    for node in nodes:
        yield "requorum_node_up", {"node": node["name"]}, node["reachable"]
        yield "requorum_node_clock_skew_seconds", {"node": node["name"]}, node["clock_skew"]
    for row in document["certificates"] or ():
        labels = {"node": row["node"], "name": row["name"], "authority": str(row["authority"]).lower()}
        yield "requorum_certificate_expiry_timestamp_seconds", labels, row["ends"]
    for row in document["etcd"] or ():
        yield from _etcd(row, seconds)
    if document["backups"]:
        yield from _backups(document["backups"])
    yield from _found(document, diagnosis)
    for each in document["unknown"]:
        labels = {"node": each["node"] or "", "what": each["what"], "optional": str(each["optional"]).lower()}
        yield "requorum_unread", labels, 1


def _of_cluster(row: JSON) -> t.Iterator[Sample]:
    """Of what nobody has seen there is no sample but that it was not read."""
    yield "requorum_up", {}, bool(row["nodes_read"])
    yield "requorum_collect_timestamp_seconds", {}, _jmes.seconds(row["time"])
    yield "requorum_case", {"case": row["case"] if row["state"] != "unknown" else "unknown"}, 1
    if row["state"] == "unknown":
        yield "requorum_unread", {"node": "", "what": "cluster", "optional": "false"}, 1
    if row["report"]:
        for severity in _rules.SEVERITIES:
            yield "requorum_findings", {"check": "rules", "severity": severity}, row["findings"][severity]
        yield "requorum_rules_not_checked", {}, row["not_checked"]
    if not row["backup"]["known"] and row["report"]:
        yield "requorum_unread", {"node": "", "what": "backups", "optional": "false"}, 1
    yield "requorum_backup_timestamp_seconds", {}, row["backup"]["time"]
    if row["certificate"]:
        found = row["certificate"]
        labels = {"node": found["node"], "name": found["name"], "authority": str(found["authority"]).lower()}
        yield "requorum_certificate_expiry_timestamp_seconds", labels, _jmes.seconds(found["ends"])


def _etcd(row: JSON, now: float | None) -> t.Iterator[Sample]:
    labels, begin = {"node": row["node"]}, _jmes.seconds(row["logs_from"])
    yield "requorum_etcd_healthy", labels, row["healthy"]
    yield "requorum_etcd_leader", labels, row["leader"]
    for alarm in ALARMS if row["alarms"] is not None else ():
        yield "requorum_etcd_alarm", labels | {"alarm": alarm}, alarm in row["alarms"]
    yield "requorum_etcd_db_size_bytes", labels, row["bytes"]
    yield "requorum_etcd_db_in_use_bytes", labels, row["in_use"]
    yield "requorum_etcd_db_quota_bytes", labels, row["quota"]
    yield "requorum_etcd_slow_fsyncs", labels, row["slow_fsync"]
    yield "requorum_etcd_leader_changes", labels, row["leader_changes"]
    yield "requorum_etcd_log_window_seconds", labels, None if begin is None or now is None else now - begin


def _backups(found: JSON) -> t.Iterator[Sample]:
    """What was not read may hold a newer one, so that only all places together say how old the newest is."""
    best = found["newest_proved"]
    if found["complete"]:
        yield "requorum_backups", {"proved": "true"}, found["count"]
        yield "requorum_backups", {"proved": "false"}, found["unproved"]
        if best and best["off_node"]:
            yield "requorum_backup_timestamp_seconds", {}, best["time"]
            yield "requorum_backup_revision", {}, best["revision"]
    for row in found["on_nodes"]:
        yield "requorum_snapshot_timestamp_seconds", {"node": row["node"]}, row["time"]


def _found(document: JSON, diagnosis: JSON | None) -> t.Iterator[Sample]:
    """A cluster that nobody reached has no findings, and not none."""
    checks = {"upkeep": document} if document["nodes"] else {}
    for check, judged in (checks | ({"rules": diagnosis} if diagnosis else {})).items():
        count = Counter(finding["severity"] for finding in judged["findings"])
        for severity in _rules.SEVERITIES:
            yield "requorum_findings", {"check": check, "severity": severity}, count[severity]
    if diagnosis:
        yield "requorum_rules_not_checked", {}, len({each["rule"] for each in diagnosis["not_checked"]})
