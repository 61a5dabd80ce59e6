# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host joins: Harvester's ISO installer and rancherd, with the config.yaml that `requorum join-config` writes.

The lab has no kube-vip. Whichever server answers stands for the VIP: there rancherd looks for the token, and there
RKE2's agent registers. `parts.everything` plays what Rancher and Harvester make of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import host as hosts
from lab.harvester import objects, oem, play
from lab.labs import Lab
from lab.progress import LabError, say

JSON = dict[str, Any]
SETTING = _api.Kind("harvesterhci.io", "v1beta1", "settings", namespaced=False)
CONFIGMAP = _api.Kind("", "v1", "configmaps")
REQUEST = "rke.cattle.io/machine-request"
"""Type of the Secret by which a host asks for a Machine."""


@dataclass(frozen=True)
class Cluster:
    """What a host that joins must know of it."""

    version: str
    vip: str
    token: str
    """Of rancherd."""


def refusal(answers: JSON, seen: Cluster) -> str:
    """Why the host does not join, in the words of those who refuse it; empty when it does."""
    install, url = answers.get("install") or {}, str(answers.get("server_url") or "")
    iso = re.search(r"harvester-(v\d[\w.]*?)(?:-(?:amd64|arm64))?\.iso", str(install.get("iso_url") or ""))
    if install.get("mode") != "join":
        return f"install.mode is {install.get('mode')!r}: that would be a cluster of its own"
    if not re.fullmatch(r"https://[^/:]+(:443)?", url):
        return f"server_url {url!r}: https, and no port but 443"
    if url.removeprefix("https://").removesuffix(":443") != seen.vip:
        return f"insecure cacerts download from {url}/cacerts: context deadline exceeded"
    if str(answers.get("token")) != seen.token:
        return f"insecure cacerts download from {url}/cacerts: EOF"
    if not iso:
        return "the name of install.iso_url tells no version"
    if iso[1] != seen.version:
        return f"the ISO is {iso[1]}, the cluster is {seen.version}"
    if iso[1] not in objects.RELEASES:
        return f"the lab does not know {iso[1]}: {', '.join(objects.RELEASES)}"
    if not (answers.get("os") or {}).get("hostname"):
        return "os.hostname is missing"
    return ""


def look(lab: Lab, api: _api.Api) -> Cluster:
    """The cluster as the server that answers has it."""
    version = api.get(SETTING, "server-version") or {}
    vip = api.get(CONFIGMAP, "vip", objects.SYSTEM) or {}
    rancherd = yaml.safe_load(lab.sh(lab.answering(), f"cat {oem.RANCHERD}").ok("rancherd").out)
    return Cluster(str(version.get("value")), str((vip.get("data") or {}).get("ip")), str(rancherd["token"]))


def install(lab: Lab, host: str, config: Path) -> None:
    """Install a host of the lab anew from the ISO: all its disks are lost, it boots, and it asks to join."""
    answers = yaml.safe_load(config.read_text())
    api = play.client(lab, seconds=60)
    seen = look(lab, api)
    if why := refusal(answers, seen):
        raise LabError(f"{host}: {why}")
    if host == lab.answering():
        raise LabError(f"{host} is the only one that answers; nobody is left to join")
    name, role = str(answers["os"]["hostname"]), str(answers["install"].get("role") or "default")
    lab.renew(host)
    of = oem.Identity(name, objects.RELEASES[seen.version], seen.vip, seen.token, role=role)
    hosts.strict(lab, host, of, answers, joins=True)
    _register(lab, api, host, of)
    say(f"{host}: installed from {answers['install']['iso_url']}, asks to join as {name}")


def _register(lab: Lab, api: _api.Api, host: str, of: oem.Identity) -> None:
    """Rancher's agent asks for a Machine; its name comes from the host's own random id."""
    identity = secrets.token_hex(32)[:63]
    lab.sh(host, "umask 077; mkdir -p /etc/rancher/agent /var/lib/rancher/rancherd; cat >/etc/rancher/agent/cattle-id; "
                 "touch /var/lib/rancher/rancherd/bootstrapped", stdin=identity).ok("cattle-id")  # fmt: skip
    api.create(objects.BUILT_IN["Secret"], request(identity, of, lab.spec.host(host).ip))


def request(identity: str, of: oem.Identity, address: str) -> JSON:
    """The Secret of the request."""
    wish = {"id": identity, "node-name": of.name, "internal-address": address, "role-worker": True,
            "labels": ",".join(f"{key}={value}" for key, value in oem.labels(of.role).items())}  # fmt: skip
    name = f"custom-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    return {
        "apiVersion": "v1", "kind": "Secret", "type": REQUEST,
        "metadata": {"name": name, "namespace": objects.FLEET},
        "data": {"data": base64.b64encode(json.dumps(wish).encode()).decode()},
    }  # fmt: skip
