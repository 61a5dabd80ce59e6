# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The upkeep on the controller: the backups of a cluster off its nodes, thresholds, the file for Prometheus.

An action plugin or a command has a state and calls `look`.
"""

from __future__ import annotations

import os
import socket
import typing as t
from dataclasses import fields

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _prometheus,
    _s3,
    _upkeep,
    _upkeep_judge,
    _upkeep_logs,
    _upkeep_text,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups

JSON = dict[str, t.Any]
Settings = t.Mapping[str, t.Any]


def look(
    state: JSON,
    settings: Settings,
    *,
    shelf: str,
    connect: t.Callable[[], _s3.Store] | None = None,
    parts: t.Collection[str] = _upkeep.PARTS,
    searched: _upkeep_logs.Searched = _upkeep_logs.WATCHED,
    diagnosis: JSON | None = None,
    prometheus: str = "",
) -> JSON:
    """`document`, `text` and exit `code` of the upkeep; writes the file that `prometheus` names.

    shelf: folder of the cluster's runs. connect: the bucket, when one is set. searched: rules by which the logs of the
    state were searched. diagnosis: where the rules were asked too; its findings are in the file besides.
    """
    listed = backups(state, shelf, connect) if "backups" in parts else None
    document = _upkeep.upkeep(state, listed, parts, thresholds(settings), searched)
    if prometheus:
        _prometheus.write(prometheus, _prometheus.text(document, diagnosis))
    return {"document": document, "text": _upkeep_text.text(document), "code": _upkeep_judge.code(document)}


def thresholds(settings: Settings) -> _upkeep_judge.Thresholds:
    """Those of docs/variables.md, `requorum_<name>`; RequorumError for what is no number."""
    given = {
        field.name: _number(f"requorum_{field.name}", settings[f"requorum_{field.name}"])
        for field in fields(_upkeep_judge.Thresholds)
        if settings.get(f"requorum_{field.name}") not in (None, "")
    }
    return _upkeep_judge.Thresholds(**t.cast("t.Any", given))


def backups(state: JSON, shelf: str, connect: t.Callable[[], _s3.Store] | None = None) -> _upkeep.Backups:
    """Those of the cluster on the controller and in S3, by what their runs have proved; and what cannot be read."""
    found, unread = list[_backups.Backup](), dict[str, str]()
    try:
        found += _backups.of_runs(shelf)
        closed = [backup.where for backup in found if not os.access(backup.where, os.R_OK | os.X_OK)]
        if closed:
            unread["controller"] = f"{closed[-1]} may not be read by this user, who must be the one of the backups"
    except RequorumError as error:
        unread["controller"] = str(error)
    try:
        if connect is not None:
            store = connect()
            found += _backups.in_s3(store.settings.bucket, store.entries(), state["cluster"])
    except RequorumError as error:
        unread["s3"] = str(error)
    off = not _is_node(state)
    uid = (state.get("kubernetes") or {}).get("system_uid")
    mine = [backup for backup in _backups.of_cluster(found, uid) if backup.there]
    kept = (
        _upkeep.Kept(b.name, b.time, b.proved, b.revision, off_node=off or b.name.startswith("s3://")) for b in mine
    )
    return _upkeep.Backups(tuple(kept), unread)


def known(state: JSON, listed: _upkeep.Backups, elsewhere: str = "") -> JSON:
    """The state with what is known of backups (docs/state.schema.json). elsewhere: a place that was not looked at."""
    unread = {**listed.unread, **({"s3": f"{elsewhere} was not looked at"} if elsewhere else {})}
    kept = [{"name": k.path, "time": k.time, "proved": k.proved, "off_node": k.off_node} for k in listed.found]
    why = {"backups": "; ".join(f"{place}: {said}" for place, said in unread.items())} if unread else {}
    return {**state, "backups": {"complete": not unread, "kept": kept}, "unread": {**state["unread"], **why}}


def _is_node(state: JSON) -> bool:
    """Whether this machine is a node of the cluster; containers have the boot of their host, and another name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            here = (file.read().strip(), socket.gethostname())
    except OSError:
        return False
    return here in {(entry.get("boot_id"), entry.get("hostname")) for entry in state["nodes"]}


def _number(name: str, given: t.Any) -> float:
    try:
        number = float(given)
    except (TypeError, ValueError) as error:
        raise RequorumError(f"{name} is {given!r}.", "It is a number.") from error
    if not number >= 0:
        raise RequorumError(f"{name} is {given}.", "It is 0 or more.")
    return number
