# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Whether hosts may join a Harvester as it is wished, and what is to be said (facts/harvester.md 0, 3, 10)."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from . import _harvester, _releases
from . import _join_wish as wishes
from ._versions import minor, numbers

JSON = dict[str, t.Any]
Objects = t.Sequence[t.Mapping[str, t.Any]]
OLDEST, NEWEST = (1, 2), (1, 8)
MANAGERS = 3
"""Harvester promotes joined nodes until so many manage, and none before so many are there."""
STUCK = ("running", "failed", "unknown")
"""States of a promotion during which no other one begins."""
ISO = re.compile(r"harvester-(v\d[\w.-]*?)(?:-(amd64|arm64))?(?:-net-install)?\.iso")


@dataclass(frozen=True)
class Node:
    """A node of the cluster."""

    name: str
    addresses: tuple[str, ...] = ()
    os: str = ""
    kubelet: str = ""
    ready: bool = False
    manages: bool = False
    role: str = "default"
    promotion: str = ""


@dataclass(frozen=True)
class Cluster:
    """What a joining host has to agree with."""

    version: str
    """As the setting server-version has it; empty when it is not there."""
    vip: str
    nodes: tuple[Node, ...]
    traces: t.Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Host name -> what is left of it besides its Node."""


def cluster(
    *,
    setting: t.Mapping[str, t.Any] | None,
    vip: t.Mapping[str, t.Any] | None,
    nodes: Objects,
    machines: Objects = (),
    longhorn: Objects = (),
    jobs: Objects = (),
    passwords: t.Sequence[str] = (),
) -> Cluster:
    """From objects of the API. passwords: names of nodes whose password is stored."""
    traces: dict[str, tuple[str, ...]] = {}

    def left(name: str, what: str) -> None:
        traces[name] = (*traces.get(name, ()), what)

    for machine in machines:
        of = ((machine.get("status") or {}).get("nodeRef") or {}).get("name")
        if of:
            left(str(of), f"Machine {_name(machine)}")
    for disk in longhorn:
        left(_name(disk), f"Longhorn node {_name(disk)}")
    for job in jobs:
        if _name(job).startswith("harvester-promote-"):
            left(_name(job).removeprefix("harvester-promote-"), f"Job harvester-system/{_name(job)}")
    for name in passwords:
        left(name, f"Secret kube-system/{name}.node-password.rke2")
    return Cluster(
        version=_harvester.version(setting),
        vip=str(((vip or {}).get("data") or {}).get("ip") or ""),
        nodes=tuple(map(_node, nodes)),
        traces=traces,
    )


def _name(document: t.Mapping[str, t.Any]) -> str:
    return str(document["metadata"]["name"])


def _node(document: t.Mapping[str, t.Any]) -> Node:
    meta, status = document["metadata"], document.get("status") or {}
    labels, info = meta.get("labels") or {}, status.get("nodeInfo") or {}
    roles = [role for role in wishes.ROLES if f"node-role.harvesterhci.io/{role}" in labels]
    return Node(
        name=_name(document),
        addresses=tuple(each["address"] for each in status.get("addresses") or () if each["type"] != "Hostname"),
        os=str(info.get("osImage") or ""),
        kubelet=str(info.get("kubeletVersion") or ""),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        manages=any(labels.get(f"node-role.kubernetes.io/{key}") == "true" for key in ("control-plane", "etcd")),
        role=roles[0] if roles else "default",
        promotion=str((meta.get("annotations") or {}).get("harvesterhci.io/promote-status") or ""),
    )


def iso_version(wish: t.Mapping[str, t.Any]) -> str:
    """`v1.3.2`, as it is wished or as the name of the ISO says; empty when neither does."""
    found = ISO.search(str(wish.get("iso_url") or ""))
    return str(wish.get("iso_version") or (found[1] if found else ""))


def _rke2(wish: t.Mapping[str, t.Any]) -> str:
    """The RKE2 that the ISO installs; empty for an ISO that is not known."""
    return _releases.rke2(f"v{iso_version(wish).removeprefix('v')}").partition("+")[0].removeprefix("v")


def faults(seen: Cluster, asked: t.Collection[str], wanted: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Why nothing may be written; wanted: every wish, also of hosts that are not asked for now."""
    found = [*_of_cluster(seen)]
    taken = _addresses(wanted)
    for name in asked:
        if name not in wanted:
            found.append(f"requorum_join has no {name}")
            continue
        wish = wanted[name]
        found += (f"{name}: {what}" for what in (*wishes.complaints(wish, seen.version), *_of_host(seen, name, wish)))
        found += (
            f"{name}: {each} is wished for {' and '.join(taken[each])}" for each in _own(wish) if len(taken[each]) > 1
        )
    return found


def _of_cluster(seen: Cluster) -> t.Iterator[str]:
    if numbers(seen.version) == (0, 0, 0):
        yield f"the setting server-version is {seen.version or 'missing'}, which is no release of Harvester"
    elif minor(seen.version) < OLDEST:
        yield f"Harvester {seen.version} is older than v1.2, whose installer wants another configuration"
    if not wishes.is_address(seen.vip):
        yield f"the configmap harvester-system/vip names {seen.vip or 'no address'}, so the VIP is unknown"


def _of_host(seen: Cluster, name: str, wish: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    if not wishes.HOSTNAME.fullmatch(name):
        yield "its name is no hostname: lower case letters, digits, - and . are allowed"
    there = [node.name for node in seen.nodes if node.name == name]
    left = [*(f"Node {each}" for each in there), *seen.traces.get(name, ())]
    if left:
        yield f"the name is in use ({', '.join(left)}): purge what is left of it, or take another name"
    if wishes.is_address(wish.get("vip")) and wish["vip"] != seen.vip and wishes.is_address(seen.vip):
        yield f"vip {wish['vip']} is not the one of the cluster, {seen.vip}"
    iso = iso_version(wish)
    if not iso and wish.get("iso_url"):
        yield f"the name of {wish['iso_url']} does not tell its version: look, and give it as iso_version"
    elif iso and iso.removeprefix("v") != seen.version.removeprefix("v"):
        yield f"the ISO is {iso}, the cluster is {seen.version}: they must be equal"
    kubelets = [numbers(node.kubelet) for node in seen.nodes if node.manages]
    if kubelets and numbers(_rke2(wish))[:2] > max(kubelets)[:2]:
        yield f"the ISO installs RKE2 v{_rke2(wish)}, newer than every server's; a kubelet must not be newer"
    yield from _address_faults(seen, wish)


def _address_faults(seen: Cluster, wish: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    network = wishes.subnet(wish)
    if network is None:
        return
    if wish["ip"] == seen.vip:
        yield f"ip {wish['ip']} is the VIP"
    yield from (f"ip {wish['ip']} is that of {node.name}" for node in seen.nodes if wish["ip"] in node.addresses)
    if wishes.is_address(seen.vip) and ipaddress.IPv4Address(seen.vip) not in network:
        yield f"the VIP {seen.vip} is not in {network}: nodes and VIP share one network"


def _own(wish: t.Mapping[str, t.Any]) -> list[str]:
    """Addresses that no other host may have."""
    nics = wish.get("interfaces")
    macs = [wishes.interface(each).get("hwAddr", "").lower() for each in (nics if isinstance(nics, list) else ())]
    return [each for each in (str(wish.get("ip") or ""), *macs) if each]


def _addresses(wanted: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, wish in wanted.items():
        for each in _own(wish):
            found.setdefault(each, []).append(name)
    return found


def notes(seen: Cluster, name: str, wish: t.Mapping[str, t.Any]) -> list[str]:
    """What the one who installs the host has to know."""
    said = [_wiped(seen, wish), _promotion(seen, str(wish.get("role") or "default")), *_versions_of(seen, wish)]
    stuck = [f"{node.name} ({node.promotion})" for node in seen.nodes if node.promotion in STUCK]
    if stuck:
        said.append(f"No node is promoted while the promotion of {', '.join(stuck)} has not come to its end.")
    if wish.get("role") == "witness" and any(node.role == "witness" for node in seen.nodes):
        said.append("There is a witness already; a second one stays a worker that takes no workload.")
    if wish.get("method", "dhcp") == "dhcp":
        said.append("Its address comes from DHCP and must never change: reserve it for this host.")
    if wish.get("vlan_id"):
        said.append("The network is tagged only once the installer has set it up: PXE and a config URL need one that "
                    "is untagged, or type the answers at the console.")
    if wish.get("skipchecks") and numbers(seen.version) < wishes.CHECKS_SINCE:
        said.append(f"skipchecks is left out: Harvester {seen.version} has no such checks.")
    if minor(seen.version) > NEWEST:
        said.append(f"Harvester {seen.version} is newer than all that Requorum knows; fields may have changed.")
    return said


def _wiped(seen: Cluster, wish: t.Mapping[str, t.Any]) -> str:
    wipe = wish.get("wipe_disks")
    every = "every disk with an older Harvester" if numbers(seen.version) >= wishes.WIPE_LIST else "all other disks"
    more = every if wipe is True else ", ".join(wipe) if isinstance(wipe, list) else ""
    disks = ", ".join(filter(None, (str(wish["device"]), str(wish.get("data_disk") or ""))))
    text = f"Everything on {disks} of this host is lost" + (f", and on {more} (wipe_disks)." if more else ".")
    if re.fullmatch(r"/dev/(sd|vd|nvme)\w+", str(wish["device"])):
        text += " Names like this change between boots; one of /dev/disk/by-id does not."
    return text


def _promotion(seen: Cluster, role: str) -> str:
    """The three nodes rule of Harvester's promote controller."""
    managing = sum(node.manages for node in seen.nodes)
    able = sum(node.manages or (node.ready and node.role != "worker") for node in seen.nodes) + (role != "worker")
    if role == "worker":
        return "It joins as a worker and is never promoted, since role is worker."
    if managing >= MANAGERS:
        return f"It joins as a worker and stays one: {managing} nodes manage already."
    if able < MANAGERS:
        return (
            f"It joins as a worker and stays one until {MANAGERS} nodes can manage; with it there are {able}. Until "
            f"then etcd has {managing} member{'s' if managing != 1 else ''}: the loss of one ends the quorum. No role "
            "changes that."
        )
    return (
        f"It joins as a worker. {MANAGERS} nodes can manage then, so Harvester promotes one after another by itself, "
        "the oldest first."
    )


def _versions_of(seen: Cluster, wish: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    systems = Counter(node.os for node in seen.nodes if node.os)
    other = [node.name for node in seen.nodes if node.os and numbers(node.os.split()[-1]) != numbers(seen.version)]
    if len(systems) > 1 or other:
        listed = ", ".join(f"{node.name} {node.os}" for node in seen.nodes)
        yield f"The nodes do not all run the version of the cluster, {seen.version}: {listed}."
    installs = _rke2(wish)
    strange = [f"{node.name} {node.kubelet}" for node in seen.nodes if numbers(node.kubelet) != numbers(installs)]
    if installs and strange:
        yield f"The ISO installs RKE2 v{installs}, but there are {', '.join(strange)}."
