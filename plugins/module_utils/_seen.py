# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The state that rules are asked of, out of what was read of hosts, of an API and of logs. The live one; bundles make
their own of the same form (docs/state.schema.json).
"""

from __future__ import annotations

import typing as t

from . import _check, _harvester_checks, _scan, _state, _timeline

JSON = dict[str, t.Any]
PLAN_KEYS = {"applied-checksum", "failed-checksum", "failure-count", "failed-output", "max-failures", "probe-statuses"}
"""Of a Secret only these values are kept: they tell how a machine's plan ended (facts/harvester.md 6)."""
MARKED = "kubectl.kubernetes.io/last-applied-configuration"
Log = tuple[str | None, str, str, t.Iterable[bytes]]
"""Node, source, file, its bytes."""


def live(
    cluster: str, entries: t.Sequence[JSON], servers: t.Collection[str], read: _check.Read, now: str
) -> JSON:
    """entries: of the hosts, as INSPECT has them. read: objects by name of kind. now: ISO time of the controller."""
    state = _state.cluster(cluster, [{**e, "role": "server" if e["name"] in servers else "agent"} for e in entries])
    objects = {n: None if found is None or isinstance(found, str) else kept(found) for n, found in read.items()}
    return {
        **state,
        "time": now,
        "source": {"kind": "live", "name": cluster, "created": now, "unread": []},
        "distro": next((entry["distro"] for entry in entries if entry.get("distro")), None),
        "objects": objects,
        "unread": {f"objects.{name}": found for name, found in read.items() if isinstance(found, str)},
        "logs": [],
        "hits": [],
    }


def slim(name: str, items: t.Iterable[JSON]) -> list[JSON]:
    """Objects of a kind as live reading keeps them."""
    keep = _harvester_checks.KINDS[name].keep
    return kept([keep(item) if keep else item for item in items])


def kept(items: t.Sequence[JSON]) -> list[JSON]:
    """Objects without what is secret in them, and without what no rule asks for."""
    return [_kept(item) for item in items]


def _kept(item: JSON) -> JSON:
    meta = {key: value for key, value in (item.get("metadata") or {}).items() if key != "managedFields"}
    if MARKED in (meta.get("annotations") or {}):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != MARKED}
    found = {**_without_secrets({key: value for key, value in item.items() if key != "metadata"}), "metadata": meta}
    if item.get("kind") == "Secret" or "stringData" in item:
        found.pop("stringData", None)
        found["data"] = {key: value for key, value in (item.get("data") or {}).items() if key in PLAN_KEYS}
    return found


def _without_secrets(value: t.Any) -> t.Any:
    """What cloud-init is given holds passwords, and so do variables of containers: that there is one stays."""
    if isinstance(value, dict):
        named = _timeline.is_secret(str(value.get("name")))
        return {
            k: {}
            if k.startswith("cloudInit")
            else _timeline.HIDDEN
            if isinstance(v, str) and v and (_timeline.is_secret(k) or (named and k == "value"))
            else _without_secrets(v)
            for k, v in value.items()
        }
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


def with_logs(state: JSON, logs: t.Iterable[Log], patterns: t.Sequence[_scan.Pattern]) -> JSON:
    """The state with what was read of logs, and what rules look for in them."""
    read, hits = list(state["logs"]), list(state["hits"])
    for node, source, file, chunks in logs:
        log, found = _scan.scanned(patterns, node, source, file, chunks, end=state["time"])
        read.append(log)
        hits += found
    return {**state, "logs": read, "hits": hits}
