# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support bundles of Harvester (facts/harvester.md 6): objects as YAML, logs of pods, a zip for each node.

The collector replaces text blindly: `""` and null come out as "null", and a text that ends in a quote has null behind
it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _harvester,
    _harvester_checks,
    _seen,
    _state,
    _timeline,
    _yaml,
)

from .. import archive

JSON = dict[str, Any]
LARGEST = 256 << 20
"""Bytes of one YAML file."""
HELD_BACK = {
    "deployed": "a support bundle leaves the namespace of BundleDeployments out",
    "releases": "a support bundle holds no Secrets but those of plans",
}
NOT_HELD = "a support bundle does not hold it"
_OBJECTS = re.compile(r"yamls/(?:cluster|namespaced/([^/]+))/(?:(?!v1/)([^/]+)/)?(v[^/]+)/([^/]+)\.yaml$")
_POD = re.compile(r"logs/([^/]+)/([^/]+)/([^/]+?)\.log(?:\.\d+)?$")
_HOST = re.compile(r"nodes/([^/]+)/(?:[^/]+/)?logs/(.+?)\.log(?:\.\d+)?$")
_FILE = re.compile(r"nodes/([^/]+)/(?:[^/]+/)?configs/(.+)$")
_PROGRAMS = (
    (r"kube-system/etcd-", "etcd"),
    (r"kube-system/(kube-(?:apiserver|controller-manager|scheduler))-", r"\1"),
    (r"cattle-provisioning-capi-system/", "capi"),
    (r"cattle-system/rancher-webhook", "other"),
    (r"cattle-system/rancher-", "rancher"),
    (r"cattle-system/(?:system-upgrade-controller|apply-)", "suc"),
    (r"cattle-fleet(?:-local)?-system/fleet-agent", "fleet-agent"),
    (r"cattle-fleet-system/(?:fleet-controller|gitjob)", "fleet-controller"),
    (r"harvester-system/hvst-upgrade-.*(?:apply-manifests|pre-drain|post-drain|single-node)", "upgrade-job"),
    (r"harvester-system/harvester-webhook", "harvester-webhook"),
    (r"harvester-system/harvester-[0-9a-f]", "harvester"),
    (r"harvester-system/virt-", "virt"),
    (r"longhorn-system/longhorn-manager", "longhorn-manager"),
)
_UNITS = {"wicked": "network", "NetworkManager": "network"}
_OF_HOST = ("rke2-server", "rke2-agent", "rancherd", "rancher-system-agent", "iscsid", "kernel", "kubelet",
            "containerd", "console")  # fmt: skip


def suits(names: Sequence[str]) -> bool:
    """Whether these are the files of one, under whatever folder."""
    return any(re.search(r"(?:^|/)yamls/(?:cluster|namespaced)/", name) for name in names) or any(
        re.search(r"(?:^|/)(?:nodes/[^/]+/(?:[^/]+/)?logs|logs/[^/]+/[^/]+)/[^/]+\.log", name) for name in names
    )


def read(
    members: Callable[[], Iterator[archive.Member]], names: Sequence[str], cluster: str, notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs. A bundle of which parts are missing gives what is there."""
    about, errors, files = dict[str, Any](), list[str](), dict[str, dict[str, str]]()
    objects: dict[str, list[JSON]] = {}
    seen = {_above(name) for name in names}
    for member in members():
        path = _below(member.path)
        if path == "metadata.yaml":
            about = _document(member) or {}
        elif path == "bundleGenerationError.log":
            errors = (member.bytes(LARGEST) or b"").decode("utf-8", "replace").splitlines()
        elif (found := _OBJECTS.search(path)) and (wanted := _wanted(*found.groups())):
            items = [item for item in (_document(member) or {}).get("items") or () if isinstance(item, dict)]
            for name in wanted:
                objects.setdefault(name, []).extend(items)
        elif (found := _FILE.search(path)) and found[2] in ("etc/harvester-release.yaml", "etc/os-release"):
            text = (member.bytes(1 << 20) or b"").decode("utf-8", "replace")
            files.setdefault(found[1], {})[found[2]] = text
    hosts = {found[1] for name in names if (found := re.search(r"nodes/([^/]+?)(?:\.zip)?/", _below(name)))}
    state = _state_of(cluster, about, errors, objects, files, hosts, seen)
    pods = {(p["metadata"].get("namespace"), p["metadata"]["name"]): _node_of(p) for p in objects.get("pods") or ()}
    return state, lambda: _logs(members(), pods, [node["name"] for node in state["nodes"]])


def _below(path: str) -> str:
    """A path from the bundle's own folder on."""
    found = re.search(r"(?:^|/)((?:yamls|logs|nodes)/.*|metadata\.yaml|bundleGenerationError\.log)$", path)
    return found[1] if found else path


def _above(path: str) -> str:
    """The scope of objects that a path belongs to: `cluster`, or a namespace."""
    found = re.match(r"yamls/(cluster|namespaced/[^/]+)/", _below(path))
    return found[1].removeprefix("namespaced/") if found else ""


def _wanted(namespace: str | None, group: str | None, _version: str, plural: str) -> list[str]:
    """What objects in such a file are called among those that rules ask for."""
    return [
        name
        for name, asked in _harvester_checks.KINDS.items()
        if asked.kinds[0].group == (group or "") and asked.kinds[0].plural == plural and not asked.selector
        if not asked.namespace or asked.namespace == namespace
    ]  # fmt: skip


def _document(member: archive.Member) -> JSON | None:
    """A YAML file, with what the collector's replacements have made of it set right."""
    raw = member.bytes(LARGEST)
    try:
        found = _mended(_yaml.load((raw or b"").replace(b"\0", b"").decode("utf-8", "replace")))
    except (ValueError, RecursionError) as error:
        member.notes.add(member.path, error)
        return None
    if not isinstance(found, dict):
        if raw:
            member.notes.add(member.path, "it holds no object")
        return None
    return found


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _mended(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    if isinstance(value, str):
        return "" if value == "null" else value.removesuffix("null") if value.endswith('"null') else value
    # Times without quotes come out of YAML as such.
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _state_of(
    cluster: str, about: JSON, errors: Sequence[str], objects: JSON, files: JSON, hosts: set[str], seen: set[str]
) -> JSON:
    """ClusterState without logs."""
    unread: dict[str, str] = {}
    for name, asked in _harvester_checks.KINDS.items():
        plural = asked.kinds[0].plural
        told = next((line for line in errors if re.search(rf"\b{plural}\b", line)), None)
        if name in objects:
            continue
        if name in HELD_BACK:
            unread[f"objects.{name}"] = HELD_BACK[name]
        elif told:
            unread[f"objects.{name}"] = f"bundleGenerationError.log: {_timeline.mask(told)[:200]}"
        elif (asked.namespace or "cluster") in seen:  # a kind without any object has no file
            objects[name] = []
        else:
            unread[f"objects.{name}"] = f"the bundle has nothing of {asked.namespace or 'the cluster'}"
    created = str(about.get("bundleCreatedAt") or "") or None
    nodes = [_state.kubernetes_node(item) for item in objects.get("nodes") or ()]
    names = list(dict.fromkeys([node["name"] for node in nodes] + sorted(hosts)))
    said = [{"what": "bundleGenerationError.log", "why": _timeline.mask(line)[:200]} for line in errors]
    found = {name: _seen.slim(name, objects[name]) if name in objects else None for name in _harvester_checks.KINDS}
    entries = [_entry(name, objects.get("nodes") or (), files.get(name), name in hosts) for name in names]
    clusters = objects.get("clusters") or ()
    capi = next((_harvester.capi(item) for item in clusters if item["metadata"]["name"] == _harvester.CLUSTER), None)
    releases = {entry["name"]: entry["harvester"] for entry in entries if entry.get("harvester")}
    harvester = {"releases": releases, "capi": capi} if releases or objects.get("config") else None
    return {
        "schema": _state.SCHEMA,
        "cluster": cluster,
        "time": created,
        "source": {"kind": "support_bundle", "name": str(about.get("bundleName") or cluster), "created": created,
                   "unread": said},
        "distro": "rke2",
        "nodes": entries,
        "kubernetes": {"ready": None, "nodes": nodes, "endpoints": None, "system_uid": None} if nodes else None,
        "harvester": harvester,
        "objects": found,
        "unread": unread | ({} if nodes else {"kubernetes": "the bundle has no nodes.yaml"}),
        "logs": [],
        "hits": [],
    }  # fmt: skip


def _entry(name: str, nodes: Iterable[JSON], files: dict[str, str] | None, collected: bool) -> JSON:
    """One node, as far as a bundle tells of it."""
    item = next((node for node in nodes if node["metadata"]["name"] == name), None)
    status = (item or {}).get("status") or {}
    info = status.get("nodeInfo") or {}
    address = next((a["address"] for a in status.get("addresses") or () if a.get("type") == "InternalIP"), name)
    labels = ((item or {}).get("metadata") or {}).get("labels") or {}
    roles = ("control-plane", "etcd", "master")
    server = any(f"node-role.kubernetes.io/{role}" in labels for role in roles) or item is None
    if not collected:
        missing = f"nodes/{name}.zip is not in the bundle: the collector did not reach it"
        entry = _state.unreachable(name, address, missing)
    else:
        entry = {"name": name, "host": address, "reachable": True, "error": None, "unread": {"*": NOT_HELD}}
    pairs = re.findall(r'(?m)^(\w+): *"?([^"\n]*)"?$', (files or {}).get("etc/harvester-release.yaml", ""))
    release = _harvester.release({f"release_{key}": value for key, value in pairs})
    system = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', (files or {}).get("etc/os-release", ""))
    return entry | {
        "role": "server" if server else "agent",
        "hostname": name,
        "os_image": info.get("osImage") or (system[1] if system else None),
        "harvester": release,
        "distro": "rke2",
        "program": None,
        "version": info.get("kubeletVersion"),
        "kubelet_version": info.get("kubeletVersion"),
    }


def _node_of(pod: JSON) -> str | None:
    return (pod.get("spec") or {}).get("nodeName") or None


def _logs(
    members: Iterator[archive.Member], pods: dict[tuple[str | None, str], str | None], nodes: Sequence[str]
) -> Iterator[_seen.Log]:
    """Of pods and of hosts; the node of a static pod stands in its name too."""
    for member in members:
        path = _below(member.path)
        if found := _POD.search(path):
            space, pod, _container = found.groups()
            source = _program(f"{space}/{pod}")
            node = pods.get((space, pod)) or next((name for name in nodes if pod.endswith(f"-{name}")), None)
            yield node, source, path, member.chunks()
        elif found := _HOST.search(path):
            unit = found[2].rpartition("/")[2]
            yield found[1], _UNITS.get(unit, unit if unit in _OF_HOST else "other"), path, member.chunks()


def _program(pod: str) -> str:
    for pattern, source in _PROGRAMS:
        if found := re.match(pattern, pod):
            return found.expand(source)
    return "other"
