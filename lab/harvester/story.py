# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab becomes a Harvester."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import crds, joining, machines, objects, oem, play
from lab.harvester import host as hosts
from lab.harvester.kinds import NODES
from lab.harvester.play import settle
from lab.labs import Lab

JSON = dict[str, Any]


def vip(lab: Lab) -> str:
    """An address of the lab's network that no host has; whoever answers is meant by it."""
    return str(IPv4Network(lab.spec.subnet)[200])


def become(lab: Lab, names: Sequence[str], *, release: str = "v1.3.1") -> _api.Api:
    """Make these running servers the nodes of a Harvester: hosts as its installer makes them, and its objects."""
    crds.define(lab)
    token = f"rancherd-{secrets.token_hex(12)}"
    for name in names:
        of = oem.Identity(name, objects.RELEASES[release], vip(lab), token, joins=name != names[0])
        hosts.strict(lab, name, of, {"os": {"hostname": name}, "install": {"mode": "create"}})
    api = play.client(lab)
    addresses = {name: lab.spec.host(name).ip for name in names}
    place = {"name": "vip", "namespace": objects.SYSTEM}
    config: JSON = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"ip": vip(lab)}}
    api.create(joining.CONFIGMAP, config)
    setting: JSON = {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "value": release}
    api.create(joining.SETTING, {**setting, "metadata": {"name": "server-version"}})
    objects.write(api, objects.cluster(addresses, living=names, release=release))
    for name in names:
        node = api.get(NODES, name)
        assert node, name
        labels, notes = oem.labels("default"), {machines.OF_NODE: objects.machine(name)}
        settle(api, NODES, node, {"metadata": {"labels": labels, "annotations": notes}})
    return api
