# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clusters an inventory holds: each strange one is refused with a sentence, and the others go on."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _clusters
from ansible_collections.requorum.cluster.plugins.module_utils._clusters import Carrier, Cluster, Group, Refused

SHOP = Group("shop", {"shop-1": {"shop", "shop_servers"}})
LOOKED_AT = Cluster("shop", ("shop-1",), (), "shop", "shop-1")


def prod(hosts: dict[str, str], *declared: str) -> Group:
    """A group `prod` of hosts that are each in the groups named."""
    return Group("prod", {name: {"prod", *groups.split()} for name, groups in hosts.items()}, declared)


@pytest.mark.parametrize(
    ("group", "wanted"),
    [
        (prod({"p1": "prod_servers", "p2": "prod_agents"}), Cluster("prod", ("p1",), ("p2",), "prod", "p1")),
        (prod({"p1": "servers", "p2": "agents"}), Cluster("prod", ("p1",), ("p2",), "prod", "p1")),
        (prod({"p1": "servers"}, "prod-eu"), Cluster("prod-eu", ("p1",), (), "prod", "p1")),
        (prod({}), "It has no hosts."),
        (prod({"p1": "prod_agents"}), "It has no servers. Put them into prod_servers."),
        (prod({"p1": "prod_servers", "p2": "web"}), "p2 is neither among servers nor among agents."),
        (prod({"p1": "prod_servers prod_agents"}), "p1 is among servers and among agents."),
        (prod({"p1": "servers", "shop-1": "servers"}), "shop-1 is also in the cluster shop."),
        (prod({"p1": "servers"}, "a", "b"), "Its hosts say requorum_cluster a and b."),
        (prod({"p1": "servers"}, "../etc"), "Its name '../etc' cannot name a folder."),
        (prod({"p1": "servers"}, "_fleet"), "Its name '_fleet' cannot name a folder."),
        (prod({"p1": "servers"}, "shop"), "2 clusters are called shop."),
    ],
)
def test_a_group(group: Group, wanted: Any) -> None:
    found = {each.name if isinstance(each, Refused) else each.group: each for each in _clusters.of([group, SHOP])}
    if isinstance(wanted, Cluster):
        assert found["prod"] == wanted
    else:
        assert isinstance(found["prod"], Refused) and found["prod"].why.startswith(wanted)
    shared = "shop" in str(wanted)
    assert isinstance(found["shop"], Refused) if shared else found["shop"] == LOOKED_AT


MEMBERS = {"servers": {"s1": {"ansible_host": "192.0.2.1"}, "s2": None}, "agents": {"a1": {}}}


@pytest.mark.parametrize(
    ("carrier", "wanted"),
    [
        (Carrier("prod", "", MEMBERS), Cluster("prod", ("s1", "s2"), ("a1",), "", "prod")),
        (Carrier("prod", "eu", MEMBERS, "/i.yml"), Cluster("eu", ("s1", "s2"), ("a1",), "", "prod", "/i.yml")),
        (Carrier("prod", "", None), "It has no servers."),
        (Carrier("prod", "", {"servers": ["s1"]}), "Its requorum_members is not of the form"),
        (Carrier("prod", "", {"servers": {"s1": "192.0.2.1"}}), "Its requorum_members is not of the form"),
        (Carrier("prod", "", {"servers": {"s1": {}}, "agents": {"s1": {}}}), "s1 is among servers and among agents."),
        (Carrier("prod", "", MEMBERS, "", "x.yml: It has no hosts."), "x.yml: It has no hosts."),
    ],
)
def test_a_host_that_carries_its_cluster(carrier: Carrier, wanted: Any) -> None:
    [found] = _clusters.of([], [carrier], sliced=True)
    if isinstance(wanted, Cluster):
        assert found == wanted
    else:
        assert isinstance(found, Refused) and found.why.startswith(wanted)


def test_no_group_is_judged_where_its_servers_may_have_been_cut_away() -> None:
    found = _clusters.of([SHOP], [Carrier("prod", "", MEMBERS)], sliced=True)
    assert [type(each) for each in found] == [Cluster, Refused]
    assert isinstance(found[1], Refused) and "AWX may have cut its servers away" in found[1].why
