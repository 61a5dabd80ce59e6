# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One cluster of a fleet, read and judged within one task: by the actions of playbooks/inspect.yml, side by side.

Ansible keeps what a task returns, of every host, until its end. Here all that was read dies with the worker.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
import typing as t
import warnings

from ansible.vars.hostvars import HostVarsVars

from ansible_collections.requorum.cluster.plugins.action import cluster_diagnose, node_info
from ansible_collections.requorum.cluster.plugins.module_utils import _clusters, _rules
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, Other

SIDE_BY_SIDE = 20
"""Members that are read at one time."""


Members = dict[str, t.Mapping[str, t.Any]]
"""Host -> its variables, of one cluster; for whoever expects `hostvars`."""


def members(action: NodeAction, cluster: _clusters.Cluster) -> Members:
    """Out of the inventory, or out of what the host that carries the cluster says of them."""
    names = [*cluster.servers, *cluster.agents]
    if cluster.group:
        return {name: action.vars["hostvars"][name] for name in names}
    own = action.vars["hostvars"].raw_get(cluster.host)
    carried = own[_clusters.MEMBERS]
    given = {**(carried.get("servers") or {}), **(carried.get("agents") or {})}
    return {
        name: HostVarsVars({**own, **(given[name] or {}), "inventory_hostname": name}, loader=action._loader, host=name)
        for name in names
    }


def read(action: NodeAction, cluster: _clusters.Cluster, hosts: Members, seconds: float) -> Members:
    """The same with what was read of each, as INSPECT registers it. A member that takes longer was not read."""
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in hosts:
        todo.put(name)
    found: dict[str, JSON] = {}
    until = time.monotonic() + seconds

    def work() -> None:
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            found[name] = _member(action, cluster, hosts, name)

    # Daemons: one that hangs must not keep the worker.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(SIDE_BY_SIDE, len(hosts)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which one thread would switch on again below another (_x509)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
    late = {"requorum_read": {"msg": f"it was not read within {seconds:.0f} s (requorum_timeouts.fleet)"}}
    return {name: _Layered(hosts[name], found.get(name, late)) for name in hosts}


class _Layered(t.Mapping[str, t.Any]):
    """Variables, which are templates until they are taken out, below others."""

    def __init__(self, below: t.Mapping[str, t.Any], above: JSON) -> None:
        self._below, self._above = below, above

    def __getitem__(self, key: str) -> t.Any:
        return self._above[key] if key in self._above else self._below[key]

    def __iter__(self) -> t.Iterator[str]:
        yield from dict.fromkeys(itertools.chain(self._below, self._above))

    def __len__(self) -> int:
        return sum(1 for _each in self)


RULES = _rules.load()
"""Once for all workers, which are forks of the process that has loaded this."""


class _Diagnose(cluster_diagnose.ActionModule):
    """The same judgement, of which nothing is shown."""

    def rules(self) -> tuple[_rules.Rule, ...]:
        return super().rules() if self._task.args["rules"] else RULES

    def act(self) -> JSON:
        rules = self.rules()
        state = self.seen(rules)
        diagnosis = self.diagnosis(state, rules)
        return {"diagnosis": diagnosis, "backups": state["backups"], **self.record(state, diagnosis)}


def leave(action: NodeAction, cluster: _clusters.Cluster, hosts: Members) -> None:
    """End the connections that ssh keeps for later: of a large fleet they would be thousands of processes at a time."""
    for name in hosts:
        if (hosts[name]["requorum_read"].get("requorum_node") or {}).get("reachable"):
            connection = _at(node_info.ActionModule, action, cluster, hosts, name, {})._connection
            with contextlib.suppress(Exception):  # it ends by itself, only later
                if connection.transport == "ssh":
                    connection.reset()


def judge(action: NodeAction, cluster: _clusters.Cluster, hosts: Members, args: JSON) -> JSON:
    """What cluster_diagnose returns, by the server that speaks for the cluster."""
    speaker = _speaker(cluster, hosts, args.get("powered_off") or ())
    kubeconfig = bool(hosts[cluster.servers[0]].get("requorum_kubeconfig"))
    given = {**args, "servers": list(cluster.servers), "agents": list(cluster.agents),
             "api": bool(speaker) or kubeconfig}  # fmt: skip
    return _at(_Diagnose, action, cluster, hosts, speaker or cluster.servers[0], given).act()


def _speaker(cluster: _clusters.Cluster, hosts: Members, last: t.Collection[str]) -> str:
    """As the role `speaker` chooses: the first server whose API answers, and is not said to be dead."""
    answering = {
        name: node.get("hostname")
        for name in cluster.servers
        if (node := hosts[name]["requorum_read"].get("requorum_node")) and (node.get("api") or {}).get("ready")
    }
    best = [name for name, hostname in answering.items() if name not in last and hostname not in last]
    return next(iter([*best, *answering]), "")


def _member(action: NodeAction, cluster: _clusters.Cluster, hosts: Members, name: str) -> JSON:
    try:
        return {"requorum_read": _at(node_info.ActionModule, action, cluster, hosts, name, {"parts": ["logs"]}).act()}
    except Exception as error:  # whatever a strange host brings about is a result of this host, as in INSPECT
        return {"requorum_read": {"msg": str(error) or type(error).__name__}}


def _at(
    kind: type[Other], action: NodeAction, cluster: _clusters.Cluster, hosts: Members, name: str, args: JSON
) -> Other:
    """Another action as it would be on a member of the cluster, which is all that it can see."""
    made = action.another(kind, args)
    made.vars = {**action.vars, "hostvars": hosts}
    other = t.cast("Other", _beside.beside(made, name))
    own = {
        "hostvars": hosts,
        "groups": {"servers": list(cluster.servers), "agents": list(cluster.agents)},
        "ansible_inventory_sources": [cluster.inventory] if cluster.inventory else [],
    }
    other.vars = _Layered(other.vars, own)
    return other
