# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Predicates about certificates: each file by what it is and how `_certificates.judged` finds it."""

from __future__ import annotations

import ipaddress
import typing as t
from fnmatch import fnmatch

from . import _certificates, _jmes, _tls_files, _tls_words
from ._found import JSON, Answer, Found, Predicate, Unknown, first, why_not

COMPONENTS = ("server/tls/kube-scheduler/*", "server/tls/kube-controller-manager/*")
KUBELET = ("agent/client-kubelet.crt", "agent/serving-kubelet.crt")
FRONT = ("server/tls/client-auth-proxy.crt", "server/tls/request-header-ca.crt")
ETCD = ("server/tls/etcd/client.crt", "server/tls/etcd/*server-client.crt")
SUPERVISOR = (_tls_files.DYNAMIC, "secret/kube-system/*-serving")
TIMELESS = frozenset({"foreign", "key", "unreadable"})
"""States that are the same at any time."""
SHOWN = 8


def _judgements(state: JSON) -> t.Iterator[JSON]:
    entries = [entry for entry in state["nodes"] if entry["reachable"]]
    yield from state.get("certificates") or _certificates.judged(entries, _jmes.seconds(state["time"]))


def _unread(state: JSON, states: t.Collection[str]) -> Answer:
    """Nodes without a certificate; and without a time nobody knows what has ended."""
    for entry in state["nodes"]:
        if not entry.get("certificates"):
            yield Unknown(entry["name"], why_not(entry, "certificates", "no certificate was read"))
    if not TIMELESS.issuperset(states) and _jmes.seconds(state["time"]) is None:
        yield Unknown(None, why_not(state, "time"))


def files(*paths: str, states: t.Collection[str], but: t.Collection[str] = ()) -> Predicate:
    """Files of these paths in one of these states, a finding for each node; what lies in the cluster is no node's."""

    def answer(state: JSON) -> Answer:
        yield from _unread(state, states)
        wrong: dict[str | None, dict[str, None]] = {}
        for row in _judgements(state):
            if row["state"] in states and row["path"] not in but and any(fnmatch(row["path"], path) for path in paths):
                node = None if row["path"].startswith(_tls_files.CLUSTER) else row["node"]
                wrong.setdefault(node, {})[f"{row['path']}: {row['why']}"] = None
        for node, lines in wrong.items():
            yield Found(node, {"name": node or "the cluster", "count": len(lines)}, tuple(lines))

    return answer


def of_nodes(*, due: bool) -> Predicate:
    """Nodes of which something is not as it should be: nothing but files that end soon (due), or more than that."""

    def answer(state: JSON) -> Answer:
        yield from _unread(state, ("soon",))
        wrong: dict[str, list[JSON]] = {}
        for row in _judgements(state):
            if row["state"] not in ("ok", "unknown"):
                wrong.setdefault(row["node"], []).append(row)
        for node, rows in wrong.items():
            states = dict.fromkeys(row["state"] for row in rows)
            if (set(states) == {"soon"}) is due:
                said = ", ".join(_tls_words.STATES[word] for word in states)
                lines = [f"{row['path']}: {row['why']}" for row in rows]
                yield Found(node, {"said": f"{node} has {len(rows)} certificates or keys: {said}"}, first(lines, SHOWN))

    return answer


def names_lacking(state: JSON) -> Answer:
    """Serving certificates of servers that lack the node's own address or a name of tls-san."""
    for entry in state["nodes"]:
        if not entry.get("server"):
            continue
        rows = entry.get("certificates")
        serving = [row for row in rows or () if row["path"].endswith("/serving-kube-apiserver.crt")]
        if not serving or serving[0].get("names") is None or entry.get("config") is None:
            yield Unknown(entry["name"], why_not(entry, "config", "its names were not read"))
            continue
        lacking = sorted(_wanted(entry) - set(map(_spelt, serving[0]["names"])))
        if lacking:
            about = {"name": entry["name"], "lacking": lacking}
            yield Found(entry["name"], about, (f"{serving[0]['path']} lacks them",))


def _wanted(entry: JSON) -> set[str]:
    sans = (entry["config"] or {}).get("tls-san") or []
    given = ",".join(map(str, sans if isinstance(sans, list) else [sans])).split(",")
    address = str((entry.get("program") or {}).get("node_ip") or "").split(",")[0]
    return {_spelt(word.strip()) for word in (*given, address) if word.strip()}


def _spelt(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


DEAD, LEAVES = ("expired",), ("server/tls/client-*.crt", "server/tls/serving-kube-apiserver.crt")
NAMED: dict[str, Predicate] = {
    "certificates_due": of_nodes(due=True),
    "certificates_wrong": of_nodes(due=False),
    "ca_expired": files(*_tls_files.AUTHORITIES, states=DEAD),
    "ca_due": files(*_tls_files.AUTHORITIES, states=("soon",)),
    "ca_differs": files(*_tls_files.AUTHORITIES, states=("foreign", "key")),
    "leaf_expired": files(*LEAVES, states=DEAD, but=(*_tls_files.AUTHORITIES, *FRONT)),
    "etcd_expired": files(*ETCD, states=DEAD),
    "component_expired": files(*COMPONENTS, states=DEAD),
    "component_due": files(*COMPONENTS, states=("soon",)),
    "kubelet_expired": files(*KUBELET, states=DEAD),
    "front_expired": files(*FRONT, states=DEAD),
    "supervisor_expired": files(*SUPERVISOR, states=DEAD),
    "webhook_expired": files("secret/*webhook*", states=DEAD),
    "certificate_early": files("*", states=("not_yet",)),
    "certificate_unreadable": files("*", states=("unreadable",)),
    "names_lacking": names_lacking,
}
