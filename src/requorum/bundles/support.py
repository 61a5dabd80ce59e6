# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support bundles of Harvester (facts/harvester.md 6): objects as YAML, logs of pods, a zip for each node.

The zip of a node alone is read too: with its API down a cluster makes no bundle, and the collector is run by hand on
each node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _answers,
    _harvester,
    _harvester_checks,
    _seen,
    _state,
    _timeline,
)

from .. import archive
from . import lists, sources

JSON = dict[str, Any]
LARGEST = 1 << 20
"""Bytes of a file that is read as a whole."""
HELD_BACK = {
    "deployed": "a support bundle leaves the namespace of BundleDeployments out",
    "releases": "a support bundle holds no Secrets but those of plans",
}
NOT_HELD = "a support bundle does not hold it"
_OBJECTS = re.compile(r"(?:^|/)yamls/(?:cluster|namespaced/([^/]+))/(?:(?!v1/)([^/]+)/)?(v[^/]+)/([^/]+)\.yaml$")
_POD = re.compile(r"(?:^|/)logs/([^/]+)/([^/]+)/([^/]+?)\.log(?:\.\d+)?$")
_HOST = re.compile(r"(?:^|/)([^/]+)/(?:logs/([^/]+)\.log(?:\.\d+)?|configs/(.+))$")
_ZIP = re.compile(r"(?:^|/)nodes/([^/]+)\.zip$")
_CONFIG = re.compile(r"etc/rancher/rke2/config\.yaml(?:\.d/[^/]+\.yaml)?$")
_CREATED = re.compile(r"supportbundle_[^/]*_(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$")
_ROLES = ("control-plane", "etcd", "master")


def _node_shape(item: JSON) -> None:
    _answers.kubernetes_node(item)
    _entry("", item, {}, True, None)


SHAPES: dict[str, Callable[[JSON], object]] = {"nodes": _node_shape, "clusters": _harvester.capi}
"""What raises where an object has another form than the readers below take for granted."""


@dataclass
class _Found:
    """What was read, file by file."""

    about: JSON = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    objects: dict[str, dict[str, list[JSON]]] = field(default_factory=dict)
    """Name of the kind -> version by which it was asked for -> objects, slimmed."""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node -> path below its configs -> text; empty where only that it is there counts."""
    endpoints: list[str] | None = None
    system_uid: str | None = None


def suits(names: Sequence[str]) -> bool:
    """Whether these are the files of one, under whatever folder."""
    return any(_OBJECTS.search(name) or _POD.search(name) or _HOST.search(name) for name in names)


def read(
    members: Callable[[], Iterator[archive.Member]], names: Sequence[str], cluster: str, notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs. A bundle of which parts are missing gives what is there."""
    found = _Found()
    for member in members():
        _take(found, member)
    collected = {_below(name).split("/")[2] if "/namespaced/" in name else "cluster"
                 for name in names if _OBJECTS.search(name)}  # fmt: skip
    hosts = {host[1] for name in names if (host := _host(name))}
    state = _state_of(found, names[0] if names else "", cluster, collected, hosts, notes)
    pods = {
        (p["metadata"].get("namespace"), p["metadata"]["name"]): _node_of(p) for p in state["objects"]["pods"] or ()
    }
    return state, lambda: _logs(members(), pods, [node["name"] for node in state["nodes"]])


def _below(path: str) -> str:
    """A path from the bundle's own folder on."""
    found = re.search(r"(?:^|/)((?:yamls|logs|nodes)/.*|metadata\.yaml|bundleGenerationError\.log)$", path)
    return found[1] if found else path


def _host(path: str) -> re.Match[str] | None:
    """A file of a node's own zip: node, name of a log, path of a file of configuration."""
    return None if _POD.search(path) else _HOST.search(path)


def _take(found: _Found, member: archive.Member) -> None:
    path = _below(member.path)
    if path == "metadata.yaml":
        found.about = {str(key).lower(): value for key, value in (_document(member) or {}).items()}
    elif path == "bundleGenerationError.log":
        found.errors = [
            _timeline.mask(line.decode("utf-8", "replace"))[:300] for line in member.lines() if line.strip()
        ]
    elif of := _OBJECTS.search(path):
        _take_objects(found, member, *of.groups())
    elif (host := _host(member.path)) and host[3]:
        files = found.files.setdefault(host[1], {})
        if host[3] in ("etc/harvester-release.yaml", "etc/os-release") or _CONFIG.match(host[3]):
            files[host[3]] = (member.bytes(LARGEST) or b"").decode("utf-8", "replace")
        else:
            files[host[3]] = ""


def _take_objects(found: _Found, member: archive.Member, space: str | None, group: str | None, version: str,
                  plural: str) -> None:  # fmt: skip
    wanted = _wanted(space, group, plural)
    held = [found.objects.setdefault(name, {}).setdefault(version, []) for name in wanted]
    slices, spaces = (space, plural) == ("default", "endpointslices"), (group, plural) == (None, "namespaces")
    if not (wanted or slices or spaces):
        return
    for item in lists.objects(member):
        meta = item["metadata"]
        try:
            slim = [_seen.slim(name, [item])[0] for name in wanted]
            for name in wanted:
                SHAPES.get(name, dict)(item)
            if slices and (meta.get("labels") or {}).get("kubernetes.io/service-name", meta["name"]) == "kubernetes":
                found.endpoints = sorted({*(found.endpoints or ()), *_answers.addresses(item)})
        except lists.STRANGE as error:
            member.notes.add(member.path, f"{meta['name']} has another form than it has in Kubernetes: {error}")
            continue
        for items, each in zip(held, slim, strict=True):
            items.append(each)
        if spaces and meta["name"] == "kube-system":
            found.system_uid = str(meta.get("uid") or "") or None


def _wanted(space: str | None, group: str | None, plural: str) -> list[str]:
    """What the objects of a file are called among those that rules ask for."""
    return [
        name
        for name, asked in _harvester_checks.KINDS.items()
        if (asked.kinds[0].group, asked.kinds[0].plural) == (group or "", plural) and not asked.selector
        if not asked.namespace or asked.namespace == space
    ]  # fmt: skip


def _broken(unread: dict[str, str]) -> dict[str, str]:
    """Kinds of which a file could not be read as a whole, and why: what came of it may not be all."""
    found: dict[str, str] = {}
    for path, why in unread.items():
        if of := _OBJECTS.search(_below(path)):
            space, group, _version, plural = of.groups()
            found |= dict.fromkeys(_wanted(space, group, plural), f"{_below(path)}: {why}")
    return found


def _document(member: archive.Member) -> JSON | None:
    raw = member.bytes(LARGEST)
    try:
        found = lists.document(raw or b"")
    except (ValueError, RecursionError) as error:
        member.notes.add(member.path, error)
        return None
    if not isinstance(found, dict):
        member.notes.add(member.path, "it holds no settings")
        return None
    return found


def _state_of(
    found: _Found, first: str, cluster: str, collected: set[str], hosts: set[str], notes: archive.Notes
) -> JSON:
    """ClusterState without logs."""
    objects: dict[str, list[JSON] | None] = {}
    unread: dict[str, str] = {}
    torn = _broken(notes.unread)
    for name, asked in _harvester_checks.KINDS.items():
        if name in torn:
            objects[name], unread[f"objects.{name}"] = None, torn[name]
            continue
        objects[name] = _newest(found.objects.get(name), [kind.version for kind in asked.kinds])
        if objects[name] is not None:
            continue
        if why := _why_not(name, asked, found.errors, collected):
            unread[f"objects.{name}"] = why
        else:  # a kind without any object has no file
            objects[name] = []
    created = _created(found.about, first)
    listed = objects["nodes"] or []
    nodes = [_answers.kubernetes_node(item) for item in listed]
    names = list(dict.fromkeys([node["name"] for node in nodes] + sorted(hosts)))
    items = {item["metadata"]["name"]: item for item in listed}
    broken = {zipped[1]: why for path, why in notes.unread.items() if (zipped := _ZIP.search(path))}
    entries = [
        _entry(name, items.get(name), found.files.get(name, {}), name in hosts, broken.get(name)) for name in names
    ]
    capi = [item for item in objects["clusters"] or () if item["metadata"]["name"] == _harvester.CLUSTER]
    releases = {entry["name"]: entry["harvester"] for entry in entries if entry.get("harvester")}
    is_one = releases or objects["config"] or any("Harvester" in (entry["os_image"] or "") for entry in entries)
    if created is None:
        unread["time"] = "nothing in the bundle says when it was made"
    return {
        "schema": _state.SCHEMA,
        "cluster": cluster,
        "time": created,
        "source": {"kind": "support_bundle", "name": str(found.about.get("bundlename") or cluster), "created": created,
                   "unread": [{"what": "bundleGenerationError.log", "why": line} for line in found.errors[:100]]},
        "distro": next((entry["distro"] for entry in entries if entry["distro"]), "rke2" if is_one else None),
        "nodes": entries,
        "kubernetes": {"ready": None, "nodes": nodes, "endpoints": found.endpoints, "system_uid": found.system_uid}
        if nodes
        else None,
        "harvester": {"releases": releases, "capi": _harvester.capi(capi[0]) if capi else None} if is_one else None,
        "objects": objects,
        "unread": unread | ({} if nodes else {"kubernetes": "the bundle has no nodes.yaml"}),
        "logs": [],
        "hits": [],
    }  # fmt: skip


def _newest(versions: dict[str, list[JSON]] | None, wanted: Sequence[str]) -> list[JSON] | None:
    """Objects by the version to ask for first, of those in which they stand in the bundle."""
    if not versions:
        return None
    return next((versions[version] for version in wanted if version in versions), next(iter(versions.values())))


def _why_not(name: str, asked: _harvester_checks.Asked, errors: Sequence[str], collected: set[str]) -> str:
    """Why a kind without a file was not read; empty where there are no objects of it."""
    if name in HELD_BACK:
        return HELD_BACK[name]
    group, plural = asked.kinds[0].group, asked.kinds[0].plural
    path = rf"/{group or 'api'}/[^/ ]+/(?:namespaces/{asked.namespace or '[^/ ]+'}/)?{plural}(?![\w/-])"
    file = rf"/{asked.namespace or '[^/ ]+'}/{f'{group}/' if group else ''}v[^/ ]+/{plural}\.yaml"
    word = rf"(?<![\w./-]){re.escape(asked.kinds[0].name)}(?![\w./-])"
    if told := next((line for line in errors if re.search(f"{path}|{file}|{word}", line)), None):
        return f"bundleGenerationError.log: {told[:200]}"
    if not asked.kinds[0].namespaced:
        return "" if "cluster" in collected else "the bundle has nothing of the cluster's own kinds"
    if asked.namespace:
        return "" if asked.namespace in collected else f"the bundle has nothing of the namespace {asked.namespace}"
    return "" if collected - {"cluster"} else "the bundle has nothing of any namespace"


def _created(about: JSON, first: str) -> str | None:
    """When it was made: by its metadata, else by the name of its folder."""
    said = str(about.get("bundlecreatedat") or "")
    if _MOMENT.match(said):
        return said
    named = _CREATED.search(first)
    return f"{named[1]}T{named[2]}:{named[3]}:{named[4]}Z" if named else None


def _entry(name: str, item: JSON | None, files: dict[str, str], collected: bool, broken: str | None) -> JSON:
    """One node, as far as a bundle tells of it."""
    status = (item or {}).get("status") or {}
    info, labels = status.get("nodeInfo") or {}, ((item or {}).get("metadata") or {}).get("labels") or {}
    address = next((a["address"] for a in status.get("addresses") or () if a.get("type") == "InternalIP"), name)
    ready = next((c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    if collected:
        entry: JSON = {"name": name, "host": address, "reachable": True, "error": None, "unread": {"*": NOT_HELD}}
    else:
        why = f"nodes/{name}.zip cannot be read: {broken}" if broken else (
            f"nodes/{name}.zip is not in the bundle: the collector did not reach it")  # fmt: skip
        entry = _state.unreachable(name, address, why)
    pairs = re.findall(r'(?m)^(\w+): *"?([^"\n]*)"?$', files.get("etc/harvester-release.yaml", ""))
    about = {f"release_{key}": value for key, value in pairs}
    if any(path.startswith("oem/") for path in files):
        about["release_custom"] = "there" if "oem/90_custom.yaml" in files else "missing"
    system = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', files.get("etc/os-release", ""))
    version = str(info.get("kubeletVersion") or "")
    served = any(f"node-role.kubernetes.io/{role}" in labels for role in _ROLES)
    config, fault = sources.config({path: text for path, text in files.items() if _CONFIG.match(path)})
    if fault:
        entry["unread"]["config"] = fault
    empty = ("unit", "agent", "system_agent", "processes", "listeners", "datastore", "etcd", "api", "certificates",
             "disk", "inodes", "memory", "clock", "snapshots", "files", "program")  # fmt: skip
    return entry | dict.fromkeys(empty) | {
        "role": None if item is None else "server" if served else "agent",
        "hostname": name,
        "os_image": info.get("osImage") or (system[1] if system else None),
        "harvester": _harvester.release(about),
        "distro": next((distro for distro in ("rke2", "k3s") if f"+{distro}" in version), None),
        "version": version or None,
        "kubelet_version": version or None,
        "node_ready": ready if ready in ("True", "False", "Unknown") else None,
        "config": config,
    }  # fmt: skip


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
            node = pods.get((space, pod)) or sources.static(pod, nodes)
            yield node, sources.of_pod(space, pod), path, member.chunks()
        elif (host := _host(member.path)) and host[2] and host[2] != "containerd-images":
            yield host[1], sources.of_unit(host[2]), path, member.chunks()
