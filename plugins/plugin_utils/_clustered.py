# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The clusters of an inventory that Ansible has read: for the playbook of fleets, and for the inventory plugin."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _clusters

JSON = dict[str, t.Any]
MAGIC = (
    *("inventory_hostname", "inventory_hostname_short", "inventory_file", "inventory_dir"),
    *("group_names", "ansible_facts"),
)
"""What Ansible says of a host itself."""
Found = list["_clusters.Cluster | _clusters.Refused"]


def found(inventory: t.Any, variables: t.Callable[[str], t.Mapping[str, t.Any]], *, sliced: bool = False) -> Found:
    """inventory: Ansible's. variables: of a host, as they stand. sliced: as in `_clusters.of`."""
    top = inventory.groups.get(_clusters.ALL)
    groups = [_group(group, variables) for group in top.child_groups] if top else []
    carriers = [
        _clusters.Carrier(
            host.name,
            str(given.get("requorum_cluster") or ""),
            given.get(_clusters.MEMBERS),
            str(given.get("requorum_inventory") or ""),
            str(given.get(_clusters.REFUSAL) or ""),
        )
        for host in (top.hosts if top else ())
        for given in [variables(host.name)]
    ]
    return _clusters.of(groups, carriers, sliced=sliced)


def single(inventory: t.Any, variables: t.Callable[[str], t.Mapping[str, t.Any]]) -> t.Any:
    """The cluster of an inventory that has only one: all of it."""
    [one] = _clusters.of([_group(inventory.groups["all"], variables)])
    return one


def _group(group: t.Any, variables: t.Callable[[str], t.Mapping[str, t.Any]]) -> _clusters.Group:
    hosts = {host.name: {each.name for each in host.get_groups()} for host in group.get_hosts()}
    declared = {str(name) for host in hosts if (name := variables(host).get("requorum_cluster"))}
    return _clusters.Group(group.name, hosts, declared)
