# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Other servers, as the one that acts sees them on the network: none may run beside a cluster that is made anew."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _classify,
    _fence,
    _look,
    _messages,
    _node,
    _server,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

if t.TYPE_CHECKING:
    from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

Peers = t.Sequence[t.Mapping[str, t.Any]]
STOP = (
    "Stop its unit and its etcd, or cut its power. Then run the same command again, without it in "
    "requorum_powered_off: it is fenced and joins, and its old datastore is kept."
)


def prove(action: PlanAction, peers: Peers) -> str:
    """RequorumError where one of them answers, or nobody could look."""
    asked = _fence.targets(peers, action.plan["distro"])
    done = _knock(action, asked) if asked else _node.Done(0, "", "")
    if done.rc != 0 or not _fence.seen(asked, done.out):
        reason = done.why if done.rc else "its tool gave no answer about any port"
        raise _messages.error("fence-unseen", host=action.host, reason=reason)
    named = action.plan["powered_off"]
    if found := _fence.judge(peers, named, asked, done.out):
        raise _messages.error("fence-unproved", faults=" ".join(found).removesuffix("."), host=action.host)
    return f"{len(asked)} ports of {', '.join(server['name'] for server in peers) or 'no peer'} are closed"


def others(action: PlanAction) -> Peers:
    """All servers but this one. One that cannot be reached is known by the address of its member, which votes."""
    found = []
    for server in action.plan["servers"]:
        if server["name"] != action.host:
            mine = [] if server["reachable"] else _members(action, server["name"])
            found.append({**server, "address": mine[0].address or server["address"]} if mine else server)
    return found


def strangers(action: PlanAction) -> Peers:
    """Other servers of which the cluster's datastore knows nothing; after a reset these are all others."""
    if action.plan["case"] in _classify.RESETS:
        return others(action)
    return [server for server in others(action) if not _members(action, server["name"])]


def must_stay_off(action: PlanAction) -> None:
    """RequorumError where the etcd of a stranger runs that this plan leaves alone, because it is off."""
    if action.plan["purpose"] != "recover":
        return
    off = [server for server in strangers(action) if server["need"] == "stays_off" and server["address"]]
    asked = [(server["address"], port) for server in off for port in _fence.ETCD]
    if asked and (found := _fence.serving(off, asked, _knock(action, asked).out)):
        raise RequorumError(" ".join(found), STOP)


def heard(action: PlanAction) -> tuple[list[str], list[str]]:
    """(names of the other servers, those that give no sign of life); nothing where nobody could look."""
    peers = [server for server in others(action) if server["address"]]
    asked = [(server["address"], port) for server in peers for port in (*_fence.ETCD, _fence.SSH)]
    done = _knock(action, asked) if asked else _node.Done(0, "", "")
    if done.rc != 0:
        return [], []
    return [server["name"] for server in peers], _fence.silent(peers, asked, done.out)


def _members(action: PlanAction, name: str) -> list[_server.Member]:
    """What the cluster's datastore lists of a server."""
    listed = [_server.Member(**member) for member in action.plan["members"]]
    return list(_look.members_of(listed, action.plan["servers"], name))


def _knock(action: PlanAction, asked: t.Sequence[tuple[str, int]]) -> _node.Done:
    """One round trip."""
    return action.script("prove", timeout=60, TARGETS="\n".join(f"{address} {port}" for address, port in asked))
