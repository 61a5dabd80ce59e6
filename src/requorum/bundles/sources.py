# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose log it is (_rules.SOURCES), by the name of a pod or of a unit; and files of configuration, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _rules, _state

_HASH = "[0-9a-f]{4,10}-"
_PODS = (
    (r"kube-system[/_-]etcd-", "etcd"),
    (r"kube-system[/_-](kube-(?:apiserver|controller-manager|scheduler))-", r"\1"),
    (r"cattle-(?:provisioning-capi|capi)-system[/_-]", "capi"),
    (rf"cattle-system[/_-]rancher-{_HASH}", "rancher"),
    (r"cattle-system[/_-]apply-hvst-upgrade-.*-prepare-", "upgrade-job"),
    (r"cattle-system[/_-](?:system-upgrade-controller|apply-)", "suc"),
    (r"cattle-fleet(?:-local)?-system[/_-]fleet-agent", "fleet-agent"),
    (r"cattle-fleet-system[/_-](?:fleet-controller|gitjob)", "fleet-controller"),
    (r"harvester-system[/_-]hvst-upgrade-.*-(?:apply-manifests|pre-drain|post-drain|single-node)", "upgrade-job"),
    (r"harvester-system[/_-]harvester-webhook", "harvester-webhook"),
    (rf"harvester-system[/_-]harvester-{_HASH}", "harvester"),
    (r"harvester-system[/_-]virt-|.*[/_-]virt-launcher-", "virt"),
    (r"longhorn-system[/_-]longhorn-manager", "longhorn-manager"),
)
_NETWORK = re.compile(r"wicked.*|NetworkManager|(?:systemd-)?networkd|systemd-network")
_SECRET = re.compile(r"(?i)token|passw|secret|access-key|credential")


def of_pod(namespace: str, pod: str) -> str:
    """Of a pod; `kube-system-etcd-n1` too, where nothing but a dash tells the namespace from the name."""
    path = f"{namespace}/{pod}" if namespace else pod
    return next((found.expand(word) for pattern, word in _PODS if (found := re.match(pattern, path))), "other")


def of_unit(unit: str) -> str:
    """Of a unit of systemd."""
    return "network" if _NETWORK.fullmatch(unit) else unit if unit in _rules.SOURCES else "other"


def static(pod: str, nodes: Sequence[str]) -> str | None:
    """The node of a static pod, with which its name ends."""
    return max((node for node in nodes if pod.endswith(f"-{node}")), key=len, default=None)


def config(files: Mapping[str, str]) -> tuple[dict[str, Any] | None, str | None]:
    """Settings of config.yaml and what stands in config.yaml.d, and why they could not be read."""
    if not files:
        return None, None
    order = sorted(files, key=lambda path: (not path.endswith("/config.yaml"), path))
    try:
        found = _state.merged("\n".join(f"# file {path}\n{files[path]}" for path in order))
    except ValueError as error:
        return None, str(error)
    return {key: "hidden" if _SECRET.search(key) else value for key, value in found.items()}, None
