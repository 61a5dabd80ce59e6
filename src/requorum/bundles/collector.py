# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of the log collector for RKE2 and K3s (rancherlabs/support-tools, rancher2_logs_collector.sh), one a node.

Several archives make one cluster. Every file is what a command has printed, complaints among it; what cannot be
understood of it is unread. Where the API answered, each archive has the logs of all pods of the cluster: each counts
once. Where it did not, it has those of its own node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _answers,
    _blocks,
    _harvester_checks,
    _seen,
    _state,
)

from .. import archive
from . import collector_etcd, collector_host, lists, sources

JSON = dict[str, Any]
LARGEST = 16 << 20
NOT_HELD = "an archive of the log collector does not hold it"
TABLE = "the log collector tells nothing of it, or a table only"
_TOPS = "systeminfo|networking|systemlogs|journald|etcd|rke2|k3s"
_PLACE = re.compile(rf"^(.*?)(?:^|(?<=/))((?:{_TOPS})/.*|collector-output\.log)$")
_HIDDEN = re.compile(r"(?:^|(?<=/))obf_")
"""Before each name, where addresses were made unreadable."""
_SMALL = re.compile(
    r"systeminfo/(?:hostname|date|free[mh]|df[hi]|osrelease|ps|systemd-units)$|networking/(?:sstunlp[46]|ssanp|ipaddrshow)$"
    r"|(?:rke2|k3s)/(?:version|[^/]+\.yaml|kubectl/(?:nodes|nodes\.json|pods|crds)|certs/(?:agent|server)/[^/]+)$"
    r"|etcd/(?:memberlist|memberlist\.json|endpointstatus|endpointhealth|alarmlist|findserverdbetcd|findserverdbsnapshots"
    r"|etcd-metrics-[^/]+)$|collector-output\.log$"
)
_LISTED = re.compile(r"(?:rke2|k3s)/kubectl/rancher-prov/([a-z]+\.[a-z.]+)$")
_LOCAL_POD = re.compile(r"(?:rke2|k3s)/podlogs/([^/_]+)_([^/_]+)_[^/]+/[^/]+/[^/]+$")
_POD = re.compile(r"(?:rke2|k3s)/podlogs/([^/]+?)(?:-previous)?$")
_SYSTEM = re.compile(r"systemlogs/(?:kern|messages|syslog)[^/]*$")
_KUBELET = re.compile(r"rke2/agent-logs/kubelet[^/]*$")


@dataclass
class _Archive:
    """What was read of one node."""

    files: dict[str, str] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    changed: float | None = None
    """When `systeminfo/date` was written, by the archive."""


def suits(names: Sequence[str]) -> bool:
    """Whether these are files of such archives."""
    found = {_part(name)[1] for name in names}
    return "systeminfo/hostname" in found and any(name.startswith(("rke2/", "k3s/", "journald/")) for name in found)


def _part(path: str) -> tuple[str, str]:
    """The archive, or the folder in it, and the path from the collector's own folders on."""
    found = _PLACE.match(_HIDDEN.sub("", path))
    return (found[1], found[2]) if found else ("", path)


def read(
    members: Callable[[], Iterator[archive.Member]], _names: Sequence[str], cluster: str, notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs of all nodes."""
    found: dict[str, _Archive] = {}
    objects: dict[str, dict[tuple[str, str], JSON]] = {}
    for member in members():
        _take(found, objects, member)
    hosts = {top: each for top, each in found.items() if each.files.get("systeminfo/hostname", "").strip()}
    for top in found.keys() - hosts.keys():
        if top:
            notes.add(top.rstrip("/"), "it does not say of which host it is")
    clocks = {
        top: collector_host.clock(each.files.get("systeminfo/date", ""), each.changed) for top, each in hosts.items()
    }
    order = sorted(hosts, key=lambda top: clocks[top].time or "", reverse=True)
    listed = next((items for top in order if (items := _node_objects(hosts[top].files)) is not None), None)
    nodes = [_answers.kubernetes_node(item) for item in listed] if listed else None
    nodes = nodes or next(filter(None, (_node_table(hosts[top].files) for top in order)), None)
    entries = {top: _entry(hosts[top].files, nodes or (), clocks[top]) for top in sorted(hosts)}
    mine = {entry["name"] for entry in entries.values()}
    missing = [_away(node) for node in nodes or () if node["name"] not in mine]
    pods = {pod: node for top in reversed(order) for pod, node in _pods(hosts[top].files).items()}
    state = _state_of(cluster, [*entries.values(), *missing], nodes, listed, objects, clocks.values())
    names = {top: entry["name"] for top, entry in entries.items()}
    chosen = _chosen(found, names, pods, [node["name"] for node in state["nodes"]])
    return state, lambda: _logs(members(), chosen)


def _take(found: dict[str, _Archive], objects: dict[str, dict[tuple[str, str], JSON]], member: archive.Member) -> None:
    top, path = _part(member.path)
    here = found.setdefault(top, _Archive())
    here.paths.add(path)
    if _SMALL.fullmatch(path):
        here.files[path] = (member.bytes(LARGEST) or b"").decode("utf-8", "replace")
        if path == "systeminfo/date":
            here.changed = member.changed
    elif kind := _LISTED.fullmatch(path):
        wanted = [(name, asked.namespace) for name, asked in _harvester_checks.KINDS.items()
                  if asked.kinds[0].name == kind[1] and not asked.selector]  # fmt: skip
        for item in lists.objects(member) if wanted else ():
            place = (str(item["metadata"].get("namespace") or ""), str(item["metadata"]["name"]))
            for name, _space in (each for each in wanted if each[1] in ("", place[0])):
                try:
                    objects.setdefault(name, {}).setdefault(place, _seen.slim(name, [item])[0])
                except lists.STRANGE as error:
                    member.notes.add(member.path, f"{place[1]} has another form than it has in Kubernetes: {error}")


def _state_of(
    cluster: str, entries: list[JSON], nodes: list[JSON] | None, listed: list[JSON] | None,
    objects: dict[str, dict[tuple[str, str], JSON]], clocks: Iterable[collector_host.Clock],
) -> JSON:  # fmt: skip
    held: dict[str, list[JSON] | None] = {
        name: list(objects[name].values()) if name in objects else None for name in _harvester_checks.KINDS
    }
    held["nodes"] = _seen.slim("nodes", listed) if listed else None
    clocks = list(clocks)
    times = [clock.time for clock in clocks if clock.time]
    unread = {f"objects.{name}": TABLE for name, items in held.items() if items is None}
    if not nodes:
        unread["kubernetes"] = "no kubectl of the collector has got an answer"
    if not times:
        unread["time"] = "the time zone of its clocks is not known"
    served = [entry["api"] for entry in entries if (entry.get("api") or {}).get("ready") is not None]
    return {
        "schema": _state.SCHEMA,
        "cluster": cluster,
        "time": max(times, default=None),
        "source": {"kind": "collector", "name": cluster, "created": max(times, default=None), "unread": []},
        "distro": next((entry["distro"] for entry in entries if entry.get("distro")), None),
        "nodes": entries,
        "kubernetes": {"ready": any(api["ready"] for api in served) if served else None, "nodes": nodes,
                       "endpoints": None, "system_uid": None} if nodes else None,
        "harvester": None,
        "objects": held,
        "unread": unread,
        "logs": [],
        "hits": [],
    }  # fmt: skip


def _entry(files: dict[str, str], nodes: Sequence[JSON], clock: collector_host.Clock) -> JSON:
    """One node, by its own archive."""
    host = files["systeminfo/hostname"].strip()
    addresses = collector_host.addresses(files.get("networking/ipaddrshow"))
    node = _its_node(host, addresses or (), nodes)
    name = str(node["name"]) if node else host
    distro = "k3s" if any(path.startswith("k3s/") for path in files) else "rke2"
    server = any(path.startswith(f"{distro}/certs/server/") for path in files) or "etcd/findserverdbetcd" in files
    unit = distro if distro == "k3s" else "rke2-server"
    config, fault = sources.config({path: text for path, text in files.items()
                                    if re.fullmatch(rf"{distro}/[^/]+\.yaml", path)})  # fmt: skip
    data = str((config or {}).get("data-dir") or f"/var/lib/rancher/{distro}")
    system = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', files.get("systeminfo/osrelease", ""))
    internal = next(iter((node or {}).get("addresses") or ()), None)
    etcd = collector_etcd.read(files, {*(addresses or ()), *filter(None, (internal,))}) if server else None
    return {
        "name": name,
        "host": internal or name,
        "role": "server" if server else "agent",
        "reachable": True,
        "error": None,
        "hostname": host,
        "addresses": addresses,
        "distro": distro,
        "program": None,
        "version": _state.version(files.get(f"{distro}/version", "")) or (node or {}).get("kubelet_version"),
        "kubelet_version": (node or {}).get("kubelet_version"),
        "node_ready": ((node or {}).get("conditions") or {}).get("Ready"),
        "os_image": system[1] if system else None,
        "harvester": None,
        "unit": collector_host.unit(files, unit) if server else None,
        "agent": None if server else collector_host.unit(files, f"{unit.partition('-')[0]}-agent"),
        "system_agent": collector_host.unit(files, "rancher-system-agent"),
        "processes": collector_host.processes(files.get("systeminfo/ps")),
        "listeners": collector_host.listeners(files),
        "disk": collector_host.disk(files.get("systeminfo/dfh", ""), data),
        "inodes": collector_host.inodes(files.get("systeminfo/dfi", ""), data),
        "memory": collector_host.memory(files.get("systeminfo/freeh") or files.get("systeminfo/freem", "")),
        "config": config,
        "datastore": collector_host.datastore(files.get("etcd/findserverdbetcd")),
        "snapshots": collector_host.listing(files.get("etcd/findserverdbsnapshots"), clock),
        "etcd": etcd.block if etcd else None,
        "api": _api(files) if server else None,
        "certificates": list(collector_host.certificates(files)) or None,
        "unread": {"*": NOT_HELD} | (etcd.unread if etcd else {}) | ({"config": fault} if fault else {}),
    }


def _its_node(host: str, addresses: Sequence[str], nodes: Sequence[JSON]) -> JSON | None:
    """The Node of a host: by its name, its short name or an address of it."""
    names = (host.lower(), host.lower().partition(".")[0])
    found = next((node for name in names for node in nodes if node["name"] == name), None)
    return found or next((node for node in nodes if set(node["addresses"]) & set(addresses)), None)


def _away(node: JSON) -> JSON:
    """A Node of which no archive is at hand."""
    address = next(iter(node["addresses"]), node["name"])
    entry = _state.unreachable(node["name"], address, "no archive of it is at hand")
    return entry | {
        "role": "server" if node["control_plane"] else "agent",
        "kubelet_version": node["kubelet_version"],
        "node_ready": (node.get("conditions") or {}).get("Ready"),
    }


def _api(files: dict[str, str]) -> JSON | None:
    """Whether /healthz of the local API server has answered, by what was collected then."""
    said = files.get("collector-output.log", "")
    offline = "Kube-apiserver is offline" in said
    answered = any(re.match(r"NAME +", files.get(f"{distro}/kubectl/crds", "")) for distro in ("rke2", "k3s"))
    if not offline and not answered:
        return None
    return {"ping": None, "ready": not offline, "nodes": None, "endpoints": None, "system_uid": None, "capi": None}


def _node_objects(files: dict[str, str]) -> list[JSON] | None:
    for distro in ("rke2", "k3s"):
        items = (_blocks.loads(files.get(f"{distro}/kubectl/nodes.json")) or {}).get("items")
        try:
            if isinstance(items, list) and all(lists.is_object(i) and _answers.kubernetes_node(i) for i in items):
                return items
        except lists.STRANGE:
            continue
    return None


def _node_table(files: dict[str, str]) -> list[JSON] | None:
    """NAME STATUS ROLES AGE VERSION INTERNAL-IP ..., where there is no JSON."""
    for distro in ("rke2", "k3s"):
        rows = [line.split() for line in files.get(f"{distro}/kubectl/nodes", "").splitlines()]
        if rows and rows[0][:3] == ["NAME", "STATUS", "ROLES"]:
            return [_node(row) for row in rows[1:] if len(row) >= 6]
    return None


def _node(row: Sequence[str]) -> JSON:
    ready = row[1].split(",")[0] == "Ready"
    return {
        "name": row[0],
        "ready": ready,
        "voter": None,
        "control_plane": "control-plane" in row[2] or "etcd" in row[2],
        "conditions": {"Ready": "True"} if ready else {},
        "addresses": [row[5]] if row[5] != "<none>" else [],
        "os_image": None,
        "kubelet_version": row[4],
    }


def _pods(files: dict[str, str]) -> dict[str, str]:
    """`NAMESPACE-NAME` -> node, of a table with columns that are two blanks apart."""
    for distro in ("rke2", "k3s"):
        rows = [re.split(r" {2,}", line.strip()) for line in files.get(f"{distro}/kubectl/pods", "").splitlines()]
        if rows and rows[0][:2] == ["NAMESPACE", "NAME"] and "NODE" in rows[0]:
            at = rows[0].index("NODE")
            whole = [row for row in rows[1:] if len(row) == len(rows[0]) and row[at] != "<none>"]
            return {f"{row[0]}-{row[1]}": row[at] for row in whole}
    return {}


def _chosen(
    found: dict[str, _Archive], hosts: dict[str, str], pods: dict[str, str], nodes: Sequence[str]
) -> dict[tuple[str, str], tuple[str | None, str]]:
    """Archive and path of each log that is read -> node and program. A pod's log is taken of its own node's archive."""
    chosen: dict[tuple[str, str], tuple[str | None, str]] = {}
    held: dict[str, tuple[str, str]] = {}
    for top in sorted(hosts, key=str):
        for path in sorted(found[top].paths):
            if local := _LOCAL_POD.fullmatch(path):
                chosen[top, path] = (hosts[top], sources.of_pod(local[1], local[2]))
            elif pod := _POD.fullmatch(path):
                node = pods.get(pod[1]) or sources.static(pod[1], nodes)
                before = held.get(path)
                if before and hosts[top] != node:
                    continue
                if before:
                    del chosen[before]
                held[path] = (top, path)
                chosen[top, path] = (node, sources.of_pod("", pod[1]))
            elif source := _program(path):
                chosen[top, path] = (hosts[top], source)
    return chosen


def _program(path: str) -> str:
    """Whose log this is, of those that are no pod's; empty where it is none in which anything is looked for."""
    head, _slash, rest = path.partition("/")
    if head == "journald":
        return sources.of_unit(rest)
    if path == "systeminfo/dmesg" or _SYSTEM.fullmatch(path):
        return "kernel"
    return "kubelet" if _KUBELET.fullmatch(path) else "containerd" if path == "rke2/containerd.log" else ""


def _logs(
    members: Iterator[archive.Member], chosen: dict[tuple[str, str], tuple[str | None, str]]
) -> Iterator[_seen.Log]:
    for member in members:
        if found := chosen.get(_part(member.path)):
            yield found[0], found[1], member.path, member.unpacked().chunks()
