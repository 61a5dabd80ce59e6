# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
short_description: A host for each cluster of other inventories, or one cluster out of them
version_added: 0.1.0
author: Requorum contributors
description:
  - Makes a host for each cluster of the inventories in O(sources), in the group C(clusters), with its members in
    C(requorum_members). AWX cuts an inventory into slices host by host; of this one, each slice has whole clusters.
  - A source is the inventory of one cluster, with C(requorum_cluster), C(servers) and C(agents), or one of many, with a
    group for each below C(clusters). Every source is read for itself, so that names of hosts may repeat.
  - With O(cluster), the inventory of that cluster alone, for every other playbook.
options:
  plugin:
    description: The name of this plugin.
    required: true
    choices: [requorum.cluster.fleet]
  sources:
    description: Paths of inventories, relative to this file; C(*) and C(?) stand for what file names have there.
    type: list
    elements: str
    required: true
  cluster:
    description: The only cluster that is wanted, with its servers and agents as hosts.
    type: str
    default: ""
notes:
  - The name of the file ends in C(requorum.yml).
  - Variables of the members are copied as they stand. Secrets belong into files or credentials, not into inventories.
"""

EXAMPLES = r"""
# fleet.requorum.yml: every cluster whose inventory lies beside it
plugin: requorum.cluster.fleet
sources: [clusters/*.yml]
"""

import glob
import os
import typing as t

from ansible.errors import AnsibleParserError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template
from ansible.vars.manager import VariableManager

from ansible_collections.requorum.cluster.plugins.module_utils import _clusters
from ansible_collections.requorum.cluster.plugins.plugin_utils import _clustered

JSON = dict[str, t.Any]


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]
    """Clusters as hosts."""

    NAME = "requorum.cluster.fleet"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("requorum.yml", "requorum.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        wanted = self.get_option("cluster")
        if not wanted:
            inventory.add_group(_clusters.ALL)
        for source in self._files(path):
            for cluster, variables, about in _clusters_of(loader, source):
                if isinstance(cluster, _clusters.Refused):
                    self._refused(cluster, source, wanted)
                elif not wanted:
                    self._carrier(cluster, variables, about, source)
                elif cluster.name == wanted:
                    self._alone(cluster, variables)
        if wanted and not inventory.hosts:
            raise AnsibleParserError(f"{path}: no source has the cluster {wanted}. Look at its sources.")

    def _files(self, path: str) -> list[str]:
        found = list[str]()
        for given in self.get_option("sources"):
            pattern = os.path.join(os.path.dirname(os.path.abspath(path)), os.path.expanduser(given))
            matching = sorted(glob.glob(pattern))
            if not matching:
                raise AnsibleParserError(f"{path}: {given} names no file. Sources are relative to this file.")
            found += [each for each in matching if not os.path.samefile(each, path)]
        return found

    def _refused(self, refused: _clusters.Refused, source: str, wanted: str) -> None:
        """It stays in the fleet, so that the overview says why nobody knows anything of it."""
        if wanted == refused.name:
            raise AnsibleParserError(f"{source}: {refused.name}: {refused.why}")
        if not wanted:
            self.inventory.add_host(refused.name, group=_clusters.ALL)
            self.inventory.set_variable(refused.name, _clusters.REFUSAL, f"{source}: {refused.why}")

    def _carrier(self, cluster: _clusters.Cluster, variables: JSON, alone: bool, source: str) -> None:
        name = cluster.name
        if name in self.inventory.hosts:
            why = f"{source}: another source has a cluster of this name. Give each a requorum_cluster of its own."
            self.inventory.set_variable(name, _clusters.REFUSAL, why)
            return
        self.inventory.add_host(name, group=_clusters.ALL)
        self.inventory.set_variable(name, "requorum_cluster", trust_as_template(name))
        sides = (("servers", cluster.servers), ("agents", cluster.agents))
        members = {side: {host: variables[host] for host in hosts} for side, hosts in sides}
        self.inventory.set_variable(name, _clusters.MEMBERS, members)
        if alone:
            self.inventory.set_variable(name, "requorum_inventory", trust_as_template(source))

    def _alone(self, cluster: _clusters.Cluster, variables: JSON) -> None:
        for side, hosts in (("servers", cluster.servers), ("agents", cluster.agents)):
            self.inventory.add_group(side)
            for host in hosts:
                self.inventory.add_host(host, group=side)
                for key, value in variables[host].items():
                    self.inventory.set_variable(host, key, value)
        self.inventory.set_variable("all", "requorum_cluster", trust_as_template(cluster.name))


def _clusters_of(
    loader: t.Any, source: str
) -> t.Iterator[tuple[_clusters.Cluster | _clusters.Refused, dict[str, JSON], bool]]:
    """Each cluster with the variables of its members, and whether the source is its inventory and of no other one."""
    inventory = InventoryManager(loader=loader, sources=[source])
    manager = VariableManager(loader=loader, inventory=inventory)
    magic = {*manager.get_vars(include_hostvars=False), *_clustered.MAGIC}

    def variables(host: str) -> JSON:
        given = manager.get_vars(host=inventory.get_host(host), include_hostvars=False)
        return {key: value for key, value in given.items() if key not in magic}

    alone = _clusters.ALL not in inventory.groups
    found = [_clustered.single(inventory, variables)] if alone else _clustered.found(inventory, variables)
    for cluster in found:
        if isinstance(cluster, _clusters.Refused):
            yield cluster, {}, alone
            continue
        if cluster.group or alone:
            members = {host: variables(host) for host in (*cluster.servers, *cluster.agents)}
        else:
            own = variables(cluster.host)
            carried = own.pop(_clusters.MEMBERS)
            sides = {**(carried.get("servers") or {}), **(carried.get("agents") or {})}
            members = {host: {**own, **(given or {})} for host, given in sides.items()}
        yield cluster, members, alone
